//! A root in memory: for generated trees and for tests of everything that looks things up.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::sync::Arc;

use super::{Node, OpenFile, Root, RootError};
use crate::oci::ImagePath;

/// What a path of the tree holds.
#[derive(Debug, Clone)]
enum Item {
    Directory,
    File(Arc<[u8]>, u32),
    Symlink(Vec<u8>),
}

/// A tree in memory; directories above an added path are made as needed.
#[derive(Debug, Clone, Default)]
pub struct MemoryRoot {
    items: BTreeMap<ImagePath, Item>,
}

impl MemoryRoot {
    /// An empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn put(&mut self, path: &ImagePath, item: Item) {
        for ancestor in path.ancestors() {
            self.items.entry(ancestor).or_insert(Item::Directory);
        }
        self.items.insert(path.clone(), item);
    }

    /// Adds a regular file.
    pub fn add_file(&mut self, path: &ImagePath, bytes: impl Into<Arc<[u8]>>, mode: u32) {
        self.put(path, Item::File(bytes.into(), mode));
    }

    /// Adds a symbolic link.
    pub fn add_symlink(&mut self, path: &ImagePath, target: &[u8]) {
        self.put(path, Item::Symlink(target.to_vec()));
    }

    /// Adds a directory.
    pub fn add_directory(&mut self, path: &ImagePath) {
        self.put(path, Item::Directory);
    }

    fn file(&self, path: &ImagePath) -> Result<Arc<[u8]>, RootError> {
        match self.items.get(path) {
            Some(Item::File(bytes, _)) => Ok(Arc::clone(bytes)),
            Some(_) => Err(RootError::NotRegular(path.clone())),
            None => Err(RootError::Read {
                path: path.clone(),
                root: "memory".to_owned(),
                source: std::io::ErrorKind::NotFound.into(),
            }),
        }
    }
}

impl Root for MemoryRoot {
    fn node(&self, path: &ImagePath) -> Result<Option<Node>, RootError> {
        if path.is_root() {
            return Ok(Some(Node::Directory { mode: 0o755 }));
        }
        Ok(self.items.get(path).map(|item| match item {
            Item::Directory => Node::Directory { mode: 0o755 },
            Item::File(bytes, mode) => Node::File { size: bytes.len() as u64, mode: *mode, inode: None },
            Item::Symlink(target) => Node::Symlink(target.clone()),
        }))
    }

    fn read_dir(&self, path: &ImagePath) -> Result<Vec<Vec<u8>>, RootError> {
        let inside = |p: &&ImagePath| p.parent().as_ref() == Some(path);
        let mut names: Vec<Vec<u8>> = self.items.keys().filter(inside).map(|p| p.file_name().to_vec()).collect();
        names.sort();
        Ok(names)
    }

    fn open(&self, path: &ImagePath) -> Result<OpenFile, RootError> {
        Ok(Arc::new(self.file(path)?.to_vec()))
    }

    fn stream(&self, path: &ImagePath, offset: u64) -> Result<Box<dyn Read + Send>, RootError> {
        let mut cursor = Cursor::new(self.file(path)?);
        cursor.set_position(offset);
        Ok(Box::new(cursor))
    }
}
