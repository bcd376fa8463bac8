//! Tokens, passwords, and where they may go.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use coracle::net::{Environment, Options, Proxies};
use coracle::oci::{Digest, Secret};
use coracle::registry::{Credential, CredentialChain, Fixed, Registry};
use coracle::store::{Pointer, Store};

use crate::auth_server::{Tokens, guarded, pairs, token_service};
use crate::registry_client::{Watch, client_with, reference, report};
use crate::sample::{pull_and_compare, push, sample};
use crate::scripted::{Answer, Scripted, Seen, error};

/// `Basic` of `ada:correct-horse`.
const BASIC: &str = "Basic YWRhOmNvcnJlY3QtaG9yc2U=";

fn with(credential: Credential, spool: &std::path::Path) -> Registry {
    client_with(CredentialChain::new(vec![Arc::new(Fixed::new(None, credential, "`test.json`"))]), spool)
}

fn password() -> Credential {
    Credential::Basic { username: "ada".into(), password: Secret::new("correct-horse".into()) }
}

fn identity() -> Credential {
    Credential::Identity { username: String::new(), token: Secret::new("refresh-me".into()) }
}

fn query(seen: &Seen) -> Vec<(String, String)> {
    pairs(seen.target.split_once('?').unwrap().1)
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

/// Passwords, refresh tokens and access tokens of a push and a pull are in no trace; that they are where the trace looks, the
/// registry and the token service say.
#[tokio::test]
async fn a_trace_shows_every_exchange_and_no_secret() {
    for credential in [password(), identity()] {
        let tokens = Arc::new(Tokens::default());
        tokens.uses.store(3, Ordering::SeqCst);
        let service = token_service(&tokens, |_| None);
        let registry = guarded(&tokens, &service.host());
        let spool = tempfile::tempdir().unwrap();
        let chain = CredentialChain::new(vec![Arc::new(Fixed::new(None, credential, "`test.json`"))]);
        let options = Options { trace: true, ..Options::default() };
        let (client, watch) = Watch::client_in(Environment::default(), options, chain, spool.path());
        let repository = client.repository(&reference(&registry.host(), "a")).unwrap();
        let sample = sample(3, 1000);
        push(&repository, &sample, "v1").await;
        pull_and_compare(&repository, &sample, "v1").await;
        let trace = watch.messages();
        let seen: Vec<Seen> = registry.seen().into_iter().chain(service.seen()).collect();
        assert_eq!(trace.len(), seen.len(), "one block for each exchange");
        let trace = trace.join("\n");
        let sent: Vec<String> =
            seen.iter().filter_map(|seen| seen.header("authorization")).map(str::to_owned).collect();
        assert!(sent.iter().any(|value| value.starts_with("Bearer token-")), "{sent:?}");
        let bodies: String = seen.iter().map(|seen| String::from_utf8_lossy(&seen.body).into_owned()).collect();
        assert!(sent.contains(&BASIC.to_owned()) || bodies.contains("refresh-me"), "no secret was sent at all");
        for secret in ["correct-horse", "YWRhOmNvcnJlY3QtaG9yc2U", "refresh-me", "token-"] {
            assert!(!trace.contains(secret), "{secret} shows in:\n{trace}");
        }
        for part in [
            "authorization: Bearer [redacted]",
            "HEAD http://",
            "< 201 Created after",
            "www-authenticate: Bearer realm",
        ] {
            assert!(trace.contains(part), "{part} is not in:\n{trace}");
        }
    }
}

#[tokio::test]
async fn anonymous_tokens_one_per_scope() {
    let tokens = Arc::new(Tokens::default());
    let service = token_service(&tokens, |_| None);
    let registry = guarded(&tokens, &service.host());
    let spool = tempfile::tempdir().unwrap();
    let client = client_with(CredentialChain::anonymous(), spool.path());
    let repository = client.repository(&reference(&registry.host(), "a")).unwrap();
    let sample = sample(1, 1000);
    push(&repository, &sample, "v1").await;
    pull_and_compare(&repository, &sample, "v1").await;
    assert_eq!(tokens.issued(), 2, "one for push, one for pull: {:?}", service.lines());
    let asked = &service.seen()[0];
    assert_eq!(query(asked), [pair("service", "registry.test"), pair("scope", "repository:a:pull,push")]);
    assert_eq!(asked.header("authorization"), None);
}

#[tokio::test]
async fn the_password_goes_to_the_token_service_only() {
    let tokens = Arc::new(Tokens::default());
    let service = token_service(&tokens, |seen| {
        (seen.header("authorization") != Some(BASIC)).then(|| error(401, "UNAUTHORIZED", "wrong password"))
    });
    let registry = guarded(&tokens, &service.host());
    let spool = tempfile::tempdir().unwrap();
    let sample = sample(2, 1000);
    let repository = with(password(), spool.path()).repository(&reference(&registry.host(), "a")).unwrap();
    push(&repository, &sample, "v1").await;
    assert!(registry.seen().iter().all(|seen| seen.header("authorization") != Some(BASIC)));

    let wrong = Credential::Basic { username: "ada".into(), password: Secret::new("hunter2".into()) };
    let repository = with(wrong, spool.path()).repository(&reference(&registry.host(), "a")).unwrap();
    let told = report(&repository.get_manifest(&Pointer::Tag("v1".parse().unwrap())).await.unwrap_err());
    let (realm, host) = (format!("http://{}/token", service.host()), registry.host());
    assert_eq!(
        told,
        format!(
            "{host}/a failed\n\
             caused by: no token from `{realm}` for `repository:a:pull` with `test.json`\n\
             caused by: `GET {realm}?service=registry.test&scope=repository%3Aa%3Apull` was answered `401 \
             Unauthorized`: UNAUTHORIZED: wrong password\n\
             hint: the registry does not accept `test.json`: log in again"
        )
    );
}

#[tokio::test]
async fn identity_tokens_are_posted_and_fall_back_to_a_password() {
    let spool = tempfile::tempdir().unwrap();
    let sample = sample(3, 1000);
    for post_works in [true, false] {
        let tokens = Arc::new(Tokens::default());
        let service = token_service(&tokens, move |seen| {
            let accepted = match seen.method.as_str() {
                "POST" => post_works,
                // `Basic` of `:refresh-me`.
                _ => seen.header("authorization") == Some("Basic OnJlZnJlc2gtbWU="),
            };
            (!accepted).then(|| Answer::new(404, ""))
        });
        let registry = guarded(&tokens, &service.host());
        let repository = with(identity(), spool.path()).repository(&reference(&registry.host(), "a")).unwrap();
        push(&repository, &sample, "v1").await;
        let asked = &service.seen()[0];
        assert_eq!(asked.line(), "POST /token");
        let form = String::from_utf8(asked.body.clone()).unwrap();
        let want = [
            pair("grant_type", "refresh_token"),
            pair("service", "registry.test"),
            pair("client_id", "coracle"),
            pair("scope", "repository:a:pull,push"),
            pair("refresh_token", "refresh-me"),
        ];
        assert_eq!(if post_works { pairs(&form) } else { want.to_vec() }, want);
    }
}

#[tokio::test]
async fn a_registry_token_is_sent_as_it_is() {
    let registry = Scripted::start(|seen, _| {
        (seen.header("authorization") != Some("Bearer raw")).then(|| error(401, "UNAUTHORIZED", "no"))
    });
    let spool = tempfile::tempdir().unwrap();
    let client = with(Credential::Bearer(Secret::new("raw".into())), spool.path());
    push(&client.repository(&reference(&registry.host(), "a")).unwrap(), &sample(4, 1000), "v1").await;
    assert_eq!(registry.seen().len(), 13, "no request was refused");
}

#[tokio::test]
async fn a_token_that_runs_out_is_renewed_in_the_middle() {
    for uses in 1..=4 {
        let tokens = Arc::new(Tokens::default());
        tokens.uses.store(uses, Ordering::SeqCst);
        let service = token_service(&tokens, |_| None);
        let registry = guarded(&tokens, &service.host());
        let spool = tempfile::tempdir().unwrap();
        let client = client_with(CredentialChain::anonymous(), spool.path());
        let repository = client.repository(&reference(&registry.host(), "a")).unwrap();
        let sample = sample(5, 200_000);
        push(&repository, &sample, "v1").await;
        assert_eq!(tokens.issued(), 13usize.div_ceil(uses), "{uses} uses each");
        assert_eq!(registry.state().manifests["v1"].1, sample.manifest.bytes());
    }
}

#[tokio::test]
async fn parallel_requests_share_one_token() {
    let tokens = Arc::new(Tokens::default());
    let service = token_service(&tokens, |_| None);
    let registry = guarded(&tokens, &service.host());
    let spool = tempfile::tempdir().unwrap();
    let client = client_with(CredentialChain::anonymous(), spool.path());
    let repository = client.repository(&reference(&registry.host(), "a")).unwrap();
    let asks: Vec<_> = (0..16u8)
        .map(|n| {
            let repository = repository.clone();
            tokio::spawn(async move { repository.has_blob(&Digest::of(&[n])).await.unwrap() })
        })
        .collect();
    for ask in asks {
        assert_eq!(ask.await.unwrap(), None);
    }
    assert_eq!(tokens.issued(), 1);
}

#[tokio::test]
async fn trouble_of_the_token_service_is_told_and_retried() {
    let tokens = Arc::new(Tokens::default());
    let service = token_service(&tokens, |_| Some(Answer::new(503, "maintenance")));
    let registry = guarded(&tokens, &service.host());
    let spool = tempfile::tempdir().unwrap();
    let client = client_with(CredentialChain::anonymous(), spool.path());
    let repository = client.repository(&reference(&registry.host(), "a")).unwrap();
    let told = report(&repository.get_manifest(&Pointer::Tag("v1".parse().unwrap())).await.unwrap_err());
    let realm = format!("http://{}/token", service.host());
    assert_eq!(
        told,
        format!(
            "{}/a failed\n\
             caused by: no token from `{realm}` for `repository:a:pull` with no credential\n\
             caused by: `GET {realm}?service=registry.test&scope=repository%3Aa%3Apull` was answered `503 Service \
             Unavailable` after 6 attempts: maintenance\n\
             hint: the registry or a proxy before it is in trouble: try later, or ask its operator",
            registry.host()
        )
    );
    assert_eq!(service.seen().len(), 6);
}

/// A registry with a password whose answers send the client to `other` for content or uploads.
fn sending_to(other: &str, what: &'static str) -> Scripted {
    let other = other.to_owned();
    Scripted::start(move |seen, _| {
        if seen.header("authorization") != Some(BASIC) {
            return Some(Answer::new(401, "").with("WWW-Authenticate", "Basic realm=\"r\""));
        }
        let path = seen.target.clone();
        match (what, seen.method.as_str()) {
            ("content", "GET") if path.contains("/blobs/") => {
                Some(Answer::new(307, "").with("Location", &format!("http://{other}{path}")))
            }
            ("uploads", "POST") => {
                Some(Answer::new(202, "").with("Location", &format!("http://{other}/v2/a/blobs/uploads/1?state=a%2Fb")))
            }
            _ => None,
        }
    })
}

#[tokio::test]
async fn no_credential_goes_to_a_second_host() {
    let sample = sample(6, 1000);
    let spool = tempfile::tempdir().unwrap();
    let storage = Scripted::start(|_, _| None);
    storage.state().uploads.insert(1, Vec::new());
    let registry = sending_to(&storage.host(), "uploads");
    let repository = with(password(), spool.path()).repository(&reference(&registry.host(), "a")).unwrap();
    repository.put_blob(&sample.blobs[0]).await.unwrap();
    let put = storage.seen().remove(0);
    assert_eq!(put.method, "PUT");
    assert_eq!(storage.state().blobs.len(), 1);

    let registry = sending_to(&storage.host(), "content");
    let repository = with(password(), spool.path()).repository(&reference(&registry.host(), "a")).unwrap();
    repository.get_blob(sample.blobs[0].descriptor()).await.unwrap();
    assert_eq!(storage.seen().len(), 2);
    for seen in storage.seen() {
        assert_eq!(seen.header("authorization"), None, "{}", seen.line());
    }
    assert!(registry.seen().iter().any(|seen| seen.header("authorization") == Some(BASIC)));
}

#[tokio::test]
async fn behind_a_proxy_a_public_registry_may_not_name_private_addresses() {
    let spool = tempfile::tempdir().unwrap();
    for (location, want) in [
        (
            "http://10.0.0.1/blob",
            "refused to go to `10.0.0.1` (10.0.0.1, a private address), which only the peer named",
        ),
        (
            "http://127.0.0.1:1/blob",
            "refused to go to `127.0.0.1` (127.0.0.1, a private address), which only the peer named",
        ),
        (
            "http://[fd00:ec2::254]/",
            "refused to go to `[fd00:ec2::254]` (fd00:ec2::254, a metadata service address), which only the peer named",
        ),
        (
            "http://metadata.google.internal/",
            "refused to go to the metadata service `metadata.google.internal`, which only the peer named",
        ),
    ] {
        let proxy = Scripted::start(move |_, _| Some(Answer::new(302, "").with("Location", location)));
        let environment = Environment {
            proxies: Proxies::new(Some(&format!("http://u:s@{}", proxy.host())), None, None).unwrap(),
            plain_http_hosts: vec!["registry.example".to_owned()],
            ..Environment::default()
        };
        let (client, _) = Watch::client_in(environment, Options::default(), CredentialChain::anonymous(), spool.path());
        let repository = client.repository(&reference("registry.example", "a")).unwrap();
        let told = report(&repository.get_manifest(&Pointer::Tag("v1".parse().unwrap())).await.unwrap_err());
        assert_eq!(
            told,
            format!(
                "registry.example/a failed\ncaused by: `GET http://registry.example/v2/a/manifests/v1` failed\ncaused by: {want}"
            )
        );
        let seen = proxy.seen().remove(0);
        assert_eq!(seen.line(), "GET http://registry.example/v2/a/manifests/v1");
        // `Basic` of `u:s`.
        assert_eq!(seen.header("proxy-authorization"), Some("Basic dTpz"));
    }
}
