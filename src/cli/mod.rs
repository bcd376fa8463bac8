//! Layer 9: the command line: clap types, settings, one file per verb, rendering.
//!
//! *Invariants:* the environment is read in `settings` alone; stdout carries data only; every failure leaves through
//! `failure`, which gives it an exit code and the next step.

mod args;
mod blame;
mod build;
mod completions;
mod copy;
mod credentials;
mod diff;
mod explain;
mod failure;
mod hardening;
mod hosts;
mod inspect;
mod lock;
mod login;
mod lookup;
pub mod manual;
mod output;
mod parse;
mod place;
mod plan;
mod progress;
mod pull;
mod push;
mod rebase;
mod report;
mod request;
mod run;
mod screen;
mod serve;
mod settings;
mod usage;
mod validate;
mod what;
mod why;
mod work;

pub use failure::Failure;
pub use run::run;

use clap::{Parser, Subcommand};

/// `coracle`: what a shell's user types.
#[derive(Debug, Parser)]
#[command(
    name = "coracle",
    version,
    max_term_width = 100,
    about = "Turns compiled programs into minimal, reproducible container images",
    long_about = "Turns compiled programs into minimal, reproducible container images: no daemon, no Dockerfile, no \
                  privileges.\n\nResults go to stdout, everything else to stderr. Exit codes: 0 done, 1 the input or a \
                  check says no, 2 the environment failed, 130 interrupted.\n\nEvery flag has a variable that stands \
                  in for it: `--plain-http` is `CORACLE_PLAIN_HTTP`, with one value per line where a flag may be \
                  repeated. Flags win over variables, variables over `coracle.yaml`.",
    after_help = "Examples:\n  coracle build ./hello\n  coracle build ./hello -t ghcr.io/acme/hello:v1 --push\n  \
                  coracle plan ./hello\n  coracle serve --dir ./registry",
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = false,
    infer_long_args = false
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build an image from compiled programs
    ///
    /// Each PATH is an ELF executable, or a directory with a `coracle.yaml`. Several programs of one platform share an
    /// image, and the first is its command; programs of several platforms become an image index. Without `--push` and
    /// `--output` the image goes into the OCI layout `coracle-out/NAME`.
    Build(Box<build::Args>),
    /// Show what `build` would put into the image, and why
    ///
    /// Nothing is written. Each path of the image stands on a line with its mode, owner, size and the reason it is there.
    Plan(Box<plan::Args>),
    /// Show a program with everything it needs, or what an image says about itself
    ///
    /// WHAT is a program's path, `root:PATH` for a program of the root, `oci:DIR[:TAG|@DIGEST]`, `archive:FILE`, or the reference
    /// of an image in a registry. A path that exists is taken as a program; everything else as an image.
    ///
    /// Each need of a program stands on a line: how it is known, how much it is needed (req, rec, opt), what, why, and for
    /// what `build` does not include by itself the flag that includes it. Nothing is written, and nothing is executed.
    Inspect(Box<inspect::Args>),
    /// Say why a path is in an image: the chain of reasons up to the program
    ///
    /// WHAT is a program's path or `root:PATH` (what `build` would do with the same flags), `oci:DIR[:TAG|@DIGEST]`,
    /// `archive:FILE`, or the reference of an image in a registry, with which its plan travels.
    Why(Box<why::Args>),
    /// Show every directory in which a program's loader looks for a library, and what it finds there
    ///
    /// By the rules of the loader that the program names, glibc's or musl's, in the root; nothing is executed. Exit code 1 when
    /// the library is not found.
    Explain(Box<explain::Args>),
    /// Say why two images, or the images of two programs, have different digests
    ///
    /// A and B are programs' paths (their plans are compared), `oci:DIR[:TAG|@DIGEST]`, `archive:FILE`, or references. Exit code
    /// 0 when both are the same, 1 when they differ.
    Diff(diff::Args),
    /// Copy an image to a registry
    ///
    /// Blobs go first, then manifests, the tags last; what the registry has already is not sent again.
    Push(push::Args),
    /// Copy an image out of a registry
    Pull(pull::Args),
    /// Copy an image from place to place, with what refers to it if asked for
    ///
    /// Between registries, OCI layouts and archives, digests unchanged. Within one registry its blobs are taken over without being
    /// fetched. The order is blobs, manifests, what refers to them, tags last.
    Copy(copy::Args),
    /// Put an image onto another base, without building it again
    ///
    /// Its own layers stay, those of its base are replaced, and of the config what came from the base. The verdict of a build is given
    /// on the new base first: what would not start there is refused.
    Rebase(rebase::Args),
    /// Keep user and password of a registry where docker and podman read them too
    ///
    /// The registry is asked first. The file is `--authfile`, `$REGISTRY_AUTH_FILE`, `$DOCKER_CONFIG/config.json` or
    /// `~/.docker/config.json`; a credential helper that it names for the registry is used.
    Login(login::LoginArgs),
    /// Forget user and password of a registry
    Logout(login::LogoutArgs),
    /// Recompute every digest of an image and check what it says about itself
    ///
    /// Digests, sizes, diff IDs, media types, platforms, paths and whiteouts. Exit code 1 when something is found.
    Validate(validate::Args),
    /// Serve a registry from a directory
    ///
    /// Speaks the OCI distribution protocol over plain HTTP, for quick starts, tests and networks without a registry. The
    /// address is printed once it listens; SIGTERM and SIGINT end it cleanly. Beyond loopback it demands `--htpasswd`.
    Serve(serve::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
}
