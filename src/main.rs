//! The thin binary: everything is in the library.

fn main() -> std::process::ExitCode {
    coracle::cli::run(std::env::args_os())
}
