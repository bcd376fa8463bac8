//! A containerd of its own, gone with the test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use super::peers;

/// A running containerd.
pub struct Containerd {
    child: Child,
    ctr: PathBuf,
    socket: PathBuf,
}

impl Containerd {
    /// Starts one in a directory; `None`, said on stdout, when it is absent or the user is not root.
    pub fn start(directory: &Path) -> Option<Self> {
        let (containerd, ctr) = (peers::find("containerd")?, peers::find("ctr")?);
        if !peers::root() {
            return None;
        }
        let at = |name: &str| directory.join(name).display().to_string();
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = {:?}\n",
            at("root"),
            at("state"),
            at("c.sock")
        );
        std::fs::write(at("config.toml"), config).unwrap();
        let log = std::fs::File::create(at("log")).unwrap();
        let child = Command::new(containerd).args(["--config", &at("config.toml")]).stderr(log).spawn().unwrap();
        let started = Self { child, ctr, socket: directory.join("c.sock") };
        let ready = || started.ctr().args(["--timeout", "1s", "version"]).output().unwrap().status.success();
        assert!((0..200).any(|_| ready()), "{}", std::fs::read_to_string(at("log")).unwrap());
        Some(started)
    }

    /// Its client.
    pub fn ctr(&self) -> Command {
        let mut command = Command::new(&self.ctr);
        command.arg("--address").arg(&self.socket);
        command
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
