//! Where credentials come from.

use std::sync::Arc;

use async_trait::async_trait;

use super::CredentialError;
use crate::oci::Secret;

/// What proves to a registry who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// User and password.
    Basic {
        /// User.
        username: String,
        /// Password.
        password: Secret,
    },
    /// An OAuth refresh token, which the token service changes into access tokens.
    Identity {
        /// The user that stands beside it, often empty.
        username: String,
        /// The refresh token.
        token: Secret,
    },
    /// A bearer token that is sent to the registry as it is.
    Bearer(Secret),
}

/// A credential and who had it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The credential.
    pub credential: Credential,
    /// For people, for example ``the entry `ghcr.io` of `/home/u/.docker/config.json` ``.
    pub origin: String,
}

/// Something that may know the credential of a registry.
#[async_trait]
pub trait CredentialSource: Send + Sync {
    /// The credential for a repository of a host, both as in a reference; `None` when this source has none, so that
    /// the next one is asked.
    async fn find(&self, host: &str, repository: &str) -> Result<Option<Found>, CredentialError>;

    /// What it is, for people, for example the path of a file.
    fn name(&self) -> String;

    /// Why it is not there, for one that only stands for what was looked for.
    fn absent(&self) -> Option<&str> {
        None
    }
}

/// What became of one source when a credential was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// It answered; where in it the credential stands. Later sources are not asked.
    Answered(String),
    /// It has none for this registry.
    Nothing,
    /// It is not there: why.
    Absent(String),
    /// It failed, which ends the search: its error.
    Failed(String),
}

/// A source that is not there; it stands in the chain so that the search can be told.
#[derive(Debug, Clone)]
pub struct AbsentSource {
    name: String,
    reason: String,
}

impl AbsentSource {
    /// A source of this name, and why it is not there.
    #[must_use]
    pub fn new(name: &str, reason: &str) -> Self {
        Self { name: name.to_owned(), reason: reason.to_owned() }
    }
}

#[async_trait]
impl CredentialSource for AbsentSource {
    async fn find(&self, _: &str, _: &str) -> Result<Option<Found>, CredentialError> {
        Ok(None)
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn absent(&self) -> Option<&str> {
        Some(&self.reason)
    }
}

/// Sources that are asked in order; the first that has a credential counts. An empty chain is anonymous.
#[derive(Clone, Default)]
pub struct CredentialChain(Vec<Arc<dyn CredentialSource>>);

impl CredentialChain {
    /// A chain of these sources.
    #[must_use]
    pub fn new(sources: Vec<Arc<dyn CredentialSource>>) -> Self {
        Self(sources)
    }

    /// Each source in order and what it said, up to the one that answers. No secret is in it.
    pub async fn explain(&self, host: &str, repository: &str) -> Vec<(String, Asked)> {
        let mut out = Vec::new();
        for source in &self.0 {
            let asked = match (source.absent(), source.find(host, repository).await) {
                (Some(reason), _) => Asked::Absent(reason.to_owned()),
                (None, Ok(Some(found))) => Asked::Answered(found.origin),
                (None, Ok(None)) => Asked::Nothing,
                (None, Err(error)) => Asked::Failed(error.to_string()),
            };
            let last = matches!(asked, Asked::Answered(_) | Asked::Failed(_));
            out.push((source.name(), asked));
            if last {
                break;
            }
        }
        out
    }

    /// No credentials at all.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::default()
    }
}

#[async_trait]
impl CredentialSource for CredentialChain {
    async fn find(&self, host: &str, repository: &str) -> Result<Option<Found>, CredentialError> {
        for source in &self.0 {
            if let Some(found) = source.find(host, repository).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn name(&self) -> String {
        self.0.iter().map(|source| source.name()).collect::<Vec<_>>().join(", ")
    }
}

/// One credential for one host, or for every host.
#[derive(Debug, Clone)]
pub struct Fixed {
    host: Option<String>,
    found: Found,
}

impl Fixed {
    /// A credential for `host`. `None` means every host: for a user who names one registry and its password.
    #[must_use]
    pub fn new(host: Option<&str>, credential: Credential, origin: &str) -> Self {
        Self { host: host.map(str::to_owned), found: Found { credential, origin: origin.to_owned() } }
    }
}

#[async_trait]
impl CredentialSource for Fixed {
    async fn find(&self, host: &str, _: &str) -> Result<Option<Found>, CredentialError> {
        let matches = self.host.as_deref().is_none_or(|own| own == host);
        Ok(matches.then(|| self.found.clone()))
    }

    fn name(&self) -> String {
        self.found.origin.clone()
    }
}
