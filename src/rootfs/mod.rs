//! Layer 1: file trees in which things are looked up.
//!
//! *Invariant:* only regular files are opened, and nothing is ever written or executed.

mod error;
mod host;
pub mod walk;

pub use error::Error;
pub use host::HostFile;
