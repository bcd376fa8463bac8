//! `coracle serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Arguments of `coracle serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    coracle serve\n  \
    coracle serve --listen 127.0.0.1:5000 --dir ./registry\n  \
    coracle serve --listen 0.0.0.0:5000 --dir ./registry --htpasswd ./users")]
pub struct Args {
    /// Address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:5000")]
    pub listen: SocketAddr,
    /// Keep images in this directory, one OCI layout per repository [default: in memory]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Demand a user of this htpasswd file
    #[arg(long, value_name = "FILE")]
    pub htpasswd: Option<PathBuf>,
    /// Print nothing to stderr but errors
    #[arg(long, short)]
    pub quiet: bool,
}
