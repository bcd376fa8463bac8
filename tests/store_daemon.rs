//! The docker daemon's client against daemons that refuse, fail late or hang up; real ones are in `store_peers.rs`.

#[path = "support/images.rs"]
mod images;

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;

use coracle::oci::Digest;
use coracle::store::{ArchiveOptions, CopyOptions, Daemon, Error, Loaded, MemoryStore, Pointer, put_image};

/// How the daemon answers a load.
#[derive(Clone, Copy)]
enum Load {
    /// Reads everything, then answers with this status and body.
    Answer(&'static str, &'static str),
    /// Answers before it has read the body.
    Early(&'static str, &'static str),
    /// Closes the connection in the middle.
    HangUp,
}

fn reply(stream: &mut UnixStream, status: &str, body: &str) {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all((head + body).as_bytes()).ok();
}

/// The head of a request, byte by byte up to the empty line.
fn head(stream: &mut UnixStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Reads a chunked body to its end.
fn drain(stream: &mut UnixStream) {
    let mut tail = Vec::new();
    let mut buffer = [0; 4096];
    while !tail.ends_with(b"\r\n0\r\n\r\n") {
        let n = stream.read(&mut buffer).unwrap();
        if n == 0 {
            return;
        }
        tail.extend_from_slice(&buffer[..n]);
        tail.drain(..tail.len().saturating_sub(16));
    }
}

/// A daemon for as many requests as a load makes: version, inspect, load.
fn daemon(directory: &Path, load: Load) -> PathBuf {
    let socket = directory.join("d.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().take(3) {
            let mut stream = stream.unwrap();
            let head = head(&mut stream);
            match (head.split(' ').nth(1).unwrap(), load) {
                ("/version", _) => reply(&mut stream, "200 OK", r#"{"Os":"linux","Arch":"arm64"}"#),
                (path, _) if path.ends_with("/json") => reply(&mut stream, "404 Not Found", r#"{"message":"no"}"#),
                (_, Load::Answer(status, body)) => {
                    drain(&mut stream);
                    reply(&mut stream, status, body);
                }
                (_, Load::Early(status, body)) => {
                    reply(&mut stream, status, body);
                    // What is sent on is read away, so that the answer is not lost to a reset.
                    drain(&mut stream);
                }
                (_, Load::HangUp) => drop(stream),
            }
        }
    });
    socket
}

/// A store with one image whose layer is larger than what fits between client and daemon.
async fn image() -> (MemoryStore, Pointer, Digest) {
    let noise: String =
        (0..400_000u32).map(|n| char::from(b'!' + (n.wrapping_mul(2_654_435_761) >> 26) as u8)).collect();
    let layer = images::layer(&images::tar(&[("app/", ""), ("app/hello", &noise)]));
    let image = coracle::image::Image::assemble(&images::plan("arm64", &["app"]), vec![layer]).unwrap();
    let store = MemoryStore::new();
    put_image(&store, &image, &CopyOptions::default()).await.unwrap();
    let pointer = Pointer::Digest(image.manifest().digest().clone());
    (store, pointer, image.config().descriptor().digest.clone())
}

async fn load(answer: Load) -> Result<Loaded, Error> {
    let dir = tempfile::tempdir().unwrap();
    let socket = daemon(dir.path(), answer);
    let (store, pointer, _) = image().await;
    Daemon::at(&socket).load(&store, &pointer, &ArchiveOptions::default()).await
}

#[tokio::test]
async fn without_a_daemon_the_way_out_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (store, image) = (MemoryStore::new(), images::image("amd64", ""));
    put_image(&store, &image, &CopyOptions::default()).await.unwrap();
    let pointer = Pointer::Digest(image.manifest().digest().clone());
    let client = Daemon::at(&dir.path().join("none.sock"));
    let error = client.load(&store, &pointer, &ArchiveOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::NoDaemon { .. }), "{error}");
    assert!(error.to_string().contains("none.sock"), "{error}");
    assert!(error.hint().unwrap().contains("archive:FILE"));
}

#[tokio::test]
async fn a_load_that_succeeds() {
    let (_, _, id) = image().await;
    let done = load(Load::Answer("200 OK", "{\"stream\":\"Loaded image ID: x\"}\n")).await.unwrap();
    assert_eq!(done, Loaded { id, existed: false });
}

#[tokio::test]
async fn the_daemons_words_reach_the_user() {
    for (answer, status, words) in [
        (Load::Answer("200 OK", "{\"stream\":\"a\"}\n{\"error\":\"no space left\"}\n"), 200, "no space left"),
        (Load::Answer("500 Internal Server Error", r#"{"message":"invalid tar"}"#), 500, "invalid tar"),
        (Load::Early("413 Content Too Large", r#"{"message":"too much"}"#), 413, "too much"),
        (Load::Answer("502 Bad Gateway", "<html>\u{1b}[31m"), 502, "<html>\\x1b[31m"),
    ] {
        match load(answer).await {
            Err(Error::Daemon { status: got, message, .. }) => assert_eq!((got, message.as_str()), (status, words)),
            other => panic!("{words}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_broken_connection_is_an_error() {
    let error = load(Load::HangUp).await.unwrap_err();
    assert!(matches!(error, Error::DaemonConnection(_)), "{error:?}");
}
