//! Runs an image for real: umoci unpacks it, runc runs it, neither written by us.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::peers;

/// The two peers.
pub struct Runner {
    umoci: PathBuf,
    runc: PathBuf,
}

/// What the container did.
#[derive(Debug, PartialEq, Eq)]
pub struct Ran {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// A container goes away with the test, also when runc was killed.
struct Container<'a> {
    runc: &'a Path,
    state: PathBuf,
    id: String,
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let _ = Command::new(self.runc).arg("--root").arg(&self.state).args(["delete", "-f", &self.id]).output();
    }
}

impl Runner {
    /// `None`, said on stdout, where containers cannot be run: a peer is absent, or this is not root.
    pub fn find() -> Option<Self> {
        let runner = Self { umoci: peers::find("umoci")?, runc: peers::find("runc")? };
        let root = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout == b"0\n");
        if !root {
            peers::skipped("runc needs root here");
        }
        root.then_some(runner)
    }

    /// Unpacks `tag` of the OCI layout below `work` and runs it as the image's own user, with a root that cannot be
    /// written and without any capability. `emulator`, a static program of this machine, is put before the entrypoint.
    pub fn run(&self, layout: &Path, tag: &str, work: &Path, emulator: Option<&Path>) -> Ran {
        let bundle = work.join("bundle");
        let image = format!("{}:{tag}", layout.display());
        let unpacked = Command::new(&self.umoci).args(["unpack", "--image", &image]).arg(&bundle).output().unwrap();
        assert!(unpacked.status.success(), "umoci unpack: {}", String::from_utf8_lossy(&unpacked.stderr));
        let path = bundle.join("config.json");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        restrict(&mut config, emulator);
        std::fs::write(&path, serde_json::to_vec(&config).unwrap()).unwrap();
        // The id names control groups too, which all containers of the machine share.
        let place = work.to_str().unwrap().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let container = Container { runc: &self.runc, state: work.join("state"), id: format!("coracle{place}") };
        let mut command = Command::new(&self.runc);
        command.arg("--root").arg(&container.state).args(["run", "--bundle"]).arg(&bundle).arg(&container.id);
        let output = command.output().unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// No terminal, no capability, no rlimits (which nested sandboxes refuse), a root that cannot be written.
fn restrict(config: &mut Value, emulator: Option<&Path>) {
    let process = config["process"].as_object_mut().unwrap();
    process.remove("rlimits");
    process.insert("terminal".into(), false.into());
    let none = json!({"bounding": [], "effective": [], "inheritable": [], "permitted": [], "ambient": []});
    process.insert("capabilities".into(), none);
    config["root"]["readonly"] = true.into();
    if let Some(emulator) = emulator {
        config["process"]["args"].as_array_mut().unwrap().insert(0, "/.emulator".into());
        let mount = json!({"destination": "/.emulator", "type": "bind", "source": emulator, "options": ["bind", "ro"]});
        config["mounts"].as_array_mut().unwrap().push(mount);
    }
}
