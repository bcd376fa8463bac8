//! What can be wrong with a value of this layer.

/// Errors of parsing OCI values. Every variant carries the text that was refused.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Not `algorithm:encoded` with a supported algorithm and lower-case hex of its length (image-spec, descriptor.md).
    #[error("`{text}` is not a digest: {reason}")]
    Digest {
        /// The refused text.
        text: String,
        /// Which part of the grammar it breaks.
        reason: &'static str,
    },
    /// Not a reference as `[host[:port]/]name[:tag][@digest]` (distribution-spec, pulling manifests).
    #[error("`{text}` is not an image reference: {reason}")]
    Reference {
        /// The refused text.
        text: String,
        /// Which part of the grammar it breaks.
        reason: &'static str,
    },
    /// Not a tag of at most 128 characters of `[A-Za-z0-9_][A-Za-z0-9._-]*`.
    #[error("`{text}` is not a tag: {reason}")]
    Tag {
        /// The refused text.
        text: String,
        /// Which part of the grammar it breaks.
        reason: &'static str,
    },
    /// Not `os/arch[/variant]`.
    #[error("`{text}` is not a platform: {reason}")]
    Platform {
        /// The refused text.
        text: String,
        /// Which part of the grammar it breaks.
        reason: &'static str,
    },
    /// Not a safe path of an image.
    #[error("`{text}` is not a path of an image: {reason}")]
    Path {
        /// The refused text, escaped.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A JSON document that is not what its media type says.
    #[error("{what} is not valid: {reason}")]
    Document {
        /// Which document, for example `image manifest`.
        what: &'static str,
        /// The parser's own words, with line and column.
        reason: String,
    },
    /// A document larger than its bound in [`crate::limits`].
    #[error("{what} has {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Which document.
        what: &'static str,
        /// Its size in bytes.
        size: u64,
        /// The bound in bytes.
        limit: u64,
    },
    /// A media type that is neither an image manifest nor an index.
    #[error("media type `{0}` is not an image manifest or an image index")]
    UnknownManifestType(String),
}
