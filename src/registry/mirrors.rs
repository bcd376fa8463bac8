//! Reading by mirrors: each in order, the registry itself last. A mirror that fails is told and passed over; what it gives is
//! verified as what the registry gives.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::auth::Wants;
use super::host::Host;
use super::{Error, download, manifest};
use crate::blob::Blob;
use crate::observe::Event;
use crate::oci::{Descriptor, RawManifest, in_one_line};
use crate::store::Pointer;

/// A repository at another host that may have the same content.
pub(super) struct Mirror {
    pub(super) host: Arc<Host>,
    pub(super) name: String,
    /// Whether it is asked for names with a digest, and for tags.
    pub(super) digests: bool,
    pub(super) tags: bool,
    /// It did not answer, and is not waited for again.
    pub(super) down: AtomicBool,
}

/// The mirrors of a repository, in the order in which they are asked.
#[derive(Clone, Default)]
pub(super) struct Mirrors(pub(super) Arc<[Mirror]>);

impl Mirrors {
    fn standing(&self) -> impl Iterator<Item = &Mirror> {
        self.0.iter().filter(|mirror| !mirror.down.load(Ordering::Relaxed))
    }

    fn for_manifest(&self, pointer: &Pointer) -> impl Iterator<Item = &Mirror> {
        let digest = matches!(pointer, Pointer::Digest(_));
        self.standing().filter(move |mirror| if digest { mirror.digests } else { mirror.tags })
    }

    /// The first that has the manifest.
    ///
    /// # Errors
    /// [`Error::Cancelled`] alone.
    pub(super) async fn manifest(&self, pointer: &Pointer) -> Result<Option<RawManifest>, Error> {
        for mirror in self.for_manifest(pointer) {
            let found = manifest::get(&mirror.host, &mirror.name, pointer, Wants::pull(&mirror.name)).await;
            if let Some(found) = mirror.kept(found)?.flatten() {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// As [`Mirrors::manifest`], of its descriptor.
    ///
    /// # Errors
    /// [`Error::Cancelled`] alone.
    pub(super) async fn head(&self, pointer: &Pointer) -> Result<Option<Descriptor>, Error> {
        for mirror in self.for_manifest(pointer) {
            let found = manifest::head(&mirror.host, &mirror.name, pointer, Wants::pull(&mirror.name)).await;
            if let Some(found) = mirror.kept(found)?.flatten() {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The first that has the blob.
    ///
    /// # Errors
    /// [`Error::Cancelled`] alone.
    pub(super) async fn blob(&self, descriptor: &Descriptor, spool: &Path) -> Result<Option<Blob>, Error> {
        for mirror in self.standing() {
            let _slot = mirror.host.pace.slot().await;
            let found = download::fetch(&mirror.host, &mirror.name, descriptor, spool).await;
            if let Some(blob) = mirror.kept(found)? {
                return Ok(Some(blob));
            }
        }
        Ok(None)
    }
}

impl Mirror {
    /// What it gave; an error of a mirror is told and is none of the operation.
    fn kept<T>(&self, outcome: Result<T, Error>) -> Result<Option<T>, Error> {
        let error = match outcome {
            Ok(found) => return Ok(Some(found)),
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => error,
        };
        // That it does not have something is what mirrors are like.
        if !error.is_status(crate::net::StatusCode::NOT_FOUND) {
            if matches!(error, Error::Net { .. }) {
                self.down.store(true, Ordering::Relaxed);
            }
            let text = format!("the mirror `{}/{}` is passed over: {}", self.host.name, self.name, in_one_line(&error));
            self.host.client.observer().event(Event::Message { text: &text });
        }
        Ok(None)
    }
}
