//! Docker's `config.json`, podman's `auth.json` and Kubernetes' `.dockerconfigjson`: one format.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::{Credential, CredentialError, CredentialHelper, CredentialSource, Found};
use crate::limits;
use crate::oci::Secret;

/// Docker Hub's host in references, and the key under which `docker login` keeps it.
pub(super) const HUB: &str = "docker.io";
pub(super) const HUB_KEY: &str = "https://index.docker.io/v1/";

/// The user name by which helpers mark a secret as an identity token.
const TOKEN_USER: &str = "<token>";

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    auths: Option<BTreeMap<String, Entry>>,
    #[serde(default, rename = "credHelpers")]
    helpers: Option<BTreeMap<String, String>>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

#[derive(Deserialize, Default, Clone)]
struct Entry {
    #[serde(default)]
    auth: Option<Secret>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<Secret>,
    #[serde(default)]
    identitytoken: Option<Secret>,
    #[serde(default)]
    registrytoken: Option<Secret>,
}

/// A parsed auth file.
#[derive(Clone)]
pub struct DockerConfig {
    origin: String,
    auths: Vec<(String, String, Entry)>,
    helpers: BTreeMap<String, String>,
    store: Option<String>,
    runner: Option<Arc<dyn CredentialHelper>>,
}

impl std::fmt::Debug for DockerConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DockerConfig").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl DockerConfig {
    /// Parses an auth file of at most [`limits::MAX_AUTH_FILE_BYTES`]; `origin` names it in messages. Helpers that it
    /// names are not run unless [`DockerConfig::with_helpers`] allows it.
    ///
    /// # Errors
    /// [`CredentialError::Document`].
    pub fn parse(origin: &str, bytes: &[u8]) -> Result<Self, CredentialError> {
        let fail = |reason: String| CredentialError::Document { origin: origin.to_owned(), reason };
        if bytes.len() > limits::MAX_AUTH_FILE_BYTES {
            return Err(fail(format!("it is larger than {} bytes", limits::MAX_AUTH_FILE_BYTES)));
        }
        // Category and place only: the parser's own words may quote a secret.
        let document: Document = serde_json::from_slice(bytes).map_err(|e| {
            let what = if e.is_data() { "a member has the wrong type" } else { "it is not JSON" };
            fail(format!("{what} (line {}, column {})", e.line(), e.column()))
        })?;
        let auths = document.auths.unwrap_or_default();
        Ok(Self {
            origin: origin.to_owned(),
            auths: auths.into_iter().map(|(key, entry)| (normal_key(&key), key, entry)).collect(),
            helpers: document.helpers.unwrap_or_default(),
            store: document.store.filter(|s| !s.is_empty()),
            runner: None,
        })
    }

    /// The older form, `.dockercfg`: the entries alone.
    ///
    /// # Errors
    /// As [`DockerConfig::parse`].
    pub fn parse_entries(origin: &str, bytes: &[u8]) -> Result<Self, CredentialError> {
        let wrapped = [br#"{"auths":"#, bytes, b"}"].concat();
        Self::parse(origin, &wrapped)
    }

    /// Allows to run the helpers that the file names.
    #[must_use]
    pub fn with_helpers(mut self, runner: Arc<dyn CredentialHelper>) -> Self {
        self.runner = Some(runner);
        self
    }

    /// The entry of `auths` with the longest key that is the name or a parent of it, by whole path components
    /// (containers-auth.json(5)).
    fn entry(&self, host: &str, repository: &str) -> Option<(&str, &Entry)> {
        let name = format!("{}/{repository}", normal_host(host));
        self.auths
            .iter()
            .filter(|(key, _, entry)| {
                let below = name.strip_prefix(key.as_str());
                !entry.is_empty() && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
            .max_by_key(|(key, ..)| key.len())
            .map(|(_, written, entry)| (written.as_str(), entry))
    }

    /// The helper for a host: its own before the one for all.
    fn helper(&self, host: &str) -> Option<&str> {
        let own = self.helpers.iter().find(|(key, _)| normal_key(key) == normal_host(host)).map(|(_, name)| name);
        own.or(self.store.as_ref()).map(String::as_str).filter(|name| !name.is_empty())
    }
}

impl Entry {
    fn is_empty(&self) -> bool {
        let none = |secret: &Option<Secret>| secret.as_ref().is_none_or(|s| s.expose().is_empty());
        none(&self.auth) && none(&self.password) && none(&self.identitytoken) && none(&self.registrytoken)
    }

    fn credential(&self) -> Result<Credential, &'static str> {
        let given = |secret: &Option<Secret>| secret.clone().filter(|s| !s.expose().is_empty());
        if let Some(token) = given(&self.registrytoken) {
            return Ok(Credential::Bearer(token));
        }
        let (username, password) = match given(&self.auth) {
            Some(auth) => decode_auth(auth.expose())?,
            None => {
                let password = given(&self.password).unwrap_or_else(|| Secret::new(String::new()));
                (self.username.clone().unwrap_or_default(), password)
            }
        };
        match given(&self.identitytoken) {
            Some(token) => Ok(Credential::Identity { username, token }),
            None => Ok(from_helper(username, password)),
        }
    }
}

fn decode_auth(auth: &str) -> Result<(String, Secret), &'static str> {
    let bytes = STANDARD.decode(auth.trim()).map_err(|_| "`auth` is not base64")?;
    let text = String::from_utf8(bytes).map_err(|_| "`auth` does not decode to text")?;
    let (username, password) = text.split_once(':').ok_or("`auth` does not decode to `user:password`")?;
    Ok((username.to_owned(), Secret::new(password.trim_end_matches('\0').to_owned())))
}

/// A user and a secret as helpers give them.
pub(super) fn from_helper(username: String, secret: Secret) -> Credential {
    if username == TOKEN_USER {
        Credential::Identity { username: String::new(), token: secret }
    } else {
        Credential::Basic { username, password: secret }
    }
}

pub(super) fn normal_host(host: &str) -> &str {
    match host {
        "index.docker.io" | "registry-1.docker.io" => HUB,
        other => other,
    }
}

/// A key without scheme and API version, Docker Hub under one name.
pub(super) fn normal_key(key: &str) -> String {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let bare = bare.trim_end_matches('/');
    let bare = bare.strip_suffix("/v1").or_else(|| bare.strip_suffix("/v2")).unwrap_or(bare);
    match bare.split_once('/') {
        Some((host, rest)) => format!("{}/{rest}", normal_host(host)),
        None => normal_host(bare).to_owned(),
    }
}

#[async_trait]
impl CredentialSource for DockerConfig {
    async fn find(&self, host: &str, repository: &str) -> Result<Option<Found>, CredentialError> {
        let mut failed = None;
        if let (Some(name), Some(runner)) = (self.helper(host), &self.runner) {
            let server = if normal_host(host) == HUB { HUB_KEY } else { host };
            match runner.get(name, server).await {
                Ok(Some(credential)) => {
                    let origin = format!("the credential helper `{name}` of `{}`", self.origin);
                    return Ok(Some(Found { credential, origin }));
                }
                Ok(None) => {}
                Err(error) => failed = Some(error),
            }
        }
        match (self.entry(host, repository), failed) {
            // A helper's failure does not hide what the file itself says, as Docker has it.
            (Some((key, entry)), _) => {
                let fail = |reason| CredentialError::Entry { origin: self.origin.clone(), key: key.to_owned(), reason };
                let credential = entry.credential().map_err(fail)?;
                Ok(Some(Found { credential, origin: format!("the entry `{key}` of `{}`", self.origin) }))
            }
            (None, Some(error)) => Err(error),
            (None, None) => Ok(None),
        }
    }

    fn name(&self) -> String {
        format!("`{}`", self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(user: &str, password: &str) -> Credential {
        Credential::Basic { username: user.into(), password: Secret::new(password.into()) }
    }

    async fn find(json: &str, host: &str, repository: &str) -> Option<Credential> {
        let config = DockerConfig::parse("test.json", json.as_bytes()).unwrap();
        config.find(host, repository).await.unwrap().map(|found| found.credential)
    }

    #[tokio::test]
    async fn keys() {
        // `dTpw` is `u:p`.
        for (key, host, repository, hit) in [
            ("r.example", "r.example", "a/b", true),
            ("https://r.example", "r.example", "a", true),
            ("https://r.example/v1/", "r.example", "a", true),
            ("https://r.example/v2/", "r.example", "a", true),
            ("r.example:5000", "r.example", "a", false),
            ("r.example", "r.example:5000", "a", false),
            ("r.example", "r.example.evil", "a", false),
            ("r.example/a", "r.example", "a/b", true),
            ("r.example/a", "r.example", "ab", false),
            ("https://index.docker.io/v1/", "docker.io", "library/x", true),
            ("index.docker.io", "docker.io", "library/x", true),
            ("docker.io", "docker.io", "library/x", true),
            ("registry-1.docker.io", "docker.io", "library/x", true),
        ] {
            let json = format!("{{\"auths\":{{\"{key}\":{{\"auth\":\"dTpw\"}}}}}}");
            let want = hit.then(|| basic("u", "p"));
            assert_eq!(find(&json, host, repository).await, want, "{key} {host}/{repository}");
        }
    }

    #[tokio::test]
    async fn the_longest_namespace_wins() {
        let json = r#"{"auths":{"r.io":{"username":"a","password":"1"},"r.io/x/y":{"username":"b","password":"2"},
            "r.io/x":{"username":"c","password":"3"},"r.io/x/y/z":{}}}"#;
        assert_eq!(find(json, "r.io", "w").await, Some(basic("a", "1")));
        assert_eq!(find(json, "r.io", "x/q").await, Some(basic("c", "3")));
        assert_eq!(find(json, "r.io", "x/y/z").await, Some(basic("b", "2")));
    }

    #[tokio::test]
    async fn kinds_of_entries() {
        let entry = |inner: &str| format!("{{\"auths\":{{\"r.io\":{{{inner}}}}}}}");
        for (inner, want) in [
            (r#""auth":"dTpwOnE=""#, Some(basic("u", "p:q"))),
            (r#""auth":"","username":"u","password":"p""#, Some(basic("u", "p"))),
            ("", None),
            (r#""auth":"""#, None),
            (
                r#""auth":"dTo=","identitytoken":"t""#,
                Some(Credential::Identity { username: "u".into(), token: Secret::new("t".into()) }),
            ),
            (r#""registrytoken":"t""#, Some(Credential::Bearer(Secret::new("t".into())))),
            (
                r#""username":"<token>","password":"t""#,
                Some(Credential::Identity { username: String::new(), token: Secret::new("t".into()) }),
            ),
        ] {
            assert_eq!(find(&entry(inner), "r.io", "a").await, want, "{inner}");
        }
    }

    #[tokio::test]
    async fn errors_tell_the_place_and_no_secret() {
        let config = |json: &str| DockerConfig::parse("f.json", json.as_bytes());
        let error = config(r#"{"auths":{"r.io":{"auth":"dTpw","password":"hunter2" x"#).unwrap_err().to_string();
        assert_eq!(error, "`f.json` is not a valid auth file: it is not JSON (line 1, column 54)");
        let error = config(r#"{"auths":{"r.io":"hunter2"}}"#).unwrap_err().to_string();
        assert!(error.contains("wrong type") && !error.contains("hunter2"), "{error}");
        for (auth, want) in [("hunter2!", "not base64"), ("aHVudGVyMg==", "user:password"), ("/w==", "text")] {
            let config = config(&format!("{{\"auths\":{{\"r.io\":{{\"auth\":\"{auth}\"}}}}}}")).unwrap();
            let error = config.find("r.io", "a").await.unwrap_err().to_string();
            assert!(error.contains(want) && !error.contains("hunter2"), "{error}");
        }
        assert!(config("{}").is_ok() && config(r#"{"auths":null,"credHelpers":null}"#).is_ok());
    }

    struct Table(Result<Option<Credential>, ()>);

    #[async_trait]
    impl CredentialHelper for Table {
        async fn get(&self, helper: &str, server: &str) -> Result<Option<Credential>, CredentialError> {
            assert_eq!((helper, server), ("desk", HUB_KEY));
            self.0.clone().map_err(|()| CredentialError::HelperAbsent(helper.to_owned()))
        }
    }

    #[tokio::test]
    async fn helpers_before_entries_and_only_when_allowed() {
        let json = r#"{"credsStore":"other","credHelpers":{"https://index.docker.io/v1/":"desk"},
            "auths":{"docker.io":{"auth":"dTpw"}}}"#;
        let config = DockerConfig::parse("f.json", json.as_bytes()).unwrap();
        let ask = async |config: &DockerConfig| config.find("docker.io", "a/b").await;
        assert_eq!(ask(&config).await.unwrap().unwrap().credential, basic("u", "p"));
        let with = |answer| config.clone().with_helpers(Arc::new(Table(answer)));
        let found = ask(&with(Ok(Some(basic("h", "s"))))).await.unwrap().unwrap();
        assert_eq!(
            (found.credential, found.origin.as_str()),
            (basic("h", "s"), "the credential helper `desk` of `f.json`")
        );
        assert_eq!(ask(&with(Ok(None))).await.unwrap().unwrap().credential, basic("u", "p"));
        assert_eq!(ask(&with(Err(()))).await.unwrap().unwrap().credential, basic("u", "p"));
        let alone = DockerConfig::parse("f.json", br#"{"credsStore":"desk"}"#).unwrap();
        assert!(ask(&alone.with_helpers(Arc::new(Table(Err(()))))).await.is_err());
    }
}
