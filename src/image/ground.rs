//! What an image stands on: the config and layers of a base, and the family of media types.

use crate::blob::Layer;
use crate::oci::{ImageConfig, media_type};

/// The documents that an image is described by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// OCI manifests and indexes.
    #[default]
    Oci,
    /// Docker's schema 2 and manifest lists, for what reads nothing else. They have no annotations and no zstd.
    Docker,
}

/// A base's config, and its layers from the bottom up.
#[derive(Debug, Clone)]
pub struct Ground {
    /// The config, with all its members.
    pub config: ImageConfig,
    /// Its layers.
    pub layers: Vec<Layer>,
}

impl Format {
    /// The type of manifests.
    #[must_use]
    pub const fn manifest(self) -> &'static str {
        match self {
            Self::Oci => media_type::OCI_MANIFEST,
            Self::Docker => media_type::DOCKER_MANIFEST,
        }
    }

    /// The type of indexes.
    #[must_use]
    pub const fn index(self) -> &'static str {
        match self {
            Self::Oci => media_type::OCI_INDEX,
            Self::Docker => media_type::DOCKER_MANIFEST_LIST,
        }
    }

    /// The type of configs.
    #[must_use]
    pub const fn config(self) -> &'static str {
        match self {
            Self::Oci => media_type::OCI_CONFIG,
            Self::Docker => media_type::DOCKER_CONFIG,
        }
    }

    /// The type of a layer that has another family's: the bytes are the same. `None` when this family has no such layer.
    #[must_use]
    pub fn layer(self, kind: &str) -> Option<&'static str> {
        use media_type::Compression;
        match (media_type::layer_compression(kind)?, self) {
            (Compression::None, Self::Oci) => Some(media_type::OCI_LAYER),
            (Compression::Gzip, Self::Oci) => Some(media_type::OCI_LAYER_GZIP),
            (Compression::Zstd, Self::Oci) => Some(media_type::OCI_LAYER_ZSTD),
            (Compression::None, Self::Docker) => Some(media_type::DOCKER_LAYER),
            (Compression::Gzip, Self::Docker) => Some(media_type::DOCKER_LAYER_GZIP),
            (Compression::Zstd, Self::Docker) => None,
        }
    }
}
