//! `coracle pull`.

use super::args::{Common, Network};
use crate::oci::Platform;

/// Arguments of `coracle pull`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    coracle pull ghcr.io/acme/hello:v1 oci:hello\n  \
    coracle pull ghcr.io/acme/hello@sha256:0123… archive:hello.tar --platform linux/arm64")]
pub struct Args {
    /// The image: a reference, `oci:DIR[@DIGEST]` or `archive:FILE`
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
