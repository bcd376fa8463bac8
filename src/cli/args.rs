//! Flags that several verbs share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::oci::{Platform, Reference, Tag};

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people and shells.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// How layers are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Compression {
    /// One gzip member; every runtime reads it.
    Gzip,
    /// Smaller and faster; needs containerd 1.5, podman 4 or docker 23 and later.
    Zstd,
    /// A plain tar.
    None,
}

/// Flags of every verb that works for a while.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "General")]
pub struct Common {
    /// Print nothing to stderr but errors
    #[arg(long, short)]
    pub quiet: bool,
    /// Show no progress
    #[arg(long)]
    pub no_progress: bool,
    /// Worker threads; the result is the same for any number [default: one per processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
}

/// Where results of finished work are kept between runs.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Cache")]
pub struct Cache {
    /// Directory of the cache [default: `$XDG_CACHE_HOME/coracle`]
    #[arg(long, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// Neither read nor write the cache
    #[arg(long, conflicts_with = "cache_dir")]
    pub no_cache: bool,
}

/// How registries are reached. Credentials come from the docker and podman auth files.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Registry")]
pub struct Network {
    /// Use plain HTTP for this registry (loopback addresses need no flag)
    #[arg(long, value_name = "HOST[:PORT]")]
    pub plain_http: Vec<String>,
    /// Accept any TLS certificate of this registry
    #[arg(long, value_name = "HOST[:PORT]")]
    pub insecure: Vec<String>,
    /// Trust the certificates of this PEM file too
    #[arg(long, value_name = "FILE")]
    pub ca: Vec<PathBuf>,
}

/// What goes into an image and what it says about itself.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Image")]
pub struct Image {
    /// Name of the image and of its program under `/app` [default: the first program's file name without a platform
    /// suffix]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The platforms the image must have; selects among the programs, never relabels one
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_delimiter = ',')]
    pub platform: Vec<Platform>,
    /// Read this configuration instead of the `coracle.yaml` of the directory
    #[arg(long, short, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Set a label of the image's config
    #[arg(long, value_name = "KEY=VALUE")]
    pub label: Vec<String>,
    /// Set an annotation of the manifest, and of the index where there is one
    #[arg(long, value_name = "KEY=VALUE")]
    pub annotation: Vec<String>,
    /// Set a variable of the program's environment
    #[arg(long, short, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Run as this user, as numbers [default: 65532:65532]
    #[arg(long, short, value_name = "UID[:GID]")]
    pub user: Option<String>,
    /// Directory the program starts in [default: /]
    #[arg(long, short, value_name = "PATH")]
    pub workdir: Option<String>,
    /// Replace the command; repeat for its arguments, or give a JSON list [default: the first program]
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    pub entrypoint: Vec<String>,
    /// Default arguments; repeat, or give a JSON list
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    pub cmd: Vec<String>,
    /// Declare a port the program listens on
    #[arg(long, short, value_name = "PORT[/tcp|/udp]")]
    pub port: Vec<String>,
    /// Declare a directory whose content belongs into a volume
    #[arg(long, value_name = "PATH")]
    pub volume: Vec<String>,
    /// Signal that asks the program to stop [default: SIGTERM, from the runtime]
    #[arg(long, value_name = "SIGNAL")]
    pub stop_signal: Option<String>,
    /// Add a file or directory tree
    #[arg(long, value_name = "SRC:DST[:MODE[:UID:GID]]")]
    pub add: Vec<String>,
    /// Leave out added paths that match this pattern
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Make a directory that the program's user can write to
    #[arg(long, value_name = "PATH")]
    pub writable: Vec<String>,
    /// Make the image run under any user id with group 0, as OpenShift has it
    #[arg(long)]
    pub openshift: bool,
    /// Give a file of the image a file capability, for example `/app/hello=net_bind_service`
    #[arg(long, value_name = "PATH=CAP[,CAP]")]
    pub file_cap: Vec<String>,
    /// How layers are compressed [default: gzip]
    #[arg(long, value_enum, value_name = "CODEC", hide_possible_values = false)]
    pub compression: Option<Compression>,
}

/// Under which names an image is published.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Names")]
pub struct Names {
    /// A full reference to publish under; may be repeated
    #[arg(long, short, value_name = "REF")]
    pub tag: Vec<Reference>,
    /// The repository that `--tags` names tags of
    #[arg(long, value_name = "REPOSITORY")]
    pub repo: Option<Reference>,
    /// Tags below `--repo`, separated by commas [default: latest]
    #[arg(long, value_name = "TAG", value_delimiter = ',', requires = "repo")]
    pub tags: Vec<Tag>,
}
