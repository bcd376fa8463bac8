//! From a plan and its packed layers to an image, and from images to an index.

use super::{Error, Format, Ground, rfc3339};
use crate::blob::{Blob, Layer};
use crate::oci::{
    Annotations, Descriptor, History, ImageConfig, ImageIndex, ImageManifest, Platform, RawManifest, RootFs, media_type,
};
use crate::plan::Plan;

/// What stands as author in configs and their history.
pub const AUTHOR: &str = "coracle";

/// What stands as the command that made a layer. The real command line would carry host paths into the digest.
const CREATED_BY: &str = "coracle build";

/// A finished image of one platform.
#[derive(Debug, Clone)]
pub struct Image {
    manifest: RawManifest,
    config: Blob,
    layers: Vec<Layer>,
    platform: Platform,
}

impl Image {
    /// Puts an image together: canonical config and manifest, a pure function of the plan and the layers' digests.
    ///
    /// # Errors
    /// [`Error::LayerCount`] when `layers` are not one per layer of the plan; [`Error::Oci`] when a document grows
    /// beyond its bound.
    pub fn assemble(plan: &Plan, layers: Vec<Layer>) -> Result<Self, Error> {
        Self::assemble_on(plan, None, layers, Format::Oci)
    }

    /// As [`Image::assemble`], on the layers of a base: its config stays whole but for what the plan says, the time, and the
    /// author. Layers are described by the types of `format`; their bytes and digests stay.
    ///
    /// # Errors
    /// As [`Image::assemble`]; [`Error::LayerFormat`] for a layer that the format cannot have.
    pub fn assemble_on(
        plan: &Plan,
        ground: Option<&Ground>,
        layers: Vec<Layer>,
        format: Format,
    ) -> Result<Self, Error> {
        if layers.len() != plan.layers.len() {
            let (planned, given) = (plan.layers.len(), layers.len());
            return Err(Error::LayerCount { name: plan.name.clone(), planned, given });
        }
        let created = rfc3339(plan.created);
        let history = plan.layers.iter().map(|layer| History {
            created: Some(created.clone()),
            created_by: Some(CREATED_BY.to_owned()),
            author: Some(AUTHOR.to_owned()),
            comment: Some(layer.name.clone()),
            ..History::default()
        });
        let (below, old, other) = match ground {
            Some(Ground { config, layers }) => (layers.clone(), config.history.clone(), config.other.clone()),
            None => (Vec::new(), Vec::new(), serde_json::Map::new()),
        };
        let history = old.into_iter().chain(history).collect();
        let layers: Vec<Layer> = below.into_iter().chain(layers).collect();
        let config = ImageConfig {
            created: Some(created.clone()),
            author: Some(AUTHOR.to_owned()),
            platform: plan.platform.clone(),
            config: Some(plan.config.clone()),
            rootfs: RootFs::layers(layers.iter().map(|layer| layer.diff_id.clone()).collect()),
            history,
            other,
        };
        Self::from_parts_in(&config, layers, plan.annotations.clone(), format)
    }

    /// An image of a given config (for example one grown from a base image's) and its layers from the bottom up.
    ///
    /// # Errors
    /// [`Error::DiffIds`] when the config does not name the layers' diff IDs; [`Error::Oci`] as above.
    pub fn from_parts(config: &ImageConfig, layers: Vec<Layer>, annotations: Annotations) -> Result<Self, Error> {
        Self::from_parts_in(config, layers, annotations, Format::Oci)
    }

    /// The same in a format. Docker's has no annotations.
    ///
    /// # Errors
    /// As [`Image::from_parts`]; [`Error::LayerFormat`].
    pub fn from_parts_in(
        config: &ImageConfig,
        layers: Vec<Layer>,
        annotations: Annotations,
        format: Format,
    ) -> Result<Self, Error> {
        let agree = config.rootfs.diff_ids.iter().eq(layers.iter().map(|layer| &layer.diff_id));
        if !agree {
            return Err(Error::DiffIds(config.platform.clone()));
        }
        let platform = config.platform.clone();
        let config = Blob::from_bytes(format.config(), config.to_bytes()?);
        let layers = layers.into_iter().map(|layer| described(layer, format)).collect::<Result<Vec<_>, _>>()?;
        let manifest = RawManifest::from_image(&ImageManifest {
            schema_version: 2,
            media_type: Some(format.manifest().to_owned()),
            artifact_type: None,
            config: config.descriptor().clone(),
            layers: layers.iter().map(|layer| layer.blob.descriptor().clone()).collect(),
            subject: None,
            annotations: if format == Format::Docker { Annotations::new() } else { annotations },
            other: serde_json::Map::new(),
        })?;
        Ok(Self { manifest, config, layers, platform })
    }

    /// The manifest.
    #[must_use]
    pub const fn manifest(&self) -> &RawManifest {
        &self.manifest
    }

    /// The config.
    #[must_use]
    pub const fn config(&self) -> &Blob {
        &self.config
    }

    /// The layers from the bottom up.
    #[must_use]
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// What it runs on.
    #[must_use]
    pub const fn platform(&self) -> &Platform {
        &self.platform
    }

    /// All blobs: the config, then the layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Blob> {
        std::iter::once(&self.config).chain(self.layers.iter().map(|layer| &layer.blob))
    }

    /// The manifest's descriptor with the platform, as an index lists it.
    #[must_use]
    pub fn descriptor(&self) -> Descriptor {
        Descriptor { platform: Some(self.platform.clone()), ..self.manifest.descriptor() }
    }
}

/// A finished index of images for several platforms.
#[derive(Debug, Clone)]
pub struct Index {
    manifest: RawManifest,
    images: Vec<Image>,
}

impl Index {
    /// Puts an index together, sorted by platform (os, architecture, variant), whatever the order of `images`.
    ///
    /// # Errors
    /// [`Error::EmptyIndex`], [`Error::DuplicatePlatform`], or [`Error::Oci`] when the index grows beyond its bound.
    pub fn assemble(mut images: Vec<Image>, annotations: Annotations) -> Result<Self, Error> {
        if images.is_empty() {
            return Err(Error::EmptyIndex);
        }
        images.sort_by_key(|image| order(&image.platform));
        if let Some(pair) =
            images.windows(2).find(|pair| pair[0].platform.normalized() == pair[1].platform.normalized())
        {
            return Err(Error::DuplicatePlatform(pair[0].platform.clone()));
        }
        let docker = images.iter().all(|image| image.manifest.media_type() == media_type::DOCKER_MANIFEST);
        let format = if docker { Format::Docker } else { Format::Oci };
        let manifest = RawManifest::from_index(&ImageIndex {
            schema_version: 2,
            media_type: Some(format.index().to_owned()),
            artifact_type: None,
            manifests: images.iter().map(Image::descriptor).collect(),
            subject: None,
            annotations: if docker { Annotations::new() } else { annotations },
            other: serde_json::Map::new(),
        })?;
        Ok(Self { manifest, images })
    }

    /// The index document.
    #[must_use]
    pub const fn manifest(&self) -> &RawManifest {
        &self.manifest
    }

    /// Its images, in the index's order.
    #[must_use]
    pub fn images(&self) -> &[Image] {
        &self.images
    }
}

/// A layer with the type that it has in a format.
fn described(layer: Layer, format: Format) -> Result<Layer, Error> {
    let descriptor = layer.blob.descriptor();
    let refuse = || Error::LayerFormat { layer: descriptor.digest.clone(), media_type: descriptor.media_type.clone() };
    let kind = format.layer(&descriptor.media_type).ok_or_else(refuse)?;
    if kind == descriptor.media_type {
        return Ok(layer);
    }
    let descriptor = Descriptor { media_type: kind.to_owned(), ..descriptor.clone() };
    Ok(Layer { blob: layer.blob.with_descriptor(descriptor), diff_id: layer.diff_id })
}

/// Compares the normal forms, so that spellings of one platform become neighbours.
fn order(platform: &Platform) -> (String, String, Option<String>) {
    let normal = platform.normalized();
    (normal.os, normal.architecture, normal.variant)
}
