//! Layer 6: an embedded OCI registry for quick starts, tests and builds without a network.
//!
//! It implements the distribution-spec (pull, push, content discovery, content management, referrers) over HTTP/1.1.
//! Storage is memory or a directory of OCI layouts, one per repository, which every other tool can read as well.
//!
//! *Invariants:* what is stored under a digest has that digest; a push that ends anywhere leaves no tag on something
//! missing; in directory mode memory does not grow with the size of a blob; without authentication nobody beyond this
//! machine is served.
//!
//! The parts, from the socket inwards: `server` (connections), `handler` (who answers what), one file per group of
//! endpoints, `storage` (the two backends). `quirks` and `faults` stand around the handler, for tests of clients. Storage is blocking code, called through one door in `blocking`.

mod auth;
mod blobs;
mod blocking;
mod body;
mod error;
mod faults;
mod handler;
mod idle;
mod lists;
mod manifest;
mod manifests;
mod name;
mod options;
mod quirks;
mod range;
mod receive;
mod refusal;
mod route;
mod server;
mod storage;
mod uploads;

pub use auth::Users;
pub use error::Error;
pub use faults::{Fault, FaultError, FaultRule, FaultScript, LocationFault, RequestKind, SeenRequest};
pub use options::{Limits, ServeOptions, Storage};
pub use quirks::{Profile, Quirks};
pub use server::Server;
