//! glibc's search (`_dl_map_object` in elf/dl-load.c).

use super::closure::Attempt;
use super::profile::trim_slash;
use super::search::{Outcome, join};
use super::tokens::{Tokens, expand_glibc};
use super::walk::{Hit, Walk};
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
        walk.step(attempts, || Found::Direct);
        return Ok(match walk.opener.try_path(&name, attempts)? {
            Outcome::Opened(opened) => Hit::fresh(opened, Found::Direct),
            Outcome::Next | Outcome::NextPath | Outcome::Fatal => Hit::None { undecidable: false },
        });
    }
    let mut undecidable = false;
    // The search path whose rest is skipped.
    let mut skipped = None;
    for stage in stages(walk, by) {
        let (path, step, found) = match stage {
            Stage::Undecidable => {
                undecidable = true;
                continue;
            }
            Stage::Directory { path, .. } if skipped == Some(path) => continue,
            Stage::Directory { path, directory, found } => {
                walk.step(attempts, || found.clone());
                (Some(path), in_directory(walk, &directory, &name, attempts)?, found)
            }
            Stage::Cache => {
                walk.step(attempts, || Found::Cache);
                (None, in_cache(walk, by, &name, attempts)?, Found::Cache)
            }
        };
        match step {
            Outcome::Opened(opened) => return Ok(Hit::Fresh { opened, found, undecidable }),
            Outcome::Fatal => break,
            Outcome::NextPath => skipped = path,
            Outcome::Next => {}
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

/// Numbers of search paths; from [`RPATHS`] on those of the objects.
const LIBRARY_PATH: usize = 0;
const RUNPATH: usize = 1;
const DEFAULT: usize = 2;
const RPATHS: usize = 3;

/// One step of the search.
enum Stage {
    /// One directory of a search path; `path` numbers the paths.
    Directory {
        path: usize,
        directory: Vec<u8>,
        found: Found,
    },
    Cache,
    /// An element of a search path that depends on the processor.
    Undecidable,
}

/// All steps for a name without slash, in order.
fn stages(walk: &Walk<'_>, by: usize) -> Vec<Stage> {
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
            for directory in search_path(walk, index, rpath) {
                let Some(directory) = directory else {
                    stages.push(Stage::Undecidable);
                    continue;
                };
                let of = walk.loaded[index].resolved.path.clone();
                let found = Found::Rpath { of, directory: directory.clone() };
                stages.push(Stage::Directory { path: RPATHS + index, directory, found });
            }
        }
    }
    for directory in &walk.profile.library_path {
        let found = Found::LibraryPath { directory: directory.clone() };
        stages.push(Stage::Directory { path: LIBRARY_PATH, directory: directory.clone(), found });
    }
    if let Some(runpath) = &requester.runpath {
        for directory in search_path(walk, by, runpath) {
            let Some(directory) = directory else {
                stages.push(Stage::Undecidable);
                continue;
            };
            let found = Found::Runpath { directory: directory.clone() };
            stages.push(Stage::Directory { path: RUNPATH, directory, found });
        }
    }
    stages.push(Stage::Cache);
    if !requester.nodeflib {
        for directory in &walk.profile.default_directories {
            let found = Found::Default { directory: directory.clone() };
            stages.push(Stage::Directory { path: DEFAULT, directory: directory.clone(), found });
        }
    }
    stages
}

/// The directories of a colon-separated path after expansion; an empty path has none. An empty element is the working
/// directory, which an image's `/` stands for; an element with a processor-dependent token is `None`.
fn search_path(walk: &Walk<'_>, of: usize, path: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut directories = Vec::new();
    if path.is_empty() {
        return directories;
    }
    for element in path.split(|b| *b == b':') {
        directories.push(
            expand(walk, of, element)
                .map(|directory| if directory.is_empty() { b"/".to_vec() } else { trim_slash(&directory).to_vec() }),
        );
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
fn in_cache(walk: &Walk<'_>, by: usize, name: &[u8], attempts: &mut Vec<Attempt>) -> Result<Outcome, RootError> {
    let (Some(cache), Some(flags)) = (&walk.profile.cache, walk.profile.cache_flags) else { return Ok(Outcome::Next) };
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
    let Some((_, entry)) = best else { return Ok(Outcome::Next) };
    let below_default = || walk.profile.default_directories.iter().any(|d| entry.path.starts_with(&join(d, b"")));
    if walk.loaded[by].object.nodeflib && below_default() {
        return Ok(Outcome::Next);
    }
    // An entry whose file is gone is no end: the default directories follow.
    walk.opener.try_path(&entry.path, attempts)
}
