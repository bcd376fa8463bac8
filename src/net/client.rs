//! The client: one request in, one answer out, redirects followed here.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode};
use url::Url;

use super::address::{Reach, reach_of_links};
use super::error::classify;
use super::resolver::Resolver;
use super::{Environment, Error, Origin, Payload, Response, body, resolve_link, tls, trace};
use crate::limits;
use crate::observe::{Event, SharedObserver};
use crate::oci::{RedactedUrl, Secret, in_one_line};

/// How long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// While no byte moves in either direction.
    pub idle: Duration,
    /// For one exchange from the first byte sent to the last received; `None` leaves it to `idle`.
    pub total: Option<Duration>,
    /// For an answer that is read into memory (manifests, tokens, lists): a peer that drips bytes cannot hold us.
    pub document: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            idle: Duration::from_secs(60),
            total: None,
            document: Duration::from_secs(120),
        }
    }
}

/// What a client is made of, beside its [`Environment`].
#[derive(Debug, Clone)]
pub struct Options {
    /// `User-Agent`.
    pub user_agent: String,
    /// Timeouts.
    pub timeouts: Timeouts,
    /// Whether the observer is told of every exchange ([`Event::Trace`]).
    pub trace: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            user_agent: concat!("coracle/", env!("CARGO_PKG_VERSION")).to_owned(),
            timeouts: Timeouts::default(),
            trace: false,
        }
    }
}

/// One request, which can be sent any number of times.
#[derive(Debug, Clone)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Header lines, none of them secret.
    pub headers: HeaderMap,
    /// The value of `Authorization`; never sent to another origin than that of `url`.
    pub authorization: Option<Secret>,
    /// Body.
    pub body: Payload,
    /// How far `url` may reach; [`Reach::Anywhere`] when the user named its host.
    pub reach: Reach,
}

impl Request {
    /// A request without header lines, authorization or body to a host that the user named.
    #[must_use]
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            authorization: None,
            body: Payload::Empty,
            reach: Reach::Anywhere,
        }
    }
}

/// An HTTP/1.1 client. Cloning shares its connections.
#[derive(Clone)]
pub struct HttpClient {
    inner: Arc<Inner>,
}

struct Inner {
    environment: Environment,
    options: Options,
    /// Connections to hosts without TLS of their own, then to each of those in [`Environment::tls`].
    pools: Vec<Pools>,
    observer: SharedObserver,
    warned: Mutex<HashSet<String>>,
    /// Exchanges so far.
    exchanges: AtomicU64,
}

/// One connection pool per reach, so that a narrow request never rides on a wider one's connection.
#[derive(Default)]
struct Pools([OnceLock<reqwest::Client>; 3]);

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpClient").field("options", &self.inner.options).finish_non_exhaustive()
    }
}

impl HttpClient {
    /// A client for these surroundings. Nothing is opened yet.
    ///
    /// # Errors
    /// [`Error::Authority`], [`Error::TlsSetup`] or [`Error::Setup`].
    pub fn new(environment: Environment, options: Options, observer: SharedObserver) -> Result<Self, Error> {
        let pools = std::iter::repeat_with(Pools::default).take(environment.tls.len() + 1).collect();
        let inner =
            Inner { environment, options, pools, observer, warned: Mutex::default(), exchanges: AtomicU64::new(0) };
        let client = Self { inner: Arc::new(inner) };
        client.pool(0, Reach::Anywhere)?;
        Ok(client)
    }

    /// The surroundings.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.inner.environment
    }

    /// Who is told of progress and warnings, and may stop the work.
    #[must_use]
    pub fn observer(&self) -> &SharedObserver {
        &self.inner.observer
    }

    /// Which pools serve a URL: a certificate of ours is shown to its host alone.
    fn pools_for(&self, url: &Url) -> usize {
        self.inner.environment.tls.iter().position(|host| host.covers(url)).map_or(0, |at| at + 1)
    }

    fn pool(&self, of: usize, reach: Reach) -> Result<&reqwest::Client, Error> {
        let slot = &self.inner.pools[of].0[reach as usize];
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let host = of.checked_sub(1).and_then(|at| self.inner.environment.tls.get(at));
        let tls = tls::config(&self.inner.environment, host)?;
        let proxies = self.inner.environment.proxies.clone();
        let proxy = reqwest::Proxy::custom(move |url| proxies.for_url(url).map(|p| p.expose().clone()));
        let client = reqwest::Client::builder()
            // Switches the library's own reading of the environment off.
            .no_proxy()
            .proxy(proxy)
            .tls_backend_preconfigured(tls)
            .dns_resolver(Resolver(reach))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .http1_max_headers(limits::MAX_HEADER_LINES)
            .pool_idle_timeout(Duration::from_secs(90))
            .connect_timeout(self.inner.options.timeouts.connect)
            .user_agent(&self.inner.options.user_agent)
            .build()
            .map_err(Error::Setup)?;
        Ok(slot.get_or_init(|| client))
    }

    /// Sends a request once and follows redirects: of `GET` and `HEAD` always, of other methods where the status keeps
    /// method and body (307, 308). Any status is an answer, not an error.
    ///
    /// # Errors
    /// What keeps the answer from coming; see [`Error::retry`].
    pub async fn send(&self, request: &Request) -> Result<Response, Error> {
        let started = Instant::now();
        let mut url = request.url.clone();
        let mut authorization = request.authorization.as_ref();
        let mut reach = request.reach;
        for _ in 0..=limits::MAX_REDIRECTS {
            let response = self.once(request, &url, authorization, reach, started).await?;
            let Some(location) = redirect(&request.method, &response) else {
                self.warnings(&response);
                return Ok(response);
            };
            let next = resolve_link(&url, location)?;
            if Origin::of(&next) != Origin::of(&url) {
                authorization = None;
                reach = reach.max(response.reach_of_links());
            }
            url = next;
        }
        let url = RedactedUrl::new(request.url.clone());
        Err(Error::TooManyRedirects { url, limit: limits::MAX_REDIRECTS })
    }

    /// One exchange, told where that is wanted.
    async fn once(
        &self,
        request: &Request,
        url: &Url,
        authorization: Option<&Secret>,
        reach: Reach,
        started: Instant,
    ) -> Result<Response, Error> {
        let began = Instant::now();
        let outcome = self.exchange(request, url, authorization, reach, started).await;
        let number = self.inner.exchanges.fetch_add(1, Ordering::Relaxed) + 1;
        if self.inner.options.trace {
            let ended = trace::Ended {
                number,
                proxy: self.inner.environment.proxies.for_url(url),
                took: began.elapsed(),
                outcome: outcome.as_ref().map(|response| &response.inner).map_err(|error| in_one_line(error)),
            };
            let text = trace::block(request, url, authorization, &ended);
            self.inner.observer.event(Event::Trace { text: &text });
        }
        outcome
    }

    async fn exchange(
        &self,
        request: &Request,
        url: &Url,
        authorization: Option<&Secret>,
        reach: Reach,
        started: Instant,
    ) -> Result<Response, Error> {
        reach.check_url(url)?;
        let timeouts = self.inner.options.timeouts;
        let host = host_port(url);
        let (body, sending) = body::open(&request.body, &self.inner.observer);
        let mut builder = self
            .pool(self.pools_for(url), reach)?
            .request(request.method.clone(), url.clone())
            .headers(request.headers.clone());
        if let Some(mut value) = authorization.and_then(|secret| HeaderValue::from_str(secret.expose()).ok()) {
            value.set_sensitive(true);
            builder = builder.header(AUTHORIZATION, value);
        }
        if body.is_some() || matches!(request.method, Method::POST | Method::PUT | Method::PATCH) {
            builder = builder.header(CONTENT_LENGTH, request.body.len());
        }
        if let Some(body) = body {
            builder = builder.body(body);
        }
        let mut exchange = std::pin::pin!(builder.send());
        let mut seen = 0;
        let outcome = loop {
            let left = timeouts.total.map(|total| total.saturating_sub(started.elapsed()));
            let wait = left.map_or(timeouts.idle, |left| left.min(timeouts.idle));
            match tokio::time::timeout(wait, &mut exchange).await {
                Ok(outcome) => break outcome,
                Err(_) if left.is_some_and(|left| left <= wait) => {
                    let seconds = timeouts.total.unwrap_or_default().as_secs();
                    return Err(Error::Total { host, seconds });
                }
                Err(_) if sending.sent() == seen => {
                    return Err(Error::Idle { host, seconds: timeouts.idle.as_secs() });
                }
                Err(_) => seen = sending.sent(),
            }
        };
        // Our own reason comes first: the transport knows only that the body broke off.
        if let Some(failure) = sending.take_failure() {
            return Err(failure);
        }
        let proxy = self.inner.environment.proxies.for_url(url);
        let inner = outcome.map_err(|error| {
            let error = classify(error, host.clone(), timeouts.connect.as_secs());
            proxy.map(|proxy| host_port(proxy.expose())).into_iter().fold(error, Error::of_proxy)
        })?;
        let peer = if proxy.is_some() { None } else { inner.remote_addr().map(|address| address.ip()) };
        Ok(Response { links: reach_of_links(url, peer), inner, host, timeouts, started })
    }

    /// Tells each text of a `Warning: 299` header once (distribution-spec, "Warnings").
    fn warnings(&self, response: &Response) {
        for line in response.headers().get_all("warning").iter().take(limits::MAX_WARNINGS) {
            let Some(text) = line.to_str().ok().and_then(warning_text) else { continue };
            let host = &response.host;
            let message = format!("`{host}` warns: {text}");
            let mut warned = self.inner.warned.lock().unwrap_or_else(PoisonError::into_inner);
            if warned.len() < limits::MAX_WARNINGS && warned.insert(message.clone()) {
                self.inner.observer.event(Event::Message { text: &message });
            }
        }
    }
}

/// `host:port` of a URL, for people.
fn host_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Where a redirect leads that is to be followed.
fn redirect<'a>(method: &Method, response: &'a Response) -> Option<&'a str> {
    let follow = match response.status() {
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => {
            matches!(*method, Method::GET | Method::HEAD)
        }
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
        _ => false,
    };
    if follow { response.header(LOCATION.as_str()) } else { None }
}

/// The quoted text of `299 - "text"`.
fn warning_text(line: &str) -> Option<String> {
    let quoted = line.trim().strip_prefix("299 - \"")?.strip_suffix('"')?;
    Some(quoted.replace("\\\"", "\"").chars().filter(|c| !c.is_control()).take(limits::MAX_WARNING_CHARS).collect())
}
