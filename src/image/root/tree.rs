//! The index of an image's tree: what stands at each path after the layers read so far.
//!
//! Each node knows the layer it comes from, so that whiteouts hide what lower layers have and nothing of their own layer,
//! wherever in it they stand (image-spec, layer.md "Whiteouts").

use std::collections::BTreeMap;

use super::{Fault, RootLimits};
use crate::oci::ImagePath;
use crate::rootfs::Node;

/// Mode of directories that no entry describes, as runtimes make them.
const IMPLIED_MODE: u32 = 0o755;

/// What a layer puts at a path, and what then stands there.
pub(super) enum Item {
    Directory(Directory),
    /// Index into the table of files; hard links share it.
    File(usize),
    Symlink(Box<[u8]>),
    Special,
}

/// A directory and what it holds.
pub(super) struct Directory {
    mode: u32,
    /// The last layer with an entry for the directory itself.
    described: u32,
    /// The last layer with anything in it.
    touched: u32,
    children: BTreeMap<Box<[u8]>, Child>,
}

struct Child {
    layer: u32,
    item: Item,
}

impl Directory {
    pub(super) const fn new(mode: u32, layer: u32) -> Self {
        Self { mode, described: layer, touched: layer, children: BTreeMap::new() }
    }

    /// Removes what is not of `layer`.
    fn hide_all(&mut self, layer: u32) {
        self.children.retain(|_, child| child.stays(layer));
    }

    pub(super) fn names(&self) -> Vec<Vec<u8>> {
        self.children.keys().map(|name| name.to_vec()).collect()
    }
}

impl Child {
    /// Hides what comes from below `layer`; false when nothing of that layer is left.
    fn stays(&mut self, layer: u32) -> bool {
        let Item::Directory(directory) = &mut self.item else { return self.layer == layer };
        if directory.touched < layer {
            return false;
        }
        directory.hide_all(layer);
        if directory.described < layer {
            (directory.mode, directory.described) = (IMPLIED_MODE, layer);
        }
        self.layer = layer;
        true
    }
}

/// A regular file, with all its hard links.
#[derive(Debug, Clone)]
pub(super) struct File {
    /// In which layer's tar it lies.
    pub layer: usize,
    /// Where in it.
    pub offset: u64,
    /// Its size, with holes.
    pub size: u64,
    pub mode: u32,
    /// Offset and length of the data of a sparse file.
    pub segments: Option<Box<[(u64, u64)]>>,
}

/// The tree, within bounds.
pub(super) struct Tree {
    root: Directory,
    pub files: Vec<File>,
    limits: RootLimits,
    /// Nodes and bytes of text ever put in: what is hidden again still has cost memory and time.
    nodes: usize,
    text: usize,
}

impl Tree {
    pub(super) const fn new(limits: RootLimits) -> Self {
        Self { root: Directory::new(IMPLIED_MODE, 0), files: Vec::new(), limits, nodes: 0, text: 0 }
    }

    /// What stands at a path whose directories are no links.
    pub(super) fn get(&self, path: &ImagePath) -> Option<&Item> {
        let parts = parts(path);
        let (last, above) = parts.split_last()?;
        let mut at = &self.root;
        for part in above {
            match &at.children.get(*part)?.item {
                Item::Directory(directory) => at = directory,
                _ => return None,
            }
        }
        at.children.get(*last).map(|child| &child.item)
    }

    /// The directory at a path, also the root.
    pub(super) fn directory(&self, path: &ImagePath) -> Option<&Directory> {
        if path.is_root() {
            return Some(&self.root);
        }
        match self.get(path)? {
            Item::Directory(directory) => Some(directory),
            _ => None,
        }
    }

    /// The node at a path as a root tells it; `device` tells files of this tree from those of others.
    pub(super) fn node(&self, path: &ImagePath, device: u64) -> Option<Node> {
        if path.is_root() {
            return Some(Node::Directory { mode: self.root.mode });
        }
        Some(match self.get(path)? {
            Item::Directory(directory) => Node::Directory { mode: directory.mode },
            Item::File(index) => {
                let file = self.files.get(*index)?;
                Node::File { size: file.size, mode: file.mode, inode: Some((device, *index as u64)) }
            }
            Item::Symlink(target) => Node::Symlink(target.to_vec()),
            Item::Special => Node::Special,
        })
    }

    /// Adds a file to the table.
    pub(super) fn add_file(&mut self, file: File) -> Result<usize, Fault> {
        self.charge(0, file.segments.as_ref().map_or(0, |s| size_of_val::<[_]>(s)))?;
        self.files.push(file);
        Ok(self.files.len() - 1)
    }

    /// Counts what is put in.
    fn charge(&mut self, nodes: usize, text: usize) -> Result<(), Fault> {
        self.nodes += nodes;
        self.text += text;
        if self.nodes > self.limits.nodes {
            return Err(Fault::TooMany { what: "files and directories", limit: self.limits.nodes as u64 });
        }
        if self.text > self.limits.text_bytes {
            return Err(Fault::TooMany { what: "bytes of names", limit: self.limits.text_bytes as u64 });
        }
        Ok(())
    }

    /// Puts an item of a layer at a path whose directories are no links, and makes those that are missing. A directory
    /// is merged with one that is there; anything else takes the place of what was there.
    pub(super) fn put(&mut self, path: &ImagePath, item: Item, layer: u32) -> Result<(), Fault> {
        let parts = parts(path);
        let Some((last, above)) = parts.split_last() else {
            let Item::Directory(new) = item else { return Err(Fault::RootNotDirectory) };
            (self.root.mode, self.root.described) = (new.mode, layer);
            return Ok(());
        };
        let missing = self.missing(&parts);
        let text = missing.iter().map(|part| part.len()).sum::<usize>();
        let target = if let Item::Symlink(target) = &item { target.len() } else { 0 };
        self.charge(missing.len().max(1), text + target)?;
        let mut at = &mut self.root;
        for part in above {
            at.touched = layer;
            let made = || Child {
                layer,
                item: Item::Directory(Directory { described: 0, ..Directory::new(IMPLIED_MODE, layer) }),
            };
            match &mut at.children.entry((*part).into()).or_insert_with(made).item {
                Item::Directory(directory) => at = directory,
                _ => return Err(Fault::Parent { path: path.clone() }),
            }
        }
        at.touched = layer;
        if let Item::Directory(new) = &item
            && let Some(Child { layer: from, item: Item::Directory(there) }) = at.children.get_mut(*last)
        {
            (there.mode, there.described, there.touched, *from) = (new.mode, layer, layer, layer);
            return Ok(());
        }
        at.children.insert((*last).into(), Child { layer, item });
        Ok(())
    }

    /// The last parts of a path from the first that is not there.
    fn missing<'p>(&self, parts: &[&'p [u8]]) -> Vec<&'p [u8]> {
        let mut at = &self.root;
        for (index, part) in parts.iter().enumerate() {
            match at.children.get(*part).map(|child| &child.item) {
                Some(Item::Directory(directory)) => at = directory,
                Some(_) => return Vec::new(),
                None => return parts[index..].to_vec(),
            }
        }
        Vec::new()
    }

    /// Hides what lower layers have at a path.
    pub(super) fn hide(&mut self, path: &ImagePath, layer: u32) {
        let Some(parent) = path.parent().and_then(|parent| self.directory_mut(&parent)) else { return };
        let name = path.file_name();
        if parent.children.get_mut(name).is_some_and(|child| !child.stays(layer)) {
            parent.children.remove(name);
        }
    }

    /// Hides what lower layers have in a directory.
    pub(super) fn hide_below(&mut self, path: &ImagePath, layer: u32) {
        if let Some(directory) = self.directory_mut(path) {
            directory.hide_all(layer);
        }
    }

    fn directory_mut(&mut self, path: &ImagePath) -> Option<&mut Directory> {
        let mut at = &mut self.root;
        for part in parts(path) {
            match &mut at.children.get_mut(part)?.item {
                Item::Directory(directory) => at = directory,
                _ => return None,
            }
        }
        Some(at)
    }
}

fn parts(path: &ImagePath) -> Vec<&[u8]> {
    path.as_bytes().split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect()
}
