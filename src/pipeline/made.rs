//! A finished image or index, also as a store to read from, for what takes a whole image at once.

use async_trait::async_trait;

use super::Error;
use crate::blob::Blob;
use crate::image::{Image, Index};
use crate::oci::{Annotations, Descriptor, Digest, RawManifest, Tag};
use crate::store::{self, Pointer, Put, Store};

/// What was put together.
#[derive(Debug)]
pub(super) enum Made {
    /// One platform.
    Image(Box<Image>),
    /// Several.
    Index(Index),
}

impl Made {
    /// One image as it is, several as an index with these annotations.
    pub fn of(images: Vec<Image>, annotations: Annotations) -> Result<Self, Error> {
        match <[Image; 1]>::try_from(images) {
            Ok([image]) => Ok(Self::Image(Box::new(image))),
            Err(images) => Ok(Self::Index(Index::assemble(images, annotations)?)),
        }
    }

    /// The images, in the index's order.
    pub fn images(&self) -> &[Image] {
        match self {
            Self::Image(image) => std::slice::from_ref(image),
            Self::Index(index) => index.images(),
        }
    }

    /// The manifest or index that stands for all.
    pub const fn root(&self) -> &RawManifest {
        match self {
            Self::Image(image) => image.manifest(),
            Self::Index(index) => index.manifest(),
        }
    }

    fn manifest(&self, pointer: &Pointer) -> Option<&RawManifest> {
        let Pointer::Digest(digest) = pointer else { return None };
        let images = self.images().iter().map(Image::manifest);
        images.chain([self.root()]).find(|manifest| manifest.digest() == digest)
    }

    fn blob(&self, digest: &Digest) -> Option<&Blob> {
        self.images().iter().flat_map(Image::blobs).find(|blob| blob.descriptor().digest == *digest)
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

    async fn referrers(&self, _: &Digest) -> Result<Vec<Descriptor>, store::Error> {
        Ok(Vec::new())
    }

    fn location(&self) -> String {
        "the finished image".to_owned()
    }
}
