//! What the command line says about command lines that mean nothing, and about itself.

#[path = "support/cli.rs"]
mod cli;

use std::io::Write as _;

use cli::Workbench;

#[test]
fn words_that_mean_nothing() {
    let bench = Workbench::new();
    for (words, stderr) in [
        (&["biuld", "./x"][..], "error: there is no verb `biuld`\n\nhint: did you mean `coracle build`?\n"),
        (
            &["frobnicate"],
            "error: there is no verb `frobnicate`\n\nhint: verbs are `build`, `plan`, `inspect`, `why`, `explain`, \
             `diff`, `push`, `pull`, `copy`, `rebase`, `login`, `logout`, `validate`, `serve`, `completions`\n",
        ),
        (&["build", "./x", "--lable", "a=b"], "error: there is no flag `--lable`\n\nhint: did you mean `--label`?\n"),
        (&["build", "./x", "--xyzzy"], "error: there is no flag `--xyzzy`\n\nhint: see `coracle build --help`\n"),
        (
            &["build", "./x", "--compression", "brotli"],
            "error: `brotli` is not a value of `--compression`\n\nhint: allowed are `gzip`, `zstd`, `none`\n",
        ),
        (
            &["build", "./x", "--format", "jsn"],
            "error: `jsn` is not a value of `--format`\n\nhint: did you mean `json`? allowed are `text`, `json`, `docker`\n",
        ),
        (&["build", "./x", "--tag"], "error: `--tag` needs a value\n\nhint: see `coracle build --help`\n"),
        (
            &["build", "./x", "--tag", "ghcr.io/"],
            "error: `--tag` cannot be `ghcr.io/`\ncaused by: `ghcr.io/` is not an image reference: the repository is \
             missing after the registry host\n\nhint: see `coracle build --help`\n",
        ),
        (
            &["build", "./x", "--platform", "linux"],
            "error: `--platform` cannot be `linux`\ncaused by: `linux` is not a platform: expected `os/arch` or \
             `os/arch/variant`\n\nhint: see `coracle build --help`\n",
        ),
        (
            &["build", "./x", "--tags", "v1"],
            "error: `--repo <REPOSITORY>` is missing\n\nhint: see `coracle build --help`\n",
        ),
        (
            &["build", "./x", "--no-cache", "--cache-dir", "c"],
            "error: `--no-cache` and `--cache-dir` exclude each other\n\nhint: see `coracle build --help`\n",
        ),
        (&["push", "oci:x"], "error: `<REF>...` is missing\n\nhint: see `coracle push --help`\n"),
        (&["pull", "a", "oci:b", "c"], "error: `c` is one argument too many\n\nhint: see `coracle pull --help`\n"),
        (
            &["completions", "nu"],
            "error: `nu` is not a value of `<SHELL>`\n\nhint: allowed are `bash`, `elvish`, `fish`, `powershell`, `zsh`\n",
        ),
    ] {
        bench.run(words).fails(1, stderr);
    }
}

#[test]
fn annotations_for_github_actions_are_escaped() {
    let bench = Workbench::new().env("GITHUB_ACTIONS", "true");
    bench.run(["build", "./x", "--format", "50%\nx"]).fails(
        1,
        "error: `50%\\nx` is not a value of `--format`\n\nhint: allowed are `text`, `json`, `docker`\n\
         ::error title=coracle::`50%25\\nx` is not a value of `--format`\n",
    );
}

#[test]
fn help_is_data() {
    let bench = Workbench::new();
    for words in [&["--help"][..], &["build", "--help"], &["help", "serve"]] {
        let run = bench.run(words);
        assert_eq!((run.code(), run.stderr()), (Some(0), ""));
        assert!(run.stdout().contains("Examples:\n  coracle "), "{}", run.stdout());
    }
    assert_eq!(bench.run(["--version"]).succeeds(), format!("coracle {}\n", env!("CARGO_PKG_VERSION")));
    let run = bench.run::<&str>([]);
    assert_eq!((run.code(), run.stdout()), (Some(1), ""));
    assert!(run.stderr().contains("Usage: coracle <COMMAND>"), "{}", run.stderr());
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    use std::process::Stdio;
    let bench = Workbench::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = bench.command(["completions", "bash"]).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(0), String::new()));
}

#[test]
fn completion_scripts_parse() {
    let bench = Workbench::new();
    for (shell, check) in [
        ("bash", &["bash", "-n"][..]),
        ("zsh", &["zsh", "-n"]),
        ("fish", &["fish", "--no-execute"]),
        ("elvish", &["elvish", "-compileonly"]),
        ("powershell", &["pwsh", "-NoProfile", "-File"]),
    ] {
        let script = bench.file(format!("{shell}.script"), bench.run(["completions", shell]).succeeds());
        match std::process::Command::new(check[0]).args(&check[1..]).arg(&script).output() {
            Ok(output) => assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr)),
            Err(_) => writeln!(std::io::stdout(), "skipped: peer {} absent", check[0]).unwrap(),
        }
    }
}

#[test]
fn bash_completes_verbs_and_flags() {
    let bench = Workbench::new();
    let script = bench.file("coracle.bash", bench.run(["completions", "bash"]).succeeds());
    let complete = |line: &str, word: &str, previous: &str, index: usize| {
        let driver = format!(
            "source '{}'; COMP_WORDS=({line}); COMP_CWORD={index}; _coracle coracle '{word}' '{previous}'; \
             echo \"${{COMPREPLY[@]}}\"",
            script.display()
        );
        let output = std::process::Command::new("bash").args(["--norc", "-c", &driver]).output();
        output.map(|output| String::from_utf8(output.stdout).unwrap())
    };
    let Ok(verbs) = complete("coracle bu", "bu", "coracle", 1) else {
        writeln!(std::io::stdout(), "skipped: peer bash absent").unwrap();
        return;
    };
    assert_eq!(verbs, "build\n");
    assert_eq!(complete("coracle build --compr", "--compr", "build", 2).unwrap(), "--compression\n");
}

#[test]
fn colours_on_a_terminal_only() {
    let bench = Workbench::new();
    // `script` gives the program a terminal.
    let on_terminal = |variables: &[(&str, &str)]| {
        let mut command = std::process::Command::new("script");
        command.args(["-qec", concat!(env!("CARGO_BIN_EXE_coracle"), " build ./absent"), "/dev/null"]);
        command.current_dir(bench.path()).env_clear().env("TERM", "xterm").env("PATH", "/usr/bin:/bin");
        command.envs(variables.iter().copied()).stdin(std::process::Stdio::null());
        command.output().map(|output| String::from_utf8(output.stdout).unwrap())
    };
    let Ok(shown) = on_terminal(&[]) else {
        writeln!(std::io::stdout(), "skipped: peer script absent").unwrap();
        return;
    };
    assert!(shown.starts_with("\u{1b}[1;31merror:\u{1b}[0m cannot read `./absent`"), "{shown:?}");
    for variables in [[("NO_COLOR", "1")], [("TERM", "dumb")]] {
        let shown = on_terminal(&variables).unwrap();
        assert!(shown.starts_with("error: cannot read `./absent`"), "{shown:?}");
    }
    let run = bench.run(["build", "./absent"]);
    assert!(run.stderr().starts_with("error: cannot read `./absent`"), "{}", run.stderr());
}
