//! Other programs as clients of the embedded registry: skopeo, crane, curl.

use std::path::Path;
use std::process::Command;

use coracle::image::Index;
use coracle::oci::{Annotations, Digest};
use coracle::serve::{Storage, Users};
use coracle::store::{CopyOptions, LayoutStore, put_index};

#[path = "support/images.rs"]
mod images;
#[path = "support/peers.rs"]
mod peers;
#[path = "support/serve.rs"]
mod registry;

use registry::{options, start};

/// Runs a peer that has to succeed and gives its stdout.
fn run(peer: &Path, home: &Path, arguments: &[&str]) -> String {
    let output = Command::new(peer).args(arguments).env("HOME", home).env("DOCKER_CONFIG", home).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {arguments:?}: {stderr}", peer.display());
    String::from_utf8(output.stdout).unwrap()
}

/// A layout `from` with a two-platform index tagged `v1`, and the digest of the index.
async fn layout(directory: &Path) -> Digest {
    let pair = vec![images::image("amd64", ""), images::image("arm64", "")];
    let index = Index::assemble(pair, Annotations::new()).unwrap();
    let options = CopyOptions { tags: vec!["v1".parse().unwrap()], ..CopyOptions::default() };
    put_index(&LayoutStore::create(&directory.join("from")).unwrap(), &index, &options).await.unwrap();
    index.manifest().digest().clone()
}

#[tokio::test]
async fn skopeo_pushes_and_pulls_with_a_user() {
    let Some(skopeo) = peers::find("skopeo") else { return };
    let home = tempfile::tempdir().unwrap();
    let digest = layout(home.path()).await;
    let mut serve = options(Storage::Directory(home.path().join("registry")));
    serve.users = Some(Users::parse("anna:open sesame").unwrap());
    let server = start(serve);
    let (from, to) = (format!("oci:{}/from:v1", home.path().display()), format!("oci:{}/to:v1", home.path().display()));
    let reference = format!("docker://{}/team/app:v1", server.addr());
    run(
        &skopeo,
        home.path(),
        &["copy", "--all", "--dest-tls-verify=false", "--dest-creds", "anna:open sesame", &from, &reference],
    );
    run(
        &skopeo,
        home.path(),
        &["copy", "--all", "--src-tls-verify=false", "--src-creds", "anna:open sesame", &reference, &to],
    );
    let blob = Path::new("blobs/sha256").join(digest.hex());
    let back = std::fs::read(home.path().join("to").join(&blob)).unwrap();
    assert_eq!(Digest::of(&back), digest);
    // What the registry keeps is a layout that skopeo reads where it lies.
    let stored = format!("oci:{}/registry/team/app:v1", home.path().display());
    let inspected = run(&skopeo, home.path(), &["inspect", "--raw", &stored]);
    assert_eq!(Digest::of(inspected.as_bytes()), digest);
}

#[tokio::test]
async fn crane_validates_copies_lists_and_deletes() {
    let Some(crane) = peers::find("crane") else { return };
    let home = tempfile::tempdir().unwrap();
    layout(home.path()).await;
    let server = start(options(Storage::Memory));
    // crane pushes a layout's `index.json` itself.
    let digest = Digest::of(&std::fs::read(home.path().join("from/index.json")).unwrap());
    let from = home.path().join("from").display().to_string();
    let reference = |text: &str| format!("{}/{text}", server.addr());
    let crane = |arguments: &[&str]| run(&crane, home.path(), arguments);
    crane(&["push", "--index", &from, &reference("a:v1")]);
    crane(&["validate", "--remote", &reference("a:v1")]);
    assert_eq!(crane(&["digest", &reference("a:v1")]).trim(), digest.to_string());
    crane(&["copy", &reference("a:v1"), &reference("b/c:v2")]);
    crane(&["tag", &reference("b/c:v2"), "v3"]);
    assert_eq!(crane(&["ls", &reference("b/c")]), "v2\nv3\n");
    assert_eq!(crane(&["catalog", &server.addr().to_string()]), "a\nb/c\n");
    crane(&["delete", &reference("b/c:v2")]);
    assert_eq!(crane(&["ls", &reference("b/c")]), "v3\n");
    crane(&["pull", "--format", "oci", &reference("b/c:v3"), &home.path().join("back").display().to_string()]);
    assert!(home.path().join("back/blobs/sha256").join(digest.hex()).is_file());
}

#[test]
fn curl_pushes_a_blob() {
    let Some(curl) = peers::find("curl") else { return };
    let home = tempfile::tempdir().unwrap();
    let bytes = vec![7; 3 << 20];
    let file = home.path().join("blob");
    std::fs::write(&file, &bytes).unwrap();
    let server = start(options(Storage::Directory(home.path().join("registry"))));
    let base = format!("http://{}/v2/a/blobs", server.addr());
    // curl asks for `100 Continue` before it sends.
    let push = format!("{base}/uploads/?digest={}", Digest::of(&bytes));
    let arguments = ["-sSf", "-X", "POST", "-H", "Content-Type: application/octet-stream", "--data-binary"];
    run(&curl, home.path(), &[&arguments[..], &[&format!("@{}", file.display()), &push]].concat());
    let pulled = home.path().join("pulled");
    let target = format!("{base}/{}", Digest::of(&bytes));
    run(&curl, home.path(), &["-sSf", "-r", "1048576-", "-o", &pulled.display().to_string(), &target]);
    assert!(std::fs::read(&pulled).unwrap() == bytes[1 << 20..]);
}
