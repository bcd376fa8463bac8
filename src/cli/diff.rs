//! `coracle diff`.

use std::path::PathBuf;

use serde_json::json;

use super::args::{Common, Format, Image, Needs, Network};
use super::failure::Failure;
use super::output::Output;
use super::settings::Variables;
use super::{blame, request, what, work};
use crate::oci::Platform;
use crate::pipeline;
use crate::plan::Change;
use crate::store::Location;

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

/// What is compared.
enum Side {
    Program(PathBuf),
    Image(Location),
}

/// Compares and prints every difference.
pub fn run(args: &Args, variables: &Variables, output: &Output) -> Result<(), Failure> {
    let compared = match (side(&args.left)?, side(&args.right)?) {
        (Side::Program(left), Side::Program(right)) => programs(left, right, variables)?,
        (Side::Image(left), Side::Image(right)) => images(args, &left, &right, variables)?,
        (Side::Program(_), Side::Image(_)) | (Side::Image(_), Side::Program(_)) => {
            return Err(Failure::input(format!("`{}` and `{}` cannot be compared", args.left, args.right))
                .caused_by("one is a program of this machine, the other an image")
                .hint("build an image of the program and compare that"));
        }
    };
    let same = compared.changes.is_empty();
    match args.format {
        Format::Json => output.json(&json!({
            "same": same,
            "left": compared.left,
            "right": compared.right,
            "changes": compared.changes,
        }))?,
        Format::Text if same => output.line(format!("same {}", compared.left))?,
        Format::Text => {
            let lines: String = compared.changes.iter().map(|change| format!("{change}\n")).collect();
            output.data(&lines)?;
        }
    }
    if same { Ok(()) } else { Err(Failure::said_no()) }
}

/// The outcome of a comparison.
struct Compared {
    left: String,
    right: String,
    changes: Vec<Change>,
}

fn side(text: &str) -> Result<Side, Failure> {
    if what::is_path(text) {
        return Ok(Side::Program(PathBuf::from(text)));
    }
    text.parse().map(Side::Image).map_err(|error| blame::of_store(&error))
}

fn programs(left: PathBuf, right: PathBuf, variables: &Variables) -> Result<Compared, Failure> {
    let plan = |path: &PathBuf| {
        let image = Image { name: Some("program".to_owned()), ..Image::default() };
        let asked = request::of(std::slice::from_ref(path), &image, &Needs::default(), None, variables)?;
        pipeline::plan(&asked.request).map_err(|error| blame::of_pipeline(&error))
    };
    let (a, b) = (plan(&left)?, plan(&right)?);
    let changes = pipeline::of_plans(&a, &b).map_err(|error| blame::of_pipeline(&error))?;
    Ok(Compared { left: left.display().to_string(), right: right.display().to_string(), changes })
}

fn images(args: &Args, left: &Location, right: &Location, variables: &Variables) -> Result<Compared, Failure> {
    let environment = variables.pipeline_environment(None, Some(&args.network), &args.common)?;
    work::run(&args.common, variables, async |observer| {
        let look = async |location| {
            let seen = pipeline::look(location, args.platform.as_ref(), &environment, &observer).await;
            seen.map_err(|error| blame::of_pipeline(&error))
        };
        let (a, b) = (look(left).await?, look(right).await?);
        let changes = pipeline::of_images(&a, &b).await.map_err(|error| blame::of_pipeline(&error))?;
        Ok(Compared { left: a.root.digest().to_string(), right: b.root.digest().to_string(), changes })
    })
}
