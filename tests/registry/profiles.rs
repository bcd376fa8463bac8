//! Registries that differ from the distribution-spec: each profile has its quirk, and our client gets through.

use std::net::SocketAddr;
use std::sync::Arc;

use coracle::blob::Blob;
use coracle::net::{Environment, HttpClient, Options};
use coracle::oci::{Digest, RawManifest, media_type};
use coracle::registry::{CredentialChain, Registry};
use coracle::serve::{FaultScript, Profile, Quirks, RequestKind, ServeOptions, Storage};
use coracle::store::{Pointer, Put, Store};

use crate::http::{Reply, call};
use crate::matrix::referrer;
use crate::registry_client::{client_with, reference, report};
use crate::registry_peer::{Kind, RegistryPeer};
use crate::sample::{Sample, pull_and_compare, push, sample};
use crate::serve::{ServerGuard, options, start};

fn serving(quirks: Quirks) -> (ServerGuard, FaultScript) {
    let faults = FaultScript::default();
    (start(ServeOptions { quirks, faults: faults.clone(), ..options(Storage::Memory) }), faults)
}

/// An image with an attachment is pushed, pushed again, pulled, and its attachment found; so is a blob of 24 MB.
async fn gets_through(what: &str, quirks: Quirks) -> FaultScript {
    let (server, seen) = serving(quirks);
    let spool = tempfile::tempdir().unwrap();
    let host = server.addr().to_string();
    let repository = |name| client_with(CredentialChain::anonymous(), spool.path()).repository(&reference(&host, name));
    let (image, one) = (sample(1, 50_000), repository("a").unwrap());
    let puts = push(&one, &image, "v1").await;
    assert!(puts.iter().all(|put| *put == Put::Written), "{what}: {puts:?}");
    one.put_manifest(&referrer(&image)).await.unwrap_or_else(|e| panic!("{what}: {}", report(&e)));
    // What is there is not pushed again, which a registry with immutable tags would not have.
    let again = push(&repository("a").unwrap(), &image, "v1").await;
    assert!(again.iter().all(|put| *put == Put::Existed), "{what}: {again:?}");
    let fresh = repository("a").unwrap();
    pull_and_compare(&fresh, &image, "v1").await;
    let found = fresh.referrers(image.manifest.digest()).await.unwrap();
    let kinds: Vec<_> = found.iter().map(|d| d.artifact_type.as_deref()).collect();
    assert_eq!(kinds, [Some("application/vnd.example.note")], "{what}");
    let large = Blob::from_bytes(media_type::OCI_LAYER, vec![7; 24_000_000]);
    assert_eq!(fresh.put_blob(&large).await.unwrap_or_else(|e| panic!("{what}: {}", report(&e))), Put::Written);
    // From the one repository to another of the same registry: mounted, or uploaded where that cannot be.
    let copy = repository("b").unwrap().mounting_from(&reference(&host, "a"));
    let outcome = copy.put_blob(&image.blobs[0]).await.unwrap();
    assert!(matches!(outcome, Put::Mounted | Put::Written), "{what}");
    seen
}

#[tokio::test]
async fn our_client_gets_through_every_profile() {
    for (name, profile) in Profile::ALL {
        gets_through(name, profile.quirks()).await;
    }
}

#[tokio::test]
async fn and_through_each_quirk_alone() {
    let none = Quirks::default();
    let patches = |seen: &FaultScript| seen.seen().iter().filter(|r| r.kind == RequestKind::UploadPatch).count();
    assert_eq!(patches(&gets_through("none", none.clone()).await), 0);
    let whole = gets_through("no_whole_put", Quirks { no_whole_put: true, ..none.clone() }).await;
    assert!(patches(&whole) >= 4, "each upload takes one PATCH");
    let patch = Quirks { no_whole_put: true, patch_status: Some(201), ..none.clone() };
    gets_through("patch_status", patch).await;
    // Neither whole nor in one piece: chunks, as small as the registry wants them.
    let both = Quirks { put_max: Some(20_000_000), chunk_max: Some(4 << 20), ..none.clone() };
    gets_through("chunk_max", both).await;
    gets_through("no_subject_header", Quirks { no_subject_header: true, ..none.clone() }).await;
    gets_through("needs_length", Quirks { needs_length: true, no_whole_put: true, ..none }).await;
}

fn upload(addr: SocketAddr, quirk: &str) -> String {
    let reply = call(addr, "POST", "/v2/a/blobs/uploads/", &[], b"");
    assert_eq!(reply.status, 202, "{quirk}");
    reply.header("location")
}

/// What a quirk makes of one request, as `curl` would see it.
fn seen(quirk: &str, quirks: Quirks, ask: impl Fn(SocketAddr) -> Reply, want: (u16, &str)) {
    let (server, _) = serving(quirks);
    let reply = ask(server.addr());
    let code = if want.1.is_empty() { String::new() } else { reply.error().1 };
    assert_eq!((reply.status, code.as_str()), want, "{quirk}: {reply:?}");
    // Without the quirk it is otherwise.
    let (plain, _) = serving(Quirks::default());
    let other = ask(plain.addr());
    assert_ne!(other.status, want.0, "{quirk} shows without it too");
}

#[test]
fn each_quirk_shows() {
    let none = Quirks::default();
    let digest = Digest::of(b"x");
    let tagged = |addr: SocketAddr| {
        let empty = Digest::of(b"{}");
        let body = format!(
            r#"{{"schemaVersion":2,"mediaType":"{m}","config":{{"mediaType":"a/b","digest":"{empty}","size":2}},"layers":[]}}"#,
            m = media_type::OCI_MANIFEST
        );
        call(addr, "POST", &format!("/v2/a/blobs/uploads/?digest={empty}"), &[], b"{}");
        let put =
            || call(addr, "PUT", "/v2/a/manifests/v1", &[("Content-Type", media_type::OCI_MANIFEST)], body.as_bytes());
        put();
        put()
    };
    let chunk = |range: &'static str| {
        move |addr: SocketAddr| call(addr, "PATCH", &upload(addr, range), &[("Content-Range", range)], &[1; 10])
    };
    let put = |addr: SocketAddr| {
        call(addr, "PUT", &format!("{}?digest={}", upload(addr, "put"), Digest::of(b"x")), &[], b"x")
    };
    let post = |target: String| move |addr: SocketAddr| call(addr, "POST", &target, &[], b"");
    seen(
        "no_referrers",
        Quirks { no_referrers: true, ..none.clone() },
        |a| call(a, "GET", &format!("/v2/a/referrers/{}", Digest::of(b"x")), &[], b""),
        (404, "UNSUPPORTED"),
    );
    seen("patch_status", Quirks { patch_status: Some(201), ..none.clone() }, chunk("0-9"), (201, ""));
    seen("no_chunks", Quirks { no_chunks: true, ..none.clone() }, chunk("0-9"), (405, "UNSUPPORTED"));
    seen("chunk_max", Quirks { chunk_max: Some(9), ..none.clone() }, chunk("0-9"), (416, "SIZE_INVALID"));
    seen("any_chunk_order", Quirks { any_chunk_order: true, ..none.clone() }, chunk("5-14"), (202, ""));
    seen("put_max", Quirks { put_max: Some(0), ..none.clone() }, put, (413, "SIZE_INVALID"));
    seen("no_whole_put", Quirks { no_whole_put: true, ..none.clone() }, put, (404, "BLOB_UNKNOWN"));
    seen("immutable_tags", Quirks { immutable_tags: true, ..none.clone() }, tagged, (400, "TAG_INVALID"));
    let mount = post(format!("/v2/a/blobs/uploads/?mount={digest}"));
    seen("mount_needs_from", Quirks { mount_needs_from: true, ..none.clone() }, mount, (400, "UNSUPPORTED"));
    let empty = post(format!("/v2/a/blobs/uploads/?digest={}", Digest::of(b"")));
    seen("no_empty_blob", Quirks { no_empty_blob: true, ..none.clone() }, empty, (500, "DENIED"));
    let sha512 = format!("/v2/a/blobs/sha512:{}", "a".repeat(128));
    seen(
        "sha256_only",
        Quirks { sha256_only: true, ..none.clone() },
        |a| call(a, "GET", &sha512, &[], b""),
        (400, "DIGEST_INVALID"),
    );
    seen(
        "tags_page_max",
        Quirks { tags_page_max: Some(10), ..none.clone() },
        |a| {
            tagged(a);
            call(a, "GET", "/v2/a/tags/list?n=11", &[], b"")
        },
        (400, "UNSUPPORTED"),
    );
    let (server, _) = serving(Quirks { chunk_min: Some(5 << 20), ..none });
    assert_eq!(call(server.addr(), "POST", "/v2/a/blobs/uploads/", &[], b"").header("oci-chunk-min-length"), "5242880");
}

#[test]
fn a_cut_upload_is_gone_where_that_is_so() {
    for (cut_ends_upload, status) in [(true, 404), (false, 204)] {
        let (server, _) = serving(Quirks { cut_ends_upload, ..Quirks::default() });
        let location = upload(server.addr(), "cut");
        let head = format!("PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this");
        let mut stream = std::net::TcpStream::connect(server.addr()).unwrap();
        std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
        drop(stream);
        // The registry waits for the end of the first request.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        loop {
            let got = call(server.addr(), "GET", &location, &[], b"").status;
            if got == status {
                break;
            }
            assert!(std::time::Instant::now() < deadline, "{got} where {status} was expected");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// Writers that know nothing of each other, with one subject: no entry is lost, and one of somebody else stays as it is.
#[tokio::test(flavor = "multi_thread")]
async fn writers_at_the_same_time_lose_no_entry() {
    let image = sample(1, 1000);
    let (ours, _) = serving(Quirks { no_referrers: true, ..Quirks::default() });
    let mut servers = vec![ours.addr().to_string()];
    let peers: Vec<RegistryPeer> = Kind::ALL.into_iter().filter_map(RegistryPeer::plain).collect();
    servers.extend(peers.iter().map(RegistryPeer::host));
    for host in servers {
        let spool = tempfile::tempdir().unwrap();
        let repository = || {
            let client =
                HttpClient::new(Environment::default(), Options::default(), coracle::observe::silent()).unwrap();
            let registry = Registry::new(client, Arc::new(CredentialChain::anonymous()), spool.path());
            registry.repository(&reference(&host, "many")).unwrap()
        };
        push(&repository(), &image, "v1").await;
        let foreign = serde_json::json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [{
            "mediaType": media_type::OCI_MANIFEST, "digest": image.manifest.digest().to_string(),
            "size": image.manifest.bytes().len(), "artifactType": "application/vnd.other.tool", "x-other": [1] }] });
        let foreign = RawManifest::new(media_type::OCI_INDEX, serde_json::to_vec(&foreign).unwrap()).unwrap();
        let tag = image.manifest.digest().to_string().replace(':', "-");
        repository().tag(&tag.parse().unwrap(), &foreign).await.unwrap();
        let mut writers = tokio::task::JoinSet::new();
        for at in 0..8u8 {
            let (repository, note) = (repository(), numbered(&image, at));
            writers.spawn(async move { repository.put_manifest(&note).await.map_err(|error| report(&error)) });
        }
        while let Some(done) = writers.join_next().await {
            done.unwrap().unwrap_or_else(|error| panic!("{host}: {error}"));
        }
        let list = repository().get_manifest(&Pointer::Tag(tag.parse().unwrap())).await.unwrap();
        let list: serde_json::Value = serde_json::from_slice(list.bytes()).unwrap();
        let entries = list["manifests"].as_array().unwrap();
        assert_eq!(entries.len(), 9, "{host}: {list:#}");
        assert_eq!(entries[0]["x-other"], serde_json::json!([1]), "{host}");
        let ours: Vec<_> = entries[1..].iter().map(|entry| entry["annotations"]["at"].as_str().unwrap()).collect();
        assert_eq!(ours.iter().collect::<std::collections::BTreeSet<_>>().len(), 8, "{host}: {ours:?}");
        assert!(entries[1..].iter().all(|entry| entry["artifactType"] == "application/vnd.example.note"), "{host}");
    }
}

/// One of several attachments.
fn numbered(image: &Sample, at: u8) -> RawManifest {
    let mut document: serde_json::Value = serde_json::from_slice(referrer(image).bytes()).unwrap();
    document["annotations"] = serde_json::json!({ "at": at.to_string() });
    RawManifest::new(media_type::OCI_MANIFEST, serde_json::to_vec(&document).unwrap()).unwrap()
}
