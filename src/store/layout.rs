//! An OCI image layout on disk (image-spec, image-layout.md).
//!
//! Roots are the entries of `index.json`. A manifest that is put becomes a root without a name, so that
//! `oci:DIR@sha256:…` finds it and garbage collectors of other tools keep it; it stops being one of its own when a tag
//! or an index takes it over. Writers in several processes serialize on an advisory lock of the file `oci-layout`, which
//! is never replaced; readers need no lock, because `index.json` is replaced atomically.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use super::file::{self, StoredRange};
use super::roots::{self, Roots};
use super::{Error, Pointer, Put, Store, walk};
use crate::blob::Blob;
use crate::image::PLAN_TYPE;
use crate::limits;
use crate::oci::{Descriptor, Digest, ManifestView, RawManifest, Reference, Tag, media_type};

/// The content of `oci-layout`.
pub(super) const LAYOUT_FILE: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Blobs up to this size are written on the caller's thread.
const SMALL: u64 = 64 << 10;

/// An image layout directory.
#[derive(Debug, Clone)]
pub struct LayoutStore {
    directory: Arc<Path>,
    name: Option<Arc<str>>,
}

impl LayoutStore {
    /// Opens a layout that is there. Nothing is created.
    ///
    /// # Errors
    /// [`Error::NotALayout`] when the directory has no `oci-layout` of version 1 or no `index.json`.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let refuse = |reason| Error::NotALayout { path: directory.to_owned(), reason };
        let marker = file::read_document(&directory.join("oci-layout"), "oci-layout", 4096)?;
        check_version(&marker.ok_or_else(|| refuse("it has no file `oci-layout`"))?).map_err(refuse)?;
        if !directory.join("index.json").is_file() {
            return Err(refuse("it has no file `index.json`"));
        }
        Ok(Self { directory: directory.into(), name: None })
    }

    /// Opens a layout, or makes an empty one in a directory that is new or empty.
    ///
    /// # Errors
    /// [`Error::NotALayout`] when the directory holds something else; [`Error::Io`].
    pub fn create(directory: &Path) -> Result<Self, Error> {
        let blobs = directory.join("blobs").join("sha256");
        if !directory.join("oci-layout").exists() {
            let occupied = std::fs::read_dir(directory).is_ok_and(|entries| entries.flatten().any(|e| !is_ours(&e)));
            if occupied {
                let reason = "the directory is not empty and has no file `oci-layout`";
                return Err(Error::NotALayout { path: directory.to_owned(), reason });
            }
        }
        std::fs::create_dir_all(&blobs).map_err(|e| Error::io("create", &blobs, e))?;
        create_once(&directory.join("oci-layout"), LAYOUT_FILE)?;
        create_once(&directory.join("index.json"), &Roots::empty().to_bytes()?)?;
        Self::open(directory)
    }

    /// The same layout, whose tags also get the full name `repository:tag` under which containerd imports them.
    #[must_use]
    pub fn with_name(self, repository: &Reference) -> Self {
        Self { name: Some(repository.name().into()), ..self }
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The entries of `index.json`, in order.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Document`].
    pub fn roots(&self) -> Result<Vec<Descriptor>, Error> {
        Ok(self.read_roots()?.descriptors())
    }

    /// The image meant when no name is given: the one tagged `latest`, else the only one that refers to no other.
    ///
    /// # Errors
    /// [`Error::Ambiguous`] when there are several or none.
    pub fn default_pointer(&self) -> Result<Pointer, Error> {
        let mut roots = self.roots()?;
        if roots.len() > 1 {
            let refers = |root: &Descriptor| match self.read_manifest(root).ok().flatten().and_then(|m| m.view().ok()) {
                Some(ManifestView::Image(image)) => image.subject.is_some(),
                Some(ManifestView::Index(index)) => index.subject.is_some(),
                None => false,
            };
            roots.retain(|root| !refers(root));
        }
        roots::sole(&roots, &|| self.location()).map(Pointer::Digest)
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.directory.join("blobs").join(digest.algorithm().name()).join(digest.hex())
    }

    fn read_roots(&self) -> Result<Roots, Error> {
        let path = self.directory.join("index.json");
        let bytes = file::read_document(&path, "index of the layout", limits::MAX_MANIFEST_BYTES)?;
        let bytes = bytes.ok_or_else(|| Error::NotALayout {
            path: self.directory.to_path_buf(),
            reason: "it has no file `index.json`",
        })?;
        Roots::parse(&bytes).map_err(|source| Error::Document { location: self.location(), source })
    }

    /// Changes the roots under the lock; `change` says whether something is to be written.
    fn update(&self, change: impl FnOnce(&mut Roots) -> Result<bool, Error>) -> Result<bool, Error> {
        let marker = self.directory.join("oci-layout");
        let lock = File::open(&marker).map_err(|e| Error::io("read", &marker, e))?;
        lock.lock().map_err(|e| Error::io("lock", &marker, e))?;
        let mut roots = self.read_roots()?;
        let changed = change(&mut roots)?;
        if changed {
            file::replace(&self.directory.join("index.json"), &roots.to_bytes()?)?;
        }
        Ok(changed)
    }

    fn size_of(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        let path = self.blob_path(digest);
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => Ok(Some(metadata.len())),
            Ok(_) => Ok(None),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("read", &path, e)),
        }
    }

    /// Puts a blob under its digest: links a sealed file of the same file system, copies and verifies any other.
    fn write_blob(&self, blob: &Blob) -> Result<Put, Error> {
        let descriptor = blob.descriptor();
        let path = self.blob_path(&descriptor.digest);
        match self.size_of(&descriptor.digest)? {
            Some(size) if size == descriptor.size => return Ok(Put::Existed),
            // The rest of a power cut: its bytes cannot be those of the digest.
            Some(_) => std::fs::remove_file(&path).map_err(|e| Error::io("remove", &path, e))?,
            None => {}
        }
        self.create_parent(&path)?;
        if let Some(sealed) = blob.sealed_file()
            && link(sealed, &path, descriptor.size)
        {
            return Ok(Put::Written);
        }
        let mut temporary = file::temporary_beside(&path)?;
        let mut from = blob.open(0)?;
        file::copy_verified(&mut from, &mut temporary, descriptor, &path, &|| self.location())?;
        file::persist(temporary, &path)?;
        Ok(Put::Written)
    }

    fn write_manifest(&self, manifest: &RawManifest) -> Result<Put, Error> {
        let descriptor = manifest.descriptor();
        file::verify_bytes(manifest.bytes(), manifest.digest(), &|| self.location())?;
        let path = self.blob_path(&descriptor.digest);
        let mut put = Put::Existed;
        if self.size_of(&descriptor.digest)? != Some(descriptor.size) {
            self.create_parent(&path)?;
            let mut temporary = file::temporary_beside(&path)?;
            temporary.write_all(manifest.bytes()).map_err(|e| Error::io("write", &path, e))?;
            file::persist(temporary, &path)?;
            put = Put::Written;
        }
        let children = match manifest.view() {
            Ok(ManifestView::Index(index)) => index.manifests.into_iter().map(|child| child.digest).collect(),
            _ => Vec::new(),
        };
        if is_plan(manifest) {
            let changed = self.update(|roots| {
                let mut plans = roots.plans();
                let new = !plans.contains(&descriptor.digest);
                if new {
                    plans.push(descriptor.digest.clone());
                    roots.set_plans(plans);
                }
                Ok(new)
            })?;
            return Ok(if changed { Put::Written } else { put });
        }
        let changed = self.update(|roots| {
            let reachable =
                walk::find(&roots.descriptors(), &descriptor.digest, &|d| Ok(self.read_manifest(d).unwrap_or(None)))?
                    .is_some();
            let added = !reachable && roots.add(&descriptor)?;
            Ok(roots.absorb(&children) || added)
        })?;
        Ok(if changed { Put::Written } else { put })
    }

    fn create_parent(&self, path: &Path) -> Result<(), Error> {
        // Only for an algorithm that is new to the layout; `create` has made the usual one.
        let parent = path.parent().unwrap_or(&self.directory);
        std::fs::create_dir_all(parent).map_err(|e| Error::io("create", parent, e))
    }

    fn read_manifest(&self, descriptor: &Descriptor) -> Result<Option<RawManifest>, Error> {
        let path = self.blob_path(&descriptor.digest);
        let Some(bytes) = file::read_document(&path, "manifest", limits::MAX_MANIFEST_BYTES)? else { return Ok(None) };
        file::verify_bytes(&bytes, &descriptor.digest, &|| self.location())?;
        Ok(Some(RawManifest::with_digest(&descriptor.media_type, bytes, descriptor.digest.clone())?))
    }

    fn find(&self, pointer: &Pointer) -> Result<Option<Descriptor>, Error> {
        let roots = self.read_roots()?;
        let found = match pointer {
            Pointer::Tag(tag) => roots.find(tag),
            Pointer::Digest(digest) => walk::find(&self.all(&roots)?, digest, &|d| self.read_manifest(d))?,
        };
        match found {
            Some(found) if self.size_of(&found.digest)?.is_some() => Ok(Some(found)),
            _ => Ok(None),
        }
    }

    fn set_tag(&self, tag: &Tag, manifest: &RawManifest) -> Result<Put, Error> {
        if self.size_of(manifest.digest())?.is_none() {
            return Err(self.missing(manifest.digest()));
        }
        let changed = self.update(|roots| {
            let replaces = roots.find(tag).is_some_and(|old| old.digest != *manifest.digest());
            let changed = roots.tag(tag, &manifest.descriptor(), self.name.as_deref())?;
            if replaces {
                self.forget_plans(roots)?;
            }
            Ok(changed)
        })?;
        Ok(if changed { Put::Written } else { Put::Existed })
    }

    /// Takes plans out of the index whose image is no longer there: each build would leave one behind.
    fn forget_plans(&self, roots: &mut Roots) -> Result<(), Error> {
        let images = roots.descriptors();
        let read: &walk::Read<'_> = &|d| Ok(self.read_manifest(d).unwrap_or(None));
        let mut stay = Vec::new();
        for plan in self.plans(roots)? {
            let subject = match read(&plan)?.and_then(|raw| raw.view().ok()) {
                Some(ManifestView::Image(manifest)) => manifest.subject,
                _ => None,
            };
            if let Some(subject) = subject
                && walk::find(&images, &subject.digest, read)?.is_some()
            {
                stay.push(plan.digest);
            }
        }
        roots.set_plans(stay);
        Ok(())
    }

    /// The plans that lie beside the images.
    fn plans(&self, roots: &Roots) -> Result<Vec<Descriptor>, Error> {
        let mut out = Vec::new();
        for digest in roots.plans() {
            if let Some(size) = self.size_of(&digest)? {
                out.push(Descriptor::new(media_type::OCI_MANIFEST, digest, size));
            }
        }
        Ok(out)
    }

    /// The roots and the plans beside them.
    fn all(&self, roots: &Roots) -> Result<Vec<Descriptor>, Error> {
        Ok([roots.descriptors(), self.plans(roots)?].concat())
    }

    fn missing(&self, what: &dyn std::fmt::Display) -> Error {
        Error::NotFound { what: what.to_string(), location: self.location() }
    }
}

/// Whether a manifest is the plan of an image.
fn is_plan(manifest: &RawManifest) -> bool {
    match manifest.view() {
        Ok(ManifestView::Image(view)) => view.artifact_type.as_deref() == Some(PLAN_TYPE) && view.subject.is_some(),
        _ => false,
    }
}

/// Creates a file unless another process was faster.
fn create_once(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if path.exists() {
        return Ok(());
    }
    let mut temporary = file::temporary_beside(path)?;
    temporary.write_all(bytes).map_err(|e| Error::io("write", path, e))?;
    match temporary.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(e) if e.error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(Error::io("create", path, e.error)),
    }
}

/// What another process may just be making.
fn is_ours(entry: &std::fs::DirEntry) -> bool {
    let name = entry.file_name();
    ["blobs", "oci-layout", "index.json"].iter().any(|ours| name == *ours)
        || name.as_encoded_bytes().starts_with(b".coracle-")
}

/// Hard-links `from` to the new name `to`; false when the file system cannot, and then the caller copies.
fn link(from: &Path, to: &Path, size: u64) -> bool {
    let right_size = std::fs::metadata(from).is_ok_and(|m| m.len() == size);
    // Temporary files are private to their owner; blobs are for all that may see the layout.
    right_size
        && std::fs::set_permissions(from, std::fs::Permissions::from_mode(0o644)).is_ok()
        && std::fs::hard_link(from, to).is_ok()
}

/// Checks the content of `oci-layout`.
pub(super) fn check_version(marker: &[u8]) -> Result<(), &'static str> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Marker {
        image_layout_version: String,
    }
    let marker: Marker = serde_json::from_slice(marker).map_err(|_| "its `oci-layout` cannot be parsed")?;
    match marker.image_layout_version.split('.').next() {
        Some("1") => Ok(()),
        _ => Err("its layout version is not 1"),
    }
}

/// Runs file work where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await?
}

#[async_trait]
impl Store for LayoutStore {
    async fn has_blob(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        self.size_of(digest)
    }

    async fn put_blob(&self, blob: &Blob) -> Result<Put, Error> {
        if blob.descriptor().size <= SMALL {
            return self.write_blob(blob);
        }
        let (store, blob) = (self.clone(), blob.clone());
        blocking(move || store.write_blob(&blob)).await
    }

    async fn get_blob(&self, descriptor: &Descriptor) -> Result<Blob, Error> {
        let digest = &descriptor.digest;
        let size = self.size_of(digest)?.ok_or_else(|| self.missing(digest))?;
        if size != descriptor.size {
            let (digest, expected, location) = (digest.clone(), descriptor.size, self.location());
            return Err(Error::SizeMismatch { digest, expected, actual: size, location });
        }
        let source = StoredRange { path: self.blob_path(digest), start: 0, size, digest: digest.clone() };
        Ok(Blob::new(descriptor.clone(), Arc::new(source)))
    }

    async fn has_manifest(&self, pointer: &Pointer) -> Result<Option<Descriptor>, Error> {
        self.find(pointer)
    }

    async fn get_manifest(&self, pointer: &Pointer) -> Result<RawManifest, Error> {
        let found = self.find(pointer)?.ok_or_else(|| self.missing(pointer))?;
        self.read_manifest(&found)?.ok_or_else(|| self.missing(pointer))
    }

    async fn put_manifest(&self, manifest: &RawManifest) -> Result<Put, Error> {
        let (store, manifest) = (self.clone(), manifest.clone());
        blocking(move || store.write_manifest(&manifest)).await
    }

    async fn tag(&self, tag: &Tag, manifest: &RawManifest) -> Result<Put, Error> {
        let (store, tag, manifest) = (self.clone(), tag.clone(), manifest.clone());
        blocking(move || store.set_tag(&tag, &manifest)).await
    }

    async fn tags(&self) -> Result<Vec<Tag>, Error> {
        let mut tags: Vec<Tag> = self.roots()?.iter().filter_map(roots::tag_of).collect();
        tags.sort();
        tags.dedup();
        Ok(tags)
    }

    async fn referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>, Error> {
        let (store, digest) = (self.clone(), digest.clone());
        let all = move || store.all(&store.read_roots()?).map(|all| (store, all));
        blocking(move || {
            let (store, all) = all()?;
            walk::referrers(&all, &digest, &|d| store.read_manifest(d))
        })
        .await
    }

    fn location(&self) -> String {
        format!("oci:{}", self.directory.display())
    }
}
