//! One path of the image.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::analyze::Reason;
use crate::blob::{BlobSource, BytesSource};
use crate::oci::{Digest, ImagePath};
use crate::rootfs::Identity;

/// A path of the image with everything its tar header will say, and why it is there.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Where.
    pub path: ImagePath,
    /// Directory, file or symlink.
    pub kind: EntryKind,
    /// Permission bits, `0o7777` at most. Symlinks have `0o777`.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Extended attributes, written as `SCHILY.xattr.<name>` pax records.
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// The package that owns the file in the root it came from.
    pub owner: Option<PackageOwner>,
    /// Why it is there; an entry without a reason cannot be made.
    pub reason: Reason,
}

/// What an entry is.
#[derive(Debug, Clone)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File(FileContent),
    /// A symbolic link with its target as written.
    Symlink(Vec<u8>),
}

/// The content of a regular file.
#[derive(Debug, Clone)]
pub struct FileContent {
    /// Size in bytes.
    pub size: u64,
    /// Digest of the bytes, once known: always for generated files, after packing for the others.
    pub digest: Option<Digest>,
    /// Whether coracle made the content itself.
    pub generated: bool,
    /// Where the bytes come from.
    pub source: Arc<dyn BlobSource>,
    /// The source's identity when it was planned: what was judged is what must be packed.
    pub identity: Option<Identity>,
}

impl FileContent {
    /// Content that coracle makes itself.
    #[must_use]
    pub fn generated(bytes: Vec<u8>) -> Self {
        Self {
            size: bytes.len() as u64,
            digest: Some(Digest::of(&bytes)),
            generated: true,
            source: Arc::new(BytesSource::new(bytes)),
            identity: None,
        }
    }

    /// Content that lies elsewhere; its digest is known after packing.
    #[must_use]
    pub fn external(size: u64, source: Arc<dyn BlobSource>) -> Self {
        let identity = source.identity();
        Self { size, digest: None, generated: false, source, identity }
    }
}

/// Name and version of a distribution package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageOwner {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Architecture as the package manager names it.
    pub architecture: String,
}
