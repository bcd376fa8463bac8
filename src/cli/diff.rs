//! `coracle diff`.

use super::args::{Common, Format, Network};
use crate::oci::Platform;

/// Arguments of `coracle diff`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    coracle diff oci:before oci:after\n  \
    coracle diff ghcr.io/acme/hello:v1 ghcr.io/acme/hello:v2\n  \
    coracle diff ./hello-old ./hello-new")]
pub struct Args {
    /// The one
    #[arg(value_name = "A")]
    pub left: String,
    /// The other
    #[arg(value_name = "B")]
    pub right: String,
    /// Compare this platform of indexes [default: all of them]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub platform: Option<Platform>,
    /// How the result is written to stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    #[command(flatten)]
    pub network: Network,
    #[command(flatten)]
    pub common: Common,
}
