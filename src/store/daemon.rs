//! `docker-daemon:` the local docker daemon, over its unix socket (Engine API: `/images/load`, `/images/{id}/json`).

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Limited, StreamBody};
use hyper::body::Frame;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::archive::{Archive, ArchiveOptions};
use super::{Error, Pointer, Store, layout};
use crate::limits;
use crate::oci::{Digest, Platform, Reference, Tag};

/// Bytes of the archive per piece sent, and pieces that wait: 4 MiB at most are in memory.
const PIECE: usize = 256 << 10;
const WAITING: usize = 16;

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A docker daemon.
#[derive(Debug, Clone)]
pub struct Daemon {
    socket: PathBuf,
}

/// What loading did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The image's id for the daemon: the digest of its config.
    pub id: Digest,
    /// Whether the daemon had the image already and only got the names.
    pub existed: bool,
}

impl Daemon {
    /// A daemon at this unix socket, usually `/var/run/docker.sock`. Nothing is opened yet.
    #[must_use]
    pub fn at(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Loads an image (of an index: the one for the daemon's own platform) and names it; an image that the daemon has
    /// is only named.
    ///
    /// # Errors
    /// [`Error::NoDaemon`] without a socket; [`Error::Daemon`] with the daemon's words; [`Error::ZstdNotLoadable`];
    /// those of the store.
    pub async fn load(&self, from: &dyn Store, pointer: &Pointer, options: &ArchiveOptions) -> Result<Loaded, Error> {
        let own = self.platform().await?;
        let options = ArchiveOptions { docker_platform: options.docker_platform.clone().or(own), ..options.clone() };
        let archive = Archive::prepare(from, pointer, &options).await?;
        let id = archive.docker_config().map(|config| config.digest.clone());
        let id = id.ok_or(Error::Unsupported { what: "load an artifact", location: self.location() })?;
        if self.has(&id).await? {
            for name in &options.names {
                self.name(&id, name).await?;
            }
            return Ok(Loaded { id, existed: true });
        }
        self.send(archive).await?;
        Ok(Loaded { id, existed: false })
    }

    /// For people.
    #[must_use]
    pub fn location(&self) -> String {
        format!("docker-daemon at `{}`", self.socket.display())
    }

    async fn platform(&self) -> Result<Option<Platform>, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Version {
            os: String,
            arch: String,
        }
        let (status, answer) = self.ask(Method::GET, "/version").await?;
        check("GET /version", status, &answer)?;
        let version = serde_json::from_slice::<Version>(&answer).ok();
        Ok(version.and_then(|version| format!("{}/{}", version.os, version.arch).parse().ok()))
    }

    async fn has(&self, id: &Digest) -> Result<bool, Error> {
        let (status, answer) = self.ask(Method::GET, &format!("/images/{id}/json")).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(false),
            status => check("GET /images/…/json", status, &answer).map(|()| true),
        }
    }

    async fn name(&self, id: &Digest, name: &Reference) -> Result<(), Error> {
        let tag = name.tag().cloned().unwrap_or_else(Tag::latest);
        // Names and tags have no character that a query would have to escape, but the colon of a port is safe too.
        let path = format!("/images/{id}/tag?repo={}&tag={tag}", name.name());
        let (status, answer) = self.ask(Method::POST, &path).await?;
        check("POST /images/…/tag", status, &answer)
    }

    async fn send(&self, archive: Archive) -> Result<(), Error> {
        let (sender, receiver) = mpsc::channel::<std::io::Result<Bytes>>(WAITING);
        let target = self.socket.clone();
        let writer = layout::blocking(move || {
            let mut out = std::io::BufWriter::with_capacity(PIECE, Pieces { sender: sender.clone() });
            let written = archive
                .write_to(&mut out, &target)
                .and_then(|()| out.flush().map_err(|e| Error::io("write", &target, e)));
            if written.is_err() {
                // The body must not look complete. The receiver may be gone: then the daemon has hung up first.
                let aborted = std::io::Error::other("the archive could not be written");
                sender.blocking_send(Err(aborted)).ok();
            }
            written
        });
        let pieces = stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|p| (p, receiver)) });
        let body = StreamBody::new(pieces.map(|piece| piece.map(Frame::data))).boxed_unsync();
        let (written, answered) = tokio::join!(writer, self.request(Method::POST, "/images/load?quiet=1", body));
        let (status, answer) = match (answered, written) {
            // When the daemon answers before it has read everything, its words matter more than the broken pipe.
            (Ok(answer), _) => answer,
            (Err(cause), Ok(())) => return Err(cause),
            (Err(cause), Err(Error::Io { source, .. })) if source.kind() == ErrorKind::BrokenPipe => return Err(cause),
            (Err(_), Err(cause)) => return Err(cause),
        };
        check("POST /images/load", status, &answer)?;
        match failure_in_stream(&answer) {
            Some(message) => Err(Error::Daemon { what: "POST /images/load", status: status.as_u16(), message }),
            None => Ok(()),
        }
    }

    async fn ask(&self, method: Method, path: &str) -> Result<(StatusCode, Bytes), Error> {
        let nothing = Empty::new().map_err(|never| match never {}).boxed_unsync();
        self.request(method, path, nothing).await
    }

    /// One request on a connection of its own.
    async fn request(&self, method: Method, path: &str, body: Body) -> Result<(StatusCode, Bytes), Error> {
        let broke = |e: hyper::Error| Error::DaemonConnection(Box::new(e));
        let absent = |source| Error::NoDaemon { socket: self.socket.clone(), source };
        let stream = UnixStream::connect(&self.socket).await.map_err(absent)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broke)?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "docker")
            .header("content-type", "application/x-tar")
            .body(body)
            .map_err(|e| Error::DaemonConnection(Box::new(e)))?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(broke)?;
            let status = response.status();
            let limited = Limited::new(response.into_body(), limits::MAX_DAEMON_ANSWER_BYTES);
            let answer = limited.collect().await.map_err(Error::DaemonConnection)?;
            Ok((status, answer.to_bytes()))
        };
        // The connection drives the exchange; it may end first, with what is left of the answer still buffered.
        tokio::pin!(exchange);
        tokio::select! {
            done = &mut exchange => done,
            ended = connection => match ended {
                Ok(()) => exchange.await,
                Err(e) => Err(broke(e)),
            },
        }
    }
}

/// The archive's bytes on their way from the thread that writes them to the connection.
struct Pieces {
    sender: mpsc::Sender<std::io::Result<Bytes>>,
}

impl Write for Pieces {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        let piece = Bytes::copy_from_slice(&buf[..buf.len().min(PIECE)]);
        let n = piece.len();
        self.sender.blocking_send(Ok(piece)).map_err(|_| ErrorKind::BrokenPipe)?;
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Any status but success is an error with the `message` that the daemon gives.
fn check(what: &'static str, status: StatusCode, answer: &[u8]) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    if status.is_success() {
        return Ok(());
    }
    let message = serde_json::from_slice::<Refusal>(answer).map_or_else(|_| shown(answer), |refusal| refusal.message);
    Err(Error::Daemon { what, status: status.as_u16(), message })
}

/// A load answers 200 first and may fail later, in the stream of JSON lines that follows.
fn failure_in_stream(answer: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Line {
        error: Option<String>,
    }
    let lines = serde_json::Deserializer::from_slice(answer).into_iter::<Line>();
    lines.map_while(Result::ok).find_map(|line| line.error)
}

/// The beginning of an answer that is not JSON.
fn shown(answer: &[u8]) -> String {
    crate::diag::escape(&answer[..answer.len().min(200)])
}
