//! Reading the bodies of requests, within bounds of size and time.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body, Incoming};

use crate::limits;

use super::blocking::BLOCK;
use super::refusal::{Code, Refusal};

/// A body that has to keep arriving.
pub(super) struct Receiver<'a> {
    body: &'a mut Incoming,
    idle: Duration,
    /// Bytes that may still come.
    left: u64,
    limit: u64,
}

/// Why a batch ended before it was full.
pub(super) type End = Option<Result<(), Refusal>>;

impl<'a> Receiver<'a> {
    /// Reads at most `limit` bytes of a body; one that says beforehand that it is larger is refused at once.
    pub(super) fn new(body: &'a mut Incoming, limit: u64, idle: Duration) -> Result<Self, Refusal> {
        if body.size_hint().lower() > limit {
            return Err(too_large(limit));
        }
        Ok(Self { body, idle, left: limit, limit })
    }

    /// The next piece, `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            let frame = match tokio::time::timeout(self.idle, self.body.frame()).await {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(_))) => return Err(cut()),
                Err(_) => return Err(stalled()),
            };
            // Trailers are of no use here.
            let Ok(bytes) = frame.into_data() else { continue };
            self.left = self.left.checked_sub(bytes.len() as u64).ok_or_else(|| too_large(self.limit))?;
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
    }

    /// About a block of bytes, fewer at the end. What arrived before a failure is given along with it.
    pub(super) async fn batch(&mut self) -> (Vec<u8>, End) {
        let mut batch = Vec::new();
        while batch.len() < BLOCK {
            match self.next().await {
                Ok(Some(bytes)) => batch.extend_from_slice(&bytes),
                Ok(None) => return (batch, Some(Ok(()))),
                Err(refusal) => return (batch, Some(Err(refusal))),
            }
        }
        (batch, None)
    }

    /// The whole body, which has to be complete within the time that others may stall.
    pub(super) async fn collect(mut self) -> Result<Vec<u8>, Refusal> {
        let idle = self.idle;
        let work = async move {
            let mut all = Vec::with_capacity(usize::try_from(self.body.size_hint().lower()).unwrap_or_default());
            while let Some(bytes) = self.next().await? {
                all.extend_from_slice(&bytes);
            }
            Ok(all)
        };
        tokio::time::timeout(idle, work).await.unwrap_or_else(|_| Err(stalled()))
    }
}

/// Reads what is left of an unwanted body, up to a bound, so that a client that is still writing gets to read the
/// answer.
pub(super) async fn drain(body: &mut Incoming, idle: Duration) {
    let mut left = limits::SERVE_DRAIN_BYTES;
    let work = async {
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, |bytes| bytes.len() as u64));
            if left == 0 {
                break;
            }
        }
    };
    // Given up after a while: the connection is then closed.
    let _ = tokio::time::timeout(idle, work).await;
}

fn too_large(limit: u64) -> Refusal {
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, Code::SizeInvalid, format!("more than the limit of {limit} bytes"))
}

fn cut() -> Refusal {
    Refusal::bad(Code::SizeInvalid, "the body ended before its announced length")
}

fn stalled() -> Refusal {
    Refusal::new(StatusCode::REQUEST_TIMEOUT, Code::SizeInvalid, "the body stopped arriving")
}
