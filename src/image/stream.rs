//! One layer as a stream: hashed as it is stored, unpacked, hashed again, within bounds.

use std::io::{self, BufReader, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::blob;
use crate::image::Unreadable;
use crate::limits;
use crate::observe::{Event, Observer};
use crate::oci::{Algorithm, Digest, Hasher, media_type::Compression};

/// What passed through a [`Tally`].
#[derive(Default)]
pub(super) struct Passed {
    hasher: Option<Hasher>,
    pub bytes: u64,
    pub head: Vec<u8>,
    /// The failure of the stream itself.
    pub failed: Option<io::Error>,
    /// The bound was reached.
    pub over: bool,
}

/// Hashes and counts what is read, from wherever it is looked at later.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Passed>>);

impl Shared {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        Self(Arc::new(Mutex::new(Passed { hasher: Some(Hasher::new(algorithm)), ..Passed::default() })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Passed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The digest of all that passed; asked once.
    pub(super) fn digest(&self) -> Option<Digest> {
        self.lock().hasher.take().map(Hasher::finish)
    }
}

/// A reader that tells a [`Shared`] what it gives, and ends with an error beyond `limit` bytes.
pub(super) struct Tally<'o, R> {
    pub inner: R,
    pub shared: Shared,
    pub limit: u64,
    /// Watched, with the id of the work; only the stored bytes are.
    pub observer: Option<(&'o dyn Observer, String)>,
}

impl<R: Read> Read for Tally<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if let Some((observer, _)) = &self.observer
            && observer.cancelled()
        {
            return Err(io::Error::other("cancelled"));
        }
        let result = self.inner.read(buf);
        let mut passed = self.shared.lock();
        let n = match result {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Err(e),
            // A source that checks its digest at the end: the digest computed here will say the same.
            Err(e) if is_changed(&e) => 0,
            Err(e) => {
                let copy = io::Error::new(e.kind(), e.to_string());
                passed.failed.get_or_insert(e);
                return Err(copy);
            }
        };
        if let Some(hasher) = &mut passed.hasher {
            hasher.update(&buf[..n]);
        }
        let missing = 4usize.saturating_sub(passed.head.len()).min(n);
        passed.head.extend_from_slice(&buf[..missing]);
        passed.bytes += n as u64;
        if passed.bytes > self.limit {
            passed.over = true;
            return Err(io::Error::other("more than the bound"));
        }
        if let Some((observer, id)) = &self.observer {
            observer.event(Event::Advance { id, bytes: n as u64 });
        }
        Ok(n)
    }
}

fn is_changed(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<blob::Error>());
    matches!(inner, Some(blob::Error::Changed { .. }))
}

/// A read error of a small document as the reason why it cannot be read.
pub(super) fn reason(error: io::Error) -> Unreadable {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<blob::Error>()) {
        Some(blob::Error::Changed { actual, .. }) => Unreadable::OtherDigest(actual.clone()),
        _ => Unreadable::Failed(Box::new(error)),
    }
}

/// The unpacked stream.
pub(super) fn unpack<'r>(compression: Compression, stored: impl Read + 'r) -> io::Result<Box<dyn Read + 'r>> {
    let stored = BufReader::with_capacity(128 << 10, stored);
    Ok(match compression {
        Compression::None => Box::new(stored),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(stored)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(stored)?),
    })
}

/// The compression that a stream's first bytes show.
pub(super) fn sniff(head: &[u8]) -> Compression {
    match head {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd] => Compression::Zstd,
        _ => Compression::None,
    }
}

/// How many bytes a layer of this stored size may unpack to. No deflate stream gives more than 1032 times its size, so
/// only a zstd stream can pass the ratio.
pub(super) fn bound(stored: u64) -> u64 {
    let by_ratio = stored.saturating_mul(limits::MAX_UNPACK_RATIO).saturating_add(limits::UNPACK_SLACK_BYTES);
    by_ratio.min(limits::MAX_UNPACKED_LAYER_BYTES)
}
