//! Clients of other hands on the same repositories: regctl, oras and oci-client pull what we push, and we pull what they push.

use std::path::Path;
use std::process::Command;

use coracle::oci::ManifestView;
use coracle::registry::CredentialChain;
use coracle::store::{Pointer, Store};
use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};

use crate::peers;
use crate::registry_client::{client_with, reference};
use crate::registry_peer::{Kind, RegistryPeer};
use crate::sample::{pull_and_compare, push, sample};

fn run(program: &Path, words: &[&str], home: &Path) -> String {
    let output = Command::new(program).args(words).env("HOME", home).output().unwrap();
    assert!(output.status.success(), "{program:?} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn regctl_and_oras() {
    let (Some(regctl), Some(oras)) = (peers::find("regctl"), peers::find("oras")) else { return };
    for kind in Kind::OPEN {
        let Some(registry) = RegistryPeer::plain(kind) else { continue };
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path();
        let client = client_with(CredentialChain::anonymous(), home);
        let host = registry.host();
        let sample = sample(11, 300_000);
        push(&client.repository(&reference(&host, "ours")).unwrap(), &sample, "v1").await;
        let digest = sample.manifest.digest().to_string();

        let at = format!("reg={host},tls=disabled");
        let seen = run(&regctl, &["--host", &at, "image", "digest", &format!("{host}/ours:v1")], home);
        assert_eq!(seen.trim(), digest, "{kind:?}");
        run(&regctl, &["--host", &at, "image", "copy", &format!("{host}/ours:v1"), &format!("{host}/regctl:v2")], home);
        pull_and_compare(&client.repository(&reference(&host, "regctl")).unwrap(), &sample, "v2").await;

        let layout = home.join("layout");
        let (from, to) = (format!("{host}/ours:v1"), format!("{}:v3", layout.display()));
        run(&oras, &["cp", "--from-plain-http", "--to-oci-layout", &from, &to], home);
        run(&oras, &["cp", "--from-oci-layout", "--to-plain-http", &to, &format!("{host}/oras:v3")], home);
        pull_and_compare(&client.repository(&reference(&host, "oras")).unwrap(), &sample, "v3").await;
    }
}

#[tokio::test]
async fn oci_client() {
    // Its transport wants a provider of TLS although none is spoken here.
    let _ = rustls::crypto::ring::default_provider().install_default();
    for kind in Kind::OPEN {
        let Some(registry) = RegistryPeer::plain(kind) else { continue };
        let spool = tempfile::tempdir().unwrap();
        let client = client_with(CredentialChain::anonymous(), spool.path());
        let host = registry.host();
        let sample = sample(12, 300_000);
        push(&client.repository(&reference(&host, "ours")).unwrap(), &sample, "v1").await;

        let other = Client::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() });
        let named = |repository: &str, tag: &str| Reference::with_tag(host.clone(), repository.into(), tag.into());
        let accepted = vec![coracle::oci::media_type::OCI_LAYER_GZIP];
        let image = other.pull(&named("ours", "v1"), &RegistryAuth::Anonymous, accepted.clone()).await.unwrap();
        assert_eq!(image.digest.as_deref(), Some(sample.manifest.digest().to_string().as_str()), "{kind:?}");
        // It fetches layers side by side and gives them as they come.
        let mut layers: Vec<ImageLayer> = image.layers.clone();
        let place = |layer: &ImageLayer| {
            let digest = coracle::oci::Digest::of(&layer.data);
            sample.blobs[..2].iter().position(|blob| blob.descriptor().digest == digest)
        };
        layers.sort_by_key(place);
        assert_eq!(layers.iter().map(place).collect::<Vec<_>>(), [Some(0), Some(1)]);

        // It names a manifest of its own making.
        let config = Config::new(image.config.data.clone(), image.config.media_type.clone(), None);
        other.push(&named("theirs", "v2"), &layers, config, &RegistryAuth::Anonymous, None).await.unwrap();
        let theirs = client.repository(&reference(&host, "theirs")).unwrap();
        let manifest = theirs.get_manifest(&Pointer::Tag("v2".parse().unwrap())).await.unwrap();
        let Ok(ManifestView::Image(found)) = manifest.view() else { panic!("no image") };
        let digests: Vec<_> = found.layers.iter().map(|layer| layer.digest.clone()).collect();
        assert_eq!(digests, sample.blobs[..2].iter().map(|blob| blob.descriptor().digest.clone()).collect::<Vec<_>>());
        for layer in &found.layers {
            theirs.get_blob(layer).await.unwrap();
        }

        // What is not there is an error to it too.
        assert!(other.pull(&named("ours", "v9"), &RegistryAuth::Anonymous, accepted).await.is_err());
    }
}
