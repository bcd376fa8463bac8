//! Entries for what the analyzer found that the programs need.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::build::file;
use super::tree::{Claim, LayerName, Tree, directory};
use super::{Entry, EntryKind, Error, FileContent, PackageOwner};
use crate::analyze::needs::{ImageFileKind, Needs};
use crate::blob::RootSource;
use crate::oci::ImagePath;
use crate::rootfs::Root;

/// What the programs need, and the root it comes from.
#[derive(Clone)]
pub struct Found {
    /// The root.
    pub root: Arc<dyn Root>,
    /// The needs.
    pub needs: Needs,
    /// Packages by the paths of the root that they own.
    pub owners: BTreeMap<ImagePath, PackageOwner>,
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found").field("needs", &self.needs).field("owners", &self.owners).finish_non_exhaustive()
    }
}

/// Places all files that are needed. A file that the user gave stays.
pub(super) fn place(found: &Found, tree: &mut Tree) -> Result<(), Error> {
    for (path, needed) in &found.needs.files {
        let given = tree.get(path).is_some_and(|entry| !matches!(entry.kind, EntryKind::Directory));
        if given {
            continue;
        }
        let reason = needed.reason.clone();
        let mode = if needed.executable { 0o755 } else { 0o644 };
        let mut claim = Claim::Asis;
        let mut entry = match &needed.kind {
            ImageFileKind::Copied { from, size } => {
                let source = Arc::new(RootSource::new(Arc::clone(&found.root), from.clone()));
                let mut entry = file(path.clone(), FileContent::external(*size, source), mode, (0, 0), reason);
                entry.owner = found.owners.get(from).cloned();
                entry
            }
            ImageFileKind::Generated(bytes) => {
                file(path.clone(), FileContent::generated(bytes.clone()), mode, (0, 0), reason)
            }
            ImageFileKind::Link(target) => {
                Entry { kind: EntryKind::Symlink(target.clone()), ..directory(path.clone(), 0o777, (0, 0), reason) }
            }
            ImageFileKind::Directory => {
                claim = Claim::Exists;
                directory(path.clone(), 0o755, (0, 0), reason)
            }
        };
        if entry.owner.is_none() && !matches!(needed.kind, ImageFileKind::Generated(_)) {
            entry.owner = found.owners.get(path).cloned();
        }
        tree.place(entry, LayerName::Runtime, claim, "what the program needs")?;
    }
    Ok(())
}
