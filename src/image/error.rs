//! What can go wrong when an image is put together.

use crate::oci::{Digest, Platform};

/// Errors of this layer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A document cannot be encoded or is too large.
    #[error(transparent)]
    Oci(#[from] crate::oci::Error),
    /// The layers are not those of the plan.
    #[error("the plan of `{name}` has {planned} layers, but {given} were packed")]
    LayerCount {
        /// The image.
        name: String,
        /// Layers of the plan.
        planned: usize,
        /// Layers given.
        given: usize,
    },
    /// A layer that the wanted format does not know.
    #[error("layer `{layer}` has the media type `{media_type}`, which the format of the image does not have")]
    LayerFormat {
        /// The layer.
        layer: crate::oci::Digest,
        /// Its type.
        media_type: String,
    },
    /// The config names other diff IDs than the layers have.
    #[error("the config of the image for `{0}` does not name the diff IDs of its layers")]
    DiffIds(Platform),
    /// Two images of one index are for one platform, and a client could reach only the first.
    #[error("two images of the index are for platform `{0}`")]
    DuplicatePlatform(Platform),
    /// A layer that no root can be made of.
    #[error("layer `{layer}` cannot be part of a root")]
    Layer {
        /// The layer.
        layer: Digest,
        /// What is wrong with it.
        #[source]
        source: Box<super::root::Fault>,
    },
    /// The observer asked to stop.
    #[error("stopped before it was done")]
    Cancelled,
    /// An index of nothing.
    #[error("an index needs at least one image")]
    EmptyIndex,
}
