//! A store in memory, for tests and for small artifacts on their way somewhere else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Error, Pointer, Put, Store, file, walk};
use crate::blob::{Blob, BytesSource};
use crate::oci::{Descriptor, Digest, RawManifest, Tag};

/// Holds everything in memory; clones share it. Not for layers of real images.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    content: Arc<Mutex<Content>>,
}

#[derive(Debug, Default)]
struct Content {
    blobs: BTreeMap<Digest, Arc<[u8]>>,
    manifests: BTreeMap<Digest, RawManifest>,
    tags: BTreeMap<Tag, Digest>,
}

impl Content {
    fn find(&self, pointer: &Pointer) -> Option<&RawManifest> {
        match pointer {
            Pointer::Tag(tag) => self.tags.get(tag).and_then(|digest| self.manifests.get(digest)),
            Pointer::Digest(digest) => self.manifests.get(digest),
        }
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// No code panics while it holds the lock, and each change is one insertion: the content is whole in any case.
    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn missing(&self, what: &dyn std::fmt::Display) -> Error {
        Error::NotFound { what: what.to_string(), location: self.location() }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn has_blob(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        Ok(self.content().blobs.get(digest).map(|bytes| bytes.len() as u64))
    }

    async fn put_blob(&self, blob: &Blob) -> Result<Put, Error> {
        let descriptor = blob.descriptor();
        if self.content().blobs.contains_key(&descriptor.digest) {
            return Ok(Put::Existed);
        }
        let mut bytes = Vec::new();
        let target = std::path::Path::new("memory");
        file::copy_verified(&mut blob.open(0)?, &mut bytes, descriptor, target, &|| self.location())?;
        self.content().blobs.insert(descriptor.digest.clone(), bytes.into());
        Ok(Put::Written)
    }

    async fn get_blob(&self, descriptor: &Descriptor) -> Result<Blob, Error> {
        let bytes = self.content().blobs.get(&descriptor.digest).cloned();
        let bytes = bytes.ok_or_else(|| self.missing(&descriptor.digest))?;
        let actual = bytes.len() as u64;
        if actual != descriptor.size {
            let (digest, expected, location) = (descriptor.digest.clone(), descriptor.size, self.location());
            return Err(Error::SizeMismatch { digest, expected, actual, location });
        }
        Ok(Blob::new(descriptor.clone(), Arc::new(BytesSource::new(bytes))))
    }

    async fn has_manifest(&self, pointer: &Pointer) -> Result<Option<Descriptor>, Error> {
        Ok(self.content().find(pointer).map(RawManifest::descriptor))
    }

    async fn get_manifest(&self, pointer: &Pointer) -> Result<RawManifest, Error> {
        self.content().find(pointer).cloned().ok_or_else(|| self.missing(pointer))
    }

    async fn put_manifest(&self, manifest: &RawManifest) -> Result<Put, Error> {
        file::verify_bytes(manifest.bytes(), manifest.digest(), &|| self.location())?;
        match self.content().manifests.insert(manifest.digest().clone(), manifest.clone()) {
            Some(_) => Ok(Put::Existed),
            None => Ok(Put::Written),
        }
    }

    async fn tag(&self, tag: &Tag, manifest: &RawManifest) -> Result<Put, Error> {
        let mut content = self.content();
        if !content.manifests.contains_key(manifest.digest()) {
            return Err(self.missing(manifest.digest()));
        }
        match content.tags.insert(tag.clone(), manifest.digest().clone()) {
            Some(old) if old == *manifest.digest() => Ok(Put::Existed),
            _ => Ok(Put::Written),
        }
    }

    async fn tags(&self) -> Result<Vec<Tag>, Error> {
        Ok(self.content().tags.keys().cloned().collect())
    }

    async fn referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>, Error> {
        Ok(self.content().manifests.values().filter_map(|manifest| walk::referrer(manifest, digest)).collect())
    }

    fn location(&self) -> String {
        "memory".to_owned()
    }
}
