//! `coracle push`.

use std::path::PathBuf;

use super::args::{Common, Network};
use crate::oci::Reference;

/// Arguments of `coracle push`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    coracle push oci:coracle-out/hello ghcr.io/acme/hello:v1\n  \
    coracle push archive:hello.tar ghcr.io/acme/hello:v1 ghcr.io/acme/hello:latest\n  \
    coracle push oci:coracle-out/hello localhost:5000/hello:v1")]
pub struct Args {
    /// The image: `oci:DIR[@DIGEST]`, `archive:FILE` or a reference
    #[arg(value_name = "SRC")]
    pub source: String,
    /// Where to: full references
    #[arg(value_name = "REF", required = true)]
    pub destinations: Vec<Reference>,
    /// Write the digest to this file
    #[arg(long, value_name = "FILE")]
    pub digest_file: Option<PathBuf>,
    /// Write the published references to this file, one per line
    #[arg(long, value_name = "FILE")]
    pub image_refs: Option<PathBuf>,
    #[command(flatten)]
    pub network: Network,
    #[command(flatten)]
    pub common: Common,
}
