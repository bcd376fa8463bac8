//! An image on a base: what the base has is not added again, and stays as it is.

use std::collections::BTreeMap;

use super::files::{ImageFile, ImageFileKind};
use super::placed::CONFIGURATION;
use crate::analyze::Confidence;
use crate::analyze::loader::{CacheEntry, CacheLine, Closure, LdCache};
use crate::limits;
use crate::oci::ImagePath;
use crate::rootfs::{Node, Root, RootError, read_whole, resolve, resolve_new};

/// Takes out what the base has, and moves what remains to where the links of the base lead.
///
/// # Errors
/// [`RootError`] when the base cannot be read.
pub(super) fn spare(
    base: &dyn Root,
    files: BTreeMap<ImagePath, ImageFile>,
) -> Result<BTreeMap<ImagePath, ImageFile>, RootError> {
    let mut out = BTreeMap::new();
    for (path, file) in files {
        let at = match resolve_new(base, &path) {
            Ok(at) => at,
            // The plan refuses what cannot lie there, and names both.
            Err(RootError::NotADirectory(_)) => path,
            Err(error) => return Err(error),
        };
        let there = base.node(&at)?;
        let has = match (&file.kind, &there) {
            (_, None) => false,
            (ImageFileKind::Copied { from, .. }, Some(_)) => *from == at,
            (ImageFileKind::Link(target), Some(Node::Symlink(own))) if own == target => true,
            // What the user links by name, and what tells the loader where new libraries lie, is meant to replace it.
            (ImageFileKind::Link(_), Some(_)) => file.reason.confidence != Confidence::Asserted,
            (ImageFileKind::Generated(_), Some(_)) => !replaces(&file),
            (ImageFileKind::Directory, Some(_)) => true,
        };
        if !has {
            out.entry(at).or_insert(file);
        }
    }
    Ok(out)
}

fn replaces(file: &ImageFile) -> bool {
    let of_user = |evidence: &crate::diag::Evidence| evidence.value == "--ca-bundle";
    file.reason.rule == CONFIGURATION || file.reason.evidence.iter().any(of_user)
}

/// The lines of the base's cache for the loader of a program, without those for better processors, whose baseline stays.
///
/// # Errors
/// [`RootError`] when the base cannot be read.
pub(super) fn cache_lines(base: &dyn Root, closure: &Closure) -> Result<Vec<CacheLine>, RootError> {
    let (Some(flags), Some(found)) = (closure.profile.cache_flags, resolve(base, b"etc/ld.so.cache")?) else {
        return Ok(Vec::new());
    };
    let bytes = match read_whole(base, &found.path, limits::MAX_LOADER_CONFIG_BYTES) {
        Ok(bytes) => bytes,
        Err(RootError::TooLarge { .. } | RootError::NotRegular(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let big_endian = closure.loaded.first().is_some_and(|loaded| loaded.object.abi.big_endian);
    let Ok(cache) = LdCache::parse(&bytes, big_endian) else { return Ok(Vec::new()) };
    let lines = cache.entries().filter(|(_, entry)| entry.flags == flags && entry.hwcaps.is_none());
    let line =
        |(name, entry): (&[u8], &CacheEntry)| CacheLine { name: name.to_vec(), path: entry.path.clone(), hwcaps: None };
    Ok(lines.map(line).collect())
}

/// Whether a file belongs to the C library or its loader, which work only with each other: a root beside a base that has
/// a C library gives none of them.
#[must_use]
pub fn is_of_libc(path: &ImagePath) -> bool {
    const BEGINNINGS: [&[u8]; 18] = [
        b"ld-linux",
        b"ld64.so",
        b"ld.so.",
        b"ld-2.",
        b"ld-musl-",
        b"libc.so",
        b"libc-2.",
        b"libc.musl-",
        b"libm.so",
        b"libm-2.",
        b"libmvec",
        b"libpthread",
        b"libdl.so",
        b"librt.so",
        b"libresolv",
        b"libanl.so",
        b"libutil.so",
        b"libnss_",
    ];
    let name = path.file_name();
    let converter = || memchr::memmem::find(path.as_bytes(), b"/gconv/").is_some();
    BEGINNINGS.iter().any(|beginning| name.starts_with(beginning)) || converter()
}

/// Whether a root has a C library.
///
/// # Errors
/// [`RootError`] when it cannot be read.
pub fn has_libc(root: &dyn Root) -> Result<bool, RootError> {
    let directory = |path: &[u8]| -> Result<Option<ImagePath>, RootError> {
        let found = resolve(root, path)?;
        Ok(found.filter(|found| matches!(found.node, Node::Directory { .. })).map(|found| found.path))
    };
    let is_libc = |name: &[u8]| {
        [&b"libc.so.6"[..], b"ld-musl-", b"libc.musl-"].iter().any(|beginning| name.starts_with(beginning))
    };
    for top in [&b"lib"[..], b"lib64", b"usr/lib", b"usr/lib64"] {
        let Some(top) = directory(top)? else { continue };
        for name in root.read_dir(&top)? {
            let multiarch = memchr::memmem::find(&name, b"-linux-").is_some();
            let inner = match top.join(&name) {
                Ok(inner) if multiarch => directory(inner.as_bytes())?,
                _ => None,
            };
            let within = inner.map(|inner| root.read_dir(&inner)).transpose()?.unwrap_or_default();
            if is_libc(&name) || within.iter().any(|name| is_libc(name)) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rootfs::MemoryRoot;

    fn path(text: &str) -> ImagePath {
        ImagePath::parse(text).unwrap()
    }

    #[test]
    fn the_family_of_the_c_library() {
        for (text, want) in [
            ("usr/lib/x86_64-linux-gnu/libc.so.6", true),
            ("lib64/ld-linux-x86-64.so.2", true),
            ("lib/ld-musl-x86_64.so.1", true),
            ("usr/lib/x86_64-linux-gnu/libnss_dns.so.2", true),
            ("usr/lib/x86_64-linux-gnu/gconv/UTF-16.so", true),
            ("usr/lib/x86_64-linux-gnu/libcurl.so.4", false),
            ("usr/lib/x86_64-linux-gnu/libnss3.so", false),
            ("usr/lib/x86_64-linux-gnu/libmagic.so.1", false),
            ("usr/lib/x86_64-linux-gnu/libcrypt.so.1", false),
        ] {
            assert_eq!(is_of_libc(&path(text)), want, "{text}");
        }
    }

    #[test]
    fn where_a_c_library_lies() {
        let with = |text: &str| {
            let mut root = MemoryRoot::new();
            root.add_file(&path("usr/lib/os-release"), &b""[..], 0o644);
            root.add_file(&path(text), &b""[..], 0o644);
            has_libc(&root).unwrap()
        };
        assert!(
            with("lib/x86_64-linux-gnu/libc.so.6") && with("lib/ld-musl-x86_64.so.1") && with("usr/lib64/libc.so.6")
        );
        assert!(!with("usr/lib/libcurl.so.4") && !with("opt/libc.so.6"));
    }
}
