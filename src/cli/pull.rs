//! `coracle pull`.

use super::args::{Common, Network};
use super::failure::Failure;
use super::output::Output;
use super::settings::Variables;
use super::{blame, place, work};
use crate::oci::Platform;
use crate::pipeline::{self, CopyScope};

/// Arguments of `coracle pull`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    coracle pull ghcr.io/acme/hello:v1 oci:hello\n  \
    coracle pull ghcr.io/acme/hello@sha256:0123… archive:hello.tar --platform linux/arm64")]
pub struct Args {
    /// The image: a reference, `oci:DIR[:TAG|@DIGEST]` or `archive:FILE`
    #[arg(value_name = "REF")]
    pub source: String,
    /// Where to: `oci:DIR`, `archive:FILE` or `docker-daemon:`
    #[arg(value_name = "DST")]
    pub destination: String,
    /// Take this platform of an index alone [default: all of them]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub platform: Option<Platform>,
    #[command(flatten)]
    pub network: Network,
    #[command(flatten)]
    pub common: Common,
}

/// Copies and prints where the image is.
pub fn run(args: &Args, variables: &Variables, output: &Output) -> Result<(), Failure> {
    let source = place::source(&args.source)?;
    let to = place::output(&args.destination)?;
    let scope = CopyScope { platforms: args.platform.iter().cloned().collect(), ..CopyScope::default() };
    let environment = variables.pipeline_environment(None, Some(&args.network), &args.common)?;
    let copied = work::run(&args.common, variables, async |observer| {
        let result = pipeline::copy(&source, &[to], &scope, &environment, &observer).await;
        result.map_err(|error| blame::of_pipeline(&error))
    })?;
    copied.iter().flat_map(|copied| &copied.references).try_for_each(|reference| output.line(reference))
}
