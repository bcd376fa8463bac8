//! `coracle inspect`.

use super::args::{Common, Format, Network};
use crate::oci::Platform;

/// Arguments of `coracle inspect`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    coracle inspect ./hello\n  \
    coracle inspect oci:coracle-out/hello --files\n  \
    coracle inspect ghcr.io/acme/hello:v1 --format json")]
pub struct Args {
    /// A program or an image
    #[arg(value_name = "WHAT")]
    pub what: String,
    /// List every path of an image's layers
    #[arg(long)]
    pub files: bool,
    /// Look at this platform of an index [default: all of them]
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
