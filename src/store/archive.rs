//! The one archive that every tool loads: an OCI layout in a tar that also has docker's `manifest.json`.
//!
//! USTAR, members sorted, times zero, so that equal images give equal archives. `docker load` of any version follows
//! `manifest.json`; containerd and podman follow `index.json`, where each name has its own descriptor, because an
//! annotation holds one name (image-spec issue 796).

use std::collections::BTreeMap;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use super::file::{self, Destination, VerifyingReader};
use super::roots::{CONTAINERD_NAME, PLANS, REF_NAME, Roots};
use super::tree::Tree;
use super::{Error, Pointer, Store, copy, layout};
use crate::blob::Blob;
use crate::observe::{Event, SharedObserver, silent};
use crate::oci::{
    Annotations, Descriptor, Digest, ManifestView, Platform, RawManifest, Reference, Tag, json, media_type,
};

/// Largest size that an octal field of a USTAR header holds, plus one.
const USTAR_SIZES: u64 = 8 << 30;

/// Blobs that are fetched at a time.
pub(super) const FETCHES: usize = 4;

/// How an archive is made.
#[derive(Clone)]
pub struct ArchiveOptions {
    /// Full names of the image; a name without tag gets `latest`. None: the archive loads as an image without name.
    pub names: Vec<Reference>,
    /// Of an index, only the images for these; all when empty.
    pub platforms: Vec<Platform>,
    /// The image of an index that `manifest.json` names, for dockers that load only one. `linux/amd64`, else the first,
    /// when this is `None` or not there: the same archive on every machine.
    pub docker_platform: Option<Platform>,
    /// Whether the plans of the images are in it too, where they can be had.
    pub plans: bool,
    /// Who watches.
    pub observer: SharedObserver,
}

impl Default for ArchiveOptions {
    fn default() -> Self {
        Self { names: Vec::new(), platforms: Vec::new(), docker_platform: None, plans: false, observer: silent() }
    }
}

/// An archive that is ready to be written, any number of times: all its blobs are at hand.
#[derive(Clone)]
pub struct Archive {
    members: BTreeMap<String, Blob>,
    root: RawManifest,
    loaded: Option<Descriptor>,
    observer: SharedObserver,
}

impl Archive {
    /// Gathers an image or index; remote blobs are fetched here.
    ///
    /// # Errors
    /// Those of the store; [`Error::ZstdNotLoadable`]; [`Error::NoPlatform`].
    pub async fn prepare(from: &dyn Store, pointer: &Pointer, options: &ArchiveOptions) -> Result<Self, Error> {
        let tree = Tree::load(from, pointer, &options.platforms).await?;
        if let Some(layer) = tree.blobs.iter().find(|blob| is_zstd(&blob.media_type)) {
            return Err(Error::ZstdNotLoadable(layer.digest.clone()));
        }
        let fetch = |descriptor: Descriptor| async move {
            if options.observer.cancelled() {
                return Err(Error::Cancelled);
            }
            Ok((blob_name(&descriptor.digest), from.get_blob(&descriptor).await?))
        };
        let plans = match options.plans.then_some(copy::plans(from, &tree)) {
            Some(plans) => plans.await.unwrap_or_default(),
            None => Vec::new(),
        };
        let blobs = tree.blobs.iter().chain(plans.iter().flat_map(|plan| &plan.blobs));
        let blobs: BTreeMap<&Digest, &Descriptor> = blobs.map(|blob| (&blob.digest, blob)).collect();
        let fetches: Vec<_> = blobs.into_values().cloned().map(fetch).collect();
        let fetched = stream::iter(fetches).buffer_unordered(FETCHES);
        let mut members: BTreeMap<String, Blob> = fetched.try_collect().await?;
        for manifest in tree.manifests.iter().chain(plans.iter().flat_map(|plan| &plan.manifests)) {
            let blob = Blob::from_bytes(manifest.media_type(), manifest.bytes().to_vec());
            members.insert(blob_name(manifest.digest()), blob.with_descriptor(manifest.descriptor()));
        }
        let loaded = choose(&tree, options.docker_platform.as_ref());
        let mut small =
            |name: &str, bytes| members.insert(name.to_owned(), Blob::from_bytes("application/json", bytes));
        small("oci-layout", layout::LAYOUT_FILE.to_vec());
        small("index.json", index(&tree.root, &options.names, &plans)?);
        if let Some(image) = &loaded {
            small("manifest.json", docker_manifest(&tree, image, &options.names)?);
        }
        let loaded = loaded.and_then(|image| config_of(&tree, &image));
        Ok(Self { members, root: tree.root, loaded, observer: options.observer.clone() })
    }

    /// The root that the archive holds.
    #[must_use]
    pub const fn root(&self) -> &RawManifest {
        &self.root
    }

    /// The config of the image that `manifest.json` names: its digest is the image's id for docker.
    #[must_use]
    pub const fn docker_config(&self) -> Option<&Descriptor> {
        self.loaded.as_ref()
    }

    /// Writes the tar, verifying every blob on the way. Blocks.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::DigestMismatch`], [`Error::SizeMismatch`], [`Error::Cancelled`]; what was written is then
    /// not an archive.
    pub fn write_to(&self, to: &mut dyn Write, target: &Path) -> Result<(), Error> {
        let mut tar = tar::Builder::new(to);
        for directory in self.directories() {
            let mut header = header(0o755, 0);
            header.set_entry_type(tar::EntryType::Directory);
            tar.append_data(&mut header, directory, std::io::empty()).map_err(|e| Error::io("write", target, e))?;
        }
        for (name, blob) in &self.members {
            if self.observer.cancelled() {
                return Err(Error::Cancelled);
            }
            append(&mut tar, name, blob, target)?;
            let size = blob.descriptor().size;
            self.observer.event(Event::Advance { id: "archive", bytes: size });
        }
        tar.finish().map_err(|e| Error::io("write", target, e))
    }

    /// Writes the archive under `path`: a file whole or not at all; a device or pipe is written to.
    ///
    /// # Errors
    /// As [`Archive::write_to`].
    pub async fn write_file(&self, path: &Path) -> Result<(), Error> {
        let (archive, path) = (self.clone(), path.to_owned());
        layout::blocking(move || {
            let total = archive.members.values().map(|blob| blob.descriptor().size).sum();
            archive.observer.event(Event::Begin { id: "archive", verb: "writing", total: Some(total) });
            match file::destination(&path).map_err(|e| Error::io("write", &path, e))? {
                Destination::Existing(file) => archive.write_through(file, &path).map(drop)?,
                Destination::Replace(place) => {
                    let temporary = archive.write_through(file::temporary_beside(&place)?, &path)?;
                    temporary.as_file().sync_all().map_err(|e| Error::io("write", &path, e))?;
                    file::persist(temporary, &place)?;
                }
            }
            archive.observer.event(Event::End { id: "archive", note: "" });
            Ok(())
        })
        .await
    }

    /// Writes the tar in large pieces and gives back what was written to.
    fn write_through<W: Write>(&self, to: W, target: &Path) -> Result<W, Error> {
        let mut out = BufWriter::with_capacity(1 << 20, to);
        self.write_to(&mut out, target)?;
        out.into_inner().map_err(|e| Error::io("write", target, e.into_error()))
    }

    /// `blobs/` and one directory per algorithm: all sort before the other members.
    fn directories(&self) -> Vec<String> {
        let algorithms = self.members.keys().filter_map(|name| name.rsplit_once('/').map(|(dir, _)| format!("{dir}/")));
        let mut directories: Vec<String> = std::iter::once("blobs/".to_owned()).chain(algorithms).collect();
        directories.dedup();
        directories
    }
}

/// Whether a layer is compressed in a way that old dockers cannot read.
fn is_zstd(media_type: &str) -> bool {
    media_type::layer_compression(media_type) == Some(media_type::Compression::Zstd)
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

fn header(mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

fn append(tar: &mut tar::Builder<&mut dyn Write>, name: &str, blob: &Blob, target: &Path) -> Result<(), Error> {
    let fail = |e| Error::io("write", target, e);
    let descriptor = blob.descriptor();
    let mut header = header(0o644, descriptor.size);
    // What USTAR cannot hold goes into a pax header: the hex of a sha512 digest, and sizes from 8 GiB.
    let size = descriptor.size.to_string();
    let mut extensions: Vec<(&str, &[u8])> = Vec::new();
    if header.set_path(name).is_err() {
        header.set_path("blobs/long").map_err(fail)?;
        extensions.push(("path", name.as_bytes()));
    }
    if descriptor.size >= USTAR_SIZES {
        header.set_size(0);
        extensions.push(("size", size.as_bytes()));
    }
    if !extensions.is_empty() {
        tar.append_pax_extensions(extensions).map_err(fail)?;
    }
    header.set_cksum();
    let inner = VerifyingReader::new(blob.open(0)?, &descriptor.digest);
    let mut content = Counted { inner, count: 0, failed: false };
    let copied = tar.append(&header, (&mut content).take(descriptor.size + 1));
    if content.count != descriptor.size && (copied.is_ok() || content.count > descriptor.size) {
        let (digest, expected, actual) = (descriptor.digest.clone(), descriptor.size, content.count);
        return Err(Error::SizeMismatch { digest, expected, actual, location: "its source".to_owned() });
    }
    if let Err(error) = copied {
        // One error for both ends: which of them it was decides whose turn it is.
        return Err(if content.failed {
            file::read_failed(error, descriptor, target, &|| "its source".to_owned())
        } else {
            fail(error)
        });
    }
    content.inner.check().map_err(|e| file::read_failed(e, descriptor, target, &|| "its source".to_owned()))
}

/// Counts what is read, and knows when reading failed.
struct Counted<R> {
    inner: R,
    count: u64,
    failed: bool,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buf).inspect_err(|_| self.failed = true)?;
        self.count += n as u64;
        Ok(n)
    }
}

/// The `index.json`: one descriptor per name, each with the digests of the plans.
fn index(root: &RawManifest, names: &[Reference], plans: &[Tree]) -> Result<Vec<u8>, Error> {
    let mut roots = Roots::empty();
    let digests: Vec<String> = plans.iter().map(|plan| plan.root.digest().to_string()).collect();
    let about = || (!digests.is_empty()).then(|| (PLANS.to_owned(), digests.join(",")));
    if names.is_empty() {
        roots.push(&Descriptor { annotations: about().into_iter().collect(), ..root.descriptor() })?;
    }
    for name in names {
        let named = tagged(name);
        let mut annotations = Annotations::from([(CONTAINERD_NAME.to_owned(), named.to_string())]);
        annotations.extend(named.tag().map(|tag| (REF_NAME.to_owned(), tag.to_string())));
        annotations.extend(about());
        roots.push(&Descriptor { annotations, ..root.descriptor() })?;
    }
    Ok(roots.to_bytes()?)
}

/// A name for a loader: with a tag, without digest.
fn tagged(name: &Reference) -> Reference {
    name.with_tag(name.tag().cloned().unwrap_or_else(Tag::latest))
}

/// One element of docker's `manifest.json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

fn docker_manifest(tree: &Tree, image: &Digest, names: &[Reference]) -> Result<Vec<u8>, Error> {
    let images: Vec<DockerImage> = tree
        .manifests
        .iter()
        .filter(|manifest| manifest.digest() == image)
        .filter_map(|manifest| match manifest.view() {
            Ok(ManifestView::Image(image)) => Some(DockerImage {
                config: blob_name(&image.config.digest),
                repo_tags: names.iter().map(|name| tagged(name).to_string()).collect(),
                layers: image.layers.iter().map(|layer| blob_name(&layer.digest)).collect(),
            }),
            _ => None,
        })
        .collect();
    Ok(json::canonical("docker manifest", &images)?)
}

/// The one image that `manifest.json` names: with two under one name, dockers keep the last and leave the rest nameless.
fn choose(tree: &Tree, wanted: Option<&Platform>) -> Option<Digest> {
    let is_image = |digest: &Digest| config_of(tree, digest).is_some_and(|config| is_image_config(&config.media_type));
    if let Ok(ManifestView::Index(index)) = tree.root.view() {
        let amd64 = Platform::linux("amd64");
        for platform in wanted.into_iter().chain(std::iter::once(&amd64)) {
            let fits = |d: &&Descriptor| d.platform.as_ref().is_some_and(|p| p.normalized() == platform.normalized());
            if let Some(found) = index.manifests.iter().filter(fits).find(|d| is_image(&d.digest)) {
                return Some(found.digest.clone());
            }
        }
    }
    tree.manifests.iter().map(RawManifest::digest).find(|digest| is_image(digest)).cloned()
}

fn config_of(tree: &Tree, image: &Digest) -> Option<Descriptor> {
    match tree.manifests.iter().find(|manifest| manifest.digest() == image)?.view().ok()? {
        ManifestView::Image(image) => Some(image.config),
        ManifestView::Index(_) => None,
    }
}

fn is_image_config(media_type: &str) -> bool {
    matches!(media_type, media_type::OCI_CONFIG | media_type::DOCKER_CONFIG)
}
