//! What can go wrong with a registry.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::limits;
use crate::net::{self, Method, StatusCode};
use crate::oci::{Digest, RedactedUrl};

/// Errors of the registry client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The registry answered with a status that ends the operation.
    #[error(transparent)]
    Status(#[from] Box<StatusError>),
    /// No answer came.
    #[error("`{method} {url}` failed{}", Attempts(*.attempts))]
    Net {
        /// Method.
        method: Method,
        /// URL.
        url: RedactedUrl,
        /// Attempts made.
        attempts: u32,
        /// Why.
        #[source]
        source: Box<net::Error>,
    },
    /// The content to push cannot be read, or is no longer what it was.
    #[error(transparent)]
    Content(#[from] crate::blob::Error),
    /// The user wants to stop.
    #[error("stopped before it was done")]
    Cancelled,
    /// The HTTP client could not be set up or a link not be followed.
    #[error(transparent)]
    Transport(#[from] net::Error),
    /// The token service that the registry names gave no token.
    #[error("no token from `{realm}` for `{scope}` with {credential}")]
    Token {
        /// The token service.
        realm: RedactedUrl,
        /// Scopes asked for, blank separated.
        scope: String,
        /// Which credential was used, never its secret.
        credential: String,
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// The token service's answer holds no token.
    #[error("the answer of the token service is not valid: {reason}")]
    TokenDocument {
        /// What is wrong.
        reason: String,
    },
    /// A credential could not be found out.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The `WWW-Authenticate` header asks for nothing that this client can do.
    #[error("`{host}` asks for the authentication `{schemes}`, which is not supported")]
    Challenge {
        /// The registry.
        host: String,
        /// Its schemes.
        schemes: String,
    },
    /// The answer lacks a header that the distribution-spec demands.
    #[error("the answer to `{method} {url}` lacks the header `{header}`")]
    NoHeader {
        /// Method.
        method: Method,
        /// URL.
        url: RedactedUrl,
        /// The header.
        header: &'static str,
    },
    /// Content that does not have the digest it was asked for by, or that the registry itself claims.
    #[error("`{url}` gave content with digest `{actual}` where `{expected}` was expected")]
    DigestMismatch {
        /// Where from.
        url: RedactedUrl,
        /// The digest wanted.
        expected: Digest,
        /// The digest found.
        actual: Digest,
    },
    /// Content that does not have the size it should have.
    #[error("`{url}` gave {actual} bytes where {expected} were expected")]
    SizeMismatch {
        /// Where from.
        url: RedactedUrl,
        /// Which content.
        digest: Digest,
        /// Bytes wanted.
        expected: u64,
        /// Bytes found, or the first count beyond the promise.
        actual: u64,
    },
    /// A manifest or list that is not valid.
    #[error("the answer of `{url}` is not valid")]
    Document {
        /// Where from.
        url: RedactedUrl,
        /// Why.
        #[source]
        source: crate::oci::Error,
    },
    /// A list that is not valid or has no end.
    #[error("the list of `{url}` is not valid: {reason}")]
    List {
        /// Where from.
        url: RedactedUrl,
        /// What is wrong.
        reason: String,
    },
    /// The reference names a registry host that makes no URL.
    #[error("`{0}` is not a registry host")]
    Host(String),
    /// Reading it is forbidden.
    #[error("`{origin}` blocks `{name}`")]
    Blocked {
        /// What would be read.
        name: String,
        /// The file that says so.
        origin: String,
    },
    /// A file about hosts cannot be used.
    #[error(transparent)]
    HostsFile(#[from] super::ConfigError),
    /// The spool directory cannot be written.
    #[error("cannot write a temporary file in `{}`", path.display())]
    Spool {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}

/// ` after 3 attempts`, when there were several.
pub(super) struct Attempts(pub(super) u32);

impl fmt::Display for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > 1 { write!(f, " after {} attempts", self.0) } else { Ok(()) }
    }
}

/// An answer whose status ends the operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusError {
    /// Method.
    pub method: Method,
    /// URL of the request.
    pub url: RedactedUrl,
    /// Status.
    pub status: StatusCode,
    /// What the registry says, at most [`limits::MAX_COMPLAINTS`].
    pub complaints: Vec<Complaint>,
    /// The pause that the registry asks for.
    pub retry_after: Option<Duration>,
    /// Attempts made.
    pub attempts: u32,
    /// Which credential was used, never its secret; `None` when none was found.
    pub credential: Option<String>,
}

impl std::error::Error for StatusError {}

impl fmt::Display for StatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{} {}` was answered `{}`{}", self.method, self.url, self.status, Attempts(self.attempts))?;
        if let Some(pause) = self.retry_after {
            write!(f, ", asking to wait {} s", pause.as_secs())?;
        }
        if self.complaints.is_empty() && self.method == Method::HEAD {
            return f.write_str(" (an answer to HEAD has no body that could say more)");
        }
        for (i, complaint) in self.complaints.iter().enumerate() {
            write!(f, "{}{complaint}", if i == 0 { ": " } else { "; " })?;
        }
        Ok(())
    }
}

/// One entry of the registry's error document (distribution-spec, "Error Codes").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// For example `DENIED`; empty when the registry gives none.
    pub code: String,
    /// Its message, without control characters, cut at [`limits::MAX_COMPLAINT_CHARS`].
    pub message: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code.as_str(), self.message.as_str()) {
            ("", text) | (text, "") => f.write_str(text),
            (code, message) => write!(f, "{code}: {message}"),
        }
    }
}

impl StatusError {
    /// Whether the registry gives this error code.
    #[must_use]
    pub fn has_code(&self, code: &str) -> bool {
        self.complaints.iter().any(|c| c.code == code)
    }

    fn hint(&self) -> Option<String> {
        let push = !matches!(self.method, Method::GET | Method::HEAD);
        let credential = self.credential.as_deref();
        Some(match (self.status.as_u16(), credential) {
            (401, None) => {
                "no credentials were found for this registry: log in first with `coracle login`; `--explain-auth` shows where was looked"
                    .to_owned()
            }
            (401, Some(from)) => format!("the registry does not accept {from}: log in again"),
            (403, None) => {
                "no credentials were found for this registry: log in, or check the repository's name".to_owned()
            }
            (403, Some(from)) => {
                let what = if push { "write to" } else { "read from" };
                format!("{from} may not {what} this repository: check its name and the rights of the account")
            }
            (404, _) if push => "the repository may have to be created first, as Amazon ECR wants it".to_owned(),
            (404, _) => "check the repository's name and the tag".to_owned(),
            (429, None) => "the registry limits anonymous requests: log in, or try later".to_owned(),
            (429, Some(_)) => "the registry limits the rate of requests: try later".to_owned(),
            (400, _) if self.has_code("TAG_INVALID") || self.has_code("MANIFEST_INVALID") => {
                "the registry does not take this manifest; it may be too old for its media type".to_owned()
            }
            (500..=599, _) => {
                "the registry or a proxy before it is in trouble: try later, or ask its operator".to_owned()
            }
            _ => return None,
        })
    }
}

impl Error {
    /// The next step for the person, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Status(status) => status.hint(),
            Self::Net { source, .. } => source.hint().map(str::to_owned),
            Self::Transport(source) => source.hint().map(str::to_owned),
            Self::Token { source, .. } => source.hint(),
            _ => None,
        }
    }

    /// The status and the registry's words, if it answered.
    #[must_use]
    pub fn status(&self) -> Option<&StatusError> {
        match self {
            Self::Status(status) => Some(status),
            _ => None,
        }
    }

    pub(super) fn is_status(&self, status: StatusCode) -> bool {
        self.status().is_some_and(|s| s.status == status)
    }
}

/// A credential could not be found out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// An auth file is not valid.
    #[error("`{origin}` is not a valid auth file: {reason}")]
    Document {
        /// The file or variable.
        origin: String,
        /// What is wrong; never the content.
        reason: String,
    },
    /// One entry of an auth file is not valid.
    #[error("the entry `{key}` of `{origin}` is not valid: {reason}")]
    Entry {
        /// The file or variable.
        origin: String,
        /// The entry.
        key: String,
        /// What is wrong; never the content.
        reason: &'static str,
    },
    /// The name of a helper could leave its place.
    #[error("`{0}` is not the name of a credential helper: only letters, digits, `.`, `_` and `-` may stand in it")]
    HelperName(String),
    /// The helper is not installed.
    #[error("the credential helper `docker-credential-{0}` is not in any of the directories of programs")]
    HelperAbsent(String),
    /// The helper cannot be run.
    #[error("cannot run `{}`", program.display())]
    HelperRun {
        /// The program.
        program: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The helper did not end in time.
    #[error("`{}` did not end within {seconds} s", program.display())]
    HelperTimeout {
        /// The program.
        program: PathBuf,
        /// Time allowed.
        seconds: u64,
    },
    /// The helper failed; its words, cut.
    #[error("`{}` failed: {message}", program.display())]
    HelperFailed {
        /// The program.
        program: PathBuf,
        /// Its words.
        message: String,
    },
}

/// Reads a registry's error document from at most [`limits::MAX_ERROR_BODY_BYTES`] of an answer's body.
pub(super) fn complaints(content_type: &str, body: &[u8]) -> Vec<Complaint> {
    let parsed = serde_json::from_slice::<Value>(body).ok();
    let list = match parsed.as_ref().and_then(|v| v.get("errors")) {
        Some(Value::Array(items)) => items.iter().filter_map(complaint).take(limits::MAX_COMPLAINTS).collect(),
        _ => Vec::new(),
    };
    if !list.is_empty() {
        return list;
    }
    if let Some(one) = parsed.as_ref().and_then(complaint) {
        return vec![one];
    }
    let text = String::from_utf8_lossy(body);
    let line = text.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or_default();
    // Pages of proxies say nothing that the status does not.
    if parsed.is_some() || line.is_empty() || line.starts_with('<') || content_type.starts_with("text/html") {
        return Vec::new();
    }
    vec![Complaint { code: String::new(), message: printable(line) }]
}

/// `{"code", "message"}` of registries, `{"error", "error_description"}` of OAuth, `{"details"}` of Docker Hub.
fn complaint(value: &Value) -> Option<Complaint> {
    let text = |keys: &[&str]| {
        keys.iter().find_map(|key| value.get(key).and_then(Value::as_str)).map(printable).unwrap_or_default()
    };
    let (code, mut message) = (text(&["code", "error"]), text(&["message", "error_description", "details"]));
    if let Some(detail) = value.get("detail").and_then(Value::as_str).map(printable)
        && !detail.is_empty()
        && detail != message
    {
        message = if message.is_empty() { detail } else { format!("{message} ({detail})") };
    }
    (!code.is_empty() || !message.is_empty()).then_some(Complaint { code, message })
}

/// Foreign text for a terminal.
pub(super) fn printable(text: &str) -> String {
    let clean = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut out: String = clean.take(limits::MAX_COMPLAINT_CHARS).collect();
    if text.trim().chars().nth(limits::MAX_COMPLAINT_CHARS).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_documents() {
        let check = |content_type: &str, body: &str, want: &str| {
            let got: Vec<String> = complaints(content_type, body.as_bytes()).iter().map(ToString::to_string).collect();
            assert_eq!(got.join("; "), want, "{body}");
        };
        let json = "application/json";
        check(json, r#"{"errors":[{"code":"DENIED","message":"no"}]}"#, "DENIED: no");
        check(json, r#"{"errors":[{"code":"A"},{"message":"b","detail":"c"}]}"#, "A; b (c)");
        check(json, r#"{"errors":[{"code":"A","detail":{"x":1}}]}"#, "A");
        check(json, r#"{"errors":[]}"#, "");
        check(json, r#"{"errors":null,"details":"bad password"}"#, "bad password");
        check(json, r#"{"error":"invalid_grant","error_description":"old"}"#, "invalid_grant: old");
        check(json, "[1,2]", "");
        check(json, "{\"errors\":[{\"code\":\"X\",\"message\":\"\\u001b[31mred\"}]}", "X:  [31mred");
        check("text/plain", "\n upstream is gone \nmore", "upstream is gone");
        check("text/html", "<html>x", "");
        check("", "<html>x", "");
        check("text/plain", "", "");
        let many = format!("{{\"errors\":[{}]}}", vec![r#"{"code":"A"}"#; 1000].join(","));
        assert_eq!(complaints(json, many.as_bytes()).len(), limits::MAX_COMPLAINTS);
        let long = complaints("text/plain", "x".repeat(1 << 16).as_bytes());
        assert_eq!(long[0].message.chars().count(), limits::MAX_COMPLAINT_CHARS + 1);
    }
}
