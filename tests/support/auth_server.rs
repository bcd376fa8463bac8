//! A token service, and a registry that wants its tokens.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::scripted::{Answer, Scripted, Seen, error};

/// What token service and registry share.
#[derive(Default)]
pub struct Tokens {
    issued: AtomicUsize,
    valid: Mutex<BTreeSet<(String, String)>>,
    /// Uses of a token before it runs out; 0 is without end.
    pub uses: AtomicUsize,
    used: AtomicUsize,
}

impl Tokens {
    fn issue(&self, scopes: &[String]) -> String {
        let token = format!("token-{}", self.issued.fetch_add(1, Ordering::SeqCst));
        self.used.store(0, Ordering::SeqCst);
        let mut valid = self.valid.lock().unwrap();
        if self.uses.load(Ordering::SeqCst) > 0 {
            valid.clear();
        }
        valid.extend(scopes.iter().map(|scope| (token.clone(), scope.clone())));
        token
    }

    /// How many were issued.
    pub fn issued(&self) -> usize {
        self.issued.load(Ordering::SeqCst)
    }

    fn admits(&self, token: &str, scope: &str) -> bool {
        let uses = self.uses.load(Ordering::SeqCst);
        let used = self.used.fetch_add(1, Ordering::SeqCst);
        (uses == 0 || used < uses)
            && self.valid.lock().unwrap().iter().any(|(known, granted)| known == token && grants(granted, scope))
    }
}

/// Whether `repository:a:pull,push` grants `repository:a:pull`.
fn grants(granted: &str, wanted: &str) -> bool {
    let (resource, actions) = granted.rsplit_once(':').unwrap();
    let (wanted_resource, wanted_actions) = wanted.rsplit_once(':').unwrap();
    resource == wanted_resource && wanted_actions.split(',').all(|w| actions.split(',').any(|a| a == w))
}

/// Decodes the query or form that the client sent.
pub fn pairs(text: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

/// A token service. `accept` says whether a request may have a token; otherwise the answer it gives is sent.
pub fn token_service(
    tokens: &Arc<Tokens>,
    accept: impl Fn(&Seen) -> Option<Answer> + Send + Sync + 'static,
) -> Scripted {
    let tokens = Arc::clone(tokens);
    Scripted::start(move |seen, _| {
        if let Some(refusal) = accept(seen) {
            return Some(refusal);
        }
        let query = seen.target.split_once('?').map_or("", |(_, query)| query).to_owned();
        let form = String::from_utf8(seen.body.clone()).unwrap();
        let scopes: Vec<String> = pairs(&query)
            .into_iter()
            .chain(pairs(&form))
            .filter(|(key, _)| key == "scope")
            .flat_map(|(_, value)| value.split(' ').map(str::to_owned).collect::<Vec<_>>())
            .collect();
        let token = tokens.issue(&scopes);
        Some(Answer::new(200, &format!(r#"{{"token":"{token}","expires_in":300}}"#)))
    })
}

/// A registry that wants tokens of the service at `realm`.
pub fn guarded(tokens: &Arc<Tokens>, realm: &str) -> Scripted {
    let (tokens, realm) = (Arc::clone(tokens), realm.to_owned());
    Scripted::start(move |seen, _| {
        let repository = seen.target.strip_prefix("/v2/").unwrap().split('/').next().unwrap().to_owned();
        let actions = if matches!(seen.method.as_str(), "GET" | "HEAD") { "pull" } else { "pull,push" };
        let scope = format!("repository:{repository}:{actions}");
        let token = seen.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        if token.is_some_and(|token| tokens.admits(token, &scope)) {
            return None;
        }
        let challenge = format!("Bearer realm=\"http://{realm}/token\",service=\"registry.test\",scope=\"{scope}\"");
        Some(error(401, "UNAUTHORIZED", "authentication required").with("WWW-Authenticate", &challenge))
    })
}
