//! Where an unpacked layer is kept.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;

use super::Fault;
use super::file::Archive;

/// Size of the buffer in front of the file.
const BUFFER: usize = 128 << 10;

/// Where an unpacked tar is kept, unless it is read in place.
pub(super) struct Spool {
    file: Option<BufWriter<File>>,
    failed: Option<io::Error>,
}

impl Spool {
    pub(super) fn new(directory: Option<&Path>) -> Result<Self, Fault> {
        let file = directory.map(|directory| {
            // It has no name from the start, so nothing is left behind whatever happens.
            let made = tempfile::tempfile_in(directory);
            made.map_err(|source| Fault::Spool { directory: directory.to_owned(), source })
        });
        Ok(Self { file: file.transpose()?.map(|file| BufWriter::with_capacity(BUFFER, file)), failed: None })
    }

    pub(super) fn finish(self, directory: &Path) -> Result<Option<Archive>, Fault> {
        let fail = |source| Fault::Spool { directory: directory.to_owned(), source };
        if let Some(error) = self.failed {
            return Err(fail(error));
        }
        let Some(writer) = self.file else { return Ok(None) };
        let file = writer.into_inner().map_err(|error| fail(error.into_error()))?;
        Ok(Some(Archive { file: Arc::new(file), start: 0 }))
    }
}

/// Keeps what is read.
pub(super) struct Tee<R> {
    pub inner: R,
    pub spool: Spool,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        if let Some(file) = &mut self.spool.file
            && let Err(error) = file.write_all(&into[..read])
        {
            let told = io::Error::new(error.kind(), error.to_string());
            self.spool.failed.get_or_insert(error);
            return Err(told);
        }
        Ok(read)
    }
}
