//! Files of this machine.

use std::borrow::Cow;
use std::fs::{File, Metadata};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;

use super::{Error, Identity};
use crate::elf::Bytes;

/// A regular file that is read in windows at their offsets, so that its size does not matter and no mapping can fault
/// when it is cut short meanwhile.
#[derive(Debug)]
pub struct HostFile {
    file: File,
    metadata: Metadata,
}

impl HostFile {
    /// Opens a regular file; symbolic links to one are followed.
    ///
    /// # Errors
    /// [`Error::Open`] when there is none or it may not be read, [`Error::NotRegular`] for anything else.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let fail = |source| Error::Open { path: path.to_owned(), source };
        // Looked at before it is opened: opening a FIFO waits for a writer, and opening a device may act.
        check(path, &std::fs::metadata(path).map_err(fail)?)?;
        let file = File::open(path).map_err(fail)?;
        let metadata = file.metadata().map_err(fail)?;
        check(path, &metadata)?;
        Ok(Self { file, metadata })
    }

    /// Takes a file that is known to be regular.
    pub(super) fn from_file(file: File) -> std::io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self { file, metadata })
    }

    /// The open file.
    pub(crate) fn into_file(self) -> File {
        self.file
    }

    /// What identifies the content now.
    pub(super) fn identity(&self) -> Option<Identity> {
        self.file.metadata().ok().map(|metadata| Identity::of(&metadata))
    }

    /// One read at an offset, which leaves the file's own position alone.
    pub(super) fn read_some_at(&self, offset: u64, into: &mut [u8]) -> std::io::Result<usize> {
        self.file.read_at(into, offset)
    }

    /// What `fstat` told when the file was opened.
    #[must_use]
    pub const fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

fn check(path: &Path, metadata: &Metadata) -> Result<(), Error> {
    let kind = metadata.file_type();
    let what = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(Error::NotRegular { path: path.to_owned(), what })
}

impl Bytes for HostFile {
    fn len(&self) -> u64 {
        self.metadata.len()
    }

    fn read_at(&self, offset: u64, len: usize) -> Option<Cow<'_, [u8]>> {
        // Nothing is allocated for a window that cannot be filled.
        if offset.checked_add(len as u64)? > self.metadata.len() {
            return None;
        }
        let mut window = vec![0; len];
        self.file.read_exact_at(&mut window, offset).ok()?;
        Some(Cow::Owned(window))
    }
}
