//! Directories of the root, with all that lies in them.

use globset::GlobSet;

use super::files::{FileSet, ImageFileKind};
use super::placed::slashed;
use super::{NeedsRequest, local};
use crate::analyze::Reason;
use crate::diag::escape;
use crate::limits;
use crate::oci::ImagePath;
use crate::rootfs::{Node, Resolved, RootError};

/// What was taken.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Regular files, by their paths in root and image.
    pub files: Vec<ImagePath>,
    /// Bytes of them.
    pub size: u64,
    /// The bound was reached: not all is there.
    pub cut_off: bool,
    /// What was left out because it belongs to this machine alone, for people.
    pub local: Vec<String>,
    /// What was left out because not everyone may read it in the root, for people.
    pub private: Vec<String>,
}

/// Which parts of a tree are taken.
pub(super) struct Wish<'a> {
    /// Globs of file names; `None` for all.
    pub only: Option<&'a GlobSet>,
    /// Paths below the top that are left out with all that lies in them.
    pub except: &'a [&'a [u8]],
}

/// Takes the directory at `top` (links resolved) with all below it. Links in it stay links; what they lead to outside of it
/// comes along.
pub(super) fn take(
    request: &NeedsRequest,
    top: &Resolved,
    wish: &Wish<'_>,
    reason: &Reason,
    set: &mut FileSet,
) -> Result<Taken, RootError> {
    let root = &*request.root;
    let mut out = Taken::default();
    set.links(root, top, reason)?;
    let mut open = vec![top.path.clone()];
    let mut seen = 0;
    while let Some(directory) = open.pop() {
        let names = match root.read_dir(&directory) {
            Ok(names) => names,
            Err(error) if error.hides() => continue,
            Err(error) => return Err(error),
        };
        if names.is_empty() && wish.only.is_none() {
            set.put(directory.clone(), ImageFileKind::Directory, true, reason.clone());
        }
        for name in names {
            seen += 1;
            if seen > limits::MAX_NEEDED_TREE_ENTRIES {
                out.cut_off = true;
                return Ok(out);
            }
            let Ok(path) = directory.join(&name) else { continue };
            let below = path.as_bytes().get(top.path.as_bytes().len()..).unwrap_or_default();
            let below = below.strip_prefix(b"/").unwrap_or(below);
            if wish.except.contains(&below) {
                continue;
            }
            let wanted = wish.only.is_none_or(|only| only.is_match(as_path(&name)));
            let node = root.node(&path)?;
            let local = match &node {
                Some(Node::File { .. }) => wanted && !local::may_copy(request, &path)?,
                Some(Node::Symlink(_)) => wanted && local::is_local(request, &path),
                _ => false,
            };
            if local {
                out.local.push(escape(&slashed(&path)));
                continue;
            }
            if wanted && node.as_ref().is_some_and(local::is_private) {
                out.private.push(escape(&slashed(&path)));
                continue;
            }
            match node {
                Some(Node::Directory { .. }) if local::is_volatile(&path) => {}
                Some(Node::Directory { .. }) => open.push(path),
                Some(node @ Node::File { .. }) if wanted => {
                    if let Node::File { size, .. } = &node {
                        out.size += size;
                    }
                    let resolved = Resolved { path: path.clone(), node, links: Vec::new() };
                    set.copy(path.clone(), &resolved, reason);
                    out.files.push(path);
                }
                Some(Node::Symlink(target)) if wanted => link(request, &path, target, reason, set, &mut out)?,
                _ => {}
            }
        }
    }
    out.files.sort();
    Ok(out)
}

/// A link, when it leads to something; a file that it leads to comes along.
fn link(
    request: &NeedsRequest,
    path: &ImagePath,
    target: Vec<u8>,
    reason: &Reason,
    set: &mut FileSet,
    out: &mut Taken,
) -> Result<(), RootError> {
    let root = &*request.root;
    let found = match crate::rootfs::resolve(root, path.as_bytes()) {
        Ok(found) => found,
        Err(RootError::TooManyLinks(_) | RootError::PathTooLong) => None,
        Err(error) if error.hides() => None,
        Err(error) => return Err(error),
    };
    let Some(found) = found else { return Ok(()) };
    match &found.node {
        Node::File { .. } if !local::may_copy(request, &found.path)? => {
            out.local.push(escape(&slashed(path)));
            Ok(())
        }
        node @ Node::File { .. } if local::is_private(node) => {
            out.private.push(escape(&slashed(path)));
            Ok(())
        }
        Node::File { size, .. } => {
            if !set.contains(&found.path) {
                out.size += size;
                out.files.push(found.path.clone());
            }
            set.take_resolved(root, &found, reason)
        }
        Node::Directory { .. } => {
            set.put(path.clone(), ImageFileKind::Link(target), false, reason.clone());
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A file name for the glob matcher.
fn as_path(name: &[u8]) -> &std::path::Path {
    use std::os::unix::ffi::OsStrExt;
    std::path::Path::new(std::ffi::OsStr::from_bytes(name))
}
