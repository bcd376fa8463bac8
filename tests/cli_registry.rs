//! `push`, `pull`, `serve` and `build --push`, against the embedded registry and against peers that misbehave.

#[path = "support/cli.rs"]
mod cli;
#[path = "support/elf.rs"]
mod elf;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use cli::Workbench;
use elf::{ElfMaker, Machine};

fn bench() -> Workbench {
    let bench = Workbench::new();
    bench.file("hello", ElfMaker::new(Machine::Amd64).payload(b"a program").build());
    bench
}

fn digest(reference: &str) -> &str {
    reference.trim_end().rsplit('@').next().unwrap()
}

#[test]
fn build_push_pull_and_validate() {
    let bench = bench();
    let mut served = bench.serve(["--dir", "registry"]);
    let host = served.address.clone();
    let pushed = bench
        .run(["build", "./hello", "--repo", &format!("{host}/acme/hello"), "--tags", "v1,latest", "--push"])
        .succeeds();
    let lines: Vec<&str> = pushed.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with(&format!("{host}/acme/hello:v1@sha256:")), "{pushed}");
    assert!(lines[1].starts_with(&format!("{host}/acme/hello:latest@sha256:")), "{pushed}");
    assert!(!bench.join("coracle-out").exists());

    bench.run(["validate", lines[0]]).succeeds();
    let pulled = bench.run(["pull", lines[0], "oci:pulled"]).succeeds();
    assert_eq!(pulled, format!("oci:pulled@{}\n", digest(lines[0])));
    let again = bench
        .run(["push", "oci:pulled", &format!("{host}/other/hello:v2"), "--digest-file", "d", "--image-refs", "r"])
        .succeeds();
    assert_eq!(again, format!("{host}/other/hello:v2@{}\n", digest(lines[0])));
    assert_eq!(std::fs::read_to_string(bench.join("d")).unwrap(), format!("{}\n", digest(lines[0])));
    assert_eq!(std::fs::read_to_string(bench.join("r")).unwrap(), again);
    bench.run(["diff", lines[0], again.trim_end()]).says(0, &format!("same {}\n", digest(lines[0])), "");

    // A digest in the destination must be the image's own.
    let wrong = format!("{host}/x@sha256:{}", "0".repeat(64));
    let actual = digest(lines[0]);
    bench.run(["push", "oci:pulled", &wrong]).fails(
        1,
        &format!(
            "error: `{wrong}` cannot hold this image, whose digest is `{actual}`\n\n\
             hint: push to a tag, or leave out what follows the `@`\n"
        ),
    );
    bench
        .run(["pull", &format!("{host}/acme/absent:v1"), "oci:x"])
        .fails(1, &format!("error: `v1` is not in {host}/acme/absent\n\nhint: check the name and the tag\n"));
    assert!(!bench.join("x").exists());
    assert_eq!(served.stop(), Some(0));
    // What it kept is there when it comes back, each repository an OCI layout.
    bench.run(["validate", "oci:registry/acme/hello:v1"]).succeeds();
    let served = bench.serve(["--dir", "registry"]);
    bench.run(["validate", &format!("{}/acme/hello:latest", served.address)]).succeeds();
}

#[test]
fn an_unchanged_rebuild_sends_nothing() {
    let bench = bench();
    let served = bench.serve::<&str>([]);
    let tag = format!("{}/hello:v1", served.address);
    let words = ["build", "./hello", "-t", &tag, "--push", "--format", "json"];
    bench.run(words).succeeds();
    let outcome: serde_json::Value = serde_json::from_str(&bench.run(words).succeeds()).unwrap();
    assert_eq!(outcome["places"][0]["bytesWritten"], 0);
    assert_eq!(outcome["places"][0]["blobsWritten"], 0);
}

#[test]
fn credentials_come_from_the_docker_config() {
    let bench = bench();
    bench.file("users", "alice:wonderland\n");
    let served = bench.serve(["--htpasswd", "users"]);
    let tag = format!("{}/hello:v1", served.address);
    let run = bench.run(["build", "./hello", "-t", &tag, "--push"]);
    assert_eq!((run.code(), run.stdout()), (Some(2), ""));
    assert!(run.stderr().starts_with(&format!("error: {}/hello failed\n", served.address)), "{}", run.stderr());
    assert!(run.stderr().contains("was answered `401 Unauthorized`"), "{}", run.stderr());
    assert!(
        run.stderr().ends_with("\n\nhint: no credentials were found for this registry: log in first with `coracle login`; `--explain-auth` shows where was looked\n"),
        "{}",
        run.stderr()
    );
    let config = |password: &str| {
        let auth = base64(&format!("alice:{password}"));
        format!("{{\"auths\":{{\"{}\":{{\"auth\":\"{auth}\"}}}}}}", served.address)
    };
    bench.file(".docker/config.json", config("looking-glass"));
    let run = bench.run(["build", "./hello", "-t", &tag, "--push"]);
    assert_eq!(run.code(), Some(2));
    assert!(run.stderr().contains("[DIR]/.docker/config.json"), "{}", run.stderr());
    assert!(!run.stderr().contains("looking-glass"), "{}", run.stderr());
    bench.file(".docker/config.json", config("wonderland"));
    bench.run(["build", "./hello", "-t", &tag, "--push"]).succeeds();
    bench.run(["validate", &tag]).succeeds();
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn serve_refuses_to_be_open_to_all() {
    let bench = Workbench::new();
    bench.run(["serve", "--listen", "0.0.0.0:0"]).fails(
        1,
        "error: `0.0.0.0:0` can be reached from other machines and no user is configured\n\n\
         hint: name users with `--htpasswd FILE`, or listen on `127.0.0.1`\n",
    );
    let served = bench.serve::<&str>([]);
    let run = bench.run(["serve", "--listen", &served.address]);
    assert_eq!((run.code(), run.stdout()), (Some(2), ""));
    assert!(run.stderr().ends_with("\n\nhint: take another address, or port 0 for a free one\n"), "{}", run.stderr());
}

#[test]
fn serve_takes_a_profile_and_faults() {
    let bench = Workbench::new();
    let run = bench.run(["serve", "--fault", "blob=500"]);
    assert_eq!(run.code(), Some(1));
    for word in ["`blob=500` is no fault", "`blob` selects nothing", "upload-put"] {
        assert!(run.stderr().contains(word), "{}", run.stderr());
    }
    let run = bench.run(["serve", "--profile", "docker"]);
    assert!(run.code() == Some(1) && run.stderr().contains("expected one of ecr, ghcr"), "{}", run.stderr());
    bench.file("hello", ElfMaker::new(Machine::Amd64).payload(b"a program").build());
    let words = ["--profile", "ecr", "--fault", "upload-put=500*2", "--fault", "manifest-put=reset"];
    let served = bench.serve(words);
    let tag = format!("{}/hello:v1", served.address);
    // Tags are immutable there: the second push finds all in place and writes nothing.
    for _ in 0..2 {
        bench.run(["build", "./hello", "--tag", &tag, "--push"]).succeeds();
    }
}

/// An HTTP server that answers every request by the same function of method and path. It ends with the test's process.
fn misbehaving(answer: impl Fn(&str, &str) -> Vec<u8> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || converse(stream, &*answer));
        }
    });
    address
}

fn converse(stream: TcpStream, answer: &dyn Fn(&str, &str) -> Vec<u8>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    loop {
        let mut first = String::new();
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
            if first.is_empty() {
                first = line;
            }
        }
        std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink()).unwrap();
        let mut words = first.split_whitespace();
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if writer.write_all(&answer(method, path)).is_err() {
            return;
        }
    }
}

fn status(line: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {line}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[test]
fn a_registry_that_is_down() {
    let bench = bench();
    // Bound and closed again: nobody listens there.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let run = bench.run(["pull", &format!("{address}/hello:v1"), "oci:x"]);
    assert_eq!((run.code(), run.stdout()), (Some(2), ""));
    let stderr = run.stderr();
    assert!(stderr.contains(&format!("caused by: cannot connect to `{address}`\n")), "{stderr}");
    assert!(stderr.contains("caused by: Connection refused (os error 111)\n\nhint: "), "{stderr}");
    assert!(!bench.join("x").exists());
}

#[test]
fn statuses_of_registries() {
    let bench = bench();
    for (answer, code, wanted, hint) in [
        ("401 Unauthorized", 2, "`401 Unauthorized`", "log in"),
        ("403 Forbidden", 2, "`403 Forbidden`", "check the repository's name"),
        ("404 Not Found", 1, "`v1` is not in ", "check the name and the tag"),
        ("500 Internal Server Error", 2, "`500 Internal Server Error`", "try later"),
    ] {
        let host = misbehaving(move |_, _| status(answer, "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"no\"}]}"));
        let run = bench.run(["pull", &format!("{host}/hello:v1"), "oci:x"]);
        assert_eq!((run.code(), run.stdout()), (Some(code), ""), "{}", run.stderr());
        assert!(run.stderr().starts_with("error: ") && run.stderr().contains(wanted), "{}", run.stderr());
        assert!(run.stderr().split("\nhint: ").nth(1).is_some_and(|h| h.contains(hint)), "{}", run.stderr());
        assert!(!bench.join("x").exists());
    }
}

#[test]
fn content_that_is_not_what_it_should_be() {
    let bench = bench();
    bench.run(["build", "./hello", "-o", "oci:good"]).succeeds();
    let image = bench.run(["inspect", "oci:good", "--format", "json"]).succeeds();
    let image: serde_json::Value = serde_json::from_str(&image).unwrap();
    let blob = |digest: &str| std::fs::read(bench.join("good/blobs/sha256").join(&digest["sha256:".len()..])).unwrap();
    let manifest = blob(image["digest"].as_str().unwrap());
    let layer = image["images"][0]["manifest"]["layers"][0]["digest"].as_str().unwrap().to_owned();
    let layer_bytes = blob(&layer);
    let config = blob(image["images"][0]["manifest"]["config"]["digest"].as_str().unwrap());
    let serve = |layer_answer: Vec<u8>| {
        let (manifest, config, layer) = (manifest.clone(), config.clone(), layer.clone());
        misbehaving(move |method, path| {
            let (kind, body) = if path.contains("/manifests/") {
                ("application/vnd.oci.image.manifest.v1+json", &manifest)
            } else if path.ends_with(&layer) {
                return layer_answer.clone();
            } else {
                ("application/octet-stream", &config)
            };
            let mut answer =
                format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
            if method != "HEAD" {
                answer.push_str(std::str::from_utf8(body).unwrap());
            }
            answer.into_bytes()
        })
    };
    let head =
        |length: usize, close: &str| format!("HTTP/1.1 200 OK\r\n{close}content-length: {length}\r\n\r\n").into_bytes();
    let mut wrong = layer_bytes.clone();
    *wrong.last_mut().unwrap() ^= 1;
    for (body, wanted) in [
        ([head(wrong.len(), ""), wrong].concat(), "was expected"),
        // A registry that lies about the size of what it sends.
        ([head(5, ""), b"short".to_vec()].concat(), "bytes where"),
    ] {
        let host = serve(body);
        let run = bench.run(["pull", &format!("{host}/hello:v1"), "oci:x"]);
        assert_eq!((run.code(), run.stdout()), (Some(2), ""), "{}", run.stderr());
        assert!(run.stderr().contains(wanted), "{}", run.stderr());
        // No tag points at what was not there.
        let listed = bench.run(["inspect", "oci:x:v1"]);
        assert_eq!(listed.code(), Some(1), "{}", listed.stdout());
    }
}

#[test]
fn an_interrupt_while_a_registry_is_silent() {
    let bench = bench();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let tag = format!("{}/hello:v1", listener.local_addr().unwrap());
    let mut command = bench.command(["build", "./hello", "-t", &tag, "--push"]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    // The request has come, and nobody answers.
    let (mut stream, _) = listener.accept().unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    cli::signal(child.id(), "INT");
    let output = child.wait_with_output().unwrap();
    cli::Run::new(String::new(), &output, bench.path()).fails(130, "error: interrupted; nothing was left behind\n");
}
