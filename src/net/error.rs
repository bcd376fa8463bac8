//! What can go wrong between here and an answer.

use std::error::Error as StdError;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::oci::RedactedUrl;

/// Whether another attempt may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It would fail again.
    Never,
    /// The host is perhaps not up yet: few attempts, so that a wrong name is told soon.
    Few,
    /// A passing trouble.
    Yes,
}

/// Errors of the transport.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A proxy setting is no URL; its text may hold a password and is not shown.
    #[error("the proxy for {protocol} is not an http or https URL")]
    ProxyUrl {
        /// `http` or `https`.
        protocol: &'static str,
    },
    /// A certificate bundle cannot be parsed.
    #[error("certificate bundle `{origin}` is not valid: {reason}")]
    Authority {
        /// Where it came from.
        origin: String,
        /// The parser's words.
        reason: String,
    },
    /// A file of certificates or keys cannot be read.
    #[error("cannot read `{}`", path.display())]
    TlsFile {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A certificate of ours, or its key, is not one.
    #[error("`{}` is no certificate or key to show who we are: {reason}", path.display())]
    Identity {
        /// The file.
        path: PathBuf,
        /// The parser's words.
        reason: String,
    },
    /// The TLS library refuses its configuration.
    #[error("cannot set up TLS")]
    TlsSetup(#[source] rustls::Error),
    /// The HTTP library refuses its configuration.
    #[error("cannot set up the HTTP client")]
    Setup(#[source] reqwest::Error),
    /// The name has no address.
    #[error("cannot resolve the host name `{host}`")]
    Dns {
        /// The name.
        host: String,
        /// The resolver's reason.
        #[source]
        source: io::Error,
    },
    /// No connection could be made.
    #[error("cannot connect to `{host}`")]
    Connect {
        /// `host:port`.
        host: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// No connection within the time allowed.
    #[error("no connection to `{host}` within {seconds} s")]
    ConnectTimeout {
        /// `host:port`.
        host: String,
        /// Time allowed.
        seconds: u64,
    },
    /// The proxy that stands before a host cannot be reached.
    #[error("the proxy `{proxy}` cannot be reached")]
    Proxy {
        /// `host:port`.
        proxy: String,
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// Neither side moved a byte for the time allowed.
    #[error("`{host}` was silent for {seconds} s")]
    Idle {
        /// `host:port`.
        host: String,
        /// Time allowed.
        seconds: u64,
    },
    /// The whole exchange took longer than allowed.
    #[error("`{host}` did not finish within {seconds} s")]
    Total {
        /// `host:port`.
        host: String,
        /// Time allowed.
        seconds: u64,
    },
    /// The host answered the TLS greeting with something else.
    #[error("`{host}` does not speak TLS on this port")]
    NotTls {
        /// `host:port`.
        host: String,
    },
    /// The certificate is not accepted.
    #[error("the certificate of `{host}` is not accepted")]
    Certificate {
        /// `host:port`.
        host: String,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// TLS failed for another reason.
    #[error("no TLS connection with `{host}`")]
    Tls {
        /// `host:port`.
        host: String,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// The connection broke before the answer was complete.
    #[error("the connection to `{host}` was cut")]
    Cut {
        /// `host:port`.
        host: String,
        /// The transport's reason.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The answer's header is larger than [`crate::limits::MAX_HEADER_LINES`] lines or the transport's buffer.
    #[error("the header of the answer of `{host}` is too large")]
    HeaderTooLarge {
        /// `host:port`.
        host: String,
    },
    /// What came back is not HTTP.
    #[error("the answer of `{host}` is not valid HTTP")]
    NotHttp {
        /// `host:port`.
        host: String,
        /// The parser's reason.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Any other failure that the HTTP library reports.
    #[error("the exchange with `{host}` failed")]
    Transport {
        /// `host:port`.
        host: String,
        /// Its report, without the URL.
        #[source]
        source: reqwest::Error,
    },
    /// A peer named an address that it has no business with.
    #[error("refused to go to `{host}` ({address}, a {kind} address), which only the peer named")]
    AddressRefused {
        /// The host of the link.
        host: String,
        /// The address.
        address: IpAddr,
        /// `private`, `link-local`, `metadata service` or `reserved`.
        kind: &'static str,
    },
    /// A peer named a metadata service.
    #[error("refused to go to the metadata service `{host}`, which only the peer named")]
    NameRefused {
        /// The host of the link.
        host: String,
    },
    /// A link in an answer cannot be followed.
    #[error("a link in the answer of `{url}` cannot be followed: {reason}")]
    Link {
        /// Where the link stood.
        url: RedactedUrl,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A link leads from `https` to plain HTTP of another host.
    #[error("the link from `{from}` to `{to}` would leave https")]
    Downgrade {
        /// Where the link stood.
        from: RedactedUrl,
        /// Where it leads.
        to: RedactedUrl,
    },
    /// Redirects without end.
    #[error("`{url}` redirects more than {limit} times")]
    TooManyRedirects {
        /// The first URL.
        url: RedactedUrl,
        /// The bound.
        limit: usize,
    },
    /// A body larger than its bound.
    #[error("the answer of `{url}` is larger than the limit of {limit} bytes")]
    BodyTooLarge {
        /// Which answer.
        url: RedactedUrl,
        /// The bound in bytes.
        limit: u64,
    },
    /// The content to send cannot be read, or is no longer what it was.
    #[error(transparent)]
    Content(#[from] crate::blob::Error),
    /// The content to send has another length than promised.
    #[error("the content to send has {actual} bytes where {expected} were promised")]
    ContentLength {
        /// Promised bytes.
        expected: u64,
        /// Bytes found, or the first count beyond the promise.
        actual: u64,
    },
    /// The user wants to stop.
    #[error("stopped before it was done")]
    Cancelled,
}

impl Error {
    /// Whether another attempt may help.
    #[must_use]
    pub const fn retry(&self) -> Retry {
        match self {
            Self::Dns { .. } | Self::Connect { .. } | Self::Proxy { .. } => Retry::Few,
            Self::ConnectTimeout { .. } | Self::Idle { .. } | Self::Cut { .. } | Self::Transport { .. } => Retry::Yes,
            _ => Retry::Never,
        }
    }

    /// The same error where the connection was one to a proxy.
    pub(super) fn of_proxy(self, proxy: String) -> Self {
        let source = match self {
            Self::Dns { source, .. } => Self::Dns { host: name_of(&proxy), source },
            Self::Connect { source, .. } => Self::Connect { host: proxy.clone(), source },
            Self::ConnectTimeout { seconds, .. } => Self::ConnectTimeout { host: proxy.clone(), seconds },
            other => return other,
        };
        Self::Proxy { proxy, source: Box::new(source) }
    }

    /// The next step for the person, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Dns { .. } => "check the host name in the reference, and the name servers of this machine",
            Self::Connect { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused => {
                "nothing listens there: check the port, and that the registry runs"
            }
            Self::Proxy { .. } => "check `HTTPS_PROXY` and `HTTP_PROXY`, or name the host in `NO_PROXY`",
            Self::NotTls { .. } => "if the registry really speaks plain HTTP, say so with `--plain-http HOST`",
            Self::Certificate { source, .. } if is_unknown_issuer(source) => {
                "if the registry has a private certificate authority, name its file with `--ca`"
            }
            Self::ConnectTimeout { .. } => "check that a firewall or a missing proxy setting does not stand between",
            _ => return None,
        })
    }
}

fn is_unknown_issuer(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer))
}

/// A resolver's refusal, carried through the HTTP library.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResolveError {
    #[error("no address")]
    Dns(#[source] io::Error),
    #[error("refused address {address}")]
    Refused { address: IpAddr, kind: &'static str },
}

/// Gives an error of the HTTP library its cause. `seconds` is the connect timeout.
pub(super) fn classify(error: reqwest::Error, host: String, seconds: u64) -> Error {
    let error = error.without_url();
    if let Some(found) = find_cause(&error, &host) {
        return found;
    }
    if error.is_timeout() && error.is_connect() {
        return Error::ConnectTimeout { host, seconds };
    }
    if let Some(hyper) = find::<hyper::Error>(&error) {
        if hyper.is_parse_too_large() {
            return Error::HeaderTooLarge { host };
        }
        if hyper.is_parse() || hyper.is_parse_status() {
            return Error::NotHttp { host, source: hyper.to_string().into() };
        }
        if hyper.is_incomplete_message() || hyper.is_closed() || hyper.is_body_write_aborted() || hyper.is_canceled() {
            return Error::Cut { host, source: hyper.to_string().into() };
        }
    }
    if let Some(io) = find::<io::Error>(&error) {
        let source = copy_io(io);
        return if error.is_connect() {
            Error::Connect { host, source }
        } else {
            Error::Cut { host, source: Box::new(source) }
        };
    }
    Error::Transport { host, source: error }
}

fn find_cause(error: &reqwest::Error, host: &str) -> Option<Error> {
    let host = host.to_owned();
    match find::<ResolveError>(error) {
        Some(ResolveError::Dns(source)) => return Some(Error::Dns { host: name_of(&host), source: copy_io(source) }),
        Some(ResolveError::Refused { address, kind }) => {
            return Some(Error::AddressRefused { host: name_of(&host), address: *address, kind });
        }
        None => {}
    }
    let tls = find::<rustls::Error>(error)?.clone();
    Some(match tls {
        // What a plain HTTP server's `HTTP/1.1 400` looks like to the TLS record parser.
        rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => Error::NotTls { host },
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            Error::Certificate { host, source: tls }
        }
        _ => Error::Tls { host, source: tls },
    })
}

/// The host without its port.
fn name_of(host: &str) -> String {
    match host.rsplit_once(':') {
        Some((name, _)) => name.to_owned(),
        None => host.to_owned(),
    }
}

/// An equal I/O error: the original stays inside the HTTP library's error.
fn copy_io(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// The innermost error of type `T` in a chain of causes; I/O errors carry theirs inside.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut found = None;
    let mut next = Some(error);
    while let Some(error) = next {
        found = error.downcast_ref::<T>().or(found);
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    found
}
