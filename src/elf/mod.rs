//! Layer 1: what one ELF file says about itself. Bytes in, facts out.
//!
//! Read as Linux and its loaders read: the header, the program headers, and the dynamic section through the loaded
//! segments. Section headers are best effort and never decide anything that matters at run time.
//!
//! *Invariant:* no input makes a parser panic, and none makes it read or keep more than `limits` allows.

mod arm;
mod bytes;
mod code;
mod dlopen;
mod dynamic;
mod error;
mod facts;
mod fortify;
mod go;
mod hardening;
mod header;
mod kind;
mod machine;
mod name;
mod notes;
mod outline;
mod protection;
mod schema;
mod sections;
mod segments;
mod symbols;
mod toolchain;
mod versions;
mod view;

pub use arm::{ArmFacts, FloatAbi};
pub use bytes::Bytes;
pub use code::{Canary, CodeHardening, Fortify, Presence};
pub use dlopen::{DlopenNote, Priority, dlopen_notes};
pub use dynamic::{Dynamic, Load};
pub use error::Error;
pub use facts::{ElfFacts, Linkage, ObjectType, OsAbi};
pub use go::{GoBuild, GoModule};
pub use hardening::{Hardening, Relro};
pub use kind::{FileKind, classify};
pub use machine::{Class, Endian, Machine};
pub use name::Name;
pub use notes::{AbiTag, Notes, Properties};
pub use outline::{LoadedSegment, Outline};
pub use protection::Protection;
pub use sections::SectionTable;
pub use symbols::{imports, imports_of_version};
pub use toolchain::{Language, Libc, Toolchain};
pub use versions::{NeededVersion, Versions};
pub use view::LoaderView;
