//! Looking at a finished image: its manifests, configs and the paths of its layers.

use std::collections::BTreeMap;

use super::{Environment, Error, places};
use crate::layer::tar::{TarEntry, TarKind, TarReader};
use crate::layer::{self, LayerReader};
use crate::observe::SharedObserver;
use crate::oci::{
    Algorithm, Descriptor, Digest, DigestWriter, ImageConfig, ImageManifest, ManifestView, Platform, RawManifest,
    media_type,
};
use crate::store::{self, Location, Pointer, Store};

/// An image or index with what it says.
pub struct Seen {
    /// Where it lies.
    pub store: Box<dyn Store>,
    /// The manifest or index.
    pub root: RawManifest,
    /// The images; of an index those that were asked for.
    pub images: Vec<SeenImage>,
}

/// One image.
#[derive(Debug, Clone)]
pub struct SeenImage {
    /// The manifest's bytes.
    pub raw: RawManifest,
    /// The manifest.
    pub manifest: ImageManifest,
    /// The config's bytes.
    pub config_bytes: Vec<u8>,
    /// The config; `None` for artifacts, whose config is something else.
    pub config: Option<ImageConfig>,
}

impl SeenImage {
    /// What it runs on, for people.
    #[must_use]
    pub fn platform(&self) -> String {
        self.config.as_ref().map_or_else(|| "no platform".to_owned(), |config| config.platform.to_string())
    }
}

/// One path of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenPath {
    /// The entry, as the tar has it.
    pub entry: TarEntry,
    /// Digest of a file's content.
    pub digest: Option<Digest>,
}

/// Looks at an image. Of an index, only at the images for `platform` when one is named.
///
/// # Errors
/// Those of the store; [`store::Error::NoPlatform`] within.
pub async fn look(
    location: &Location,
    platform: Option<&Platform>,
    environment: &Environment,
    observer: &SharedObserver,
) -> Result<Seen, Error> {
    let places::Opened { store, pointer } = places::open(location, environment, observer).await?;
    let root = store.get_manifest(&pointer).await?;
    let mut images = Vec::new();
    match view(&*store, &root)? {
        ManifestView::Image(manifest) => images.push(image(&*store, root.clone(), manifest).await?),
        ManifestView::Index(index) => {
            let wanted = platform.map(Platform::normalized);
            let fits = |child: &Descriptor| {
                let own = child.platform.as_ref().map(Platform::normalized);
                wanted.is_none() || own == wanted
            };
            for child in index.manifests.iter().filter(|child| fits(child)) {
                let raw = store.get_manifest(&Pointer::Digest(child.digest.clone())).await?;
                if let ManifestView::Image(manifest) = view(&*store, &raw)? {
                    images.push(image(&*store, raw, manifest).await?);
                }
            }
            if let (Some(platform), true) = (platform, images.is_empty()) {
                let index_digest = root.digest().clone();
                let available = index.manifests.iter().filter_map(|child| child.platform.clone()).collect();
                let platform = Box::new(platform.clone());
                return Err(store::Error::NoPlatform { index: index_digest, platform, available }.into());
            }
        }
    }
    Ok(Seen { store, root, images })
}

fn view(store: &dyn Store, raw: &RawManifest) -> Result<ManifestView, Error> {
    raw.view().map_err(|source| store::Error::Document { location: store.location(), source }.into())
}

async fn image(store: &dyn Store, raw: RawManifest, manifest: ImageManifest) -> Result<SeenImage, Error> {
    let is_config = matches!(manifest.config.media_type.as_str(), media_type::OCI_CONFIG | media_type::DOCKER_CONFIG);
    let config_bytes = document(store, &manifest.config).await?;
    let config = if is_config {
        let parsed = ImageConfig::parse(&config_bytes);
        Some(parsed.map_err(|source| store::Error::Document { location: store.location(), source })?)
    } else {
        None
    };
    Ok(SeenImage { raw, manifest, config_bytes, config })
}

/// A small blob, within the bound of configs.
async fn document(store: &dyn Store, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
    let limit = crate::limits::MAX_CONFIG_BYTES;
    if descriptor.size > limit {
        let source = crate::oci::Error::TooLarge { what: "image config", size: descriptor.size, limit };
        return Err(store::Error::Document { location: store.location(), source }.into());
    }
    bytes(store, descriptor, limit).await
}

/// A blob of at most `limit` bytes.
pub(super) async fn bytes(store: &dyn Store, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, Error> {
    let blob = store.get_blob(descriptor).await?;
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        let mut source = blob.open(0).map_err(store::Error::Blob)?;
        std::io::Read::read_to_end(&mut std::io::Read::take(&mut source, limit), &mut bytes).map(|_| bytes).map_err(
            |source| store::Error::Io { verb: "read", path: blob.file().unwrap_or("a blob".as_ref()).into(), source },
        )
    });
    Ok(read.await??)
}

/// The paths of a layer in the order of its tar. Remote layers are fetched. Contents are hashed when `hash` is set.
///
/// # Errors
/// Those of the store; [`Error::Layer`] and [`Error::Tar`] for layers that cannot be read;
/// [`Error::LayerType`] for those of an unknown kind.
pub async fn paths(store: &dyn Store, layer: &Descriptor, hash: bool) -> Result<Vec<SeenPath>, Error> {
    let compression = media_type::layer_compression(&layer.media_type)
        .ok_or_else(|| Error::LayerType { digest: layer.digest.clone(), media_type: layer.media_type.clone() })?;
    let blob = store.get_blob(layer).await?;
    tokio::task::spawn_blocking(move || {
        let source = blob.open(0).map_err(store::Error::Blob)?;
        let mut reader = TarReader::new(LayerReader::open(compression, source)?);
        let mut paths = Vec::new();
        while let Some(entry) = reader.next_entry()? {
            let digest = if hash && entry.kind == TarKind::File {
                let mut sink = DigestWriter::new(std::io::sink(), Algorithm::Sha256);
                std::io::copy(&mut reader.content(), &mut sink)
                    .map_err(|source| layer::Error::Decode { codec: "tar", source })?;
                Some(sink.finish().1)
            } else {
                None
            };
            paths.push(SeenPath { entry, digest });
        }
        Ok(paths)
    })
    .await?
}

/// The paths of all layers, each as the topmost layer has it, by name. Whiteouts stay as they are.
///
/// # Errors
/// As [`paths`].
pub async fn all_paths(store: &dyn Store, image: &SeenImage) -> Result<BTreeMap<Vec<u8>, SeenPath>, Error> {
    let mut all = BTreeMap::new();
    for layer in &image.manifest.layers {
        for path in paths(store, layer, true).await? {
            let name = path.entry.path.strip_suffix(b"/").unwrap_or(&path.entry.path).to_vec();
            all.insert(name, path);
        }
    }
    Ok(all)
}
