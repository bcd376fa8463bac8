//! Who answers what.

use std::io;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{ALLOW, AUTHORIZATION, AsHeaderName, EXPECT, HeaderName, HeaderValue, ORIGIN, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::Semaphore;

use crate::observe::{Event, SharedObserver};
use crate::store::Pointer;

use super::blocking::blocking;
use super::body::{ReplyBody, reply};
use super::faults::{self, FaultScript, Outcome};
use super::manifests::UNITS;
use super::receive::drain;
use super::refusal::{Code, Refusal};
use super::route::{Query, Route};
use super::storage::{Backend, Directory, Memory};
use super::uploads::Uploads;
use super::{Error, Limits, Quirks, ServeOptions, Storage, Users};

/// Old clients take a registry for one only with this header.
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// The registry behind the connections.
pub(super) struct Registry {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) uploads: Uploads,
    pub(super) limits: Limits,
    pub(super) check_references: bool,
    /// Room for manifests in flight, in units of [`UNITS`].
    pub(super) manifest_room: Semaphore,
    users: Option<Users>,
    read_only: bool,
    pub(super) quirks: Quirks,
    faults: FaultScript,
    log_requests: bool,
    observer: SharedObserver,
}

/// The text of a header.
pub(super) fn header(parts: &Parts, name: impl AsHeaderName) -> Option<&str> {
    parts.headers.get(name).and_then(|value| value.to_str().ok())
}

impl Registry {
    /// Opens the storage.
    pub(super) fn open(options: ServeOptions) -> Result<Self, Error> {
        let ServeOptions {
            storage,
            users,
            read_only,
            check_references,
            quirks,
            faults,
            log_requests,
            limits,
            observer,
            ..
        } = options;
        let backend: Arc<dyn Backend> = match storage {
            Storage::Memory => Arc::new(Memory::new(limits.memory_bytes)),
            Storage::Directory(path) => Arc::new(Directory::open(&path, read_only)?),
        };
        let uploads = Uploads::new(limits.uploads, limits.upload_lifetime, limits.idle_timeout);
        let manifest_room = Semaphore::new(UNITS as usize);
        Ok(Self {
            backend,
            uploads,
            limits,
            check_references,
            manifest_room,
            users,
            read_only,
            quirks,
            faults,
            log_requests,
            observer,
        })
    }

    /// Answers a request, or fails it as the script says; an error closes the connection without an answer.
    pub(super) async fn handle(&self, request: Request<Incoming>) -> io::Result<Response<ReplyBody>> {
        let target = request.uri().path_and_query().map_or("/", PathAndQuery::as_str).to_owned();
        let authorized = request.headers().contains_key(AUTHORIZATION);
        let (number, fault) = self.faults.begin(request.method(), request.uri().path(), &target, authorized);
        if self.log_requests {
            let fault = fault.as_ref().map(|fault| format!(" fails: {fault:?}")).unwrap_or_default();
            let text = format!("{number} {} {target}{fault}", request.method());
            self.observer.event(Event::Message { text: &text });
        }
        let outcome = match &fault {
            None => Outcome::CarryOut,
            Some(fault) => faults::apply(fault, &target).await,
        };
        let response = match outcome {
            Outcome::CarryOut => self.carry_out(request).await,
            Outcome::Answer(response) => {
                // Read first: a connection that is closed on unread input loses its answer.
                drain(&mut request.into_body(), self.limits.idle_timeout).await;
                response
            }
            Outcome::Close => return Err(io::Error::other("a fault of the script")),
        };
        let changed = match fault {
            None => Some(response),
            Some(fault) => fault.change(response),
        };
        if let Some(response) = &changed {
            self.faults.end(number, response.status().as_u16());
        }
        changed.ok_or_else(|| io::Error::other("a fault of the script"))
    }

    async fn carry_out(&self, request: Request<Incoming>) -> Response<ReplyBody> {
        let (mut parts, mut body) = request.into_parts();
        let mut response = match self.answer(&mut parts, &mut body).await {
            Ok(response) => response,
            Err(refusal) => {
                if let Some(cause) = refusal.cause() {
                    self.report(&parts, cause);
                }
                // A client that waits for `100 Continue` has not begun to send, and is not asked to.
                if !parts.headers.contains_key(EXPECT) {
                    drain(&mut body, self.limits.idle_timeout).await;
                }
                refusal.into_response()
            }
        };
        response.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
        response
    }

    fn report(&self, parts: &Parts, cause: &Error) {
        let mut text = format!("{} {}: {cause}", parts.method, parts.uri.path());
        let mut source = std::error::Error::source(cause);
        while let Some(error) = source {
            text.push_str(&format!(": {error}"));
            source = error.source();
        }
        self.observer.event(Event::Message { text: &text });
    }

    async fn answer(&self, parts: &mut Parts, body: &mut Incoming) -> Result<Response<ReplyBody>, Refusal> {
        self.admit(parts).await?;
        let route = Route::parse(parts.uri.path())?;
        self.quirks.before(parts, body, &route)?;
        if self.quirks.immutable_tags
            && let (Route::Manifest(name, Pointer::Tag(tag)), &Method::PUT) = (&route, &parts.method)
        {
            let (backend, name, tag) = (Arc::clone(&self.backend), name.clone(), tag.clone());
            let index = blocking(move || backend.index(&name)).await?;
            self.quirks.refuses_tag(index.is_some_and(|index| index.tags().contains_key(&tag)))?;
        }
        let mut response = self.route(parts, body, &route).await?;
        self.quirks.after(&parts.method, &route, &mut response);
        Ok(response)
    }

    async fn route(&self, parts: &Parts, body: &mut Incoming, route: &Route) -> Result<Response<ReplyBody>, Refusal> {
        let query = Query::parse(parts.uri.query());
        let reads = parts.method == Method::GET || parts.method == Method::HEAD;
        if self.read_only && !reads {
            return Err(not_allowed("GET, HEAD", "the registry is read-only"));
        }
        let head = parts.method == Method::HEAD;
        match (route.clone(), &parts.method) {
            (Route::Base, _) if reads => Ok(reply(StatusCode::OK)),
            (Route::Catalog, _) if reads => self.catalog(&query).await,
            (Route::Tags(name), _) if reads => self.list_tags(&query, name).await,
            (Route::Referrers(name, digest), _) if reads => self.referrers(&query, name, digest).await,
            (Route::Blob(name, digest), _) if reads => self.get_blob(parts, name, digest, head).await,
            (Route::Blob(name, digest), &Method::DELETE) => self.delete_blob(name, digest).await,
            (Route::Manifest(name, pointer), _) if reads => self.get_manifest(parts, name, pointer, head).await,
            (Route::Manifest(name, pointer), &Method::PUT) => {
                self.put_manifest(parts, &query, body, name, pointer).await
            }
            (Route::Manifest(name, pointer), &Method::DELETE) => self.delete_manifest(name, pointer).await,
            (Route::Uploads(name), &Method::POST) => self.start_upload(&query, body, name).await,
            (Route::Upload(name, id), &Method::GET) => self.upload_status(name, &id).await,
            (Route::Upload(name, id), &Method::PATCH) => self.patch_upload(parts, body, name, &id).await,
            (Route::Upload(name, id), &Method::PUT) => self.finish_upload(parts, &query, body, name, &id).await,
            (Route::Upload(name, id), &Method::DELETE) => self.cancel_upload(name, &id).await,
            (route, _) => Err(not_allowed(allowed(&route), "this endpoint has no such method")),
        }
    }

    /// Lets a request in or not.
    async fn admit(&self, parts: &Parts) -> Result<(), Refusal> {
        let Some(users) = &self.users else {
            // Only this machine is served then, but a web page that a browser on it shows is a stranger.
            if parts.headers.contains_key(ORIGIN) {
                let message = "requests of web pages are refused without authentication";
                return Err(Refusal::new(StatusCode::FORBIDDEN, Code::Denied, message));
            }
            return Ok(());
        };
        if users.admits(header(parts, AUTHORIZATION)).await {
            return Ok(());
        }
        let refusal = Refusal::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, "authentication required");
        Err(refusal.with_header(WWW_AUTHENTICATE, "Basic realm=\"coracle\", charset=\"UTF-8\""))
    }

    /// Removes uploads that nobody continues.
    pub(super) async fn sweep(self: Arc<Self>) {
        let sweep = blocking(move || {
            self.uploads.sweep();
            Ok(())
        });
        // Has no failure of its own.
        let _ = sweep.await;
    }
}

fn not_allowed(allow: &str, message: &str) -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, message).with_header(ALLOW, allow)
}

fn allowed(route: &Route) -> &'static str {
    match route {
        Route::Base | Route::Catalog | Route::Tags(_) | Route::Referrers(..) => "GET, HEAD",
        Route::Manifest(..) => "GET, HEAD, PUT, DELETE",
        Route::Blob(..) => "GET, HEAD, DELETE",
        Route::Uploads(_) => "POST",
        Route::Upload(..) => "GET, PATCH, PUT, DELETE",
    }
}
