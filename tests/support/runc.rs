//! Runs an image for real: umoci unpacks it, runc runs it, neither written by us.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// What the container did.
pub struct Ran {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// How the container is run.
#[derive(Default)]
pub struct Options<'a> {
    /// Arguments after the image's entrypoint.
    pub args: &'a [&'a str],
    /// A static emulator of this machine that is put before the entrypoint, for foreign architectures.
    pub emulator: Option<&'a Path>,
}

/// Unpacks `tag` of the OCI layout `layout` below `work` and runs it with a read-only root as the user that the image
/// names. `umoci` and `runc` are the peers' paths.
pub fn run(umoci: &Path, runc: &Path, layout: &Path, tag: &str, work: &Path, options: &Options<'_>) -> Ran {
    let bundle = work.join("bundle");
    let image = format!("{}:{tag}", layout.display());
    done(Command::new(umoci).args(["unpack", "--image", &image]).arg(&bundle).output().unwrap(), "umoci unpack");
    let path = bundle.join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    prepare(&mut config, options);
    if let Some(emulator) = options.emulator {
        std::fs::copy(emulator, bundle.join("rootfs/emulator")).unwrap();
    }
    std::fs::write(&path, serde_json::to_vec(&config).unwrap()).unwrap();
    let id = format!("coracle-test-{}-{}", std::process::id(), work.file_name().unwrap().to_str().unwrap().replace('.', ""));
    let mut command = Command::new(runc);
    command.arg("--root").arg(work.join("state")).args(["run", "--bundle"]).arg(&bundle).arg(id);
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// No terminal, no rlimits (which nested sandboxes refuse), a root that cannot be written.
fn prepare(config: &mut Value, options: &Options<'_>) {
    let process = config["process"].as_object_mut().unwrap();
    process.remove("rlimits");
    process.insert("terminal".into(), false.into());
    let args = process["args"].as_array_mut().unwrap();
    if options.emulator.is_some() {
        args.insert(0, "/emulator".into());
    }
    args.extend(options.args.iter().map(|a| Value::from(*a)));
    config["root"]["readonly"] = true.into();
}

fn done(output: Output, what: &str) {
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
}
