//! The embedded registry through its HTTP door: what the distribution-spec promises, on both storages.

use std::net::SocketAddr;

use coracle::oci::{Algorithm, Digest, Hasher, media_type};
use coracle::serve::Storage;
use serde_json::{Value, json};

#[path = "support/http.rs"]
mod http;
#[path = "support/serve.rs"]
mod registry;

use http::{Reply, call};
use registry::{options, start};

/// Runs a test on memory and on a directory.
fn both(test: impl Fn(SocketAddr)) {
    test(start(options(Storage::Memory)).addr());
    let root = tempfile::tempdir().unwrap();
    let server = start(options(Storage::Directory(root.path().join("made/when/absent"))));
    test(server.addr());
}

fn sha512(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(Algorithm::Sha512);
    hasher.update(bytes);
    hasher.finish()
}

fn push_blob(addr: SocketAddr, name: &str, bytes: &[u8]) -> Digest {
    let digest = Digest::of(bytes);
    let reply = call(addr, "POST", &format!("/v2/{name}/blobs/uploads/?digest={digest}"), &[], bytes);
    assert_eq!(reply.status, 201, "{reply:?}");
    digest
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len() })
}

/// A manifest whose config is `{}`, with more members.
fn manifest(more: Value) -> Vec<u8> {
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": descriptor(media_type::OCI_EMPTY, b"{}"),
        "layers": [],
    });
    manifest.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    // Not canonical on purpose: the registry must keep every byte.
    serde_json::to_string_pretty(&manifest).unwrap().into_bytes()
}

fn put_manifest(addr: SocketAddr, target: &str, bytes: &[u8]) -> Reply {
    call(addr, "PUT", target, &[("Content-Type", media_type::OCI_MANIFEST)], bytes)
}

fn open_upload(addr: SocketAddr, name: &str) -> String {
    let reply = call(addr, "POST", &format!("/v2/{name}/blobs/uploads/"), &[], b"");
    assert_eq!(reply.status, 202, "{reply:?}");
    reply.header("Location")
}

#[test]
fn answers_the_base_endpoint() {
    both(|addr| {
        let reply = call(addr, "GET", "/v2/", &[], b"");
        assert_eq!((reply.status, &*reply.header("Docker-Distribution-Api-Version")), (200, "registry/2.0"));
        assert_eq!(call(addr, "GET", "/", &[], b"").error(), (404, "UNSUPPORTED".to_owned()));
        let reply = call(addr, "PUT", "/v2/", &[], b"");
        assert_eq!((reply.status, &*reply.header("Allow")), (405, "GET, HEAD"));
    });
}

#[test]
fn blobs_go_in_every_way_and_come_out_the_same() {
    both(|addr| {
        let bytes: Vec<u8> = (0..700_001_u32).map(|i| (i % 251) as u8).collect();
        for digest in [Digest::of(&bytes), sha512(&bytes)] {
            let target = format!("/v2/a/b/blobs/{digest}");
            let whole = open_upload(addr, "a/b");
            assert_eq!(call(addr, "PUT", &format!("{whole}?digest={digest}"), &[], &bytes).status, 201);
            let reply = call(addr, "GET", &target, &[], b"");
            assert_eq!((reply.status, &*reply.header("Docker-Content-Digest")), (200, &*digest.to_string()));
            assert!(reply.body == bytes);
            assert_eq!(call(addr, "HEAD", &target, &[], b"").header("Content-Length"), "700001");
            assert_eq!(call(addr, "DELETE", &target, &[], b"").status, 202);
            assert_eq!(call(addr, "GET", &target, &[], b"").error(), (404, "BLOB_UNKNOWN".to_owned()));

            let chunked = open_upload(addr, "a/b");
            let (first, rest) = bytes.split_at(400_000);
            let reply = call(addr, "PATCH", &chunked, &[("Content-Range", "0-399999")], first);
            assert_eq!((reply.status, &*reply.header("Range")), (202, "0-399999"));
            let reply = call(addr, "PATCH", &chunked, &[("Content-Range", "0-399999")], first);
            assert_eq!((reply.status, &*reply.header("Range")), (416, "0-399999"), "out of order");
            let reply = call(addr, "GET", &chunked, &[], b"");
            assert_eq!((reply.status, &*reply.header("Range")), (204, "0-399999"));
            let last = format!("{chunked}?digest={digest}");
            let reply = call(addr, "PUT", &last, &[("Content-Range", "400000-700000")], rest);
            assert_eq!((reply.status, reply.header("Location")), (201, target.clone()));
            assert!(call(addr, "GET", &target, &[], b"").body == bytes);
            assert_eq!(call(addr, "GET", &chunked, &[], b"").error(), (404, "BLOB_UPLOAD_UNKNOWN".to_owned()));
        }
    });
}

#[test]
fn parts_of_blobs() {
    both(|addr| {
        let bytes: Vec<u8> = (0..600_000_u32).map(|i| (i % 241) as u8).collect();
        let target = format!("/v2/a/blobs/{}", push_blob(addr, "a", &bytes));
        for (range, part) in [
            ("bytes=0-0", 0..1),
            ("bytes=262143-262145", 262_143..262_146),
            ("bytes=599999-", 599_999..600_000),
            ("bytes=-300000", 300_000..600_000),
            ("bytes=1-9999999", 1..600_000),
        ] {
            let reply = call(addr, "GET", &target, &[("Range", range)], b"");
            let want = format!("bytes {}-{}/600000", part.start, part.end - 1);
            assert_eq!((reply.status, reply.header("Content-Range")), (206, want), "{range}");
            assert!(reply.body == bytes[part], "{range}");
        }
        let reply = call(addr, "GET", &target, &[("Range", "bytes=600000-")], b"");
        assert_eq!((reply.status, &*reply.header("Content-Range")), (416, "bytes */600000"));
        let other = [("Range", "bytes=0-0"), ("If-Range", "\"other\"")];
        assert_eq!(call(addr, "GET", &target, &other, b"").status, 200, "the content is not the one the client has");
    });
}

#[test]
fn a_wrong_digest_leaves_nothing() {
    both(|addr| {
        let wrong = Digest::of(b"something else");
        let reply = call(addr, "POST", &format!("/v2/a/blobs/uploads/?digest={wrong}"), &[], b"content");
        assert_eq!(reply.error(), (400, "DIGEST_INVALID".to_owned()));
        let upload = open_upload(addr, "a");
        let reply = call(addr, "PUT", &format!("{upload}?digest={wrong}"), &[], b"content");
        assert_eq!(reply.error(), (400, "DIGEST_INVALID".to_owned()));
        assert_eq!(call(addr, "GET", &upload, &[], b"").status, 404);
        for digest in [wrong, Digest::of(b"content")] {
            assert_eq!(call(addr, "HEAD", &format!("/v2/a/blobs/{digest}"), &[], b"").status, 404);
        }
        assert_eq!(call(addr, "GET", "/v2/a/tags/list", &[], b"").error(), (404, "NAME_UNKNOWN".to_owned()));
    });
}

#[test]
fn uploads_can_be_cancelled_and_belong_to_their_repository() {
    both(|addr| {
        let upload = open_upload(addr, "a");
        let elsewhere = upload.replace("/v2/a/", "/v2/b/");
        assert_eq!(call(addr, "GET", &elsewhere, &[], b"").error(), (404, "BLOB_UPLOAD_UNKNOWN".to_owned()));
        assert_eq!(call(addr, "DELETE", &upload, &[], b"").status, 204);
        for method in ["GET", "PATCH", "DELETE"] {
            assert_eq!(call(addr, method, &upload, &[], b"").error(), (404, "BLOB_UPLOAD_UNKNOWN".to_owned()));
        }
    });
}

#[test]
fn mounts() {
    both(|addr| {
        let digest = push_blob(addr, "from/here", b"shared");
        let mount = |to: &str, more: &str| {
            call(addr, "POST", &format!("/v2/{to}/blobs/uploads/?mount={digest}{more}"), &[], b"")
        };
        assert_eq!(mount("one", "&from=from/here").status, 201);
        assert_eq!(mount("two", "").status, 201);
        assert_eq!(call(addr, "DELETE", &format!("/v2/from/here/blobs/{digest}"), &[], b"").status, 202);
        for name in ["one", "two"] {
            assert_eq!(call(addr, "GET", &format!("/v2/{name}/blobs/{digest}"), &[], b"").body, b"shared");
        }
        for from in ["&from=from/here", "&from=not/there", "&from=../one"] {
            let reply = mount("three", from);
            assert_eq!(reply.status, 202, "{from}");
            assert!(reply.header("Location").starts_with("/v2/three/blobs/uploads/"));
        }
    });
}

#[test]
fn manifests_are_kept_byte_by_byte() {
    both(|addr| {
        push_blob(addr, "a", b"{}");
        let bytes = manifest(json!({ "x-unknown": [1.5, null] }));
        let digest = Digest::of(&bytes);
        let reply = put_manifest(addr, "/v2/a/manifests/v1", &bytes);
        assert_eq!((reply.status, reply.header("Location")), (201, format!("/v2/a/manifests/{digest}")));
        for pointer in ["v1".to_owned(), digest.to_string()] {
            let reply = call(addr, "GET", &format!("/v2/a/manifests/{pointer}"), &[], b"");
            assert_eq!((reply.status, &*reply.header("Content-Type")), (200, media_type::OCI_MANIFEST));
            assert!(reply.body == bytes);
            let etag = reply.header("ETag");
            let again = call(addr, "GET", &format!("/v2/a/manifests/{pointer}"), &[("If-None-Match", &etag)], b"");
            assert_eq!((again.status, again.body.len()), (304, 0));
        }
        assert_eq!(call(addr, "DELETE", "/v2/a/manifests/v1", &[], b"").status, 202);
        assert_eq!(call(addr, "GET", "/v2/a/manifests/v1", &[], b"").error(), (404, "MANIFEST_UNKNOWN".to_owned()));
        let by_digest = format!("/v2/a/manifests/{digest}");
        assert_eq!(call(addr, "HEAD", &by_digest, &[], b"").status, 200, "the tag is gone, not the manifest");
        let as_blob = format!("/v2/a/blobs/{digest}");
        assert_eq!(call(addr, "DELETE", &as_blob, &[], b"").error(), (405, "UNSUPPORTED".to_owned()));
        assert_eq!(call(addr, "DELETE", &by_digest, &[], b"").status, 202);
        assert_eq!(call(addr, "GET", &by_digest, &[], b"").status, 404);
        assert_eq!(call(addr, "DELETE", &by_digest, &[], b"").status, 404);
    });
}

#[test]
fn manifests_that_are_refused() {
    both(|addr| {
        push_blob(addr, "a", b"{}");
        let good = manifest(json!({}));
        let refused = |bytes: &[u8], target: &str| put_manifest(addr, target, bytes).error();
        let missing = manifest(json!({ "layers": [descriptor(media_type::OCI_LAYER, b"not pushed")] }));
        assert_eq!(refused(&missing, "/v2/a/manifests/v1"), (404, "MANIFEST_BLOB_UNKNOWN".to_owned()));
        let mut config = descriptor(media_type::OCI_EMPTY, b"{}");
        config["size"] = 3.into();
        let size = manifest(json!({ "config": config }));
        assert_eq!(refused(&size, "/v2/a/manifests/v1"), (400, "SIZE_INVALID".to_owned()));
        assert_eq!(refused(b"{}", "/v2/a/manifests/v1"), (400, "MANIFEST_INVALID".to_owned()));
        assert_eq!(refused(&good, "/v2/a/manifests/.v1"), (400, "MANIFEST_INVALID".to_owned()));
        assert_eq!(refused(&good, "/v2/a/manifests/sha256:12"), (400, "DIGEST_INVALID".to_owned()));
        let other = format!("/v2/a/manifests/{}", Digest::of(b"other"));
        assert_eq!(refused(&good, &other), (400, "DIGEST_INVALID".to_owned()));
        let elsewhere = put_manifest(addr, "/v2/never/pushed/manifests/v1", &good);
        assert_eq!(elsewhere.error(), (404, "MANIFEST_BLOB_UNKNOWN".to_owned()));
        assert_eq!(call(addr, "GET", "/v2/never/pushed/tags/list", &[], b"").status, 404, "it left no repository");
        assert_eq!(call(addr, "GET", "/v2/a/tags/list", &[], b"").json()["tags"], json!([]));
    });
}

#[test]
fn large_manifests_up_to_the_limit() {
    both(|addr| {
        push_blob(addr, "a", b"{}");
        let large = manifest(json!({ "annotations": { "a": "x".repeat(7 << 20) } }));
        assert_eq!(put_manifest(addr, "/v2/a/manifests/large", &large).status, 201);
        assert!(call(addr, "GET", "/v2/a/manifests/large", &[], b"").body == large);
        let larger = manifest(json!({ "annotations": { "a": "x".repeat(8 << 20) } }));
        let reply = put_manifest(addr, "/v2/a/manifests/larger", &larger);
        assert_eq!(reply.error(), (413, "SIZE_INVALID".to_owned()));
        assert_eq!(call(addr, "GET", "/v2/a/manifests/larger", &[], b"").status, 404);
    });
}

#[test]
fn tags_are_sorted_and_paged() {
    both(|addr| {
        push_blob(addr, "a", b"{}");
        let bytes = manifest(json!({}));
        let target = format!("/v2/a/manifests/{}?tag=b&tag=A&tag=c&tag=a", Digest::of(&bytes));
        let reply = put_manifest(addr, &target, &bytes);
        assert_eq!((reply.status, &*reply.header("OCI-Tag")), (201, "b, A, c, a"));
        let list = |query: &str| {
            let reply = call(addr, "GET", &format!("/v2/a/tags/list{query}"), &[], b"");
            (reply.json()["tags"].clone(), reply.header("Link"))
        };
        assert_eq!(list(""), (json!(["A", "a", "b", "c"]), String::new()));
        assert_eq!(list("?n=2"), (json!(["A", "a"]), "</v2/a/tags/list?n=2&last=a>; rel=\"next\"".to_owned()));
        assert_eq!(list("?n=2&last=a"), (json!(["b", "c"]), String::new()));
        assert_eq!(list("?n=0"), (json!([]), String::new()));
        assert_eq!(list("?last=zz"), (json!([]), String::new()));
        assert_eq!(call(addr, "GET", "/v2/a/tags/list?n=x", &[], b"").error(), (400, "UNSUPPORTED".to_owned()));
        let many: String = (0..101).map(|i| format!("&tag=t{i}")).collect();
        let reply = put_manifest(addr, &format!("{target}{many}"), &bytes);
        assert_eq!((reply.status, list("").0), (414, json!(["A", "a", "b", "c"])));
    });
}

#[test]
fn repositories_are_listed() {
    both(|addr| {
        for name in ["b", "a/blobs", "a", "a/index.json/x"] {
            push_blob(addr, name, b"{}");
        }
        let list = |query: &str| call(addr, "GET", &format!("/v2/_catalog{query}"), &[], b"");
        assert_eq!(list("").json()["repositories"], json!(["a", "a/blobs", "a/index.json/x", "b"]));
        let page = list("?n=1&last=a");
        assert_eq!(page.json()["repositories"], json!(["a/blobs"]));
        assert_eq!(page.header("Link"), "</v2/_catalog?n=1&last=a/blobs>; rel=\"next\"");
    });
}

#[test]
fn a_conditional_push_does_not_overwrite_what_it_has_not_seen() {
    both(|addr| {
        push_blob(addr, "a", b"{}");
        let (old, new) = (manifest(json!({})), manifest(json!({ "annotations": { "n": "1" } })));
        let push = |bytes: &[u8], etag: &str| {
            let headers = [("Content-Type", media_type::OCI_MANIFEST), ("If-Match", etag)];
            call(addr, "PUT", "/v2/a/manifests/t", &headers, bytes).status
        };
        let etag = put_manifest(addr, "/v2/a/manifests/t", &old).header("ETag");
        assert_eq!(push(&new, &etag), 201);
        assert_eq!(push(&old, &etag), 412);
        assert!(call(addr, "GET", "/v2/a/manifests/t", &[], b"").body == new);
    });
}

#[test]
fn referrers_are_found_filtered_and_paged() {
    both(|addr| {
        push_blob(addr, "a", b"{}");
        let subject = manifest(json!({}));
        let target = format!("/v2/a/referrers/{}", Digest::of(&subject));
        let empty = call(addr, "GET", &target, &[], b"");
        assert_eq!((empty.status, &*empty.header("Content-Type")), (200, media_type::OCI_INDEX));
        assert_eq!(empty.json()["manifests"], json!([]));

        let to_subject = descriptor(media_type::OCI_MANIFEST, &subject);
        let mut digests = Vec::new();
        for (i, kind) in ["x/one", "x/one", "x/two", ""].into_iter().enumerate() {
            let annotations = json!({ "n": i.to_string(), "pad": "x".repeat(1500 << 10) });
            let bytes = manifest(json!({ "subject": to_subject, "artifactType": kind, "annotations": annotations }));
            let reply = put_manifest(addr, &format!("/v2/a/manifests/{}", Digest::of(&bytes)), &bytes);
            assert_eq!((reply.status, reply.header("OCI-Subject")), (201, Digest::of(&subject).to_string()));
            digests.push(Digest::of(&bytes).to_string());
        }
        let all = |query: &str| {
            let (mut found, mut next) = (Vec::new(), format!("{target}{query}"));
            loop {
                let reply = call(addr, "GET", &next, &[], b"");
                assert_eq!(reply.header("OCI-Filters-Applied").is_empty(), query.is_empty());
                found.extend(reply.json()["manifests"].as_array().unwrap().clone());
                match reply.header("Link").strip_prefix('<').and_then(|l| l.split_once('>')) {
                    Some((target, _)) => next = target.to_owned(),
                    None => return found,
                }
            }
        };
        let kinds = |found: &[Value]| found.iter().map(|d| d["artifactType"].clone()).collect::<Vec<_>>();
        let found = all("");
        let mut got: Vec<_> = found.iter().map(|d| d["digest"].as_str().unwrap().to_owned()).collect();
        got.sort();
        digests.sort();
        assert_eq!(got, digests);
        assert!(found.iter().all(|d| d["annotations"]["n"].is_string()));
        assert!(kinds(&found).contains(&media_type::OCI_EMPTY.into()), "the config's type stands in");
        assert_eq!(kinds(&all("?artifactType=x%2Fone")), ["x/one", "x/one"]);
        assert_eq!(kinds(&all("?artifactType=none")), Vec::<Value>::new());
        assert_eq!(call(addr, "GET", "/v2/a/referrers/sha256:1", &[], b"").error().0, 400);
    });
}
