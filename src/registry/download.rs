//! Pulling blobs: streamed to a spool file, verified on the way, resumed after a cut.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempPath;
use tokio::sync::mpsc;

use super::Error;
use super::auth::Wants;
use super::host::{Call, Host, judge_status, net_error};
use super::upload::blob_url;
use crate::blob::{Blob, SealedFile};
use crate::net::{self, Method, Response, StatusCode, header};
use crate::observe::Event;
use crate::oci::{Descriptor, Digest, DigestWriter, RedactedUrl};

/// Pieces that wait between the socket and the disk. The transport's own pieces reach some hundred KiB.
const PIECES_AHEAD: usize = 1;

/// An attempt that moved this much counts as progress, after which attempts are counted anew. Each such stretch costs
/// the peer as much as us, so that a peer which cuts again and again cannot hold us for long on a small blob.
const PROGRESS_BYTES: u64 = 8 << 20;

/// What the writing thread ends with.
struct Written {
    path: TempPath,
    digest: Digest,
}

/// The writing end: pieces go in, the digest comes out.
struct Spool {
    pieces: Option<mpsc::Sender<Bytes>>,
    thread: tokio::task::JoinHandle<std::io::Result<Written>>,
    directory: PathBuf,
    received: u64,
}

impl Spool {
    fn open(directory: &Path, descriptor: &Descriptor) -> Self {
        let (pieces, mut receiver) = mpsc::channel::<Bytes>(PIECES_AHEAD);
        let (place, algorithm) = (directory.to_owned(), descriptor.digest.algorithm());
        let thread = tokio::task::spawn_blocking(move || {
            let (file, path): (File, TempPath) =
                tempfile::Builder::new().prefix(".coracle-pull-").tempfile_in(place)?.into_parts();
            let mut writer = DigestWriter::new(file, algorithm);
            while let Some(piece) = receiver.blocking_recv() {
                writer.write_all(&piece)?;
            }
            writer.flush()?;
            let (_, digest, _) = writer.finish();
            Ok(Written { path, digest })
        });
        Self { pieces: Some(pieces), thread, directory: directory.to_owned(), received: 0 }
    }

    /// False when the thread has gone; [`Spool::finish`] tells why.
    async fn push(&mut self, piece: Bytes) -> bool {
        self.received += piece.len() as u64;
        match &self.pieces {
            Some(pieces) => pieces.send(piece).await.is_ok(),
            None => false,
        }
    }

    async fn finish(mut self) -> Result<Written, Error> {
        self.pieces = None;
        let outcome = match self.thread.await {
            Ok(outcome) => outcome,
            Err(gone) => Err(std::io::Error::other(gone.to_string())),
        };
        outcome.map_err(|source| Error::Spool { path: self.directory, source })
    }
}

/// Fetches a blob into a file of `directory`.
pub(super) async fn fetch(
    host: &Host,
    repository: &str,
    descriptor: &Descriptor,
    directory: &Path,
) -> Result<Blob, Error> {
    let url = blob_url(host, repository, &descriptor.digest)?;
    let shown = RedactedUrl::new(url.clone());
    let mut call = Call::new(Method::GET, url, Wants::pull(repository));
    call.once = true;
    let mut spool = Spool::open(directory, descriptor);
    let outcome = receive_all(host, &mut call, descriptor, &mut spool).await;
    // Awaited in either case: when this returns an error, its file is gone.
    let written = spool.finish().await;
    outcome?;
    let written = written?;
    if written.digest != descriptor.digest {
        let (expected, actual) = (descriptor.digest.clone(), written.digest);
        return Err(Error::DigestMismatch { url: shown, expected, actual });
    }
    Ok(Blob::new(descriptor.clone(), Arc::new(SealedFile::new(written.path))))
}

async fn receive_all(host: &Host, call: &mut Call, descriptor: &Descriptor, spool: &mut Spool) -> Result<(), Error> {
    let mut failures = 0u32;
    loop {
        let before = spool.received;
        let (retry, asked, error) = match attempt(host, call, descriptor, spool).await? {
            Attempt::Done => return Ok(()),
            Attempt::Answer(response, retry, asked) => {
                let error = host.status_error(&call.request, response, &call.wants, failures + 1).await;
                (retry, asked, error)
            }
            Attempt::Cut(source) => (source.retry(), None, net_error(&call.request, failures + 1, source)),
        };
        failures = if spool.received >= before + PROGRESS_BYTES { 1 } else { failures + 1 };
        match host.policy.pause(failures, retry, asked) {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return Err(error),
        }
    }
}

enum Attempt {
    Done,
    Answer(Response, net::Retry, Option<std::time::Duration>),
    Cut(net::Error),
}

async fn attempt(host: &Host, call: &mut Call, descriptor: &Descriptor, spool: &mut Spool) -> Result<Attempt, Error> {
    call.request.headers.remove(header::RANGE);
    if spool.received > 0 {
        let range = header::HeaderValue::from_str(&format!("bytes={}-", spool.received));
        if let Ok(range) = range {
            call.request.headers.insert(header::RANGE, range);
        }
    }
    let mut response = match host.call(call).await {
        Ok(response) => response,
        Err(Error::Net { source, .. }) => return Ok(Attempt::Cut(*source)),
        Err(error) => return Err(error),
    };
    match response.status() {
        StatusCode::PARTIAL_CONTENT if range_start(&response) == Some(spool.received) => {}
        // The registry ignores ranges, or the range does not fit: from the beginning.
        StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if spool.received > 0 => {
            let fresh = Spool::open(&spool.directory, descriptor);
            // What the old one has to say matters no more.
            let _ = std::mem::replace(spool, fresh).finish().await;
            if response.status() != StatusCode::OK {
                let source = "the range asked for was refused".into();
                return Ok(Attempt::Cut(net::Error::Cut { host: host.name.clone(), source }));
            }
        }
        StatusCode::OK => {}
        _ => {
            let (retry, asked) = judge_status(&response);
            return Ok(Attempt::Answer(response, retry, asked));
        }
    }
    receive(host, &mut response, descriptor, spool).await
}

async fn receive(
    host: &Host,
    response: &mut Response,
    descriptor: &Descriptor,
    spool: &mut Spool,
) -> Result<Attempt, Error> {
    let id = descriptor.digest.to_string();
    let url = RedactedUrl::new(response.url().clone());
    let wrong_size = |actual| Error::SizeMismatch {
        url: url.clone(),
        digest: descriptor.digest.clone(),
        expected: descriptor.size,
        actual,
    };
    loop {
        if host.client.observer().cancelled() {
            return Ok(Attempt::Cut(net::Error::Cancelled));
        }
        match response.chunk().await {
            Ok(Some(piece)) => {
                let bytes = piece.len() as u64;
                if spool.received + bytes > descriptor.size {
                    return Err(wrong_size(spool.received + bytes));
                }
                if !spool.push(piece).await {
                    // The thread has gone: its own error is told when the spool is finished.
                    return Ok(Attempt::Done);
                }
                host.client.observer().event(Event::Advance { id: &id, bytes });
            }
            Ok(None) if spool.received == descriptor.size => return Ok(Attempt::Done),
            Ok(None) => return Err(wrong_size(spool.received)),
            Err(error) => return Ok(Attempt::Cut(error)),
        }
    }
}

/// The first byte of `Content-Range: bytes first-last/size`.
fn range_start(response: &Response) -> Option<u64> {
    let range = response.header(header::CONTENT_RANGE.as_str())?.trim().strip_prefix("bytes ")?;
    range.split_once('-')?.0.trim().parse().ok()
}
