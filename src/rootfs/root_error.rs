//! What can go wrong in a root.

use crate::oci::ImagePath;

/// Errors of reading a root. What is merely absent is `None`, not an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootError {
    /// A path cannot be read.
    #[error("cannot read `{path}` of root `{root}`")]
    Read {
        /// The path inside the root.
        path: ImagePath,
        /// The root, for people.
        root: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A device, FIFO, socket or directory where a file is needed.
    #[error("`{0}` is not a regular file")]
    NotRegular(ImagePath),
    /// Something that is no directory where one has to be.
    #[error("`{0}` is not a directory")]
    NotADirectory(ImagePath),
    /// Something is where something else was to be put.
    #[error("there is something at `{0}` already")]
    Occupied(ImagePath),
    /// More links than the kernel would follow.
    #[error("too many symbolic links at `{0}`")]
    TooManyLinks(ImagePath),
    /// A path that no system call would take.
    #[error("a path is longer than 4096 bytes")]
    PathTooLong,
    /// A file larger than its bound.
    #[error("`{path}` has {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// The path inside the root.
        path: ImagePath,
        /// Its size in bytes.
        size: u64,
        /// The bound in bytes.
        limit: u64,
    },
}

impl RootError {
    /// Whether a loader in the root would take the file for absent and look elsewhere: it may not be read, or it is gone.
    #[must_use]
    pub fn hides(&self) -> bool {
        use std::io::ErrorKind as Kind;
        matches!(self, Self::Read { source, .. } if matches!(source.kind(), Kind::PermissionDenied | Kind::NotFound))
    }
}
