//! Layer 3: `coracle.yaml`, a build's settings in a file.
//!
//! *Invariant:* a config file is not trusted more than its directory. It cannot make coracle read or write outside of
//! it, nor name a program that coracle runs; only a flag can.

mod error;
mod file;
mod parse;
mod resolve;
mod schema;

pub use error::Error;
pub use file::{AddTable, Compression, File, ProgramTable, TextOr};
pub use parse::{load, parse};
pub use resolve::{NeedSettings, ProgramPaths, Settings};
pub use schema::schema;

/// Name of the file that `coracle build DIR` looks for.
pub const FILE_NAME: &str = "coracle.yaml";
