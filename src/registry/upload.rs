//! Pushing blobs: mount, or one of three ways of uploading, from the cheapest to the most widely taken.
//!
//! Every attempt has its own session and opens the blob anew. A session that is not finished is cancelled.

use url::Url;

use super::Error;
use super::auth::Wants;
use super::host::{Call, Host, drain, judge_status, net_error};
use crate::blob::Blob;
use crate::limits;
use crate::net::{self, Method, Payload, Reach, Response, StatusCode, header, resolve_link};
use crate::observe::Event;
use crate::oci::{Digest, RedactedUrl};
use crate::store::Put;

/// Part of a chunked upload when the registry does not say: what the most restrictive known one (GHCR) takes.
const CHUNK_BYTES: u64 = 4 << 20;

/// How a blob's bytes are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Way {
    /// One PUT with the whole content: two requests in all.
    #[default]
    Put,
    /// One PATCH with the whole content, then an empty PUT, as docker and crane do.
    Patch,
    /// Several PATCHes with ranges, then an empty PUT.
    Chunks,
}

impl Way {
    const fn next(self) -> Option<Self> {
        match self {
            Self::Put => Some(Self::Patch),
            Self::Patch => Some(Self::Chunks),
            Self::Chunks => None,
        }
    }
}

/// An upload session.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) url: Url,
    pub(super) reach: Reach,
    pub(super) chunk: u64,
}

/// What the registry answered to the opening request.
enum Opened {
    Mounted,
    Session(Session),
}

/// A push of one blob to one repository.
pub(super) struct Upload<'a> {
    pub(super) host: &'a Host,
    pub(super) repository: &'a str,
    pub(super) blob: &'a Blob,
    pub(super) mount_from: Option<String>,
}

impl Upload<'_> {
    fn digest(&self) -> &Digest {
        &self.blob.descriptor().digest
    }

    pub(super) fn wants(&self) -> Wants {
        Wants::push(self.repository)
    }

    /// The size of the blob in the repository, or `None`.
    pub(super) async fn exists(&self) -> Result<bool, Error> {
        let size = blob_size(self.host, self.repository, self.digest(), self.wants()).await?;
        let expected = self.blob.descriptor().size;
        match size {
            Some(Some(actual)) if actual != expected => Err(Error::SizeMismatch {
                url: RedactedUrl::new(blob_url(self.host, self.repository, self.digest())?),
                digest: self.digest().clone(),
                expected,
                actual,
            }),
            found => Ok(found.is_some()),
        }
    }

    /// Brings the blob there; it is known not to be there yet.
    pub(super) async fn run(&self) -> Result<Put, Error> {
        let mut way = self.host.way();
        let mut failures = 0u32;
        let mut session = match self.open(self.mount_from.as_deref()).await? {
            Opened::Mounted => return Ok(Put::Mounted),
            Opened::Session(session) => Some(session),
        };
        loop {
            let current = match session.take() {
                Some(session) => session,
                None => match self.open(None).await? {
                    Opened::Mounted => return Ok(Put::Mounted),
                    Opened::Session(session) => session,
                },
            };
            let failure = match self.send(way, &current).await {
                Ok(()) => {
                    self.host.learn_way(way);
                    return Ok(Put::Written);
                }
                Err(failure) => failure,
            };
            let failure = match self.resume(&current, failure).await {
                Ok(()) => {
                    self.host.learn_way(way);
                    return Ok(Put::Written);
                }
                Err(failure) => failure,
            };
            self.cancel(&current).await;
            if way == Way::Chunks && failure.is_status(StatusCode::PAYLOAD_TOO_LARGE) {
                let refused = self.host.chunk(current.chunk);
                if self.host.learn_chunk(refused.min(self.blob.descriptor().size)) {
                    continue;
                }
            }
            match (failure.steps_down(), way.next()) {
                (true, Some(next)) => {
                    way = next;
                    continue;
                }
                (true, None) => return Err(failure.into_error(failures + 1)),
                (false, _) => {}
            }
            failures += 1;
            let Some(pause) = failure.pause(self.host, failures) else {
                return Err(failure.into_error(failures));
            };
            tokio::time::sleep(pause).await;
            // The registry may have taken it and only its answer been lost.
            if self.exists().await? {
                return Ok(Put::Written);
            }
        }
    }

    async fn open(&self, from: Option<&str>) -> Result<Opened, Error> {
        if let Some(from) = from {
            match self.mount(from).await {
                Ok(Some(opened)) => return Ok(opened),
                // A refused mount never fails a push.
                Ok(None) | Err(Error::Token { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let url = self.host.url(self.repository, "blobs/uploads/")?;
        let call = Call::new(Method::POST, url, self.wants());
        let response = self.host.expect(&call, &[StatusCode::ACCEPTED]).await?;
        Ok(Opened::Session(self.session(&call.request.method, &response)?))
    }

    /// Mounts or does nothing: a session that is offered instead is given back. True when the blob is there now.
    pub(super) async fn mount_only(&self, from: &str) -> Result<bool, Error> {
        match self.mount(from).await {
            Ok(Some(Opened::Mounted)) => Ok(true),
            Ok(Some(Opened::Session(session))) => {
                self.cancel(&session).await;
                Ok(false)
            }
            Ok(None) | Err(Error::Token { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// `POST …?mount=…&from=…`: 201 is done, 202 is a session as without a mount, the rest is no.
    async fn mount(&self, from: &str) -> Result<Option<Opened>, Error> {
        let mut url = self.host.url(self.repository, "blobs/uploads/")?;
        url.query_pairs_mut().append_pair("mount", &self.digest().to_string()).append_pair("from", from);
        let call = Call::new(Method::POST, url, self.wants().and_pull(from));
        let mut response = self.host.call(&call).await?;
        match response.status() {
            StatusCode::CREATED => Ok(Some(Opened::Mounted)),
            StatusCode::ACCEPTED => Ok(Some(Opened::Session(self.session(&call.request.method, &response)?))),
            _ => {
                drain(&mut response).await;
                Ok(None)
            }
        }
    }

    pub(super) fn session(&self, method: &Method, response: &Response) -> Result<Session, Error> {
        let location = response.header(header::LOCATION.as_str()).ok_or_else(|| Error::NoHeader {
            method: method.clone(),
            url: RedactedUrl::new(response.url().clone()),
            header: "Location",
        })?;
        let url = resolve_link(response.url(), location)?;
        let reach = self.host.reach(&url, response);
        let asked = response.header("oci-chunk-min-length").and_then(|text| text.trim().parse::<u64>().ok());
        let chunk = asked.unwrap_or(0).clamp(CHUNK_BYTES, limits::MAX_CHUNK_BYTES);
        Ok(Session { url, reach, chunk })
    }

    async fn send(&self, way: Way, session: &Session) -> Result<(), Failure> {
        match way {
            Way::Put => self.finish(session, Payload::Blob(self.blob.clone())).await,
            Way::Patch => {
                let next = self.patch(session, Payload::Blob(self.blob.clone()), None).await?;
                self.finish(&next, Payload::Empty).await
            }
            Way::Chunks => self.chunks(session).await,
        }
    }

    async fn chunks(&self, session: &Session) -> Result<(), Failure> {
        let size = self.blob.descriptor().size;
        let mut session = session.clone();
        let chunk = self.host.chunk(session.chunk);
        let mut at = 0;
        while at < size {
            let length = chunk.min(size - at);
            let part = Payload::Part(self.blob.clone(), at, length);
            session = self.patch(&session, part, Some((at, length))).await?;
            at += length;
        }
        self.finish(&session, Payload::Empty).await
    }

    /// One PATCH; the session's next URL.
    pub(super) async fn patch(
        &self,
        session: &Session,
        body: Payload,
        range: Option<(u64, u64)>,
    ) -> Result<Session, Failure> {
        let mut call = self.transfer(Method::PATCH, session.url.clone(), session.reach, body);
        if let Some((at, length)) = range {
            // Without a unit, as the distribution-spec has it.
            let value = format!("{at}-{}", at + length - 1);
            let value = header::HeaderValue::from_str(&value).map_err(|_| Failure::internal(&call))?;
            call.request.headers.insert(header::CONTENT_RANGE, value);
        }
        // 201 and 204 are what some registries answer instead of 202.
        let good = [StatusCode::ACCEPTED, StatusCode::CREATED, StatusCode::NO_CONTENT];
        let response = self.exchange(call, &good).await?;
        match response.header(header::LOCATION.as_str()) {
            Some(_) => {
                let next = self.session(&Method::PATCH, &response).map_err(Failure::Final)?;
                Ok(Session { chunk: session.chunk, ..next })
            }
            None => Ok(session.clone()),
        }
    }

    /// The PUT that ends a session.
    pub(super) async fn finish(&self, session: &Session, body: Payload) -> Result<(), Failure> {
        let mut url = session.url.clone();
        // Appended to what is there: registries keep their state in the query and may have signed it.
        let query = match url.query() {
            Some(query) if !query.is_empty() => format!("{query}&digest={}", self.digest()),
            _ => format!("digest={}", self.digest()),
        };
        url.set_query(Some(&query));
        let call = self.transfer(Method::PUT, url, session.reach, body);
        let good = [StatusCode::CREATED, StatusCode::ACCEPTED, StatusCode::NO_CONTENT];
        let mut response = self.exchange(call, &good).await?;
        let claimed = response.header("docker-content-digest").and_then(|text| text.parse::<Digest>().ok());
        if let Some(actual) = claimed.filter(|claimed| claimed.algorithm() == self.digest().algorithm())
            && actual != *self.digest()
        {
            let url = RedactedUrl::new(response.url().clone());
            return Err(Failure::Final(Error::DigestMismatch { url, expected: self.digest().clone(), actual }));
        }
        drain(&mut response).await;
        Ok(())
    }

    fn transfer(&self, method: Method, url: Url, reach: Reach, body: Payload) -> Call {
        let mut call = Call::new(method, url, self.wants());
        call.request.reach = reach;
        call.request.body = body;
        call.once = true;
        let octets = header::HeaderValue::from_static("application/octet-stream");
        call.request.headers.insert(header::CONTENT_TYPE, octets);
        call
    }

    async fn exchange(&self, call: Call, good: &[StatusCode]) -> Result<Response, Failure> {
        match self.host.call(&call).await {
            Ok(response) if good.contains(&response.status()) => Ok(response),
            Ok(response) => {
                let (retry, asked) = judge_status(&response);
                let error = self.host.status_error(&call.request, response, &call.wants, 1).await;
                Err(Failure::Answer { error, retry, asked })
            }
            Err(Error::Net { source, .. }) => Err(Failure::Net { call: Box::new(call), source: *source }),
            Err(error) => Err(Failure::Final(error)),
        }
    }

    /// Tells the registry to forget the session, best effort: it would expire by itself.
    async fn cancel(&self, session: &Session) {
        let mut call = Call::new(Method::DELETE, session.url.clone(), self.wants());
        call.request.reach = session.reach;
        (call.once, call.cleanup) = (true, true);
        let _ = self.host.call(&call).await;
    }
}

/// Why one attempt failed.
pub(super) enum Failure {
    /// A status.
    Answer { error: Error, retry: net::Retry, asked: Option<std::time::Duration> },
    /// No answer.
    Net { call: Box<Call>, source: net::Error },
    /// Nothing that another attempt would change.
    Final(Error),
}

impl Failure {
    fn internal(call: &Call) -> Self {
        Self::Final(Error::NoHeader {
            method: call.request.method.clone(),
            url: RedactedUrl::new(call.request.url.clone()),
            header: "Content-Range",
        })
    }

    fn is_status(&self, status: StatusCode) -> bool {
        matches!(self, Self::Answer { error, .. } if error.is_status(status))
    }

    /// Whether the registry refuses this way of sending rather than the content.
    fn steps_down(&self) -> bool {
        let Self::Answer { error, .. } = self else { return false };
        let Some(status) = error.status() else { return false };
        match status.status.as_u16() {
            405 | 411 | 413 | 416 => true,
            404 => status.has_code("BLOB_UNKNOWN"),
            400 => ["SIZE_INVALID", "CONTENT_LENGTH_INVALID"].iter().any(|code| status.has_code(code)),
            _ => false,
        }
    }

    /// Whether the transfer broke off, so that the registry may have a part of it.
    pub(super) const fn is_cut(&self) -> bool {
        match self {
            Self::Net { .. } => true,
            Self::Answer { retry, .. } => matches!(retry, net::Retry::Yes),
            Self::Final(_) => false,
        }
    }

    pub(super) fn pause(&self, host: &Host, failures: u32) -> Option<std::time::Duration> {
        let (retry, asked) = match self {
            Self::Answer { error, retry, asked } => {
                // The session is gone, as after an upload that was cut: a new one may do.
                let gone = error.is_status(StatusCode::NOT_FOUND);
                (if gone { net::Retry::Few } else { *retry }, *asked)
            }
            Self::Net { source, .. } => (source.retry(), None),
            Self::Final(_) => (net::Retry::Never, None),
        };
        host.policy.pause(failures, retry, asked)
    }

    fn into_error(self, attempts: u32) -> Error {
        match self {
            Self::Answer { error: Error::Status(mut status), .. } => {
                status.attempts = attempts;
                Error::Status(status)
            }
            Self::Answer { error, .. } | Self::Final(error) => error,
            Self::Net { call, source } => net_error(&call.request, attempts, source),
        }
    }
}

pub(super) fn blob_url(host: &Host, repository: &str, digest: &Digest) -> Result<Url, Error> {
    host.url(repository, &format!("blobs/{digest}"))
}

/// `HEAD` of a blob: `None` when it is not there, and its size where the registry tells it.
pub(super) async fn blob_size(
    host: &Host,
    repository: &str,
    digest: &Digest,
    wants: Wants,
) -> Result<Option<Option<u64>>, Error> {
    let call = Call::new(Method::HEAD, blob_url(host, repository, digest)?, wants);
    let response = host.expect(&call, &[StatusCode::OK, StatusCode::NOT_FOUND]).await?;
    if response.status() == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    Ok(Some(response.header(header::CONTENT_LENGTH.as_str()).and_then(|text| text.trim().parse().ok())))
}

/// Tells the observer of a push.
pub(super) fn report(host: &Host, blob: &Blob, outcome: Option<&Result<Put, Error>>) {
    let id = blob.descriptor().digest.to_string();
    let event = match outcome {
        None => Event::Begin { id: &id, verb: "pushing", total: Some(blob.descriptor().size) },
        Some(Ok(Put::Written)) => Event::End { id: &id, note: "" },
        Some(Ok(Put::Existed)) => Event::End { id: &id, note: "exists" },
        Some(Ok(Put::Mounted)) => Event::End { id: &id, note: "mounted" },
        Some(Err(_)) => Event::End { id: &id, note: "failed" },
    };
    host.client.observer().event(event);
}
