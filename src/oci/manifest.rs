//! Image manifests and indexes (image-spec, manifest.md and image-index.md).

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::{Descriptor, Digest, Error, json, media_type};
use crate::limits;

/// Annotations: sorted, so that their encoding is one.
pub type Annotations = BTreeMap<String, String>;

/// An image manifest, also of an artifact (`artifact_type` set).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// Always 2.
    pub schema_version: u32,
    /// The manifest's own media type; coracle always writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Type of an artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The config blob.
    pub config: Descriptor,
    /// Layers from the bottom up.
    #[serde(deserialize_with = "null_as_default")]
    pub layers: Vec<Descriptor>,
    /// The manifest that this one refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "Annotations::is_empty", deserialize_with = "null_as_default")]
    pub annotations: Annotations,
    /// Members this crate does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// An image index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageIndex {
    /// Always 2.
    pub schema_version: u32,
    /// The index's own media type; coracle always writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Type of an artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The manifests, in the order in which a client tries them.
    #[serde(deserialize_with = "null_as_default")]
    pub manifests: Vec<Descriptor>,
    /// The manifest that this one refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "Annotations::is_empty", deserialize_with = "null_as_default")]
    pub annotations: Annotations,
    /// Members this crate does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Go encoders write `null` for empty lists and maps.
pub(super) fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(d: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

/// Parses a JSON document within a size bound.
pub(super) fn parse_document<T: DeserializeOwned>(what: &'static str, bytes: &[u8], limit: u64) -> Result<T, Error> {
    if bytes.len() as u64 > limit {
        return Err(Error::TooLarge { what, size: bytes.len() as u64, limit });
    }
    serde_json::from_slice(bytes).map_err(|e| Error::Document { what, reason: e.to_string() })
}

impl ImageManifest {
    /// Parses a manifest, at most [`limits::MAX_MANIFEST_BYTES`].
    ///
    /// # Errors
    /// [`Error::TooLarge`] or [`Error::Document`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        parse_document("image manifest", bytes, limits::MAX_MANIFEST_BYTES)
    }
}

impl ImageIndex {
    /// Parses an index, at most [`limits::MAX_MANIFEST_BYTES`].
    ///
    /// # Errors
    /// [`Error::TooLarge`] or [`Error::Document`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        parse_document("image index", bytes, limits::MAX_MANIFEST_BYTES)
    }
}

/// A manifest or index as raw bytes with its type and digest: what stores exchange.
#[derive(Clone, PartialEq, Eq)]
pub struct RawManifest {
    media_type: String,
    bytes: Vec<u8>,
    digest: Digest,
}

impl std::fmt::Debug for RawManifest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RawManifest({} {} {} bytes)", self.media_type, self.digest, self.bytes.len())
    }
}

/// A manifest parsed as what its media type says.
#[derive(Debug, Clone, PartialEq)]
pub enum ManifestView {
    /// One image or artifact.
    Image(ImageManifest),
    /// Several.
    Index(ImageIndex),
}

impl RawManifest {
    /// Wraps foreign bytes; the sha256 digest is computed here. Use [`RawManifest::with_digest`] for other algorithms.
    ///
    /// # Errors
    /// [`Error::TooLarge`] over [`limits::MAX_MANIFEST_BYTES`].
    pub fn new(media_type: &str, bytes: Vec<u8>) -> Result<Self, Error> {
        let digest = Digest::of(&bytes);
        Self::with_digest(media_type, bytes, digest)
    }

    /// Wraps bytes whose digest the caller has verified.
    ///
    /// # Errors
    /// [`Error::TooLarge`] over [`limits::MAX_MANIFEST_BYTES`].
    pub fn with_digest(media_type: &str, bytes: Vec<u8>, digest: Digest) -> Result<Self, Error> {
        let (size, limit) = (bytes.len() as u64, limits::MAX_MANIFEST_BYTES);
        if size > limit {
            return Err(Error::TooLarge { what: "manifest", size, limit });
        }
        Ok(Self { media_type: media_type::essence(media_type), bytes, digest })
    }

    /// Encodes an image manifest canonically.
    ///
    /// # Errors
    /// [`Error::Document`] when an unknown member cannot be encoded.
    pub fn from_image(manifest: &ImageManifest) -> Result<Self, Error> {
        let media_type = manifest.media_type.as_deref().unwrap_or(media_type::OCI_MANIFEST);
        Self::new(media_type, json::canonical("image manifest", manifest)?)
    }

    /// Encodes an index canonically.
    ///
    /// # Errors
    /// [`Error::Document`] when an unknown member cannot be encoded.
    pub fn from_index(index: &ImageIndex) -> Result<Self, Error> {
        let media_type = index.media_type.as_deref().unwrap_or(media_type::OCI_INDEX);
        Self::new(media_type, json::canonical("image index", index)?)
    }

    /// Media type without parameters.
    #[must_use]
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// The bytes that the digest covers.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Digest of the bytes.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Descriptor without platform or annotations.
    #[must_use]
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(&self.media_type, self.digest.clone(), self.bytes.len() as u64)
    }

    /// The parsed view.
    ///
    /// # Errors
    /// [`Error::UnknownManifestType`] for schema 1 and foreign types, [`Error::Document`] for bytes that do not parse.
    pub fn view(&self) -> Result<ManifestView, Error> {
        if media_type::is_manifest(&self.media_type) {
            Ok(ManifestView::Image(ImageManifest::parse(&self.bytes)?))
        } else if media_type::is_index(&self.media_type) {
            Ok(ManifestView::Index(ImageIndex::parse(&self.bytes)?))
        } else {
            Err(Error::UnknownManifestType(self.media_type.clone()))
        }
    }
}
