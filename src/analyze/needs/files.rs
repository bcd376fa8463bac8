//! Paths of the image that come out of the root, or that the analyzer makes itself.

use std::collections::BTreeMap;

use super::Reason;
use crate::oci::ImagePath;
use crate::rootfs::{Node, Resolved, Root, RootError, resolve};

/// A path of the image besides the programs and what the user adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFile {
    /// What it is.
    pub kind: ImageFileKind,
    /// Whether any execute bit is set.
    pub executable: bool,
    /// Why it is there.
    pub reason: Reason,
}

/// What a path of the image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageFileKind {
    /// A regular file of the root.
    Copied {
        /// Its path in the root, without links.
        from: ImagePath,
        /// Size in bytes.
        size: u64,
    },
    /// A symbolic link with its target as written.
    Link(Vec<u8>),
    /// A directory that must be there even when nothing lies in it.
    Directory,
    /// Content that the analyzer made.
    Generated(Vec<u8>),
}

/// The paths of the image while they are collected.
#[derive(Debug, Clone, Default)]
pub struct FileSet {
    files: BTreeMap<ImagePath, ImageFile>,
}

impl From<BTreeMap<ImagePath, ImageFile>> for FileSet {
    fn from(files: BTreeMap<ImagePath, ImageFile>) -> Self {
        Self { files }
    }
}

impl FileSet {
    /// All paths, sorted, as a value of its own.
    #[must_use]
    pub fn into_files(self) -> BTreeMap<ImagePath, ImageFile> {
        self.files
    }

    /// All paths, sorted.
    #[must_use]
    pub const fn files(&self) -> &BTreeMap<ImagePath, ImageFile> {
        &self.files
    }

    /// Takes `path` of the root to the same path of the image, with all links on the way. `None` when nothing is there.
    /// What is there already keeps its first reason.
    ///
    /// # Errors
    /// [`RootError`] when the root cannot be read.
    pub fn take(&mut self, root: &dyn Root, path: &[u8], reason: &Reason) -> Result<Option<Resolved>, RootError> {
        let Some(resolved) = resolve(root, path)? else { return Ok(None) };
        self.take_resolved(root, &resolved, reason)?;
        Ok(Some(resolved))
    }

    /// The same for a path whose links are known.
    ///
    /// # Errors
    /// As [`FileSet::take`].
    pub fn take_resolved(&mut self, root: &dyn Root, resolved: &Resolved, reason: &Reason) -> Result<(), RootError> {
        self.links(root, resolved, reason)?;
        self.copy(resolved.path.clone(), resolved, reason);
        Ok(())
    }

    /// Takes the links that lead to a path, and not what lies there.
    ///
    /// # Errors
    /// As [`FileSet::take`].
    pub fn links(&mut self, root: &dyn Root, resolved: &Resolved, reason: &Reason) -> Result<(), RootError> {
        for link in &resolved.links {
            if let Some(Node::Symlink(target)) = root.node(link)? {
                self.put(link.clone(), ImageFileKind::Link(target), false, reason.clone());
            }
        }
        Ok(())
    }

    /// Takes what `resolved` leads to, to another path of the image.
    pub fn copy(&mut self, to: ImagePath, resolved: &Resolved, reason: &Reason) {
        match &resolved.node {
            Node::File { size, mode, .. } => {
                let kind = ImageFileKind::Copied { from: resolved.path.clone(), size: *size };
                self.put(to, kind, mode & 0o111 != 0, reason.clone());
            }
            Node::Directory { .. } => self.put(to, ImageFileKind::Directory, true, reason.clone()),
            Node::Symlink(_) | Node::Special => {}
        }
    }

    /// Content that the analyzer made.
    pub fn generate(&mut self, path: ImagePath, bytes: Vec<u8>, reason: Reason) {
        self.put(path, ImageFileKind::Generated(bytes), false, reason);
    }

    /// A link that the analyzer makes.
    pub fn link(&mut self, path: ImagePath, target: &[u8], reason: Reason) {
        self.put(path, ImageFileKind::Link(target.to_vec()), false, reason);
    }

    /// Bytes of all regular files.
    #[must_use]
    pub fn size(&self) -> u64 {
        let size = |file: &ImageFile| match &file.kind {
            ImageFileKind::Copied { size, .. } => *size,
            ImageFileKind::Generated(bytes) => bytes.len() as u64,
            ImageFileKind::Link(_) | ImageFileKind::Directory => 0,
        };
        self.files.values().map(size).sum()
    }

    /// Whether the path is taken.
    #[must_use]
    pub fn contains(&self, path: &ImagePath) -> bool {
        self.files.contains_key(path)
    }

    pub(super) fn put(&mut self, path: ImagePath, kind: ImageFileKind, executable: bool, reason: Reason) {
        if !path.is_root() {
            self.files.entry(path).or_insert(ImageFile { kind, executable, reason });
        }
    }
}
