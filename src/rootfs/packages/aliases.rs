//! Directories that are links (the merge of `/usr`, `/var/run`): one file has a name through each of them.

use std::borrow::Cow;

use super::super::{Node, Root, RootError, resolve};
use crate::oci::ImagePath;

/// Directories whose own entries are looked at: where distributions have put links in place of directories.
const PARENTS: [&[u8]; 3] = [b"", b"usr", b"var"];

/// Links to directories and the directories that they mean, without leading slash.
#[derive(Debug, Default)]
pub(super) struct Aliases(Vec<(Vec<u8>, Vec<u8>)>);

impl Aliases {
    /// Reads those of a root.
    pub(super) fn read(root: &dyn Root) -> Result<Self, RootError> {
        let mut found = Vec::new();
        for parent in PARENTS {
            let Ok(parent) = ImagePath::parse(parent) else { continue };
            if !matches!(root.node(&parent)?, Some(Node::Directory { .. })) {
                continue;
            }
            let names = match root.read_dir(&parent) {
                Err(error) if error.hides() => continue,
                names => names?,
            };
            for name in names {
                let Ok(path) = parent.join(&name) else { continue };
                if !matches!(root.node(&path)?, Some(Node::Symlink(_))) {
                    continue;
                }
                let target = match resolve(root, path.as_bytes()) {
                    Err(RootError::TooManyLinks(_) | RootError::PathTooLong) => None,
                    target => target?,
                };
                if let Some(target) = target.filter(|t| matches!(t.node, Node::Directory { .. })) {
                    found.push(([path.as_bytes(), b"/"].concat(), target.path.as_bytes().to_vec()));
                }
            }
        }
        Ok(Self(found))
    }

    /// The one name of `path` (without leading slash) that has no such link in its directories.
    pub(super) fn real<'a>(&self, path: &'a [u8]) -> Cow<'a, [u8]> {
        let through = self.0.iter().find_map(|(link, target)| Some((path.strip_prefix(link.as_slice())?, target)));
        match through {
            None => Cow::Borrowed(path),
            Some((rest, target)) if target.is_empty() => Cow::Borrowed(rest),
            Some((rest, target)) => Cow::Owned([target, b"/".as_slice(), rest].concat()),
        }
    }
}
