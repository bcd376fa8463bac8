//! A library that the loader does not find may lie elsewhere in the root: where alternatives, scripts of packages or an
//! installer would have linked it from.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::analyze::loader::{Abi, Profile, Windows};
use crate::elf::LoaderView;
use crate::limits;
use crate::oci::ImagePath;
use crate::rootfs::{Node, Root, RootError, resolve};

/// Where libraries are kept, below which a search is worth its time.
const TOPS: [&[u8]; 13] = [
    b"/lib",
    b"/lib64",
    b"/lib32",
    b"/libx32",
    b"/usr/lib",
    b"/usr/lib64",
    b"/usr/lib32",
    b"/usr/libx32",
    b"/usr/local/lib",
    b"/usr/local/lib64",
    b"/opt",
    b"/usr/libexec",
    b"/usr/local",
];

/// What lies elsewhere under one name.
#[derive(Debug, Clone, Default)]
pub(super) struct Lying {
    /// Files that could be loaded, the nearest to the top first.
    pub usable: Vec<Vec<u8>>,
    /// Files of another machine, or that are no objects.
    pub others: Vec<Vec<u8>>,
    /// Libraries of the same stem under another version: `libssl.so.3` for `libssl.so.1.1`.
    pub versions: Vec<Vec<u8>>,
}

/// Looks for files of these names below the directories of libraries, as far as
/// [`limits::MAX_ELSEWHERE_LOOKUPS`] allows. What cannot be read is passed over.
pub(super) fn find(
    root: &dyn Root,
    profile: Option<&Profile>,
    abi: Abi,
    names: &BTreeSet<&[u8]>,
) -> Result<BTreeMap<Vec<u8>, Lying>, RootError> {
    let mut found: BTreeMap<Vec<u8>, Lying> = names.iter().map(|name| (name.to_vec(), Lying::default())).collect();
    let mut open = VecDeque::new();
    let mut seen = BTreeSet::new();
    let defaults = profile.into_iter().flat_map(|p| p.default_directories.iter().map(Vec::as_slice));
    for top in defaults.chain(TOPS) {
        if let Ok(Some(top)) = resolve(root, top)
            && seen.insert(top.path.clone())
        {
            open.push_back((top.path, 0));
        }
    }
    let mut left = limits::MAX_ELSEWHERE_LOOKUPS;
    while let Some((directory, depth)) = open.pop_front() {
        let entries = match root.read_dir(&directory) {
            Ok(entries) => entries,
            Err(RootError::Read { .. } | RootError::NotRegular(_)) => continue,
            Err(error) => return Err(error),
        };
        for name in entries {
            let Ok(path) = directory.join(&name) else { continue };
            let library = memchr::memmem::find(&name, b".so").is_some();
            if library {
                take(root, abi, &name, &path, &mut found)?;
                continue;
            }
            let Some(rest) = left.checked_sub(1) else { return Ok(found) };
            left = rest;
            // Variants for better processors are told apart, debug data is no library.
            if name == b"glibc-hwcaps" || name == b"debug" || depth == limits::MAX_ELSEWHERE_DEPTH {
                continue;
            }
            if matches!(root.node(&path), Ok(Some(Node::Directory { .. }))) && seen.insert(path.clone()) {
                open.push_back((path, depth + 1));
            }
        }
    }
    Ok(found)
}

fn take(
    root: &dyn Root,
    abi: Abi,
    name: &[u8],
    path: &ImagePath,
    found: &mut BTreeMap<Vec<u8>, Lying>,
) -> Result<(), RootError> {
    let full = [b"/", path.as_bytes()].concat();
    if let Some(lying) = found.get_mut(name) {
        let list = if is_usable(root, abi, &full)? { &mut lying.usable } else { &mut lying.others };
        if list.len() < limits::MAX_EVIDENCE {
            list.push(full);
        }
        return Ok(());
    }
    for (wanted, lying) in found.iter_mut() {
        // `libssl.so` or nothing: the development link itself is no version.
        if stem(name).is_some_and(|own| Some(own) == stem(wanted) && own.len() < name.len())
            && lying.versions.len() < limits::MAX_EVIDENCE
        {
            lying.versions.push(full.clone());
        }
    }
    Ok(())
}

/// The name up to and with `.so`.
fn stem(name: &[u8]) -> Option<&[u8]> {
    memchr::memmem::find(name, b".so").and_then(|at| name.get(..at + 3))
}

/// Whether the file is an object of this class and machine.
pub(super) fn is_usable(root: &dyn Root, abi: Abi, path: &[u8]) -> Result<bool, RootError> {
    Ok(abi_of(root, path)? == Some(abi))
}

/// Class and machine of an object; `None` for what is none, or is not there.
pub(super) fn abi_of(root: &dyn Root, path: &[u8]) -> Result<Option<Abi>, RootError> {
    let resolved = match resolve(root, path) {
        Ok(Some(resolved)) if matches!(resolved.node, Node::File { .. }) => resolved,
        Ok(_) | Err(RootError::TooManyLinks(_) | RootError::PathTooLong) => return Ok(None),
        Err(error) if error.hides() => return Ok(None),
        Err(error) => return Err(error),
    };
    let file = match root.open(&resolved.path) {
        Ok(file) => file,
        Err(error) if error.hides() => return Ok(None),
        Err(error) => return Err(error),
    };
    let view = LoaderView::parse(&Windows::new(&*file)).ok();
    Ok(view.map(|view| crate::analyze::loader::Object::from(view).abi))
}
