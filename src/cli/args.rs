//! Flags that several verbs share.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::failure::{Blame, Failure};
use crate::analyze::needs::{Choice, Selector};
use crate::limits;
use crate::oci::{Platform, Reference, Tag};
use crate::plan::{AddSpec, EncoderId, FileCap, ImageOptions};

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

/// How registries are reached. Credentials are looked for as docs/auth.md says, mirrors and certificates as
/// docs/hosts.md says.
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
    /// Log in as this user, at this registry or at every one
    #[arg(long, value_name = "[HOST=]USER")]
    pub username: Option<String>,
    /// Read the password of `--username` from this file, `-` from standard input
    #[arg(long, value_name = "FILE", requires = "username")]
    pub password_file: Option<PathBuf>,
    /// Look for credentials in this file before any other
    #[arg(long, value_name = "FILE")]
    pub authfile: Option<PathBuf>,
    /// Read mirrors and rewrites from this `registries.conf` [default: that of the user or the machine]
    #[arg(long, value_name = "FILE")]
    pub registries_conf: Option<PathBuf>,
    /// Look for `HOST/hosts.toml`, `HOST/*.crt` and `HOST/*.cert` in this directory before all others; may be repeated
    #[arg(long, value_name = "DIR")]
    pub hosts_dir: Vec<PathBuf>,
    /// Read no file about registries that no flag names
    #[arg(long)]
    pub no_host_files: bool,
    /// Say on stderr where the credential of each registry was looked for and found; no secret is shown
    #[arg(long)]
    pub explain_auth: bool,
    /// Print every exchange with a registry to stderr, headers without secrets, no bodies
    #[arg(long)]
    pub trace_http: bool,
    /// Give a registry up that moves no byte for this long, in seconds [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(1..=3600))]
    pub idle_timeout: Option<u16>,
    /// Give a connection up that does not come about within this time, in seconds [default: 15]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(1..=3600))]
    pub connect_timeout: Option<u16>,
    /// Give a request up that is not answered in full within this time, in seconds; a layer is one request [default: none]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=604_800))]
    pub total_timeout: Option<u32>,
}

/// What goes into an image and what it says about itself.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Image")]
pub struct Image {
    /// Name of the image and of its program under `/app` [default: the first program's file name without a platform
    /// suffix]
    #[arg(long, value_name = "NAME", value_parser = super::place::image_name)]
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
    #[arg(long, short, value_name = "PORT[/tcp|/udp|/sctp]")]
    pub port: Vec<String>,
    /// Declare a directory whose content belongs into a volume
    #[arg(long, value_name = "PATH")]
    pub volume: Vec<String>,
    /// Signal that asks the program to stop [default: SIGTERM, from the runtime]
    #[arg(long, value_name = "SIGNAL")]
    pub stop_signal: Option<String>,
    /// Add a file or directory tree
    #[arg(long, value_name = "SRC:DST[:MODE[:UID:GID]]")]
    pub add: Vec<OsString>,
    /// Leave out added paths that match this pattern
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Make a directory that the program's user can write to
    #[arg(long, value_name = "PATH")]
    pub writable: Vec<String>,
    /// Make the image run under any user id with group 0, as OpenShift has it
    #[arg(long)]
    pub openshift: bool,
    /// Make `/etc/passwd`, `/etc/group` and `/home/nonroot`, for programs that look up their user
    #[arg(long)]
    pub passwd: bool,
    /// Give a file of the image a file capability, for example `/app/hello=cap_net_bind_service+ep`
    #[arg(long, value_name = "PATH=CAP[,CAP]+FLAGS")]
    pub file_cap: Vec<String>,
    /// How layers are compressed [default: gzip]
    #[arg(long, value_enum, value_name = "CODEC", hide_possible_values = false)]
    pub compression: Option<Compression>,
}

/// Where programs find what they need at run time, and which of it goes into the image.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Needs")]
pub struct Needs {
    /// Look up libraries and data here: a directory such as an unpacked system, or an image as `image:REF`, `oci:DIR` or
    /// `archive:FILE` [default: /]
    #[arg(long, value_name = "ROOT")]
    pub root: Option<OsString>,
    /// Include a need that is not included by itself: a feature (certs, gconv[=CHARSET], hosts, locale[=NAME], magic, mime,
    /// services, shell, terminfo, tzdata, users, or one that `inspect` offers), or `file:PATH`, `lib:NAME`,
    /// `program:PATH`, `link:PATH=TARGET`; may be repeated
    #[arg(long, value_name = "NEED", value_delimiter = ',')]
    pub with: Vec<Selector>,
    /// Leave a need out, even a required one; may be repeated
    #[arg(long, value_name = "NEED", value_delimiter = ',')]
    pub without: Vec<Selector>,
    /// Fail when a required need cannot be met or is left out
    #[arg(long)]
    pub strict: bool,
    /// Certificates (PEM) to include in place of those of the root
    #[arg(long, value_name = "FILE")]
    pub ca_bundle: Option<PathBuf>,
}

/// What lies under an image.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Base")]
pub struct Base {
    /// Build on this image: a reference, `oci:DIR` or `archive:FILE`. Its layers stay as they are; what it has is not added again
    #[arg(long, value_name = "IMAGE")]
    pub base: Option<String>,
}

/// Which documents describe an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ImageFormat {
    /// OCI manifest and index.
    #[default]
    Oci,
    /// Docker schema 2 and manifest list, without annotations and zstd.
    Docker,
}

impl From<ImageFormat> for crate::image::Format {
    fn from(format: ImageFormat) -> Self {
        match format {
            ImageFormat::Oci => Self::Oci,
            ImageFormat::Docker => Self::Docker,
        }
    }
}

/// The set of needs that a build must have.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Needs")]
pub struct Lock {
    /// Fail when the programs need something else than this file says [default: the `coracle.lock` beside the `coracle.yaml`,
    /// or of this directory, when there is one]
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
    /// Write what the programs need to the lock
    #[arg(long)]
    pub update_lock: bool,
}

impl Needs {
    /// What the flags decide about needs.
    ///
    /// # Errors
    /// A failure that names the file of certificates.
    pub fn choice(&self) -> Result<Choice, Failure> {
        let ca_bundle = match &self.ca_bundle {
            Some(path) => Some(read_bundle(path)?),
            None => None,
        };
        Ok(Choice { with: self.with.clone(), without: self.without.clone(), strict: self.strict, ca_bundle })
    }
}

/// Reads a file of certificates, which must hold at least one.
fn read_bundle(path: &Path) -> Result<Vec<u8>, Failure> {
    let fail =
        |cause: String| Failure::input(format!("cannot use `{}` as certificates", path.display())).caused_by(cause);
    let metadata = std::fs::metadata(path).map_err(|error| fail(error.to_string()))?;
    if !metadata.is_file() || metadata.len() > limits::MAX_CA_BUNDLE_BYTES {
        return Err(fail(format!("it is no regular file of at most {} bytes", limits::MAX_CA_BUNDLE_BYTES)));
    }
    let bytes = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
    if memchr::memmem::find(&bytes, b"-----BEGIN CERTIFICATE-----").is_none() {
        return Err(fail("there is no `-----BEGIN CERTIFICATE-----` in it".to_owned())
            .hint("certificates in DER are made PEM with `openssl x509 -inform der`"));
    }
    Ok(bytes)
}

/// Under which names an image is published.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Names")]
pub struct Names {
    /// A full reference to publish under; may be repeated
    #[arg(long, short, value_name = "REF", value_parser = super::place::reference)]
    pub tag: Vec<Reference>,
    /// The repository that `--tags` names tags of
    #[arg(long, value_name = "REPOSITORY")]
    pub repo: Option<Reference>,
    /// Tags below `--repo`, separated by commas [default: latest]
    #[arg(long, value_name = "TAG", value_delimiter = ',', requires = "repo")]
    pub tags: Vec<Tag>,
}

impl Names {
    /// All references to publish under: those of `--tag`, then the tags of `--repo`.
    pub fn references(&self) -> Vec<Reference> {
        let mut all = self.tag.clone();
        if let Some(repo) = &self.repo {
            let tags = if self.tags.is_empty() { vec![Tag::latest()] } else { self.tags.clone() };
            all.extend(tags.into_iter().map(|tag| repo.with_tag(tag)));
        }
        let mut seen = BTreeSet::new();
        all.retain(|reference| seen.insert(reference.clone()));
        all
    }
}

impl Image {
    /// What the flags say about an image's content and config.
    ///
    /// # Errors
    /// A failure that names the flag.
    pub fn options(&self) -> Result<ImageOptions, Failure> {
        let file_caps = self.file_cap.iter().map(|text| FileCap::parse(text));
        Ok(ImageOptions {
            env: pairs("--env", &self.env)?,
            user: self.user.clone(),
            workdir: self.workdir.clone(),
            entrypoint: words("--entrypoint", &self.entrypoint)?,
            cmd: words("--cmd", &self.cmd)?,
            ports: self.port.clone(),
            labels: pairs("--label", &self.label)?,
            annotations: pairs("--annotation", &self.annotation)?,
            volumes: self.volume.clone(),
            stop_signal: self.stop_signal.clone(),
            writable: self.writable.clone(),
            openshift: self.openshift,
            passwd: self.passwd,
            file_caps: file_caps.collect::<Result<_, _>>().map_err(|e| Failure::of(Blame::Input, &e))?,
        })
    }

    /// The additions of the flags.
    ///
    /// # Errors
    /// A failure that names what is wrong.
    pub fn adds(&self) -> Result<Vec<AddSpec>, Failure> {
        let parse = |text: &OsString| AddSpec::parse(text).map_err(|error| Failure::of(Blame::Input, &error));
        self.add.iter().map(parse).collect()
    }
}

impl From<Compression> for EncoderId {
    fn from(compression: Compression) -> Self {
        match compression {
            Compression::Gzip => Self::Gz1,
            Compression::Zstd => Self::Zst1,
            Compression::None => Self::Tar,
        }
    }
}

/// `KEY=VALUE` texts as a map. A key given twice keeps its last value.
fn pairs(flag: &str, texts: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let mut map = BTreeMap::new();
    for text in texts {
        let Some((key, value)) = text.split_once('=') else {
            return Err(Failure::input(format!("`{flag}` cannot be `{text}`"))
                .caused_by("there is no `=` in it")
                .hint(format!("write `{flag} {text}=VALUE`")));
        };
        map.insert(key.to_owned(), value.to_owned());
    }
    Ok(map)
}

/// The words of a command: one JSON list, or one word per flag. `[]` means no words.
fn words(flag: &str, texts: &[String]) -> Result<Option<Vec<String>>, Failure> {
    match texts {
        [] => Ok(None),
        [text] if text.trim_start().starts_with('[') => serde_json::from_str(text).map(Some).map_err(|error| {
            Failure::input(format!("`{flag}` cannot be `{text}`"))
                .caused_by(format!("it begins as a JSON list of strings but is none: {error}"))
                .hint("quote the whole list for the shell, for example `'[\"/app/hello\", \"-v\"]'`")
        }),
        texts => Ok(Some(texts.to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_a_list_or_repeated() {
        let check = |texts: &[&str], want: Option<&[&str]>| {
            let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
            let got = words("--cmd", &texts).unwrap();
            assert_eq!(got, want.map(|words| words.iter().map(ToString::to_string).collect::<Vec<_>>()), "{texts:?}");
        };
        check(&[], None);
        check(&["[]"], Some(&[]));
        check(&["a b", "-c"], Some(&["a b", "-c"]));
        check(&["[\"a\", \"b c\"]"], Some(&["a", "b c"]));
        assert!(words("--cmd", &["[a".to_owned()]).is_err());
    }
}
