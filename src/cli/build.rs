//! `coracle build`.

use std::path::PathBuf;

use super::args::{Base, Cache, Common, Image, ImageFormat, Lock, Names, Needs, Network};
use super::failure::Failure;
use super::output::Output;
use super::settings::Variables;
use super::{lock, lookup, report, request, work};
use crate::pipeline;

/// Arguments of `coracle build`.
#[derive(Debug, Default, clap::Args)]
#[command(after_help = "Examples:\n  \
    coracle build ./hello\n  \
    coracle build ./hello --tag ghcr.io/acme/hello:v1 --push\n  \
    coracle build ./dist/app-amd64 ./dist/app-arm64 --repo ghcr.io/acme/app --tags v1,latest --push\n  \
    coracle build ./app --base gcr.io/distroless/cc-debian12 --tag ghcr.io/acme/app --push\n  \
    coracle build ./app --add ./static:/srv/static --writable /data --port 8080 --output archive:app.tar\n  \
    docker run --rm $(coracle build ./hello -t localhost:5000/hello --push)")]
pub struct Args {
    /// Programs, or a directory with a `coracle.yaml` [default: the `coracle.yaml` of this directory]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    #[command(flatten)]
    pub names: Names,
    #[command(flatten)]
    pub image: Image,
    #[command(flatten)]
    pub base: Base,
    #[command(flatten)]
    pub needs: Needs,
    #[command(flatten)]
    pub lock: Lock,
    /// Push to the registry of each name
    #[arg(long, help_heading = "Outputs")]
    pub push: bool,
    /// Write to `oci:DIR`, `archive:FILE` or `docker-daemon:`; may be repeated
    #[arg(long, short, value_name = "KIND:PLACE", help_heading = "Outputs")]
    pub output: Vec<String>,
    /// Write the digest to this file
    #[arg(long, value_name = "FILE", help_heading = "Outputs")]
    pub digest_file: Option<PathBuf>,
    /// Write the references, or the places written, to this file, one per line
    #[arg(long, value_name = "FILE", help_heading = "Outputs")]
    pub image_refs: Option<PathBuf>,
    /// Write a JSON document about the image to this file, with the keys of `docker buildx build`
    #[arg(long, value_name = "FILE", help_heading = "Outputs")]
    pub metadata_file: Option<PathBuf>,
    /// How the result is written to stdout; `docker` is short for `--image-format docker`
    #[arg(long, value_enum, default_value_t, help_heading = "Outputs")]
    pub format: BuildFormat,
    /// Which documents describe the image
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", help_heading = "Outputs")]
    pub image_format: ImageFormat,
    #[command(flatten)]
    pub network: Network,
    #[command(flatten)]
    pub cache: Cache,
    #[command(flatten)]
    pub common: Common,
}

/// How the result of a build is written; tools that know `--format docker` mean the image by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum BuildFormat {
    /// For people and shells.
    #[default]
    Text,
    /// One JSON document.
    Json,
    /// For people and shells, of an image in Docker's format.
    Docker,
}

/// Builds, delivers, and prints where the image is.
pub fn run(args: &Args, variables: &Variables, output: &Output) -> Result<(), Failure> {
    let mut asked = request::of(&args.paths, &args.image, &args.needs, Some(&args.lock), variables)?;
    request::open_roots(&mut asked.request, &args.needs, &args.network, &args.common, variables)?;
    asked.open_base(&args.base, &args.network, &args.common, variables)?;
    let docker = args.format == BuildFormat::Docker;
    asked.request.format = if docker { ImageFormat::Docker } else { args.image_format }.into();
    let delivery = asked.delivery(&args.names, args.push, &args.output)?;
    report::keep_apart(args, &asked.request)?;
    let environment =
        variables.pipeline_environment(Some(&args.cache), args.push.then_some(&args.network), &args.common)?;
    let outcome = work::run(&args.common, variables, async |observer| {
        let result = pipeline::build(&asked.request, &delivery, &environment, &observer).await;
        result.map_err(|error| lookup::of_program(&error, &asked.request, &args.needs))
    })?;
    output.findings(&outcome.diagnostics);
    report::files(args, &outcome)?;
    if let (true, Some(file)) = (args.lock.update_lock, &asked.lock_file) {
        lock::update(file, &outcome.lock)?;
    }
    match args.format {
        BuildFormat::Text | BuildFormat::Docker => output.data(&report::references(&outcome)),
        BuildFormat::Json => output.json(&report::json(&outcome)),
    }
}
