//! Turns what the argument parser found into a [`Failure`]: which flag, what is wrong with it, what would be right.

use std::ffi::OsString;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::parse::FromVariable;
use super::{Cli, Failure};

/// The failure of a command line that does not parse. `variables` are flags whose values came from the environment.
pub fn failure(error: &clap::Error, argv: &[OsString], variables: &[FromVariable]) -> Failure {
    let argument = text(error, ContextKind::InvalidArg).map(|a| flag_name(&a));
    let mut failure = match error.kind() {
        ErrorKind::InvalidValue => invalid_value(error, argument.as_deref()),
        ErrorKind::ValueValidation => validation(error, argument.as_deref()),
        ErrorKind::UnknownArgument => unknown_argument(error, argument.as_deref()),
        ErrorKind::InvalidSubcommand => unknown_verb(error),
        ErrorKind::MissingRequiredArgument => {
            let missing = text(error, ContextKind::InvalidArg).unwrap_or_default();
            Failure::input(format!("`{missing}` is missing"))
        }
        ErrorKind::ArgumentConflict => {
            let prior = text(error, ContextKind::PriorArg).map(|a| flag_name(&a)).unwrap_or_default();
            let argument = argument.clone().unwrap_or_default();
            if prior == argument || prior.is_empty() {
                Failure::input(format!("`{argument}` is given more than once"))
            } else {
                Failure::input(format!("`{argument}` and `{prior}` exclude each other"))
            }
        }
        _ => Failure::input(first_line(error)),
    };
    let from = argument.and_then(|argument| variables.iter().find(|from| from.flag == argument));
    if let Some(FromVariable { flag, variable }) = from {
        failure = failure.caused_by(format!("`{flag}` has its value from the variable `{variable}`"));
    }
    if failure.has_hint() { failure } else { failure.hint(help_hint(argv)) }
}

fn invalid_value(error: &clap::Error, argument: Option<&str>) -> Failure {
    let argument = argument.unwrap_or("the argument");
    let value = text(error, ContextKind::InvalidValue).unwrap_or_default();
    if value.is_empty() {
        return Failure::input(format!("`{argument}` needs a value"));
    }
    let allowed = list(error, ContextKind::ValidValue);
    let failure = Failure::input(format!("`{value}` is not a value of `{argument}`"));
    match (text(error, ContextKind::SuggestedValue), allowed.is_empty()) {
        (Some(near), _) => failure.hint(format!("did you mean `{near}`? allowed are {}", quoted(&allowed))),
        (None, false) => failure.hint(format!("allowed are {}", quoted(&allowed))),
        (None, true) => failure,
    }
}

fn validation(error: &clap::Error, argument: Option<&str>) -> Failure {
    let argument = argument.unwrap_or("the argument");
    let value = text(error, ContextKind::InvalidValue).unwrap_or_default();
    let failure = Failure::input(format!("`{argument}` cannot be `{value}`"));
    match std::error::Error::source(error) {
        Some(source) => failure.caused_by(source.to_string()),
        None => failure,
    }
}

fn unknown_argument(error: &clap::Error, argument: Option<&str>) -> Failure {
    let argument = argument.unwrap_or("the argument");
    let failure = if argument.starts_with('-') {
        Failure::input(format!("there is no flag `{argument}`"))
    } else {
        Failure::input(format!("`{argument}` is one argument too many"))
    };
    match text(error, ContextKind::SuggestedArg) {
        Some(near) => failure.hint(format!("did you mean `{}`?", flag_name(&near))),
        None => failure,
    }
}

fn unknown_verb(error: &clap::Error) -> Failure {
    let verb = text(error, ContextKind::InvalidSubcommand).unwrap_or_default();
    let failure = Failure::input(format!("there is no verb `{verb}`"));
    match list(error, ContextKind::SuggestedSubcommand).first() {
        Some(near) => failure.hint(format!("did you mean `coracle {near}`?")),
        None => {
            let verbs: Vec<String> = Cli::command().get_subcommands().map(|c| c.get_name().to_owned()).collect();
            failure.hint(format!("verbs are {}", quoted(&verbs)))
        }
    }
}

/// `--tag <REF>...` as clap shows it, without the value's name.
fn flag_name(shown: &str) -> String {
    shown.split([' ', '=']).next().unwrap_or(shown).to_owned()
}

fn quoted(words: &[String]) -> String {
    words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ")
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => texts.first().cloned(),
        _ => None,
    }
}

fn list(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::Strings(texts)) => texts.clone(),
        Some(ContextValue::String(text)) => vec![text.clone()],
        _ => Vec::new(),
    }
}

fn first_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// The verb's own help is the next step when nothing better is known.
fn help_hint(argv: &[OsString]) -> String {
    let root = Cli::command();
    match argv.iter().skip(1).find_map(|word| root.find_subcommand(word)) {
        Some(verb) => format!("see `coracle {} --help`", verb.get_name()),
        None => "see `coracle --help`".to_owned(),
    }
}
