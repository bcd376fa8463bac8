//! `coracle plan`.

use std::path::PathBuf;

use serde_json::json;

use super::args::{Base, Common, Format, Image, Lock, Needs, Network};
use super::failure::Failure;
use super::output::Output;
use super::settings::Variables;
use super::{blame, lock, lookup, request};
use crate::analyze::{Confidence, Outcome};
use crate::pipeline::{self, PlatformNeeds};
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
    pub base: Base,
    #[command(flatten)]
    pub lock: Lock,
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
    let mut asked = request::of(&args.paths, &args.image, &args.needs, Some(&args.lock), variables)?;
    let common = Common { quiet: args.quiet, ..Common::default() };
    request::open_roots(&mut asked.request, &args.needs, &args.network, &common, variables)?;
    asked.open_base(&args.base, &args.network, &common, variables)?;
    let planned =
        pipeline::plan(&asked.request).map_err(|error| lookup::of_program(&error, &asked.request, &args.needs))?;
    if let (true, Some(file)) = (args.lock.update_lock, &asked.lock_file) {
        lock::update(file, &planned.lock)?;
    }
    output.findings(&planned.diagnostics);
    if args.format == Format::Text {
        planned.needs.iter().filter_map(summary).for_each(|line| output.say(line));
    }
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
            let of_platform = |needs: &PlatformNeeds| json!({ "platform": needs.platform.to_string(), "requirements": needs.requirements });
            let needs: Vec<_> = planned.needs.iter().map(of_platform).collect();
            output.json(
                &json!({ "name": planned.name, "plans": views, "needs": needs, "diagnostics": planned.diagnostics }),
            )
        }
    }
}

/// `linux/amd64 needs: 12 included, 3 offered`, where there is any need. What a string alone hints at is not counted.
fn summary(needs: &PlatformNeeds) -> Option<String> {
    let count = |wanted: fn(&Outcome) -> bool| {
        let sure = needs
            .requirements
            .iter()
            .filter(|need| need.reason.confidence != Confidence::Hinted || need.outcome == Outcome::Included);
        sure.filter(|need| wanted(&need.outcome)).count()
    };
    let parts = [
        (count(|outcome| *outcome == Outcome::Included), "included"),
        (count(|outcome| matches!(outcome, Outcome::Offered(_))), "offered"),
        (count(|outcome| *outcome == Outcome::Missing), "missing"),
        (count(|outcome| *outcome == Outcome::LeftOut), "left out"),
        (count(|outcome| *outcome == Outcome::AtRunTime), "from the container runtime"),
    ];
    let told: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    (!told.is_empty()).then(|| format!("{} needs: {}", needs.platform, told.join(", ")))
}
