//! What can go wrong with a layer.

use std::io;
use std::path::PathBuf;

use crate::blob;
use crate::oci::{Digest, ImagePath};

/// Errors of packing and reading layers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The source of a file cannot be opened.
    #[error("cannot open the content of `{path}`")]
    Open {
        /// Path in the image.
        path: ImagePath,
        /// Why.
        #[source]
        source: blob::Error,
    },
    /// The source of a file stopped in the middle.
    #[error("cannot read the content of `{path}`")]
    Read {
        /// Path in the image.
        path: ImagePath,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A file has become shorter or longer, or was written to, while it was read.
    #[error("the content of `{path}` changed while it was packed: it should have {expected} bytes")]
    Changed {
        /// Path in the image.
        path: ImagePath,
        /// Size that the plan names, in bytes.
        expected: u64,
    },
    /// A file is another one, or was written to, since it was looked at.
    #[error("the file for `{path}` is not the one that was looked at: it was replaced or written to since")]
    Replaced {
        /// Path in the image.
        path: ImagePath,
    },
    /// A file does not have the digest that the plan names.
    #[error("the content of `{path}` is not what was planned: it should be `{expected}` and is `{actual}`")]
    Content {
        /// Path in the image.
        path: ImagePath,
        /// The plan's digest.
        expected: Digest,
        /// Digest of the bytes read.
        actual: Digest,
    },
    /// The entries are not sorted.
    #[error("the layer's entry `{path}` is not in order: it comes after `{after}`")]
    Order {
        /// The entry.
        path: ImagePath,
        /// The one before it.
        after: ImagePath,
    },
    /// A path stands twice in the layer.
    #[error("the layer has two entries for `{0}`")]
    Duplicate(ImagePath),
    /// Something that is no directory holds another entry.
    #[error("the layer's entry `{path}` lies below `{parent}`, which is not a directory")]
    ParentNotDirectory {
        /// The entry.
        path: ImagePath,
        /// What should be a directory.
        parent: ImagePath,
    },
    /// The root of the image is something else than a directory.
    #[error("the root of the layer is not a directory")]
    RootNotDirectory,
    /// A symbolic link whose target no system accepts.
    #[error("the target of the symbolic link `{path}` {reason}")]
    LinkTarget {
        /// Path in the image.
        path: ImagePath,
        /// What is wrong.
        reason: &'static str,
    },
    /// An extended attribute whose name no pax record can carry.
    #[error("the extended attribute `{name}` of `{path}` has a name that a tar archive cannot hold")]
    XattrName {
        /// Path in the image.
        path: ImagePath,
        /// The name, escaped.
        name: String,
    },
    /// The compressed layer cannot be written to where the caller wants it.
    #[error("cannot write the layer")]
    Write(#[source] io::Error),
    /// The compressed layer cannot be written to a file.
    #[error("cannot write the layer to `{}`", path.display())]
    Spool {
        /// The file, or the directory it should be made in.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The encoder failed, which no input causes.
    #[error("the {codec} encoder failed")]
    Encode {
        /// `gzip` or `zstd`.
        codec: &'static str,
        /// Its reason.
        #[source]
        source: io::Error,
    },
    /// The system gives no thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// The observer asked to stop.
    #[error("packing was cancelled")]
    Cancelled,
    /// The compressed stream of a layer is damaged or is no such stream.
    #[error("the layer is not a valid {codec} stream")]
    Decode {
        /// `gzip`, `zstd` or `tar` (not compressed).
        codec: &'static str,
        /// The decoder's reason.
        #[source]
        source: io::Error,
    },
    /// The layer unpacks to more than any image holds.
    #[error("the layer unpacks to more than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: u64,
    },
}
