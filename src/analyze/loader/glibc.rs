//! glibc's search (`_dl_map_object` in elf/dl-load.c).

use std::sync::Arc;

use super::closure::Attempt;
use super::profile::trim_slash;
use super::search::{Opened, Outcome, join};
use super::tokens::{Tokens, expand_glibc};
use super::walk::{Hit, Walk};
use super::{CacheEntry, Found, Libc};
use crate::limits;
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
    let mut search = Search { by, name: &name, attempts, undecidable: false };
    for source in sources(walk, by) {
        match look(walk, &mut search, source)? {
            Step::Opened(opened, found) => return Ok(Hit::Fresh { opened, found, undecidable: search.undecidable }),
            Step::Fatal => break,
            Step::Next => {}
        }
    }
    Ok(Hit::None { undecidable: search.undecidable })
}

/// A search for a name without slash.
struct Search<'s> {
    by: usize,
    name: &'s [u8],
    attempts: &'s mut Vec<Attempt>,
    /// An element of a search path was met that depends on the processor.
    undecidable: bool,
}

/// What became of one source.
enum Step {
    Opened(Opened, Found),
    Fatal,
    Next,
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

/// Where a search looks.
enum Source {
    /// The `DT_RPATH` of an object.
    Rpath(usize),
    LibraryPath,
    /// The requester's `DT_RUNPATH`.
    Runpath,
    Cache,
    Default,
}

/// All sources for a name without slash, in order. Their directories are expanded one by one as the search comes to them:
/// hostile search paths multiply.
fn sources(walk: &Walk<'_>, by: usize) -> Vec<Source> {
    debug_assert_eq!(walk.profile.libc, Libc::Glibc);
    let requester = &walk.loaded[by].object;
    let mut sources = Vec::new();
    if requester.runpath.is_none() {
        // The requester's RPATH, then that of whoever loaded it, up to the program. An object with a RUNPATH on the
        // way loses its own RPATH only.
        let mut last = by;
        let mut chain = vec![by];
        while let Some(loader) = walk.loaded[last].loader {
            chain.push(loader);
            last = loader;
        }
        if !chain.contains(&0) {
            chain.push(0);
        }
        let counts = |index: &usize| {
            let object = &walk.loaded[*index].object;
            object.runpath.is_none() && object.rpath.is_some()
        };
        sources.extend(chain.into_iter().filter(counts).map(Source::Rpath));
    }
    sources.push(Source::LibraryPath);
    if requester.runpath.is_some() {
        sources.push(Source::Runpath);
    }
    sources.push(Source::Cache);
    if !requester.nodeflib {
        sources.push(Source::Default);
    }
    sources
}

fn look(walk: &mut Walk<'_>, search: &mut Search<'_>, source: Source) -> Result<Step, RootError> {
    let profile = Arc::clone(&walk.profile);
    let lib = profile.lib_token.as_deref();
    match source {
        Source::Rpath(index) => {
            let (object, origin) = (Arc::clone(&walk.loaded[index].object), walk.origin(index));
            let of = walk.loaded[index].resolved.path.clone();
            let found = |directory| Found::Rpath { of: of.clone(), directory };
            let path = object.rpath.as_deref().unwrap_or_default();
            in_path(walk, search, search_path(path, &Tokens { origin: &origin, lib }), found)
        }
        Source::Runpath => {
            let (object, origin) = (Arc::clone(&walk.loaded[search.by].object), walk.origin(search.by));
            let path = object.runpath.as_deref().unwrap_or_default();
            let found = |directory| Found::Runpath { directory };
            in_path(walk, search, search_path(path, &Tokens { origin: &origin, lib }), found)
        }
        Source::LibraryPath => {
            let directories = profile.library_path.iter().cloned().map(Some);
            in_path(walk, search, directories, |directory| Found::LibraryPath { directory })
        }
        Source::Default => {
            let directories = profile.default_directories.iter().cloned().map(Some);
            in_path(walk, search, directories, |directory| Found::Default { directory })
        }
        Source::Cache => {
            walk.step(search.attempts, || Found::Cache);
            Ok(match in_cache(walk, search.by, search.name, search.attempts)? {
                Outcome::Opened(opened) => Step::Opened(opened, Found::Cache),
                Outcome::Fatal => Step::Fatal,
                Outcome::Next | Outcome::NextPath => Step::Next,
            })
        }
    }
}

/// Looks in the directories of one search path; `None` is one that depends on the processor.
fn in_path(
    walk: &mut Walk<'_>,
    search: &mut Search<'_>,
    directories: impl Iterator<Item = Option<Vec<u8>>>,
    found: impl Fn(Vec<u8>) -> Found,
) -> Result<Step, RootError> {
    for directory in directories {
        let Some(directory) = directory else {
            search.undecidable = true;
            continue;
        };
        // The system takes no path of that length: for the loader the directory is not there.
        if directory.len() > limits::MAX_PATH_BYTES {
            continue;
        }
        walk.step(search.attempts, || found(directory.clone()));
        match in_directory(walk, &directory, search.name, search.attempts)? {
            Outcome::Opened(opened) => return Ok(Step::Opened(opened, found(directory))),
            Outcome::Fatal => return Ok(Step::Fatal),
            Outcome::NextPath => break,
            Outcome::Next => {}
        }
    }
    Ok(Step::Next)
}

/// The directories of a colon-separated path after expansion; an empty path has none. An empty element is the working
/// directory, which an image's `/` stands for; an element with a processor-dependent token is `None`.
fn search_path<'p>(path: &'p [u8], tokens: &'p Tokens<'p>) -> impl Iterator<Item = Option<Vec<u8>>> + 'p {
    let directory = |directory: Vec<u8>| {
        if directory.is_empty() { b"/".to_vec() } else { trim_slash(&directory).to_vec() }
    };
    let elements = path.split(|b| *b == b':').take(if path.is_empty() { 0 } else { usize::MAX });
    elements.map(move |element| expand_glibc(element, tokens).map(directory))
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
