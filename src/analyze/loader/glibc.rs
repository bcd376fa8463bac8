//! glibc's search (`_dl_map_object` in elf/dl-load.c).

use super::closure::{Attempt, Hit, Walk};
use super::profile::trim_slash;
use super::search::{Outcome, join};
use super::tokens::{Tokens, expand_glibc};
use super::{CacheEntry, Found, Libc};
use crate::rootfs::RootError;

/// Looks for `name` on behalf of object `by`.
pub(super) fn search(
    walk: &mut Walk<'_>,
    by: usize,
    name: &[u8],
    attempts: &mut Vec<Attempt>,
) -> Result<Hit, RootError> {
    let Some(name) = expand(walk, by, name) else { return Ok(Hit::None { undecidable: true }) };
    if let Some(index) = known(walk, &name) {
        return Ok(Hit::Known(index));
    }
    if name.contains(&b'/') {
        return Ok(match walk.opener.try_path(&name, attempts)? {
            Outcome::Opened(opened) => Hit::Fresh(opened, Found::Direct),
            Outcome::Next | Outcome::Fatal => Hit::None { undecidable: false },
        });
    }
    let mut undecidable = false;
    for stage in stages(walk, by, &mut undecidable) {
        let step = match stage {
            Stage::Directory(directory, found) => Some((in_directory(walk, &directory, &name, attempts)?, found)),
            Stage::Cache => in_cache(walk, by, &name, attempts)?.map(|o| (o, Found::Cache)),
        };
        match step {
            Some((Outcome::Opened(opened), found)) => return Ok(Hit::Fresh(opened, found)),
            Some((Outcome::Fatal, _)) => break,
            Some((Outcome::Next, _)) | None => {}
        }
    }
    Ok(Hit::None { undecidable })
}

/// An object that is loaded already under this name: its path, a name it was asked by, or its SONAME, which becomes one
/// of its names when it first matches.
fn known(walk: &mut Walk<'_>, name: &[u8]) -> Option<usize> {
    for at in 0..walk.order.len() {
        let index = walk.order[at];
        let loaded = &mut walk.loaded[index];
        if loaded.names.contains(name) {
            return Some(index);
        }
        if !loaded.soname_added && loaded.object.soname.as_deref() == Some(name) {
            loaded.names.insert(name.to_vec());
            loaded.soname_added = true;
            return Some(index);
        }
    }
    None
}

fn expand(walk: &Walk<'_>, index: usize, text: &[u8]) -> Option<Vec<u8>> {
    let origin = walk.origin(index);
    expand_glibc(text, &Tokens { origin: &origin, lib: walk.profile.lib_token.as_deref() })
}

/// One step of the search.
enum Stage {
    Directory(Vec<u8>, Found),
    Cache,
}

/// All steps for a name without slash, in order.
fn stages(walk: &Walk<'_>, by: usize, undecidable: &mut bool) -> Vec<Stage> {
    debug_assert_eq!(walk.profile.libc, Libc::Glibc);
    let mut stages = Vec::new();
    let requester = &walk.loaded[by].object;
    if requester.runpath.is_none() {
        // The requester's RPATH, then that of whoever loaded it, up to the program. An object with a RUNPATH on the
        // way loses its own RPATH only.
        let mut chain = Vec::new();
        let mut at = Some(by);
        while let Some(index) = at {
            chain.push(index);
            at = walk.loaded[index].loader;
        }
        if !chain.contains(&0) {
            chain.push(0);
        }
        for index in chain {
            let object = &walk.loaded[index].object;
            let (None, Some(rpath)) = (&object.runpath, &object.rpath) else { continue };
            for directory in search_path(walk, index, rpath, undecidable) {
                let of = walk.loaded[index].resolved.path.clone();
                stages.push(Stage::Directory(directory.clone(), Found::Rpath { of, directory }));
            }
        }
    }
    for directory in &walk.profile.library_path {
        stages.push(Stage::Directory(directory.clone(), Found::LibraryPath { directory: directory.clone() }));
    }
    if let Some(runpath) = &requester.runpath {
        for directory in search_path(walk, by, runpath, undecidable) {
            stages.push(Stage::Directory(directory.clone(), Found::Runpath { directory }));
        }
    }
    stages.push(Stage::Cache);
    if !requester.nodeflib {
        for directory in &walk.profile.default_directories {
            stages.push(Stage::Directory(directory.clone(), Found::Default { directory: directory.clone() }));
        }
    }
    stages
}

/// The directories of a colon-separated path after expansion; an empty path has none. An empty element is the working
/// directory, which an image's `/` stands for; elements with processor-dependent tokens are left out and reported.
fn search_path(walk: &Walk<'_>, of: usize, path: &[u8], undecidable: &mut bool) -> Vec<Vec<u8>> {
    let mut directories = Vec::new();
    if path.is_empty() {
        return directories;
    }
    for element in path.split(|b| *b == b':') {
        match expand(walk, of, element) {
            None => *undecidable = true,
            Some(directory) if directory.is_empty() => directories.push(b"/".to_vec()),
            Some(directory) => directories.push(trim_slash(&directory).to_vec()),
        }
    }
    directories
}

/// A directory with its active glibc-hwcaps subdirectories before it; what is absent from those is not told.
fn in_directory(
    walk: &Walk<'_>,
    directory: &[u8],
    name: &[u8],
    attempts: &mut Vec<Attempt>,
) -> Result<Outcome, RootError> {
    for subdirectory in &walk.profile.active_hwcaps {
        let place = join(&join(directory, b"glibc-hwcaps"), subdirectory);
        match walk.opener.try_path(&join(&place, name), attempts)? {
            Outcome::Next => {
                attempts.pop();
            }
            found => return Ok(found),
        }
    }
    walk.opener.try_path(&join(directory, name), attempts)
}

/// The cache's best entry that the simulated processor can use; with `DF_1_NODEFLIB` not one below a default directory.
fn in_cache(
    walk: &Walk<'_>,
    by: usize,
    name: &[u8],
    attempts: &mut Vec<Attempt>,
) -> Result<Option<Outcome>, RootError> {
    let (Some(cache), Some(flags)) = (&walk.profile.cache, walk.profile.cache_flags) else { return Ok(None) };
    let rank = |hwcaps: &Option<Vec<u8>>| match hwcaps {
        None => Some(usize::MAX),
        Some(name) => walk.profile.active_hwcaps.iter().position(|active| active == name),
    };
    let mut best: Option<(usize, &CacheEntry)> = None;
    for entry in cache.lookup(name, flags).filter(|e| e.legacy_mask == 0) {
        if let Some(rank) = rank(&entry.hwcaps).filter(|rank| best.is_none_or(|(known, _)| *rank < known)) {
            best = Some((rank, entry));
        }
        // `search_cache` ends at the first baseline entry.
        if entry.hwcaps.is_none() {
            break;
        }
    }
    let Some((_, entry)) = best else { return Ok(None) };
    let below_default = || walk.profile.default_directories.iter().any(|d| entry.path.starts_with(&join(d, b"")));
    if walk.loaded[by].object.nodeflib && below_default() {
        return Ok(None);
    }
    // An entry whose file is gone is no end: the default directories follow.
    walk.opener.try_path(&entry.path, attempts).map(Some)
}
