//! Faults on demand: which request fails, and how. What clients do about a registry in trouble is tested with it.
//!
//! *Invariant:* the same script and the same requests in the same order give the same answers.

mod apply;
mod parse;

use std::sync::{Arc, Mutex, PoisonError};

use hyper::Method;

pub use parse::FaultError;

pub(super) use apply::{Outcome, apply};

use super::route::Route;
use crate::limits;

/// What a request is about, by which a script selects it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestKind {
    /// `GET` or `HEAD` of `/v2/`.
    Ping,
    /// `HEAD` of a blob.
    BlobHead,
    /// `GET` of a blob.
    BlobGet,
    /// `POST` of an upload.
    UploadPost,
    /// `PATCH` of an upload.
    UploadPatch,
    /// `PUT` of an upload.
    UploadPut,
    /// `HEAD` of a manifest.
    ManifestHead,
    /// `GET` of a manifest.
    ManifestGet,
    /// `PUT` of a manifest.
    ManifestPut,
    /// `GET` of referrers.
    Referrers,
    /// `GET` of tags.
    Tags,
    /// `GET` of the status of an upload, deleting, the catalog, anything else.
    Other,
}

impl RequestKind {
    /// All kinds with their words in a script.
    pub const ALL: [(&'static str, Self); 12] = [
        ("ping", Self::Ping),
        ("blob-head", Self::BlobHead),
        ("blob-get", Self::BlobGet),
        ("upload-post", Self::UploadPost),
        ("upload-patch", Self::UploadPatch),
        ("upload-put", Self::UploadPut),
        ("manifest-head", Self::ManifestHead),
        ("manifest-get", Self::ManifestGet),
        ("manifest-put", Self::ManifestPut),
        ("referrers", Self::Referrers),
        ("tags", Self::Tags),
        ("other", Self::Other),
    ];

    fn of(method: &Method, path: &str) -> Self {
        match (Route::parse(path), method.as_str()) {
            (Ok(Route::Base), "GET" | "HEAD") => Self::Ping,
            (Ok(Route::Blob(..)), "HEAD") => Self::BlobHead,
            (Ok(Route::Blob(..)), "GET") => Self::BlobGet,
            (Ok(Route::Uploads(_)), "POST") => Self::UploadPost,
            (Ok(Route::Upload(..)), "PATCH") => Self::UploadPatch,
            (Ok(Route::Upload(..)), "PUT") => Self::UploadPut,
            (Ok(Route::Manifest(..)), "HEAD") => Self::ManifestHead,
            (Ok(Route::Manifest(..)), "GET") => Self::ManifestGet,
            (Ok(Route::Manifest(..)), "PUT") => Self::ManifestPut,
            (Ok(Route::Referrers(..)), "GET") => Self::Referrers,
            (Ok(Route::Tags(_)), "GET") => Self::Tags,
            _ => Self::Other,
        }
    }
}

/// What is done to a `Location`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocationFault {
    /// It is left out.
    Absent,
    /// Only its last component and query stand there.
    Relative,
    /// It names a host of its own, as `http://HOST:PORT`, with the same path.
    Host(String),
}

/// How a request fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This status with an error document; nothing else happens.
    Status {
        /// 400 to 599.
        status: u16,
        /// The `Retry-After` that comes with it, in seconds.
        retry_after: Option<u64>,
    },
    /// The connection is closed without an answer; nothing else happens.
    Reset,
    /// The request is carried out, and the connection closed without an answer.
    Lost,
    /// The body ends after this many bytes, and the connection with it.
    Short(u64),
    /// The first byte of the body is another one.
    Corrupt,
    /// The answer begins only after this many milliseconds.
    Slow(u64),
    /// There is no answer as long as the client waits.
    Hang,
    /// What is done to the answer's `Location`.
    Location(LocationFault),
    /// A body that never ends.
    Endless,
    /// A redirect to where the request came to.
    RedirectLoop,
    /// Thousands of header lines.
    HeaderBomb,
}

/// One line of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultRule {
    /// Of which kind of request; `None` for any.
    pub kind: Option<RequestKind>,
    /// Which of them is the first to fail, counted from 1.
    pub first: u64,
    /// How many of them fail; `None` for all from then on.
    pub times: Option<u64>,
    /// How.
    pub fault: Fault,
}

/// A request that was answered, or was not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRequest {
    /// Its number, counted from 1.
    pub number: u64,
    /// What it was about.
    pub kind: RequestKind,
    /// Its method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Whether it had an `Authorization`.
    pub authorized: bool,
    /// The rule that was applied.
    pub fault: Option<Fault>,
    /// The status of the answer; `None` without one.
    pub status: Option<u16>,
}

#[derive(Default)]
struct State {
    rules: Vec<(FaultRule, u64)>,
    requests: u64,
    seen: Vec<SeenRequest>,
}

/// The script of a registry. Clones share their counts and what was seen.
#[derive(Clone, Default)]
pub struct FaultScript(Arc<Mutex<State>>);

impl std::fmt::Debug for FaultScript {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FaultScript").field("rules", &self.lock().rules.len()).finish_non_exhaustive()
    }
}

impl FaultScript {
    /// A script of these rules; of several that match a request the first counts.
    #[must_use]
    pub fn new(rules: Vec<FaultRule>) -> Self {
        let state = State { rules: rules.into_iter().map(|rule| (rule, 0)).collect(), ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// All requests so far, in the order of their arrival, up to [`limits::MAX_SEEN_REQUESTS`].
    #[must_use]
    pub fn seen(&self) -> Vec<SeenRequest> {
        self.lock().seen.clone()
    }

    /// Takes other rules, and counts anew.
    pub fn reset(&self, rules: Vec<FaultRule>) {
        *self.lock() = State { rules: rules.into_iter().map(|rule| (rule, 0)).collect(), ..State::default() };
    }

    /// Counts a request and tells its number and what is to happen to it.
    pub(super) fn begin(&self, method: &Method, path: &str, target: &str, authorized: bool) -> (u64, Option<Fault>) {
        let kind = RequestKind::of(method, path);
        let mut state = self.lock();
        state.requests += 1;
        let number = state.requests;
        let mut fault = None;
        for (rule, count) in &mut state.rules {
            if rule.kind.is_none_or(|wanted| wanted == kind) {
                *count += 1;
                let hit = *count >= rule.first && rule.times.is_none_or(|times| *count - rule.first < times);
                if hit && fault.is_none() {
                    fault = Some(rule.fault.clone());
                }
            }
        }
        if state.seen.len() < limits::MAX_SEEN_REQUESTS {
            let (method, target, applied) = (method.to_string(), target.to_owned(), fault.clone());
            state.seen.push(SeenRequest { number, kind, method, target, authorized, fault: applied, status: None });
        }
        (number, fault)
    }

    /// Notes the status of an answer.
    pub(super) fn end(&self, number: u64, status: u16) {
        let mut state = self.lock();
        let at = usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(1);
        if let Some(seen) = state.seen.get_mut(at).filter(|seen| seen.number == number) {
            seen.status = Some(status);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
