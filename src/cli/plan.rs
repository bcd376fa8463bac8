//! `coracle plan`.

use std::path::PathBuf;

use super::args::{Format, Image};

/// Arguments of `coracle plan`.
#[derive(Debug, Default, clap::Args)]
#[command(after_help = "Examples:\n  \
    coracle plan ./hello\n  \
    coracle plan ./hello --add ./static:/srv/static\n  \
    coracle plan ./hello --format json")]
pub struct Args {
    /// Programs, or a directory with a `coracle.yaml` [default: the `coracle.yaml` of this directory]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    #[command(flatten)]
    pub image: Image,
    /// How the plan is written to stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Print nothing to stderr but errors
    #[arg(long, short)]
    pub quiet: bool,
}
