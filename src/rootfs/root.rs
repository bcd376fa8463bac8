//! A read-only view of a file tree, and path resolution inside it.
//!
//! A root answers for single paths without following anything; [`resolve`] follows symbolic links by the rules of a
//! process whose `/` is the root: absolute targets start there again, `..` stops there. No path outside can be named.

use std::io::Read;
use std::sync::Arc;

use super::{Identity, RootError};
use crate::elf::Bytes;
use crate::limits;
use crate::oci::ImagePath;

/// What stands at a path, links not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Directory {
        /// Permission bits, `0o7777` at most.
        mode: u32,
    },
    /// A regular file.
    File {
        /// Size in bytes.
        size: u64,
        /// Permission bits, `0o7777` at most.
        mode: u32,
        /// The same value for hard links of one file, where the root can tell.
        inode: Option<(u64, u64)>,
    },
    /// A symbolic link and its target as written.
    Symlink(Vec<u8>),
    /// A device, FIFO or socket: never read.
    Special,
}

/// A file of a root, open for reading at any place.
pub type OpenFile = Arc<dyn Bytes + Send + Sync>;

/// A file tree in which things are looked up. All paths are relative to it and have no link in their directories.
pub trait Root: Send + Sync {
    /// What stands at `path`, or `None`.
    ///
    /// # Errors
    /// [`RootError::Read`] for anything but absence.
    fn node(&self, path: &ImagePath) -> Result<Option<Node>, RootError>;

    /// The names in a directory, sorted by bytes.
    ///
    /// # Errors
    /// [`RootError::Read`].
    fn read_dir(&self, path: &ImagePath) -> Result<Vec<Vec<u8>>, RootError>;

    /// Opens a regular file.
    ///
    /// # Errors
    /// [`RootError::Read`], [`RootError::NotRegular`].
    fn open(&self, path: &ImagePath) -> Result<OpenFile, RootError>;

    /// A stream of a regular file's bytes from `offset`.
    ///
    /// # Errors
    /// As [`Root::open`].
    fn stream(&self, path: &ImagePath, offset: u64) -> Result<Box<dyn Read + Send>, RootError>;

    /// The value of `security.capability` of a regular file; `None` when it has none, or when the root cannot tell.
    fn capabilities(&self, path: &ImagePath) -> Option<Vec<u8>> {
        let _ = path;
        None
    }

    /// What identifies the content of a regular file without reading it, where the root can tell.
    fn identity(&self, path: &ImagePath) -> Option<Identity> {
        let _ = path;
        None
    }
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The path without links.
    pub path: ImagePath,
    /// What stands there.
    pub node: Node,
    /// The links that were followed, in that order: an image needs them too.
    pub links: Vec<ImagePath>,
}

/// Follows `path` (as a program would write it, relative to `/` of the root) through all links. `None` when something
/// on the way is absent or not a directory.
///
/// # Errors
/// [`RootError::TooManyLinks`] beyond [`limits::MAX_SYMLINKS`], [`RootError::PathTooLong`], [`RootError::Read`].
pub fn resolve(root: &dyn Root, path: &[u8]) -> Result<Option<Resolved>, RootError> {
    // Parts still to walk, the next one last.
    let mut open: Vec<Vec<u8>> = parts(path)?;
    let mut at = ImagePath::root();
    let mut node = Node::Directory { mode: 0o755 };
    let mut links = Vec::new();
    while let Some(part) = open.pop() {
        if !matches!(node, Node::Directory { .. }) {
            return Ok(None);
        }
        if part == b".." {
            at = at.parent().unwrap_or_else(ImagePath::root);
            continue;
        }
        let next = at.join(&part).map_err(|_| RootError::PathTooLong)?;
        match root.node(&next)? {
            None => return Ok(None),
            Some(Node::Symlink(target)) => follow(&mut links, next, &target, &mut open, &mut at)?,
            Some(found) => {
                at = next;
                node = found;
            }
        }
    }
    Ok(Some(Resolved { path: at, node, links }))
}

/// Where something that is put at `path` lands: links in its directories are followed, what is absent on the way counts
/// as a directory to be made, and its last part is taken as it stands.
///
/// # Errors
/// [`RootError::NotADirectory`] when something else is on the way; as [`resolve`].
pub(crate) fn resolve_new(root: &dyn Root, path: &ImagePath) -> Result<ImagePath, RootError> {
    let mut open: Vec<Vec<u8>> = match path.parent() {
        Some(parent) => parts(parent.as_bytes())?,
        None => return Ok(ImagePath::root()),
    };
    let mut at = ImagePath::root();
    let mut links = Vec::new();
    while let Some(part) = open.pop() {
        if part == b".." {
            at = at.parent().unwrap_or_else(ImagePath::root);
            continue;
        }
        let next = at.join(&part).map_err(|_| RootError::PathTooLong)?;
        match root.node(&next)? {
            Some(Node::Symlink(target)) => follow(&mut links, next, &target, &mut open, &mut at)?,
            None | Some(Node::Directory { .. }) => at = next,
            Some(_) => return Err(RootError::NotADirectory(next)),
        }
    }
    at.join(path.file_name()).map_err(|_| RootError::PathTooLong)
}

/// Takes the step through the link `next`.
fn follow(
    links: &mut Vec<ImagePath>,
    next: ImagePath,
    target: &[u8],
    open: &mut Vec<Vec<u8>>,
    at: &mut ImagePath,
) -> Result<(), RootError> {
    if links.len() == limits::MAX_SYMLINKS {
        return Err(RootError::TooManyLinks(next));
    }
    if target.first() == Some(&b'/') {
        *at = ImagePath::root();
    }
    open.extend(parts(target)?);
    links.push(next);
    Ok(())
}

/// The parts of a path, last first, without empty ones and `.`.
fn parts(path: &[u8]) -> Result<Vec<Vec<u8>>, RootError> {
    if path.len() > limits::MAX_PATH_BYTES {
        return Err(RootError::PathTooLong);
    }
    let part = |p: &&[u8]| !p.is_empty() && *p != b".";
    Ok(path.split(|b| *b == b'/').filter(part).map(<[u8]>::to_vec).rev().collect())
}

/// Reads a regular file whole.
///
/// # Errors
/// [`RootError::TooLarge`] beyond `limit`, and as [`Root::open`].
pub fn read_whole(root: &dyn Root, path: &ImagePath, limit: u64) -> Result<Vec<u8>, RootError> {
    let file = root.open(path)?;
    let size = file.len();
    let len = usize::try_from(size).ok().filter(|_| size <= limit);
    let len = len.ok_or_else(|| RootError::TooLarge { path: path.clone(), size, limit })?;
    let changed = || RootError::Read {
        path: path.clone(),
        root: String::new(),
        source: std::io::ErrorKind::UnexpectedEof.into(),
    };
    Ok(file.read_at(0, len).ok_or_else(changed)?.into_owned())
}
