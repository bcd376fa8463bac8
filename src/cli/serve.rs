//! `coracle serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::args::Common;
use super::failure::{Blame, Failure};
use super::output::Output;
use super::settings::Variables;
use super::work;
use crate::serve::{self, FaultRule, FaultScript, Profile, ServeOptions, Server, Storage, Users};

/// Arguments of `coracle serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    coracle serve\n  \
    coracle serve --listen 127.0.0.1:5000 --dir ./registry\n  \
    coracle serve --listen 0.0.0.0:5000 --dir ./registry --htpasswd ./users\n  \
    coracle serve --profile ecr --fault 'manifest-put=429:retry-after=1*2' --log-requests")]
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
    /// Behave as this registry where it differs from the distribution-spec: ecr, ghcr, gar, acr, hub, quay, distribution2
    #[arg(long, value_name = "NAME", help_heading = "For tests of clients")]
    pub profile: Option<Profile>,
    /// Fail requests: `SELECTION=FAULT[*TIMES]`, for example `3=500`, `upload-put=reset`, `blob-get#2=429:retry-after=1*3`; may
    /// be repeated (docs/serve.md)
    #[arg(long, value_name = "RULE", help_heading = "For tests of clients")]
    pub fault: Vec<FaultRule>,
    /// Print each request with its number to stderr
    #[arg(long, help_heading = "For tests of clients")]
    pub log_requests: bool,
    /// Print nothing to stderr but errors
    #[arg(long, short)]
    pub quiet: bool,
}

/// Serves until a signal.
pub fn run(args: &Args, variables: &Variables, output: &Output) -> Result<(), Failure> {
    let storage = args.dir.clone().map_or(Storage::Memory, Storage::Directory);
    let users = args.htpasswd.as_ref().map(read_users).transpose()?;
    let common = Common { quiet: args.quiet, no_progress: true, threads: None };
    work::run_until_signal(&common, variables, async |observer, stop| {
        let options = ServeOptions {
            users,
            observer,
            quirks: args.profile.map(Profile::quirks).unwrap_or_default(),
            faults: FaultScript::new(args.fault.clone()),
            log_requests: args.log_requests,
            ..ServeOptions::new(args.listen, storage)
        };
        let server = Server::bind(options).await.map_err(|error| of_serve(&error))?;
        output.line(server.local_addr().to_string())?;
        server.run(stop).await.map_err(|error| of_serve(&error))
    })
}

fn read_users(path: &PathBuf) -> Result<Users, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::input(format!("cannot read `{}`", path.display())).caused_by(error.to_string()))?;
    Users::parse(&text).map_err(|error| Failure::of(Blame::Input, &error))
}

fn of_serve(error: &serve::Error) -> Failure {
    match error {
        serve::Error::OpenToNetwork(_) => {
            Failure::of(Blame::Input, error).hint("name users with `--htpasswd FILE`, or listen on `127.0.0.1`")
        }
        serve::Error::Bind { .. } => {
            Failure::of(Blame::Environment, error).hint("take another address, or port 0 for a free one")
        }
        _ => Failure::of(Blame::Environment, error),
    }
}
