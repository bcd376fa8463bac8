//! The last look at the paths of the image: each lies where the links of the image lead.

use std::sync::Arc;

use super::files::ImageFileKind;
use super::placed::slashed;
use super::walk::Walk;
use super::{ImageTree, findings};
use crate::diag::escape;
use crate::oci::ImagePath;
use crate::rootfs::{resolve, resolve_new};

impl Walk<'_> {
    /// Moves what lies below a link to where the link leads, and tells which links lead to nothing.
    pub(super) fn settle(&mut self) {
        let mut files = std::mem::take(&mut self.files).into_files();
        let is_link = |path: &ImagePath| matches!(files.get(path).map(|f| &f.kind), Some(ImageFileKind::Link(_)));
        let below: Vec<ImagePath> = files.keys().filter(|path| path.ancestors().iter().any(is_link)).cloned().collect();
        // Nearly always nothing does, and no copy is made.
        if !below.is_empty() {
            let tree = ImageTree::new(Arc::clone(&self.request.root), files.clone());
            for path in below {
                let Some(file) = files.remove(&path) else { continue };
                // A path through a file is one that nobody can open.
                if let Ok(to) = resolve_new(&tree, &path) {
                    files.entry(to).or_insert(file);
                }
            }
        }
        let tree = ImageTree::new(Arc::clone(&self.request.root), files);
        let programs: Vec<&ImagePath> = self.request.programs.iter().map(|program| &program.image).collect();
        let mut dangling = Vec::new();
        for (path, file) in tree.files() {
            let ImageFileKind::Link(_) = file.kind else { continue };
            let absent = matches!(resolve(&tree, path.as_bytes()), Ok(None));
            if absent && !self.leads_to(path, &programs) {
                dangling.push(escape(&slashed(path)));
            }
        }
        self.needs.diagnostics.extend(findings::dangling(&dangling));
        self.needs.files = tree.into_files();
    }

    /// Whether a link leads to a program of the request, which the plan places.
    fn leads_to(&self, link: &ImagePath, programs: &[&ImagePath]) -> bool {
        let found = resolve(self.root(), link.as_bytes()).ok().flatten();
        found.is_some_and(|found| programs.iter().any(|program| program.starts_with(&found.path)))
    }
}
