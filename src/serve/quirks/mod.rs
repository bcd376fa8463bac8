//! How registries differ from the distribution-spec: switches, each of which stands alone, and the profiles that name sets of
//! them. What clients make of such registries is tested with it.
//!
//! They stand around the registry, not in it: requests are refused or changed before they are carried out, answers after.

mod filter;
mod profile;

pub use profile::Profile;

/// What a registry does otherwise. The default is the registry as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quirks {
    /// No referrers API: 404, as clients of the fallback tag expect.
    pub no_referrers: bool,
    /// Pushes of manifests with a subject are not answered by `OCI-Subject`. Together with `no_referrers` false that is a
    /// registry which forgot the header; the reverse is one that lies.
    pub no_subject_header: bool,
    /// A PATCH of an upload is answered by this status instead of 202.
    pub patch_status: Option<u16>,
    /// A PATCH with a `Content-Range` is refused: 405 `UNSUPPORTED`.
    pub no_chunks: bool,
    /// A PATCH with a `Content-Range` may have this many bytes, else 416.
    pub chunk_max: Option<u64>,
    /// `OCI-Chunk-Min-Length` of new uploads.
    pub chunk_min: Option<u64>,
    /// A PUT of an upload may have this many bytes, else 413.
    pub put_max: Option<u64>,
    /// A PUT of an upload with content is refused as if the blob were not known: 404 `BLOB_UNKNOWN`.
    pub no_whole_put: bool,
    /// Bodies of unknown length are refused: 400 `CONTENT_LENGTH_INVALID`.
    pub needs_length: bool,
    /// A tag that exists cannot be pushed again, not even to the same manifest: 400 `TAG_INVALID`.
    pub immutable_tags: bool,
    /// Pushes of manifests by digest are answered without `Location`.
    pub no_manifest_location: bool,
    /// A mount without `from` is refused: 400.
    pub mount_needs_from: bool,
    /// A mount opens an upload instead.
    pub no_mount: bool,
    /// An empty blob cannot be pushed: 500.
    pub no_empty_blob: bool,
    /// Digests are SHA-256 only: others are 400 `DIGEST_INVALID`.
    pub sha256_only: bool,
    /// `Content-Range` of chunks is not looked at.
    pub any_chunk_order: bool,
    /// An upload whose request breaks off is gone.
    pub cut_ends_upload: bool,
    /// A page of tags may ask for this many, else 400.
    pub tags_page_max: Option<u64>,
}
