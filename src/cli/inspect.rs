//! `coracle inspect`.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::args::{Common, Format, Network};
use super::failure::Failure;
use super::output::Output;
use super::progress::human_bytes;
use super::settings::Variables;
use super::{blame, place, what, work};
use crate::analyze::Analysis;
use crate::diag::{escape, printable};
use crate::oci::Platform;
use crate::pipeline::{self, Seen, SeenImage, SeenPath, programs};

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

/// Shows a program or an image.
pub fn run(args: &Args, variables: &Variables, output: &Output) -> Result<(), Failure> {
    if what::is_path(&args.what) {
        return program(Path::new(&args.what), args.format, output);
    }
    let location = place::source(&args.what)?;
    let environment = variables.pipeline_environment(None, Some(&args.network), &args.common)?;
    let (text, json) = work::run(&args.common, variables, async |observer| {
        let seen = pipeline::look(&location, args.platform.as_ref(), &environment, &observer).await;
        let seen = seen.map_err(|error| blame::of_pipeline(&error))?;
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
            images.push(image_json(image, args.files.then_some(&layers)));
        }
        let json = json!({
            "location": seen.store.location(),
            "digest": seen.root.digest(),
            "mediaType": seen.root.media_type(),
            "images": images,
        });
        Ok((texts.join("\n"), json))
    })?;
    match args.format {
        Format::Text => output.data(&text),
        Format::Json => output.json(&json),
    }
}

fn program(path: &Path, format: Format, output: &Output) -> Result<(), Failure> {
    let analysis = programs::analyze(path).map_err(|error| match error {
        pipeline::Error::Directory(_) => Failure::input(format!("`{}` is a directory", path.display()))
            .hint(format!("name a program in it, or `oci:{}` if it is an OCI layout", path.display())),
        other => blame::of_pipeline(&other),
    })?;
    match format {
        Format::Text => output.data(&program_text(&analysis))?,
        Format::Json => {
            let value = serde_json::to_value(&analysis)
                .map_err(|error| Failure::environment("cannot write JSON").caused_by(error.to_string()))?;
            output.json(&value)?;
        }
    }
    output.findings(&analysis.diagnostics);
    Ok(())
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

fn program_text(analysis: &Analysis) -> String {
    let mut table = Table::default();
    table.row("file", &analysis.name);
    table.row("size", human_bytes(analysis.size));
    let Some(facts) = &analysis.facts else {
        table.row("kind", &analysis.file_kind);
        return table.0;
    };
    table.row("kind", format!("{} {} {} ELF, {}", facts.class, facts.endian, facts.machine, facts.linkage));
    table.some("platform", analysis.platform.as_ref());
    table.some("interpreter", facts.interpreter.as_ref());
    for needed in facts.needed() {
        table.row("needs", needed);
    }
    let toolchain = &facts.toolchain;
    if let Some(language) = toolchain.language {
        table.row("language", format!("{language:?} {}", toolchain.version.as_deref().unwrap_or_default()).trim_end());
    }
    table.some("libc", toolchain.libc.map(|libc| format!("{libc:?}").to_lowercase()));
    if let Some(go) = &toolchain.go {
        table.some("go main", go.path.as_ref());
        table.row("go modules", go.dependencies.len());
    }
    table.some("build id", facts.notes.build_id.as_ref());
    table.row("symbols", if facts.stripped { "stripped" } else { "present" });
    table.row("debug data", if facts.debug_data { "present" } else { "none" });
    let hardening = &facts.hardening;
    let nx = match hardening.nx {
        Some(true) => "no-execute stack",
        Some(false) => "executable stack",
        None => "stack by the kernel's default",
    };
    let pie = if hardening.pie { "position-independent" } else { "fixed address" };
    table.row("hardening", format!("{pie}, {:?} relro, {nx}", hardening.relro).to_lowercase());
    table.0
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

fn image_json(image: &SeenImage, layers: Option<&Vec<Vec<SeenPath>>>) -> Value {
    let parse = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or(Value::Null);
    let path = |path: &SeenPath| {
        json!({
            "path": escape(&path.entry.path),
            "kind": pipeline::kind(path.entry.kind),
            "mode": format!("{:04o}", path.entry.mode),
            "uid": path.entry.uid,
            "gid": path.entry.gid,
            "size": path.entry.size,
            "mtime": path.entry.mtime,
            "digest": path.digest,
            "target": (!path.entry.link.is_empty()).then(|| escape(&path.entry.link)),
        })
    };
    let mut value = json!({
        "platform": image.config.as_ref().map(|config| config.platform.to_string()),
        "digest": image.raw.digest(),
        "manifest": parse(image.raw.bytes()),
        "config": parse(&image.config_bytes),
    });
    if let Some(layers) = layers {
        value["layers"] = layers.iter().map(|paths| paths.iter().map(path).collect::<Value>()).collect();
    }
    value
}
