//! From words and variables to a parsed command line.

use std::ffi::{OsStr, OsString};

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, CommandFactory, FromArgMatches};

use super::failure::Failure;
use super::settings::Variables;
use super::{Cli, usage};

/// Why a command line gives no work to do.
#[derive(Debug)]
pub enum NoWork {
    /// Help or the version was asked for.
    Asked(String),
    /// There is no verb; the text is the help.
    NoVerb(String),
    /// It means nothing.
    Wrong(Failure),
}

/// Parses a command line, with `CORACLE_*` variables in the place of flags that are not given.
///
/// # Errors
/// [`NoWork`].
pub fn parse(argv: &[OsString], variables: &Variables) -> Result<Cli, NoWork> {
    let matches = Cli::command().try_get_matches_from(argv).map_err(|error| no_work(&error, argv, &[]))?;
    let (words, used) = with_variables(argv, &matches, variables).map_err(NoWork::Wrong)?;
    let parsed = Cli::command().try_get_matches_from(words).and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.map_err(|error| no_work(&error, argv, &used))
}

fn no_work(error: &clap::Error, argv: &[OsString], variables: &[FromVariable]) -> NoWork {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => NoWork::Asked(error.render().to_string()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => NoWork::NoVerb(error.render().to_string()),
        _ => NoWork::Wrong(usage::failure(error, argv, variables)),
    }
}

/// A flag that has its value from a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FromVariable {
    /// With its dashes.
    pub flag: String,
    /// The variable's name.
    pub variable: String,
}

/// The name of the variable that stands in for a flag.
pub fn variable_of(flag: &str) -> String {
    format!("CORACLE_{}", flag.to_ascii_uppercase().replace('-', "_"))
}

/// The command line with flags from variables put behind the verb, and which flags those are.
fn with_variables(
    argv: &[OsString],
    matches: &ArgMatches,
    variables: &Variables,
) -> Result<(Vec<OsString>, Vec<FromVariable>), Failure> {
    let root = Cli::command();
    let Some((verb, given)) = matches.subcommand() else { return Ok((argv.to_vec(), Vec::new())) };
    let (Some(command), Some(at)) = (root.find_subcommand(verb), argv.iter().position(|word| word == verb)) else {
        return Ok((argv.to_vec(), Vec::new()));
    };
    let typed = |id: &clap::Id| given.value_source(id.as_str()) == Some(clap::parser::ValueSource::CommandLine);
    let mut words = argv[..=at].to_vec();
    let mut used = Vec::new();
    for argument in command.get_arguments() {
        let Some(flag) = argument.get_long() else { continue };
        let variable = variable_of(flag);
        let Some(value) = variables.get(&variable) else { continue };
        let excludes = |one: &Arg, other: &Arg| command.get_arg_conflicts_with(one).contains(&other);
        let overruled = command
            .get_arguments()
            .any(|other| typed(other.get_id()) && (excludes(argument, other) || excludes(other, argument)));
        if typed(argument.get_id()) || overruled {
            continue;
        }
        let mut push = |value: &OsStr| {
            let mut word = OsString::from(format!("--{flag}="));
            word.push(value);
            words.push(word);
        };
        match (argument.get_action(), value.to_str()) {
            (ArgAction::SetTrue, Some("1" | "true" | "yes" | "on")) => words.push(format!("--{flag}").into()),
            (ArgAction::SetTrue, Some("0" | "false" | "no" | "off")) => continue,
            (ArgAction::SetTrue, _) => {
                let failure = Failure::input(format!("`{variable}` cannot be `{}`", value.display()));
                return Err(failure.hint("allowed are `true` and `false`"));
            }
            (ArgAction::Append, Some(text)) => {
                text.lines().map(str::trim).filter(|line| !line.is_empty()).for_each(|line| push(line.as_ref()));
            }
            _ => push(value),
        }
        used.push(FromVariable { flag: format!("--{flag}"), variable });
    }
    words.extend_from_slice(&argv[at + 1..]);
    Ok((words, used))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Command;

    fn parse_with(argv: &[&str], variables: &[(&str, &str)]) -> Result<Cli, NoWork> {
        let variables = Variables::of(variables);
        let argv: Vec<OsString> = argv.iter().map(OsString::from).collect();
        parse(&argv, &variables)
    }

    fn wrong(argv: &[&str], variables: &[(&str, &str)]) -> Failure {
        match parse_with(argv, variables).unwrap_err() {
            NoWork::Wrong(failure) => failure,
            other => panic!("{other:?}"),
        }
    }

    fn build(argv: &[&str], variables: &[(&str, &str)]) -> super::super::build::Args {
        match parse_with(argv, variables).unwrap().command {
            Command::Build(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_variable_stands_in_for_a_flag_and_a_flag_wins() {
        let variables =
            [("CORACLE_TAG", "r.example/a:1\nr.example/a:2"), ("CORACLE_PUSH", "true"), ("CORACLE_NAME", "")];
        let args = build(&["coracle", "build", "./x"], &variables);
        assert_eq!(args.names.tag.len(), 2);
        assert!(args.push);
        assert_eq!(args.image.name, None);
        let args = build(&["coracle", "build", "./x", "-t", "r.example/b:1"], &variables);
        assert_eq!(args.names.tag[0].to_string(), "r.example/b:1");
        assert_eq!(args.names.tag.len(), 1);
    }

    #[test]
    fn a_flag_overrules_the_variable_it_excludes() {
        let args = build(&["coracle", "build", "./x", "--no-cache"], &[("CORACLE_CACHE_DIR", "/c")]);
        assert!(args.cache.no_cache && args.cache.cache_dir.is_none());
    }

    #[test]
    fn a_wrong_variable_is_named() {
        let failure = wrong(&["coracle", "build", "./x"], &[("CORACLE_COMPRESSION", "gzp")]);
        assert_eq!(
            failure.to_string(),
            "error: `gzp` is not a value of `--compression`\n\
             caused by: `--compression` has its value from the variable `CORACLE_COMPRESSION`\n\n\
             hint: did you mean `gzip`? allowed are `gzip`, `zstd`, `none`"
        );
        let failure = wrong(&["coracle", "build", "./x"], &[("CORACLE_PUSH", "maybe")]);
        assert_eq!(
            failure.to_string(),
            "error: `CORACLE_PUSH` cannot be `maybe`\n\nhint: allowed are `true` and `false`"
        );
    }
}
