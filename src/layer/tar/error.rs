//! What makes a tar archive unreadable. Everything else is a [`Problem`](super::Problem) of an entry.

use std::io;

/// Errors of reading an archive. Offsets count bytes of the uncompressed archive and name the header in question.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The stream below fails (a file, a decompressor).
    #[error("cannot read the archive")]
    Read(#[source] io::Error),
    /// The archive ends inside of an entry.
    #[error("the archive ends inside of the entry at offset {offset}")]
    Truncated {
        /// Where the entry begins.
        offset: u64,
    },
    /// The header's checksum is wrong, so there is no header or it is damaged.
    #[error("there is no valid tar header at offset {offset}: its checksum is wrong")]
    Checksum {
        /// Where.
        offset: u64,
    },
    /// A numeric field is no number, or one out of range.
    #[error("the field `{field}` of the tar header at offset {offset} is not a number in range")]
    Number {
        /// Where.
        offset: u64,
        /// Name of the field or pax key.
        field: &'static str,
    },
    /// The records of a pax header are malformed.
    #[error("the pax header at offset {offset} is malformed: {reason}")]
    Pax {
        /// Where.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// The map of a sparse file is malformed.
    #[error("the map of the sparse file at offset {offset} is malformed: {reason}")]
    Sparse {
        /// Where.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// A bound of [`crate::limits`] is passed.
    #[error("the archive has {what} beyond the limit of {limit} at offset {offset}")]
    Limit {
        /// Where.
        offset: u64,
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
}
