//! `coracle plan`.

use std::path::PathBuf;

use serde_json::json;

use super::args::{Common, Format, Image, Needs, Network};
use super::failure::Failure;
use super::output::Output;
use super::settings::Variables;
use super::{blame, request};
use crate::pipeline;
use crate::plan::{self, PlanView};

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
    #[command(flatten)]
    pub needs: Needs,
    #[command(flatten)]
    pub network: Network,
    /// How the plan is written to stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Print nothing to stderr but errors
    #[arg(long, short)]
    pub quiet: bool,
}

/// Prints the plans.
pub fn run(args: &Args, variables: &Variables, output: &Output) -> Result<(), Failure> {
    let mut asked = request::of(&args.paths, &args.image, &args.needs, variables)?;
    let common = Common { quiet: args.quiet, ..Common::default() };
    request::open_roots(&mut asked.request, &args.needs, &args.network, &common, variables)?;
    let planned = pipeline::plan(&asked.request).map_err(|error| blame::of_pipeline(&error))?;
    output.findings(&planned.diagnostics);
    let fail = |error: plan::Error| blame::of_plan(&error);
    match args.format {
        Format::Text => {
            for (at, plan) in planned.plans.iter().enumerate() {
                let gap = if at == 0 { "" } else { "\n" };
                output.data(&format!("{gap}{}", plan.to_text().map_err(fail)?))?;
            }
            Ok(())
        }
        Format::Json => {
            let views = planned.plans.iter().map(PlanView::of).collect::<Result<Vec<_>, _>>().map_err(fail)?;
            output.json(&json!({ "name": planned.name, "plans": views, "diagnostics": planned.diagnostics }))
        }
    }
}
