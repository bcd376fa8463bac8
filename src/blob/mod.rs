//! Layer 3: blobs, that is descriptors with a source that can be opened again.
//!
//! *Invariant:* no blob's content is held in memory unless it was made there; every source can be opened any number of
//! times and gives the same bytes, so a retry never needs what an earlier attempt has read.

mod error;
mod source;

pub use crate::rootfs::Identity;
pub use error::Error;
pub use source::{BlobSource, BytesSource, FileSource, RootSource, SealedFile};

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use crate::oci::{Descriptor, DiffId};

/// A descriptor and where its bytes come from.
#[derive(Debug, Clone)]
pub struct Blob {
    descriptor: Descriptor,
    source: Arc<dyn BlobSource>,
}

impl Blob {
    /// A blob of a source whose digest and size are known to be those of `descriptor`.
    #[must_use]
    pub fn new(descriptor: Descriptor, source: Arc<dyn BlobSource>) -> Self {
        Self { descriptor, source }
    }

    /// A small blob made in memory (configs, manifests, `{}`).
    #[must_use]
    pub fn from_bytes(media_type: &str, bytes: Vec<u8>) -> Self {
        Self { descriptor: Descriptor::of(media_type, &bytes), source: Arc::new(BytesSource::new(bytes)) }
    }

    /// A blob in a file whose digest and size the caller knows.
    #[must_use]
    pub fn from_file(descriptor: Descriptor, path: &Path) -> Self {
        Self { descriptor, source: Arc::new(FileSource::new(path)) }
    }

    /// What it is.
    #[must_use]
    pub const fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// The same bytes under another descriptor (annotations, platform, media type); digest and size must be equal.
    #[must_use]
    pub fn with_descriptor(&self, descriptor: Descriptor) -> Self {
        Self { descriptor, source: Arc::clone(&self.source) }
    }

    /// Opens the bytes from `offset`.
    ///
    /// # Errors
    /// [`Error::Open`] when the source is gone.
    pub fn open(&self, offset: u64) -> Result<Box<dyn Read + Send>, Error> {
        self.source.open(offset)
    }

    /// The file that holds exactly the blob's bytes, if there is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.source.file()
    }

    /// The file that holds the blob's bytes, and the offset at which they begin in it.
    #[must_use]
    pub fn place(&self) -> Option<(&Path, u64)> {
        self.source.place()
    }

    /// The same as [`Blob::file`], but only when the file can be linked without reading it again ([`BlobSource::sealed`]).
    #[must_use]
    pub fn sealed_file(&self) -> Option<&Path> {
        self.source.file().filter(|_| self.source.sealed())
    }
}

/// A layer: a blob and the digest of its uncompressed tar.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The compressed blob.
    pub blob: Blob,
    /// Digest of the uncompressed tar.
    pub diff_id: DiffId,
}
