//! An image as a root: its layers, one over the other, read where they lie.
//!
//! Nothing is unpacked to files of its own. Each compressed layer is decompressed once, into a temporary file without a
//! name; one that is not compressed and lies on this machine is read in place. What stays in memory is an index: which
//! path is what, and where in which tar its bytes are. Every layer is verified against its digest and its diff ID first.
//!
//! Layers are applied as the image-spec says (layer.md, "Applying Changesets") and as runtimes do: directories of an
//! entry may be links of lower layers, which are followed inside of the image.

mod entries;
mod error;
mod file;
mod layer;
mod spool;
mod tree;

pub use error::Fault;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::Error;
use crate::blob::Layer;
use crate::limits;
use crate::observe::Observer;
use crate::oci::{Hasher, ImagePath};
use crate::rootfs::{Node, OpenFile, Root, RootError};
use file::{Archive, Content, ContentStream};
use tree::{Item, Tree};

/// How much an image may hold.
#[derive(Debug, Clone, Copy)]
pub struct RootLimits {
    /// Files and directories of all layers, also those that later layers hide.
    pub nodes: usize,
    /// Bytes of names, link targets and maps of sparse files.
    pub text_bytes: usize,
    /// Bytes that all layers unpack to.
    pub unpacked_bytes: u64,
}

impl Default for RootLimits {
    fn default() -> Self {
        Self {
            nodes: limits::MAX_ROOT_NODES,
            text_bytes: limits::MAX_ROOT_TEXT_BYTES,
            unpacked_bytes: limits::MAX_ROOT_UNPACKED_BYTES,
        }
    }
}

/// The files of an image.
pub struct ImageRoot {
    shown: String,
    /// Stands for the device of the files: a hash of the image's diff IDs.
    device: u64,
    archives: Vec<Archive>,
    limits: RootLimits,
    tree: Tree,
}

impl ImageRoot {
    /// Reads and verifies the layers, from the bottom up. Blocks. Temporary files are made in `temp_dir` and never have
    /// a name; `shown` is what errors call the root.
    ///
    /// # Errors
    /// [`Error::Layer`] names the layer and what is wrong with it; [`Error::Cancelled`].
    pub fn open(
        layers: &[Layer],
        shown: &str,
        temp_dir: &Path,
        limits: RootLimits,
        observer: &dyn Observer,
    ) -> Result<Self, Error> {
        let mut root = Self {
            shown: shown.to_owned(),
            device: device(layers),
            archives: Vec::new(),
            limits,
            tree: Tree::new(limits),
        };
        let mut left = limits.unpacked_bytes;
        for layer in layers {
            let read = root.add_layer(layer, temp_dir, left, observer);
            left = left.saturating_sub(read.map_err(|fault| match fault {
                Fault::Cancelled => Error::Cancelled,
                source => Error::Layer { layer: layer.blob.descriptor().digest.clone(), source: Box::new(source) },
            })?);
        }
        Ok(root)
    }

    fn fail(&self, path: &ImagePath, kind: std::io::ErrorKind) -> RootError {
        RootError::Read { path: path.clone(), root: self.shown.clone(), source: kind.into() }
    }

    fn content(&self, path: &ImagePath) -> Result<Content, RootError> {
        let index = match self.tree.get(path) {
            Some(Item::File(index)) => *index,
            Some(_) => return Err(RootError::NotRegular(path.clone())),
            None if path.is_root() => return Err(RootError::NotRegular(path.clone())),
            None => return Err(self.fail(path, std::io::ErrorKind::NotFound)),
        };
        let file = self.tree.files.get(index);
        let found = file.and_then(|file| Some((file, self.archives.get(file.layer)?)));
        // invariant: the tree is dropped with the error when a layer could not be kept
        let (file, archive) = found.ok_or_else(|| self.fail(path, std::io::ErrorKind::NotFound))?;
        let segments = file.segments.clone();
        Ok(Content { archive: archive.clone(), offset: file.offset, size: file.size, segments })
    }
}

/// A number for the image that no device of a machine has: those have 32 bits.
fn device(layers: &[Layer]) -> u64 {
    let mut hasher = Hasher::new(crate::oci::Algorithm::Sha256);
    for layer in layers {
        hasher.update(layer.diff_id.to_string().as_bytes());
    }
    let hash = hasher.finish();
    let bits = hash.hex().get(..16).and_then(|hex| u64::from_str_radix(hex, 16).ok());
    bits.unwrap_or_default() | 1 << 63
}

impl Root for ImageRoot {
    fn node(&self, path: &ImagePath) -> Result<Option<Node>, RootError> {
        Ok(self.tree.node(path, self.device))
    }

    fn read_dir(&self, path: &ImagePath) -> Result<Vec<Vec<u8>>, RootError> {
        match self.tree.directory(path) {
            Some(directory) => Ok(directory.names()),
            None if self.tree.get(path).is_some() => Err(RootError::NotADirectory(path.clone())),
            None => Err(self.fail(path, std::io::ErrorKind::NotFound)),
        }
    }

    fn open(&self, path: &ImagePath) -> Result<OpenFile, RootError> {
        Ok(Arc::new(self.content(path)?))
    }

    fn stream(&self, path: &ImagePath, offset: u64) -> Result<Box<dyn Read + Send>, RootError> {
        Ok(Box::new(ContentStream { content: self.content(path)?, offset }))
    }
}

impl std::fmt::Debug for ImageRoot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImageRoot").field("shown", &self.shown).finish_non_exhaustive()
    }
}
