//! Archives as stores: layouts in a tar, and what `docker save` writes.
//!
//! The tar is indexed once; blobs are ranges of the file and nothing is unpacked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;

use super::file::{self, StoredRange};
use super::roots::{self, CONTAINERD_NAME, REF_NAME, Roots};
use super::{Error, Pointer, Put, Store, layout, walk};
use crate::blob::{Blob, BlobSource};
use crate::limits;
use crate::oci::{
    self, Algorithm, Annotations, Descriptor, Digest, DigestWriter, ImageManifest, RawManifest, Reference, Tag,
    media_type,
};

/// An archive, opened for reading. It cannot be written to; [`super::Archive`] makes new ones.
#[derive(Debug, Clone)]
pub struct ArchiveStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: Arc<Path>,
    /// Where the content of each digest lies.
    blobs: BTreeMap<Digest, Range>,
    /// Manifests that the archive does not hold as such, made for images of `docker save`.
    made: BTreeMap<Digest, RawManifest>,
    roots: Vec<Descriptor>,
}

#[derive(Debug, Clone, Copy)]
struct Range {
    start: u64,
    size: u64,
}

/// Members by name: files as ranges, links as the name they mean.
struct Members {
    path: Arc<Path>,
    files: BTreeMap<String, Range>,
    links: BTreeMap<String, String>,
}

impl ArchiveStore {
    /// Indexes an archive. Layers of a `docker save` without layout are hashed here, since it names them otherwise.
    ///
    /// # Errors
    /// [`Error::NotAnArchive`]; [`Error::Document`]; [`Error::Io`].
    pub async fn open(path: &Path) -> Result<Self, Error> {
        let path: Arc<Path> = path.into();
        layout::blocking(move || {
            let members = Members::read(&path)?;
            let refuse = |reason| Error::NotAnArchive { path: path.to_path_buf(), reason };
            let inner = if let Some(index) = members.document("index.json")? {
                let marker = members.document("oci-layout")?.ok_or_else(|| refuse("it has no `oci-layout`"))?;
                layout::check_version(&marker).map_err(refuse)?;
                members.layout(&index)?
            } else if let Some(manifest) = members.document("manifest.json")? {
                members.docker_save(&manifest)?
            } else {
                return Err(refuse("it has neither `index.json` nor `manifest.json`"));
            };
            Ok(Self { inner: Arc::new(inner) })
        })
        .await
    }

    /// The images of the archive with their names.
    #[must_use]
    pub fn roots(&self) -> &[Descriptor] {
        &self.inner.roots
    }

    /// The image meant when no name is given: the one tagged `latest`, else the only one.
    ///
    /// # Errors
    /// [`Error::Ambiguous`] when there are several or none.
    pub fn default_pointer(&self) -> Result<Pointer, Error> {
        roots::sole(&self.inner.roots, &|| self.location()).map(Pointer::Digest)
    }

    fn missing(&self, what: &dyn std::fmt::Display) -> Error {
        Error::NotFound { what: what.to_string(), location: self.location() }
    }

    fn unsupported(&self) -> Error {
        Error::Unsupported { what: "be changed; it can only be written as a whole", location: self.location() }
    }

    fn find(&self, pointer: &Pointer) -> Result<Option<Descriptor>, Error> {
        match pointer {
            Pointer::Digest(digest) => walk::find(&self.inner.all(), digest, &|d| self.inner.manifest(d)),
            Pointer::Tag(tag) => {
                let tagged = self.inner.roots.iter().filter(|root| roots::tag_of(root).as_ref() == Some(tag));
                let tagged: Vec<&Descriptor> = tagged.collect();
                // `docker save a:v1 b:v1` has two images of one tag.
                if tagged.iter().any(|root| root.digest != tagged[0].digest) {
                    let names = tagged.iter().map(|root| format!("@{}", root.digest)).collect();
                    return Err(Error::Ambiguous { location: self.location(), count: tagged.len(), names });
                }
                Ok(tagged.first().map(|root| (*root).clone()))
            }
        }
    }
}

impl Inner {
    fn location(&self) -> String {
        format!("archive:{}", self.path.display())
    }

    /// The roots, and the plans of which their annotations tell.
    fn all(&self) -> Vec<Descriptor> {
        let told = self.roots.iter().filter_map(|root| root.annotations.get(roots::PLANS));
        let digests: BTreeSet<Digest> =
            told.flat_map(|text| text.split(',')).filter_map(|digest| digest.parse().ok()).collect();
        let plans = digests.into_iter().filter_map(|digest| {
            let size = self.blobs.get(&digest)?.size;
            Some(Descriptor::new(media_type::OCI_MANIFEST, digest, size))
        });
        self.roots.iter().cloned().chain(plans.take(limits::MAX_INDEX_CHILDREN)).collect()
    }

    fn manifest(&self, descriptor: &Descriptor) -> Result<Option<RawManifest>, Error> {
        if let Some(made) = self.made.get(&descriptor.digest) {
            return Ok(Some(made.clone()));
        }
        let Some(range) = self.blobs.get(&descriptor.digest) else { return Ok(None) };
        let bytes = read_range(&self.path, *range, "manifest", limits::MAX_MANIFEST_BYTES)?;
        file::verify_bytes(&bytes, &descriptor.digest, &|| self.location())?;
        Ok(Some(RawManifest::with_digest(&descriptor.media_type, bytes, descriptor.digest.clone())?))
    }
}

fn read_range(path: &Path, range: Range, what: &'static str, limit: u64) -> Result<Vec<u8>, Error> {
    if range.size > limit {
        return Err(oci::Error::TooLarge { what, size: range.size, limit }.into());
    }
    let mut bytes = Vec::new();
    let fail = |e| Error::io("read", path, e);
    let mut file = File::open(path).map_err(fail)?;
    file.seek(SeekFrom::Start(range.start)).map_err(fail)?;
    file.take(range.size).read_to_end(&mut bytes).map_err(fail)?;
    Ok(bytes)
}

/// One element of docker's `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

impl Members {
    fn read(path: &Arc<Path>) -> Result<Self, Error> {
        let fail = |e| Error::io("read", path, e);
        let refuse = |reason| Error::NotAnArchive { path: path.to_path_buf(), reason };
        if !std::fs::metadata(path).map_err(fail)?.is_file() {
            return Err(refuse("it is not a regular file"));
        }
        let mut file = File::open(path).map_err(fail)?;
        let mut magic = [0; 4];
        let got = file.read(&mut magic).map_err(fail)?;
        match &magic[..got] {
            [0x1f, 0x8b, ..] => return Err(refuse("it is compressed with gzip")),
            [0x28, 0xb5, 0x2f, 0xfd] => return Err(refuse("it is compressed with zstd")),
            _ => file.rewind().map_err(fail)?,
        }
        let total = file.metadata().map_err(fail)?.len();
        let (mut files, mut links) = (BTreeMap::new(), BTreeMap::new());
        let mut tar = tar::Archive::new(file);
        for (count, entry) in tar.entries_with_seek().map_err(fail)?.enumerate() {
            let entry = entry.map_err(|_| refuse("it is not a tar, or a damaged one"))?;
            if count >= limits::MAX_ARCHIVE_MEMBERS {
                return Err(refuse("it has too many members"));
            }
            let Ok(name) = std::str::from_utf8(&entry.path_bytes()).map(normal) else { continue };
            match entry.header().entry_type() {
                tar::EntryType::Regular | tar::EntryType::Continuous => {
                    let range = Range { start: entry.raw_file_position(), size: entry.size() };
                    if range.start.checked_add(range.size).is_none_or(|end| end > total) {
                        return Err(refuse("it ends in the middle of a member"));
                    }
                    files.insert(name, range);
                }
                // Old dockers link equal layers to one another.
                kind @ (tar::EntryType::Symlink | tar::EntryType::Link) => {
                    let Some(target) = entry.link_name_bytes() else { continue };
                    let Ok(target) = std::str::from_utf8(&target) else { continue };
                    let base = if kind == tar::EntryType::Symlink { parent(&name) } else { "" };
                    links.insert(name.clone(), normal(&format!("{base}/{target}")));
                }
                _ => {}
            }
        }
        Ok(Self { path: Arc::clone(path), files, links })
    }

    /// The file of this name, through one link.
    fn file(&self, name: &str) -> Option<Range> {
        let name = normal(name);
        let name = self.links.get(&name).unwrap_or(&name);
        self.files.get(name).copied()
    }

    fn document(&self, name: &'static str) -> Result<Option<Vec<u8>>, Error> {
        match self.file(name) {
            Some(range) => read_range(&self.path, range, name, limits::MAX_MANIFEST_BYTES).map(Some),
            None => Ok(None),
        }
    }

    /// The layout's own names are the digests; they are verified when content is read.
    fn layout(self, index: &[u8]) -> Result<Inner, Error> {
        let location = format!("archive:{}", self.path.display());
        let roots = Roots::parse(index).map_err(|source| Error::Document { location, source })?.descriptors();
        let blobs = self.files.iter().filter_map(|(name, range)| {
            let (algorithm, hex) = name.strip_prefix("blobs/")?.split_once('/')?;
            Some((format!("{algorithm}:{hex}").parse().ok()?, *range))
        });
        Ok(Inner { blobs: blobs.collect(), made: BTreeMap::new(), roots, path: self.path })
    }

    fn docker_save(self, manifest: &[u8]) -> Result<Inner, Error> {
        let location = || format!("archive:{}", self.path.display());
        let images: Vec<DockerImage> = serde_json::from_slice(manifest).map_err(|e| Error::Document {
            location: location(),
            source: oci::Error::Document { what: "manifest.json", reason: e.to_string() },
        })?;
        let mut inner =
            Inner { path: Arc::clone(&self.path), blobs: BTreeMap::new(), made: BTreeMap::new(), roots: Vec::new() };
        let mut hashed: BTreeMap<u64, Descriptor> = BTreeMap::new();
        for image in images {
            let config = self.hash(&image.config, &mut hashed, &mut inner.blobs)?;
            let config = Descriptor { media_type: media_type::OCI_CONFIG.to_owned(), ..config };
            let layers = image.layers.unwrap_or_default();
            let layers = layers.iter().map(|layer| self.hash(layer, &mut hashed, &mut inner.blobs));
            let manifest = RawManifest::from_image(&ImageManifest {
                schema_version: 2,
                media_type: Some(media_type::OCI_MANIFEST.to_owned()),
                artifact_type: None,
                config,
                layers: layers.collect::<Result<_, _>>()?,
                subject: None,
                annotations: Annotations::new(),
                other: serde_json::Map::new(),
            })?;
            let names = image.repo_tags.unwrap_or_default();
            inner.roots.extend(names.iter().filter_map(|name| named(&manifest, name)));
            if names.is_empty() {
                inner.roots.push(manifest.descriptor());
            }
            inner.made.insert(manifest.digest().clone(), manifest);
        }
        Ok(inner)
    }

    /// Digest and type of a member; each place in the file is read once.
    fn hash(
        &self,
        name: &str,
        hashed: &mut BTreeMap<u64, Descriptor>,
        blobs: &mut BTreeMap<Digest, Range>,
    ) -> Result<Descriptor, Error> {
        let range = self.file(name).ok_or_else(|| Error::NotFound {
            what: name.to_owned(),
            location: format!("archive:{}", self.path.display()),
        })?;
        if let Some(known) = hashed.get(&range.start) {
            return Ok(known.clone());
        }
        let fail = |e| Error::io("read", &self.path, e);
        let mut file = File::open(&self.path).map_err(fail)?;
        file.seek(SeekFrom::Start(range.start)).map_err(fail)?;
        let mut magic = Vec::new();
        let mut content = file.take(range.size);
        content.by_ref().take(4).read_to_end(&mut magic).map_err(fail)?;
        let mut hash = DigestWriter::new(std::io::sink(), Algorithm::Sha256);
        std::io::copy(&mut magic.as_slice().chain(content), &mut hash).map_err(fail)?;
        let (_, digest, size) = hash.finish();
        let media_type = match magic.as_slice() {
            [0x1f, 0x8b, ..] => media_type::OCI_LAYER_GZIP,
            [0x28, 0xb5, 0x2f, 0xfd] => media_type::OCI_LAYER_ZSTD,
            _ => media_type::OCI_LAYER,
        };
        let descriptor = Descriptor::new(media_type, digest.clone(), size);
        blobs.insert(digest, range);
        hashed.insert(range.start, descriptor.clone());
        Ok(descriptor)
    }
}

/// A root with the name that `RepoTags` gives it.
fn named(manifest: &RawManifest, name: &str) -> Option<Descriptor> {
    let reference: Reference = name.parse().ok()?;
    let tag = reference.tag()?;
    let annotations = Annotations::from([
        (REF_NAME.to_owned(), tag.to_string()),
        (CONTAINERD_NAME.to_owned(), reference.to_string()),
    ]);
    Some(Descriptor { annotations, ..manifest.descriptor() })
}

/// A member's name without `.`, empty and `..` components; `..` takes away what stands before it.
fn normal(name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(parent, _)| parent)
}

#[async_trait]
impl Store for ArchiveStore {
    async fn has_blob(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        Ok(self.inner.blobs.get(digest).map(|range| range.size))
    }

    async fn put_blob(&self, _: &Blob) -> Result<Put, Error> {
        Err(self.unsupported())
    }

    async fn get_blob(&self, descriptor: &Descriptor) -> Result<Blob, Error> {
        let range = *self.inner.blobs.get(&descriptor.digest).ok_or_else(|| self.missing(&descriptor.digest))?;
        if range.size != descriptor.size {
            let (digest, expected, location) = (descriptor.digest.clone(), descriptor.size, self.location());
            return Err(Error::SizeMismatch { digest, expected, actual: range.size, location });
        }
        let path = self.inner.path.to_path_buf();
        let source = StoredRange { path, start: range.start, size: range.size, digest: descriptor.digest.clone() };
        let source: Arc<dyn BlobSource> = Arc::new(source);
        Ok(Blob::new(descriptor.clone(), source))
    }

    async fn has_manifest(&self, pointer: &Pointer) -> Result<Option<Descriptor>, Error> {
        self.find(pointer)
    }

    async fn get_manifest(&self, pointer: &Pointer) -> Result<RawManifest, Error> {
        let found = self.find(pointer)?.ok_or_else(|| self.missing(pointer))?;
        self.inner.manifest(&found)?.ok_or_else(|| self.missing(pointer))
    }

    async fn put_manifest(&self, _: &RawManifest) -> Result<Put, Error> {
        Err(self.unsupported())
    }

    async fn tag(&self, _: &Tag, _: &RawManifest) -> Result<Put, Error> {
        Err(self.unsupported())
    }

    async fn tags(&self) -> Result<Vec<Tag>, Error> {
        let mut tags: Vec<Tag> = self.inner.roots.iter().filter_map(roots::tag_of).collect();
        tags.sort();
        tags.dedup();
        Ok(tags)
    }

    async fn referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>, Error> {
        walk::referrers(&self.inner.all(), digest, &|d| self.inner.manifest(d))
    }

    fn location(&self) -> String {
        self.inner.location()
    }
}
