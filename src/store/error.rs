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
    /// A directory that is no OCI layout.
    #[error("`{}` is not an OCI image layout: {reason}", path.display())]
    NotALayout {
        /// The directory.
        path: PathBuf,
        /// What is missing or wrong.
        reason: &'static str,
    },
    /// A file that is no image archive.
    #[error("`{}` is not an image archive: {reason}", path.display())]
    NotAnArchive {
        /// The file.
        path: PathBuf,
        /// What is missing or wrong.
        reason: &'static str,
    },
    /// The name given, or none, could mean several images; or there is none at all.
    #[error("{location} holds {count} images that could be meant")]
    Ambiguous {
        /// The store.
        location: String,
        /// How many.
        count: usize,
        /// The names that could be given.
        names: Vec<String>,
    },
    /// No image of an index is for the platform.
    #[error("`{index}` has no image for `{platform}`")]
    NoPlatform {
        /// The index.
        index: Digest,
        /// The platform asked for.
        platform: Box<crate::oci::Platform>,
        /// The platforms that it has.
        available: Vec<crate::oci::Platform>,
    },
    /// Indexes nested deeper than [`crate::limits::MAX_INDEX_DEPTH`], or with more children than
    /// [`crate::limits::MAX_INDEX_CHILDREN`].
    #[error("index `{0}` nests too deeply or has too many children")]
    IndexTooLarge(Digest),
    /// A zstd layer in an archive that has to be readable for every docker.
    #[error("layer `{0}` is compressed with zstd, which `docker load` cannot read")]
    ZstdNotLoadable(Digest),
    /// The daemon's socket cannot be reached.
    #[error("cannot reach the docker daemon at `{}`", socket.display())]
    NoDaemon {
        /// The socket.
        socket: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The daemon refused or failed.
    #[error("the docker daemon answered `{status}` to {what}: {message}")]
    Daemon {
        /// The request.
        what: &'static str,
        /// HTTP status; 200 when the error came in the stream after it.
        status: u16,
        /// The daemon's own words.
        message: String,
    },
    /// The connection to the daemon broke.
    #[error("the connection to the docker daemon broke")]
    DaemonConnection(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A place that cannot be understood.
    #[error("`{text}` names no place of an image: {reason}")]
    Location {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A value inside a place that cannot be understood.
    #[error(transparent)]
    Oci(#[from] crate::oci::Error),
    /// A task was lost to a panic, which is a bug.
    #[error("a background task did not finish")]
    Task(#[from] tokio::task::JoinError),
}

impl Error {
    /// An I/O failure at a path.
    pub(crate) fn io(verb: &'static str, path: &std::path::Path, source: std::io::Error) -> Self {
        Self::Io { verb, path: path.to_owned(), source }
    }

    /// The next step for a person, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NotALayout { .. } => {
                "an OCI layout is a directory with `oci-layout`, `index.json` and `blobs/`; `--output oci:DIR` makes one".to_owned()
            }
            Self::NotAnArchive { reason, .. } if reason.contains("gzip") => "decompress it first with `gunzip`".to_owned(),
            Self::NotAnArchive { .. } => {
                "an archive is what `--output archive:FILE`, `docker save` or `skopeo copy … oci-archive:` write".to_owned()
            }
            Self::Ambiguous { names, .. } if names.is_empty() => "put an image there first".to_owned(),
            Self::Ambiguous { names, .. } => format!("append one of: {}", names.join(", ")),
            Self::NoPlatform { available, .. } => {
                let names: Vec<String> = available.iter().map(ToString::to_string).collect();
                format!("it has {}", names.join(", "))
            }
            Self::ZstdNotLoadable(_) => "build with gzip layers for archives and daemons; registries and `oci:` take zstd".to_owned(),
            Self::NoDaemon { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                "the user must be allowed to write to the socket; `--output archive:FILE` needs no daemon".to_owned()
            }
            Self::NoDaemon { .. } => {
                "start docker or set DOCKER_HOST=unix://…; `--output archive:FILE` needs no daemon and `docker load` or `podman load` reads it".to_owned()
            }
            Self::Location { .. } => {
                "places are `oci:DIR[:TAG|@DIGEST]`, `archive:FILE`, `docker-daemon:[REF]` or `[HOST/]REPOSITORY[:TAG|@DIGEST]`".to_owned()
            }
            _ => return None,
        };
        Some(text)
    }
}
