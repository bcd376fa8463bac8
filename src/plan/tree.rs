//! The image's paths while they are collected: conflicts are found here.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::base::{self, Fate};
use super::{Entry, EntryKind, Error, LayerPlan};
use crate::analyze::{Confidence, Reason};
use crate::oci::ImagePath;
use crate::rootfs::Root;

/// The layers of an image without base, from the bottom up: what changes least lies lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LayerName {
    /// What the programs need of their root: libraries, data.
    Runtime,
    /// Added and generated files, writable directories.
    Files,
    /// The programs.
    App,
}

impl LayerName {
    const ALL: [Self; 3] = [Self::Runtime, Self::Files, Self::App];

    const fn name(self) -> &'static str {
        match self {
            Self::Runtime => "runtime",
            Self::Files => "files",
            Self::App => "app",
        }
    }
}

/// Whose word counts for a directory that several sources want.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Claim {
    /// Any directory will do.
    Exists,
    /// As the source has it.
    Asis,
    /// The user must be able to write to it.
    Writable,
}

/// An entry with where it came from.
#[derive(Debug)]
pub(super) struct Placed {
    pub entry: Entry,
    layer: LayerName,
    claim: Claim,
    /// Who wants it, for messages.
    pub origin: String,
}

/// All entries by path.
#[derive(Default)]
pub(super) struct Tree {
    entries: BTreeMap<ImagePath, Placed>,
    /// The files of the base.
    base: Option<Arc<dyn Root>>,
    /// Files of the base that entries take the place of.
    replaced: Vec<ImagePath>,
}

impl Tree {
    /// No entries yet, on a base.
    pub fn on(base: Option<Arc<dyn Root>>) -> Self {
        Self { base, ..Self::default() }
    }

    /// The files of the base.
    pub fn base(&self) -> Option<&dyn Root> {
        self.base.as_deref()
    }

    /// Files of the base that something of the user's takes the place of.
    pub fn replaced(&self) -> &[ImagePath] {
        &self.replaced
    }

    /// Puts an entry at its path; on a base, where the base's links lead.
    pub fn place(&mut self, mut entry: Entry, layer: LayerName, claim: Claim, origin: &str) -> Result<(), Error> {
        let directory = matches!(entry.kind, EntryKind::Directory);
        if entry.path.is_root() {
            // The root directory is there anyway, and every runtime makes it itself.
            return if directory { Ok(()) } else { Err(Error::Root(origin.to_owned())) };
        }
        if entry.path.as_bytes().split(|b| *b == b'/').any(|name| name.starts_with(b".wh.")) {
            return Err(Error::Whiteout { path: entry.path, origin: origin.to_owned() });
        }
        if let Some(files) = &self.base {
            match base::fate(&**files, &entry.path, directory, claim == Claim::Writable, origin)? {
                Fate::There => return Ok(()),
                Fate::Here(path) => entry.path = path,
                Fate::Replaces(path) => {
                    if layer != LayerName::Runtime {
                        self.replaced.push(path.clone());
                    }
                    entry.path = path;
                }
            }
        }
        let new = Placed { entry, layer, claim, origin: origin.to_owned() };
        let Some(old) = self.entries.get_mut(&new.entry.path) else {
            self.entries.insert(new.entry.path.clone(), new);
            return Ok(());
        };
        let old_directory = matches!(old.entry.kind, EntryKind::Directory);
        let path = || new.entry.path.clone();
        let (first, second) = (old.origin.clone(), new.origin.clone());
        match (old_directory, directory) {
            (false, false) => return Err(Error::SamePath { path: path(), first, second }),
            (true, false) => return Err(Error::DirectoryOrNot { path: path(), directory: first, other: second }),
            (false, true) => return Err(Error::DirectoryOrNot { path: path(), directory: second, other: first }),
            (true, true) => {}
        }
        let attributes = |entry: &Entry| (entry.mode, entry.uid, entry.gid);
        if old.claim == new.claim && claim != Claim::Exists && attributes(&old.entry) != attributes(&new.entry) {
            return Err(Error::DirectoryAttributes { path: path(), first, second });
        }
        let layer = old.layer.min(new.layer);
        // Of two equal claims the smaller reason stays, so that the order of the sources does not matter.
        if new.claim > old.claim || (new.claim == old.claim && new.entry.reason < old.entry.reason) {
            *old = new;
        }
        old.layer = layer;
        Ok(())
    }

    /// The entry at a path.
    pub fn get(&self, path: &ImagePath) -> Option<&Entry> {
        self.entries.get(path).map(|placed| &placed.entry)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, path: &ImagePath) -> Option<&mut Entry> {
        self.entries.get_mut(path).map(|placed| &mut placed.entry)
    }

    /// All paths, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &ImagePath> {
        self.entries.keys()
    }

    /// Whether the path is an entry or a directory above one.
    pub fn contains(&self, path: &ImagePath) -> bool {
        // What lies below a directory comes directly after it.
        let next = self.entries.range((Bound::Included(path), Bound::Unbounded)).next();
        let of_base = || self.base.as_ref().is_some_and(|files| base::has(&**files, path));
        path.is_root() || next.is_some_and(|(found, _)| found.starts_with(path)) || of_base()
    }

    /// Checks that nothing lies below a file or link.
    pub fn check_parents(&self) -> Result<(), Error> {
        // What lies below a path comes directly after it.
        let mut last: Option<&Placed> = None;
        for (path, placed) in &self.entries {
            if let Some(above) = last.filter(|above| path.starts_with(&above.entry.path)) {
                return Err(Error::BelowFile {
                    path: path.clone(),
                    origin: placed.origin.clone(),
                    above: above.entry.path.clone(),
                    above_origin: above.origin.clone(),
                });
            }
            if !matches!(placed.entry.kind, EntryKind::Directory) {
                last = Some(placed);
            }
        }
        Ok(())
    }

    /// Splits into layers. Each states all directories above its entries, with the attributes they have in the whole
    /// image, so that a layer does not depend on the others and none takes back what another gave.
    pub fn into_layers(self) -> Vec<LayerPlan> {
        let layers = LayerName::ALL.into_iter().map(|layer| {
            let mut entries = BTreeMap::new();
            let mut parent = None;
            for (path, placed) in self.entries.iter().filter(|(_, placed)| placed.layer == layer) {
                // Entries of one directory follow each other, so most need no look at what is above.
                if parent != path.parent() {
                    for above in path.ancestors() {
                        // The base's own directories stay as they are.
                        let of_base = || self.base.as_ref().is_some_and(|files| base::has_directory(&**files, &above));
                        if !self.entries.contains_key(&above) && of_base() {
                            continue;
                        }
                        entries.entry(above.clone()).or_insert_with(|| self.directory_above(above, path));
                    }
                    parent = path.parent();
                }
                entries.insert(path.clone(), placed.entry.clone());
            }
            LayerPlan { name: layer.name().to_owned(), entries: entries.into_values().collect() }
        });
        layers.filter(|layer| !layer.entries.is_empty()).collect()
    }

    fn directory_above(&self, path: ImagePath, below: &ImagePath) -> Entry {
        if let Some(explicit) = self.entries.get(&path) {
            return explicit.entry.clone();
        }
        directory(path, 0o755, (0, 0), Reason::new("parent-directory", below.to_string(), Confidence::Proven))
    }
}

/// A directory entry.
pub(super) fn directory(path: ImagePath, mode: u32, (uid, gid): (u64, u64), reason: Reason) -> Entry {
    Entry { path, kind: EntryKind::Directory, mode, uid, gid, xattrs: BTreeMap::new(), owner: None, reason }
}
