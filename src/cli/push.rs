//! `coracle push`.

use std::path::PathBuf;

use super::args::{Common, Network};
use super::failure::Failure;
use super::output::Output;
use super::settings::Variables;
use super::{blame, place, report, work};
use crate::oci::Reference;
use crate::pipeline::{self, CopyScope};
use crate::store::Location;

/// Arguments of `coracle push`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    coracle push oci:coracle-out/hello ghcr.io/acme/hello:v1\n  \
    coracle push archive:hello.tar ghcr.io/acme/hello:v1 ghcr.io/acme/hello:latest\n  \
    coracle push oci:coracle-out/hello localhost:5000/hello:v1")]
pub struct Args {
    /// The image: `oci:DIR[:TAG|@DIGEST]`, `archive:FILE` or a reference
    #[arg(value_name = "SRC")]
    pub source: String,
    /// Where to: full references
    #[arg(value_name = "REF", required = true, value_parser = place::reference)]
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

/// Copies and prints what was pushed.
pub fn run(args: &Args, variables: &Variables, output: &Output) -> Result<(), Failure> {
    let source = place::source(&args.source)?;
    let to: Vec<Location> = args.destinations.iter().cloned().map(Location::Registry).collect();
    let environment = variables.pipeline_environment(None, Some(&args.network), &args.common)?;
    let copied = work::run(&args.common, variables, async |observer| {
        let result = pipeline::copy(&source, &to, &CopyScope::default(), &environment, &observer).await;
        result.map_err(|error| blame::of_pipeline(&error))
    })?;
    let references: String =
        copied.iter().flat_map(|copied| &copied.references).map(|reference| format!("{reference}\n")).collect();
    if let (Some(path), Some(first)) = (&args.digest_file, copied.first()) {
        report::write(path, format!("{}\n", first.root.digest()).as_bytes())?;
    }
    if let Some(path) = &args.image_refs {
        report::write(path, references.as_bytes())?;
    }
    output.data(&references)
}
