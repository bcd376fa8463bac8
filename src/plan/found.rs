//! Entries for what the analyzer found that the programs need.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::build::file;
use super::tree::{Claim, LayerName, Tree, directory};
use super::{Entry, EntryKind, Error, FileContent, PackageOwner, findings};
use crate::analyze::Confidence;
use crate::analyze::needs::{ImageFileKind, Needs};
use crate::blob::RootSource;
use crate::diag::Diagnostic;
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

/// Places all files that are needed. A file that the user gave stays; where a loader would have found another, it is told.
pub(super) fn place(found: &Found, tree: &mut Tree, told: &mut Vec<Diagnostic>) -> Result<(), Error> {
    let mut replaced = Vec::new();
    for (path, needed) in &found.needs.files {
        if let Some(given) = tree.get(path).filter(|entry| !matches!(entry.kind, EntryKind::Directory)) {
            // Certificates, accounts and the like are there to be replaced, what loaders map is not.
            if given.reason.rule == "user:add" && needed.reason.confidence == Confidence::Proven {
                replaced.push([b"/", path.as_bytes()].concat());
            }
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
    if !replaced.is_empty() {
        let message = "what is added takes the place of what the loader of the program maps or follows";
        let finding = findings::about_paths(findings::REPLACED, "add", message, "path", &replaced);
        told.push(finding.with_hint("the program was analyzed with the file of the root: add it at another path"));
    }
    Ok(())
}
