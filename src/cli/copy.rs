//! `coracle copy`.

use std::path::PathBuf;

use serde_json::json;

use super::args::{Common, Format, Network};
use super::failure::Failure;
use super::output::Output;
use super::settings::Variables;
use super::{blame, place, report, work};
use crate::oci::Platform;
use crate::pipeline::{self, CopyScope};
use crate::store::Location;

/// Arguments of `coracle copy`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    coracle copy ghcr.io/acme/hello:v1 registry.example/hello:v1 --referrers\n  \
    coracle copy ghcr.io/acme/hello:v1 oci:mirror archive:hello.tar\n  \
    coracle copy oci:coracle-out/hello localhost:5000/hello:v1 --platform linux/arm64")]
pub struct Args {
    /// The image: a reference, `oci:DIR[:TAG|@DIGEST]` or `archive:FILE`
    #[arg(value_name = "SRC")]
    pub source: String,
    /// Where to: references, `oci:DIR[:TAG]`, `archive:FILE` or `docker-daemon:[REF]`
    #[arg(value_name = "DST", required = true)]
    pub destinations: Vec<String>,
    /// Take these platforms of an index alone [default: all of them]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_delimiter = ',')]
    pub platform: Vec<Platform>,
    /// Copy what refers to the image too: signatures, SBOMs, provenance
    #[arg(long)]
    pub referrers: bool,
    /// Write the digest to this file
    #[arg(long, value_name = "FILE")]
    pub digest_file: Option<PathBuf>,
    /// How the result is written to stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    #[command(flatten)]
    pub network: Network,
    #[command(flatten)]
    pub common: Common,
}

/// Copies and prints where the image is now.
pub fn run(args: &Args, variables: &Variables, output: &Output) -> Result<(), Failure> {
    let source = place::source(&args.source)?;
    let to = args.destinations.iter().map(|text| place::source(text)).collect::<Result<Vec<Location>, _>>()?;
    let scope = CopyScope { platforms: args.platform.clone(), referrers: args.referrers };
    let environment = variables.pipeline_environment(None, Some(&args.network), &args.common)?;
    let copied = work::run(&args.common, variables, async |observer| {
        let result = pipeline::copy(&source, &to, &scope, &environment, &observer).await;
        result.map_err(|error| blame::of_pipeline(&error))
    })?;
    if let (Some(path), Some(first)) = (&args.digest_file, copied.first()) {
        report::write(path, format!("{}\n", first.root.digest()).as_bytes())?;
    }
    match args.format {
        Format::Text => {
            copied.iter().flat_map(|copied| &copied.references).try_for_each(|reference| output.line(reference))
        }
        Format::Json => {
            let one = |copied: &pipeline::CopiedTo| {
                json!({
                    "references": copied.references,
                    "digest": copied.root.digest(),
                    "blobsWritten": copied.written,
                    "blobsSpared": copied.spared,
                    "bytesWritten": copied.bytes,
                })
            };
            output.json(&copied.iter().map(one).collect())
        }
    }
}
