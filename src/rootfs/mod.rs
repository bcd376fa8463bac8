//! Layer 1: file trees in which things are looked up.
//!
//! *Invariant:* only regular files are opened, and nothing is ever written or executed.

mod dir;
mod error;
mod host;
mod identity;
mod layered;
mod linked;
mod memory;
mod overlay;
pub mod packages;
mod root;
mod root_error;
pub mod walk;

pub use dir::DirRoot;
pub use error::Error;
pub use host::HostFile;
pub use identity::Identity;
pub use layered::Layered;
pub use linked::Linked;
pub use memory::MemoryRoot;
pub use overlay::Overlay;
pub(crate) use root::resolve_new;
pub use root::{Node, OpenFile, Resolved, Root, read_whole, resolve};
pub use root_error::RootError;
