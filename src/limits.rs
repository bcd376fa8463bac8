//! Every bound on foreign input, named, with its reason. Parsers take their bounds from here and nowhere else.

/// Largest manifest or index read, in bytes. The distribution-spec asks registries to take at least 4 MiB; twice that
/// is what lenient clients read.
pub const MAX_MANIFEST_BYTES: u64 = 8 << 20;

/// Largest image config read, in bytes. Configs with long histories reach some hundred KiB.
pub const MAX_CONFIG_BYTES: u64 = 8 << 20;

/// Longest tag (distribution-spec: 128 characters).
pub const MAX_TAG_BYTES: usize = 128;

/// Longest repository name: registries built on distribution cut at 255.
pub const MAX_REPOSITORY_BYTES: usize = 255;

/// Longest path inside an image, in bytes: `PATH_MAX` of Linux, beyond which no runtime can open it.
pub const MAX_PATH_BYTES: usize = 4096;
