//! A root with further symbolic links in it: those that a package's script would have made.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use super::{Identity, Node, OpenFile, Root, RootError};
use crate::oci::ImagePath;

/// A root and links that take the place of what it has at their paths.
pub struct Linked {
    lower: Arc<dyn Root>,
    links: BTreeMap<ImagePath, Vec<u8>>,
}

impl Linked {
    /// Links by path, each with its target as written. A link in a directory that the root does not have is out of reach.
    #[must_use]
    pub const fn new(lower: Arc<dyn Root>, links: BTreeMap<ImagePath, Vec<u8>>) -> Self {
        Self { lower, links }
    }
}

impl Root for Linked {
    fn node(&self, path: &ImagePath) -> Result<Option<Node>, RootError> {
        match self.links.get(path) {
            Some(target) => Ok(Some(Node::Symlink(target.clone()))),
            None => self.lower.node(path),
        }
    }

    fn read_dir(&self, path: &ImagePath) -> Result<Vec<Vec<u8>>, RootError> {
        let mut names = self.lower.read_dir(path)?;
        let inside = |link: &&ImagePath| link.parent().as_ref() == Some(path);
        names.extend(self.links.keys().filter(inside).map(|link| link.file_name().to_vec()));
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn open(&self, path: &ImagePath) -> Result<OpenFile, RootError> {
        self.lower.open(path)
    }

    fn stream(&self, path: &ImagePath, offset: u64) -> Result<Box<dyn Read + Send>, RootError> {
        self.lower.stream(path, offset)
    }

    fn capabilities(&self, path: &ImagePath) -> Option<Vec<u8>> {
        self.lower.capabilities(path)
    }

    fn identity(&self, path: &ImagePath) -> Option<Identity> {
        self.lower.identity(path)
    }
}
