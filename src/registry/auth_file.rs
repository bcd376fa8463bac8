//! Changing auth files, for logging in and out: every member that is not ours stays as it is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::CredentialError;
use super::docker_config::{HUB, HUB_KEY, normal_host, normal_key};
use crate::limits;
use crate::oci::Secret;

/// An auth file as it is, to be changed.
#[derive(Debug, Clone)]
pub struct AuthFile {
    origin: String,
    document: Map<String, Value>,
}

impl AuthFile {
    /// From the bytes of a file, or nothing where there is none yet; `origin` names it in messages.
    ///
    /// # Errors
    /// [`CredentialError::Document`].
    pub fn parse(origin: &str, bytes: Option<&[u8]>) -> Result<Self, CredentialError> {
        let fail = |reason: &str| CredentialError::Document { origin: origin.to_owned(), reason: reason.to_owned() };
        let document = match bytes {
            None => Map::new(),
            Some(bytes) if bytes.len() > limits::MAX_AUTH_FILE_BYTES => {
                return Err(fail(&format!("it is larger than {} bytes", limits::MAX_AUTH_FILE_BYTES)));
            }
            // Made by touching it, or by a run that was cut off.
            Some(bytes) if bytes.trim_ascii().is_empty() => Map::new(),
            // Not the parser's own words, which may quote a secret.
            Some(bytes) => serde_json::from_slice(bytes).map_err(|_| fail("it is not a JSON object"))?,
        };
        Ok(Self { origin: origin.to_owned(), document })
    }

    /// The helper that keeps the credentials of a registry: its own, else the one for all.
    #[must_use]
    pub fn helper(&self, host: &str) -> Option<&str> {
        let own = self.document.get("credHelpers").and_then(Value::as_object).and_then(|helpers| {
            helpers.iter().find(|(key, _)| normal_key(key) == normal_host(host)).and_then(|(_, name)| name.as_str())
        });
        own.or_else(|| self.document.get("credsStore").and_then(Value::as_str)).filter(|name| !name.is_empty())
    }

    /// Keeps user and password of a registry, in the place of what it had.
    ///
    /// # Errors
    /// [`CredentialError::Document`] when `auths` is no object.
    pub fn keep(&mut self, host: &str, username: &str, password: &Secret) -> Result<(), CredentialError> {
        self.forget(host);
        let entry = json!({ "auth": STANDARD.encode(format!("{username}:{}", password.expose())) });
        let auths = self.document.entry("auths").or_insert_with(|| json!({}));
        match auths.as_object_mut() {
            Some(auths) => drop(auths.insert(server(host).to_owned(), entry)),
            None => {
                let reason = "`auths` is not an object".to_owned();
                return Err(CredentialError::Document { origin: self.origin.clone(), reason });
            }
        }
        Ok(())
    }

    /// Removes what it has for a registry; those of namespaces below it stay. Says whether there was something.
    pub fn forget(&mut self, host: &str) -> bool {
        let Some(auths) = self.document.get_mut("auths").and_then(Value::as_object_mut) else { return false };
        let before = auths.len();
        auths.retain(|key, _| normal_key(key) != normal_host(host));
        auths.len() != before
    }

    /// The file's new content.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // A map of strings and values that came from JSON is always JSON again.
        let mut bytes = serde_json::to_vec_pretty(&self.document).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

/// The name under which clients keep a registry.
#[must_use]
pub fn server(host: &str) -> &str {
    if normal_host(host) == HUB { HUB_KEY } else { host }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ours_stays() {
        let text = br#"{"auths":{"https://r.example/v1/":{"auth":"eDp5"},"r.example/team":{},"other":{"x":1}},"psFormat":"a","credHelpers":{"gcr.io":"gcloud"}}"#;
        let mut file = AuthFile::parse("f", Some(text)).unwrap();
        assert_eq!((file.helper("gcr.io"), file.helper("r.example")), (Some("gcloud"), None));
        file.keep("r.example", "u", &Secret::new("p:q".to_owned())).unwrap();
        file.keep("docker.io", "h", &Secret::new("s".to_owned())).unwrap();
        let value: Value = serde_json::from_slice(&file.to_bytes()).unwrap();
        assert_eq!(value["auths"]["r.example"]["auth"], STANDARD.encode("u:p:q"));
        assert_eq!(value["auths"][HUB_KEY]["auth"], STANDARD.encode("h:s"));
        assert!(value["auths"].get("https://r.example/v1/").is_none());
        assert_eq!((&value["psFormat"], &value["auths"]["other"]["x"]), (&json!("a"), &json!(1)));
        assert!(file.forget("r.example") && !file.forget("r.example"));
        let value: Value = serde_json::from_slice(&file.to_bytes()).unwrap();
        assert!(value["auths"].get("r.example/team").is_some());
    }

    #[test]
    fn what_is_no_auth_file() {
        for bytes in [&b"[]"[..], b"{", b"\"secret\""] {
            let error = AuthFile::parse("f", Some(bytes)).unwrap_err().to_string();
            assert!(error.contains("not a JSON object") && !error.contains("secret"), "{error}");
        }
        assert!(AuthFile::parse("f", Some(b" \n")).is_ok() && AuthFile::parse("f", None).is_ok());
        let mut odd = AuthFile::parse("f", Some(br#"{"auths":[]}"#)).unwrap();
        assert!(odd.keep("h", "u", &Secret::new(String::new())).is_err());
    }
}
