//! `coracle validate`.

use super::args::{Common, Format, Network};

/// Arguments of `coracle validate`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    coracle validate oci:coracle-out/hello\n  \
    coracle validate archive:hello.tar\n  \
    coracle validate ghcr.io/acme/hello:v1")]
pub struct Args {
    /// The image: a reference, `oci:DIR[@DIGEST]` or `archive:FILE`
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
