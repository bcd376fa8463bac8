//! Every request of a push and of a pull, met by every fault; and what each refusal says, word for word.

use std::net::TcpListener;

use coracle::oci::{Descriptor, Digest, media_type};
use coracle::registry::CredentialChain;
use coracle::store::{Error, Pointer, Store};

use crate::registry_client::{client_with, reference, report};
use crate::sample::{Sample, push, sample};
use crate::scripted::{Answer, Scripted, Seen, error};

/// What can happen to any request.
const FAULTS: &[&str] = &["close", "lost", "429", "500", "502", "503"];

fn fault(name: &str) -> Answer {
    match name {
        "close" => Answer::Close,
        "lost" => Answer::Lost,
        "429" => error(429, "TOOMANYREQUESTS", "slow down").with("Retry-After", "0"),
        status => Answer::new(status.parse().unwrap(), "upstream trouble"),
    }
}

async fn try_push(to: &dyn Store, sample: &Sample) -> Result<(), Error> {
    for blob in &sample.blobs {
        to.put_blob(blob).await?;
    }
    to.put_manifest(&sample.manifest).await?;
    to.tag(&"v1".parse().unwrap(), &sample.manifest).await?;
    Ok(())
}

async fn try_pull(from: &dyn Store, sample: &Sample) -> Result<(), Error> {
    from.get_manifest(&Pointer::Tag("v1".parse().unwrap())).await?;
    for blob in &sample.blobs {
        from.get_blob(blob.descriptor()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_push_survives_any_single_fault() {
    let sample = sample(1, 200_000);
    // Three blobs: HEAD, POST, PUT each; then HEAD and PUT of the manifest and of the tag.
    let requests = 13;
    for name in FAULTS {
        for n in 0..requests {
            let registry = Scripted::start(move |_, number| (number == n).then(|| fault(name)));
            let spool = tempfile::tempdir().unwrap();
            let client = client_with(CredentialChain::anonymous(), spool.path());
            let repository = client.repository(&reference(&registry.host(), "a")).unwrap();
            let outcome = try_push(&repository, &sample).await;
            let lines = registry.lines();
            assert!(lines.len() > requests, "{name} at request {n} was not met by a retry: {lines:#?}");
            assert!(outcome.is_ok(), "{name} at request {n} ({}): {}", lines[n], report(&outcome.unwrap_err()));
            let state = registry.state();
            assert_eq!(state.manifests.get("v1").map(|(_, bytes)| bytes.as_slice()), Some(sample.manifest.bytes()));
            // Of a session whose opening answer was lost nobody knows.
            assert!(state.uploads.is_empty() || *name == "lost", "{name} at request {n} leaves an upload behind");
        }
    }
}

#[tokio::test]
async fn a_pull_survives_any_single_fault() {
    let sample = sample(2, 200_000);
    for name in FAULTS.iter().chain(&["cut"]) {
        for n in 0..4 {
            let registry = Scripted::start(move |seen, number| match (seen.method.as_str(), *name) {
                ("GET", "cut") if number == 13 + n => Some(Answer::CutShort(5)),
                ("GET", _) if number == 13 + n => Some(fault(name)),
                _ => None,
            });
            let spool = tempfile::tempdir().unwrap();
            let client = client_with(CredentialChain::anonymous(), spool.path());
            let repository = client.repository(&reference(&registry.host(), "a")).unwrap();
            push(&repository, &sample, "v1").await;
            assert_eq!(registry.lines().len(), 13);
            let outcome = try_pull(&repository, &sample).await;
            let lines = registry.lines();
            assert!(outcome.is_ok(), "{name} at request {n} ({}): {}", lines[13 + n], report(&outcome.unwrap_err()));
            assert_eq!(lines.len(), 13 + 4 + 1, "{name} at request {n}: {lines:#?}");
            if *name == "cut" && n > 0 {
                let resumed = &registry.seen()[13 + n + 1];
                assert_eq!(resumed.header("range"), Some("bytes=5-"), "{}", resumed.line());
            }
        }
    }
}

/// A registry on which every request that `matches` meets the same answer, and the error of what `work` then gets.
async fn refusal(
    matches: impl Fn(&Seen) -> bool + Send + Sync + 'static,
    answer: Answer,
    pull: bool,
) -> (String, String) {
    let registry = Scripted::start(move |seen, _| matches(seen).then(|| answer.clone()));
    let spool = tempfile::tempdir().unwrap();
    let client = client_with(CredentialChain::anonymous(), spool.path());
    let host = registry.host();
    let repository = client.repository(&reference(&host, "a")).unwrap();
    let sample = sample(3, 1000);
    let outcome = if pull {
        for blob in &sample.blobs {
            registry.state().blobs.insert(blob.descriptor().digest.to_string(), read(blob));
        }
        let manifest = (sample.manifest.media_type().to_owned(), sample.manifest.bytes().to_vec());
        registry.state().manifests.insert("v1".to_owned(), manifest);
        try_pull(&repository, &sample).await
    } else {
        try_push(&repository, &sample).await
    };
    let told = report(&outcome.unwrap_err()).replace(&host, "HOST");
    let digest = sample.blobs[0].descriptor().digest.to_string();
    assert!(registry.state().manifests.is_empty() || pull, "a tag stands on a registry that refused");
    assert!(std::fs::read_dir(spool.path()).unwrap().next().is_none(), "a spooled file was left behind");
    (told.replace(&digest, "DIGEST").replace(sample.manifest.digest().hex(), "MANIFEST"), digest)
}

fn read(blob: &coracle::blob::Blob) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut blob.open(0).unwrap(), &mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn refusals_of_a_push_word_for_word() {
    let page = Answer::new(403, "<html>no</html>").with("Content-Type", "text/html");
    let long = error(429, "TOOMANYREQUESTS", "slow down").with("Retry-After", "3600");
    let unauthorized = error(401, "UNAUTHORIZED", "authentication required").with("WWW-Authenticate", "Basic realm=x");
    let digest_header = Answer::new(201, "").with("Docker-Content-Digest", &Digest::of(b"other").to_string());
    let post = "`POST http://HOST/v2/a/blobs/uploads/` was answered";
    let upload = "http://HOST/v2/a/blobs/uploads/1?state=REDACTED&digest=DIGEST";
    for (method, answer, want) in [
        ("POST", unauthorized, format!("{post} `401 Unauthorized`: UNAUTHORIZED: authentication required\nhint: no credentials were found for this registry: log in first with `coracle login`; `--explain-auth` shows where was looked")),
        ("POST", error(403, "DENIED", "requested access to the resource is denied"), format!("{post} `403 Forbidden`: DENIED: requested access to the resource is denied\nhint: no credentials were found for this registry: log in, or check the repository's name")),
        ("POST", page, format!("{post} `403 Forbidden`\nhint: no credentials were found for this registry: log in, or check the repository's name")),
        ("POST", error(404, "NAME_UNKNOWN", "repository name not known to registry"), format!("{post} `404 Not Found`: NAME_UNKNOWN: repository name not known to registry\nhint: the repository may have to be created first, as Amazon ECR wants it")),
        ("POST", long, format!("{post} `429 Too Many Requests`, asking to wait 3600 s: TOOMANYREQUESTS: slow down\nhint: the registry limits anonymous requests: log in, or try later")),
        ("POST", Answer::new(500, "boom"), format!("{post} `500 Internal Server Error` after 6 attempts: boom\nhint: the registry or a proxy before it is in trouble: try later, or ask its operator")),
        ("POST", Answer::Close, "`POST http://HOST/v2/a/blobs/uploads/` failed after 6 attempts\ncaused by: the connection to `HOST` was cut\ncaused by: connection closed before message completed".to_owned()),
        ("POST", Answer::new(202, ""), "the answer to `POST http://HOST/v2/a/blobs/uploads/` lacks the header `Location`".to_owned()),
        ("PUT", error(400, "DIGEST_INVALID", "provided digest did not match"), format!("`PUT {upload}` was answered `400 Bad Request`: DIGEST_INVALID: provided digest did not match")),
        (
            "POST",
            Answer::new(202, "").with("Location", "http://169.254.169.254/x"),
            "`PUT http://169.254.169.254/x?digest=DIGEST` failed\ncaused by: refused to go to `169.254.169.254` \
             (169.254.169.254, a link-local address), which only the peer named"
                .to_owned(),
        ),
        ("PUT", digest_header, String::new()),
    ] {
        let (got, _) = refusal(move |seen| seen.method == method, answer, false).await;
        let want = if want.is_empty() {
            format!("content has digest `{}` where `DIGEST` was expected, in HOST/a", Digest::of(b"other"))
        } else {
            format!("HOST/a failed\ncaused by: {want}")
        };
        assert_eq!(got, want);
    }
}

#[tokio::test]
async fn refusals_of_a_pull_word_for_word() {
    let manifest = |seen: &Seen| seen.target.contains("/manifests/");
    let blob = |seen: &Seen| seen.target.contains("/blobs/");
    let get = "GET http://HOST/v2/a/manifests/v1";
    type Case = (fn(&Seen) -> bool, Answer, String);
    let cases: Vec<Case> = vec![
        (manifest, Answer::new(404, ""), "`v1` is not in HOST/a".to_owned()),
        (blob, error(404, "BLOB_UNKNOWN", "blob unknown"), "`DIGEST` is not in HOST/a".to_owned()),
        (manifest, Answer::Endless(200, vec![b' '; 65536]), format!("HOST/a failed\ncaused by: `{get}` failed\ncaused by: the answer of `http://HOST/v2/a/manifests/v1` is larger than the limit of 8388608 bytes")),
        (manifest, Answer::Cut(200, Vec::new(), vec![0; 100], 10), format!("HOST/a failed\ncaused by: `{get}` failed after 6 attempts\ncaused by: the connection to `HOST` was cut\ncaused by: end of file before message length reached")),
        (manifest, Answer::HeaderBomb, format!("HOST/a failed\ncaused by: `{get}` failed\ncaused by: the header of the answer of `HOST` is too large")),
        (manifest, Answer::new(200, "{}").with("Docker-Content-Digest", &Digest::of(b"x").to_string()), format!("content has digest `{}` where `{}` was expected, in HOST/a", Digest::of(b"{}"), Digest::of(b"x"))),
        (blob, Answer::new(200, "short"), "`DIGEST` has 5 bytes where SIZE were expected, in HOST/a".to_owned()),
        (blob, Answer::Endless(200, vec![0; 65536]), "`DIGEST` has MORE bytes where SIZE were expected, in HOST/a".to_owned()),
        (manifest, Answer::new(302, "").with("Location", "/v2/a/manifests/v1"), format!("HOST/a failed\ncaused by: `{get}` failed\ncaused by: `http://HOST/v2/a/manifests/v1` redirects more than 5 times")),
        (manifest, Answer::new(302, "").with("Location", "http://169.254.169.254/latest/meta-data"), format!("HOST/a failed\ncaused by: `{get}` failed\ncaused by: refused to go to `169.254.169.254` (169.254.169.254, a link-local address), which only the peer named")),
        (manifest, Answer::new(302, "").with("Location", "file:///etc/passwd"), format!("HOST/a failed\ncaused by: `{get}` failed\ncaused by: a link in the answer of `http://HOST/v2/a/manifests/v1` cannot be followed: its scheme is neither http nor https")),
        (manifest, Answer::new(401, "").with("WWW-Authenticate", "Bearer realm=\"http://169.254.169.254/token\""), "HOST/a failed\ncaused by: no token from `http://169.254.169.254/token` for `repository:a:pull` with no credential\ncaused by: `GET http://169.254.169.254/token?scope=repository%3Aa%3Apull` failed\ncaused by: refused to go to `169.254.169.254` (169.254.169.254, a link-local address), which only the peer named".to_owned()),
        (manifest, Answer::new(401, "").with("WWW-Authenticate", "Negotiate, NTLM"), "HOST/a failed\ncaused by: `HOST` asks for the authentication `negotiate, ntlm`, which is not supported".to_owned()),
    ];
    for (matches, answer, want) in cases {
        let shown = format!("{answer:?}");
        let (got, _) = refusal(matches, answer, true).await;
        // The size of the layer, and how much of an endless one came at once.
        let got = match got.strip_prefix("`DIGEST` has ") {
            Some(rest) => {
                let words: Vec<&str> = rest.split(' ').collect();
                let (actual, expected): (u64, u64) = (words[0].parse().unwrap(), words[3].parse().unwrap());
                let got = got.replacen(words[3], "SIZE", 1);
                if actual > expected { got.replacen(words[0], "MORE", 1) } else { got }
            }
            None => got,
        };
        assert_eq!(got, want, "{}", &shown[..shown.len().min(200)]);
    }
}

#[tokio::test]
async fn a_wrong_blob_is_refused() {
    let sample = sample(4, 1000);
    let registry = Scripted::sound();
    let mut bytes = read(&sample.blobs[0]);
    bytes[0] ^= 1;
    let digest = sample.blobs[0].descriptor().digest.clone();
    registry.state().blobs.insert(digest.to_string(), bytes.clone());
    let spool = tempfile::tempdir().unwrap();
    let client = client_with(CredentialChain::anonymous(), spool.path());
    let repository = client.repository(&reference(&registry.host(), "a")).unwrap();
    let error = repository.get_blob(sample.blobs[0].descriptor()).await.unwrap_err();
    let want =
        format!("content has digest `{}` where `{digest}` was expected, in {}/a", Digest::of(&bytes), registry.host());
    assert_eq!(report(&error), want);
    assert!(std::fs::read_dir(spool.path()).unwrap().next().is_none(), "a spooled file was left behind");
}

#[tokio::test]
async fn nobody_listens() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let spool = tempfile::tempdir().unwrap();
    let client = client_with(CredentialChain::anonymous(), spool.path());
    let repository = client.repository(&reference(&free.to_string(), "a")).unwrap();
    let error = repository.has_blob(&Digest::of(b"x")).await.unwrap_err();
    let url = format!("http://{free}/v2/a/blobs/{}", Digest::of(b"x"));
    assert_eq!(
        report(&error),
        format!(
            "{free}/a failed\ncaused by: `HEAD {url}` failed after 3 attempts\ncaused by: cannot connect to `{free}`\n\
             caused by: Connection refused (os error 111)\n\
             hint: nothing listens there: check the port, and that the registry runs"
        )
    );
}

#[tokio::test]
async fn content_that_changes_is_never_finished() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("layer");
    let bytes = vec![7u8; 300_000];
    let descriptor = Descriptor::of(media_type::OCI_LAYER, &bytes);
    let blob = coracle::blob::Blob::from_file(descriptor.clone(), &file);
    let changed = [vec![7u8; 299_999], vec![8]].concat();
    let longer = vec![7u8; 300_001];
    let shorter = vec![7u8; 299_999];
    for (content, want) in [
        (&changed, format!("content of `{}` has changed: it is now `{}`", descriptor.digest, Digest::of(&changed))),
        (&longer, "300000".to_owned()),
        (&shorter, "299999".to_owned()),
    ] {
        std::fs::write(&file, content).unwrap();
        let registry = Scripted::sound();
        let client = client_with(CredentialChain::anonymous(), directory.path());
        let repository = client.repository(&reference(&registry.host(), "a")).unwrap();
        let error = repository.put_blob(&blob).await.unwrap_err();
        assert!(report(&error).contains(&want), "{}", report(&error));
        assert!(registry.state().blobs.is_empty());
        assert!(registry.lines().iter().filter(|line| line.starts_with("POST")).count() == 1, "{:?}", registry.lines());
    }
}
