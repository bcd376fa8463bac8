//! What registries make of the protocol.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use coracle::blob::Blob;
use coracle::image::{Artifact, PLAN_TYPE};
use coracle::net::{Environment, Options, Timeouts};
use coracle::oci::{Descriptor, Digest, media_type};
use coracle::registry::CredentialChain;
use coracle::store::{Pointer, Put, Store};

use crate::registry_client::{Watch, client_with, reference, report};
use crate::sample::{push, sample};
use crate::scripted::{Answer, Scripted, error};

/// A blob of so many bytes.
fn noise(bytes: usize) -> Blob {
    let pattern: Vec<u8> = (0..4099u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let mut content = pattern.repeat(bytes / pattern.len() + 1);
    content.truncate(bytes);
    Blob::from_bytes(media_type::OCI_LAYER, content)
}

/// Methods of all requests so far, in order.
fn methods(registry: &Scripted) -> Vec<String> {
    registry.seen().iter().map(|seen| seen.method.clone()).collect()
}

#[tokio::test]
async fn steps_down_from_put_to_patch_and_remembers() {
    for (status, code) in [(404, "BLOB_UNKNOWN"), (405, "UNSUPPORTED"), (413, ""), (416, ""), (400, "SIZE_INVALID")] {
        let registry = Scripted::start(move |seen, _| {
            (seen.method == "PUT" && !seen.body.is_empty()).then(|| error(status, code, "not this way"))
        });
        let spool = tempfile::tempdir().unwrap();
        let client = client_with(CredentialChain::anonymous(), spool.path());
        let repository = client.repository(&reference(&registry.host(), "a")).unwrap();
        assert_eq!(repository.put_blob(&noise(100_000)).await.unwrap(), Put::Written);
        assert_eq!(methods(&registry), ["HEAD", "POST", "PUT", "DELETE", "POST", "PATCH", "PUT"], "{status} {code}");
        assert_eq!(repository.put_blob(&noise(200_000)).await.unwrap(), Put::Written);
        assert_eq!(methods(&registry)[7..], ["HEAD", "POST", "PATCH", "PUT"], "{status} {code}");
        assert_eq!(registry.state().blobs.len(), 2);
        assert!(registry.state().uploads.is_empty());
    }
}

#[tokio::test]
async fn steps_down_to_chunks_of_the_size_asked_for() {
    for (minimum, ranges) in [
        (None, &["0-4194303", "4194304-8388607", "8388608-8999999"][..]),
        (Some("6000000"), &["0-5999999", "6000000-8999999"]),
        // Smaller than what is sent anyway, not a number, beyond all sense.
        (Some("1"), &["0-4194303", "4194304-8388607", "8388608-8999999"]),
        (Some("x"), &["0-4194303", "4194304-8388607", "8388608-8999999"]),
    ] {
        let registry = Scripted::start(move |seen, n| match (seen.method.as_str(), minimum) {
            ("PUT" | "PATCH", _) if seen.body.len() > 6_000_000 => Some(Answer::new(413, "")),
            ("POST", Some(minimum)) => Some(
                Answer::new(202, "")
                    .with("Location", &format!("/v2/a/blobs/uploads/{}?state=a%2Fb", n + 100))
                    .with("OCI-Chunk-Min-Length", minimum),
            ),
            _ => None,
        });
        registry.state().uploads.extend((100..120).map(|id| (id, Vec::new())));
        let spool = tempfile::tempdir().unwrap();
        let client = client_with(CredentialChain::anonymous(), spool.path());
        let repository = client.repository(&reference(&registry.host(), "a")).unwrap();
        let blob = noise(9_000_000);
        assert_eq!(repository.put_blob(&blob).await.unwrap(), Put::Written);
        let sent: Vec<String> =
            registry.seen().iter().filter_map(|seen| seen.header("content-range").map(str::to_owned)).collect();
        assert_eq!(sent, ranges, "{minimum:?}");
        assert!(registry.state().blobs.contains_key(&blob.descriptor().digest.to_string()));
    }
}

#[tokio::test]
async fn a_refusal_before_the_body_is_sent_is_heard() {
    let registry = Scripted::impatient(&["PUT", "PATCH"]);
    let spool = tempfile::tempdir().unwrap();
    let client = client_with(CredentialChain::anonymous(), spool.path());
    let repository = client.repository(&reference(&registry.host(), "a")).unwrap();
    let blob = noise(20_000_000);
    let told = report(&repository.put_blob(&blob).await.unwrap_err()).replace(&registry.host(), "HOST");
    assert_eq!(
        told,
        "HOST/a failed\ncaused by: `PATCH http://HOST/v2/a/blobs/uploads/7?state=REDACTED` was answered `413 Payload \
         Too Large`"
    );
}

#[tokio::test]
async fn locations_of_every_form() {
    for location in [
        "1?state=a%2Fb",
        "/v2/a/blobs/uploads/1?state=a%2Fb",
        "//HOST/v2/a/blobs/uploads/1?state=a%2Fb",
        "http://HOST/v2/a/blobs/uploads/1?state=a%2Fb",
    ] {
        let host = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
        let known = std::sync::Arc::clone(&host);
        let registry = Scripted::start(move |seen, _| {
            (seen.method == "POST")
                .then(|| Answer::new(202, "").with("Location", &location.replace("HOST", known.get().unwrap())))
        });
        host.set(registry.host()).unwrap();
        registry.state().uploads.insert(1, Vec::new());
        let spool = tempfile::tempdir().unwrap();
        let client = client_with(CredentialChain::anonymous(), spool.path());
        let repository = client.repository(&reference(&registry.host(), "a")).unwrap();
        assert_eq!(repository.put_blob(&noise(1000)).await.unwrap(), Put::Written, "{location}");
        assert_eq!(registry.lines()[2].split("&digest").next().unwrap(), "PUT /v2/a/blobs/uploads/1?state=a%2Fb");
    }
}

#[tokio::test]
async fn a_mount_that_is_refused_never_fails_a_push() {
    for (status, posts) in [(202, 1), (401, 2), (403, 2), (404, 2), (405, 2), (400, 2)] {
        let registry = Scripted::start(move |seen, _| match (seen.method.as_str(), seen.target.contains("mount=")) {
            ("POST", true) if status != 202 => Some(error(status, "DENIED", "no mounts")),
            _ => None,
        });
        let spool = tempfile::tempdir().unwrap();
        let client = client_with(CredentialChain::anonymous(), spool.path());
        let base = reference(&registry.host(), "base/image");
        let repository = client.repository(&reference(&registry.host(), "a")).unwrap().mounting_from(&base);
        let blob = noise(1000);
        assert_eq!(repository.put_blob(&blob).await.unwrap(), Put::Written, "{status}");
        let lines = registry.lines();
        let digest = blob.descriptor().digest.to_string().replace(':', "%3A");
        assert_eq!(lines[1], format!("POST /v2/a/blobs/uploads/?mount={digest}&from=base%2Fimage"));
        assert_eq!(lines.iter().filter(|line| line.starts_with("POST")).count(), posts, "{status}: {lines:#?}");
        assert!(registry.state().uploads.is_empty(), "{status}");
    }
}

#[tokio::test]
async fn a_cut_blob_starts_over_where_ranges_are_not_known() {
    for refusal in ["ignored", "416"] {
        let gets = AtomicUsize::new(0);
        let blob = noise(300_000);
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut blob.open(0).unwrap(), &mut content).unwrap();
        let registry =
            Scripted::start(move |seen, _| match (gets.fetch_add(1, Ordering::SeqCst), seen.header("range")) {
                (0, _) => Some(Answer::CutShort(100_000)),
                (_, Some(_)) if refusal == "416" => Some(Answer::new(416, "")),
                _ => Some(Answer::Whole(200, Vec::new(), content.clone())),
            });
        let bytes = {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut blob.open(0).unwrap(), &mut bytes).unwrap();
            bytes
        };
        registry.state().blobs.insert(blob.descriptor().digest.to_string(), bytes);
        let spool = tempfile::tempdir().unwrap();
        let client = client_with(CredentialChain::anonymous(), spool.path());
        let repository = client.repository(&reference(&registry.host(), "a")).unwrap();
        let got = repository.get_blob(blob.descriptor()).await.unwrap();
        assert_eq!(got.descriptor(), blob.descriptor());
        assert_eq!(registry.seen()[1].header("range"), Some("bytes=100000-"), "{refusal}");
        drop(got);
        assert!(std::fs::read_dir(spool.path()).unwrap().next().is_none(), "a spooled file was left behind");
    }
}

#[tokio::test]
async fn manifests_without_type_or_digest_header() {
    let sample = sample(1, 1000);
    let bytes = sample.manifest.bytes().to_vec();
    let registry = Scripted::start(move |_, _| {
        Some(Answer::Whole(200, Vec::new(), bytes.clone()).with("Content-Type", "application/json; charset=utf-8"))
    });
    let spool = tempfile::tempdir().unwrap();
    let client = client_with(CredentialChain::anonymous(), spool.path());
    let repository = client.repository(&reference(&registry.host(), "a")).unwrap();
    let tag = Pointer::Tag("v1".parse().unwrap());
    assert_eq!(repository.get_manifest(&tag).await.unwrap(), sample.manifest);
    assert_eq!(repository.has_manifest(&tag).await.unwrap(), Some(sample.manifest.descriptor()));
    assert_eq!(repository.tag(&"v1".parse().unwrap(), &sample.manifest).await.unwrap(), Put::Existed);
    assert!(!methods(&registry).contains(&"PUT".to_owned()));
}

#[tokio::test]
async fn sha512_is_verified() {
    let bytes = br#"{"schemaVersion":2,"manifests":[]}"#.to_vec();
    let mut hasher = coracle::oci::Hasher::new(coracle::oci::Algorithm::Sha512);
    hasher.update(&bytes);
    let digest = hasher.finish();
    let blob = Descriptor::new(media_type::OCI_LAYER, digest.clone(), bytes.len() as u64);
    for (served, good) in [(bytes.clone(), true), (br#"{"schemaVersion":2,"manifests":{}}"#.to_vec(), false)] {
        let registry = Scripted::start(move |_, _| {
            Some(Answer::Whole(200, Vec::new(), served.clone()).with("Content-Type", media_type::OCI_INDEX))
        });
        let spool = tempfile::tempdir().unwrap();
        let client = client_with(CredentialChain::anonymous(), spool.path());
        let repository = client.repository(&reference(&registry.host(), "a")).unwrap();
        let manifest = repository.get_manifest(&Pointer::Digest(digest.clone())).await;
        assert_eq!(manifest.is_ok(), good, "{manifest:?}");
        let pulled = repository.get_blob(&blob).await;
        assert_eq!(pulled.is_ok(), good, "{pulled:?}");
    }
}

#[tokio::test]
async fn tags_page_by_page() {
    let page = |tags: &str, next: Option<&str>| {
        let answer = Answer::new(200, &format!(r#"{{"name":"a","tags":{tags}}}"#));
        next.map_or(answer.clone(), |next| answer.with("Link", &format!("<{next}>; rel=\"next\"")))
    };
    type Case<'a> = (Vec<Answer>, Result<&'a [&'a str], &'a str>);
    let cases: Vec<Case<'_>> = vec![
        (vec![page(r#"["b","a"]"#, None)], Ok(&["a", "b"])),
        (vec![page("null", None)], Ok(&[])),
        (vec![page(r#"["b"]"#, Some("/v2/a/tags/list?n=1000&last=b")), page(r#"["a","-odd"]"#, None)], Ok(&["a", "b"])),
        (vec![page(r#"["b"]"#, Some("/v2/a/tags/list?n=1000"))], Err("its pages do not end")),
        (vec![page(r#"["b"]"#, Some("http://other.example/x"))], Err("its next page is on another host")),
        (
            vec![Answer::new(200, "{\"tags\":7}")],
            Err("invalid type: integer `7`, expected a sequence at line 1 column 9"),
        ),
    ];
    for (pages, want) in cases {
        let registry = Scripted::start(move |_, n| Some(pages[n].clone()));
        let spool = tempfile::tempdir().unwrap();
        let client = client_with(CredentialChain::anonymous(), spool.path());
        let repository = client.repository(&reference(&registry.host(), "a")).unwrap();
        match (repository.tags().await, want) {
            (Ok(got), Ok(want)) => assert_eq!(got.iter().map(ToString::to_string).collect::<Vec<_>>(), want),
            (Err(error), Err(want)) => assert_eq!(
                report(&error).replace(&registry.host(), "HOST"),
                format!(
                    "HOST/a failed\ncaused by: the list of `http://HOST/v2/a/tags/list?n=1000` is not valid: {want}"
                )
            ),
            (got, want) => panic!("{got:?} where {want:?} was expected"),
        }
    }
}

#[tokio::test]
async fn referrers_by_api_or_by_tag() {
    let subject = Digest::of(b"subject");
    let referrer = Descriptor::of(media_type::OCI_MANIFEST, b"referrer");
    let second = Descriptor::of(media_type::OCI_MANIFEST, b"second");
    let index = |descriptors: &[&Descriptor]| {
        let index =
            serde_json::json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": descriptors});
        Answer::new(200, &index.to_string()).with("Content-Type", media_type::OCI_INDEX)
    };
    let mut both = vec![referrer.clone(), second.clone()];
    both.sort_by(|a, b| a.digest.cmp(&b.digest));
    let next = format!("</v2/a/referrers/{subject}?page=2>; rel=\"next\"");
    let tag = format!("sha256-{}", subject.hex());
    let cases: Vec<(&str, Vec<Answer>, Vec<Descriptor>, usize)> = vec![
        ("two pages", vec![index(&[&referrer]).with("Link", &next), index(&[&second, &referrer])], both.clone(), 2),
        ("no API", vec![Answer::new(404, ""), index(&[&referrer])], vec![referrer.clone()], 2),
        ("not allowed", vec![Answer::new(405, ""), Answer::new(404, "")], vec![], 2),
        ("a web page", vec![Answer::new(200, "<html>"), index(&[&second])], vec![second.clone()], 2),
        ("none", vec![index(&[])], vec![], 1),
    ];
    for (name, answers, want, requests) in cases {
        let registry = Scripted::start(move |_, n| Some(answers[n].clone()));
        let spool = tempfile::tempdir().unwrap();
        let client = client_with(CredentialChain::anonymous(), spool.path());
        let repository = client.repository(&reference(&registry.host(), "a")).unwrap();
        assert_eq!(repository.referrers(&subject).await.unwrap(), want, "{name}");
        assert_eq!(registry.seen().len(), requests, "{name}");
        if name == "no API" {
            assert_eq!(registry.lines()[1], format!("GET /v2/a/manifests/{tag}"));
        }
    }
}

#[tokio::test]
async fn a_registry_without_lists_of_referrers_gets_a_tag() {
    let subject = Descriptor::of(media_type::OCI_MANIFEST, b"subject");
    let artifact = Artifact::of(PLAN_TYPE, b"text".to_vec(), &subject).unwrap();
    let digest = artifact.manifest().digest().clone();
    let tag = format!("sha256-{}", subject.digest.hex());
    let (head, put) = (format!("HEAD /v2/a/manifests/{digest}"), format!("PUT /v2/a/manifests/{digest}"));
    let (get, list) = (format!("GET /v2/a/manifests/{tag}"), format!("PUT /v2/a/manifests/{tag}"));
    let api = format!("GET /v2/a/referrers/{}", subject.digest);
    let created = |subject: bool| {
        let answer = Answer::new(201, "");
        if subject { answer.with("OCI-Subject", "sha256:x") } else { answer }
    };
    let none = Answer::new(200, r#"{"schemaVersion":2,"manifests":[]}"#).with("Content-Type", media_type::OCI_INDEX);
    let foreign = Answer::new(200, r#"{"schemaVersion":2,"config":{"mediaType":"c","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}"#)
        .with("Content-Type", media_type::OCI_MANIFEST);
    for (name, answers, want) in [
        ("it lists", vec![Answer::new(404, ""), created(true), none.clone()], vec![&head, &put, &api]),
        (
            "it does not",
            vec![Answer::new(404, ""), created(false), Answer::new(404, "")],
            vec![&head, &put, &api, &get, &list, &get],
        ),
        (
            "it only says so",
            vec![Answer::new(404, ""), created(true), Answer::new(404, "")],
            vec![&head, &put, &api, &get, &list, &get],
        ),
        (
            "it has the API and does not list",
            vec![Answer::new(404, ""), created(false), none.clone()],
            vec![&head, &put, &api, &get, &list, &get],
        ),
        (
            "the tag is another's",
            vec![Answer::new(404, ""), created(false), Answer::new(404, ""), foreign],
            vec![&head, &put, &api, &get],
        ),
    ] {
        // What no answer is given to, the scripted registry does as one would.
        let registry = Scripted::start(move |_, n| answers.get(n).cloned());
        let spool = tempfile::tempdir().unwrap();
        let client = client_with(CredentialChain::anonymous(), spool.path());
        let repository = client.repository(&reference(&registry.host(), "a")).unwrap();
        repository.put_manifest(artifact.manifest()).await.unwrap();
        assert_eq!(registry.lines().iter().collect::<Vec<_>>(), want, "{name}");
        if let Some(seen) = registry.seen().get(4) {
            let index: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
            assert_eq!(index["manifests"][0]["artifactType"], PLAN_TYPE);
            assert_eq!(index["manifests"][0]["digest"], digest.to_string());
        }
    }
}

#[tokio::test]
async fn warnings_are_told_once() {
    let registry = Scripted::start(|_, _| {
        Some(Answer::new(404, "").with("Warning", "299 - \"this \\\"tag\\\" is old\"").with("Warning", "199 - \"no\""))
    });
    let spool = tempfile::tempdir().unwrap();
    let (client, watch) = Watch::client(CredentialChain::anonymous(), spool.path());
    let repository = client.repository(&reference(&registry.host(), "a")).unwrap();
    for n in 0..3u8 {
        assert_eq!(repository.has_blob(&Digest::of(&[n])).await.unwrap(), None);
    }
    assert_eq!(watch.messages(), [format!("`{}` warns: this \"tag\" is old", registry.host())]);
}

#[tokio::test]
async fn stopping_ends_a_push_and_forgets_its_session() {
    let spool = tempfile::tempdir().unwrap();
    let (client, watch) = Watch::client(CredentialChain::anonymous(), spool.path());
    let stopper = std::sync::Arc::clone(&watch);
    let registry = Scripted::start(move |seen, _| {
        if seen.method == "POST" {
            stopper.stop();
        }
        None
    });
    let repository = client.repository(&reference(&registry.host(), "a")).unwrap();
    let error = repository.put_blob(&noise(10_000_000)).await.unwrap_err();
    assert_eq!(report(&error), "stopped before it was done");
    assert!(registry.state().uploads.is_empty(), "the session was not cancelled: {:?}", registry.lines());
}

#[tokio::test]
async fn silence_ends_in_time() {
    // Accepts connections and says nothing: nobody takes them from the queue.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let spool = tempfile::tempdir().unwrap();
    let timeouts = Timeouts { idle: Duration::from_millis(50), ..Timeouts::default() };
    let options = Options { timeouts, ..Options::default() };
    let (client, _) = Watch::client_in(Environment::default(), options, CredentialChain::anonymous(), spool.path());
    let repository = client.repository(&reference(&host, "a")).unwrap();
    let told = report(&repository.has_blob(&Digest::of(b"x")).await.unwrap_err());
    let url = format!("http://{host}/v2/a/blobs/{}", Digest::of(b"x"));
    assert_eq!(
        told,
        format!(
            "{host}/a failed\ncaused by: `HEAD {url}` failed after 6 attempts\ncaused by: `{host}` was silent for 0 s"
        )
    );
}

#[tokio::test]
async fn everything_there_costs_one_request_per_piece() {
    let registry = Scripted::sound();
    let spool = tempfile::tempdir().unwrap();
    let sample = sample(7, 1000);
    let push_with_fresh_client = async || {
        let client = client_with(CredentialChain::anonymous(), spool.path());
        push(&client.repository(&reference(&registry.host(), "a")).unwrap(), &sample, "v1").await
    };
    assert_eq!(push_with_fresh_client().await, [Put::Written; 5]);
    let before = registry.seen().len();
    assert_eq!(push_with_fresh_client().await, [Put::Existed; 5]);
    assert_eq!(methods(&registry)[before..], ["HEAD"; 5]);
}

#[tokio::test]
async fn parts_that_are_too_large_are_halved_and_remembered() {
    let registry = Scripted::start(move |seen, _| {
        let too_large = matches!(seen.method.as_str(), "PUT" | "PATCH") && seen.body.len() > 1_200_000;
        too_large.then(|| Answer::new(413, ""))
    });
    let spool = tempfile::tempdir().unwrap();
    let repository =
        client_with(CredentialChain::anonymous(), spool.path()).repository(&reference(&registry.host(), "a")).unwrap();
    assert_eq!(repository.put_blob(&noise(3_000_000)).await.unwrap(), Put::Written);
    let before = registry.seen().len();
    assert_eq!(repository.put_blob(&noise(2_500_000)).await.unwrap(), Put::Written);
    let ranges: Vec<String> =
        registry.seen()[before..].iter().filter_map(|seen| seen.header("content-range").map(str::to_owned)).collect();
    assert_eq!(ranges, ["0-749999", "750000-1499999", "1500000-2249999", "2250000-2499999"]);
    assert!(registry.state().uploads.is_empty());
}
