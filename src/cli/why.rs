//! `coracle why`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;

use super::args::{Common, Format, Needs, Network};
use super::failure::Failure;
use super::output::Output;
use super::settings::Variables;
use super::{blame, lookup, place, request, what, work};
use crate::diag::printable;
use crate::oci::Platform;
use crate::pipeline;
use crate::plan::{self, EntryView, PlanView};

/// Most paths of a hint.
const SHOWN: usize = 3;

/// Arguments of `coracle why`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    coracle why ./hello /usr/lib/x86_64-linux-gnu/libz.so.1\n  \
    coracle why oci:coracle-out/hello /etc/nsswitch.conf\n  \
    coracle why ghcr.io/acme/hello:v1 /etc/passwd --platform linux/arm64")]
pub struct Args {
    /// A program, `root:PATH` for one that lies in the root, or an image
    #[arg(value_name = "WHAT")]
    pub what: String,
    /// An absolute path of the image
    #[arg(value_name = "PATH")]
    pub path: String,
    /// Look at this platform of an index [default: all of them]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub platform: Option<Platform>,
    /// How the result is written to stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    #[command(flatten)]
    pub needs: Needs,
    #[command(flatten)]
    pub network: Network,
    #[command(flatten)]
    pub common: Common,
}

/// Prints the chain of reasons.
pub fn run(args: &Args, variables: &Variables, output: &Output) -> Result<(), Failure> {
    let plans = if what::is_program(&args.what) { of_program(args, variables)? } else { of_image(args, variables)? };
    if !args.path.starts_with('/') {
        return Err(
            Failure::input(format!("`{}` is no absolute path of an image", args.path)).hint(meant(&plans, &args.path))
        );
    }
    let chains: Vec<(&PlanView, Vec<&EntryView>)> =
        plans.iter().filter_map(|plan| Some((plan, plan::why(plan, &args.path)?))).collect();
    if chains.is_empty() {
        let failure = Failure::input(format!("`{}` is not in the image", args.path));
        return Err(failure.hint(
            "`coracle plan` lists the paths of a program's image, `coracle inspect --files` those of an image; \
             what is not included, and why, `coracle inspect` says of a program",
        ));
    }
    match args.format {
        Format::Text => {
            let several = plans.len() > 1;
            let texts: Vec<String> = chains.iter().map(|(plan, chain)| text(plan, chain, several)).collect();
            output.data(&texts.join("\n"))
        }
        Format::Json => {
            let one =
                |(plan, chain): &(&PlanView, Vec<&EntryView>)| json!({ "platform": plan.platform, "chain": chain });
            output.json(&chains.iter().map(one).collect())
        }
    }
}

/// The paths that someone may have meant who gave a name, or left out the first slash.
fn meant(plans: &[PlanView], text: &str) -> String {
    let entries = plans.iter().flat_map(|plan| &plan.layers).flat_map(|layer| &layer.entries);
    let ends = |entry: &&EntryView| entry.path.strip_suffix(text).is_some_and(|before| before.ends_with('/'));
    let paths: BTreeSet<&str> = entries.filter(ends).map(|entry| entry.path.as_str()).collect();
    match paths.iter().take(SHOWN).map(|path| format!("`{path}`")).collect::<Vec<_>>() {
        paths if paths.is_empty() => "paths begin with `/`; `coracle plan` lists those of a program's image".to_owned(),
        paths => format!("write {}", paths.join(" or ")),
    }
}

fn of_program(args: &Args, variables: &Variables) -> Result<Vec<PlanView>, Failure> {
    let mut asked = request::program(Path::new(&args.what), &args.needs)?;
    request::open_roots(&mut asked, &args.needs, &args.network, &args.common, variables)?;
    let planned = pipeline::plan(&asked).map_err(|error| lookup::of_program(&error, &asked, &args.needs))?;
    let views = planned.plans.iter().map(PlanView::of).collect::<Result<_, _>>();
    views.map_err(|error| blame::of_plan(&error))
}

fn of_image(args: &Args, variables: &Variables) -> Result<Vec<PlanView>, Failure> {
    let location = place::source(&args.what)?;
    let environment = variables.pipeline_environment(None, Some(&args.network), &args.common)?;
    work::run(&args.common, variables, async |observer| {
        let found = pipeline::plans_of(&location, args.platform.as_ref(), &environment, &observer).await;
        found.map_err(|error| blame::of_pipeline(&error))
    })
}

fn text(plan: &PlanView, chain: &[&EntryView], with_platform: bool) -> String {
    let mut out = if with_platform { format!("{}\n", plan.platform) } else { String::new() };
    for entry in chain {
        // Writing to a string cannot fail.
        let _ = match &entry.target {
            Some(target) => writeln!(out, "{} -> {target}", entry.path),
            None => writeln!(out, "{}", entry.path),
        };
        let (confidence, rule, by) = (&entry.confidence, printable(&entry.rule), printable(&entry.needed_by));
        let _ = writeln!(out, "  {confidence} by {rule}, for {by}");
        for evidence in &entry.evidence {
            let _ = writeln!(out, "    {}: {}", printable(&evidence.source), printable(&evidence.value));
        }
        if let Some(package) = &entry.package {
            let _ = writeln!(out, "    package: {}", printable(&format!("{} {}", package.name, package.version)));
        }
    }
    out
}
