//! musl's search (`load_library` in ldso/dynlink.c).

use super::closure::{Attempt, Verdict};
use super::profile::trim_slash;
use super::search::{Outcome, join};
use super::tokens::expand_musl;
use super::walk::{Hit, Walk};
use super::{Found, Loaded};
use crate::rootfs::RootError;

/// Libraries that are the loader itself: `lib` + one of these + `.`.
const BUILT_IN: [&[u8]; 7] = [b"c", b"pthread", b"rt", b"m", b"dl", b"util", b"xnet"];

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
    for (directory, found) in directories(walk, by) {
        walk.step(attempts, || found.clone());
        match walk.opener.try_path(&join(&directory, name), attempts)? {
            Outcome::Opened(file) => return Ok(Hit::fresh(file, found)),
            // musl opens the first file that exists and then fails on what it cannot map.
            Outcome::Fatal => break,
            Outcome::Next if attempts.last().is_some_and(|a| a.verdict == Verdict::OtherAbi) => break,
            Outcome::Next | Outcome::NextPath => {}
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

/// All directories in order: the environment's, those of the requester and of everyone above it (RPATH and RUNPATH
/// alike, both inherited), the defaults.
fn directories(walk: &Walk<'_>, by: usize) -> Vec<(Vec<u8>, Found)> {
    let mut all = Vec::new();
    for directory in &walk.profile.library_path {
        all.push((directory.clone(), Found::LibraryPath { directory: directory.clone() }));
    }
    let mut at = Some(by);
    while let Some(index) = at {
        let loaded = &walk.loaded[index];
        let path = loaded.object.runpath.as_ref().or(loaded.object.rpath.as_ref());
        let origin = walk.origin(index);
        // A dollar that is not $ORIGIN voids the whole path.
        if let Some(path) = path.and_then(|p| expand_musl(p, &origin)) {
            let elements = path.split(|b| *b == b':' || *b == b'\n').filter(|d| !d.is_empty());
            all.extend(elements.map(|d| {
                let directory = trim_slash(d).to_vec();
                (directory.clone(), Found::Rpath { of: loaded.resolved.path.clone(), directory })
            }));
        }
        at = loaded.loader;
    }
    for directory in &walk.profile.default_directories {
        all.push((directory.clone(), Found::Default { directory: directory.clone() }));
    }
    all
}
