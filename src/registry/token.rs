//! Bearer tokens: asking the token service, and keeping what it gave (distribution's token and OAuth2 specifications).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use url::{Url, form_urlencoded};

use super::{Credential, Error};
use crate::net::{Method, Payload, Reach, Request, header};
use crate::oci::Secret;

/// Valid for this long when the service does not say (token specification: 60 seconds).
const DEFAULT_SECONDS: u64 = 60;

/// Renewed this long before the end, so that it does not expire on the way.
const EARLY: Duration = Duration::from_secs(30);

/// Longest time a token is kept, whatever the service says.
const MAX_SECONDS: u64 = 24 * 3600;

/// The client name that OAuth2 asks for.
const CLIENT_ID: &str = "coracle";

/// Where tokens come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) realm: Url,
    pub(super) service: Option<String>,
    /// How far the realm may reach, by who named it.
    pub(super) reach: Reach,
}

/// What one token is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) realm: String,
    pub(super) service: Option<String>,
    pub(super) scopes: BTreeSet<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) secret: Secret,
    renew: Instant,
}

impl Token {
    fn is_fresh(&self) -> bool {
        Instant::now() < self.renew
    }
}

type Slot = Arc<tokio::sync::Mutex<Option<Token>>>;

/// Tokens by key. One fetch at a time per key; the others wait for it.
#[derive(Default)]
pub(super) struct Cache(Mutex<BTreeMap<Key, Slot>>);

impl Cache {
    fn slot(&self, key: &Key) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(key.clone()).or_default())
    }

    /// The kept token, or the one that `fetch` brings. `stale` is a token that the registry has just refused.
    pub(super) async fn get<F>(&self, key: &Key, stale: Option<&Secret>, fetch: F) -> Result<Secret, Error>
    where
        F: Future<Output = Result<Token, Error>>,
    {
        let slot = self.slot(key);
        let mut kept = slot.lock().await;
        if let Some(token) = kept.as_ref().filter(|t| t.is_fresh() && Some(&t.secret) != stale) {
            return Ok(token.secret.clone());
        }
        *kept = None;
        let token = fetch.await?;
        let secret = token.secret.clone();
        *kept = Some(token);
        Ok(secret)
    }
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    token: Option<Secret>,
    #[serde(default)]
    access_token: Option<Secret>,
    #[serde(default)]
    expires_in: Option<u64>,
}

/// Reads the service's answer.
pub(super) fn parse(bytes: &[u8]) -> Result<Token, Error> {
    let fail = |reason: &str| Error::TokenDocument { reason: reason.to_owned() };
    // Not the parser's own words, which may quote a token.
    let document: Document = serde_json::from_slice(bytes).map_err(|_| fail("it is not the JSON of a token"))?;
    let given = |secret: Option<Secret>| secret.filter(|s| !s.expose().is_empty());
    let secret = given(document.token).or(given(document.access_token)).ok_or_else(|| fail("it holds no token"))?;
    if !secret.expose().bytes().all(|b| (0x21..0x7f).contains(&b)) {
        return Err(fail("the token has characters that cannot stand in a header"));
    }
    let seconds = document.expires_in.filter(|s| *s > 0).unwrap_or(DEFAULT_SECONDS).min(MAX_SECONDS);
    let valid = Duration::from_secs(seconds);
    Ok(Token { secret, renew: Instant::now() + valid - EARLY.min(valid / 2) })
}

/// `GET realm?service=…&scope=…` with or without Basic authorization.
pub(super) fn get_request(service: &Service, scopes: &BTreeSet<String>, basic: Option<Secret>) -> Request {
    let mut url = service.realm.clone();
    {
        let mut query = url.query_pairs_mut();
        if let Some(name) = &service.service {
            query.append_pair("service", name);
        }
        for scope in scopes {
            query.append_pair("scope", scope);
        }
    }
    if url.query() == Some("") {
        url.set_query(None);
    }
    Request { authorization: basic, reach: service.reach, ..Request::new(Method::GET, url) }
}

/// `POST realm` with a refresh token.
pub(super) fn refresh_request(service: &Service, scopes: &BTreeSet<String>, refresh: &Secret) -> Request {
    let scope: Vec<&str> = scopes.iter().map(String::as_str).collect();
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "refresh_token")
        .append_pair("service", service.service.as_deref().unwrap_or_default())
        .append_pair("client_id", CLIENT_ID)
        .append_pair("scope", &scope.join(" "))
        .append_pair("refresh_token", refresh.expose());
    let mut request = Request::new(Method::POST, service.realm.clone());
    request.reach = service.reach;
    request.body = Payload::Bytes(Bytes::from(form.finish()));
    let kind = header::HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers.insert(header::CONTENT_TYPE, kind);
    request
}

/// The value of `Authorization` for user and password (RFC 7617).
pub(super) fn basic(username: &str, password: &Secret) -> Secret {
    Secret::new(format!("Basic {}", STANDARD.encode(format!("{username}:{}", password.expose()))))
}

/// What Basic authorization a credential gives.
pub(super) fn basic_of(credential: &Credential) -> Option<Secret> {
    match credential {
        Credential::Basic { username, password } => Some(basic(username, password)),
        Credential::Identity { username, token } => Some(basic(username, token)),
        Credential::Bearer(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let secret =
            |json: &str| parse(json.as_bytes()).map(|t| t.secret.expose().to_owned()).map_err(|e| e.to_string());
        assert_eq!(secret(r#"{"token":"a","access_token":"b"}"#), Ok("a".into()));
        assert_eq!(secret(r#"{"token":"","access_token":"b","issued_at":"x"}"#), Ok("b".into()));
        for (json, want) in [("{}", "holds no token"), ("[", "not the JSON"), ("{\"token\":\"a\\nb\"}", "header")] {
            assert!(secret(json).unwrap_err().contains(want), "{json}");
        }
        assert!(parse(br#"{"token":"a","expires_in":0}"#).unwrap().is_fresh());
        assert!(parse(format!(r#"{{"token":"a","expires_in":{}}}"#, u64::MAX).as_bytes()).unwrap().is_fresh());
    }

    #[test]
    fn requests() {
        let service = Service {
            realm: Url::parse("https://a.example/token?x=1").unwrap(),
            service: Some("s t".into()),
            reach: Reach::PublicOnly,
        };
        let scopes = BTreeSet::from(["repository:a:pull".to_owned(), "repository:b:pull,push".to_owned()]);
        let request = get_request(&service, &scopes, None);
        assert_eq!(
            request.url.as_str(),
            "https://a.example/token?x=1&service=s+t&scope=repository%3Aa%3Apull&scope=repository%3Ab%3Apull%2Cpush"
        );
        assert_eq!(request.reach, Reach::PublicOnly);
        let request = refresh_request(&service, &scopes, &Secret::new("r&r".into()));
        let Payload::Bytes(form) = &request.body else { panic!("no form") };
        assert_eq!(
            std::str::from_utf8(form).unwrap(),
            "grant_type=refresh_token&service=s+t&client_id=coracle&\
             scope=repository%3Aa%3Apull+repository%3Ab%3Apull%2Cpush&refresh_token=r%26r"
        );
    }
}
