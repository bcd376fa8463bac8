//! Why a layer cannot be part of a root.

use std::io;
use std::path::PathBuf;

use crate::layer::tar;
use crate::oci::{Digest, ImagePath};
use crate::{blob, rootfs};

/// What is wrong with a layer. Names of entries are escaped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A media type that no runtime unpacks.
    #[error("its media type is `{0}`, which is none that coracle reads")]
    MediaType(String),
    /// The blob cannot be opened.
    #[error("it cannot be opened")]
    Open(#[source] blob::Error),
    /// The blob cannot be read.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// Other bytes than promised, by their number.
    #[error("it has other than the {0} bytes that its descriptor promises")]
    Size(u64),
    /// Other bytes than promised.
    #[error("its bytes have digest `{0}`")]
    Digest(Digest),
    /// The unpacked bytes are not those that the config names.
    #[error("it unpacks to `{actual}`, but the config of the image says `{expected}`")]
    DiffId {
        /// The config's diff ID.
        expected: Digest,
        /// That of the bytes.
        actual: Digest,
    },
    /// A damaged compressed stream.
    #[error("its compressed stream is damaged")]
    Decode(#[source] io::Error),
    /// A bomb.
    #[error("it unpacks to more than {limit} bytes")]
    Unpacked {
        /// The bound in bytes.
        limit: u64,
    },
    /// The unpacked tar cannot be kept.
    #[error("it cannot be unpacked to a temporary file in `{}`", directory.display())]
    Spool {
        /// The directory for temporary files.
        directory: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A damaged archive.
    #[error("it is not a sound tar archive")]
    Tar(#[source] tar::Error),
    /// A name that no file can have, or one that leads out of the image.
    #[error("its entry `{name}` {reason}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A directory of an entry is something else, or cannot be found.
    #[error("the directory of its entry `{name}` cannot be used")]
    Directory {
        /// The entry.
        name: String,
        /// Why.
        #[source]
        source: rootfs::RootError,
    },
    /// Something that is no directory holds an entry.
    #[error("its entry `{path}` lies below something that is not a directory")]
    Parent {
        /// The entry.
        path: ImagePath,
    },
    /// An entry for `/` that is no directory.
    #[error("its entry for `/` is not a directory")]
    RootNotDirectory,
    /// A hard link that names no file before it.
    #[error("its hard link `{name}` names `{target}`, which {reason}")]
    HardLink {
        /// The entry.
        name: String,
        /// What it names.
        target: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// An entry of a type that no runtime unpacks.
    #[error("its entry `{name}` has the type flag `{flag}`, which nothing unpacks")]
    Kind {
        /// The entry.
        name: String,
        /// The flag.
        flag: String,
    },
    /// A bound of the index.
    #[error("with it the image has more than {limit} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
    /// The observer asked to stop.
    #[error("stopped before it was done")]
    Cancelled,
}
