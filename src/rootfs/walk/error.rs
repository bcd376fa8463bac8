//! What can go wrong on the walk.

use std::path::{Path, PathBuf};

use crate::diag::printable;

/// Errors of walking a tree of this machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A directory or file cannot be read.
    #[error("cannot read `{}`", show(path))]
    Read {
        /// The path.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A socket, device or FIFO, which an image does not carry.
    #[error("`{}` is a {kind}; only directories, regular files and symbolic links can be added", show(path))]
    Special {
        /// The path.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// More entries than [`crate::limits::MAX_TREE_ENTRIES`].
    #[error("`{}` holds more than {limit} files and directories", show(path))]
    TooManyEntries {
        /// The tree.
        path: PathBuf,
        /// The bound.
        limit: usize,
    },
    /// A pattern that is no glob.
    #[error("`{pattern}` is not a pattern for paths: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// The parser's own words.
        reason: String,
    },
    /// More patterns than [`crate::limits::MAX_EXCLUDES`].
    #[error("{count} exclude patterns are more than the limit of {limit}")]
    TooManyPatterns {
        /// How many there are.
        count: usize,
        /// The bound.
        limit: usize,
    },
}

/// Names in a tree may be foreign.
fn show(path: &Path) -> String {
    printable(&path.to_string_lossy())
}
