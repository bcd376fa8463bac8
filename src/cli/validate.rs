//! `coracle validate`.

use serde_json::json;

use super::args::{Common, Format, Network};
use super::failure::Failure;
use super::output::Output;
use super::settings::Variables;
use super::{blame, place, work};
use crate::diag::Severity;
use crate::pipeline::places;
use crate::store;

/// Arguments of `coracle validate`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    coracle validate oci:coracle-out/hello\n  \
    coracle validate archive:hello.tar\n  \
    coracle validate ghcr.io/acme/hello:v1")]
pub struct Args {
    /// The image: a reference, `oci:DIR[:TAG|@DIGEST]` or `archive:FILE`
    #[arg(value_name = "REF")]
    pub image: String,
    /// How findings are written to stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    #[command(flatten)]
    pub network: Network,
    #[command(flatten)]
    pub common: Common,
}

/// Validates, and prints what was found.
pub fn run(args: &Args, variables: &Variables, output: &Output) -> Result<(), Failure> {
    let location = place::source(&args.image)?;
    let environment = variables.pipeline_environment(None, Some(&args.network), &args.common)?;
    let (digest, report) = work::run(&args.common, variables, async |observer| {
        let opened = places::open(&location, &environment, &observer).await;
        let opened = opened.map_err(|error| blame::of_pipeline(&error))?;
        let root = opened.store.get_manifest(&opened.pointer).await.map_err(|error| blame::of_store(&error))?;
        let report = store::validate(&*opened.store, &opened.pointer, observer).await;
        Ok((root.digest().clone(), report.map_err(|error| blame::of_store(&error))?))
    })?;
    let valid = report.is_free_of(Severity::Error);
    match args.format {
        Format::Text => {
            let mut text: String = report.findings.iter().map(|finding| format!("{finding}\n")).collect();
            if valid {
                let counts = (report.images, report.layers, report.entries);
                text.push_str(&format!(
                    "valid {digest}: images {}, layers {}, paths {}\n",
                    counts.0, counts.1, counts.2
                ));
            }
            output.data(&text)?;
        }
        Format::Json => output.json(&json!({
            "valid": valid,
            "digest": digest,
            "images": report.images,
            "layers": report.layers,
            "entries": report.entries,
            "bytes": report.bytes,
            "findings": report.findings,
        }))?,
    }
    if valid { Ok(()) } else { Err(Failure::said_no()) }
}
