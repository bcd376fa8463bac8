//! Credential helpers: programs named `docker-credential-<name>` (docker-credential-helpers protocol).

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::docker_config::from_helper;
use super::error::printable;
use super::{Credential, CredentialError};
use crate::limits;
use crate::oci::Secret;

/// What helpers print when they have nothing for a server.
const NOT_FOUND: &str = "credentials not found in native keychain";

/// Asks a helper. The caller decides which implementation may run programs.
#[async_trait]
pub trait CredentialHelper: Send + Sync {
    /// The credential that the helper `name` (without `docker-credential-`) has for `server`.
    async fn get(&self, name: &str, server: &str) -> Result<Option<Credential>, CredentialError>;
}

/// Runs helpers as processes.
#[derive(Debug, Clone)]
pub struct ProcessHelper {
    /// Where helpers are looked up, in order (usually what `PATH` says).
    pub directories: Vec<PathBuf>,
    /// The environment that a helper gets, and nothing else.
    pub variables: Vec<(OsString, OsString)>,
    /// How long one may take; those that ask a cloud need some seconds.
    pub timeout: Duration,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    secret: Secret,
}

impl ProcessHelper {
    fn program(&self, name: &str) -> Result<PathBuf, CredentialError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(CredentialError::HelperName(printable(name)));
        }
        let file = format!("docker-credential-{name}");
        let found = self.directories.iter().map(|d| d.join(&file)).find(|p| p.is_file());
        found.ok_or_else(|| CredentialError::HelperAbsent(name.to_owned()))
    }

    /// Has the helper `name` keep a credential. It runs until it is done.
    ///
    /// # Errors
    /// That there is none, that it cannot be run, or what it says.
    pub fn store(&self, name: &str, server: &str, username: &str, secret: &Secret) -> Result<(), CredentialError> {
        let document = json!({ "ServerURL": server, "Username": username, "Secret": secret.expose() });
        self.tell(name, "store", document.to_string().as_bytes())
    }

    /// Has the helper `name` forget a credential; one that it does not have is none to it.
    ///
    /// # Errors
    /// As [`ProcessHelper::store`].
    pub fn erase(&self, name: &str, server: &str) -> Result<(), CredentialError> {
        self.tell(name, "erase", server.as_bytes())
    }

    fn tell(&self, name: &str, verb: &str, input: &[u8]) -> Result<(), CredentialError> {
        let program = self.program(name)?;
        let fail = |source| CredentialError::HelperRun { program: program.clone(), source };
        let mut child = std::process::Command::new(&program)
            .arg(verb)
            .env_clear()
            .envs(self.variables.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(fail)?;
        if let Some(mut pipe) = child.stdin.take() {
            // As above.
            let _ = std::io::Write::write_all(&mut pipe, input);
        }
        let output = child.wait_with_output().map_err(fail)?;
        if output.status.success() {
            return Ok(());
        }
        let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
        let message = printable(&String::from_utf8_lossy(&text));
        Err(CredentialError::HelperFailed { program, message })
    }

    async fn run(&self, program: &PathBuf, server: &str) -> std::io::Result<(bool, Vec<u8>, Vec<u8>)> {
        let mut child = tokio::process::Command::new(program)
            .arg("get")
            .env_clear()
            .envs(self.variables.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            // A helper that does not read its input has closed it, which is its own affair.
            let _ = input.write_all(server.as_bytes()).await;
        }
        let limit = limits::MAX_AUTH_FILE_BYTES as u64;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let read_out = async {
            if let Some(pipe) = stdout {
                pipe.take(limit).read_to_end(&mut out).await?;
            }
            std::io::Result::Ok(())
        };
        let read_err = async {
            if let Some(pipe) = stderr {
                pipe.take(limit).read_to_end(&mut err).await?;
            }
            std::io::Result::Ok(())
        };
        let (a, b) = tokio::join!(read_out, read_err);
        a.and(b)?;
        let status = child.wait().await?;
        Ok((status.success(), out, err))
    }
}

#[async_trait]
impl CredentialHelper for ProcessHelper {
    async fn get(&self, name: &str, server: &str) -> Result<Option<Credential>, CredentialError> {
        let program = self.program(name)?;
        let outcome = tokio::time::timeout(self.timeout, self.run(&program, server)).await;
        let (success, out, err) = match outcome {
            Err(_) => return Err(CredentialError::HelperTimeout { program, seconds: self.timeout.as_secs() }),
            Ok(Err(source)) => return Err(CredentialError::HelperRun { program, source }),
            Ok(Ok(outcome)) => outcome,
        };
        if !success {
            // Helpers report on stdout, wrappers on stderr.
            let text = if out.is_empty() { err } else { out };
            let message = printable(&String::from_utf8_lossy(&text));
            if message == NOT_FOUND {
                return Ok(None);
            }
            return Err(CredentialError::HelperFailed { program, message });
        }
        match serde_json::from_slice::<Answer>(&out) {
            Ok(answer) if answer.secret.expose().is_empty() => Ok(None),
            Ok(answer) => Ok(Some(from_helper(answer.username, answer.secret))),
            Err(_) => {
                let message = "its output is not the JSON of a credential".to_owned();
                Err(CredentialError::HelperFailed { program, message })
            }
        }
    }
}
