//! What is read again and again, kept: nodes of a root, and the few windows of a file in which a loader's view lies.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Read;
use std::sync::{Mutex, PoisonError};

use crate::elf::Bytes;
use crate::limits;
use crate::oci::ImagePath;
use crate::rootfs::{Node, OpenFile, Root, RootError};

/// A root whose nodes are looked up once: all closures see the same tree, even if it changes meanwhile.
pub(super) struct RememberedRoot<'a> {
    root: &'a dyn Root,
    nodes: Mutex<HashMap<ImagePath, Option<Node>>>,
}

impl<'a> RememberedRoot<'a> {
    pub fn new(root: &'a dyn Root) -> Self {
        Self { root, nodes: Mutex::default() }
    }
}

impl Root for RememberedRoot<'_> {
    fn node(&self, path: &ImagePath) -> Result<Option<Node>, RootError> {
        if let Some(known) = self.nodes.lock().unwrap_or_else(PoisonError::into_inner).get(path) {
            return Ok(known.clone());
        }
        let node = self.root.node(path)?;
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if nodes.len() >= limits::MAX_REMEMBERED_NODES {
            nodes.clear();
        }
        nodes.insert(path.clone(), node.clone());
        Ok(node)
    }

    fn read_dir(&self, path: &ImagePath) -> Result<Vec<Vec<u8>>, RootError> {
        self.root.read_dir(path)
    }

    fn open(&self, path: &ImagePath) -> Result<OpenFile, RootError> {
        self.root.open(path)
    }

    fn stream(&self, path: &ImagePath, offset: u64) -> Result<Box<dyn Read + Send>, RootError> {
        self.root.stream(path, offset)
    }
}

/// Size of a window of a file, in bytes: headers, names and versions of most libraries lie in two or three.
const WINDOW: usize = 16 << 10;
/// Windows kept.
const WINDOWS: usize = 4;

/// A file of which the last windows are kept, since a loader's view is made of hundreds of small reads.
pub(in crate::analyze) struct Windows<'a> {
    file: &'a dyn Bytes,
    kept: Mutex<Vec<(u64, Vec<u8>)>>,
}

impl<'a> Windows<'a> {
    pub fn new(file: &'a dyn Bytes) -> Self {
        Self { file, kept: Mutex::default() }
    }
}

impl Bytes for Windows<'_> {
    fn len(&self) -> u64 {
        self.file.len()
    }

    fn read_at(&self, offset: u64, len: usize) -> Option<Cow<'_, [u8]>> {
        let start = offset - offset % WINDOW as u64;
        let within = usize::try_from(offset - start).ok()?;
        let end = within.checked_add(len)?;
        if end > WINDOW {
            return self.file.read_at(offset, len);
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, window)) = kept.iter().find(|(at, _)| *at == start) {
            return window.get(within..end).map(|part| Cow::Owned(part.to_vec()));
        }
        let size = usize::try_from(self.file.len().saturating_sub(start)).unwrap_or(usize::MAX).min(WINDOW);
        let Some(window) = self.file.read_at(start, size) else {
            // Shorter than it was: what is asked for may still be there.
            return self.file.read_at(offset, len);
        };
        let part = window.get(within..end).map(|part| Cow::Owned(part.to_vec()));
        if kept.len() == WINDOWS {
            kept.remove(0);
        }
        kept.push((start, window.into_owned()));
        part
    }
}
