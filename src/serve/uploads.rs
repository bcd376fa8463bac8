//! Upload sessions (distribution-spec, "Pushing blobs").

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::header::RETRY_AFTER;
use tokio::sync::OwnedMutexGuard;

use crate::oci::{Algorithm, Digest, Hasher};

use super::Error;
use super::blocking::blocking;
use super::name::Name;
use super::receive::Receiver;
use super::refusal::{Code, Refusal};
use super::storage::{Backend, Sink};

/// An unguessable name: whoever knows it may write to the upload.
pub(super) fn session_id() -> Result<String, Error> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes)).map_err(Error::Random)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// The bytes of an upload and their running hash.
pub(super) struct Upload {
    sink: Box<dyn Sink>,
    algorithm: Algorithm,
    hasher: Hasher,
    received: u64,
}

/// An upload that one request works on.
pub(super) type Held = OwnedMutexGuard<Option<Upload>>;

impl Upload {
    /// An upload without bytes.
    pub(super) fn begin(backend: &dyn Backend, algorithm: Algorithm) -> Result<Self, Error> {
        Ok(Self { sink: backend.begin()?, algorithm, hasher: Hasher::new(algorithm), received: 0 })
    }

    /// Bytes so far.
    pub(super) const fn received(&self) -> u64 {
        self.received
    }

    fn append(&mut self, bytes: Vec<u8>) -> Result<(), Error> {
        self.hasher.update(&bytes);
        self.received += bytes.len() as u64;
        self.sink.append(bytes)
    }

    /// Verifies the bytes and makes them visible.
    pub(super) fn finish(mut self, name: &Name, expected: &Digest) -> Result<(), Error> {
        let hasher = if expected.algorithm() == self.algorithm {
            self.hasher
        } else {
            let mut hasher = Hasher::new(expected.algorithm());
            self.sink.replay(&mut |bytes| hasher.update(bytes))?;
            hasher
        };
        let actual = hasher.finish();
        if actual != *expected {
            return Err(Error::DigestMismatch { expected: expected.clone(), actual });
        }
        self.sink.commit(name, expected)
    }
}

/// Writes a body to an upload while it arrives: one block is written while the next one is read. After a failure of the
/// client the upload holds what arrived; after one of storage it is gone.
pub(super) async fn receive(held: Held, mut body: Receiver<'_>) -> Result<Held, Refusal> {
    let mut writing = tokio::task::spawn_blocking(move || write(held, Vec::new()));
    loop {
        let (batch, end) = body.batch().await;
        let held = join(writing).await?;
        writing = tokio::task::spawn_blocking(move || write(held, batch));
        if let Some(end) = end {
            let mut held = join(writing).await?;
            if let Some(upload) = held.as_mut() {
                upload.sink.rest();
            }
            return end.map(|()| held);
        }
    }
}

fn write(mut held: Held, batch: Vec<u8>) -> Result<Held, Error> {
    if let Some(upload) = held.as_mut()
        && !batch.is_empty()
        && let Err(error) = upload.append(batch)
    {
        *held = None;
        return Err(error);
    }
    Ok(held)
}

async fn join(task: tokio::task::JoinHandle<Result<Held, Error>>) -> Result<Held, Refusal> {
    super::blocking::joined(task.await)
}

/// All sessions.
pub(super) struct Uploads {
    sessions: Mutex<HashMap<String, Session>>,
    limit: usize,
    lifetime: Duration,
    patience: Duration,
}

struct Session {
    name: Name,
    touched: Instant,
    /// `None` once it has ended.
    upload: Arc<tokio::sync::Mutex<Option<Upload>>>,
}

impl Uploads {
    /// At most `limit` sessions, each of which ends after `lifetime` without a request. A request waits for another one
    /// on the same session at most `patience`.
    pub(super) fn new(limit: usize, lifetime: Duration, patience: Duration) -> Self {
        Self { sessions: Mutex::default(), limit, lifetime, patience }
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a session.
    pub(super) async fn open(
        &self,
        backend: &Arc<dyn Backend>,
        name: &Name,
        algorithm: Algorithm,
    ) -> Result<String, Refusal> {
        self.sweep();
        self.check_room(&self.sessions())?;
        let backend = Arc::clone(backend);
        let (id, upload) = blocking(move || Ok((session_id()?, Upload::begin(&*backend, algorithm)?))).await?;
        let upload = Arc::new(tokio::sync::Mutex::new(Some(upload)));
        let mut sessions = self.sessions();
        // Asked again: others may have opened sessions meanwhile.
        self.check_room(&sessions)?;
        sessions.insert(id.clone(), Session { name: name.clone(), touched: Instant::now(), upload });
        Ok(id)
    }

    fn check_room(&self, sessions: &HashMap<String, Session>) -> Result<(), Refusal> {
        if sessions.len() < self.limit {
            return Ok(());
        }
        let message = format!("the limit of {} unfinished uploads is reached", self.limit);
        let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests, message);
        Err(refusal.with_header(RETRY_AFTER, "10"))
    }

    /// Takes hold of a session. After a cut connection the server may notice the cut later than the client, so this
    /// waits for the earlier request to end.
    pub(super) async fn hold(&self, name: &Name, id: &str) -> Result<Held, Refusal> {
        let unknown = || Refusal::unknown(Code::BlobUploadUnknown, "no such upload; it may have ended or expired");
        let upload = {
            let mut sessions = self.sessions();
            let session = sessions.get_mut(id).filter(|session| session.name == *name).ok_or_else(unknown)?;
            session.touched = Instant::now();
            Arc::clone(&session.upload)
        };
        let held = tokio::time::timeout(self.patience, upload.lock_owned()).await.map_err(|_| {
            Refusal::new(StatusCode::CONFLICT, Code::BlobUploadInvalid, "another request is writing to this upload")
        })?;
        if held.is_some() { Ok(held) } else { Err(unknown()) }
    }

    /// Ends a session; whoever holds it still has its bytes.
    pub(super) fn close(&self, id: &str) {
        self.sessions().remove(id);
    }

    /// Removes sessions that nobody has used for a while.
    pub(super) fn sweep(&self) {
        let lifetime = self.lifetime;
        self.sessions().retain(|_, session| {
            if session.upload.try_lock().is_err() {
                session.touched = Instant::now();
            }
            session.touched.elapsed() < lifetime
        });
    }
}
