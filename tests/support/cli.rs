//! Runs the real program with a clean environment in a directory of its own, and checks all that it says.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A directory to work in, with the program at hand. Removed when dropped.
pub struct Workbench {
    dir: tempfile::TempDir,
    env: Vec<(OsString, OsString)>,
}

impl Workbench {
    /// An empty directory.
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), env: Vec::new() }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A path in the directory.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file below the directory.
    pub fn file(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Sets a variable for all runs from here on.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// The program with these words, ready to run: only `PATH`, `HOME` (the directory) and what [`Workbench::env`] set.
    pub fn command<W: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = W>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coracle"));
        command.args(words).current_dir(self.path()).env_clear().stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.path());
        command.envs(self.env.iter().map(|(k, v)| (k, v)));
        command
    }

    /// Runs the program.
    pub fn run<W: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = W>) -> Run {
        let mut command = self.command(words);
        let output = command.output().unwrap();
        Run::new(format!("{command:?}"), &output, self.path())
    }
}

/// `coracle serve`, stopped by SIGTERM when dropped.
pub struct Served {
    child: Child,
    /// `127.0.0.1:PORT`.
    pub address: String,
}

impl Workbench {
    /// Starts the embedded registry on a free port.
    pub fn serve<W: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = W>) -> Served {
        let mut command = self.command(["serve", "--listen", "127.0.0.1:0"]);
        let mut child = command.args(words).stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Served { child, address: address.trim_end().to_owned() }
    }
}

impl Served {
    /// Sends SIGTERM and gives the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        signal(self.child.id(), "TERM");
        self.child.wait().unwrap().code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.stop();
        }
    }
}

/// Sends a signal to a process.
pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap();
    assert!(sent.success());
}

/// What a run said. Its texts have the work directory replaced by `[DIR]`.
pub struct Run {
    shown: String,
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Run {
    /// Takes over what the process left.
    pub fn new(shown: String, output: &Output, dir: &Path) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().replace(dir.to_str().unwrap(), "[DIR]");
        Self { shown, code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Checks exit code, the whole of stdout and the whole of stderr.
    #[track_caller]
    pub fn says(self, code: i32, stdout: &str, stderr: &str) -> Self {
        let got = (self.code, self.stdout.as_str(), self.stderr.as_str());
        assert!(
            got == (Some(code), stdout, stderr),
            "{}\nexit {:?}, wanted {code}\n--- stdout\n{}--- wanted\n{stdout}--- stderr\n{}--- wanted\n{stderr}---",
            self.shown,
            self.code,
            self.stdout,
            self.stderr
        );
        self
    }

    /// Checks that it failed as said: nothing on stdout.
    #[track_caller]
    pub fn fails(self, code: i32, stderr: &str) -> Self {
        self.says(code, "", stderr)
    }

    /// Checks success and gives stdout.
    #[track_caller]
    pub fn succeeds(self) -> String {
        assert!(
            self.code == Some(0),
            "{}\nexit {:?}\n--- stdout\n{}--- stderr\n{}---",
            self.shown,
            self.code,
            self.stdout,
            self.stderr
        );
        self.stdout
    }

    /// The exit code; `None` after a signal.
    pub const fn code(&self) -> Option<i32> {
        self.code
    }

    /// stdout.
    pub fn stdout(&self) -> &str {
        &self.stdout
    }

    /// stderr.
    pub fn stderr(&self) -> &str {
        &self.stderr
    }
}
