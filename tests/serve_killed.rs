//! The embedded registry as a process that is killed.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use coracle::oci::{Digest, ImageManifest, media_type};
use coracle::serve::Storage;
use serde_json::json;

#[path = "support/http.rs"]
mod http;
#[path = "support/serve.rs"]
mod registry;

use http::call;
use registry::{options, start};

/// `coracle serve` on a free port.
struct Process {
    child: Child,
    addr: SocketAddr,
}

impl Process {
    fn start(root: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coracle"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--dir"]).arg(root).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, addr: line.trim().parse().unwrap() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Sends a request of a push; false once the registry is gone.
fn send(addr: SocketAddr, method: &str, target: &str, kind: &str, body: &[u8]) -> bool {
    let Ok(mut stream) = TcpStream::connect(addr) else { return false };
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut answer = Vec::new();
    let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    match sent.and_then(|()| stream.read_to_end(&mut answer)) {
        Ok(_) if answer.starts_with(b"HTTP/1.1 201") => true,
        Ok(_) => {
            assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
            false
        }
        Err(e) => {
            assert!(matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{e}");
            false
        }
    }
}

/// Pushes images that share one tag and have one each, until the registry is gone.
fn push_until_gone(addr: SocketAddr, writer: usize, pushed: &std::sync::mpsc::Sender<()>) {
    for round in 0.. {
        let layer = format!("{writer} {round}").repeat(20_000).into_bytes();
        let entry =
            |bytes: &[u8], kind: &str| json!({ "mediaType": kind, "digest": Digest::of(bytes), "size": bytes.len() });
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": entry(b"{}", media_type::OCI_EMPTY),
            "layers": [entry(&layer, media_type::OCI_LAYER)],
        });
        let manifest = manifest.to_string().into_bytes();
        for blob in [b"{}", &*layer] {
            let target = format!("/v2/app/blobs/uploads/?digest={}", Digest::of(blob));
            if !send(addr, "POST", &target, "application/octet-stream", blob) {
                return;
            }
        }
        for tag in ["shared".to_owned(), format!("own-{writer}-{round}")] {
            if !send(addr, "PUT", &format!("/v2/app/manifests/{tag}"), media_type::OCI_MANIFEST, &manifest) {
                return;
            }
        }
        // Nobody listens any more once enough has been pushed.
        let _ = pushed.send(());
    }
}

#[test]
fn a_registry_that_is_killed_keeps_whole_images_only() {
    let root = tempfile::tempdir().unwrap();
    for kills in 1..=4_usize {
        let process = Process::start(root.path());
        let addr = process.addr;
        let upload = call(addr, "POST", "/v2/app/blobs/uploads/", &[], b"").header("Location");
        let (pushed, heard) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            for writer in 0..3 {
                let pushed = pushed.clone();
                scope.spawn(move || push_until_gone(addr, kills * 10 + writer, &pushed));
            }
            // Killed in the middle of whatever the writers do after so many images.
            heard.iter().take(2 * kills).for_each(drop);
            drop(process);
        });

        let server = start(options(Storage::Directory(root.path().to_owned())));
        let get = |target: &str| call(server.addr(), "GET", target, &[], b"");
        let tags = get("/v2/app/tags/list").json();
        let tags = tags["tags"].as_array().unwrap();
        assert!(tags.len() > kills, "{tags:?}");
        for tag in tags {
            let manifest = get(&format!("/v2/app/manifests/{}", tag.as_str().unwrap()));
            assert_eq!(Digest::of(&manifest.body).to_string(), manifest.header("Docker-Content-Digest"));
            let manifest = ImageManifest::parse(&manifest.body).unwrap();
            for blob in manifest.layers.iter().chain([&manifest.config]) {
                let got = get(&format!("/v2/app/blobs/{}", blob.digest));
                assert_eq!((got.status, Digest::of(&got.body)), (200, blob.digest.clone()), "{tag}");
            }
        }
        assert_eq!(get(&upload).error(), (404, "BLOB_UPLOAD_UNKNOWN".to_owned()));
        let uploads = std::fs::read_dir(root.path().join(".uploads")).unwrap().count();
        assert_eq!(uploads, 1, "only the lock");
    }
}
