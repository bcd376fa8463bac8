//! Files that appear whole or not at all, and content that is verified while it is copied or read.
//!
//! *Durability:* every file is written to a temporary neighbour and renamed, so neither a kill nor a full disk leaves
//! half a file under its name. Blobs are not flushed to disk one by one: they can be made again, and after a power cut a
//! truncated one is seen by its size and written anew. The index and archives, which name everything else, are flushed
//! before their rename.

use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::Error;
use crate::blob::{self, BlobSource, Identity};
use crate::oci::{Descriptor, Digest, DigestWriter, Hasher};

/// Bytes moved at a time: large enough that system calls do not count, small enough to stay in the cache.
const CHUNK: usize = 256 << 10;

/// A temporary file next to `path`, with the permissions that the umask gives to new files.
pub(super) fn temporary_beside(path: &Path) -> Result<NamedTempFile, Error> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    tempfile::Builder::new()
        .prefix(".coracle-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory)
        .map_err(|e| Error::io("create a file in", directory, e))
}

/// Gives the temporary file its name, replacing what was there.
pub(super) fn persist(file: NamedTempFile, path: &Path) -> Result<(), Error> {
    file.persist(path).map(drop).map_err(|e| Error::io("rename a file to", path, e.error))
}

/// Where the bytes of an output file go.
pub(crate) enum Destination {
    /// To a new file that takes this path in one step.
    Replace(PathBuf),
    /// Into what is there already: a device, a pipe, or a file that some process has open (`/dev/stdout`). To replace it
    /// would take it away from everybody else.
    Existing(File),
}

/// What writing to `path` means. A symbolic link is followed, not replaced.
///
/// # Errors
/// [`io::ErrorKind::IsADirectory`], and those of opening what is not replaced.
pub(crate) fn destination(path: &Path) -> io::Result<Destination> {
    let special = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(metadata) => !metadata.is_file(),
        Err(_) => false,
    };
    // `/dev/stdout` is a link to `/proc/self/fd/1`, which is a link to the file itself.
    let of_kernel = |path: &Path| path.starts_with("/proc");
    let link = std::fs::read_link(path).unwrap_or_default();
    if link == Path::new("/proc/self/fd/1") {
        // Opened again it would have a position of its own, and what is printed later would overwrite this.
        return Ok(Destination::Existing(io::stdout().as_fd().try_clone_to_owned()?.into()));
    }
    let open_file = of_kernel(&link)
        || path.parent().is_some_and(|parent| parent.canonicalize().is_ok_and(|parent| of_kernel(&parent)));
    if special || open_file {
        return File::options().append(true).open(path).map(Destination::Existing);
    }
    Ok(Destination::Replace(path.canonicalize().unwrap_or_else(|_| path.to_owned())))
}

/// Replaces a small file atomically and flushes it to disk first.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut file = temporary_beside(path)?;
    let written = file.write_all(bytes).and_then(|()| file.as_file().sync_all());
    written.map_err(|e| Error::io("write", path, e))?;
    persist(file, path)
}

/// Copies exactly what `descriptor` promises; anything else is an error and `to` then holds garbage.
///
/// `target` names the destination in errors.
pub(super) fn copy_verified(
    from: &mut dyn Read,
    to: &mut dyn Write,
    descriptor: &Descriptor,
    target: &Path,
    location: &dyn Fn() -> String,
) -> Result<(), Error> {
    let mut to = DigestWriter::new(to, descriptor.digest.algorithm());
    let mut chunk = vec![0; CHUNK];
    loop {
        let n = match from.read(&mut chunk) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(read_failed(e, descriptor, target, location)),
        };
        if n == 0 {
            break;
        }
        to.write_all(&chunk[..n]).map_err(|e| Error::io("write", target, e))?;
        if to.written() > descriptor.size {
            return Err(wrong_size(descriptor, to.written(), location));
        }
    }
    let (_, actual, written) = to.finish();
    if written != descriptor.size {
        return Err(wrong_size(descriptor, written, location));
    }
    if actual != descriptor.digest {
        return Err(Error::DigestMismatch { expected: descriptor.digest.clone(), actual, location: location() });
    }
    Ok(())
}

/// A source that verifies itself says so in its read error; that is a mismatch and no failure of the disk.
pub(super) fn read_failed(
    error: io::Error,
    descriptor: &Descriptor,
    target: &Path,
    location: &dyn Fn() -> String,
) -> Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<blob::Error>()) {
        Some(blob::Error::Changed { actual, .. }) => {
            Error::DigestMismatch { expected: descriptor.digest.clone(), actual: actual.clone(), location: location() }
        }
        _ => Error::io("read what goes to", target, error),
    }
}

fn wrong_size(descriptor: &Descriptor, actual: u64, location: &dyn Fn() -> String) -> Error {
    Error::SizeMismatch { digest: descriptor.digest.clone(), expected: descriptor.size, actual, location: location() }
}

/// Checks bytes in memory against a digest.
pub(super) fn verify_bytes(bytes: &[u8], expected: &Digest, location: &dyn Fn() -> String) -> Result<(), Error> {
    let mut hasher = Hasher::new(expected.algorithm());
    hasher.update(bytes);
    let actual = hasher.finish();
    if actual == *expected {
        Ok(())
    } else {
        Err(Error::DigestMismatch { expected: expected.clone(), actual, location: location() })
    }
}

/// Reads a document of a bounded size; `None` when there is none.
pub(super) fn read_document(path: &Path, what: &'static str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    let fail = |e| Error::io("read", path, e);
    // Asked before opening: opening a FIFO would wait for a writer.
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(blob::Error::NotRegular(path.to_owned()).into()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(fail(e)),
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(fail)?.take(limit + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > limit {
        return Err(crate::oci::Error::TooLarge { what, size: bytes.len() as u64, limit }.into());
    }
    Ok(Some(bytes))
}

/// A part of a file (or all of it) that holds stored content. Read from the start, its digest is checked at the end.
#[derive(Debug, Clone)]
pub(super) struct StoredRange {
    pub path: PathBuf,
    pub start: u64,
    pub size: u64,
    pub digest: Digest,
}

impl BlobSource for StoredRange {
    fn open(&self, offset: u64) -> Result<Box<dyn Read + Send>, blob::Error> {
        let whole = blob::FileSource::new(&self.path).open(self.start + offset.min(self.size))?;
        let rest = whole.take(self.size.saturating_sub(offset));
        if offset > 0 {
            return Ok(Box::new(rest));
        }
        Ok(Box::new(VerifyingReader::new(rest, &self.digest)))
    }

    fn place(&self) -> Option<(&Path, u64)> {
        Some((&self.path, self.start))
    }

    fn identity(&self) -> Option<Identity> {
        // The identity of a file says nothing about a part of it.
        (self.start == 0).then(|| std::fs::metadata(&self.path).ok().map(|m| Identity::of(&m))).flatten()
    }
}

/// Hashes what is read; at the end, other content than expected is an error ([`blob::Error::Changed`] inside).
pub(super) struct VerifyingReader<R> {
    inner: R,
    hasher: Option<Hasher>,
    expected: Digest,
}

impl<R: Read> VerifyingReader<R> {
    pub(super) fn new(inner: R, expected: &Digest) -> Self {
        Self { inner, hasher: Some(Hasher::new(expected.algorithm())), expected: expected.clone() }
    }

    /// Compares the digest of all that was read; the end of the content has to be reached by then.
    pub(super) fn check(&mut self) -> io::Result<()> {
        match self.hasher.take().map(Hasher::finish) {
            Some(actual) if actual != self.expected => {
                let changed = blob::Error::Changed { expected: self.expected.clone(), actual };
                Err(io::Error::new(io::ErrorKind::InvalidData, changed))
            }
            _ => Ok(()),
        }
    }
}

impl<R: Read> Read for VerifyingReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        if n > 0 {
            if let Some(hasher) = &mut self.hasher {
                hasher.update(&buf[..n]);
            }
        } else if !buf.is_empty() {
            self.check()?;
        }
        Ok(n)
    }
}
