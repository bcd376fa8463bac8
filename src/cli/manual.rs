//! The manual: the help of every verb as one Markdown document, kept equal to `docs/cli.md` by a test.

use std::fmt::Write as _;

use clap::CommandFactory;

use super::Cli;

/// Columns of the help texts in the manual.
const COLUMNS: usize = 100;

/// The whole manual in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut root = Cli::command().term_width(COLUMNS);
    root.build();
    let mut out = String::from(
        "# Command line\n\nMade from the program's own help by `CORACLE_BLESS=1 cargo test --test cli_manual`.\n",
    );
    section(&mut out, "coracle", &mut root.clone());
    let names: Vec<String> = root.get_subcommands().map(|c| c.get_name().to_owned()).filter(|n| n != "help").collect();
    for name in names {
        if let Some(command) = root.find_subcommand_mut(&name) {
            let mut command = command.clone().term_width(COLUMNS);
            section(&mut out, &format!("coracle {name}"), &mut command);
        }
    }
    out
}

fn section(out: &mut String, title: &str, command: &mut clap::Command) {
    let help = command.render_long_help().to_string();
    let help: String = help.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    // Writing to a string cannot fail.
    let _ = write!(out, "\n## `{title}`\n\n```text\n{}\n```\n", help.trim_end());
}
