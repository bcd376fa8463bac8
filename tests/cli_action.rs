//! `action.yml`: the scripts of its steps run as GitHub runs them, against the embedded registry.

#[path = "support/cli.rs"]
mod cli;
#[path = "support/elf.rs"]
mod elf;

use std::path::Path;
use std::process::{Command, Output};

use cli::Workbench;
use elf::{ElfMaker, Machine};
use serde_json::Value;

fn action() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("action.yml");
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The step with this name.
fn step(name: &str) -> Value {
    let steps = action()["runs"]["steps"].clone();
    steps.as_array().unwrap().iter().find(|step| step["name"] == name).unwrap().clone()
}

/// Runs a step's script with the inputs given; all others have their defaults.
fn run(bench: &Workbench, name: &str, inputs: &[(&str, &str)]) -> Output {
    let (step, action) = (step(name), action());
    let mut command = Command::new("bash");
    command.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"].as_str().unwrap()]);
    command.current_dir(bench.path()).env_clear().env("HOME", bench.path());
    let program = Path::new(env!("CARGO_BIN_EXE_coracle")).parent().unwrap();
    command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", program.display()));
    command.env("RUNNER_TEMP", bench.path()).env("GITHUB_OUTPUT", bench.join("output")).env("GITHUB_ACTIONS", "true");
    for (variable, value) in step["env"].as_object().unwrap() {
        let name = value.as_str().unwrap().trim_start_matches("${{ inputs.").trim_end_matches(" }}");
        let given = inputs.iter().find(|(input, _)| *input == name).map(|(_, value)| *value);
        let value = given.or_else(|| action["inputs"][name]["default"].as_str()).unwrap_or_default();
        command.env(variable, value);
    }
    command.output().unwrap()
}

/// The outputs that a step wrote, as GitHub reads them.
fn outputs(bench: &Workbench) -> std::collections::BTreeMap<String, String> {
    let text = std::fs::read_to_string(bench.join("output")).unwrap();
    let mut lines = text.lines();
    let mut outputs = std::collections::BTreeMap::new();
    while let Some(line) = lines.next() {
        match line.split_once("<<") {
            Some((name, mark)) => {
                let value: Vec<&str> = lines.by_ref().take_while(|line| *line != mark).collect();
                outputs.insert(name.to_owned(), value.join("\n"));
            }
            None => {
                let (name, value) = line.split_once('=').unwrap();
                outputs.insert(name.to_owned(), value.to_owned());
            }
        }
    }
    outputs
}

fn bench() -> Workbench {
    let bench = Workbench::new();
    bench.file("dist/hello world", ElfMaker::new(Machine::Amd64).payload(b"a program").build());
    bench.file("dist/hello-arm64", ElfMaker::new(Machine::Arm64).payload(b"a program").build());
    bench
}

#[test]
fn it_builds_and_pushes() {
    let bench = bench();
    let served = bench.serve::<&str>([]);
    let tags = format!("{0}/acme/hello:v1\n{0}/acme/hello:latest\n", served.address);
    let paths = "dist/hello world\ndist/hello-arm64\n";
    let inputs = [("paths", paths), ("tags", &tags), ("name", "hello"), ("labels", "a=b c\nd=e,f")];
    let output = run(&bench, "Build", &inputs);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let outputs = outputs(&bench);
    let digest = &outputs["digest"];
    assert_eq!(outputs["image"], format!("{}/acme/hello:v1@{digest}", served.address));
    assert_eq!(outputs["images"].lines().count(), 2);
    let metadata: Value = serde_json::from_str(&outputs["metadata"]).unwrap();
    assert_eq!(metadata["containerimage.digest"], **digest);
    bench.run(["validate", &outputs["image"]]).succeeds();
    let image = bench.run(["inspect", &outputs["image"], "--platform", "linux/arm64"]).succeeds();
    assert!(image.contains("label         a=b c\nlabel         d=e,f\n"), "{image}");
}

#[test]
fn an_input_is_never_a_script() {
    let bench = bench();
    let evil = "dist/hello world\n$(touch evil)\n`touch evil`\n";
    let output = run(&bench, "Build", &[("paths", evil), ("push", "false")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!bench.join("evil").exists());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("\n::error title=coracle::cannot read `$(touch evil)`: "), "{stderr}");
    assert!(!bench.join("output").exists());

    let output =
        run(&bench, "Build", &[("paths", "dist/hello world"), ("push", "false"), ("outputs", "oci:a\narchive:a.tar")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(outputs(&bench)["image"].starts_with("oci:a@sha256:"));
}

#[test]
fn a_program_that_is_there_is_not_installed() {
    let bench = bench();
    let output = run(&bench, "Install coracle", &[]);
    assert!(output.status.success() && output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn expressions_stand_in_no_script() {
    let action = action();
    for step in action["runs"]["steps"].as_array().unwrap() {
        assert!(!step["run"].as_str().unwrap().contains("${{"), "{step}");
    }
    for (name, output) in action["outputs"].as_object().unwrap() {
        assert_eq!(output["value"], format!("${{{{ steps.build.outputs.{name} }}}}"));
    }
    for name in action["inputs"].as_object().unwrap().keys() {
        assert!(action.to_string().contains(&format!("${{{{ inputs.{name} }}}}")), "the input {name} is not used");
    }
}
