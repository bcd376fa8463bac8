//! The doors: a registry client and one of its repositories, which is a [`Store`].

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::auth::Wants;
use super::host::{Host, Place};
use super::hosts::{Endpoint, Hosts};
use super::mirrors::{Mirror, Mirrors};
use super::upload::{self, Upload};
use super::{CredentialSource, Error, download, listing, manifest, referrers};
use crate::blob::{Blob, BytesSource};
use crate::net::{self, HttpClient, RetryPolicy};
use crate::observe::Event;
use crate::oci::{Descriptor, Digest, RawManifest, Reference, Tag};
use crate::store::{self, Pointer, Put, Store};

/// A client of any number of registries. Cloning shares connections, tokens and what was learned of each host.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    client: HttpClient,
    credentials: Arc<dyn CredentialSource>,
    policy: RetryPolicy,
    spool: PathBuf,
    /// What files say of hosts.
    said: Hosts,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("client", &self.inner.client).finish_non_exhaustive()
    }
}

impl Registry {
    /// A client that asks `credentials` who it is and keeps pulled blobs in files of the directory `spool`.
    #[must_use]
    pub fn new(client: HttpClient, credentials: Arc<dyn CredentialSource>, spool: &Path) -> Self {
        Self::with_policy(client, credentials, spool, RetryPolicy::default())
    }

    /// As [`Registry::new`], with another policy of retries.
    #[must_use]
    pub fn with_policy(
        client: HttpClient,
        credentials: Arc<dyn CredentialSource>,
        spool: &Path,
        policy: RetryPolicy,
    ) -> Self {
        Self::with_hosts(client, credentials, spool, policy, Hosts::default())
    }

    /// As [`Registry::with_policy`], reading by the mirrors of `hosts`, whose [`Hosts::tls`] the client must have been given.
    #[must_use]
    pub fn with_hosts(
        client: HttpClient,
        credentials: Arc<dyn CredentialSource>,
        spool: &Path,
        policy: RetryPolicy,
        hosts: Hosts,
    ) -> Self {
        let spool = spool.to_owned();
        Self { inner: Arc::new(Inner { client, credentials, policy, spool, said: hosts, hosts: Mutex::default() }) }
    }

    /// Whether the registry of a reference takes our credential: `GET /v2/` (distribution-spec, "Determining Support").
    ///
    /// # Errors
    /// Its refusal, or what keeps it from answering.
    pub async fn check(&self, reference: &Reference) -> Result<(), Error> {
        self.repository(reference)?.host.check().await
    }

    /// The repository of a reference, to write to or to read from past all mirrors; tag and digest do not matter.
    ///
    /// # Errors
    /// [`Error::Host`] when the host makes no URL, [`Error::HostsFile`] when what is said of it is not valid.
    pub fn repository(&self, reference: &Reference) -> Result<Repository, Error> {
        let endpoint = self.inner.said.writing(reference.registry(), reference.repository())?;
        self.at(endpoint, Mirrors::default())
    }

    /// The repository of a reference, to read from by its mirrors.
    ///
    /// # Errors
    /// As [`Registry::repository`], and [`Error::Blocked`].
    pub fn source(&self, reference: &Reference) -> Result<Repository, Error> {
        let route = self.inner.said.reading(reference.registry(), reference.repository())?;
        let mirrors = route.mirrors.into_iter().map(|endpoint| {
            let Endpoint { place, repository: name, digests, tags } = endpoint;
            Ok(Mirror { host: self.host(place)?, name, digests, tags, down: AtomicBool::new(false) })
        });
        let mirrors = Mirrors(mirrors.collect::<Result<_, Error>>()?);
        self.at(route.main, mirrors)
    }

    fn at(&self, endpoint: Endpoint, mirrors: Mirrors) -> Result<Repository, Error> {
        Ok(Repository {
            host: self.host(endpoint.place)?,
            name: endpoint.repository,
            spool: self.inner.spool.clone(),
            mount_from: None,
            mirrors,
        })
    }

    fn host(&self, place: Place) -> Result<Arc<Host>, Error> {
        let base = place.base.as_ref().map_or_else(|| place.name.clone(), ToString::to_string);
        let key = format!("{base} {} {}", place.namespace.as_deref().unwrap_or_default(), place.insecure);
        let mut hosts = self.inner.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get(&key) {
            return Ok(Arc::clone(host));
        }
        let (client, credentials) = (self.inner.client.clone(), Arc::clone(&self.inner.credentials));
        let host = Arc::new(Host::new(place, client, credentials, self.inner.policy)?);
        hosts.insert(key, Arc::clone(&host));
        Ok(host)
    }
}

/// One repository of a registry.
#[derive(Clone)]
pub struct Repository {
    host: Arc<Host>,
    name: String,
    spool: PathBuf,
    mount_from: Option<String>,
    mirrors: Mirrors,
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Repository({})", self.location())
    }
}

impl Repository {
    /// Tries to take blobs over from `other`, a repository of the same host (a base image's), before uploading them.
    #[must_use]
    pub fn mounting_from(mut self, other: &Reference) -> Self {
        self.mount_from = (other.registry() == self.host.name).then(|| other.repository().to_owned());
        self
    }

    /// The size of a blob; `None` when it is not there. A registry that does not tell the size counts as not having it.
    ///
    /// # Errors
    /// What the registry answers but 200 and 404.
    pub async fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        let size = upload::blob_size(&self.host, &self.name, digest, Wants::pull(&self.name)).await?;
        if size.is_none() {
            self.host.learn_absent(&self.name, digest);
        }
        Ok(size.flatten())
    }

    /// Brings a blob there: not at all when it is there, by a mount where one is possible, else by an upload. Any
    /// number may run at a time; those of one digest run once, and at most four transfers with one host at once, fewer when
    /// it says that it is too much.
    ///
    /// # Errors
    /// The registry's answer, the transport's trouble, or that the blob's source does not give what it promises.
    pub async fn push_blob(&self, blob: &Blob) -> Result<Put, Error> {
        let digest = &blob.descriptor().digest;
        let key = (self.name.clone(), digest.clone());
        let mut put = Put::Existed;
        let work = async {
            let _slot = self.host.pace.slot().await;
            upload::report(&self.host, blob, None);
            let outcome = self.transfer(blob).await;
            upload::report(&self.host, blob, Some(&outcome));
            put = outcome?;
            self.host.pace.went_well();
            Ok::<(), Error>(())
        };
        self.host.pushed.once(key, work).await?;
        self.host.learn_home(digest, &self.name);
        Ok(put)
    }

    async fn transfer(&self, blob: &Blob) -> Result<Put, Error> {
        let known = self.host.home(&blob.descriptor().digest).filter(|home| *home != self.name);
        let mount_from = known.or_else(|| self.mount_from.clone().filter(|from| *from != self.name));
        let upload = Upload { host: &self.host, repository: &self.name, blob, mount_from };
        let known_absent = self.host.take_absent(&self.name, &blob.descriptor().digest);
        if !known_absent && upload.exists().await? { Ok(Put::Existed) } else { upload.run().await }
    }

    /// Takes a blob over from the repository of [`Repository::mounting_from`]; `None` when there is none, or the registry does
    /// not do it.
    ///
    /// # Errors
    /// The transport's trouble; a refused mount is none.
    pub async fn mount_blob(&self, descriptor: &Descriptor) -> Result<Option<Put>, Error> {
        let Some(from) = self.mount_from.as_ref().filter(|from| **from != self.name) else { return Ok(None) };
        // Its bytes are not asked for: a mount names the digest alone.
        let blob = Blob::new(descriptor.clone(), Arc::new(BytesSource::new(Vec::new())));
        let upload = Upload { host: &self.host, repository: &self.name, blob: &blob, mount_from: None };
        if !upload.mount_only(from).await? {
            return Ok(None);
        }
        self.host.learn_home(&descriptor.digest, &self.name);
        Ok(Some(Put::Mounted))
    }

    /// Fetches a blob into a file of the spool directory, verified while it is written and removed with its last owner.
    ///
    /// # Errors
    /// The registry's answer, the transport's trouble, or content that is not what the descriptor says.
    pub async fn pull_blob(&self, descriptor: &Descriptor) -> Result<Blob, Error> {
        let id = descriptor.digest.to_string();
        let observer = self.host.client.observer();
        observer.event(Event::Begin { id: &id, verb: "pulling", total: Some(descriptor.size) });
        let outcome = match self.mirrors.blob(descriptor, &self.spool).await {
            Ok(Some(blob)) => Ok(blob),
            Ok(None) => {
                let _slot = self.host.pace.slot().await;
                download::fetch(&self.host, &self.name, descriptor, &self.spool).await
            }
            Err(error) => Err(error),
        };
        observer.event(Event::End { id: &id, note: if outcome.is_ok() { "" } else { "failed" } });
        outcome
    }

    /// The descriptor of a manifest, or `None`.
    ///
    /// # Errors
    /// What the registry answers but 200 and 404.
    pub async fn head_manifest(&self, pointer: &Pointer) -> Result<Option<Descriptor>, Error> {
        if let Some(found) = self.mirrors.head(pointer).await? {
            return Ok(Some(found));
        }
        manifest::head(&self.host, &self.name, pointer, Wants::pull(&self.name)).await
    }

    /// Fetches a manifest, verified; `None` when it is not there.
    ///
    /// # Errors
    /// What the registry answers but 200 and 404, or a document that is not what was asked for.
    pub async fn pull_manifest(&self, pointer: &Pointer) -> Result<Option<RawManifest>, Error> {
        if let Some(found) = self.mirrors.manifest(pointer).await? {
            return Ok(Some(found));
        }
        manifest::get(&self.host, &self.name, pointer, Wants::pull(&self.name)).await
    }

    /// Puts a manifest under its digest.
    ///
    /// # Errors
    /// The registry's answer, for example that a blob is missing.
    pub async fn push_manifest(&self, manifest: &RawManifest) -> Result<Put, Error> {
        let pointer = Pointer::Digest(manifest.digest().clone());
        self.put(manifest, &pointer).await
    }

    /// Points a tag at a manifest. A tag that points there already is left alone, as registries with immutable tags
    /// want it.
    ///
    /// # Errors
    /// The registry's answer, for example that the tag is immutable.
    pub async fn push_tag(&self, tag: &Tag, manifest: &RawManifest) -> Result<Put, Error> {
        self.put(manifest, &Pointer::Tag(tag.clone())).await
    }

    async fn put(&self, manifest: &RawManifest, pointer: &Pointer) -> Result<Put, Error> {
        let subject = subject_of(manifest);
        let there = manifest::head(&self.host, &self.name, pointer, Wants::push(&self.name)).await?;
        if there.is_some_and(|found| found.digest == *manifest.digest()) {
            // A run that ended after the manifest was put has left it unlisted.
            if let Some(subject) = &subject {
                referrers::attach(&self.host, &self.name, subject, manifest, false).await?;
            }
            return Ok(Put::Existed);
        }
        let outcome = manifest::put(&self.host, &self.name, &pointer.to_string(), manifest).await;
        if outcome.is_err() {
            self.forget_blobs_of(manifest);
        }
        let confirmed = outcome?;
        if let Some(subject) = &subject {
            referrers::attach(&self.host, &self.name, subject, manifest, confirmed).await?;
        }
        Ok(Put::Written)
    }

    /// What was known to be there may have been deleted: the next push looks again.
    fn forget_blobs_of(&self, manifest: &RawManifest) {
        if let Ok(crate::oci::ManifestView::Image(image)) = manifest.view() {
            for blob in image.layers.iter().chain([&image.config]) {
                self.host.pushed.forget(&(self.name.clone(), blob.digest.clone()));
            }
        }
    }

    /// All tags, sorted; `None` when the repository does not exist.
    ///
    /// # Errors
    /// What the registry answers but 200 and 404, or a list without end.
    pub async fn list_tags(&self) -> Result<Option<Vec<Tag>>, Error> {
        listing::tags(&self.host, &self.name).await
    }

    /// Descriptors of the manifests that refer to `digest`, sorted by digest.
    ///
    /// # Errors
    /// What the registry answers but that it has none, or a list without end.
    pub async fn list_referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>, Error> {
        referrers::list(&self.host, &self.name, digest).await
    }

    fn failed(&self, error: Error) -> store::Error {
        let location = self.location();
        match error {
            Error::Cancelled => store::Error::Cancelled,
            Error::Content(source) => store::Error::Blob(source),
            Error::DigestMismatch { expected, actual, .. } => {
                store::Error::DigestMismatch { expected, actual, location }
            }
            Error::SizeMismatch { digest, expected, actual, .. } => {
                store::Error::SizeMismatch { digest, expected, actual, location }
            }
            error => store::Error::Remote { location, source: Box::new(error) },
        }
    }

    fn absent(&self, what: &dyn std::fmt::Display) -> store::Error {
        store::Error::NotFound { what: what.to_string(), location: self.location() }
    }
}

/// The manifest that one refers to.
fn subject_of(manifest: &RawManifest) -> Option<Digest> {
    let subject = match manifest.view().ok()? {
        crate::oci::ManifestView::Image(image) => image.subject,
        crate::oci::ManifestView::Index(index) => index.subject,
    };
    subject.map(|subject| subject.digest)
}

#[async_trait]
impl Store for Repository {
    async fn has_blob(&self, digest: &Digest) -> Result<Option<u64>, store::Error> {
        self.blob_size(digest).await.map_err(|e| self.failed(e))
    }

    async fn put_blob(&self, blob: &Blob) -> Result<Put, store::Error> {
        self.push_blob(blob).await.map_err(|e| self.failed(e))
    }

    async fn take_over(&self, descriptor: &Descriptor) -> Result<Option<Put>, store::Error> {
        self.mount_blob(descriptor).await.map_err(|e| self.failed(e))
    }

    async fn get_blob(&self, descriptor: &Descriptor) -> Result<Blob, store::Error> {
        self.pull_blob(descriptor).await.map_err(|error| {
            if error.is_status(net::StatusCode::NOT_FOUND) {
                self.absent(&descriptor.digest)
            } else {
                self.failed(error)
            }
        })
    }

    async fn has_manifest(&self, pointer: &Pointer) -> Result<Option<Descriptor>, store::Error> {
        self.head_manifest(pointer).await.map_err(|e| self.failed(e))
    }

    async fn get_manifest(&self, pointer: &Pointer) -> Result<RawManifest, store::Error> {
        let found = self.pull_manifest(pointer).await.map_err(|e| self.failed(e))?;
        found.ok_or_else(|| self.absent(pointer))
    }

    async fn put_manifest(&self, manifest: &RawManifest) -> Result<Put, store::Error> {
        self.push_manifest(manifest).await.map_err(|e| self.failed(e))
    }

    async fn tag(&self, tag: &Tag, manifest: &RawManifest) -> Result<Put, store::Error> {
        self.push_tag(tag, manifest).await.map_err(|e| self.failed(e))
    }

    async fn tags(&self) -> Result<Vec<Tag>, store::Error> {
        let found = self.list_tags().await.map_err(|e| self.failed(e))?;
        found.ok_or_else(|| self.absent(&"tags/list"))
    }

    async fn referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>, store::Error> {
        self.list_referrers(digest).await.map_err(|e| self.failed(e))
    }

    fn is_watched(&self) -> bool {
        true
    }

    fn location(&self) -> String {
        format!("{}/{}", self.host.name, self.name)
    }
}
