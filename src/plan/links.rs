//! Where symbolic links of added directories lead.
//!
//! A relative link must stay within the directory that was added: at no component may it climb above the added
//! directory's root, also by way of other links. An absolute link is resolved from the root of the image and must
//! name a path that the image has, or one that exists only at run time (`/dev`, `/proc`, `/run`, `/sys`, volumes and
//! writable directories).

use std::collections::VecDeque;

use super::tree::Tree;
use super::{EntryKind, Error};
use crate::oci::ImagePath;
use crate::{diag, limits};

/// A symbolic link to check once the whole tree is known.
#[derive(Debug)]
pub(super) struct Link {
    pub path: ImagePath,
    pub target: Vec<u8>,
    /// The root of the added directory in the image.
    pub bound: ImagePath,
    pub origin: String,
    /// The addition it belongs to, under which findings are gathered.
    pub addition: String,
}

/// Whether the link leads somewhere in the image; `false` is worth a finding.
pub(super) fn check(tree: &Tree, link: &Link, runtime: &[ImagePath]) -> Result<bool, Error> {
    let refuse = |reason| Error::EscapingLink {
        path: link.path.clone(),
        target: diag::escape(&link.target),
        origin: link.origin.clone(),
        reason,
    };
    let resolved = resolve(tree, link).map_err(refuse)?;
    let Some(destination) = resolved else { return Ok(false) };
    let mount = |name: &str| destination.as_bytes().split(|b| *b == b'/').next() == Some(name.as_bytes());
    let at_run_time = ["dev", "proc", "run", "sys"].into_iter().any(mount)
        || runtime.iter().any(|directory| destination.starts_with(directory));
    if tree.contains(&destination) || at_run_time {
        return Ok(true);
    }
    if link.target.starts_with(b"/") {
        return Err(refuse("names a path that is not in the image"));
    }
    Ok(false)
}

/// Where a path of the image leads, whether something is there or not; `None` for a loop or a path that leads out.
pub(super) fn destination(tree: &Tree, path: &ImagePath) -> Option<ImagePath> {
    let target = [b"/", path.as_bytes()].concat();
    let (root, nobody) = (ImagePath::root(), String::new());
    let link = Link { path: root.clone(), target, bound: root, origin: nobody.clone(), addition: nobody };
    resolve(tree, &link).ok().flatten()
}

/// The path a link leads to, whether it exists or not; `None` for a loop.
fn resolve(tree: &Tree, link: &Link) -> Result<Option<ImagePath>, &'static str> {
    let depth = |path: &ImagePath| path.as_bytes().split(|b| *b == b'/').filter(|name| !name.is_empty()).count();
    let mut floor = depth(&link.bound);
    let mut here = link.path.parent().unwrap_or_else(ImagePath::root);
    let mut pending = VecDeque::new();
    let mut follow = |target: &[u8], here: &mut ImagePath, pending: &mut VecDeque<Vec<u8>>| {
        if target.starts_with(b"/") {
            *here = ImagePath::root();
            floor = 0;
        }
        for name in target.split(|b| *b == b'/').rev() {
            pending.push_front(name.to_vec());
        }
        floor
    };
    let mut lowest = follow(&link.target, &mut here, &mut pending);
    let mut followed = 0;
    while let Some(name) = pending.pop_front() {
        match name.as_slice() {
            b"" | b"." => {}
            b".." if depth(&here) <= lowest && lowest == 0 => return Err("leads above the root of the image"),
            b".." if depth(&here) <= lowest => return Err("leads out of the directory that is added"),
            b".." => here = here.parent().unwrap_or_else(ImagePath::root),
            name => {
                let next = here.join(name).map_err(|_| "is no path of an image")?;
                let Some(EntryKind::Symlink(target)) = tree.get(&next).map(|entry| &entry.kind) else {
                    here = next;
                    continue;
                };
                followed += 1;
                if followed > limits::MAX_SYMLINKS || pending.len() > limits::MAX_PATH_BYTES {
                    return Ok(None);
                }
                lowest = follow(target, &mut here, &mut pending);
            }
        }
    }
    Ok(Some(here))
}
