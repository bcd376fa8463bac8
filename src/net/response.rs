//! Answers, bounded in size and time.

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use url::Url;

use super::address::Reach;
use super::error::classify;
use super::{Error, Timeouts};
use crate::oci::RedactedUrl;

/// An answer whose body has not been read yet. Read it to its end, so that the connection can serve again.
#[derive(Debug)]
pub struct Response {
    pub(super) inner: reqwest::Response,
    pub(super) host: String,
    pub(super) links: Reach,
    pub(super) timeouts: Timeouts,
    pub(super) started: Instant,
}

impl Response {
    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.inner.status()
    }

    /// The header.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// A header line as text; absent when it is not printable ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// The URL that answered, after redirects.
    #[must_use]
    pub fn url(&self) -> &Url {
        self.inner.url()
    }

    /// How far a link in this answer to another origin may reach.
    #[must_use]
    pub const fn reach_of_links(&self) -> Reach {
        self.links
    }

    /// The next piece of the body.
    ///
    /// # Errors
    /// [`Error::Idle`], [`Error::Total`], or that the connection was cut.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let mut wait = self.timeouts.idle;
        if let Some(total) = self.timeouts.total {
            wait = wait.min(total.saturating_sub(self.started.elapsed()));
        }
        match tokio::time::timeout(wait, self.inner.chunk()).await {
            Ok(Ok(chunk)) => Ok(chunk),
            Ok(Err(error)) => Err(self.failed(error)),
            Err(_) => Err(self.timed_out(wait)),
        }
    }

    fn failed(&self, error: reqwest::Error) -> Error {
        let cut = classify(error, self.host.clone(), self.timeouts.connect.as_secs());
        match cut {
            // A body that cannot be decoded is one that did not come whole.
            Error::Transport { host, source } => Error::Cut { host, source: Box::new(source) },
            other => other,
        }
    }

    fn timed_out(&self, waited: Duration) -> Error {
        let host = self.host.clone();
        match self.timeouts.total {
            Some(total) if waited < self.timeouts.idle => Error::Total { host, seconds: total.as_secs() },
            _ => Error::Idle { host, seconds: self.timeouts.idle.as_secs() },
        }
    }

    /// The whole body, at most `limit` bytes and within the time allowed for documents.
    ///
    /// # Errors
    /// [`Error::BodyTooLarge`], [`Error::Total`], and those of [`Response::chunk`].
    pub async fn bytes(&mut self, limit: u64) -> Result<Vec<u8>, Error> {
        let (bytes, whole) = self.read_up_to(limit).await?;
        if whole { Ok(bytes) } else { Err(Error::BodyTooLarge { url: RedactedUrl::new(self.url().clone()), limit }) }
    }

    /// The first `limit` bytes of the body, and whether that is all of it.
    ///
    /// # Errors
    /// As [`Response::chunk`], and [`Error::Total`] when the document takes too long.
    pub async fn read_up_to(&mut self, limit: u64) -> Result<(Vec<u8>, bool), Error> {
        let allowed = self.timeouts.document;
        let host = self.host.clone();
        let read = async {
            let mut bytes = Vec::new();
            while let Some(chunk) = self.chunk().await? {
                let room = usize::try_from(limit).unwrap_or(usize::MAX) - bytes.len();
                if chunk.len() > room {
                    bytes.extend_from_slice(&chunk[..room]);
                    return Ok((bytes, false));
                }
                bytes.extend_from_slice(&chunk);
            }
            Ok((bytes, true))
        };
        match tokio::time::timeout(allowed, read).await {
            Ok(result) => result,
            Err(_) => Err(Error::Total { host, seconds: allowed.as_secs() }),
        }
    }
}
