//! What can go wrong when files are looked up.

use std::path::PathBuf;

/// Errors of reading files of a tree.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be opened.
    #[error("cannot read `{}`", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The path is something else than a regular file: reading it could block, never end, or act.
    #[error("`{}` is {what}, not a regular file", path.display())]
    NotRegular {
        /// The path.
        path: PathBuf,
        /// `a directory`, `a FIFO`, `a device`, `a socket`.
        what: &'static str,
    },
}
