//! Where the validator reads an image from.

use std::io::Read;

use crate::oci::{Descriptor, Digest, RawManifest};

/// Gives the parts of an image synchronously. Implemented by stores, which spool remote blobs to files first.
pub trait ImageSource {
    /// The manifest or index of this digest and type. Its bytes need not have the digest; the caller checks.
    ///
    /// # Errors
    /// [`Unreadable`] with the reason.
    fn manifest(&self, descriptor: &Descriptor) -> Result<RawManifest, Unreadable>;

    /// Opens a blob. Its bytes need not have the digest; the caller checks.
    ///
    /// # Errors
    /// [`Unreadable`] with the reason.
    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, Unreadable>;
}

/// Why a part of an image cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// It is not there.
    #[error("it is not there")]
    Missing,
    /// The source has verified it already, and found other bytes.
    #[error("its bytes have digest `{0}`")]
    OtherDigest(Digest),
    /// The source has verified it already, and found another size.
    #[error("it has {0} bytes")]
    OtherSize(u64),
    /// It is larger than the bound for documents.
    #[error(transparent)]
    Document(#[from] crate::oci::Error),
    /// Reading failed.
    #[error("it cannot be read")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}
