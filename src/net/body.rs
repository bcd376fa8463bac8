//! Request bodies that can be sent again.

use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;

use super::Error;
use crate::blob::Blob;
use crate::observe::{Event, SharedObserver};
use crate::oci::Hasher;

/// How much is read at once. Larger buffers cost memory and gained nothing on a loopback registry.
const BUFFER_BYTES: usize = 64 << 10;

/// Buffers that wait between the reading thread and the socket.
const BUFFERS_AHEAD: usize = 2;

/// A body that every attempt opens anew.
#[derive(Debug, Clone)]
pub enum Payload {
    /// No body.
    Empty,
    /// A small body in memory.
    Bytes(Bytes),
    /// A blob, whole; its digest is verified while it is sent and the last bytes are held back until it is right.
    Blob(Blob),
    /// A part of a blob: offset and length in bytes.
    Part(Blob, u64, u64),
}

impl Payload {
    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Blob(blob) => blob.descriptor().size,
            Self::Part(_, _, length) => *length,
        }
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A body on its way: how far it is, and why it stopped.
#[derive(Debug, Default)]
pub(super) struct Sending {
    sent: AtomicU64,
    failure: Mutex<Option<Error>>,
}

impl Sending {
    /// Bytes handed to the transport.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Our own reason why the body ended early, if there is one.
    pub(super) fn take_failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A marker that tells the transport to break off; the reason is in [`Sending`].
#[derive(Debug, thiserror::Error)]
#[error("the content to send ended early")]
struct Broken;

/// Opens the payload for one attempt.
pub(super) fn open(payload: &Payload, observer: &SharedObserver) -> (Option<reqwest::Body>, Arc<Sending>) {
    let sending = Arc::new(Sending::default());
    let (blob, offset, length, whole) = match payload {
        Payload::Empty => return (None, sending),
        Payload::Bytes(bytes) => return (Some(bytes.clone().into()), sending),
        Payload::Blob(blob) => (blob.clone(), 0, blob.descriptor().size, true),
        Payload::Part(blob, offset, length) => (blob.clone(), *offset, *length, false),
    };
    let (sender, receiver) = mpsc::channel::<Bytes>(BUFFERS_AHEAD);
    let reading = Arc::clone(&sending);
    let watcher = Arc::clone(observer);
    tokio::task::spawn_blocking(move || {
        let mut verify = whole.then(|| Hasher::new(blob.descriptor().digest.algorithm()));
        if let Err(error) = read_into(&blob, offset, length, &mut verify, &sender, &*watcher) {
            *reading.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    });
    let id = match payload {
        Payload::Blob(blob) | Payload::Part(blob, ..) => blob.descriptor().digest.to_string(),
        Payload::Empty | Payload::Bytes(_) => String::new(),
    };
    let state = (receiver, Arc::clone(&sending), Arc::clone(observer), id, length);
    let chunks = stream::unfold(state, |(mut receiver, sending, observer, id, left)| async move {
        if left == 0 {
            return None;
        }
        match receiver.recv().await {
            Some(chunk) => {
                let bytes = chunk.len() as u64;
                sending.sent.fetch_add(bytes, Ordering::Relaxed);
                observer.event(Event::Advance { id: &id, bytes });
                Some((Ok(chunk), (receiver, sending, observer, id, left.saturating_sub(bytes))))
            }
            // The reader went away before all bytes came: it has left its reason.
            None => Some((Err(Broken), (receiver, sending, observer, id, 0))),
        }
    });
    (Some(reqwest::Body::wrap_stream(chunks)), sending)
}

/// Reads the bytes and sends them on, one buffer late, so that the last one leaves only after the digest is known.
fn read_into(
    blob: &Blob,
    offset: u64,
    length: u64,
    verify: &mut Option<Hasher>,
    sender: &mpsc::Sender<Bytes>,
    observer: &dyn crate::observe::Observer,
) -> Result<(), Error> {
    let mut reader = blob.open(offset)?;
    let mut read = 0u64;
    let mut held: Option<Bytes> = None;
    // One byte more than promised, to see content that has grown; a part says nothing about what follows it.
    let limit = if verify.is_some() { length.saturating_add(1) } else { length };
    while read < limit {
        if observer.cancelled() {
            return Err(Error::Cancelled);
        }
        let want = usize::try_from(limit - read).unwrap_or(BUFFER_BYTES).min(BUFFER_BYTES);
        let buffer = fill(&mut *reader, want).map_err(|source| reading(blob, source))?;
        if buffer.is_empty() {
            break;
        }
        read += buffer.len() as u64;
        if read > length {
            break;
        }
        if let Some(hasher) = verify {
            hasher.update(&buffer);
        }
        if let Some(previous) = held.replace(buffer)
            && sender.blocking_send(previous).is_err()
        {
            // The attempt is over; whoever dropped the body knows why.
            return Ok(());
        }
    }
    if read != length {
        return Err(Error::ContentLength { expected: length, actual: read });
    }
    if let Some(hasher) = verify.take() {
        let actual = hasher.finish();
        if actual != blob.descriptor().digest {
            return Err(crate::blob::Error::Changed { expected: blob.descriptor().digest.clone(), actual }.into());
        }
    }
    if let Some(last) = held {
        // As above.
        let _ = sender.blocking_send(last);
    }
    Ok(())
}

fn fill(reader: &mut dyn Read, want: usize) -> std::io::Result<Bytes> {
    let mut buffer = Vec::with_capacity(want);
    reader.take(want as u64).read_to_end(&mut buffer)?;
    Ok(buffer.into())
}

fn reading(blob: &Blob, source: std::io::Error) -> Error {
    match blob.file() {
        Some(path) => crate::blob::Error::Open { path: path.to_owned(), source }.into(),
        None => {
            crate::blob::Error::Remake { what: blob.descriptor().digest.to_string(), source: Box::new(source) }.into()
        }
    }
}
