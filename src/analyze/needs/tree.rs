//! The image as a root, before it is made: what its own loader would see.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::ops::Bound;
use std::sync::Arc;

use super::files::{ImageFile, ImageFileKind};
use crate::oci::ImagePath;
use crate::rootfs::{Node, OpenFile, Root, RootError};

/// The paths that the image will have, with their contents where they lie now.
pub struct ImageTree {
    root: Arc<dyn Root>,
    files: BTreeMap<ImagePath, ImageFile>,
}

impl ImageTree {
    /// The image of these files, copied ones from `root`.
    #[must_use]
    pub const fn new(root: Arc<dyn Root>, files: BTreeMap<ImagePath, ImageFile>) -> Self {
        Self { root, files }
    }

    /// All paths, sorted.
    #[must_use]
    pub const fn files(&self) -> &BTreeMap<ImagePath, ImageFile> {
        &self.files
    }

    /// The same as a value of its own.
    #[must_use]
    pub fn into_files(self) -> BTreeMap<ImagePath, ImageFile> {
        self.files
    }

    /// The file of the root that a path of the image is a copy of.
    #[must_use]
    pub fn origin(&self, path: &ImagePath) -> Option<&ImagePath> {
        match self.files.get(path).map(|file| &file.kind) {
            Some(ImageFileKind::Copied { from, .. }) => Some(from),
            _ => None,
        }
    }

    fn has_below(&self, path: &ImagePath) -> bool {
        let next = self.files.range((Bound::Excluded(path), Bound::Unbounded)).next();
        path.is_root() || next.is_some_and(|(found, _)| found.starts_with(path))
    }

    fn absent(path: &ImagePath) -> RootError {
        let source = std::io::ErrorKind::NotFound.into();
        RootError::Read { path: path.clone(), root: "the image".to_owned(), source }
    }
}

impl Root for ImageTree {
    fn node(&self, path: &ImagePath) -> Result<Option<Node>, RootError> {
        let mode = |executable| if executable { 0o755 } else { 0o644 };
        Ok(match self.files.get(path) {
            Some(file) => Some(match &file.kind {
                ImageFileKind::Copied { size, .. } => {
                    Node::File { size: *size, mode: mode(file.executable), inode: None }
                }
                ImageFileKind::Generated(bytes) => {
                    Node::File { size: bytes.len() as u64, mode: mode(file.executable), inode: None }
                }
                ImageFileKind::Link(target) => Node::Symlink(target.clone()),
                ImageFileKind::Directory => Node::Directory { mode: 0o755 },
            }),
            None => self.has_below(path).then_some(Node::Directory { mode: 0o755 }),
        })
    }

    fn read_dir(&self, path: &ImagePath) -> Result<Vec<Vec<u8>>, RootError> {
        let mut names: Vec<Vec<u8>> = Vec::new();
        for found in self.files.keys().filter(|found| *found != path && found.starts_with(path)) {
            let below = &found.as_bytes()[if path.is_root() { 0 } else { path.as_bytes().len() + 1 }..];
            let name = below.split(|b| *b == b'/').next().unwrap_or_default();
            if names.last().map(Vec::as_slice) != Some(name) {
                names.push(name.to_vec());
            }
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn open(&self, path: &ImagePath) -> Result<OpenFile, RootError> {
        match self.files.get(path).map(|file| &file.kind) {
            Some(ImageFileKind::Copied { from, .. }) => self.root.open(from),
            Some(ImageFileKind::Generated(bytes)) => Ok(Arc::new(bytes.clone())),
            Some(_) => Err(RootError::NotRegular(path.clone())),
            None => Err(Self::absent(path)),
        }
    }

    fn stream(&self, path: &ImagePath, offset: u64) -> Result<Box<dyn Read + Send>, RootError> {
        match self.files.get(path).map(|file| &file.kind) {
            Some(ImageFileKind::Copied { from, .. }) => self.root.stream(from, offset),
            Some(ImageFileKind::Generated(bytes)) => {
                let mut cursor = Cursor::new(bytes.clone());
                cursor.set_position(offset);
                Ok(Box::new(cursor))
            }
            Some(_) => Err(RootError::NotRegular(path.clone())),
            None => Err(Self::absent(path)),
        }
    }
}
