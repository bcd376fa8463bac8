//! The storage contract and its two backends. All of it is blocking code.

mod directory;
mod index;
mod memory;

pub(super) use directory::Directory;
pub(super) use index::{Listed, RepoIndex};
pub(super) use memory::Memory;

use std::collections::BTreeSet;
use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;

use crate::oci::{Digest, Tag};
use crate::store::Pointer;

use super::Error;
use super::name::Name;

/// Where repositories are kept. Every change is atomic: another request sees all of it or nothing.
pub(super) trait Backend: Send + Sync {
    /// Tags and manifests of a repository; `None` when there is no such repository.
    fn index(&self, name: &Name) -> Result<Option<Arc<RepoIndex>>, Error>;

    /// Opens a blob (or a manifest, as bytes); `None` when it is not there.
    fn open(&self, name: &Name, digest: &Digest) -> Result<Option<OpenBlob>, Error>;

    /// Begins an upload; the sink holds its bytes until they are committed, and removes them when it is dropped.
    fn begin(&self) -> Result<Box<dyn Sink>, Error>;

    /// Makes a blob of one repository, or of any, visible in another; false when it is nowhere to be found.
    fn mount(&self, from: Option<&Name>, to: &Name, digest: &Digest) -> Result<bool, Error>;

    /// Removes a blob that is not a manifest; false when it is not there.
    fn delete_blob(&self, name: &Name, digest: &Digest) -> Result<bool, Error>;

    /// Stores a manifest and moves tags to it, after checking that what it refers to is there.
    fn put_manifest(&self, name: &Name, put: &PutManifest) -> Result<(), Error>;

    /// Removes a tag, or a manifest with all its tags; false when it is not there.
    fn delete_manifest(&self, name: &Name, pointer: &Pointer) -> Result<bool, Error>;

    /// All repositories.
    fn repositories(&self) -> Result<BTreeSet<Name>, Error>;
}

/// The bytes of an unfinished upload.
pub(super) trait Sink: Send {
    /// Adds bytes at the end. After an error the sink holds a prefix of unknown length and must be dropped.
    fn append(&mut self, bytes: Vec<u8>) -> Result<(), Error>;

    /// Gives all bytes so far to `take`, in order.
    fn replay(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<(), Error>;

    /// Releases what is only needed while bytes arrive (the file's handle).
    fn rest(&mut self);

    /// Makes the bytes visible as the blob of `digest`, which the caller has verified.
    fn commit(self: Box<Self>, name: &Name, digest: &Digest) -> Result<(), Error>;
}

/// A blob that is open for reading; it stays readable when it is deleted meanwhile.
pub(super) struct OpenBlob {
    /// In bytes.
    pub(super) size: u64,
    /// The bytes.
    pub(super) content: Content,
}

/// Where the bytes of an open blob are.
pub(super) enum Content {
    /// In a file.
    File(File),
    /// In memory.
    Chunks(Arc<Vec<Bytes>>),
}

/// A manifest to be stored.
pub(super) struct PutManifest {
    /// Verified digest of the bytes.
    pub(super) digest: Digest,
    /// The bytes as they came.
    pub(super) bytes: Vec<u8>,
    /// What the index keeps of it.
    pub(super) listed: Listed,
    /// Digest and stated size of everything that must be there.
    pub(super) references: Vec<(Digest, u64)>,
    /// Tags that are moved to it.
    pub(super) tags: Vec<Tag>,
    /// The digest that the (first) tag must have now.
    pub(super) expected: Option<Digest>,
}

impl PutManifest {
    /// Checks preconditions against the repository as it is, inside the lock of the edit.
    fn check(&self, index: &RepoIndex, size_of: impl Fn(&Digest) -> Result<Option<u64>, Error>) -> Result<(), Error> {
        if self.expected.is_some() && self.expected.as_ref() != self.tags.first().and_then(|tag| index.tag(tag)) {
            return Err(Error::Precondition);
        }
        for (digest, stated) in &self.references {
            match size_of(digest)? {
                None => return Err(Error::MissingReference(digest.clone())),
                Some(actual) if actual != *stated => {
                    return Err(Error::ReferenceSize { digest: digest.clone(), stated: *stated, actual });
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}
