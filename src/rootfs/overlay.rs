//! A root with more in it: a program of this machine, or whole trees, put at paths of another root.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Arc;

use super::root::resolve_new;
use super::{HostFile, Identity, Node, OpenFile, Root, RootError};
use crate::oci::ImagePath;

/// A lower root, seen through what is mounted in it. Directories above a mount exist.
///
/// What is mounted stays one file or tree, whatever lies below: no directory is merged with another.
pub struct Overlay {
    lower: Arc<dyn Root>,
    mounts: BTreeMap<ImagePath, Mount>,
    /// Directories above mounts, and the names that mounts need in them.
    above: BTreeMap<ImagePath, BTreeSet<Vec<u8>>>,
}

enum Mount {
    /// Held open: it stays the same file when another takes its path.
    File(Arc<HostFile>),
    Tree(Arc<dyn Root>),
}

/// What answers for a path, and the path in it.
enum Owner<'a> {
    File(&'a Arc<HostFile>),
    Root(&'a dyn Root, ImagePath),
    /// Nothing: the path leads through a file.
    Nobody,
}

impl Overlay {
    /// The lower root as it is.
    #[must_use]
    pub const fn new(lower: Arc<dyn Root>) -> Self {
        Self { lower, mounts: BTreeMap::new(), above: BTreeMap::new() }
    }

    /// Puts a file at `path`, in the place of a file or link there. Links in its directories are followed; gives where
    /// it landed.
    ///
    /// # Errors
    /// [`RootError::Occupied`] by a directory or another mount, [`RootError::NotADirectory`], and those of the root.
    pub fn mount_file(&mut self, path: &ImagePath, file: HostFile) -> Result<ImagePath, RootError> {
        let at = resolve_new(self, path)?;
        if self.mounts.contains_key(&at) || matches!(self.node(&at)?, Some(Node::Directory { .. })) {
            return Err(RootError::Occupied(at));
        }
        Ok(self.mount(at, Mount::File(Arc::new(file))))
    }

    /// Puts a tree at `path`, where nothing may be. Links in its directories are followed; gives where it landed.
    ///
    /// # Errors
    /// [`RootError::Occupied`], [`RootError::NotADirectory`], and those of the root.
    pub fn mount_tree(&mut self, path: &ImagePath, tree: Arc<dyn Root>) -> Result<ImagePath, RootError> {
        let at = resolve_new(self, path)?;
        if self.node(&at)?.is_some() {
            return Err(RootError::Occupied(at));
        }
        Ok(self.mount(at, Mount::Tree(tree)))
    }

    fn mount(&mut self, at: ImagePath, mount: Mount) -> ImagePath {
        let mut below = at.clone();
        while let Some(parent) = below.parent() {
            self.above.entry(parent.clone()).or_default().insert(below.file_name().to_vec());
            below = parent;
        }
        self.mounts.insert(at.clone(), mount);
        at
    }

    fn owner(&self, path: &ImagePath) -> Owner<'_> {
        let mut at = Some(path.clone());
        while let Some(candidate) = at {
            match self.mounts.get(&candidate) {
                Some(Mount::File(file)) if candidate == *path => return Owner::File(file),
                Some(Mount::File(_)) => return Owner::Nobody,
                Some(Mount::Tree(tree)) => return Owner::Root(&**tree, inside(path, &candidate)),
                None => at = candidate.parent(),
            }
        }
        Owner::Root(&*self.lower, path.clone())
    }

    fn absent(path: &ImagePath) -> RootError {
        let source = std::io::ErrorKind::NotFound.into();
        RootError::Read { path: path.clone(), root: "overlay".to_owned(), source }
    }
}

/// `path` as it is called in the tree mounted at `mount`, which lies above it.
fn inside(path: &ImagePath, mount: &ImagePath) -> ImagePath {
    let rest = path.as_bytes().get(mount.as_bytes().len()..).unwrap_or_default();
    // invariant: a part of a path that parses parses
    ImagePath::parse(rest).unwrap_or_else(|_| ImagePath::root())
}

/// The error of a mounted tree with the path that the overlay has.
fn outside(error: RootError, path: &ImagePath) -> RootError {
    match error {
        RootError::NotRegular(_) => RootError::NotRegular(path.clone()),
        other => other,
    }
}

impl Root for Overlay {
    fn node(&self, path: &ImagePath) -> Result<Option<Node>, RootError> {
        let found = match self.owner(path) {
            Owner::File(file) => {
                let metadata = file.metadata();
                return Ok(Some(Node::File {
                    size: metadata.len(),
                    mode: metadata.permissions().mode() & 0o7777,
                    inode: Some((metadata.dev(), metadata.ino())),
                }));
            }
            Owner::Root(root, path) => root.node(&path)?,
            Owner::Nobody => None,
        };
        Ok(found.or_else(|| self.above.contains_key(path).then_some(Node::Directory { mode: 0o755 })))
    }

    fn read_dir(&self, path: &ImagePath) -> Result<Vec<Vec<u8>>, RootError> {
        let (root, inner) = match self.owner(path) {
            Owner::File(_) => return Err(RootError::NotADirectory(path.clone())),
            Owner::Nobody => return Err(Self::absent(path)),
            Owner::Root(root, inner) => (root, inner),
        };
        let Some(mounted) = self.above.get(path) else {
            return root.read_dir(&inner);
        };
        let there = root.node(&inner)?.is_some();
        let mut names: BTreeSet<Vec<u8>> =
            if there { root.read_dir(&inner)?.into_iter().collect() } else { BTreeSet::new() };
        names.extend(mounted.iter().cloned());
        Ok(names.into_iter().collect())
    }

    fn open(&self, path: &ImagePath) -> Result<OpenFile, RootError> {
        match self.owner(path) {
            Owner::File(file) => Ok(Arc::clone(file) as OpenFile),
            Owner::Root(root, inner) => root.open(&inner).map_err(|e| outside(e, path)),
            Owner::Nobody => Err(Self::absent(path)),
        }
    }

    fn stream(&self, path: &ImagePath, offset: u64) -> Result<Box<dyn Read + Send>, RootError> {
        match self.owner(path) {
            Owner::File(file) => Ok(Box::new(FileStream { file: Arc::clone(file), offset })),
            Owner::Root(root, inner) => root.stream(&inner, offset).map_err(|e| outside(e, path)),
            Owner::Nobody => Err(Self::absent(path)),
        }
    }

    fn capabilities(&self, path: &ImagePath) -> Option<Vec<u8>> {
        match self.owner(path) {
            Owner::Root(root, inner) => root.capabilities(&inner),
            Owner::File(_) | Owner::Nobody => None,
        }
    }

    fn identity(&self, path: &ImagePath) -> Option<Identity> {
        match self.owner(path) {
            Owner::File(file) => file.identity(),
            Owner::Root(root, inner) => root.identity(&inner),
            Owner::Nobody => None,
        }
    }
}

/// A stream of a file that others read too.
struct FileStream {
    file: Arc<HostFile>,
    offset: u64,
}

impl Read for FileStream {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read_some_at(self.offset, into)?;
        self.offset += read as u64;
        Ok(read)
    }
}
