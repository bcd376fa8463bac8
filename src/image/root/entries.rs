//! The entries of a layer, put into the tree as runtimes unpack them.

use super::tree::{Directory, File as TreeFile, Item};
use super::{Fault, ImageRoot};
use crate::diag::escape;
use crate::layer::tar::{TarEntry, TarKind};
use crate::oci::ImagePath;
use crate::rootfs::{RootError, resolve_new};

/// Whiteouts are files of this prefix (layer.md, "Whiteouts").
const WHITEOUT: &[u8] = b".wh.";
/// What of AUFS itself got into layers of old docker versions; runtimes skip it.
const METADATA: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

impl ImageRoot {
    /// The number of the layer being read; 0 is what no layer has described.
    fn number(&self) -> u32 {
        u32::try_from(self.archives.len() + 1).unwrap_or(u32::MAX)
    }

    /// Takes an entry, whose stored bytes begin at `offset`.
    pub(super) fn entry(&mut self, entry: &TarEntry, offset: u64) -> Result<(), Fault> {
        let written = clean(&entry.path)?;
        let layer = self.number();
        let name = written.file_name();
        let is_metadata = |part: &[u8]| part.starts_with(METADATA);
        if name != OPAQUE && written.as_bytes().split(|byte| *byte == b'/').any(is_metadata) {
            return Ok(());
        }
        if name.starts_with(WHITEOUT) {
            return self.whiteout(&entry.path, &written, layer);
        }
        let path = self.place(&entry.path, &written)?;
        let mode = entry.mode & 0o7777;
        let item = match entry.kind {
            TarKind::Directory => Item::Directory(Directory::new(mode, layer)),
            TarKind::File => {
                let segments = entry.sparse.as_ref().map(|sparse| sparse.segments.clone().into_boxed_slice());
                let layer = self.archives.len();
                Item::File(self.tree.add_file(TreeFile { layer, offset, size: entry.size, mode, segments })?)
            }
            TarKind::Symlink if entry.link.is_empty() || entry.link.contains(&0) => {
                return Err(odd(&entry.path, "is a symbolic link without a target"));
            }
            TarKind::Symlink => Item::Symlink(entry.link.clone().into_boxed_slice()),
            TarKind::HardLink => self.linked(entry, &path)?,
            TarKind::CharDevice | TarKind::BlockDevice | TarKind::Fifo => Item::Special,
            TarKind::Other(flag) => {
                return Err(Fault::Kind { name: escape(&entry.path), flag: escape(&[flag]) });
            }
        };
        self.tree.put(&path, item, layer)
    }

    /// Hides what lower layers have. Where nothing can be, nothing is hidden.
    fn whiteout(&mut self, name: &[u8], written: &ImagePath, layer: u32) -> Result<(), Fault> {
        let path = match self.place(name, written) {
            Err(Fault::Parent { .. }) => return Ok(()),
            path => path?,
        };
        let parent = path.parent().unwrap_or_else(ImagePath::root);
        match path.file_name().strip_prefix(WHITEOUT) {
            _ if path.file_name() == OPAQUE => self.tree.hide_below(&parent, layer),
            None | Some(b"" | b"." | b"..") => return Err(odd(name, "is a whiteout that hides no file")),
            Some(hidden) => {
                let hidden = parent.join(hidden).map_err(|_| odd(name, "is too long"))?;
                self.tree.hide(&hidden, layer);
            }
        }
        Ok(())
    }

    /// Where an entry lands: links in its directories are followed.
    fn place(&self, name: &[u8], written: &ImagePath) -> Result<ImagePath, Fault> {
        resolve_new(self, written).map_err(|source| match source {
            RootError::NotADirectory(_) => Fault::Parent { path: written.clone() },
            source => Fault::Directory { name: escape(name), source },
        })
    }

    /// What a hard link names, which is any file before it, also of a lower layer.
    fn linked(&self, entry: &TarEntry, own: &ImagePath) -> Result<Item, Fault> {
        let refuse = |reason| Fault::HardLink { name: escape(&entry.path), target: escape(&entry.link), reason };
        let written = clean(&entry.link).map_err(|_| refuse("is no path of the image"))?;
        let target = self.place(&entry.link, &written).map_err(|_| refuse("is no file before it"))?;
        if target == *own {
            return Err(refuse("is the link itself"));
        }
        match self.tree.get(&target) {
            Some(Item::File(index)) => Ok(Item::File(*index)),
            Some(Item::Symlink(target)) => Ok(Item::Symlink(target.clone())),
            Some(Item::Special) => Ok(Item::Special),
            Some(Item::Directory(_)) => Err(refuse("is a directory")),
            None => Err(refuse("is no file before it")),
        }
    }
}

/// The path of a name in a tar, relative to the root whatever it begins with. `..` is taken back by the text, as runtimes
/// do, but not beyond the root.
fn clean(name: &[u8]) -> Result<ImagePath, Fault> {
    let mut kept: Vec<&[u8]> = Vec::new();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(kept.pop().ok_or_else(|| odd(name, "leads out of the image"))?),
            part => kept.push(part),
        }
    }
    if name.is_empty() {
        return Err(odd(name, "has no name"));
    }
    ImagePath::parse(kept.join(&b'/')).map_err(|_| odd(name, "is too long or has a NUL byte"))
}

fn odd(name: &[u8], reason: &'static str) -> Fault {
    Fault::Name { name: escape(&name[..name.len().min(SHOWN)]), reason }
}

/// Bytes of a hostile name that are shown.
const SHOWN: usize = 160;
