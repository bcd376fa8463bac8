//! How the registry is set up.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::limits;
use crate::observe::{SharedObserver, silent};

use super::{FaultScript, Quirks, Users};

/// Where repositories are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// In memory, gone when the registry ends.
    Memory,
    /// In a directory of OCI layouts, one per repository: `DIRECTORY/<name>/{oci-layout,index.json,blobs}`. A layout put
    /// there by another program is served as well.
    Directory(PathBuf),
}

/// What the registry is to be.
#[derive(Clone)]
pub struct ServeOptions {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Where repositories are kept.
    pub storage: Storage,
    /// Who may do anything; `None` lets everyone, and is refused on an address that other machines reach.
    pub users: Option<Users>,
    /// Refuse every change.
    pub read_only: bool,
    /// Refuse manifests that refer to content the repository does not have.
    pub check_references: bool,
    /// What it does otherwise than the distribution-spec has it.
    pub quirks: Quirks,
    /// Which requests fail, and how.
    pub faults: FaultScript,
    /// Tell the observer of every request.
    pub log_requests: bool,
    /// Bounds on what clients may use.
    pub limits: Limits,
    /// Is told of failures that are the registry's own.
    pub observer: SharedObserver,
}

impl ServeOptions {
    /// A registry without authentication, with the default bounds.
    #[must_use]
    pub fn new(listen: SocketAddr, storage: Storage) -> Self {
        Self {
            listen,
            storage,
            users: None,
            read_only: false,
            check_references: true,
            quirks: Quirks::default(),
            faults: FaultScript::default(),
            log_requests: false,
            limits: Limits::default(),
            observer: silent(),
        }
    }
}

impl std::fmt::Debug for ServeOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServeOptions")
            .field("listen", &self.listen)
            .field("storage", &self.storage)
            .field("users", &self.users)
            .field("read_only", &self.read_only)
            .field("check_references", &self.check_references)
            .field("quirks", &self.quirks)
            .field("faults", &self.faults)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Bounds on what clients may use. The defaults and their reasons are in [`crate::limits`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections served at a time; more wait.
    pub connections: usize,
    /// Unfinished uploads at a time; more get 429.
    pub uploads: usize,
    /// Largest blob in bytes; more gets 413.
    pub blob_bytes: u64,
    /// Largest manifest in bytes; more gets 413.
    pub manifest_bytes: u64,
    /// Bytes that memory storage holds in all; more gets 507.
    pub memory_bytes: u64,
    /// Time for a request's head to arrive, also while a connection is idle.
    pub head_timeout: Duration,
    /// Time without any progress after which a body's transfer is given up.
    pub idle_timeout: Duration,
    /// Time without a request after which an upload is removed.
    pub upload_lifetime: Duration,
    /// Time for running requests to finish once the registry is to stop.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: limits::SERVE_CONNECTIONS,
            uploads: limits::SERVE_UPLOADS,
            blob_bytes: limits::SERVE_BLOB_BYTES,
            manifest_bytes: limits::MAX_MANIFEST_BYTES,
            memory_bytes: limits::SERVE_MEMORY_BYTES,
            head_timeout: limits::SERVE_HEAD_TIMEOUT,
            idle_timeout: limits::SERVE_IDLE_TIMEOUT,
            upload_lifetime: limits::SERVE_UPLOAD_LIFETIME,
            grace: limits::SERVE_GRACE,
        }
    }
}
