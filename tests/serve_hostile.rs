//! Requests that no client should send, and clients that should not be served.

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use coracle::oci::Digest;
use coracle::serve::{Error, Server, Storage, Users};

#[path = "support/http.rs"]
mod http;
#[path = "support/serve.rs"]
mod registry;

use http::{Reply, call};
use registry::{options, start};

fn raw(addr: SocketAddr, text: &[u8]) -> Reply {
    let mut stream = TcpStream::connect(addr).unwrap();
    // The server may answer and close before it has read all.
    let _ = stream.write_all(text);
    Reply::read(stream)
}

#[test]
fn names_never_leave_the_directory() {
    let outside = tempfile::tempdir().unwrap();
    let root = outside.path().join("root");
    let server = start(options(Storage::Directory(root.clone())));
    let digest = Digest::of(b"x");
    for name in [
        "..",
        "../x",
        "a/../../x",
        "%2e%2e/x",
        "a/%2e%2e%2fx",
        "..%5cx",
        "/etc",
        ".uploads",
        "a/.git",
        "a%00b",
        "A",
        "_blobs",
        &"a/".repeat(200),
    ] {
        let reply = call(server.addr(), "POST", &format!("/v2/{name}/blobs/uploads/?digest={digest}"), &[], b"x");
        assert!((400..405).contains(&reply.status), "{name}: {reply:?}");
    }
    let left: Vec<_> = std::fs::read_dir(&root).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, [".uploads"]);
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[test]
fn links_in_a_layout_are_not_followed() {
    let root = tempfile::tempdir().unwrap();
    let secret = tempfile::NamedTempFile::new().unwrap();
    let digest = Digest::of(b"");
    let blobs = root.path().join("app/blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    std::os::unix::fs::symlink(secret.path(), blobs.join(digest.hex())).unwrap();
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":0}}]}}"#
    );
    std::fs::write(root.path().join("app/index.json"), index).unwrap();
    let server = start(options(Storage::Directory(root.path().to_owned())));
    for kind in ["blobs", "manifests"] {
        assert_eq!(call(server.addr(), "GET", &format!("/v2/app/{kind}/{digest}"), &[], b"").status, 404);
    }
}

#[test]
fn chunks_with_a_wrong_range_are_refused_and_the_upload_lives_on() {
    let server = start(options(Storage::Memory));
    let upload = call(server.addr(), "POST", "/v2/a/blobs/uploads/", &[], b"").header("Location");
    for (range, body, want) in [
        ("5-9", "hello", 416),
        ("0-3", "hello", 400),
        ("0-5", "hello", 400),
        ("4-0", "hello", 400),
        ("bytes 0-4/5", "hello", 400),
        ("-", "hello", 400),
        ("0-99999999999999999999", "hello", 400),
        ("0-18446744073709551615", "hello", 400),
    ] {
        let reply = call(server.addr(), "PATCH", &upload, &[("Content-Range", range)], body.as_bytes());
        assert_eq!(reply.status, want, "{range}: {reply:?}");
    }
    let target = format!("{upload}?digest={}", Digest::of(b"hello"));
    assert_eq!(call(server.addr(), "PUT", &target, &[("Content-Range", "0-4")], b"hello").status, 201);
}

#[test]
fn a_stream_longer_than_its_range_is_cut_there() {
    let server = start(options(Storage::Memory));
    let upload = call(server.addr(), "POST", "/v2/a/blobs/uploads/", &[], b"").header("Location");
    let head = format!("PATCH {upload} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Range: 0-4\r\n");
    let text = format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
    assert_eq!(raw(server.addr(), text.as_bytes()).status, 413);
    assert_eq!(call(server.addr(), "GET", &upload, &[], b"").header("Range"), "0-4");
}

#[test]
fn digests_that_are_none() {
    let server = start(options(Storage::Memory));
    for digest in ["", "sha256:", "sha256:zz", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:../../etc/passwd", "x"] {
        for (method, target) in [
            ("GET", format!("/v2/a/blobs/{digest}")),
            ("POST", format!("/v2/a/blobs/uploads/?digest={digest}")),
            ("POST", format!("/v2/a/blobs/uploads/?mount={digest}")),
            ("GET", format!("/v2/a/referrers/{digest}")),
        ] {
            let reply = call(server.addr(), method, &target, &[], b"x");
            assert!(matches!(reply.status, 400 | 404), "{target}: {reply:?}");
        }
    }
    let upload = call(server.addr(), "POST", "/v2/a/blobs/uploads/?digest-algorithm=md5", &[], b"");
    assert_eq!(upload.error(), (400, "DIGEST_INVALID".to_owned()));
}

#[test]
fn heads_are_bounded() {
    let server = start(options(Storage::Memory));
    let large = format!("GET /v2/ HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    assert_eq!(raw(server.addr(), large.as_bytes()).status, 431);
    let many: String = (0..1000).map(|i| format!("X{i}: x\r\n")).collect();
    assert_eq!(raw(server.addr(), format!("GET /v2/ HTTP/1.1\r\n{many}\r\n").as_bytes()).status, 431);
    let long = format!("GET /v2/{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000));
    assert!(matches!(raw(server.addr(), long.as_bytes()).status, 414 | 431));
    assert_eq!(raw(server.addr(), b"\x16\x03\x01\x02\x00 no HTTP at all\r\n\r\n").status, 400);
    assert_eq!(call(server.addr(), "GET", "/v2/", &[], b"").status, 200, "it still serves");
}

#[test]
fn slow_and_broken_clients_are_given_up() {
    let mut serve = options(Storage::Memory);
    serve.limits.head_timeout = Duration::from_millis(200);
    serve.limits.idle_timeout = Duration::from_millis(200);
    serve.limits.connections = 2;
    let server = start(serve);
    // Two clients take every place: one never ends its head, the other never sends its body.
    let mut head = TcpStream::connect(server.addr()).unwrap();
    head.write_all(b"GET /v2/ HTTP/1.1\r\nHost:").unwrap();
    let mut body = TcpStream::connect(server.addr()).unwrap();
    body.write_all(b"POST /v2/a/blobs/uploads/?digest=sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n").unwrap();
    assert_eq!(call(server.addr(), "GET", "/v2/", &[], b"").status, 200, "the next one gets a place in the end");
    assert_eq!(Reply::read(body).status, 408);
    drop(head);
    // A cut body leaves what has arrived, for the client to go on from there.
    let upload = call(server.addr(), "POST", "/v2/a/blobs/uploads/", &[], b"").header("Location");
    let text = format!("PATCH {upload} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhello");
    let mut cut = TcpStream::connect(server.addr()).unwrap();
    cut.write_all(text.as_bytes()).unwrap();
    cut.shutdown(Shutdown::Both).unwrap();
    let target = format!("{upload}?digest={}", Digest::of(b"hello world"));
    let mut reply = call(server.addr(), "PUT", &target, &[("Content-Range", "5-10")], b" world");
    if reply.status == 416 {
        // The rest was faster than the beginning; the client asks where to go on.
        assert_eq!(call(server.addr(), "GET", &upload, &[], b"").header("Range"), "0-4");
        reply = call(server.addr(), "PUT", &target, &[("Content-Range", "5-10")], b" world");
    }
    assert_eq!(reply.status, 201, "{reply:?}");
}

#[test]
fn memory_and_uploads_are_bounded() {
    let mut serve = options(Storage::Memory);
    serve.limits.memory_bytes = 1 << 20;
    serve.limits.blob_bytes = 600 << 10;
    serve.limits.uploads = 3;
    let server = start(serve);
    let push = |bytes: &[u8]| {
        let target = format!("/v2/a/blobs/uploads/?digest={}", Digest::of(bytes));
        call(server.addr(), "POST", &target, &[], bytes)
    };
    assert_eq!(push(&vec![1; 700 << 10]).error(), (413, "SIZE_INVALID".to_owned()));
    assert_eq!(push(&vec![1; 500 << 10]).status, 201);
    assert_eq!(push(&vec![2; 600 << 10]).error(), (507, "DENIED".to_owned()));
    let first = format!("/v2/a/blobs/{}", Digest::of(&vec![1; 500 << 10]));
    assert_eq!(call(server.addr(), "DELETE", &first, &[], b"").status, 202);
    assert_eq!(push(&vec![2; 600 << 10]).status, 201, "what is deleted makes room");

    let open = || call(server.addr(), "POST", "/v2/a/blobs/uploads/", &[], b"");
    let uploads: Vec<String> = (0..3).map(|_| open().header("Location")).collect();
    let reply = open();
    assert_eq!(reply.error(), (429, "TOOMANYREQUESTS".to_owned()));
    assert_eq!(reply.header("Retry-After"), "10");
    // One of unknown length grows until the memory is full; then it is gone and its memory free.
    let large = vec![3; 550 << 10];
    assert_eq!(call(server.addr(), "PATCH", &uploads[0], &[], &large).status, 507);
    assert_eq!(call(server.addr(), "GET", &uploads[0], &[], b"").status, 404);
    assert_eq!(call(server.addr(), "PATCH", &uploads[1], &[], &large[..100 << 10]).status, 202);
    assert_eq!(open().status, 202);
}

#[test]
fn uploads_that_nobody_continues_make_room() {
    let mut serve = options(Storage::Memory);
    serve.limits.uploads = 1;
    serve.limits.upload_lifetime = Duration::from_secs(2);
    let server = start(serve);
    let open = || call(server.addr(), "POST", "/v2/a/blobs/uploads/", &[], b"").header("Location");
    let first = open();
    std::thread::sleep(Duration::from_millis(2100));
    let second = open();
    assert_eq!(call(server.addr(), "GET", &first, &[], b"").error(), (404, "BLOB_UPLOAD_UNKNOWN".to_owned()));
    assert_eq!(call(server.addr(), "GET", &second, &[], b"").status, 204);
}

#[test]
fn users_and_read_only() {
    let root = tempfile::tempdir().unwrap();
    let digest = Digest::of(b"x");
    let upload = format!("/v2/a/blobs/uploads/?digest={digest}");
    let mut serve = options(Storage::Directory(root.path().to_owned()));
    serve.users = Some(Users::parse("anna:open sesame").unwrap());
    {
        let server = start(serve);
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        for (header, status) in [
            (basic("anna:open sesame"), 201),
            (basic("anna:open"), 401),
            (basic("bert:open sesame"), 401),
            ("Bearer x".to_owned(), 401),
        ] {
            let reply = call(server.addr(), "POST", &upload, &[("Authorization", &header)], b"x");
            assert_eq!(reply.status, status, "{header}");
        }
        let reply = call(server.addr(), "GET", "/v2/", &[], b"");
        assert_eq!(reply.error(), (401, "UNAUTHORIZED".to_owned()));
        assert!(reply.header("WWW-Authenticate").starts_with("Basic realm="));
    }
    let mut serve = options(Storage::Directory(root.path().to_owned()));
    serve.read_only = true;
    let server = start(serve);
    assert_eq!(call(server.addr(), "GET", &format!("/v2/a/blobs/{digest}"), &[], b"").body, b"x");
    assert_eq!(call(server.addr(), "POST", &upload, &[], b"x").error(), (405, "UNSUPPORTED".to_owned()));
    let page = [("Origin", "http://example.com")];
    assert_eq!(call(server.addr(), "GET", "/v2/", &page, b"").error(), (403, "DENIED".to_owned()));
}

#[tokio::test]
async fn where_it_does_not_start() {
    let mut open = options(Storage::Memory);
    open.listen = "0.0.0.0:0".parse().unwrap();
    assert!(matches!(Server::bind(open.clone()).await, Err(Error::OpenToNetwork(_))));
    open.listen = "[::ffff:10.0.0.1]:0".parse().unwrap();
    assert!(matches!(Server::bind(open.clone()).await, Err(Error::OpenToNetwork(_))));
    open.listen = "0.0.0.0:0".parse().unwrap();
    open.users = Some(Users::parse("a:b").unwrap());
    assert!(Server::bind(open).await.is_ok());

    let root = tempfile::tempdir().unwrap();
    let directory = || options(Storage::Directory(root.path().to_owned()));
    let first = Server::bind(directory()).await.unwrap();
    assert!(matches!(Server::bind(directory()).await, Err(Error::InUse(_))));
    let mut taken = options(Storage::Memory);
    taken.listen = first.local_addr();
    assert!(matches!(Server::bind(taken).await, Err(Error::Bind { .. })));
    drop(first);
    std::fs::write(root.path().join("index.json"), "{}").unwrap();
    assert!(matches!(Server::bind(directory()).await, Err(Error::IsLayout(_))));
}
