//! TLS: private authorities, hosts taken unseen, and the two ways of speaking past each other.

use coracle::net::{Authority, Environment, HttpClient, Options};
use coracle::oci::Digest;
use coracle::registry::CredentialChain;
use coracle::store::Store;

use crate::certificates;
use crate::registry_client::{Watch, client_with, reference, report};
use crate::registry_peer::{Kind, RegistryPeer};
use crate::sample::{pull_and_compare, push, sample};

#[tokio::test]
async fn private_authorities_and_hosts_taken_unseen() {
    let directory = tempfile::tempdir().unwrap();
    if !certificates::make(directory.path()) {
        return;
    }
    let file = |name: &str| directory.path().join(name);
    let tls =
        format!("  tls:\n    certificate: {}\n    key: {}\n", file("host.pem").display(), file("host.key").display());
    let Some(registry) = RegistryPeer::start(Kind::Distribution2, &tls) else { return };
    let host = registry.host();
    let https = Environment { https_hosts: vec![host.clone()], ..Environment::default() };
    let sample = sample(9, 1000);
    let client = |environment: Environment| {
        Watch::client_in(environment, Options::default(), CredentialChain::anonymous(), directory.path()).0
    };

    let stranger = client(https.clone()).repository(&reference(&host, "a")).unwrap();
    let digest = Digest::of(b"x");
    assert_eq!(
        report(&stranger.has_blob(&digest).await.unwrap_err()),
        format!(
            "{host}/a failed\n\
             caused by: `HEAD https://{host}/v2/a/blobs/{digest}` failed\n\
             caused by: the certificate of `{host}` is not accepted\n\
             caused by: invalid peer certificate: UnknownIssuer\n\
             hint: if the registry has a private certificate authority, name its file with `--ca`"
        )
    );

    let pem = std::fs::read(file("ca.pem")).unwrap();
    let trusting = Environment { extra_ca: vec![Authority { origin: "ca.pem".into(), pem }], ..https.clone() };
    push(&client(trusting).repository(&reference(&host, "a")).unwrap(), &sample, "v1").await;

    let careless = Environment { insecure_hosts: vec![host.clone()], ..https };
    pull_and_compare(&client(careless).repository(&reference(&host, "a")).unwrap(), &sample, "v1").await;

    // Plain HTTP to a TLS port.
    let plain = client_with(CredentialChain::anonymous(), directory.path()).repository(&reference(&host, "a")).unwrap();
    let pointer = coracle::store::Pointer::Tag("v1".parse().unwrap());
    assert_eq!(
        report(&plain.get_manifest(&pointer).await.unwrap_err()),
        format!(
            "{host}/a failed\n\
             caused by: `GET http://{host}/v2/a/manifests/v1` was answered `400 Bad Request`: Client sent an HTTP \
             request to an HTTPS server."
        )
    );
}

#[tokio::test]
async fn a_plain_registry_asked_by_tls() {
    let Some(registry) = RegistryPeer::plain(Kind::Distribution2) else { return };
    let host = registry.host();
    let environment = Environment { https_hosts: vec!["127.0.0.1".to_owned()], ..Environment::default() };
    let spool = tempfile::tempdir().unwrap();
    let (client, _) = Watch::client_in(environment, Options::default(), CredentialChain::anonymous(), spool.path());
    let repository = client.repository(&reference(&host, "a")).unwrap();
    let digest = Digest::of(b"x");
    assert_eq!(
        report(&repository.has_blob(&digest).await.unwrap_err()),
        format!(
            "{host}/a failed\n\
             caused by: `HEAD https://{host}/v2/a/blobs/{digest}` failed\n\
             caused by: `{host}` does not speak TLS on this port\n\
             hint: if the registry really speaks plain HTTP, say so with `--plain-http HOST`"
        )
    );
}

#[tokio::test]
async fn a_name_without_address() {
    let spool = tempfile::tempdir().unwrap();
    let client = client_with(CredentialChain::anonymous(), spool.path());
    let repository = client.repository(&reference("registry.invalid", "a")).unwrap();
    let told = report(&repository.has_blob(&Digest::of(b"x")).await.unwrap_err());
    let url = format!("https://registry.invalid/v2/a/blobs/{}", Digest::of(b"x"));
    let start = format!(
        "registry.invalid/a failed\ncaused by: `HEAD {url}` failed after 3 attempts\n\
         caused by: cannot resolve the host name `registry.invalid`\ncaused by: "
    );
    // The system's own words stand between.
    assert!(told.starts_with(&start), "{told}");
    assert!(
        told.ends_with("\nhint: check the host name in the reference, and the name servers of this machine"),
        "{told}"
    );
}

#[test]
fn bundles_that_are_none_are_refused() {
    for (pem, want) in [
        (&b""[..], "it holds no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", ""),
        (b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", ""),
        (b"-----BEGIN CERTIFICATE-----\nAAAA", ""),
    ] {
        let authority = Authority { origin: "my.pem".to_owned(), pem: pem.to_vec() };
        let environment = Environment { extra_ca: vec![authority], ..Environment::default() };
        let error =
            HttpClient::new(environment, Options::default(), coracle::observe::silent()).unwrap_err().to_string();
        assert!(error.starts_with("certificate bundle `my.pem` is not valid: "), "{error}");
        assert!(error.ends_with(want), "{error}");
    }
}
