//! Repositories in memory, within a budget.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use crate::oci::Digest;
use crate::store::Pointer;

use super::super::Error;
use super::super::blocking::BLOCK;
use super::super::name::Name;
use super::{Backend, Content, OpenBlob, PutManifest, RepoIndex, Sink};

/// Charged for every blob, upload and index entry beside its bytes, so that very many very small things are bounded too.
const OVERHEAD: u64 = 1024;

/// Storage in memory.
pub(in super::super) struct Memory {
    shared: Arc<Shared>,
}

struct Shared {
    budget: Arc<Budget>,
    repositories: RwLock<BTreeMap<Name, Repository>>,
}

struct Repository {
    index: Arc<RepoIndex>,
    blobs: HashMap<Digest, Arc<MemoryBlob>>,
    /// For the entries of the index.
    charge: Charge,
}

struct MemoryBlob {
    size: u64,
    chunks: Arc<Vec<Bytes>>,
    /// Gives the bytes back to the budget when the last repository drops the blob.
    _charge: Charge,
}

struct Budget {
    limit: u64,
    used: AtomicU64,
}

/// A part of the budget, given back when dropped.
struct Charge {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Charge {
    fn none(budget: &Arc<Budget>) -> Self {
        Self { budget: Arc::clone(budget), bytes: 0 }
    }

    fn resize(&mut self, bytes: u64) -> Result<(), Error> {
        let (limit, more) = (self.budget.limit, bytes.saturating_sub(self.bytes));
        self.budget
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(more).filter(|total| more == 0 || *total <= limit)
            })
            .map_err(|_| Error::Full { limit })?;
        self.budget.used.fetch_sub(self.bytes.saturating_sub(bytes), Ordering::Relaxed);
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Memory {
    /// Storage of at most `limit` bytes.
    pub(in super::super) fn new(limit: u64) -> Self {
        let budget = Arc::new(Budget { limit, used: AtomicU64::new(0) });
        Self { shared: Arc::new(Shared { budget, repositories: RwLock::new(BTreeMap::new()) }) }
    }
}

impl Shared {
    // A poisoned lock is taken over: every edit is made on a copy and swapped in at its end.
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Name, Repository>> {
        self.repositories.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<Name, Repository>> {
        self.repositories.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn blob(&self, chunks: Vec<Bytes>, mut charge: Charge) -> Result<Arc<MemoryBlob>, Error> {
        let size = chunks.iter().map(|c| c.len() as u64).sum();
        charge.resize(size + OVERHEAD)?;
        Ok(Arc::new(MemoryBlob { size, chunks: Arc::new(chunks), _charge: charge }))
    }

    fn add(&self, name: &Name, digest: &Digest, blob: Arc<MemoryBlob>) {
        self.write().entry(name.clone()).or_insert_with(|| self.new_repository()).blobs.insert(digest.clone(), blob);
    }

    fn new_repository(&self) -> Repository {
        Repository { index: Arc::new(RepoIndex::empty()), blobs: HashMap::new(), charge: Charge::none(&self.budget) }
    }
}

impl Repository {
    fn bytes(&self, digest: &Digest) -> Option<Vec<u8>> {
        self.blobs.get(digest).map(|blob| blob.chunks.concat())
    }
}

impl Backend for Memory {
    fn index(&self, name: &Name) -> Result<Option<Arc<RepoIndex>>, Error> {
        Ok(self.shared.read().get(name).map(|repository| Arc::clone(&repository.index)))
    }

    fn open(&self, name: &Name, digest: &Digest) -> Result<Option<OpenBlob>, Error> {
        let repositories = self.shared.read();
        let blob = repositories.get(name).and_then(|repository| repository.blobs.get(digest));
        Ok(blob.map(|blob| OpenBlob { size: blob.size, content: Content::Chunks(Arc::clone(&blob.chunks)) }))
    }

    fn begin(&self) -> Result<Box<dyn Sink>, Error> {
        let mut charge = Charge::none(&self.shared.budget);
        charge.resize(OVERHEAD)?;
        Ok(Box::new(MemorySink { shared: Arc::clone(&self.shared), chunks: Vec::new(), charge }))
    }

    fn mount(&self, from: Option<&Name>, to: &Name, digest: &Digest) -> Result<bool, Error> {
        let found = {
            let repositories = self.shared.read();
            let blob = match from {
                Some(from) => repositories.get(from).and_then(|repository| repository.blobs.get(digest)),
                None => repositories.values().find_map(|repository| repository.blobs.get(digest)),
            };
            blob.cloned()
        };
        Ok(found.is_some_and(|blob| {
            self.shared.add(to, digest, blob);
            true
        }))
    }

    fn delete_blob(&self, name: &Name, digest: &Digest) -> Result<bool, Error> {
        let mut repositories = self.shared.write();
        let Some(repository) = repositories.get_mut(name) else { return Ok(false) };
        if repository.index.manifests().contains_key(digest) {
            return Err(Error::IsManifest(digest.clone()));
        }
        Ok(repository.blobs.remove(digest).is_some())
    }

    fn put_manifest(&self, name: &Name, put: &PutManifest) -> Result<(), Error> {
        let mut repositories = self.shared.write();
        let mut fresh = None;
        let repository = match repositories.get_mut(name) {
            Some(repository) => repository,
            None => fresh.insert(self.shared.new_repository()),
        };
        put.check(&repository.index, |digest| Ok(repository.blobs.get(digest).map(|blob| blob.size)))?;
        let blob = self.shared.blob(vec![Bytes::from(put.bytes.clone())], Charge::none(&self.shared.budget))?;
        let mut index = RepoIndex::clone(&repository.index);
        index.put(&put.digest, &put.listed, &put.tags, &|digest| repository.bytes(digest));
        repository.charge.resize(index.len() as u64 * OVERHEAD)?;
        repository.blobs.insert(put.digest.clone(), blob);
        repository.index = Arc::new(index);
        if let Some(repository) = fresh {
            repositories.insert(name.clone(), repository);
        }
        Ok(())
    }

    fn delete_manifest(&self, name: &Name, pointer: &Pointer) -> Result<bool, Error> {
        let mut repositories = self.shared.write();
        let Some(repository) = repositories.get_mut(name) else { return Ok(false) };
        let mut index = RepoIndex::clone(&repository.index);
        let found = match pointer {
            Pointer::Tag(tag) => index.remove_tag(tag, &|digest| repository.bytes(digest)),
            Pointer::Digest(digest) => {
                let read = |other: &Digest| if other == digest { None } else { repository.bytes(other) };
                let found = index.remove_manifest(digest, &read);
                if found {
                    repository.blobs.remove(digest);
                }
                found
            }
        };
        repository.charge.resize(index.len() as u64 * OVERHEAD)?;
        repository.index = Arc::new(index);
        Ok(found)
    }

    fn repositories(&self) -> Result<BTreeSet<Name>, Error> {
        Ok(self.shared.read().keys().cloned().collect())
    }
}

struct MemorySink {
    shared: Arc<Shared>,
    chunks: Vec<Vec<u8>>,
    charge: Charge,
}

impl Sink for MemorySink {
    fn append(&mut self, mut bytes: Vec<u8>) -> Result<(), Error> {
        self.charge.resize(self.charge.bytes + bytes.len() as u64)?;
        match self.chunks.last_mut() {
            // Small chunks are joined: each one has an overhead of its own.
            Some(last) if last.len() + bytes.len() <= BLOCK => last.extend_from_slice(&bytes),
            _ => {
                // The budget counts bytes, not room for more.
                bytes.shrink_to_fit();
                self.chunks.push(bytes);
            }
        }
        Ok(())
    }

    fn replay(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        self.chunks.iter().for_each(|chunk| take(chunk));
        Ok(())
    }

    fn rest(&mut self) {}

    fn commit(self: Box<Self>, name: &Name, digest: &Digest) -> Result<(), Error> {
        let chunks = self.chunks.into_iter().map(Bytes::from).collect();
        let blob = self.shared.blob(chunks, self.charge)?;
        self.shared.add(name, digest, blob);
        Ok(())
    }
}
