//! A registry in memory that misbehaves on request: any answer of it can be replaced, cut or never end.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use coracle::oci::Digest;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Method.
    pub method: String,
    /// Path and query; whole URL when the server is used as a proxy.
    pub target: String,
    /// Header lines, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Body.
    pub body: Vec<u8>,
}

impl Seen {
    /// A header line.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// `METHOD target`.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

/// What to do with a request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// An answer with this status, these header lines and this body.
    Whole(u16, Vec<(String, String)>, Vec<u8>),
    /// The same, but the connection is closed after so many bytes of the body.
    Cut(u16, Vec<(String, String)>, Vec<u8>, usize),
    /// A status, then the same bytes again and again.
    Endless(u16, Vec<u8>),
    /// Header lines without end.
    HeaderBomb,
    /// The connection is closed without an answer.
    Close,
    /// The sound answer, but the connection is closed after so many bytes of its body.
    CutShort(usize),
    /// The registry does what is asked, but its answer never comes.
    Lost,
}

impl Answer {
    /// An answer without header lines of its own.
    pub fn new(status: u16, body: &str) -> Self {
        Self::Whole(status, Vec::new(), body.as_bytes().to_vec())
    }

    /// Adds a header line to a [`Answer::Whole`].
    pub fn with(mut self, name: &str, value: &str) -> Self {
        if let Self::Whole(_, headers, _) = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

type Hook = dyn Fn(&Seen, usize) -> Option<Answer> + Send + Sync;

/// The server. Its hook sees each request and its number (from 0) and may answer in the registry's place.
pub struct Scripted {
    address: std::net::SocketAddr,
    stop: Arc<AtomicBool>,
    shared: Arc<Shared>,
}

struct Shared {
    impatient: &'static [&'static str],
    hook: Box<Hook>,
    count: AtomicUsize,
    seen: Mutex<Vec<Seen>>,
    state: Mutex<State>,
}

/// What the registry holds.
#[derive(Debug, Default)]
pub struct State {
    /// Blobs by digest.
    pub blobs: BTreeMap<String, Vec<u8>>,
    /// Manifests by tag and digest: type and bytes.
    pub manifests: BTreeMap<String, (String, Vec<u8>)>,
    /// Uploads under way by number.
    pub uploads: BTreeMap<usize, Vec<u8>>,
    next: usize,
}

impl Scripted {
    /// A registry that works.
    pub fn sound() -> Self {
        Self::start(|_, _| None)
    }

    /// A registry with a hook.
    pub fn start(hook: impl Fn(&Seen, usize) -> Option<Answer> + Send + Sync + 'static) -> Self {
        Self::launch(&[], Box::new(hook))
    }

    /// A registry that answers these methods 413 before it has read the body.
    pub fn impatient(methods: &'static [&'static str]) -> Self {
        Self::launch(methods, Box::new(|_, _| None))
    }

    fn launch(impatient: &'static [&'static str], hook: Box<Hook>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let shared = Arc::new(Shared {
            impatient,
            hook,
            count: AtomicUsize::new(0),
            seen: Mutex::default(),
            state: Mutex::default(),
        });
        let (stopped, serving) = (Arc::clone(&stop), Arc::clone(&shared));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&serving);
                std::thread::spawn(move || serve(&stream.unwrap(), &shared));
            }
        });
        Self { address, stop, shared }
    }

    /// `127.0.0.1:port`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// `METHOD target` of all requests so far.
    pub fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Seen::line).collect()
    }

    /// What it holds.
    pub fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: &TcpStream, shared: &Shared) {
    // Head and body go in two writes; without this the second waits for the acknowledgement of the first.
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(mut seen) = read_head(&mut reader) {
        let number = shared.count.fetch_add(1, Ordering::SeqCst);
        if shared.impatient.contains(&seen.method.as_str()) {
            shared.seen.lock().unwrap().push(seen);
            refuse_early(stream);
            return;
        }
        if !read_body(&mut reader, &mut seen) {
            return;
        }
        let answer = (shared.hook)(&seen, number);
        shared.seen.lock().unwrap().push(seen.clone());
        let sound = || shared.state.lock().unwrap().answer(&seen);
        let answer = match answer {
            None => sound(),
            Some(Answer::Lost) => {
                sound();
                Answer::Close
            }
            Some(Answer::CutShort(after)) => match sound() {
                Answer::Whole(status, headers, body) => Answer::Cut(status, headers, body, after),
                answer => answer,
            },
            Some(answer) => answer,
        };
        if !write(stream, &seen.method, answer) {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}

/// A server that closes with unread input resets the connection, and its answer may be lost on the way; so it first
/// lets the client see the answer and go.
fn refuse_early(mut stream: &TcpStream) {
    let _ = stream.write_all(b"HTTP/1.1 413 Status\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    let _ = stream.shutdown(Shutdown::Write);
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

fn read_head(reader: &mut impl BufRead) -> Option<Seen> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    Some(Seen { method, target, headers, body: Vec::new() })
}

fn read_body(reader: &mut impl BufRead, seen: &mut Seen) -> bool {
    let length: usize = seen.header("content-length").map_or(0, |text| text.parse().unwrap());
    assert!(seen.header("transfer-encoding").is_none(), "{} has no Content-Length", seen.line());
    seen.body = vec![0; length];
    reader.read_exact(&mut seen.body).is_ok()
}

/// False when the connection is to be closed.
fn write(mut stream: &TcpStream, method: &str, answer: Answer) -> bool {
    let head = |status: u16, headers: &[(String, String)], length: Option<usize>| {
        let mut text = format!("HTTP/1.1 {status} Status\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        let given = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        if let Some(length) = length.filter(|_| !given) {
            text.push_str(&format!("Content-Length: {length}\r\n"));
        }
        text + "\r\n"
    };
    match answer {
        Answer::Whole(status, headers, body) => {
            stream.write_all(head(status, &headers, Some(body.len())).as_bytes()).is_ok()
                && (method == "HEAD" || stream.write_all(&body).is_ok())
        }
        Answer::Cut(status, headers, body, after) => {
            let _ = stream.write_all(head(status, &headers, Some(body.len())).as_bytes());
            let _ = stream.write_all(&body[..after]);
            false
        }
        Answer::Endless(status, bytes) => {
            let _ = stream.write_all(head(status, &[], None).as_bytes());
            while stream.write_all(&bytes).is_ok() {}
            false
        }
        Answer::HeaderBomb => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
            let mut n = 0u64;
            while stream.write_all(format!("X-{n}: {}\r\n", "x".repeat(1000)).as_bytes()).is_ok() {
                n += 1;
            }
            false
        }
        Answer::Close | Answer::Lost | Answer::CutShort(_) => false,
    }
}

impl State {
    fn answer(&mut self, seen: &Seen) -> Answer {
        let path = seen.target.split('?').next().unwrap();
        let Some(rest) = path.strip_prefix("/v2/") else { return Answer::new(404, "") };
        let parts: Vec<&str> = rest.rsplitn(3, '/').collect();
        match (seen.method.as_str(), parts.as_slice()) {
            ("POST", ["", "uploads", _]) => {
                self.next += 1;
                self.uploads.insert(self.next, Vec::new());
                Answer::new(202, "").with("Location", &format!("{path}{}?state=a%2Fb", self.next))
            }
            (method @ ("PATCH" | "PUT" | "DELETE"), [id, "uploads", _]) => self.upload(method, id, seen, path),
            ("GET" | "HEAD", [digest, "blobs", _]) => match self.blobs.get(*digest) {
                Some(blob) => partial(blob, seen.header("range")),
                None => error(404, "BLOB_UNKNOWN", "blob unknown to registry"),
            },
            ("PUT", [name, "manifests", _]) => {
                let digest = Digest::of(&seen.body).to_string();
                let kind = seen.header("content-type").unwrap_or_default().to_owned();
                for name in [(*name).to_owned(), digest.clone()] {
                    self.manifests.insert(name, (kind.clone(), seen.body.clone()));
                }
                Answer::new(201, "").with("Docker-Content-Digest", &digest)
            }
            ("GET" | "HEAD", [name, "manifests", _]) => match self.manifests.get(*name) {
                Some((kind, bytes)) => {
                    let digest = Digest::of(bytes).to_string();
                    Answer::Whole(200, Vec::new(), bytes.clone())
                        .with("Content-Type", kind)
                        .with("Docker-Content-Digest", &digest)
                }
                None => error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
            },
            _ => Answer::new(404, ""),
        }
    }

    fn upload(&mut self, method: &str, id: &str, seen: &Seen, path: &str) -> Answer {
        let id: usize = id.parse().unwrap();
        let Some(mut bytes) = self.uploads.remove(&id) else {
            return error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
        };
        if method == "DELETE" {
            return Answer::new(204, "");
        }
        assert!(seen.target.contains("state=a%2Fb"), "the query of the Location is lost: {}", seen.target);
        bytes.extend_from_slice(&seen.body);
        if method == "PATCH" {
            let end = bytes.len().saturating_sub(1);
            self.uploads.insert(id, bytes);
            return Answer::new(202, "")
                .with("Location", &format!("{path}?state=a%2Fb"))
                .with("Range", &format!("0-{end}"));
        }
        let digest = seen.target.split("digest=").nth(1).unwrap();
        if Digest::of(&bytes).to_string() != digest {
            return error(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
        }
        self.blobs.insert(digest.to_owned(), bytes);
        Answer::new(201, "").with("Docker-Content-Digest", digest)
    }
}

/// The registry's error document.
pub fn error(status: u16, code: &str, message: &str) -> Answer {
    let body = format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#);
    Answer::new(status, &body).with("Content-Type", "application/json")
}

fn partial(blob: &[u8], range: Option<&str>) -> Answer {
    let start = range.and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    match start {
        Some(start) => Answer::Whole(206, Vec::new(), blob[start..].to_vec())
            .with("Content-Range", &format!("bytes {start}-{}/{}", blob.len() - 1, blob.len())),
        None => Answer::Whole(200, Vec::new(), blob.to_vec()),
    }
}
