//! What can go wrong with the registry itself. What a client is told is in `refusal`.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::oci::Digest;

/// Errors of starting and running the registry, and of its storage.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address can be reached from other machines and no user is configured.
    #[error("`{0}` can be reached from other machines and no user is configured")]
    OpenToNetwork(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on `{address}`")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// Another registry serves the directory.
    #[error("`{}` is served by another process", .0.display())]
    InUse(PathBuf),
    /// The directory is one layout, not a directory of layouts.
    #[error("`{}` is an image layout itself; the registry needs the directory above it", .0.display())]
    IsLayout(PathBuf),
    /// A line of the users' file is not `user:password`.
    #[error("line {0} of the users is not `user:password`")]
    Users(usize),
    /// A user's password is hashed in a way that is not supported.
    #[error("the password of line {0} of the users is hashed with a method other than bcrypt")]
    UserHash(usize),
    /// A file or directory cannot be read or written.
    #[error("cannot {verb} `{}`", path.display())]
    Io {
        /// `read`, `write`, `create`, `rename`, `delete`.
        verb: &'static str,
        /// The path.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The system's random source cannot be read.
    #[error("cannot read the system's random source")]
    Random(#[source] std::io::Error),
    /// A layout's `index.json` is not valid.
    #[error("`{}` is not a valid image index", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// The parser's reason.
        #[source]
        source: serde_json::Error,
    },
    /// A layout's `index.json` is larger than its bound.
    #[error("`{}` has {size} bytes, more than the limit of {limit}", path.display())]
    IndexTooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// The bound in bytes.
        limit: u64,
    },
    /// Memory storage is full.
    #[error("the registry's memory of {limit} bytes is full")]
    Full {
        /// The bound in bytes.
        limit: u64,
    },
    /// Uploaded bytes do not have the digest that the client promised.
    #[error("the uploaded content has digest `{actual}` where `{expected}` was promised")]
    DigestMismatch {
        /// The promised digest.
        expected: Digest,
        /// What the bytes give.
        actual: Digest,
    },
    /// A manifest refers to something that is not in its repository.
    #[error("`{0}` is not in the repository")]
    MissingReference(Digest),
    /// A manifest's descriptor has another size than the blob it names.
    #[error("`{digest}` has {actual} bytes where the manifest says {stated}")]
    ReferenceSize {
        /// The blob.
        digest: Digest,
        /// What the descriptor says.
        stated: u64,
        /// What is stored.
        actual: u64,
    },
    /// The tag does not point at what the client expected (`If-Match`).
    #[error("the manifest has changed since it was read")]
    Precondition,
    /// A blob that is a manifest of the repository is to be deleted as a mere blob.
    #[error("`{0}` is a manifest of the repository and has to be deleted as one")]
    IsManifest(Digest),
}
