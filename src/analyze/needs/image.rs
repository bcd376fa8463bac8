//! The last check: the image as a root. Its loader must map the same files as that of the root it comes from.

use std::sync::Arc;

use super::files::{ImageFile, ImageFileKind};
use super::{ImageTree, Needs, NeedsRequest, Reason, placed};
use crate::analyze::Confidence;
use crate::analyze::loader::{Closure, Found, Target};
use crate::diag::{Code, Diagnostic, Evidence, Severity, escape};
use crate::oci::ImagePath;
use crate::rootfs::{Layered, Node, Root, RootError, resolve};

/// The loader would not find the same files in the image.
const DIFFERS: Code = Code("N003");

/// Compares every program's closure with what its loader would map in the image.
///
/// # Errors
/// [`RootError`] when the root cannot be read.
pub(super) fn check(request: &NeedsRequest, needs: &mut Needs) -> Result<(), RootError> {
    let mut files = needs.files.clone();
    for program in &request.programs {
        let Some(found) = resolve(&*request.root, &placed::slashed(&program.path))? else { continue };
        let Node::File { size, .. } = found.node else { continue };
        let kind = ImageFileKind::Copied { from: found.path, size };
        let reason = Reason::new("entrypoint", "PATH", Confidence::Asserted);
        files.insert(program.image.clone(), ImageFile { kind, executable: true, reason });
    }
    let tree = Arc::new(ImageTree::new(Arc::clone(&request.root), files));
    let whole: Arc<dyn Root> = match &request.base {
        Some(base) => Arc::new(Layered::new(Arc::clone(&tree) as Arc<dyn Root>, Arc::clone(base))?),
        None => Arc::clone(&tree) as Arc<dyn Root>,
    };
    let path = request.library_path.as_deref().unwrap_or_default();
    let target = Target::new(&*whole).with_library_path(path.as_bytes()).without_preload();
    let mut found = Vec::new();
    for process in &needs.processes {
        let Some(closure) = &process.closure else { continue };
        let differences = match target.closure(&process.image, None)? {
            Err(refusal) => vec![Evidence::new("in the image", refusal.to_string())],
            Ok(there) => differences(closure, process.startup, &there, &tree),
        };
        if !differences.is_empty() {
            let message = "the loader would not map the same files in the image";
            let finding = Diagnostic::new(DIFFERS, Severity::Error, escape(&process.image), message);
            found.push(finding.with_evidence(differences).with_hint(
                "name the directory of these libraries with `--env LD_LIBRARY_PATH=…`, or report this as a defect",
            ));
        }
    }
    needs.diagnostics.extend(found);
    Ok(())
}

/// Every name that leads elsewhere, or nowhere.
fn differences(root: &Closure, startup: usize, image: &Closure, tree: &ImageTree) -> Vec<Evidence> {
    let file = |path: &ImagePath| path.to_string();
    let there: Vec<String> = image
        .loaded
        .iter()
        .map(|l| tree.origin(&l.resolved.path).map_or_else(|| file(&l.resolved.path), file))
        .collect();
    let wanted: Vec<String> = root.loaded.iter().take(startup).map(|l| file(&l.resolved.path)).collect();
    let mut out = Vec::new();
    for (at, path) in wanted.iter().enumerate().filter(|(at, _)| root.loaded[*at].found != Found::Program) {
        if !there.contains(path) {
            out.push(Evidence::new("not mapped", escape(&root.loaded[at].path)));
        }
    }
    for path in there.iter().filter(|path| !wanted.contains(path)) {
        out.push(Evidence::new("mapped instead", path.clone()));
    }
    out
}
