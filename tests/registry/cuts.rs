//! Real registries behind a connection that breaks in the middle.

use coracle::net::{Environment, Options};
use coracle::registry::CredentialChain;

use crate::proxy::{Cut, Proxy};
use crate::registry_client::{Watch, client_with, reference};
use crate::registry_peer::{Kind, RegistryPeer};
use crate::sample::{pull_and_compare, push, sample};

#[tokio::test]
async fn pushes_and_pulls_survive_cuts() {
    let sample = sample(8, 3_000_000);
    for kind in Kind::OPEN {
        let Some(registry) = RegistryPeer::plain(kind) else { continue };
        let spool = tempfile::tempdir().unwrap();
        let client = client_with(CredentialChain::anonymous(), spool.path());

        let up = Proxy::before(&registry.host(), Cut::Up(1_000_000), 3);
        push(&client.repository(&reference(&up.host(), "a")).unwrap(), &sample, "v1").await;
        assert_eq!(up.left(), 0, "{kind:?} met fewer cuts than planned");

        let direct = client.repository(&reference(&registry.host(), "a")).unwrap();
        pull_and_compare(&direct, &sample, "v1").await;

        let down = Proxy::before(&registry.host(), Cut::Down(1_000_000), 3);
        pull_and_compare(&client.repository(&reference(&down.host(), "a")).unwrap(), &sample, "v1").await;
        assert_eq!(down.left(), 0, "{kind:?} met fewer cuts than planned");
    }
}

/// distribution 3 keeps what it got of a cut PATCH: with three cuts after a megabyte each, no byte is sent four times.
#[tokio::test]
async fn an_upload_goes_on_where_the_registry_has_got_to() {
    let Some(registry) = RegistryPeer::plain(Kind::Distribution3) else { return };
    let sample = sample(9, 4_000_000);
    let spool = tempfile::tempdir().unwrap();
    let (client, watch) = Watch::client_in(
        Environment::default(),
        Options { trace: true, ..Options::default() },
        CredentialChain::anonymous(),
        spool.path(),
    );
    let up = Proxy::before(&registry.host(), Cut::Up(1_500_000), 3);
    push(&client.repository(&reference(&up.host(), "a")).unwrap(), &sample, "v1").await;
    assert_eq!(up.left(), 0);
    let told = watch.messages();
    let (asked, rest) = (
        told.iter().filter(|text| text.contains("] GET http") && text.contains("/blobs/uploads/")).count(),
        told.iter().filter(|text| text.contains("] PATCH http")).count(),
    );
    assert!(asked >= 3 && rest >= 1, "{told:#?}");
    let direct = client.repository(&reference(&registry.host(), "a")).unwrap();
    pull_and_compare(&direct, &sample, "v1").await;
}
