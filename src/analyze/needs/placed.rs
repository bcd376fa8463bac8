//! Where the objects of a closure lie in the image, so that its loader finds them there.

use std::collections::BTreeMap;

use super::ProgramAt;
use super::files::FileSet;
use super::member::file_name;
use super::reasons;
use crate::analyze::loader::{Abi, CacheLine, Closure, Found, LdCache, Libc, Loaded, Profile};
use crate::analyze::{Confidence, Reason};
use crate::diag::Evidence;
use crate::oci::ImagePath;
use crate::rootfs::{Root, RootError};

/// Where libraries lie that were found beside a program which has another place in the image.
const PRIVATE_DIRECTORY: &str = "app/lib";

/// The rule by which the loader of the image is told where libraries lie.
pub(super) const CONFIGURATION: &str = "loader/configuration";

/// Libraries that the loader of the image finds neither by a search path of an object nor in a default directory: for each
/// name the path.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    pub names: BTreeMap<Vec<u8>, Vec<u8>>,
    pub abi: Option<Abi>,
    pub libc: Option<Libc>,
}

/// Takes the objects of a closure that have no place yet into the image, all but the program, and appends the image path
/// of each to `places`. `reasons` are those of objects that are loaded later.
///
/// # Errors
/// [`RootError`] when the root cannot be read.
pub(super) fn place(
    root: &dyn Root,
    closure: &Closure,
    program: &ProgramAt,
    reasons: &BTreeMap<usize, Reason>,
    places: &mut Vec<Vec<u8>>,
    files: &mut FileSet,
    elsewhere: &mut Elsewhere,
) -> Result<(), RootError> {
    let private = private_objects(closure, program);
    for (index, loaded) in closure.loaded.iter().enumerate().skip(places.len()) {
        let reason = reasons.get(&index).cloned().unwrap_or_else(|| reasons::of_loaded(closure, index, places));
        let place = match () {
            () if loaded.found == Found::Program => slashed(&program.image),
            () if private[index] => {
                let to =
                    ImagePath::parse(PRIVATE_DIRECTORY).and_then(|directory| directory.join(file_name(&loaded.path)));
                let to = to.map_err(|_| RootError::PathTooLong)?;
                files.copy(to.clone(), &loaded.resolved, &reason);
                slashed(&to)
            }
            () => {
                files.take_resolved(root, &loaded.resolved, &reason)?;
                for alias in &loaded.aliases {
                    files.take_resolved(root, &alias.resolved, &reason)?;
                }
                loaded.path.clone()
            }
        };
        if needs_name(loaded, &closure.profile, private[index]) {
            elsewhere.abi = Some(loaded.object.abi);
            elsewhere.libc = Some(closure.libc);
            for (_, name, _) in closure.edges.iter().filter(|(_, name, to)| *to == index && !name.contains(&b'/')) {
                elsewhere.names.entry(name.clone()).or_insert_with(|| place.clone());
            }
        }
        places.push(place);
    }
    Ok(())
}

/// Whether only the cache leads to an object in the image.
fn needs_name(loaded: &Loaded, profile: &Profile, private: bool) -> bool {
    let directory = || loaded.path.iter().rposition(|b| *b == b'/').map_or(&b""[..], |at| &loaded.path[..at]);
    match loaded.found {
        Found::Cache => !profile.default_directories.iter().any(|default| default == directory()),
        Found::Rpath { .. } | Found::Runpath { .. } => private,
        // A path file of musl is not a default of the loader itself.
        Found::Default { .. } => {
            profile.libc == Libc::Musl && ![&b"/lib"[..], b"/usr/local/lib", b"/usr/lib"].contains(&directory())
        }
        _ => false,
    }
}

/// Objects that were found relative to a program that does not keep its place.
fn private_objects(closure: &Closure, program: &ProgramAt) -> Vec<bool> {
    let mut private = vec![false; closure.loaded.len()];
    if program.path == program.image {
        return private;
    }
    let relative = |loaded: &Loaded, path: Option<&Vec<u8>>, directory: &[u8]| {
        let origin = loaded.path.iter().rposition(|b| *b == b'/').map_or(&b"/"[..], |at| &loaded.path[..at.max(1)]);
        path.is_some_and(|path| {
            memchr::memmem::find(path, b"ORIGIN").is_some()
                && path.split(|b| *b == b':').any(|element| expands(element, origin) == directory)
        })
    };
    // An object found by an object that is private itself: its own `$ORIGIN` moves too. Order of the walk: the loader first.
    for index in 0..closure.loaded.len() {
        let loaded = &closure.loaded[index];
        let moved = |at: usize| at == 0 || private[at];
        private[index] = match &loaded.found {
            Found::Runpath { directory } => asked_by(closure, index).is_some_and(|by| {
                moved(by) && relative(&closure.loaded[by], closure.loaded[by].object.runpath.as_ref(), directory)
            }),
            Found::Rpath { of, directory } => {
                let by = closure.loaded.iter().position(|l| l.resolved.path == *of);
                by.is_some_and(|by| {
                    let object = &closure.loaded[by].object;
                    // musl inherits a DT_RUNPATH as if it were a DT_RPATH.
                    moved(by)
                        && relative(&closure.loaded[by], object.runpath.as_ref().or(object.rpath.as_ref()), directory)
                })
            }
            _ => false,
        };
    }
    private
}

/// The object whose search paths led to another one: what a `dlopen` maps has no loader, but someone asked for it.
fn asked_by(closure: &Closure, index: usize) -> Option<usize> {
    let asked = || closure.edges.iter().find(|(_, _, to)| *to == index).map(|(by, ..)| *by);
    closure.loaded[index].loader.or_else(asked)
}

/// One element of a search path with `$ORIGIN` replaced, without trailing slashes.
fn expands(element: &[u8], origin: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = element;
    while let Some(at) = memchr::memchr(b'$', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let taken = [&b"$ORIGIN"[..], b"${ORIGIN}"].into_iter().find(|token| rest.starts_with(token));
        let Some(token) = taken else {
            out.push(b'$');
            rest = &rest[1..];
            continue;
        };
        out.extend_from_slice(origin);
        rest = &rest[token.len()..];
    }
    out.extend_from_slice(rest);
    while out.len() > 1 && out.ends_with(b"/") {
        out.pop();
    }
    out
}

/// An image path as programs write it.
pub(super) fn slashed(path: &ImagePath) -> Vec<u8> {
    [b"/", path.as_bytes()].concat()
}

/// What makes the loader of the image find what lies elsewhere: glibc's cache, or musl's path file. `known` are the lines
/// of a cache that the image has from its base.
pub(super) fn configure(
    elsewhere: &Elsewhere,
    profile: &Profile,
    interpreter: &[u8],
    known: &[CacheLine],
    files: &mut FileSet,
) {
    let (Some(abi), Some(libc), false) = (elsewhere.abi, elsewhere.libc, elsewhere.names.is_empty()) else { return };
    let mut reason = Reason::new(CONFIGURATION, String::from_utf8_lossy(interpreter), Confidence::Proven);
    reason.evidence = elsewhere
        .names
        .iter()
        .map(|(name, path)| Evidence::new(crate::diag::escape(name), crate::diag::escape(path)))
        .collect();
    match libc {
        Libc::Glibc => {
            let Some(flags) = profile.cache_flags else { return };
            let line =
                |(name, path): (&Vec<u8>, &Vec<u8>)| CacheLine { name: name.clone(), path: path.clone(), hwcaps: None };
            let mut lines: Vec<CacheLine> = elsewhere.names.iter().map(line).collect();
            lines.extend(known.iter().filter(|known| !elsewhere.names.contains_key(&known.name)).cloned());
            if let (Ok(bytes), Ok(path)) = (LdCache::write(&lines, abi, flags), ImagePath::parse("etc/ld.so.cache")) {
                files.generate(path, bytes, reason);
            }
        }
        Libc::Musl => {
            let mut directories: Vec<Vec<u8>> = profile.default_directories.clone();
            for path in elsewhere.names.values() {
                let directory = path.iter().rposition(|b| *b == b'/').map_or(&b"/"[..], |at| &path[..at]).to_vec();
                if !directories.contains(&directory) {
                    directories.push(directory);
                }
            }
            let path = crate::analyze::loader::path_file(interpreter);
            if let Ok(path) = ImagePath::parse(path.strip_prefix(b"/").unwrap_or(&path)) {
                let mut text = directories.join(&b'\n');
                text.push(b'\n');
                files.generate(path, text, reason);
            }
        }
    }
}
