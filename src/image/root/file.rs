//! Contents of files inside of a layer's tar.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::elf::Bytes;

/// An uncompressed tar in a file of this machine, held open.
#[derive(Debug, Clone)]
pub(super) struct Archive {
    pub file: Arc<File>,
    /// Where in the file it begins.
    pub start: u64,
}

/// The content of one file. Its holes are zeros.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub archive: Archive,
    /// Where in the archive its stored bytes begin.
    pub offset: u64,
    pub size: u64,
    /// Offset and length of what is stored, where that is not all of it.
    pub segments: Option<Box<[(u64, u64)]>>,
}

impl Content {
    /// One read at an offset, of data or of a hole; nothing at the end.
    fn read_some(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let (stored, length) = self.piece(offset);
        let most = usize::try_from(length).unwrap_or(usize::MAX).min(into.len());
        let into = &mut into[..most];
        let Some(stored) = stored else {
            into.fill(0);
            return Ok(most);
        };
        let at = self.archive.start.checked_add(self.offset).and_then(|at| at.checked_add(stored));
        let at = at.ok_or(ErrorKind::UnexpectedEof)?;
        match self.archive.file.read_at(into, at)? {
            // The file of a layout was cut short after it had been verified.
            0 if most > 0 => Err(ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }

    /// Where among the stored bytes the content at `offset` is (`None` in a hole), and how much of it follows there.
    fn piece(&self, offset: u64) -> (Option<u64>, u64) {
        let left = self.size.saturating_sub(offset);
        let Some(segments) = &self.segments else { return (Some(offset), left) };
        let mut stored = 0;
        for (start, length) in segments {
            if offset < *start {
                return (None, left.min(start - offset));
            }
            if offset - start < *length {
                return (Some(stored + (offset - start)), length - (offset - start));
            }
            stored += length;
        }
        (None, left)
    }
}

impl Bytes for Content {
    fn len(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, len: usize) -> Option<Cow<'_, [u8]>> {
        // Nothing is allocated for a window that cannot be filled.
        if offset.checked_add(len as u64)? > self.size {
            return None;
        }
        let mut window = vec![0; len];
        let mut filled = 0;
        while filled < len {
            match self.read_some(offset + filled as u64, &mut window[filled..]) {
                Ok(read) => filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        Some(Cow::Owned(window))
    }
}

/// A stream of a content.
pub(super) struct ContentStream {
    pub content: Content,
    pub offset: u64,
}

impl Read for ContentStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read_some(self.offset, into)?;
        self.offset += read as u64;
        Ok(read)
    }
}
