//! The tar format: headers as coracle writes them, and a reader that understands what others write.

mod assemble;
mod entry;
mod error;
mod fields;
mod header;
mod pax;
mod read;
mod sparse;

pub use entry::{Dialect, Ending, Problem, TarEntry, TarKind};
pub use error::Error;
pub use header::{BLOCK, END, encode, padding};
pub use read::{Content, TarReader};
pub use sparse::{Sparse, SparseFormat};
