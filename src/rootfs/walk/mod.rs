//! The walk over a file or directory of this machine that the user adds to an image.
//!
//! *Invariant:* the outcome depends on names, kinds, contents and execute bits alone. The order of a directory, the
//! umask, owners, times, hard links and extended attributes of the machine never reach it. Symbolic links are told, not
//! followed, except the path that the user named.

mod error;
mod exclude;

pub use error::Error;
pub use exclude::Excludes;

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::limits;

/// The extended attribute that holds file capabilities (capabilities(7)).
pub const CAPABILITY_XATTR: &str = "security.capability";

/// One path found on the walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Bytes of the path below the start, without leading slash; empty for the start itself.
    pub path: Vec<u8>,
    /// Where it lies on this machine.
    pub host: PathBuf,
    /// What it is.
    pub kind: NodeKind,
    /// What the machine grants with it and an image does not take over.
    pub special: Special,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind {
    /// A directory.
    Directory,
    /// A regular file; each name of a hard link is a file of its own.
    File {
        /// Size in bytes.
        size: u64,
        /// Whether any execute bit is set.
        executable: bool,
    },
    /// A symbolic link with its target as written.
    Symlink(Vec<u8>),
}

/// Privileges that a file has on this machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Special {
    /// The setuid, setgid and sticky bits (`0o7000`).
    pub bits: u32,
    /// Whether there are file capabilities.
    pub capabilities: bool,
}

impl Special {
    /// Reads the privileges of a file or directory. Attributes that cannot be read count as absent, for then they
    /// cannot be taken over either.
    #[must_use]
    pub fn of(path: &Path, metadata: &Metadata) -> Self {
        let capabilities = metadata.is_file() && matches!(xattr::get(path, CAPABILITY_XATTR), Ok(Some(_)));
        Self { bits: metadata.mode() & 0o7000, capabilities }
    }
}

/// What the walk found.
#[derive(Debug, Clone, Default)]
pub struct Walked {
    /// All nodes, sorted by the bytes of their path components: the start first, each directory before its content.
    pub nodes: Vec<Node>,
    /// Indices of the patterns that kept something out.
    pub used_excludes: BTreeSet<usize>,
}

impl Walked {
    /// Whether the start is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.nodes.first().is_some_and(|node| node.kind == NodeKind::Directory)
    }
}

/// Walks the file or directory at `start`. A start that is a symbolic link is followed, for the user named it.
///
/// # Errors
/// [`Error::Read`], [`Error::Special`] and [`Error::TooManyEntries`].
pub fn walk(start: &Path, excludes: &Excludes) -> Result<Walked, Error> {
    let mut walked = Walked::default();
    let mut entries =
        WalkDir::new(start).sort_by(|a, b| a.file_name().as_bytes().cmp(b.file_name().as_bytes())).into_iter();
    while let Some(entry) = entries.next() {
        let entry = entry.map_err(|e| read_error(start, e))?;
        let path = entry.path().strip_prefix(start).unwrap_or(entry.path()).as_os_str().as_bytes().to_vec();
        // The start's own type is that of the link when it is one; its metadata is what the link leads to.
        let metadata = if entry.depth() == 0 {
            std::fs::metadata(start).map_err(|source| Error::Read { path: start.to_owned(), source })?
        } else {
            entry.metadata().map_err(|e| read_error(start, e))?
        };
        if entry.depth() > 0
            && let Some(pattern) = excludes.matching(&path, metadata.is_dir())
        {
            walked.used_excludes.insert(pattern);
            if metadata.is_dir() {
                entries.skip_current_dir();
            }
            continue;
        }
        if walked.nodes.len() >= limits::MAX_TREE_ENTRIES {
            return Err(Error::TooManyEntries { path: start.to_owned(), limit: limits::MAX_TREE_ENTRIES });
        }
        walked.nodes.push(node(path, entry.path(), &metadata)?);
    }
    Ok(walked)
}

fn node(path: Vec<u8>, host: &Path, metadata: &Metadata) -> Result<Node, Error> {
    let file_type = metadata.file_type();
    let (kind, special) = if file_type.is_symlink() {
        let target = std::fs::read_link(host).map_err(|source| Error::Read { path: host.to_owned(), source })?;
        (NodeKind::Symlink(target.as_os_str().as_bytes().to_vec()), Special::default())
    } else if file_type.is_dir() {
        (NodeKind::Directory, Special::of(host, metadata))
    } else if file_type.is_file() {
        let executable = metadata.mode() & 0o111 != 0;
        (NodeKind::File { size: metadata.len(), executable }, Special::of(host, metadata))
    } else {
        let kind = match () {
            () if file_type.is_fifo() => "FIFO",
            () if file_type.is_socket() => "socket",
            () if file_type.is_block_device() => "block device",
            () if file_type.is_char_device() => "character device",
            () => "special file",
        };
        return Err(Error::Special { path: host.to_owned(), kind });
    };
    Ok(Node { path, host: host.to_owned(), kind, special })
}

fn read_error(start: &Path, error: walkdir::Error) -> Error {
    let path = error.path().unwrap_or(start).to_owned();
    // A loop needs followed links, and none but the start is followed.
    let source = error.into_io_error().unwrap_or_else(|| std::io::Error::other("the directory contains itself"));
    Error::Read { path, source }
}
