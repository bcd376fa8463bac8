//! Layer 6: where images are kept.
//!
//! *Invariant:* a tag never points at something missing; what is stored under a digest has that digest.

mod archive;
mod archive_reader;
mod cache;
mod copy;
mod daemon;
mod error;
mod file;
mod layout;
mod locate;
mod memory;
mod roots;
mod spooled;
mod tree;
mod walk;

pub use archive::{Archive, ArchiveOptions};
pub use archive_reader::ArchiveStore;
pub use cache::{BuildCache, CacheKey, CacheSize};
pub use copy::{Copied, CopyOptions, Referrers, copy, put_image, put_index};
pub use daemon::{Daemon, Loaded};
pub use error::Error;
pub(crate) use file::{Destination, destination};
pub use layout::LayoutStore;
pub use locate::Location;
pub use memory::MemoryStore;
pub use spooled::validate;
pub(crate) use walk::referrer;

use async_trait::async_trait;

use crate::blob::Blob;
use crate::oci::{Descriptor, Digest, RawManifest, Tag};

/// What a put did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The bytes were written.
    Written,
    /// They were there already; nothing was written.
    Existed,
    /// They were taken over from another repository of the same registry.
    Mounted,
}

/// A tag or a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pointer {
    /// A tag.
    Tag(Tag),
    /// A digest.
    Digest(Digest),
}

impl std::fmt::Display for Pointer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// One repository of images: an OCI layout, memory, an archive, or a repository of a registry.
///
/// Contracts: every put is idempotent and verifies digest and size before the content can be seen under its digest;
/// `tag` is atomic and moves an existing tag; a put of a manifest expects its blobs (and children) to be there, and a
/// store may refuse it otherwise. `get_blob` gives content whose digest has been verified or is verified while it is
/// read; remote content is spooled to a local file first, never to memory.
#[async_trait]
pub trait Store: Send + Sync {
    /// The size of a blob, or `None` when it is not there.
    async fn has_blob(&self, digest: &Digest) -> Result<Option<u64>, Error>;

    /// Stores a blob.
    async fn put_blob(&self, blob: &Blob) -> Result<Put, Error>;

    /// Takes a blob over from where the store can do so by itself, another repository of the same registry, so that its bytes
    /// need not be fetched; `None` when it cannot.
    async fn take_over(&self, _: &Descriptor) -> Result<Option<Put>, Error> {
        Ok(None)
    }

    /// Fetches a blob; [`Error::NotFound`] when it is not there.
    async fn get_blob(&self, descriptor: &Descriptor) -> Result<Blob, Error>;

    /// The descriptor of a manifest, or `None`.
    async fn has_manifest(&self, pointer: &Pointer) -> Result<Option<Descriptor>, Error>;

    /// Fetches a manifest; [`Error::NotFound`] when it is not there.
    async fn get_manifest(&self, pointer: &Pointer) -> Result<RawManifest, Error>;

    /// Stores a manifest or index under its digest.
    async fn put_manifest(&self, manifest: &RawManifest) -> Result<Put, Error>;

    /// Points `tag` at a manifest that is there; an equal tag already there is success without a write.
    async fn tag(&self, tag: &Tag, manifest: &RawManifest) -> Result<Put, Error>;

    /// All tags, sorted.
    async fn tags(&self) -> Result<Vec<Tag>, Error>;

    /// Descriptors of the manifests whose `subject` is `digest`, sorted by digest.
    async fn referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>, Error>;

    /// Whether the store tells an observer of its own about each blob, so that nobody else should.
    fn is_watched(&self) -> bool {
        false
    }

    /// For people: where this is, without secrets.
    fn location(&self) -> String;
}
