//! The first stage of packing: the entries of a layer become a stream of tar bytes.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read};
use std::sync::mpsc::{Receiver, Sender};

use super::ring::{Block, Closed, Filler};
use super::{Error, tar};
use crate::blob::Identity;
use crate::observe::Observer;
use crate::oci::{Algorithm, Digest, Hasher, ImagePath};
use crate::plan::{Entry, EntryKind, FileContent, LayerPlan};

/// Path, digest and size of each regular file.
pub(super) type Files = Vec<(ImagePath, Digest, u64)>;

/// Checks what a layer plan promises: sorted, no path twice, nothing below what is not a directory. A directory that is
/// not an entry itself is implied (a lower layer or the runtime makes it).
pub(super) fn check(layer: &LayerPlan) -> Result<(), Error> {
    let mut previous: Option<&Entry> = None;
    let mut leaves = BTreeSet::new();
    for entry in &layer.entries {
        if let Some(previous) = previous {
            match previous.path.cmp(&entry.path) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => return Err(Error::Duplicate(entry.path.clone())),
                std::cmp::Ordering::Greater => {
                    return Err(Error::Order { path: entry.path.clone(), after: previous.path.clone() });
                }
            }
            // Sorted paths have what is below a leaf directly behind it.
            if !is_directory(previous) {
                leaves.insert(&previous.path);
            }
        }
        if entry.path.is_root() && !is_directory(entry) {
            return Err(Error::RootNotDirectory);
        }
        if let Some(parent) = entry.path.ancestors().into_iter().find(|path| leaves.contains(path)) {
            return Err(Error::ParentNotDirectory { path: entry.path.clone(), parent });
        }
        previous = Some(entry);
    }
    Ok(())
}

const fn is_directory(entry: &Entry) -> bool {
    matches!(entry.kind, EntryKind::Directory)
}

/// Size of the tar in bytes, from the sizes that the plan names.
pub(super) fn tar_size(layer: &LayerPlan, created: u64) -> Result<u64, Error> {
    let mut size = tar::END.len() as u64;
    for entry in &layer.entries {
        size += tar::encode(entry, created)?.len() as u64;
        if let EntryKind::File(content) = &entry.kind {
            size += content.size + tar::padding(content.size) as u64;
        }
    }
    Ok(size)
}

/// Writes the tar into blocks. A later stage that has ended is no error here: it tells its reason itself.
pub(super) fn read(
    layer: &LayerPlan,
    created: u64,
    observer: &dyn Observer,
    free: Receiver<Block>,
    full: Sender<Block>,
) -> Result<Files, Error> {
    let mut files = Files::new();
    match stream(layer, created, observer, free, full, &mut files) {
        Ok(()) | Err(Stop::Closed) => Ok(files),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// Why reading ends early.
enum Stop {
    Closed,
    Failed(Error),
}

impl From<Closed> for Stop {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

fn stream(
    layer: &LayerPlan,
    created: u64,
    observer: &dyn Observer,
    free: Receiver<Block>,
    full: Sender<Block>,
    files: &mut Files,
) -> Result<(), Stop> {
    let mut filler = Filler::new(free, full)?;
    for entry in &layer.entries {
        if observer.cancelled() {
            return Err(Error::Cancelled.into());
        }
        filler.push(&tar::encode(entry, created)?)?;
        if let EntryKind::File(content) = &entry.kind {
            let digest = copy(&entry.path, content, observer, &mut filler)?;
            filler.zeros(tar::padding(content.size))?;
            files.push((entry.path.clone(), digest, content.size));
        }
    }
    filler.push(&tar::END)?;
    filler.finish()?;
    Ok(())
}

/// Copies a file's bytes into the blocks and gives their digest.
fn copy(path: &ImagePath, content: &FileContent, observer: &dyn Observer, filler: &mut Filler) -> Result<Digest, Stop> {
    let changed = || Error::Changed { path: path.clone(), expected: content.size };
    let before = content.source.identity();
    if content.identity.is_some() && !same_content(content.identity, before) {
        return Err(Error::Replaced { path: path.clone() }.into());
    }
    let mut source = content.source.open(0).map_err(|source| Error::Open { path: path.clone(), source })?;
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut left = content.size;
    while left > 0 {
        if observer.cancelled() {
            return Err(Error::Cancelled.into());
        }
        let space = filler.space()?;
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(space.len());
        let read = read_some(path, &mut source, &mut space[..most])?;
        if read == 0 {
            return Err(changed().into());
        }
        hasher.update(&space[..read]);
        filler.advance(read);
        left -= read as u64;
    }
    if read_some(path, &mut source, &mut [0])? > 0 || !same_content(before, content.source.identity()) {
        return Err(changed().into());
    }
    let actual = hasher.finish();
    match &content.digest {
        Some(expected) if *expected != actual => {
            Err(Error::Content { path: path.clone(), expected: expected.clone(), actual }.into())
        }
        _ => Ok(actual),
    }
}

/// One read, repeated while signals interrupt it.
fn read_some(path: &ImagePath, source: &mut dyn Read, into: &mut [u8]) -> Result<usize, Error> {
    loop {
        match source.read(into) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other.map_err(|source| Error::Read { path: path.clone(), source }),
        }
    }
}

/// Whether a file was written to between two looks. The change time does not count: a new hard link or mode changes it.
fn same_content(before: Option<Identity>, after: Option<Identity>) -> bool {
    let relevant = |identity: Identity| (identity.dev, identity.ino, identity.size, identity.mtime_ns);
    before.map(relevant) == after.map(relevant)
}
