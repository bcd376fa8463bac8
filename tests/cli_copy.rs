//! `coracle copy`: between registries, layouts and archives, judged by oras, crane and skopeo.

#[path = "support/cli.rs"]
mod cli;
#[path = "support/elf.rs"]
mod elf;
#[path = "support/peers.rs"]
mod peers;
#[path = "support/registry_peer.rs"]
#[allow(dead_code)]
mod registry_peer;
#[path = "support/serve.rs"]
mod serve;

use std::process::Command;

use cli::Workbench;
use coracle::serve::{FaultScript, Quirks, RequestKind, ServeOptions, Storage};
use elf::{ElfMaker, Machine};
use registry_peer::{Kind, RegistryPeer};
use serve::{ServerGuard, options, start};

fn bench() -> Workbench {
    let bench = Workbench::new();
    for (name, machine) in [("hello-amd64", Machine::Amd64), ("hello-arm64", Machine::Arm64)] {
        bench.file(name, ElfMaker::new(machine).payload(b"a program").build());
    }
    bench
}

fn registry(quirks: Quirks) -> (ServerGuard, FaultScript) {
    let faults = FaultScript::default();
    (start(ServeOptions { quirks, faults: faults.clone(), ..options(Storage::Memory) }), faults)
}

/// Builds an index of two platforms in a registry and gives its digest.
fn published(bench: &Workbench, tag: &str) -> String {
    let run = bench.run(["build", "./hello-amd64", "./hello-arm64", "--tag", tag, "--push"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    run.stdout().trim_end().rsplit('@').next().unwrap().to_owned()
}

fn peer(program: &std::path::Path, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output().unwrap();
    assert!(output.status.success(), "{program:?} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn between_registries_layouts_and_archives() {
    let bench = bench();
    let ((one, _), (two, seen)) = (registry(Quirks::default()), registry(Quirks::default()));
    let (from, to) = (format!("{}/a/hello:v1", one.addr()), format!("{}/b/hello:v2", two.addr()));
    let digest = published(&bench, &from);
    let run = bench.run(["copy", &from, &to, "oci:mirror:v3", "archive:hello.tar", "--digest-file", "digest"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    let want = [format!("{to}@{digest}"), format!("oci:mirror@{digest}"), "archive:hello.tar".to_owned()];
    assert_eq!(run.stdout().lines().collect::<Vec<_>>(), want);
    assert_eq!(std::fs::read_to_string(bench.join("digest")).unwrap(), format!("{digest}\n"));
    for place in [&to, "oci:mirror", "archive:hello.tar"] {
        bench.run(["validate", place]).succeeds();
        bench.run(["diff", &from, place]).succeeds();
    }
    // Everything is there: one question for each piece, and not a byte more.
    seen.reset(Vec::new());
    let run = bench.run(["copy", &from, &to, "--format", "json"]);
    let told: serde_json::Value = serde_json::from_str(run.stdout()).unwrap();
    assert_eq!((&told[0]["blobsWritten"], &told[0]["digest"]), (&0.into(), &digest.clone().into()));
    let writes = |kind| matches!(kind, RequestKind::UploadPost | RequestKind::UploadPut | RequestKind::ManifestPut);
    assert!(!seen.seen().iter().any(|request| writes(request.kind)), "{:#?}", seen.seen());
    // One platform is a plain manifest.
    bench.run(["copy", "oci:mirror:v3", "oci:one:v1", "--platform", "linux/arm64"]).succeeds();
    let run = bench.run(["inspect", "oci:one:v1", "--format", "json"]);
    let seen: serde_json::Value = serde_json::from_str(run.stdout()).unwrap();
    assert_eq!(seen["images"].as_array().unwrap().len(), 1);
    assert_eq!(seen["images"][0]["platform"], "linux/arm64");
    let Some(skopeo) = peers::find("skopeo") else { return };
    let raw = peer(&skopeo, &["inspect", "--raw", "--tls-verify=false", &format!("docker://{to}")]);
    assert_eq!(coracle::oci::Digest::of(raw.as_bytes()).to_string(), digest);
}

#[test]
fn within_a_registry_blobs_are_taken_over() {
    let bench = bench();
    for (quirks, mounts) in [(Quirks::default(), true), (Quirks { no_mount: true, ..Quirks::default() }, false)] {
        let (server, seen) = registry(quirks);
        let (from, to) = (format!("{}/a:v1", server.addr()), format!("{}/b:v1", server.addr()));
        published(&bench, &from);
        seen.reset(Vec::new());
        bench.run(["copy", &from, &to]).succeeds();
        bench.run(["validate", &to]).succeeds();
        let all = seen.seen();
        let fetched = all.iter().filter(|r| r.kind == RequestKind::BlobGet && r.target.starts_with("/v2/a/")).count();
        let sent = all.iter().filter(|r| r.kind == RequestKind::UploadPut).count();
        let plan = 1;
        assert_eq!(sent <= plan && fetched <= plan + 2, mounts, "{all:#?}");
        // What was offered instead of a mount is given back.
        let opened = all.iter().filter(|r| r.kind == RequestKind::UploadPost && r.status == Some(202)).count();
        let ended = all.iter().filter(|r| r.kind == RequestKind::UploadPut || r.method == "DELETE").count();
        assert_eq!(opened, ended, "{all:#?}");
    }
}

#[test]
fn what_refers_to_an_image_goes_along_when_asked() {
    let (Some(oras), Some(crane)) = (peers::find("oras"), peers::find("crane")) else { return };
    let bench = bench();
    bench.file("note.txt", "a note");
    let mut places =
        vec![registry(Quirks::default()).0, registry(Quirks { no_referrers: true, ..Quirks::default() }).0]
            .into_iter()
            .map(|server| (server.addr().to_string(), Some(server), None))
            .collect::<Vec<_>>();
    for kind in Kind::ALL {
        places.extend(RegistryPeer::plain(kind).map(|peer| (peer.host(), None, Some(peer))));
    }
    let first = places[0].0.clone();
    let from = format!("{first}/a/hello:v1");
    published(&bench, &from);
    let attach = |to: &str| {
        let mut command = Command::new(&oras);
        command.args(["attach", "--plain-http", "--artifact-type", "application/vnd.example.note", to]);
        let output = command.arg("note.txt:text/plain").current_dir(bench.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    attach(&from);
    bench.run(["copy", &from, "oci:kept:v1", "--referrers"]).succeeds();
    for (host, ..) in &places {
        // By way of the registry and of the layout.
        for source in [&from, "oci:kept:v1"] {
            let to = format!("{host}/copy-of-{}/hello:v1", source.len());
            bench.run(["copy", source, &to, "--referrers"]).succeeds();
            let found = peer(&oras, &["discover", "--plain-http", "--format", "json", &to]);
            let found: serde_json::Value = serde_json::from_str(&found).unwrap();
            let list = found["referrers"].as_array().or(found["manifests"].as_array()).unwrap();
            let kinds: Vec<_> = list.iter().map(|one| one["artifactType"].as_str().unwrap_or_default()).collect();
            assert_eq!(kinds, ["application/vnd.example.note"], "{host}: {found:#}");
            peer(&crane, &["validate", "--insecure", "--remote", &to]);
        }
        // Without being asked for it stays behind.
        let to = format!("{host}/alone/hello:v1");
        bench.run(["copy", &from, &to]).succeeds();
        let found = peer(&oras, &["discover", "--plain-http", "--format", "json", &to]);
        assert!(!found.contains("application/vnd.example.note"), "{found}");
    }
}

#[test]
fn what_cannot_be_copied_is_told() {
    let bench = bench();
    bench.run(["build", "./hello-amd64", "--output", "oci:out"]).succeeds();
    bench.run(["copy", "oci:out", "archive:x.tar", "--referrers"]).fails(
        1,
        "error: `archive:x.tar` cannot hold what refers to an image\n\n\
         hint: leave out `--referrers`, or copy to a registry or an OCI layout\n",
    );
    assert!(!bench.join("x.tar").exists());
    let run = bench.run(["copy", "oci:out", "./out"]);
    assert!(run.code() == Some(1) && run.stderr().contains("write `oci:./out`"), "{}", run.stderr());
    let run = bench.run(["copy", "oci:none", "oci:other"]);
    assert_eq!(run.code(), Some(1));
    assert!(!bench.join("other").exists(), "nothing is made for an image that is not there");
    let run = bench.run(["copy", "oci:out", "oci:other", "--platform", "linux/s390x"]);
    assert!(run.code() == Some(1) && run.stderr().contains("linux/s390x"), "{}", run.stderr());
}

#[test]
fn one_run_to_many_repositories_sends_each_blob_once() {
    let bench = bench();
    let (server, seen) = registry(Quirks::default());
    bench.run(["build", "./hello-amd64", "--output", "oci:one", "--no-cache"]).succeeds();
    let places: Vec<String> = (0..10).map(|n| format!("{}/r{n}/hello:v1", server.addr())).collect();
    let words = ["copy", "oci:one"].into_iter().map(str::to_owned).chain(places.iter().cloned());
    bench.run(words).succeeds();
    let requests = seen.seen();
    let puts = requests.iter().filter(|request| request.kind == RequestKind::UploadPut);
    let mut sent: Vec<&str> = puts.filter_map(|request| request.target.split("digest=").nth(1)).collect();
    let count = sent.len();
    sent.sort_unstable();
    sent.dedup();
    assert!(count > 0 && sent.len() == count, "{sent:?}");
    for place in &places {
        bench.run(["validate", place]).succeeds();
    }
}
