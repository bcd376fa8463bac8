//! The embedded registry's directory of layouts: what survives, and who else may use it.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use coracle::image::Index;
use coracle::observe::{Event, Observer};
use coracle::oci::{Annotations, Digest, Tag, media_type};
use coracle::serve::Storage;
use coracle::store::{CopyOptions, LayoutStore, Pointer, Store, put_image, put_index};
use serde_json::{Value, json};

#[path = "support/http.rs"]
mod http;
#[path = "support/images.rs"]
mod images;
#[path = "support/serve.rs"]
mod registry;

use http::{Reply, call};
use registry::{ServerGuard, options, start};

fn serve(root: &Path) -> ServerGuard {
    start(options(Storage::Directory(root.to_owned())))
}

fn get(addr: SocketAddr, target: &str) -> Reply {
    call(addr, "GET", target, &[], b"")
}

fn push_blob(addr: SocketAddr, name: &str, bytes: &[u8]) {
    let target = format!("/v2/{name}/blobs/uploads/?digest={}", Digest::of(bytes));
    assert_eq!(call(addr, "POST", &target, &[], bytes).status, 201);
}

/// A manifest of the config `{}`, unlike that of any other `salt`.
fn manifest(salt: usize) -> Vec<u8> {
    let config = json!({ "mediaType": media_type::OCI_EMPTY, "digest": Digest::of(b"{}"), "size": 2 });
    let manifest =
        json!({ "schemaVersion": 2, "config": config, "layers": [], "annotations": { "n": salt.to_string() } });
    manifest.to_string().into_bytes()
}

fn put_manifest(addr: SocketAddr, target: &str, bytes: &[u8]) -> u16 {
    call(addr, "PUT", target, &[("Content-Type", media_type::OCI_MANIFEST)], bytes).status
}

fn tagged(text: &str) -> CopyOptions {
    CopyOptions { tags: vec![text.parse().unwrap()], ..CopyOptions::default() }
}

#[test]
fn everything_but_unfinished_uploads_survives_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let bytes = manifest(1);
    let upload = {
        let server = serve(root.path());
        push_blob(server.addr(), "a/b", b"{}");
        assert_eq!(put_manifest(server.addr(), "/v2/a/b/manifests/v1", &bytes), 201);
        assert_eq!(
            put_manifest(server.addr(), &format!("/v2/a/b/manifests/{}", Digest::of(&manifest(2))), &manifest(2)),
            201
        );
        let upload = call(server.addr(), "POST", "/v2/a/b/blobs/uploads/", &[], b"").header("Location");
        assert_eq!(call(server.addr(), "PATCH", &upload, &[], b"half of it").status, 202);
        upload
    };
    // What a process that is killed leaves behind.
    std::fs::write(root.path().join(".uploads/00000000000000000000000000000000"), b"old").unwrap();
    let server = serve(root.path());
    let reply = get(server.addr(), "/v2/a/b/manifests/v1");
    assert_eq!(reply.header("Docker-Content-Digest"), Digest::of(&bytes).to_string());
    assert_eq!(reply.body, bytes);
    assert_eq!(get(server.addr(), &format!("/v2/a/b/manifests/{}", Digest::of(&manifest(2)))).body, manifest(2));
    assert_eq!(get(server.addr(), &upload).error(), (404, "BLOB_UPLOAD_UNKNOWN".to_owned()));
    let left: Vec<_> =
        std::fs::read_dir(root.path().join(".uploads")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"]);
}

#[tokio::test]
async fn layouts_of_others_are_served_and_theirs_to_read() {
    let root = tempfile::tempdir().unwrap();
    let pair = vec![images::image("amd64", "a"), images::image("arm64", "a")];
    let index = Index::assemble(pair.clone(), Annotations::new()).unwrap();
    let layout = LayoutStore::create(&root.path().join("team/app")).unwrap();
    put_index(&layout, &index, &tagged("v1")).await.unwrap();

    let server = serve(root.path());
    let addr = server.addr();
    let reply = get(addr, "/v2/team/app/manifests/v1");
    assert_eq!((reply.status, &*reply.header("Content-Type")), (200, media_type::OCI_INDEX));
    for image in &pair {
        // Named by the index alone, not by the layout's index.json.
        let reply = get(addr, &format!("/v2/team/app/manifests/{}", image.manifest().digest()));
        assert_eq!((reply.status, reply.body == image.manifest().bytes()), (200, true));
        for blob in image.blobs() {
            let reply = get(addr, &format!("/v2/team/app/blobs/{}", blob.descriptor().digest));
            assert_eq!(Digest::of(&reply.body), blob.descriptor().digest);
        }
    }

    // Both write while the registry runs, and see each other's tags.
    let other = images::image("amd64", "b");
    put_image(&layout, &other, &tagged("v2")).await.unwrap();
    assert_eq!(get(addr, "/v2/team/app/manifests/v2").body, other.manifest().bytes());
    push_blob(addr, "team/app", b"{}");
    assert_eq!(put_manifest(addr, "/v2/team/app/manifests/v3", &manifest(3)), 201);
    let v3 = layout.get_manifest(&Pointer::Tag("v3".parse().unwrap())).await.unwrap();
    assert_eq!(v3.bytes(), manifest(3));
    assert_eq!(call(addr, "DELETE", "/v2/team/app/manifests/v1", &[], b"").status, 202);
    let tags: Vec<String> = layout.tags().await.unwrap().iter().map(Tag::to_string).collect();
    assert_eq!(tags, ["v2", "v3"]);
    assert_eq!(get(addr, "/v2/team/app/tags/list").json()["tags"], json!(["v2", "v3"]));
    assert_eq!(get(addr, "/v2/_catalog").json()["repositories"], json!(["team/app"]));
}

/// Hears what the registry tells who runs it.
struct Operator(std::sync::mpsc::Sender<String>);

impl Observer for Operator {
    fn event(&self, event: Event<'_>) {
        if let Event::Message { text } = event {
            self.0.send(text.to_owned()).unwrap();
        }
    }
}

#[test]
fn a_layout_with_holes_shows_only_what_is_whole() {
    let root = tempfile::tempdir().unwrap();
    let app = root.path().join("app");
    std::fs::create_dir_all(&app).unwrap();
    std::fs::write(app.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let entry = json!({
        "mediaType": media_type::OCI_MANIFEST, "digest": Digest::of(b"gone"), "size": 4,
        "annotations": { "org.opencontainers.image.ref.name": "v1" },
    });
    std::fs::write(app.join("index.json"), json!({ "schemaVersion": 2, "manifests": [entry] }).to_string()).unwrap();
    let (told, heard) = std::sync::mpsc::channel();
    let mut serve = options(Storage::Directory(root.path().to_owned()));
    serve.observer = std::sync::Arc::new(Operator(told));
    let server = start(serve);
    assert_eq!(get(server.addr(), "/v2/app/tags/list").json()["tags"], json!([]));
    assert_eq!(get(server.addr(), "/v2/app/manifests/v1").status, 404);
    std::fs::write(app.join("index.json"), "{ no JSON").unwrap();
    let reply = get(server.addr(), "/v2/app/tags/list");
    assert_eq!(reply.status, 500);
    let shown = String::from_utf8(reply.body).unwrap();
    assert!(!shown.contains(root.path().to_str().unwrap()), "clients do not learn paths: {shown}");
    let message = heard.try_recv().unwrap();
    assert!(message.starts_with("GET /v2/app/tags/list: ") && message.contains("app/index.json"), "{message}");
}

#[test]
fn many_pushes_of_one_tag_end_with_one_of_them() {
    let root = tempfile::tempdir().unwrap();
    for storage in [Storage::Memory, Storage::Directory(root.path().to_owned())] {
        let server = start(options(storage));
        let addr = server.addr();
        push_blob(addr, "a", b"{}");
        assert_eq!(put_manifest(addr, "/v2/a/manifests/t", &manifest(0)), 201);
        std::thread::scope(|scope| {
            for writer in 0..6 {
                scope.spawn(move || {
                    for round in 0..8 {
                        let bytes = manifest(1 + writer * 8 + round);
                        assert_eq!(put_manifest(addr, "/v2/a/manifests/t", &bytes), 201);
                        assert_eq!(put_manifest(addr, &format!("/v2/a/manifests/own{writer}"), &bytes), 201);
                        push_blob(addr, "a", format!("{writer} {round}").as_bytes());
                    }
                });
            }
            scope.spawn(move || {
                for _ in 0..40 {
                    let reply = get(addr, "/v2/a/manifests/t");
                    assert_eq!(
                        (reply.status, Digest::of(&reply.body).to_string()),
                        (200, reply.header("Docker-Content-Digest"))
                    );
                }
            });
        });
        let reply = get(addr, "/v2/a/manifests/t");
        assert!((1..=48).any(|salt| manifest(salt) == reply.body));
        for writer in 0..6 {
            assert_eq!(
                get(addr, &format!("/v2/a/manifests/own{writer}")).body,
                manifest(8 + writer * 8),
                "no edit is lost"
            );
        }
        for salt in 0..=48 {
            assert_eq!(get(addr, &format!("/v2/a/manifests/{}", Digest::of(&manifest(salt)))).status, 200);
        }
    }
    let index: Value = serde_json::from_slice(&std::fs::read(root.path().join("a/index.json")).unwrap()).unwrap();
    let digests: BTreeSet<&str> =
        index["manifests"].as_array().unwrap().iter().map(|entry| entry["digest"].as_str().unwrap()).collect();
    assert_eq!(digests.len(), 49);
}

#[test]
fn a_request_that_has_begun_is_finished_when_the_registry_stops() {
    let root = tempfile::tempdir().unwrap();
    let server = serve(root.path());
    let (addr, digest) = (server.addr(), Digest::of(b"hello world"));
    let mut stream = TcpStream::connect(addr).unwrap();
    let head = format!("POST /v2/a/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n");
    stream.write_all(format!("{head}Expect: 100-continue\r\n\r\n").as_bytes()).unwrap();
    // The registry asks for the body: the request is running.
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert!(go_on.starts_with(b"HTTP/1.1 100 "), "{go_on:?}");
    let idle = TcpStream::connect(addr).unwrap();
    let stopping = std::thread::spawn(move || drop(server));
    while TcpStream::connect(addr).is_ok() {}
    stream.write_all(b"hello world").unwrap();
    assert_eq!(Reply::read(stream).status, 201);
    stopping.join().unwrap();
    drop(idle);
    assert_eq!(get(serve(root.path()).addr(), &format!("/v2/a/blobs/{digest}")).body, b"hello world");
}
