//! Layer 0: the vocabulary of the OCI image-spec and distribution-spec.
//!
//! Values only: no file, no socket, no clock. Raw manifest bytes are the truth and every parsed view derives from
//! them, so unknown fields survive a copy untouched.

mod config;
mod descriptor;
mod digest;
mod error;
pub mod json;
mod manifest;
pub mod media_type;
mod path;
mod platform;
mod redact;
mod reference;
mod time;

pub use config::{ContainerConfig, History, ImageConfig, RootFs, Set};
pub use descriptor::Descriptor;
pub use digest::{Algorithm, DiffId, Digest, DigestWriter, Hasher};
pub use error::Error;
pub use manifest::{Annotations, ImageIndex, ImageManifest, ManifestView, RawManifest};
pub use path::ImagePath;
pub use platform::Platform;
pub use redact::{RedactedUrl, Secret, in_one_line, without_user_info};
pub use reference::{Reference, Tag};
pub use time::rfc3339;
