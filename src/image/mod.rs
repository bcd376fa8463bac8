//! Layer 5: finished images and indexes, the validator that judges any image, and images as roots.
//!
//! *Invariant:* an [`Image`] is immutable and its raw manifest bytes are the truth; its parts agree with one another.

mod artifact;
mod assemble;
mod error;
mod ground;
pub mod root;
mod source;
mod stream;
pub mod validate;

pub use crate::oci::rfc3339;
pub use artifact::{Artifact, PLAN_TYPE};
pub use assemble::{AUTHOR, Image, Index};
pub use error::Error;
pub use ground::{Format, Ground};
pub use root::{ImageRoot, RootLimits};
pub use source::{ImageSource, Unreadable};
