//! One registry host: its URL, its limits, what was learned of it, and the loop of attempts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use url::Url;

use super::auth::{Auth, Grant, Wants};
use super::error::complaints;
use super::flight::Flights;
use super::pace::Pace;
use super::upload::Way;
use super::{CredentialSource, Error, StatusError};
use crate::limits;
use crate::net::{
    self, HttpClient, Method, Origin, Reach, Request, Response, RetryPolicy, StatusCode, header, retry_after,
    status_retry,
};
use crate::oci::{Digest, RedactedUrl};

/// 401 answers that one call learns from: the first names the scheme, the second refuses a token that has run out.
const CHALLENGES_PER_CALL: u32 = 2;

/// Where Docker Hub's API is.
pub(super) const HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// Where a registry is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// As references write it; credentials are kept under it.
    pub(super) name: String,
    /// The URL before `/<repository>`, where it does not follow from the name.
    pub(super) base: Option<Url>,
    /// Whose content is meant, at a host that stands for another registry.
    pub(super) namespace: Option<String>,
    /// Whether plain HTTP will do where the host does not speak TLS.
    pub(super) insecure: bool,
}

impl Place {
    pub(super) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), base: None, namespace: None, insecure: false }
    }
}

/// A registry host and what is known of it.
pub(super) struct Host {
    pub(super) name: String,
    pub(super) client: HttpClient,
    pub(super) credentials: Arc<dyn CredentialSource>,
    pub(super) policy: RetryPolicy,
    pub(super) pace: Pace,
    /// Largest part of a chunked upload that it takes, as far as is known.
    chunk: AtomicU64,
    /// Held while a list of referrers is read and written again.
    pub(super) attaching: tokio::sync::Mutex<()>,
    /// Blobs that are known to be in a repository, and pushes under way.
    pub(super) pushed: Flights<(String, Digest), ()>,
    base: Url,
    namespace: Option<String>,
    /// Whether plain HTTP will do, and whether it was found to be the only way.
    insecure: bool,
    plain: AtomicBool,
    auth: Auth,
    way: Mutex<Way>,
    homes: Mutex<BTreeMap<Digest, String>>,
    /// Blobs that were asked for a moment ago and were not there, by repository.
    absent: Mutex<BTreeSet<(String, Digest)>>,
}

/// One operation: the request and what it needs.
pub(super) struct Call {
    pub(super) request: Request,
    pub(super) wants: Wants,
    /// Whether the caller repeats the operation itself, so that this call makes one attempt only.
    pub(super) once: bool,
    /// Whether it is sent even after the user wants to stop: what cleans up behind us.
    pub(super) cleanup: bool,
}

impl Call {
    pub(super) fn new(method: Method, url: Url, wants: Wants) -> Self {
        Self { request: Request::new(method, url), wants, once: false, cleanup: false }
    }
}

impl Host {
    pub(super) fn new(
        place: Place,
        client: HttpClient,
        credentials: Arc<dyn CredentialSource>,
        policy: RetryPolicy,
    ) -> Result<Self, Error> {
        let Place { name, base, namespace, insecure } = place;
        let address = if name == HUB.0 { HUB.1 } else { &name };
        let scheme = client.environment().scheme(&name);
        let base = match base {
            Some(base) => base,
            None => Url::parse(&format!("{scheme}://{address}/v2/")).map_err(|_| Error::Host(name.clone()))?,
        };
        Ok(Self {
            name,
            client,
            credentials,
            policy,
            pace: Pace::default(),
            chunk: AtomicU64::new(u64::MAX),
            attaching: tokio::sync::Mutex::default(),
            pushed: Flights::default(),
            base,
            namespace,
            insecure,
            plain: AtomicBool::new(false),
            auth: Auth::default(),
            way: Mutex::default(),
            homes: Mutex::default(),
            absent: Mutex::default(),
        })
    }

    /// The URL `/v2/<repository>/<rest>`; the grammar of references keeps both from leaving it.
    pub(super) fn url(&self, repository: &str, rest: &str) -> Result<Url, Error> {
        let mut url = self.base().join(&format!("{repository}/{rest}")).map_err(|_| Error::Host(self.name.clone()))?;
        if let Some(namespace) = &self.namespace {
            url.query_pairs_mut().append_pair("ns", namespace);
        }
        Ok(url)
    }

    fn base(&self) -> Url {
        if self.plain.load(Ordering::Relaxed) { plain(&self.base) } else { self.base.clone() }
    }

    /// Turns to plain HTTP where a host that may be spoken to without protection has no TLS. True when that is news.
    fn turned_plain(&self, url: &Url, error: &net::Error) -> bool {
        let no_tls = match error {
            net::Error::NotTls { .. } => true,
            // Nobody listens at 443.
            net::Error::Connect { .. } | net::Error::ConnectTimeout { .. } => self.base.port().is_none(),
            _ => false,
        };
        let turns = self.insecure && no_tls && url.scheme() == "https" && Origin::of(url) == Origin::of(&self.base);
        if turns {
            self.plain.store(true, Ordering::Relaxed);
        }
        turns
    }

    /// Asks whether the credential is taken.
    pub(super) async fn check(&self) -> Result<(), Error> {
        let call = Call::new(Method::GET, self.base(), Wants::nothing());
        let mut response = self.expect(&call, &[StatusCode::OK]).await?;
        drain(&mut response).await;
        Ok(())
    }

    pub(super) fn is_own(&self, url: &Url) -> bool {
        Origin::of(url) == Origin::of(&self.base())
    }

    /// How far a link of this answer may reach.
    pub(super) fn reach(&self, url: &Url, response: &Response) -> Reach {
        if self.is_own(url) { Reach::Anywhere } else { response.reach_of_links() }
    }

    /// The way of uploading that is known to work.
    pub(super) fn way(&self) -> Way {
        *self.way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never back to a cheaper way: a small blob that still got through by it says nothing about the next large one.
    pub(super) fn learn_way(&self, way: Way) {
        let mut known = self.way.lock().unwrap_or_else(PoisonError::into_inner);
        *known = way.max(*known);
    }

    /// The part of a chunked upload that the host takes.
    pub(super) fn chunk(&self, wanted: u64) -> u64 {
        wanted.min(self.chunk.load(Ordering::Relaxed))
    }

    /// A part of this size was too large. False when there is no smaller one to try.
    pub(super) fn learn_chunk(&self, refused: u64) -> bool {
        let smaller = refused / 2;
        if smaller < limits::MIN_CHUNK_BYTES {
            return false;
        }
        self.chunk.fetch_min(smaller, Ordering::Relaxed);
        true
    }

    /// A repository of this host that is known to hold the blob.
    pub(super) fn home(&self, digest: &Digest) -> Option<String> {
        self.homes.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    /// Remembers that a repository does not have a blob, until somebody acts on it.
    pub(super) fn learn_absent(&self, repository: &str, digest: &Digest) {
        let mut absent = self.absent.lock().unwrap_or_else(PoisonError::into_inner);
        absent.insert((repository.to_owned(), digest.clone()));
    }

    /// Whether it was found absent since the last call: one question is enough for one upload.
    pub(super) fn take_absent(&self, repository: &str, digest: &Digest) -> bool {
        let mut absent = self.absent.lock().unwrap_or_else(PoisonError::into_inner);
        absent.remove(&(repository.to_owned(), digest.clone()))
    }

    pub(super) fn learn_home(&self, digest: &Digest, repository: &str) {
        let mut homes = self.homes.lock().unwrap_or_else(PoisonError::into_inner);
        homes.entry(digest.clone()).or_insert_with(|| repository.to_owned());
    }

    /// Sends until an answer comes that is worth keeping: 401s are learned from, passing troubles waited out.
    pub(super) async fn call(&self, call: &Call) -> Result<Response, Error> {
        let mut wants = call.wants.clone();
        let mut url = call.request.url.clone();
        let mut refused: Option<Grant> = None;
        let (mut failures, mut challenges) = (0u32, 0u32);
        loop {
            let grant = if self.is_own(&url) {
                self.auth.grant(self, &wants, refused.as_ref()).await?
            } else {
                Grant::default()
            };
            let mut request = call.request.clone();
            request.url.clone_from(&url);
            request.authorization.clone_from(&grant.header);
            let mut outcome = if call.cleanup { self.client.send(&request).await } else { self.send(&request).await };
            if let Ok(response) = &mut outcome
                && response.status() == StatusCode::UNAUTHORIZED
                && self.is_own(response.url())
                && challenges < CHALLENGES_PER_CALL
            {
                challenges += 1;
                if self.auth.challenged(self, response, &grant, &mut wants).await? {
                    drain(response).await;
                    refused = Some(grant);
                    continue;
                }
            }
            if let Err(error) = &outcome
                && self.turned_plain(&url, error)
            {
                url = plain(&url);
                continue;
            }
            failures += 1;
            let (retry, asked) = judge(&outcome);
            let pause = if call.once { None } else { self.policy.pause(failures, retry, asked) };
            match (outcome, pause) {
                (Ok(response), None) if retry == net::Retry::Never || call.once => return Ok(response),
                (Ok(response), None) => return Err(self.status_error(&request, response, &wants, failures).await),
                (Err(source), None) => return Err(net_error(&request, failures, source)),
                (_, Some(pause)) => tokio::time::sleep(pause).await,
            }
            refused = None;
        }
    }

    async fn send(&self, request: &Request) -> Result<Response, net::Error> {
        self.pace.wait().await;
        if self.client.observer().cancelled() {
            return Err(net::Error::Cancelled);
        }
        let outcome = self.client.send(request).await;
        if let Ok(response) = &outcome
            && response.status() == StatusCode::TOO_MANY_REQUESTS
        {
            // What is not waited for ends this operation, and holds no other.
            let asked = retry_after(response.headers(), SystemTime::now()).unwrap_or(self.policy.base);
            self.pace.slow_down(if asked > self.policy.retry_after_cap { self.policy.base } else { asked });
        }
        outcome
    }

    /// A call that must be answered by one of these statuses.
    pub(super) async fn expect(&self, call: &Call, good: &[StatusCode]) -> Result<Response, Error> {
        let response = self.call(call).await?;
        if good.contains(&response.status()) {
            return Ok(response);
        }
        Err(self.status_error(&call.request, response, &call.wants, 1).await)
    }

    /// A call whose answer is read whole into memory, at most `limit` bytes; a body that is cut is asked for again. The
    /// bytes belong to a 200; of other good statuses nothing is kept.
    pub(super) async fn document(
        &self,
        call: &Call,
        good: &[StatusCode],
        limit: u64,
    ) -> Result<(Response, Vec<u8>), Error> {
        let mut failures = 0u32;
        loop {
            let mut response = self.expect(call, good).await?;
            if response.status() != StatusCode::OK {
                drain(&mut response).await;
                return Ok((response, Vec::new()));
            }
            let source = match response.bytes(limit).await {
                Ok(bytes) => return Ok((response, bytes)),
                Err(source) => source,
            };
            failures += 1;
            match self.policy.pause(failures, source.retry(), None) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(net_error(&call.request, failures, source)),
            }
        }
    }

    /// A call to a token service: its own authorization, no challenges, success expected.
    pub(super) async fn send_plain(&self, request: Request, credential: Option<&str>) -> Result<Response, Error> {
        let mut failures = 0u32;
        loop {
            let outcome = self.send(&request).await;
            failures += 1;
            let (retry, asked) = judge(&outcome);
            match (outcome, self.policy.pause(failures, retry, asked)) {
                (Ok(response), _) if response.status().is_success() => return Ok(response),
                (_, Some(pause)) => tokio::time::sleep(pause).await,
                (Ok(response), None) => {
                    let error = read_status_error(&request, response, failures, credential.map(str::to_owned)).await;
                    return Err(Error::Status(Box::new(error)));
                }
                (Err(source), None) => return Err(net_error(&request, failures, source)),
            }
        }
    }

    pub(super) async fn status_error(
        &self,
        request: &Request,
        response: Response,
        wants: &Wants,
        attempts: u32,
    ) -> Error {
        let found = self.auth.credential(self, &wants.repository).await.ok().flatten();
        let error = read_status_error(request, response, attempts, found.map(|f| f.origin)).await;
        Error::Status(Box::new(error))
    }
}

fn plain(url: &Url) -> Url {
    let mut url = url.clone();
    // Both schemes are special, between which a URL can always change.
    let _ = url.set_scheme("http");
    url
}

/// Reads the rest of an answer of which only the header matters, so that the connection can serve again.
pub(super) async fn drain(response: &mut Response) {
    // A failure costs the connection and nothing else.
    let _ = response.read_up_to(limits::MAX_ERROR_BODY_BYTES).await;
}

/// Whether an outcome is worth another attempt, and the pause that the peer asks for.
fn judge(outcome: &Result<Response, net::Error>) -> (net::Retry, Option<Duration>) {
    match outcome {
        Ok(response) => judge_status(response),
        Err(error) => (error.retry(), None),
    }
}

/// As above, of an answer.
pub(super) fn judge_status(response: &Response) -> (net::Retry, Option<Duration>) {
    (status_retry(response.status()), retry_after(response.headers(), SystemTime::now()))
}

pub(super) fn net_error(request: &Request, attempts: u32, source: net::Error) -> Error {
    let url = RedactedUrl::new(request.url.clone());
    match source {
        net::Error::Cancelled => Error::Cancelled,
        net::Error::Content(source) => Error::Content(source),
        source => Error::Net { method: request.method.clone(), url, attempts, source: Box::new(source) },
    }
}

async fn read_status_error(
    request: &Request,
    mut response: Response,
    attempts: u32,
    credential: Option<String>,
) -> StatusError {
    let content_type = response.header(header::CONTENT_TYPE.as_str()).unwrap_or_default().to_ascii_lowercase();
    // A body that does not come leaves the status, which is the news.
    let body = response.read_up_to(limits::MAX_ERROR_BODY_BYTES).await.map(|(bytes, _)| bytes).unwrap_or_default();
    StatusError {
        method: request.method.clone(),
        url: RedactedUrl::new(request.url.clone()),
        status: response.status(),
        complaints: complaints(&content_type, &body),
        retry_after: retry_after(response.headers(), SystemTime::now()),
        attempts,
        credential,
    }
}
