//! `coracle rebase`.

use std::path::PathBuf;

use serde_json::json;

use super::args::{Common, Format, Network};
use super::failure::Failure;
use super::output::Output;
use super::settings::Variables;
use super::{blame, place, report, work};
use crate::pipeline::{self, BaseSpec, Delivery};
use crate::store::Location;

/// Arguments of `coracle rebase`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    coracle rebase ghcr.io/acme/server:v1 --onto gcr.io/distroless/cc-debian12\n  \
    coracle rebase ghcr.io/acme/server:v1 ghcr.io/acme/server:v1-patched --onto debian:12.9-slim\n  \
    coracle rebase oci:coracle-out/server oci:patched --onto oci:bases/new --from oci:bases/old")]
pub struct Args {
    /// The image: a reference, `oci:DIR[:TAG|@DIGEST]` or `archive:FILE`
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// Where the result goes: references, `oci:DIR[:TAG]`, `archive:FILE` or `docker-daemon:[REF]` [default: the image's own name]
    #[arg(value_name = "DST")]
    pub destinations: Vec<String>,
    /// The new base: a reference, `oci:DIR` or `archive:FILE`
    #[arg(long, value_name = "BASE")]
    pub onto: String,
    /// The base that the image has now [default: what its annotations say]
    #[arg(long, value_name = "BASE")]
    pub from: Option<String>,
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

/// Rebases, delivers, and prints where the image is.
pub fn run(args: &Args, variables: &Variables, output: &Output) -> Result<(), Failure> {
    let image = place::source(&args.image)?;
    let onto = BaseSpec::parse(&args.onto).map_err(|error| blame::of_pipeline(&error))?;
    let from = args.from.as_deref().map(place::source).transpose()?;
    let mut delivery = Delivery::default();
    let named = args.destinations.iter().map(|text| place::source(text)).collect::<Result<Vec<Location>, _>>()?;
    for to in if named.is_empty() { vec![image.clone()] } else { named } {
        match to {
            Location::Registry(reference) => delivery.tags.push(reference),
            place => delivery.outputs.push(place),
        }
    }
    delivery.push = !delivery.tags.is_empty();
    let environment = variables.pipeline_environment(None, Some(&args.network), &args.common)?;
    let rebased = work::run(&args.common, variables, async |observer| {
        let result = pipeline::rebase(&image, &onto, from.as_ref(), &delivery, &environment, &observer).await;
        result.map_err(|error| blame::of_base(&error, &onto))
    })?;
    output.findings(&rebased.diagnostics);
    if let Some(path) = &args.digest_file {
        report::write(path, format!("{}\n", rebased.root.digest()).as_bytes())?;
    }
    let references = || rebased.places.iter().flat_map(|place| &place.references);
    match args.format {
        Format::Text => references().try_for_each(|reference| output.line(reference)),
        Format::Json => output.json(&json!({
            "references": references().collect::<Vec<_>>(),
            "digest": rebased.root.digest(),
            "layersCarried": rebased.layers.0,
            "layersOfBase": rebased.layers.1,
        })),
    }
}
