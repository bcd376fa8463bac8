//! Against real registries, and beside real clients.

use std::process::Command;
use std::sync::Arc;

use coracle::image::{Artifact, PLAN_TYPE};
use coracle::oci::{Descriptor, Digest, Reference, media_type};
use coracle::registry::{Credential, CredentialChain, DockerConfig, Fixed};
use coracle::store::{self, Pointer, Put, Store};

use crate::peers;
use crate::registry_client::{Watch, client_with, reference, report};
use crate::registry_peer::{Kind, PASSWORD, RegistryPeer, USER};
use crate::sample::{pull_and_compare, push, sample};

#[tokio::test]
async fn pushes_and_pulls() {
    for kind in Kind::OPEN {
        let Some(registry) = RegistryPeer::plain(kind) else { continue };
        let spool = tempfile::tempdir().unwrap();
        let client = client_with(CredentialChain::anonymous(), spool.path());
        let repository = client.repository(&reference(&registry.host(), "team/app")).unwrap();
        let sample = sample(1, 300_000);
        assert_eq!(push(&repository, &sample, "v1").await, [Put::Written; 5]);
        pull_and_compare(&repository, &sample, "v1").await;

        // Another client, which knows nothing of what the first one did: nothing is written again.
        let fresh = client_with(CredentialChain::anonymous(), spool.path());
        let again = fresh.repository(&reference(&registry.host(), "team/app")).unwrap();
        assert_eq!(push(&again, &sample, "v1").await, [Put::Existed; 5]);
        assert_eq!(push(&again, &sample, "v2").await[3..], [Put::Existed, Put::Written]);
        let tags: Vec<String> = again.tags().await.unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(tags, ["v1", "v2"]);

        // A neighbouring repository takes the blobs over.
        let neighbour = fresh.repository(&reference(&registry.host(), "other/app")).unwrap();
        assert_eq!(push(&neighbour, &sample, "v1").await[..3], [Put::Mounted; 3]);
        pull_and_compare(&neighbour, &sample, "v1").await;

        let digest = sample.blobs[0].descriptor().digest.clone();
        assert_eq!(again.has_blob(&digest).await.unwrap(), Some(sample.blobs[0].descriptor().size));
        assert_eq!(again.has_blob(&Digest::of(b"not there")).await.unwrap(), None);
        let found = again.has_manifest(&Pointer::Tag("v1".parse().unwrap())).await.unwrap();
        assert_eq!(found, Some(sample.manifest.descriptor()));
        assert_eq!(again.has_manifest(&Pointer::Tag("v9".parse().unwrap())).await.unwrap(), None);
        assert!(std::fs::read_dir(spool.path()).unwrap().next().is_none(), "a spooled file was left behind");
    }
}

#[tokio::test]
async fn absence_is_told_as_such() {
    let Some(registry) = RegistryPeer::plain(Kind::Distribution2) else { return };
    let spool = tempfile::tempdir().unwrap();
    let client = client_with(CredentialChain::anonymous(), spool.path());
    let repository = client.repository(&reference(&registry.host(), "nobody/nothing")).unwrap();
    let host = registry.host();
    let error = repository.get_manifest(&Pointer::Tag("v1".parse().unwrap())).await.unwrap_err();
    assert_eq!(report(&error), format!("`v1` is not in {host}/nobody/nothing"));
    let absent = Descriptor::new(media_type::OCI_LAYER, Digest::of(b"x"), 1);
    let error = repository.get_blob(&absent).await.unwrap_err();
    assert_eq!(report(&error), format!("`{}` is not in {host}/nobody/nothing", absent.digest));
    assert!(matches!(repository.tags().await, Err(store::Error::NotFound { .. })));
    assert_eq!(repository.referrers(&absent.digest).await.unwrap(), []);
}

#[tokio::test]
async fn parallel_pushes_of_one_digest_transfer_it_once() {
    let Some(registry) = RegistryPeer::plain(Kind::Distribution2) else { return };
    let spool = tempfile::tempdir().unwrap();
    let (client, watch) = Watch::client(CredentialChain::anonymous(), spool.path());
    let repository = Arc::new(client.repository(&reference(&registry.host(), "a")).unwrap());
    let sample = Arc::new(sample(2, 2_000_000));
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (repository, sample) = (Arc::clone(&repository), Arc::clone(&sample));
            tokio::spawn(async move { repository.put_blob(&sample.blobs[0]).await.unwrap() })
        })
        .collect();
    let mut written = 0;
    for task in tasks {
        written += usize::from(task.await.unwrap() == Put::Written);
    }
    assert_eq!(written, 1);
    assert_eq!(watch.advanced(), sample.blobs[0].descriptor().size);
}

#[tokio::test]
async fn passwords() {
    for kind in Kind::ALL {
        let Some(registry) = RegistryPeer::with_password(kind) else { continue };
        let spool = tempfile::tempdir().unwrap();
        let host = registry.host();
        let sample = sample(3, 1000);
        let auth = format!(r#"{{"auths":{{"{host}":{{"username":"{USER}","password":"{PASSWORD}"}}}}}}"#);
        let config = DockerConfig::parse("test.json", auth.as_bytes()).unwrap();
        let client = client_with(CredentialChain::new(vec![Arc::new(config)]), spool.path());
        let repository = client.repository(&reference(&host, "team/app")).unwrap();
        push(&repository, &sample, "v1").await;
        pull_and_compare(&repository, &sample, "v1").await;

        let wrong = Credential::Basic { username: USER.into(), password: coracle::oci::Secret::new("hunter2".into()) };
        let wrong = Fixed::new(Some(&host), wrong, "the flag `--username`");
        let client = client_with(CredentialChain::new(vec![Arc::new(wrong)]), spool.path());
        let repository = client.repository(&reference(&host, "team/app")).unwrap();
        let error = repository.put_blob(&sample.blobs[0]).await.unwrap_err();
        let digest = &sample.blobs[0].descriptor().digest;
        assert_eq!(
            report(&error),
            format!(
                "{host}/team/app failed\n\
                 caused by: `HEAD http://{host}/v2/team/app/blobs/{digest}` was answered `401 Unauthorized` (an answer \
                 to HEAD has no body that could say more)\n\
                 hint: the registry does not accept the flag `--username`: log in again"
            )
        );
        let client = client_with(CredentialChain::anonymous(), spool.path());
        let repository = client.repository(&reference(&host, "team/app")).unwrap();
        let error = repository.get_manifest(&Pointer::Tag("v1".parse().unwrap())).await.unwrap_err();
        let said = "UNAUTHORIZED: authentication required";
        assert_eq!(
            report(&error),
            format!(
                "{host}/team/app failed\n\
                 caused by: `GET http://{host}/v2/team/app/manifests/v1` was answered `401 Unauthorized`: {said}\n\
                 hint: no credentials were found for this registry: log in first with `coracle login`; `--explain-auth` shows where was looked"
            )
        );
    }
}

fn run(program: &std::path::Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let shown = format!("{} {}", program.display(), arguments.join(" "));
    assert!(output.status.success(), "{shown}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn skopeo_takes_what_we_push_and_we_take_what_it_pushes() {
    let Some(skopeo) = peers::find("skopeo") else { return };
    for kind in Kind::OPEN {
        let Some(registry) = RegistryPeer::plain(kind) else { continue };
        let directory = tempfile::tempdir().unwrap();
        let client = client_with(CredentialChain::anonymous(), directory.path());
        let host = registry.host();
        let ours = client.repository(&reference(&host, "ours")).unwrap();
        let sample = sample(4, 500_000);
        push(&ours, &sample, "v1").await;
        let layout = directory.path().join("layout");
        let oci = format!("oci:{}:v1", layout.display());
        run(
            &skopeo,
            &["copy", "-q", "--preserve-digests", "--src-tls-verify=false", &format!("docker://{host}/ours:v1"), &oci],
        );
        run(
            &skopeo,
            &[
                "copy",
                "-q",
                "--preserve-digests",
                "--dest-tls-verify=false",
                &oci,
                &format!("docker://{host}/theirs:v2"),
            ],
        );
        let theirs = client.repository(&reference(&host, "theirs")).unwrap();
        pull_and_compare(&theirs, &sample, "v2").await;
    }
}

#[tokio::test]
async fn crane_takes_what_we_push_and_we_take_what_it_pushes() {
    let Some(crane) = peers::find("crane") else { return };
    for kind in Kind::OPEN {
        let Some(registry) = RegistryPeer::plain(kind) else { continue };
        let directory = tempfile::tempdir().unwrap();
        let client = client_with(CredentialChain::anonymous(), directory.path());
        let host = registry.host();
        let ours = client.repository(&reference(&host, "ours")).unwrap();
        let sample = sample(5, 500_000);
        push(&ours, &sample, "v1").await;
        run(&crane, &["validate", "--insecure", "--remote", &format!("{host}/ours:v1")]);
        run(&crane, &["copy", "--insecure", &format!("{host}/ours:v1"), &format!("{host}/theirs:v2")]);
        let theirs = client.repository(&reference(&host, "theirs")).unwrap();
        pull_and_compare(&theirs, &sample, "v2").await;
    }
}

#[tokio::test]
async fn what_refers_to_an_image_is_listed_by_every_registry() {
    for kind in Kind::OPEN {
        let Some(registry) = RegistryPeer::plain(kind) else { continue };
        let spool = tempfile::tempdir().unwrap();
        let client = client_with(CredentialChain::anonymous(), spool.path());
        let repository = client.repository(&reference(&registry.host(), "team/app")).unwrap();
        let sample = sample(7, 1000);
        push(&repository, &sample, "v1").await;
        let image = sample.manifest.descriptor();
        let mut want = Vec::new();
        for text in ["one", "two"] {
            let artifact = Artifact::of(PLAN_TYPE, text.into(), &image).unwrap();
            for blob in artifact.blobs() {
                repository.put_blob(blob).await.unwrap();
            }
            assert_eq!(repository.put_manifest(artifact.manifest()).await.unwrap(), Put::Written);
            assert_eq!(repository.put_manifest(artifact.manifest()).await.unwrap(), Put::Existed);
            want.push((artifact.manifest().digest().clone(), Some(PLAN_TYPE.to_owned())));
        }
        want.sort();
        let listed = repository.referrers(&image.digest).await.unwrap();
        let listed: Vec<_> = listed.into_iter().map(|found| (found.digest, found.artifact_type)).collect();
        assert_eq!(listed, want, "{kind:?}");
        pull_and_compare(&repository, &sample, "v1").await;
    }
}

#[test]
fn references_of_other_hosts_are_not_mounted_from() {
    let spool = tempfile::tempdir().unwrap();
    let client = client_with(CredentialChain::anonymous(), spool.path());
    let base: Reference = "docker.io/library/debian".parse().unwrap();
    let repository = client.repository(&reference("127.0.0.1:1", "a")).unwrap().mounting_from(&base);
    assert_eq!(repository.location(), "127.0.0.1:1/a");
}
