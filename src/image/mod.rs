//! Layer 5: finished images and indexes, and the validator that judges any image.
//!
//! *Invariant:* an [`Image`] is immutable and its raw manifest bytes are the truth; its parts agree with one another.

mod assemble;
mod error;
mod source;
pub mod validate;

pub use crate::oci::rfc3339;
pub use assemble::{AUTHOR, Image, Index};
pub use error::Error;
pub use source::{ImageSource, Unreadable};
