//! One root and everything below it.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{Error, Pointer, Store};
use crate::limits;
use crate::oci::{self, Descriptor, Digest, ImageConfig, ImageIndex, ManifestView, Platform, RawManifest, json};

/// The annotation by which buildkit ties an attestation in an index to its image.
const BUILDKIT_SUBJECT: &str = "vnd.docker.reference.digest";

/// Manifests and blobs of one root, in the order in which a store wants them.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    /// The root, which is also the last of `manifests`.
    pub root: RawManifest,
    /// Children before the indexes that list them.
    pub manifests: Vec<RawManifest>,
    /// Every blob once: configs before layers, in the order of the manifests.
    pub blobs: Vec<Descriptor>,
}

impl Tree {
    /// Reads all manifests of a root; with `platforms`, only those of an index that are for one of them.
    ///
    /// # Errors
    /// Those of the store; [`Error::NoPlatform`]; [`Error::IndexTooLarge`].
    pub(super) async fn load(store: &dyn Store, pointer: &Pointer, platforms: &[Platform]) -> Result<Self, Error> {
        let mut root = store.get_manifest(pointer).await?;
        if !platforms.is_empty() {
            root = select(store, root, platforms).await?;
        }
        let (mut images, mut indexes) = (Vec::new(), Vec::new());
        let mut seen: HashSet<Digest> = HashSet::from([root.digest().clone()]);
        let mut level = vec![root.clone()];
        for depth in 0.. {
            let mut below = Vec::new();
            for manifest in level {
                match view(store, &manifest)? {
                    ManifestView::Image(_) => images.push(manifest),
                    ManifestView::Index(index) => {
                        below.extend(index.manifests.into_iter().filter(|child| seen.insert(child.digest.clone())));
                        indexes.push(manifest);
                    }
                }
            }
            if depth > limits::MAX_INDEX_DEPTH || seen.len() > limits::MAX_INDEX_CHILDREN {
                return Err(Error::IndexTooLarge(root.digest().clone()));
            }
            if below.is_empty() {
                break;
            }
            level = Vec::with_capacity(below.len());
            for child in below {
                level.push(store.get_manifest(&Pointer::Digest(child.digest)).await?);
            }
        }
        let blobs = blobs(store, &images)?;
        images.extend(indexes.into_iter().rev());
        Ok(Self { root, manifests: images, blobs })
    }
}

/// The parsed view, with the store's name in the error.
pub(super) fn view(store: &dyn Store, manifest: &RawManifest) -> Result<ManifestView, Error> {
    manifest.view().map_err(|source| Error::Document { location: store.location(), source })
}

fn blobs(store: &dyn Store, images: &[RawManifest]) -> Result<Vec<Descriptor>, Error> {
    let mut seen = HashSet::new();
    let (mut configs, mut layers) = (Vec::new(), Vec::new());
    for manifest in images {
        if let ManifestView::Image(image) = view(store, manifest)? {
            configs.push(image.config);
            layers.extend(image.layers);
        }
    }
    configs.extend(layers);
    configs.retain(|blob| seen.insert(blob.digest.clone()));
    Ok(configs)
}

/// The root for the platforms wanted: the image itself when it is one, the only image of an index that fits as it is, or
/// a smaller index whose entries are those of the old one, unchanged.
async fn select(store: &dyn Store, root: RawManifest, platforms: &[Platform]) -> Result<RawManifest, Error> {
    let index = match view(store, &root)? {
        ManifestView::Image(image) => {
            let config = store.get_blob(&image.config).await?;
            let has = read_platform(&config)?;
            return match platforms.iter().find(|wanted| !same(wanted, &has)) {
                Some(wanted) => Err(no_platform(&root, wanted, vec![has])),
                None => Ok(root),
            };
        }
        ManifestView::Index(index) => index,
    };
    let kept = keep(&root, &index, platforms)?;
    let images: Vec<&Descriptor> = kept.iter().copied().filter(|d| !is_attestation(d)).collect();
    if let [image] = images.as_slice() {
        return store.get_manifest(&Pointer::Digest(image.digest.clone())).await;
    }
    if kept.len() == index.manifests.len() {
        return Ok(root);
    }
    let kept: Vec<&Digest> = kept.iter().map(|d| &d.digest).collect();
    pruned(&root, &kept).map_err(|source| Error::Document { location: store.location(), source })
}

fn keep<'a>(root: &RawManifest, index: &'a ImageIndex, platforms: &[Platform]) -> Result<Vec<&'a Descriptor>, Error> {
    let fits = |d: &Descriptor, wanted: &Platform| d.platform.as_ref().is_some_and(|has| same(wanted, has));
    for wanted in platforms {
        if !index.manifests.iter().any(|d| fits(d, wanted)) {
            let available = index.manifests.iter().filter(|d| !is_attestation(d)).filter_map(|d| d.platform.clone());
            return Err(no_platform(root, wanted, available.collect()));
        }
    }
    let chosen: Vec<&Descriptor> =
        index.manifests.iter().filter(|d| platforms.iter().any(|wanted| fits(d, wanted))).collect();
    let about_chosen = |d: &Descriptor| {
        let subject = d.annotations.get(BUILDKIT_SUBJECT);
        subject.is_some_and(|subject| chosen.iter().any(|c| c.digest.to_string() == *subject))
    };
    Ok(index.manifests.iter().filter(|d| chosen.contains(d) || about_chosen(d)).collect())
}

/// The index with only the `kept` entries; entries keep members that this crate does not know.
fn pruned(root: &RawManifest, kept: &[&Digest]) -> Result<RawManifest, oci::Error> {
    let refuse = |e: serde_json::Error| oci::Error::Document { what: "image index", reason: e.to_string() };
    let mut document: Map<String, Value> = serde_json::from_slice(root.bytes()).map_err(refuse)?;
    if let Some(Value::Array(manifests)) = document.get_mut("manifests") {
        manifests.retain(|entry| {
            let digest = entry.get("digest").and_then(Value::as_str);
            kept.iter().any(|kept| digest == Some(kept.to_string().as_str()))
        });
    }
    RawManifest::new(root.media_type(), json::canonical("image index", &document)?)
}

fn read_platform(config: &crate::blob::Blob) -> Result<Platform, Error> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let read = config.open(0)?.take(limits::MAX_CONFIG_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|e| Error::io("read", std::path::Path::new("image config"), e))?;
    Ok(ImageConfig::parse(&bytes)?.platform)
}

fn same(a: &Platform, b: &Platform) -> bool {
    a.normalized() == b.normalized()
}

fn is_attestation(descriptor: &Descriptor) -> bool {
    descriptor.annotations.contains_key(BUILDKIT_SUBJECT)
}

fn no_platform(root: &RawManifest, wanted: &Platform, available: Vec<Platform>) -> Error {
    Error::NoPlatform { index: root.digest().clone(), platform: Box::new(wanted.clone()), available }
}
