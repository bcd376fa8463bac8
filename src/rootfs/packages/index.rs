//! Which package has which path: some hundred thousand paths in a few milliseconds.

use std::hash::{DefaultHasher, Hasher};

use crate::limits;

/// A path of a package: its hash, where it stands in the text of the index, and the package's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    hash: u64,
    owner: u32,
    start: u32,
    len: u32,
}

/// All paths of all packages. A table sorted by hash takes less time to make than any map of paths.
#[derive(Debug, Default)]
pub(super) struct Index {
    text: Vec<u8>,
    entries: Vec<Entry>,
}

impl Index {
    /// Adds a path (without leading slash) of package number `owner`. `false` when the index is full.
    pub(super) fn add(&mut self, path: &[u8], owner: u32) -> bool {
        let full = self.entries.len() >= limits::MAX_PACKAGE_PATHS
            || self.text.len() + path.len() > limits::MAX_PACKAGE_PATHS_BYTES;
        let (Ok(start), Ok(len)) = (u32::try_from(self.text.len()), u32::try_from(path.len())) else { return false };
        if full {
            return false;
        }
        self.text.extend_from_slice(path);
        self.entries.push(Entry { hash: hash(path), owner, start, len });
        true
    }

    /// Must follow the last [`Index::add`].
    pub(super) fn finish(&mut self) {
        self.entries.sort_unstable();
    }

    /// The numbers of the packages that have `path`, each once, lowest first.
    pub(super) fn owners(&self, path: &[u8]) -> Vec<u32> {
        let wanted = hash(path);
        let first = self.entries.partition_point(|e| e.hash < wanted);
        let same = self.entries.iter().skip(first).take_while(|e| e.hash == wanted);
        let mut owners: Vec<u32> = same.filter(|e| self.path(e) == Some(path)).map(|e| e.owner).collect();
        owners.dedup();
        owners
    }

    fn path(&self, entry: &Entry) -> Option<&[u8]> {
        let start = usize::try_from(entry.start).ok()?;
        self.text.get(start..start.checked_add(usize::try_from(entry.len).ok()?)?)
    }
}

/// Hashes only choose where to look; paths are compared, so two of one hash do no harm.
fn hash(path: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(path);
    hasher.finish()
}
