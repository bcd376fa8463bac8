//! An image of any store, at hand for the validator, which reads synchronously.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};

use super::archive::FETCHES;
use super::{Error, Pointer, Store};
use crate::blob::Blob;
use crate::image::validate::{self, Report};
use crate::image::{ImageSource, Unreadable};
use crate::limits;
use crate::observe::SharedObserver;
use crate::oci::{Descriptor, Digest, ManifestView, RawManifest};

/// All parts of an image that could be had, and why the others could not. Remote blobs are in temporary files.
struct Spooled {
    manifests: BTreeMap<Digest, Result<RawManifest, Error>>,
    blobs: BTreeMap<Digest, Result<Blob, Error>>,
}

/// Validates what `pointer` names in a store.
///
/// # Errors
/// [`Error::NotFound`] when there is nothing of this name; [`Error::Cancelled`]. All else is a finding of the report.
pub async fn validate(store: &dyn Store, pointer: &Pointer, observer: SharedObserver) -> Result<Report, Error> {
    let missing = || Error::NotFound { what: pointer.to_string(), location: store.location() };
    let root = store.has_manifest(pointer).await?.ok_or_else(missing)?;
    let spooled = Spooled::fetch(store, &root, &observer).await?;
    let report = tokio::task::spawn_blocking(move || validate::validate(&spooled, &root, observer.as_ref())).await?;
    report.map_err(|_| Error::Cancelled)
}

impl Spooled {
    async fn fetch(store: &dyn Store, root: &Descriptor, observer: &SharedObserver) -> Result<Self, Error> {
        let mut spooled = Self { manifests: BTreeMap::new(), blobs: BTreeMap::new() };
        let mut level = vec![root.clone()];
        for _ in 0..=limits::MAX_INDEX_DEPTH {
            let mut below = Vec::new();
            for descriptor in level {
                if spooled.manifests.contains_key(&descriptor.digest) {
                    continue;
                }
                if spooled.manifests.len() > limits::MAX_INDEX_CHILDREN {
                    break;
                }
                let got = store.get_manifest(&Pointer::Digest(descriptor.digest.clone())).await;
                if let Ok(manifest) = &got {
                    match manifest.view() {
                        Ok(ManifestView::Index(index)) => below.extend(index.manifests),
                        Ok(ManifestView::Image(image)) => {
                            let blobs = image.layers.into_iter().chain([image.config]).collect();
                            spooled.fetch_blobs(store, blobs, observer).await?;
                        }
                        Err(_) => {}
                    }
                }
                spooled.manifests.insert(descriptor.digest, got);
            }
            level = below;
        }
        Ok(spooled)
    }

    async fn fetch_blobs(
        &mut self,
        store: &dyn Store,
        blobs: Vec<Descriptor>,
        observer: &SharedObserver,
    ) -> Result<(), Error> {
        let mut wanted: BTreeMap<Digest, Descriptor> = blobs.into_iter().map(|d| (d.digest.clone(), d)).collect();
        wanted.retain(|digest, _| !self.blobs.contains_key(digest));
        let fetch = |(digest, descriptor): (Digest, Descriptor)| async move {
            if observer.cancelled() {
                return (digest, Err(Error::Cancelled));
            }
            (digest, store.get_blob(&descriptor).await)
        };
        let fetches: Vec<_> = wanted.into_iter().map(fetch).collect();
        let fetched: Vec<_> = stream::iter(fetches).buffer_unordered(FETCHES).collect().await;
        if fetched.iter().any(|(_, got)| matches!(got, Err(Error::Cancelled))) {
            return Err(Error::Cancelled);
        }
        self.blobs.extend(fetched);
        Ok(())
    }
}

impl ImageSource for Spooled {
    fn manifest(&self, descriptor: &Descriptor) -> Result<RawManifest, Unreadable> {
        match self.manifests.get(&descriptor.digest) {
            Some(Ok(manifest)) => Ok(manifest.clone()),
            Some(Err(e)) => Err(reason(e)),
            None => Err(Unreadable::Missing),
        }
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn std::io::Read + Send>, Unreadable> {
        match self.blobs.get(&descriptor.digest) {
            Some(Ok(blob)) => blob.open(0).map_err(|e| Unreadable::Failed(Box::new(e))),
            Some(Err(e)) => Err(reason(e)),
            None => Err(Unreadable::Missing),
        }
    }
}

/// A store's error in the validator's words.
fn reason(error: &Error) -> Unreadable {
    match error {
        Error::NotFound { .. } => Unreadable::Missing,
        Error::DigestMismatch { actual, .. } => Unreadable::OtherDigest(actual.clone()),
        Error::SizeMismatch { actual, .. } => Unreadable::OtherSize(*actual),
        Error::Oci(e) | Error::Document { source: e, .. } => Unreadable::Document(e.clone()),
        other => Unreadable::Failed(other.to_string().into()),
    }
}
