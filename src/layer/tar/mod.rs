//! The tar format: headers as coracle writes them, and a reader that understands what others write.

mod header;
mod pax;

pub use header::{BLOCK, END, encode, padding};
