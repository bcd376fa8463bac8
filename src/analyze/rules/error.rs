//! What can be wrong with a rule pack.

/// Why a pack is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// Longer than [`crate::limits::MAX_RULE_PACK_BYTES`].
    #[error("rule pack `{pack}` has {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Name of the pack.
        pack: String,
        /// Its size in bytes.
        size: usize,
        /// The bound in bytes.
        limit: usize,
    },
    /// No YAML, or not of the shape of a pack.
    #[error("rule pack `{pack}`, line {line}, column {column}: {reason}")]
    Syntax {
        /// Name of the pack.
        pack: String,
        /// Line, counted from 1.
        line: u64,
        /// Column, counted from 1.
        column: u64,
        /// What the parser says.
        reason: String,
    },
    /// A format of packs that this version does not know.
    #[error("rule pack `{pack}` has format {format}; this version reads format {known}")]
    Format {
        /// Name of the pack.
        pack: String,
        /// What it says.
        format: u32,
        /// What is known.
        known: u32,
    },
    /// Two packs of one name, or two rules of one name in a pack.
    #[error("`{0}` is there twice")]
    Twice(String),
    /// A rule that says nothing, or what cannot be.
    #[error("rule `{rule}`: {reason}")]
    Rule {
        /// `pack/rule`.
        rule: String,
        /// What is wrong with it.
        reason: String,
    },
}
