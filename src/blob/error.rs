//! What can go wrong with a source.

use std::path::PathBuf;

use crate::oci::Digest;
use crate::rootfs::RootError;

/// Errors of opening and reading sources.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be opened or read.
    #[error("cannot read `{}`", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The file is no regular file (a FIFO or device would block or never end).
    #[error("`{}` is not a regular file", .0.display())]
    NotRegular(PathBuf),
    /// A file of a root cannot be opened.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The source gave other bytes than its descriptor promises.
    #[error("content of `{expected}` has changed: it is now `{actual}`")]
    Changed {
        /// The promised digest.
        expected: Digest,
        /// What the bytes give.
        actual: Digest,
    },
    /// A source that makes its bytes anew failed to.
    #[error("cannot make `{what}` again")]
    Remake {
        /// Which blob.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
