//! Real registries, each on a port of its own, gone with the test.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::peers;

/// Which program serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// distribution 2.8 as Debian packages it.
    Distribution2,
    /// distribution 3.
    Distribution3,
    /// olareg, which lists referrers.
    Olareg,
}

impl Kind {
    /// Those that can be made to want passwords.
    pub const ALL: [Self; 2] = [Self::Distribution2, Self::Distribution3];
    /// Those that take everybody.
    pub const OPEN: [Self; 3] = [Self::Distribution2, Self::Distribution3, Self::Olareg];

    const fn program(self) -> &'static str {
        match self {
            Self::Distribution2 => "docker-registry",
            Self::Distribution3 => "registry",
            Self::Olareg => "olareg",
        }
    }
}

/// A running registry.
pub struct RegistryPeer {
    child: Child,
    port: u16,
    /// Its data; removed when it is dropped.
    _directory: tempfile::TempDir,
}

/// A user of a registry with passwords.
pub const USER: &str = "ada";
/// The user's password.
pub const PASSWORD: &str = "correct-horse";

impl RegistryPeer {
    /// Starts one that takes everybody; `None`, said on stdout, when the program is absent.
    pub fn plain(kind: Kind) -> Option<Self> {
        Self::start(kind, "")
    }

    /// Starts one that wants [`USER`] and [`PASSWORD`].
    pub fn with_password(kind: Kind) -> Option<Self> {
        let htpasswd = peers::find("htpasswd")?;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("htpasswd");
        let output = Command::new(htpasswd).args(["-Bbn", USER, PASSWORD]).output().unwrap();
        assert!(output.status.success(), "htpasswd: {output:?}");
        std::fs::write(&file, output.stdout).unwrap();
        let auth = format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", file.display());
        Self::start_in(kind, &auth, directory)
    }

    /// Starts one with an additional piece of configuration.
    pub fn start(kind: Kind, more: &str) -> Option<Self> {
        Self::start_in(kind, more, tempfile::tempdir().unwrap())
    }

    fn start_in(kind: Kind, more: &str, directory: tempfile::TempDir) -> Option<Self> {
        let program = peers::find(kind.program())?;
        // The program cannot tell which port it chose, so it is chosen here; another process may be quicker.
        for _ in 0..20 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let started = if kind == Kind::Olareg {
                spawn_olareg(&program, port, directory.path())
            } else {
                let config = directory.path().join("config.yml");
                std::fs::write(&config, configuration(directory.path(), port, more)).unwrap();
                spawn(&program, &config)
            };
            if let Some(child) = started {
                return Some(Self { child, port, _directory: directory });
            }
        }
        panic!("{} did not find a free port in 20 attempts", kind.program());
    }

    /// `127.0.0.1:port`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for RegistryPeer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(directory: &Path, port: u16, more: &str) -> String {
    let root: PathBuf = directory.join("data");
    format!(
        "version: 0.1\nlog:\n  level: info\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    \
         rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:{port}\n{more}",
        root.display()
    )
}

/// Starts olareg, which does not say when it listens; `None` when it ends before that.
fn spawn_olareg(program: &Path, port: u16, directory: &Path) -> Option<Child> {
    let mut child = Command::new(program)
        .args(["serve", "--addr", "127.0.0.1", "--port", &port.to_string(), "--dir"])
        .arg(directory.join("data"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let since = std::time::Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        assert!(since.elapsed().as_secs() < 60, "olareg does not listen");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Some(child)
}

/// Starts the program and waits until it says that it listens; `None` when it ends before that.
fn spawn(program: &Path, config: &Path) -> Option<Child> {
    let mut child = Command::new(program)
        .arg("serve")
        .arg(config)
        .env_clear()
        .env("OTEL_TRACES_EXPORTER", "none")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut seen = String::new();
    loop {
        let mut line = String::new();
        if log.read_line(&mut line).unwrap() == 0 {
            let status = child.wait().unwrap();
            assert!(seen.contains("address already in use"), "{} ended with {status}: {seen}", program.display());
            return None;
        }
        if line.contains("listening on") {
            break;
        }
        seen.push_str(&line);
    }
    // Read on, so that the program never waits for its log to be taken.
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        let _ = log.read_to_end(&mut rest);
    });
    Some(child)
}
