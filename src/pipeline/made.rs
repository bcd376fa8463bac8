//! A finished image or index, also as a store to read from, for what takes a whole image at once.

use async_trait::async_trait;

use super::Error;
use crate::blob::Blob;
use crate::image::{Artifact, Image, Index};
use crate::oci::{Annotations, Descriptor, Digest, RawManifest, Tag};
use crate::store::{self, Pointer, Put, Store};

/// What was put together, and the artifacts about it.
#[derive(Debug)]
pub(super) struct Made {
    pub content: Content,
    artifacts: Vec<Artifact>,
}

/// What was put together.
#[derive(Debug)]
pub(super) enum Content {
    /// One platform.
    Image(Box<Image>),
    /// Several.
    Index(Index),
}

impl Made {
    /// One image as it is, several as an index with these annotations.
    pub fn of(images: Vec<Image>, annotations: Annotations, artifacts: Vec<Artifact>) -> Result<Self, Error> {
        let content = match <[Image; 1]>::try_from(images) {
            Ok([image]) => Content::Image(Box::new(image)),
            Err(images) => Content::Index(Index::assemble(images, annotations)?),
        };
        Ok(Self { content, artifacts })
    }

    /// The artifacts about the images.
    pub fn artifacts(&self) -> &[Artifact] {
        &self.artifacts
    }

    /// The images, in the index's order.
    pub fn images(&self) -> &[Image] {
        match &self.content {
            Content::Image(image) => std::slice::from_ref(image),
            Content::Index(index) => index.images(),
        }
    }

    /// The manifest or index that stands for all.
    pub fn root(&self) -> &RawManifest {
        match &self.content {
            Content::Image(image) => image.manifest(),
            Content::Index(index) => index.manifest(),
        }
    }

    fn manifest(&self, pointer: &Pointer) -> Option<&RawManifest> {
        let Pointer::Digest(digest) = pointer else { return None };
        let images = self.images().iter().map(Image::manifest);
        let artifacts = self.artifacts.iter().map(Artifact::manifest);
        images.chain([self.root()]).chain(artifacts).find(|manifest| manifest.digest() == digest)
    }

    fn blob(&self, digest: &Digest) -> Option<&Blob> {
        let artifacts = self.artifacts.iter().flat_map(Artifact::blobs);
        self.images().iter().flat_map(Image::blobs).chain(artifacts).find(|blob| blob.descriptor().digest == *digest)
    }

    fn missing(&self, what: &dyn std::fmt::Display) -> store::Error {
        store::Error::NotFound { what: what.to_string(), location: self.location() }
    }

    fn unsupported<T>(&self) -> Result<T, store::Error> {
        Err(store::Error::Unsupported { what: "be changed", location: self.location() })
    }
}

#[async_trait]
impl Store for Made {
    async fn has_blob(&self, digest: &Digest) -> Result<Option<u64>, store::Error> {
        Ok(self.blob(digest).map(|blob| blob.descriptor().size))
    }

    async fn put_blob(&self, _: &Blob) -> Result<Put, store::Error> {
        self.unsupported()
    }

    async fn get_blob(&self, descriptor: &Descriptor) -> Result<Blob, store::Error> {
        self.blob(&descriptor.digest).cloned().ok_or_else(|| self.missing(&descriptor.digest))
    }

    async fn has_manifest(&self, pointer: &Pointer) -> Result<Option<Descriptor>, store::Error> {
        Ok(self.manifest(pointer).map(RawManifest::descriptor))
    }

    async fn get_manifest(&self, pointer: &Pointer) -> Result<RawManifest, store::Error> {
        self.manifest(pointer).cloned().ok_or_else(|| self.missing(pointer))
    }

    async fn put_manifest(&self, _: &RawManifest) -> Result<Put, store::Error> {
        self.unsupported()
    }

    async fn tag(&self, _: &Tag, _: &RawManifest) -> Result<Put, store::Error> {
        self.unsupported()
    }

    async fn tags(&self) -> Result<Vec<Tag>, store::Error> {
        Ok(Vec::new())
    }

    async fn referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>, store::Error> {
        Ok(self.artifacts.iter().filter_map(|artifact| store::referrer(artifact.manifest(), digest)).collect())
    }

    fn location(&self) -> String {
        "the finished image".to_owned()
    }
}
