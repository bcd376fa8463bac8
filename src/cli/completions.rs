//! `coracle completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use super::output::Output;
use super::{Cli, Failure};

/// Arguments of `coracle completions`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  coracle completions bash > ~/.local/share/bash-completion/completions/coracle\n  \
                  coracle completions zsh > ~/.zfunc/_coracle\n  \
                  coracle completions fish > ~/.config/fish/completions/coracle.fish"
)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Prints the script.
pub fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "coracle", &mut script);
    output.data(&String::from_utf8_lossy(&script))
}
