//! Real registries behind a connection that breaks in the middle.

use coracle::registry::CredentialChain;

use crate::proxy::{Cut, Proxy};
use crate::registry_client::{client_with, reference};
use crate::registry_peer::{Kind, RegistryPeer};
use crate::sample::{pull_and_compare, push, sample};

#[tokio::test]
async fn pushes_and_pulls_survive_cuts() {
    let sample = sample(8, 3_000_000);
    for kind in Kind::ALL {
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
