//! The symbol-version check that glibc makes before a program starts (`_dl_check_map_versions` in elf/dl-version.c).

use std::collections::{HashMap, HashSet};

use super::{Closure, Libc};

/// A version that the chosen library does not provide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionProblem {
    /// Index of the object that demands it.
    pub by: usize,
    /// Index of the library that was chosen; `None` when no loaded object has the recorded name.
    pub library: Option<usize>,
    /// The library's name as recorded at link time.
    pub name: Vec<u8>,
    /// The version.
    pub version: Vec<u8>,
}

/// Every demanded version that is not provided; musl checks none. Weak demands and libraries without version definitions are no problem.
#[must_use]
pub fn check_versions(closure: &Closure) -> Vec<VersionProblem> {
    let mut problems = Vec::new();
    if closure.libc == Libc::Musl {
        return problems;
    }
    // Looked up once for each name: a hostile file demands tens of thousands of versions.
    let mut libraries: HashMap<&[u8], Option<usize>> = HashMap::new();
    let mut defined: HashMap<usize, HashSet<&[u8]>> = HashMap::new();
    for (by, loaded) in closure.loaded.iter().enumerate() {
        for need in loaded.object.needed_versions.iter().filter(|n| !n.weak) {
            let library = *libraries.entry(&need.library).or_insert_with(|| {
                closure.loaded.iter().position(|l| {
                    l.names.contains(&need.library) || l.object.soname.as_deref() == Some(need.library.as_slice())
                })
            });
            let provided = match library.map(|i| (i, &closure.loaded[i].object.defined_versions)) {
                // Reported as a missing library already.
                None => closure.missing.iter().any(|m| m.name == need.library),
                Some((_, None)) => true,
                Some((index, Some(versions))) => defined
                    .entry(index)
                    .or_insert_with(|| versions.iter().map(Vec::as_slice).collect())
                    .contains(need.version.as_slice()),
            };
            if !provided {
                problems.push(VersionProblem {
                    by,
                    library,
                    name: need.library.clone(),
                    version: need.version.clone(),
                });
            }
        }
    }
    problems
}
