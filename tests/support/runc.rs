//! Runs an image for real: umoci unpacks it, runc runs it, neither written by us.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::cell::Cell;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::peers;

/// Time in which a server of a test must listen, on a machine with much else to do.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

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

/// How a container is run, beyond what its image says. All have the image's user, no capability, and a root that cannot
/// be written.
#[derive(Debug, Clone, Default)]
pub struct Setup<'a> {
    /// The words behind the image's entrypoint.
    pub words: &'a [&'a str],
    /// Replaces the entrypoint.
    pub program: Option<&'a str>,
    /// Variables, as `NAME=VALUE`.
    pub env: &'a [&'a str],
    /// Directories that are a file system in memory.
    pub tmpfs: &'a [&'a str],
    /// Files and directories of this machine, and where they are seen; they can be written where their owner is the user.
    pub binds: &'a [(&'a Path, &'a str)],
    /// Whether the network is that of this machine instead of a new one.
    pub host_network: bool,
    /// A static program of this machine that is put before the entrypoint.
    pub emulator: Option<&'a Path>,
}

/// An unpacked image.
pub struct Bundle<'a> {
    runner: &'a Runner,
    directory: PathBuf,
    /// The configuration that umoci made of the image's.
    config: Value,
    runs: Cell<u32>,
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

/// A container that runs beside the test, and is killed at the end of it.
pub struct Started<'a> {
    child: Child,
    log: PathBuf,
    container: Option<Container<'a>>,
}

impl Started<'_> {
    /// Waits until something listens on `port` of this machine.
    ///
    /// # Panics
    /// When the container ends before, or nothing listens in time; with what it said.
    pub fn listens(&mut self, port: u16) {
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = self.child.try_wait().unwrap();
            let said = || std::fs::read_to_string(&self.log).unwrap_or_default();
            assert!(ended.is_none(), "the server ended with {ended:?}:\n{}", said());
            assert!(start.elapsed() < STARTS_WITHIN, "nothing listens on port {port}:\n{}", said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Started<'_> {
    fn drop(&mut self) {
        self.container = None;
        let _ = self.child.wait();
    }
}

/// A port of this machine on which nothing listens.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
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

    /// Unpacks `tag` of the OCI layout below `work` and runs it.
    pub fn run(&self, layout: &Path, tag: &str, work: &Path, emulator: Option<&Path>) -> Ran {
        self.unpack(layout, tag, work).run(&Setup { emulator, ..Setup::default() })
    }

    /// Unpacks `tag` of the OCI layout into `bundle` below `work`.
    pub fn unpack(&self, layout: &Path, tag: &str, work: &Path) -> Bundle<'_> {
        let directory = work.join("bundle");
        let image = format!("{}:{tag}", layout.display());
        let unpacked = Command::new(&self.umoci).args(["unpack", "--image", &image]).arg(&directory).output().unwrap();
        assert!(unpacked.status.success(), "umoci unpack: {}", String::from_utf8_lossy(&unpacked.stderr));
        let config = serde_json::from_slice(&std::fs::read(directory.join("config.json")).unwrap()).unwrap();
        Bundle { runner: self, directory, config, runs: Cell::new(0) }
    }
}

impl<'a> Bundle<'a> {
    /// The root file system.
    pub fn rootfs(&self) -> PathBuf {
        self.directory.join("rootfs")
    }

    /// Runs the image to its end. Not while a started container of the same bundle is used.
    pub fn run(&self, setup: &Setup<'_>) -> Ran {
        let (_container, mut command) = self.command(setup);
        let output = command.stdin(Stdio::null()).output().unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs the image and checks that it succeeds; gives its standard output.
    #[track_caller]
    pub fn does(&self, setup: &Setup<'_>) -> String {
        let ran = self.run(setup);
        assert_eq!(ran.code, 0, "{:?}\n--- stdout\n{}\n--- stderr\n{}", setup.words, ran.stdout, ran.stderr);
        ran.stdout
    }

    /// Runs the image beside the test.
    pub fn start(&self, setup: &Setup<'_>) -> Started<'a> {
        let (container, mut command) = self.command(setup);
        let log = self.directory.join("log");
        let output = File::create(&log).unwrap();
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        Started { child: command.spawn().unwrap(), log, container: Some(container) }
    }

    fn command(&self, setup: &Setup<'_>) -> (Container<'a>, Command) {
        let mut config = self.config.clone();
        restrict(&mut config);
        apply(&mut config, setup);
        std::fs::write(self.directory.join("config.json"), serde_json::to_vec(&config).unwrap()).unwrap();
        // The id names control groups too, which all containers of the machine share.
        let place = self.directory.to_str().unwrap().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        self.runs.set(self.runs.get() + 1);
        let id = format!("coracle{place}-{}", self.runs.get());
        let container = Container { runc: &self.runner.runc, state: self.directory.with_file_name("state"), id };
        let mut command = Command::new(&self.runner.runc);
        command.arg("--root").arg(&container.state).args(["run", "--bundle"]).arg(&self.directory).arg(&container.id);
        (container, command)
    }
}

/// No terminal, no capability, no rlimits (which nested sandboxes refuse), a root that cannot be written.
fn restrict(config: &mut Value) {
    let process = config["process"].as_object_mut().unwrap();
    process.remove("rlimits");
    process.insert("terminal".into(), false.into());
    let none = json!({"bounding": [], "effective": [], "inheritable": [], "permitted": [], "ambient": []});
    process.insert("capabilities".into(), none);
    config["root"]["readonly"] = true.into();
}

fn apply(config: &mut Value, setup: &Setup<'_>) {
    let words = config["process"]["args"].as_array_mut().unwrap();
    if !setup.words.is_empty() {
        words.truncate(1);
        words.extend(setup.words.iter().map(|word| json!(word)));
    }
    if let Some(program) = setup.program {
        words[0] = program.into();
    }
    if setup.emulator.is_some() {
        words.insert(0, "/.emulator".into());
    }
    config["process"]["env"].as_array_mut().unwrap().extend(setup.env.iter().map(|variable| json!(variable)));
    if setup.host_network {
        config["linux"]["namespaces"].as_array_mut().unwrap().retain(|namespace| namespace["type"] != "network");
    }
    let mounts = config["mounts"].as_array_mut().unwrap();
    for place in setup.tmpfs {
        // runc gives the mount the mode of the directory of the image, but not its owner.
        let options = ["nosuid", "nodev", "mode=1777", "uid=65532", "gid=65532"];
        mounts.push(json!({"destination": place, "type": "tmpfs", "source": "tmpfs", "options": options}));
    }
    for (source, place) in setup.binds {
        mounts.push(json!({"destination": place, "type": "bind", "source": source, "options": ["bind", "rw"]}));
    }
    if let Some(emulator) = setup.emulator {
        let options = ["bind", "ro"];
        mounts.push(json!({"destination": "/.emulator", "type": "bind", "source": emulator, "options": options}));
    }
}
