//! What can go wrong in a store.

use std::path::PathBuf;

use crate::oci::Digest;

/// Errors of stores.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory cannot be read or written.
    #[error("cannot {verb} `{}`", path.display())]
    Io {
        /// `read`, `write`, `create`, `rename`.
        verb: &'static str,
        /// The path.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// Nothing is stored under this name.
    #[error("`{what}` is not in {location}")]
    NotFound {
        /// Tag or digest.
        what: String,
        /// The store.
        location: String,
    },
    /// Bytes that do not have the digest they should have.
    #[error("content has digest `{actual}` where `{expected}` was expected, in {location}")]
    DigestMismatch {
        /// The promised digest.
        expected: Digest,
        /// What the bytes give.
        actual: Digest,
        /// The store.
        location: String,
    },
    /// Bytes that do not have the size they should have.
    #[error("`{digest}` has {actual} bytes where {expected} were expected, in {location}")]
    SizeMismatch {
        /// Of which content.
        digest: Digest,
        /// The promised size in bytes.
        expected: u64,
        /// The real one, or the first count beyond the promise.
        actual: u64,
        /// The store.
        location: String,
    },
    /// The store cannot do this by its nature.
    #[error("{location} cannot {what}")]
    Unsupported {
        /// What was asked.
        what: &'static str,
        /// The store.
        location: String,
    },
    /// A stored document is not valid.
    #[error("{location} holds a document that is not valid")]
    Document {
        /// The store.
        location: String,
        /// Why.
        #[source]
        source: crate::oci::Error,
    },
    /// A blob's own source failed.
    #[error(transparent)]
    Blob(#[from] crate::blob::Error),
    /// The work was stopped by the user.
    #[error("stopped before it was done")]
    Cancelled,
    /// A failure of a remote store; its own error says what happened.
    #[error("{location} failed")]
    Remote {
        /// The store.
        location: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
