//! Authorization of requests to one registry: no ping, the kept token first, the challenge when it does not do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::challenge::{Challenge, parse_challenges};
use super::host::Host;
use super::token::{self, Cache, Key, Service, Token};
use super::{Credential, Error, Found};
use crate::limits;
use crate::net::{Origin, Reach, Request, Response, StatusCode, header, resolve_link};
use crate::oci::{RedactedUrl, Secret};

/// What a request needs: the repository whose credential counts, and scopes of the token specification.
#[derive(Debug, Clone)]
pub(super) struct Wants {
    pub(super) repository: String,
    pub(super) scopes: BTreeSet<String>,
}

impl Wants {
    pub(super) fn pull(repository: &str) -> Self {
        Self { repository: repository.to_owned(), scopes: BTreeSet::from([format!("repository:{repository}:pull")]) }
    }

    /// No repository at all.
    pub(super) const fn nothing() -> Self {
        Self { repository: String::new(), scopes: BTreeSet::new() }
    }

    pub(super) fn push(repository: &str) -> Self {
        let scopes = BTreeSet::from([format!("repository:{repository}:pull,push")]);
        Self { repository: repository.to_owned(), scopes }
    }

    /// Reading from another repository as well, for mounts.
    pub(super) fn and_pull(mut self, other: &str) -> Self {
        self.scopes.insert(format!("repository:{other}:pull"));
        self
    }
}

/// How the registry wants to be spoken to, as far as it has said.
#[derive(Debug, Clone, Default)]
enum Scheme {
    #[default]
    Unknown,
    Basic,
    Bearer(Service),
}

/// What one attempt may send.
#[derive(Default)]
pub(super) struct Grant {
    pub(super) header: Option<Secret>,
    /// The bearer token inside, to recognise it when it has gone stale.
    token: Option<Secret>,
    /// Whether the token was fetched for this very attempt.
    fresh: bool,
}

/// The state of authorization with one registry.
#[derive(Default)]
pub(super) struct Auth {
    scheme: Mutex<Scheme>,
    tokens: Cache,
    found: Mutex<BTreeMap<String, Arc<OnceCell<Option<Found>>>>>,
}

impl Auth {
    /// The credential for a repository; each source is asked once.
    pub(super) async fn credential(&self, host: &Host, repository: &str) -> Result<Option<Found>, Error> {
        let cell = {
            let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(found.entry(repository.to_owned()).or_default())
        };
        let found = cell.get_or_try_init(|| host.credentials.find(&host.name, repository)).await?;
        Ok(found.clone())
    }

    fn scheme(&self) -> Scheme {
        self.scheme.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_scheme(&self, scheme: Scheme) {
        *self.scheme.lock().unwrap_or_else(PoisonError::into_inner) = scheme;
    }

    /// What to send now. `refused` is the grant that the registry has just refused.
    pub(super) async fn grant(&self, host: &Host, wants: &Wants, refused: Option<&Grant>) -> Result<Grant, Error> {
        let found = self.credential(host, &wants.repository).await?;
        if let Some(Found { credential: Credential::Bearer(token), .. }) = &found {
            return Ok(Grant { header: Some(bearer(token)), token: Some(token.clone()), fresh: true });
        }
        match self.scheme() {
            Scheme::Unknown => Ok(Grant::default()),
            Scheme::Basic => {
                let header = found.as_ref().and_then(|f| token::basic_of(&f.credential));
                Ok(Grant { header, token: None, fresh: true })
            }
            Scheme::Bearer(service) => {
                let key = Key {
                    realm: service.realm.to_string(),
                    service: service.service.clone(),
                    scopes: wants.scopes.clone(),
                };
                let fresh = AtomicBool::new(false);
                let stale = refused.and_then(|grant| grant.token.as_ref());
                let fetch = async {
                    fresh.store(true, Ordering::Relaxed);
                    fetch(host, &service, &wants.scopes, found.as_ref()).await
                };
                let token = self.tokens.get(&key, stale, fetch).await?;
                Ok(Grant { header: Some(bearer(&token)), token: Some(token), fresh: fresh.load(Ordering::Relaxed) })
            }
        }
    }

    /// Learns from a 401. True when another attempt makes sense; the scopes that the registry asks for are then in
    /// `wants`.
    pub(super) async fn challenged(
        &self,
        host: &Host,
        response: &Response,
        sent: &Grant,
        wants: &mut Wants,
    ) -> Result<bool, Error> {
        let challenges: Vec<Challenge> = response
            .headers()
            .get_all(header::WWW_AUTHENTICATE)
            .iter()
            .take(limits::MAX_CHALLENGE_PARAMETERS)
            .filter_map(|line| line.to_str().ok())
            .flat_map(parse_challenges)
            .collect();
        let found = self.credential(host, &wants.repository).await?;
        if matches!(found, Some(Found { credential: Credential::Bearer(_), .. })) {
            return Ok(false);
        }
        let by_bearer = challenges.iter().find(|c| c.scheme == "bearer" && c.parameter("realm").is_some());
        if let Some(challenge) = by_bearer {
            let asked = challenge.parameter("scope").unwrap_or_default().split_ascii_whitespace();
            let before = wants.scopes.len();
            let missing: Vec<String> =
                asked.filter(|scope| !covered(&wants.scopes, scope)).map(str::to_owned).collect();
            wants.scopes.extend(missing);
            self.set_scheme(Scheme::Bearer(service_of(challenge, response)?));
            let grew = wants.scopes.len() > before;
            return Ok(sent.token.is_none() || !sent.fresh || grew);
        }
        if challenges.iter().any(|c| c.scheme == "basic") {
            self.set_scheme(Scheme::Basic);
            return Ok(found.is_some() && sent.header.is_none());
        }
        if challenges.is_empty() {
            return Ok(false);
        }
        let schemes: Vec<&str> = challenges.iter().map(|c| c.scheme.as_str()).collect();
        Err(Error::Challenge { host: host.name.clone(), schemes: super::error::printable(&schemes.join(", ")) })
    }
}

fn bearer(token: &Secret) -> Secret {
    Secret::new(format!("Bearer {}", token.expose()))
}

/// Whether a scope that the registry asks for is among those wanted, with the same or more actions.
fn covered(wanted: &BTreeSet<String>, asked: &str) -> bool {
    let Some((resource, actions)) = asked.rsplit_once(':') else { return wanted.contains(asked) };
    wanted.iter().any(|scope| {
        scope.rsplit_once(':').is_some_and(|(own, granted)| {
            own == resource && actions.split(',').all(|action| granted.split(',').any(|g| g == action))
        })
    })
}

fn service_of(challenge: &Challenge, response: &Response) -> Result<Service, Error> {
    let realm = resolve_link(response.url(), challenge.parameter("realm").unwrap_or_default())?;
    let same = Origin::of(&realm) == Origin::of(response.url());
    let reach = if same { Reach::Anywhere } else { response.reach_of_links() };
    Ok(Service { realm, service: challenge.parameter("service").map(str::to_owned), reach })
}

async fn fetch(
    host: &Host,
    service: &Service,
    scopes: &BTreeSet<String>,
    found: Option<&Found>,
) -> Result<Token, Error> {
    let outcome = async {
        if let Some(Found { credential: Credential::Identity { token: refresh, .. }, .. }) = found {
            match ask(host, token::refresh_request(service, scopes, refresh), found).await {
                // Services without OAuth2 take the token as a password.
                Err(error)
                    if error.is_status(StatusCode::NOT_FOUND) || error.is_status(StatusCode::METHOD_NOT_ALLOWED) => {}
                outcome => return outcome,
            }
        }
        let basic = found.and_then(|f| token::basic_of(&f.credential));
        ask(host, token::get_request(service, scopes, basic), found).await
    };
    outcome.await.map_err(|source| {
        let scope: Vec<&str> = scopes.iter().map(String::as_str).collect();
        Error::Token {
            realm: RedactedUrl::new(service.realm.clone()),
            scope: scope.join(" "),
            credential: found.map_or_else(|| "no credential".to_owned(), |f| f.origin.clone()),
            source: Box::new(source),
        }
    })
}

async fn ask(host: &Host, request: Request, found: Option<&Found>) -> Result<Token, Error> {
    let mut response = host.send_plain(request, found.map(|f| f.origin.as_str())).await?;
    let bytes = response.bytes(limits::MAX_TOKEN_BYTES).await?;
    token::parse(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_cover_each_other() {
        let wanted = BTreeSet::from(["repository:a/b:pull,push".to_owned()]);
        for (asked, want) in [
            ("repository:a/b:pull", true),
            ("repository:a/b:push,pull", true),
            ("repository:a/b:delete", false),
            ("repository:a:pull", false),
            ("registry:catalog:*", false),
            ("odd", false),
        ] {
            assert_eq!(covered(&wanted, asked), want, "{asked}");
        }
    }
}
