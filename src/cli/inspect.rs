//! `coracle inspect`.

use std::fmt::Write as _;
use std::path::Path;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::args::{Common, Needs, Network};
use super::failure::Failure;
use super::output::Output;
use super::progress::human_bytes;
use super::settings::Variables;
use super::{blame, lookup, place, request, screen, what, work};
use crate::diag::{Severity, escape, printable};
use crate::oci::Platform;
use crate::pipeline::inspect::{
    Graph, ImageReport, Inspected, Inspection, LayerReport, OneImageReport, PathReport, ProgramReport,
};
use crate::pipeline::{self, Seen, SeenImage, SeenPath};

/// The code of the finding that lists the flags for needs which are not included.
const OFFERED: &str = "N009";

/// How what was seen is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document, described by docs/inspect.schema.json.
    Json,
    /// The graph of a program's objects and needs, for mermaid.
    Mermaid,
    /// The same for graphviz.
    Dot,
}

/// Arguments of `coracle inspect`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    coracle inspect ./hello\n  \
    coracle inspect root:/usr/bin/curl --root ./debian --all\n  \
    coracle inspect ./hello --strict   # exit code 1 when a required need cannot be met\n  \
    coracle inspect ./hello --format dot | dot -Tsvg > hello.svg\n  \
    coracle inspect oci:coracle-out/hello --files\n  \
    coracle inspect ghcr.io/acme/hello:v1 --format json")]
pub struct Args {
    /// A program, `root:PATH` for one that lies in the root, or an image
    #[arg(value_name = "WHAT")]
    pub what: String,
    /// List every path of an image's layers
    #[arg(long)]
    pub files: bool,
    /// Show every need of a program in full: all libraries, and what a string alone hints at
    #[arg(long)]
    pub all: bool,
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

/// Shows a program or an image.
pub fn run(args: &Args, variables: &Variables, output: &Output) -> Result<(), Failure> {
    if what::is_program(&args.what) {
        return program(args, variables, output);
    }
    let location = place::source(&args.what)?;
    if matches!(args.format, Format::Mermaid | Format::Dot) {
        let failure = Failure::input(format!("`{}` is an image, which has no graph of needs", args.what));
        return Err(failure.hint("name the program that it is made of, or write `--format json`"));
    }
    let environment = variables.pipeline_environment(None, Some(&args.network), &args.common)?;
    let (text, report) = work::run(&args.common, variables, async |observer| {
        let seen = pipeline::look(&location, args.platform.as_ref(), &environment, &observer).await;
        let seen = seen.map_err(|error| {
            let failure = blame::of_pipeline(&error);
            match lookup::of_word(&args.what, &args.needs) {
                Some(program) => failure.hint(format!("if the program is meant: `coracle inspect {program}`")),
                None => failure,
            }
        })?;
        let mut texts = vec![head(&seen)];
        let mut images = Vec::new();
        for image in &seen.images {
            let mut layers = Vec::new();
            if args.files {
                for layer in &image.manifest.layers {
                    let paths = pipeline::paths(&*seen.store, layer, true).await;
                    layers.push(paths.map_err(|error| blame::of_pipeline(&error))?);
                }
            }
            texts.push(image_text(image, &layers));
            images.push(image_report(image, args.files.then_some(&layers)));
        }
        let report = ImageReport {
            location: seen.store.location(),
            digest: seen.root.digest().clone(),
            media_type: seen.root.media_type().to_owned(),
            images,
        };
        Ok((texts.join("\n"), report))
    })?;
    match args.format {
        Format::Json => written(&Inspected::Image(report), output),
        _ => output.data(&text),
    }
}

fn program(args: &Args, variables: &Variables, output: &Output) -> Result<(), Failure> {
    let path = Path::new(&args.what);
    let mut asked = request::program(path, &args.needs)?;
    request::open_roots(&mut asked, &args.needs, &args.network, &args.common, variables)?;
    let found = pipeline::inspect::inspect(&asked).map_err(|error| match error {
        pipeline::Error::Directory(_) => Failure::input(format!("`{}` is a directory", path.display()))
            .hint(format!("name a program in it, or `oci:{}` if it is an OCI layout", path.display())),
        other => lookup::of_program(&other, &asked, &args.needs),
    })?;
    for inspection in &found {
        one_program(args, inspection, output)?;
    }
    let refuses = |inspection: &Inspection| inspection.diagnostics().iter().any(|d| d.severity == Severity::Error);
    if args.needs.strict && found.iter().any(refuses) { Err(Failure::said_no()) } else { Ok(()) }
}

fn one_program(args: &Args, inspection: &Inspection, output: &Output) -> Result<(), Failure> {
    match args.format {
        Format::Text => output.data(&screen::program(inspection, args.all))?,
        Format::Json => written(&Inspected::Program(Box::new(ProgramReport::of(inspection))), output)?,
        Format::Mermaid => output.data(&Graph::of(inspection, args.all).to_mermaid())?,
        Format::Dot => output.data(&Graph::of(inspection, args.all).to_dot())?,
    }
    let mut findings = inspection.diagnostics();
    if args.format == Format::Text {
        // The screen has these flags, each beside its need.
        findings.retain(|finding| finding.code.0 != OFFERED);
    }
    output.findings(&findings);
    Ok(())
}

fn written(report: &Inspected, output: &Output) -> Result<(), Failure> {
    let value = serde_json::to_value(report)
        .map_err(|error| Failure::environment("cannot write JSON").caused_by(error.to_string()))?;
    output.json(&value)
}

/// Lines of `name: value`, the values in a column.
#[derive(Default)]
struct Table(String);

impl Table {
    fn row(&mut self, name: &str, value: impl std::fmt::Display) {
        // What a foreign file says must neither move the cursor of a terminal nor look like another row.
        let value = printable(&value.to_string());
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{name:<14}{value}");
    }

    fn some<T: std::fmt::Display>(&mut self, name: &str, value: Option<T>) {
        if let Some(value) = value {
            self.row(name, value);
        }
    }
}

fn head(seen: &Seen) -> String {
    let mut table = Table::default();
    table.row("image", seen.store.location());
    table.row("digest", seen.root.digest());
    table.row("media type", seen.root.media_type());
    for image in &seen.images {
        table.row("platform", format!("{} {}", image.platform(), image.raw.digest()));
    }
    table.0
}

fn image_text(image: &SeenImage, layers: &[Vec<SeenPath>]) -> String {
    let mut table = Table::default();
    table.row("platform", image.platform());
    table.row("config", &image.manifest.config.digest);
    if let Some(config) = &image.config {
        table.some("created", config.created.as_ref());
        if let Some(run) = &config.config {
            table.some("user", run.user.as_ref());
            table.some("entrypoint", run.entrypoint.as_ref().map(|words| json!(words)));
            table.some("cmd", run.cmd.as_ref().map(|words| json!(words)));
            table.some("workdir", run.working_dir.as_ref());
            run.env.iter().for_each(|variable| table.row("env", variable));
            run.exposed_ports.keys().for_each(|port| table.row("port", port));
            run.volumes.keys().for_each(|volume| table.row("volume", volume));
            run.labels.iter().for_each(|(key, value)| table.row("label", format!("{key}={value}")));
            table.some("stop signal", run.stop_signal.as_ref());
        }
    }
    image.manifest.annotations.iter().for_each(|(key, value)| table.row("annotation", format!("{key}={value}")));
    for (at, layer) in image.manifest.layers.iter().enumerate() {
        let codec = layer.media_type.rsplit('.').next().unwrap_or_default();
        table.row(&format!("layer {at}"), format!("{} {} {codec}", layer.digest, human_bytes(layer.size)));
        for path in layers.get(at).into_iter().flatten() {
            let _ = writeln!(table.0, "  {}", path_text(path));
        }
    }
    table.0
}

/// `0555 0:0 812 /app/hello`, with the target of a link.
fn path_text(path: &SeenPath) -> String {
    let entry = &path.entry;
    let link = if entry.link.is_empty() { String::new() } else { format!(" -> {}", escape(&entry.link)) };
    let kind = pipeline::kind(entry.kind);
    let name = escape(&entry.path);
    format!(
        "{kind} {:04o} {}:{} {} /{}{link}",
        entry.mode,
        entry.uid,
        entry.gid,
        entry.size,
        name.trim_start_matches('/')
    )
}

fn image_report(image: &SeenImage, layers: Option<&Vec<Vec<SeenPath>>>) -> OneImageReport {
    let parse = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or(Value::Null);
    let layer = |paths: &Vec<SeenPath>| LayerReport(paths.iter().map(PathReport::of).collect());
    OneImageReport {
        platform: image.config.as_ref().map(|config| config.platform.to_string()),
        digest: image.raw.digest().clone(),
        manifest: parse(image.raw.bytes()),
        config: parse(&image.config_bytes),
        layers: layers.map(|layers| layers.iter().map(layer).collect()),
    }
}
