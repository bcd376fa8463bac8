//! musl's search (`load_library` in ldso/dynlink.c).

use std::sync::Arc;

use super::closure::{Attempt, Verdict};
use super::profile::trim_slash;
use super::search::{Opened, Outcome, join};
use super::tokens::expand_musl;
use super::walk::{Hit, Walk};
use super::{Found, Loaded};
use crate::rootfs::RootError;

/// Libraries that are the loader itself: `lib` + one of these + `.`.
const BUILT_IN: [&[u8]; 7] = [b"c", b"pthread", b"rt", b"m", b"dl", b"util", b"xnet"];

/// Longest name that is searched for, in bytes (`NAME_MAX`).
const NAME_MAX: usize = 255;
/// Size of the buffer in which `load_library` puts a directory and a name together; what does not fit is not tried.
const PATH_BUFFER: usize = 2 * NAME_MAX + 2;

/// Looks for `name` on behalf of object `by`.
pub(super) fn search(
    walk: &mut Walk<'_>,
    by: usize,
    name: &[u8],
    attempts: &mut Vec<Attempt>,
) -> Result<Hit, RootError> {
    let interpreter = walk.loaded.iter().position(|l| l.found == Found::Interpreter);
    let itself = || interpreter.map_or(Hit::None { undecidable: false }, Hit::Known);
    if is_built_in(name) || interpreter.is_some_and(|i| walk.loaded[i].path == name) {
        return Ok(itself());
    }
    if name.contains(&b'/') {
        walk.step(attempts, || Found::Direct);
        return Ok(match walk.opener.try_path(name, attempts)? {
            // Another libc by its path is exchanged for the loader itself. musl tells one by the symbols that it defines,
            // here its SONAME does.
            Outcome::Opened(file) if file.object.soname.as_deref().is_some_and(is_libc) => itself(),
            outcome => opened(outcome, Found::Direct),
        });
    }
    // Loaded before under the same short name.
    let by_search = |l: &Loaded| !matches!(l.found, Found::Program | Found::Interpreter);
    let known = walk.loaded.iter().position(|l| by_search(l) && l.names.contains(name));
    if let Some(index) = known {
        return Ok(Hit::Known(index));
    }
    if name.len() > NAME_MAX {
        return Ok(Hit::None { undecidable: false });
    }
    for source in sources(walk, by) {
        match look(walk, source, name, attempts)? {
            Step::Opened(file, found) => return Ok(Hit::fresh(file, found)),
            Step::Fatal => break,
            Step::Next => {}
        }
    }
    Ok(Hit::None { undecidable: false })
}

fn opened(outcome: Outcome, found: Found) -> Hit {
    match outcome {
        Outcome::Opened(file) => Hit::fresh(file, found),
        Outcome::Next | Outcome::NextPath | Outcome::Fatal => Hit::None { undecidable: false },
    }
}

fn is_libc(soname: &[u8]) -> bool {
    soname == b"libc.so" || soname == b"libc.so.6" || soname.starts_with(b"libc.musl-")
}

fn is_built_in(name: &[u8]) -> bool {
    let Some(rest) = name.strip_prefix(b"lib".as_slice()) else { return false };
    BUILT_IN.iter().any(|built_in| rest.strip_prefix(*built_in).is_some_and(|tail| tail.first() == Some(&b'.')))
}

/// Where a search looks.
enum Source {
    LibraryPath,
    /// The search path of an object.
    Path(usize),
    Default,
}

/// What became of one source.
enum Step {
    Opened(Opened, Found),
    Fatal,
    Next,
}

/// All sources in order: the environment's, those of the requester and of everyone above it (RPATH and RUNPATH alike, both
/// inherited), the defaults. Their directories are expanded as the search comes to them: hostile search paths multiply.
fn sources(walk: &Walk<'_>, by: usize) -> Vec<Source> {
    let mut sources = vec![Source::LibraryPath];
    let mut at = Some(by);
    while let Some(index) = at {
        let object = &walk.loaded[index].object;
        if object.runpath.is_some() || object.rpath.is_some() {
            sources.push(Source::Path(index));
        }
        at = walk.loaded[index].loader;
    }
    sources.push(Source::Default);
    sources
}

fn look(walk: &mut Walk<'_>, source: Source, name: &[u8], attempts: &mut Vec<Attempt>) -> Result<Step, RootError> {
    let profile = Arc::clone(&walk.profile);
    match source {
        Source::LibraryPath => {
            let directories = profile.library_path.iter().cloned();
            in_path(walk, name, directories, attempts, |directory| Found::LibraryPath { directory })
        }
        Source::Default => {
            let directories = profile.default_directories.iter().cloned();
            in_path(walk, name, directories, attempts, |directory| Found::Default { directory })
        }
        Source::Path(index) => {
            let (object, origin) = (Arc::clone(&walk.loaded[index].object), walk.origin(index));
            let of = walk.loaded[index].resolved.path.clone();
            let path = object.runpath.as_deref().or(object.rpath.as_deref()).unwrap_or_default();
            let elements = path.split(|b| *b == b':' || *b == b'\n').filter(|d| !d.is_empty());
            // A dollar that is not $ORIGIN voids the whole path.
            if expand_musl(path, b"").is_none() {
                return Ok(Step::Next);
            }
            let directories = elements.filter_map(|d| expand_musl(d, &origin)).map(|d| trim_slash(&d).to_vec());
            in_path(walk, name, directories, attempts, |directory| Found::Rpath { of: of.clone(), directory })
        }
    }
}

/// Looks in the directories of one search path (`path_open`).
fn in_path(
    walk: &mut Walk<'_>,
    name: &[u8],
    directories: impl Iterator<Item = Vec<u8>>,
    attempts: &mut Vec<Attempt>,
    found: impl Fn(Vec<u8>) -> Found,
) -> Result<Step, RootError> {
    for directory in directories {
        if directory.len() + 1 + name.len() >= PATH_BUFFER {
            continue;
        }
        walk.step(attempts, || found(directory.clone()));
        match walk.opener.try_path(&join(&directory, name), attempts)? {
            Outcome::Opened(file) => return Ok(Step::Opened(file, found(directory))),
            // musl opens the first file that exists and then fails on what it cannot map.
            Outcome::Fatal => return Ok(Step::Fatal),
            Outcome::Next if attempts.last().is_some_and(|a| a.verdict == Verdict::OtherAbi) => return Ok(Step::Fatal),
            Outcome::Next | Outcome::NextPath => {}
        }
    }
    Ok(Step::Next)
}
