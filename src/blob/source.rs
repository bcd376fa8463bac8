//! Where bytes come from.

use std::fmt::Debug;
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Error;
use crate::oci::ImagePath;
use crate::rootfs::{Identity, Root};

/// Something that can be opened again and again and gives the same bytes.
pub trait BlobSource: Debug + Send + Sync {
    /// Opens the bytes from `offset` (at most the size).
    ///
    /// # Errors
    /// [`Error::Open`] or [`Error::Remake`].
    fn open(&self, offset: u64) -> Result<Box<dyn Read + Send>, Error>;

    /// The file that holds exactly these bytes, if there is one.
    fn file(&self) -> Option<&Path> {
        None
    }

    /// The file of which a part, from this offset on, holds these bytes as they are.
    fn place(&self) -> Option<(&Path, u64)> {
        self.file().map(|file| (file, 0))
    }

    /// Whether the bytes of [`BlobSource::file`] were hashed by this process as it wrote them, into a file that nobody
    /// changes any more. A store may link such a file without reading it again; every other file is copied and verified,
    /// because a link to a file of the user would change with it.
    fn sealed(&self) -> bool {
        false
    }

    /// What identifies the content without reading it, if the source has such a thing.
    fn identity(&self) -> Option<Identity> {
        None
    }
}

/// Bytes in memory.
#[derive(Clone)]
pub struct BytesSource(Arc<[u8]>);

impl BytesSource {
    /// Takes the bytes.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self(bytes.into())
    }
}

impl Debug for BytesSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BytesSource({} bytes)", self.0.len())
    }
}

impl BlobSource for BytesSource {
    fn open(&self, offset: u64) -> Result<Box<dyn Read + Send>, Error> {
        let mut cursor = Cursor::new(Arc::clone(&self.0));
        cursor.set_position(offset);
        Ok(Box::new(cursor))
    }
}

/// A regular file.
#[derive(Debug, Clone)]
pub struct FileSource {
    path: PathBuf,
}

impl FileSource {
    /// Names the file; it is opened when the bytes are asked for.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }
}

impl BlobSource for FileSource {
    fn open(&self, offset: u64) -> Result<Box<dyn Read + Send>, Error> {
        let fail = |source| Error::Open { path: self.path.clone(), source };
        let metadata = std::fs::metadata(&self.path).map_err(fail)?;
        if !metadata.is_file() {
            return Err(Error::NotRegular(self.path.clone()));
        }
        let mut file = File::open(&self.path).map_err(fail)?;
        if offset > 0 {
            file.seek(SeekFrom::Start(offset)).map_err(fail)?;
        }
        Ok(Box::new(file))
    }

    fn file(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn identity(&self) -> Option<Identity> {
        std::fs::metadata(&self.path).ok().map(|m| Identity::of(&m))
    }
}

/// A regular file of a root.
#[derive(Clone)]
pub struct RootSource {
    root: Arc<dyn Root>,
    path: ImagePath,
}

impl RootSource {
    /// Names the file by its path without links; it is opened when the bytes are asked for.
    #[must_use]
    pub fn new(root: Arc<dyn Root>, path: ImagePath) -> Self {
        Self { root, path }
    }
}

impl Debug for RootSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RootSource({})", self.path)
    }
}

impl BlobSource for RootSource {
    fn open(&self, offset: u64) -> Result<Box<dyn Read + Send>, Error> {
        Ok(self.root.stream(&self.path, offset)?)
    }

    fn identity(&self) -> Option<Identity> {
        self.root.identity(&self.path)
    }
}

/// A temporary file that this process wrote and hashed. It is removed with the last reference to it.
#[derive(Debug)]
pub struct SealedFile(tempfile::TempPath);

impl SealedFile {
    /// Takes over a file that is complete: no handle may write to it any more.
    #[must_use]
    pub const fn new(path: tempfile::TempPath) -> Self {
        Self(path)
    }
}

impl BlobSource for SealedFile {
    fn open(&self, offset: u64) -> Result<Box<dyn Read + Send>, Error> {
        FileSource::new(&self.0).open(offset)
    }

    fn file(&self) -> Option<&Path> {
        Some(&self.0)
    }

    fn sealed(&self) -> bool {
        true
    }
}
