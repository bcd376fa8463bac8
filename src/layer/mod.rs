//! Layer 4: deterministic tar, compression, and the one pass that packs a layer.
//!
//! *Invariant:* the bytes of a layer are a pure function of (layer plan, file bytes, time stamp, encoder id). Neither the
//! number of threads, nor the processor, nor the size of any buffer shows in them.

mod encode;
mod error;
mod open;

mod pack;
mod read_files;
mod ring;
mod spool;
pub mod tar;

pub use encode::Codec;
pub use error::Error;
pub use open::LayerReader;
pub use pack::{MAX_THREADS, PackOptions, Packed, pack, pack_with};
pub use spool::pack_to_dir;
