//! Small documents that refer to an image and travel with it (image-spec, manifest.md, "Guidelines for Artifact Usage").

use super::Error;
use crate::blob::Blob;
use crate::oci::{Annotations, Descriptor, ImageManifest, RawManifest, media_type};

/// Artifact type and media type of the text form of a plan (docs/plan.md).
pub const PLAN_TYPE: &str = "application/vnd.coracle.plan.v1+text";

/// A manifest with a `subject`, and its blobs.
#[derive(Debug, Clone)]
pub struct Artifact {
    manifest: RawManifest,
    blobs: Vec<Blob>,
}

impl Artifact {
    /// One document about `subject`. Equal input gives equal bytes.
    ///
    /// # Errors
    /// [`Error::Oci`] when the manifest grows beyond its bound.
    pub fn of(artifact_type: &str, document: Vec<u8>, subject: &Descriptor) -> Result<Self, Error> {
        let config = Blob::from_bytes(media_type::OCI_EMPTY, b"{}".to_vec());
        let document = Blob::from_bytes(artifact_type, document);
        // The subject is named by its content alone: where it lies in an index does not matter.
        let subject = Descriptor::new(&subject.media_type, subject.digest.clone(), subject.size);
        let manifest = RawManifest::from_image(&ImageManifest {
            schema_version: 2,
            media_type: Some(media_type::OCI_MANIFEST.to_owned()),
            artifact_type: Some(artifact_type.to_owned()),
            config: config.descriptor().clone(),
            layers: vec![document.descriptor().clone()],
            subject: Some(subject),
            annotations: Annotations::new(),
            other: serde_json::Map::new(),
        })?;
        Ok(Self { manifest, blobs: vec![config, document] })
    }

    /// The manifest.
    #[must_use]
    pub const fn manifest(&self) -> &RawManifest {
        &self.manifest
    }

    /// The blobs: the empty config, then the document.
    #[must_use]
    pub fn blobs(&self) -> &[Blob] {
        &self.blobs
    }
}
