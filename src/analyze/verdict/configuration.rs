//! What a root's configuration of its loader says against itself. The loader believes its cache alone.

use std::collections::BTreeSet;

use super::{Judgement, codes, conf, elsewhere};
use crate::analyze::loader::{Abi, LdCache, Libc, Profile};
use crate::diag::{Diagnostic, Evidence, Severity, escape};
use crate::limits;
use crate::oci::ImagePath;
use crate::rootfs::{Node, Root, RootError, read_whole, resolve};

const CONF: &str = "/etc/ld.so.conf";
const CACHE: &str = "/etc/ld.so.cache";
const PRELOAD: &str = "/etc/ld.so.preload";

/// Findings about the root itself, the same for all of its programs: preloaded libraries, a cache that is damaged, that
/// does not know a directory of the configuration, or that knows files that are gone. musl has none of these.
///
/// # Errors
/// [`RootError`] when the root cannot be read.
pub fn configuration(root: &dyn Root, profile: &Profile, abi: Abi) -> Result<Judgement, RootError> {
    let mut out = Judgement::default();
    if profile.libc == Libc::Musl {
        return Ok(out);
    }
    preload(root, &mut out)?;
    let damaged = damaged(root, abi)?;
    if let Some(reason) = &damaged {
        out.say(
            Diagnostic::new(codes::BAD_CACHE, Severity::Warning, CACHE, format!("the cache counts as none: {reason}"))
                .with_hint("run `ldconfig -r ROOT`"),
        );
    }
    if let Some(cache) = &profile.cache {
        gone(root, profile, cache, &mut out)?;
    }
    unknown(root, profile, abi, &mut out)?;
    Ok(out)
}

fn preload(root: &dyn Root, out: &mut Judgement) -> Result<(), RootError> {
    let Some(text) = content(root, PRELOAD)? else { return Ok(()) };
    let lines = text.split(|b| *b == b'\n').map(|line| line.split(|b| *b == b'#').next().unwrap_or_default());
    let names = lines.flat_map(|line| line.split(|b| b.is_ascii_whitespace() || *b == b':')).filter(|n| !n.is_empty());
    let evidence: Vec<_> = names.take(limits::MAX_EVIDENCE).map(|n| Evidence::new("preloaded", escape(n))).collect();
    if !evidence.is_empty() {
        let message = "the root has libraries loaded into every program; they are not copied";
        out.say(
            Diagnostic::new(codes::PRELOAD, Severity::Warning, PRELOAD, message)
                .with_evidence(evidence)
                .with_hint("link the program with them if it needs them"),
        );
    }
    Ok(())
}

/// The content of a file of the configuration; one that may not be read is none for the loader either.
fn content(root: &dyn Root, path: &str) -> Result<Option<Vec<u8>>, RootError> {
    let found = resolve(root, path.as_bytes());
    let read = found.and_then(|found| match found.filter(|found| matches!(found.node, Node::File { .. })) {
        Some(found) => read_whole(root, &found.path, limits::MAX_LOADER_CONFIG_BYTES).map(Some),
        None => Ok(None),
    });
    match read {
        Ok(content) => Ok(content),
        Err(RootError::TooManyLinks(_)) => Ok(None),
        Err(error) if error.hides() => Ok(None),
        Err(error) => Err(error),
    }
}

fn damaged(root: &dyn Root, abi: Abi) -> Result<Option<String>, RootError> {
    let Some(bytes) = content(root, CACHE)? else {
        let there = resolve(root, CACHE.as_bytes()).ok().flatten();
        let is_file = there.is_some_and(|found| matches!(found.node, Node::File { .. }));
        return Ok(is_file.then(|| "it may not be read".to_owned()));
    };
    Ok(LdCache::parse(&bytes, abi.big_endian).err().map(|error| error.to_string()))
}

/// Entries for this machine whose files are not there.
fn gone(root: &dyn Root, profile: &Profile, cache: &LdCache, out: &mut Judgement) -> Result<(), RootError> {
    let mut evidence = Vec::new();
    let mut count = 0;
    let of_machine = cache.entries().filter(|(_, entry)| Some(entry.flags) == profile.cache_flags);
    for (_, entry) in of_machine.take(limits::MAX_CHECKED_CACHE_ENTRIES) {
        if place(root, &entry.path)?.is_none() {
            count += 1;
            if evidence.len() < limits::MAX_EVIDENCE {
                evidence.push(Evidence::new("not there", escape(&entry.path)));
            }
        }
    }
    if count > 0 {
        out.say(
            Diagnostic::new(
                codes::GONE_FROM_CACHE,
                Severity::Warning,
                CACHE,
                format!("{count} files of the cache are not in the root"),
            )
            .with_evidence(evidence)
            .with_hint("run `ldconfig -r ROOT`: the loader looks for such libraries in the default directories only"),
        );
    }
    Ok(())
}

/// Directories of the configuration that have libraries and that the cache does not know.
fn unknown(root: &dyn Root, profile: &Profile, abi: Abi, out: &mut Judgement) -> Result<(), RootError> {
    let mut known = BTreeSet::new();
    for directory in &profile.default_directories {
        known.extend(place(root, directory)?.map(|(path, _)| path));
    }
    let entries = profile.cache.iter().flat_map(LdCache::entries).filter(|(_, e)| Some(e.flags) == profile.cache_flags);
    let cached: BTreeSet<&[u8]> = entries.map(|(_, entry)| directory_of(&entry.path)).collect();
    for directory in cached {
        known.extend(place(root, directory)?.map(|(path, _)| path));
    }
    let mut evidence = Vec::new();
    for configured in conf::directories(root)? {
        let Some((path, Node::Directory { .. })) = place(root, &configured.path)? else { continue };
        if known.insert(path.clone()) && has_libraries(root, abi, &path)? && evidence.len() < limits::MAX_EVIDENCE {
            let file = format!("{}:{}", escape(&configured.file), configured.line);
            evidence.push(Evidence::new(file, escape(&configured.path)));
        }
    }
    if !evidence.is_empty() {
        let message = if profile.cache.is_some() {
            "the cache does not know all of the directories that it should be made of; the loader does not look there"
        } else {
            "there is no cache of the directories that are named here; the loader does not look there"
        };
        out.say(
            Diagnostic::new(codes::NOT_IN_CACHE, Severity::Warning, CONF, message)
                .with_evidence(evidence)
                .with_hint("run `ldconfig -r ROOT`"),
        );
    }
    Ok(())
}

fn directory_of(path: &[u8]) -> &[u8] {
    path.iter().rposition(|b| *b == b'/').map_or(&b""[..], |at| &path[..at])
}

/// Where a path leads, `None` when nowhere.
fn place(root: &dyn Root, path: &[u8]) -> Result<Option<(ImagePath, Node)>, RootError> {
    match resolve(root, path) {
        Ok(found) => Ok(found.map(|found| (found.path, found.node))),
        Err(RootError::TooManyLinks(_) | RootError::PathTooLong) => Ok(None),
        Err(error) if error.hides() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether `ldconfig` would find a library for this machine there.
fn has_libraries(root: &dyn Root, abi: Abi, directory: &ImagePath) -> Result<bool, RootError> {
    let names = match root.read_dir(directory) {
        Ok(names) => names,
        Err(error) if error.hides() => return Ok(false),
        Err(error) => return Err(error),
    };
    let is_library = |name: &&Vec<u8>| {
        (name.starts_with(b"lib") || name.starts_with(b"ld-")) && memchr::memmem::find(name, b".so").is_some()
    };
    for name in names.iter().filter(is_library).take(limits::MAX_EVIDENCE) {
        if elsewhere::is_usable(root, abi, &[b"/", directory.as_bytes(), b"/", name].concat())? {
            return Ok(true);
        }
    }
    Ok(false)
}
