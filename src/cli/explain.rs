//! `coracle explain`.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::args::{Common, Format, Needs, Network};
use super::failure::Failure;
use super::output::Output;
use super::settings::Variables;
use super::{lookup, request};
use crate::diag::printable;
use crate::pipeline::{self, Explanation, SearchReport};

/// Arguments of `coracle explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    coracle explain ./hello libssl.so.3\n  \
    coracle explain root:/usr/bin/curl libcurl.so.4 --root ./debian\n  \
    coracle explain ./hello libplugin.so --format json")]
pub struct Args {
    /// A program, or `root:PATH` for one that lies in the root
    #[arg(value_name = "PROGRAM")]
    pub program: PathBuf,
    /// A library: a name that is asked for, a SONAME, a file name, or a path
    #[arg(value_name = "LIBRARY")]
    pub library: std::ffi::OsString,
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

/// Prints every search; says no when nothing is found.
pub fn run(args: &Args, variables: &Variables, output: &Output) -> Result<(), Failure> {
    let mut asked = request::program(&args.program, &args.needs)?;
    request::open_roots(&mut asked, &args.needs, &args.network, &args.common, variables)?;
    let explained = pipeline::explain(&asked, args.library.as_bytes());
    let explanation = explained.map_err(|error| lookup::of_program(&error, &asked, &args.needs))?;
    match args.format {
        Format::Text => output.data(&text(&explanation))?,
        Format::Json => {
            let value = serde_json::to_value(&explanation)
                .map_err(|error| Failure::environment("cannot write JSON").caused_by(error.to_string()))?;
            output.json(&value)?;
        }
    }
    if explanation.found.is_some() { Ok(()) } else { Err(Failure::said_no()) }
}

fn text(explanation: &Explanation) -> String {
    let found = explanation.found.as_deref().map_or_else(|| "not found".to_owned(), |path| format!("found at {path}"));
    let mut out = format!("{}: {}\n", printable(&explanation.library), printable(&found));
    if !explanation.needed {
        let program = printable(&explanation.program);
        // Writing to a string cannot fail.
        let _ = writeln!(out, "nothing asks for it when {program} starts; this is a dlopen by the program:");
    }
    for search in &explanation.searches {
        one(search, &mut out);
    }
    out
}

fn one(search: &SearchReport, out: &mut String) {
    let _ = writeln!(out, "\n{} asks for {}", printable(&search.by), printable(&search.name));
    let mut lines: Vec<(String, String, String)> = Vec::new();
    for step in &search.steps {
        if step.attempts.is_empty() {
            lines.push((step.rule.clone(), String::new(), "gives nothing".to_owned()));
        }
        for (at, attempt) in step.attempts.iter().enumerate() {
            let rule = if at == 0 { step.rule.clone() } else { String::new() };
            lines.push((rule, attempt.path.clone(), attempt.verdict.clone()));
        }
    }
    let widest = |text: fn(&(String, String, String)) -> &String| {
        lines.iter().map(|line| text(line).chars().count()).max().unwrap_or(0)
    };
    let (rules, paths) = (widest(|line| &line.0), widest(|line| &line.1));
    for (rule, path, verdict) in &lines {
        let _ = writeln!(out, "  {}", printable(&format!("{rule:<rules$}  {path:<paths$}  {verdict}")));
    }
    let path = search.path.as_deref().unwrap_or_default();
    let end = match search.answer {
        "known" => format!("loaded already under that name: {path}"),
        "same-file" => format!("the same file is loaded already: {path}"),
        "missing" => "missing".to_owned(),
        _ => format!("loaded: {path}"),
    };
    let _ = writeln!(out, "  = {}", printable(&end));
    if search.undecidable {
        let _ = writeln!(out, "  a search path depends on the processor, which may find it elsewhere first");
    }
}
