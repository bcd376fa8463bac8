//! Layer 4: the one place for TLS, proxies, timeouts and retries.
//!
//! *Invariants:* nothing here reads the environment (the caller hands an [`Environment`] down); a request's
//! authorization never travels to another origin than the one it was made for; every answer is bounded in size and
//! time; an address that only a peer named is never a link-local or metadata address, nor a private one when the peer
//! is public.

mod address;
mod body;
mod client;
mod environment;
mod error;
mod host_tls;
mod link;
mod resolver;
mod response;
mod retry;
mod tls;
mod trace;

pub use address::Reach;
pub use body::Payload;
pub use client::{HttpClient, Options, Request, Timeouts};
pub use environment::{Authority, Environment, Proxies};
pub use error::{Error, Retry};
pub use host_tls::{HostTls, Identity};
pub use link::{Origin, resolve_link};
pub use reqwest::{Method, StatusCode, header};
pub use response::Response;
pub use retry::{RetryPolicy, retry_after, status_retry};
