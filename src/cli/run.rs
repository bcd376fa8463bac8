//! From words to an exit code.

use std::ffi::OsString;
use std::process::ExitCode;

use super::failure::{Blame, Failure};
use super::output::Output;
use super::parse::{NoWork, parse};
use super::settings::Variables;
use super::{
    Cli, Command, build, completions, copy, diff, explain, inspect, login, plan, pull, push, rebase, serve, validate,
    why,
};

/// Runs the program on a command line, its first word being the program's own name, and gives the exit code.
pub fn run(argv: impl IntoIterator<Item = OsString>) -> ExitCode {
    let argv: Vec<OsString> = argv.into_iter().collect();
    let variables = Variables::capture();
    let output = Output::new(variables.terminal(), false);
    let result = match parse(&argv, &variables) {
        Ok(cli) => dispatch(&cli, &variables),
        Err(NoWork::Asked(help)) => output.data(&help),
        Err(NoWork::NoVerb(help)) => {
            output.say(help.trim_end());
            return ExitCode::from(Blame::Input.code());
        }
        Err(NoWork::Wrong(failure)) => Err(failure),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.blame().code())
        }
    }
}

fn dispatch(cli: &Cli, variables: &Variables) -> Result<(), Failure> {
    let quietly = |quiet| Output::new(variables.terminal(), quiet);
    match &cli.command {
        Command::Build(args) => build::run(args, variables, &quietly(args.common.quiet)),
        Command::Plan(args) => plan::run(args, variables, &quietly(args.quiet)),
        Command::Completions(args) => completions::run(args, &quietly(false)),
        Command::Inspect(args) => inspect::run(args, variables, &quietly(args.common.quiet)),
        Command::Why(args) => why::run(args, variables, &quietly(args.common.quiet)),
        Command::Explain(args) => explain::run(args, variables, &quietly(args.common.quiet)),
        Command::Copy(args) => copy::run(args, variables, &quietly(args.common.quiet)),
        Command::Diff(args) => diff::run(args, variables, &quietly(args.common.quiet)),
        Command::Login(args) => login::login(args, variables, &quietly(args.common.quiet)),
        Command::Logout(args) => login::logout(args, variables, &quietly(args.quiet)),
        Command::Push(args) => push::run(args, variables, &quietly(args.common.quiet)),
        Command::Pull(args) => pull::run(args, variables, &quietly(args.common.quiet)),
        Command::Rebase(args) => rebase::run(args, variables, &quietly(args.common.quiet)),
        Command::Serve(args) => serve::run(args, variables, &quietly(args.quiet)),
        Command::Validate(args) => validate::run(args, variables, &quietly(args.common.quiet)),
    }
}
