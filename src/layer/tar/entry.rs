//! What the reader tells about one entry.

use std::collections::BTreeMap;

use super::sparse::Sparse;

/// An entry of an archive, as its headers say. Names are raw bytes and may be absolute, or hold `..` or anything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarEntry {
    /// Name as written, with the trailing slash of directories.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: TarKind,
    /// Permission bits, and whatever else stands in the field.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Name of the owner; most often empty in images.
    pub uname: Vec<u8>,
    /// Name of the group.
    pub gname: Vec<u8>,
    /// Bytes that [`content`](super::TarReader::content) gives; of a sparse file with its holes.
    pub size: u64,
    /// Seconds since the epoch.
    pub mtime: i64,
    /// Nanoseconds above `mtime`.
    pub mtime_nanos: u32,
    /// Target of a symbolic or hard link.
    pub link: Vec<u8>,
    /// Major and minor number of a device.
    pub device: Option<(u64, u64)>,
    /// Extended attributes (`SCHILY.xattr.` records).
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Any other pax records that have no field here.
    pub records: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The map of a sparse file.
    pub sparse: Option<Sparse>,
    /// Which dialect its header is written in.
    pub dialect: Dialect,
    /// Where its first header begins in the archive; pax and GNU headers count.
    pub offset: u64,
    /// What is odd about it.
    pub problems: Vec<Problem>,
}

/// Type of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TarKind {
    /// A regular file (also a contiguous or a sparse one).
    File,
    /// A hard link to an earlier entry.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
    /// A type flag that none of the known formats defines for a file.
    Other(u8),
}

impl TarKind {
    /// Whether content can follow. No content follows the others, whatever their size field says (as in Go's
    /// `archive/tar`, with which nearly all images are unpacked).
    #[must_use]
    pub const fn has_content(self) -> bool {
        matches!(self, Self::File | Self::Other(_))
    }
}

/// Dialect of a header, by its magic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// No magic: Unix version 7.
    V7,
    /// POSIX ustar, also below pax headers.
    Ustar,
    /// Old GNU.
    Gnu,
}

/// Something that readers of tar understand in different ways, or that no careful writer makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Problem {
    /// A global pax header with more than a comment stands before this entry. POSIX applies it to all that follows; Go,
    /// and so the container runtimes, ignore it, and so does this reader.
    GlobalRecords,
    /// More than one header of the same kind (pax, GNU long name or link) stands before this entry; the last one counts.
    RepeatedHeader,
    /// A GNU long name (or link) and a pax `path` (or `linkpath`); the pax one counts.
    TwoNames,
    /// A pax record names this entry with a NUL byte in it.
    NulInName,
    /// A link, directory or device claims content.
    SizeWithoutContent,
    /// A regular file whose name ends in a slash.
    FileNamedAsDirectory,
    /// The checksum adds up signed bytes, as some old writers did.
    SignedChecksum,
    /// A pax record stands twice; the last one counts.
    RepeatedRecord,
    /// The type flag is unknown.
    UnknownType,
}

/// How an archive ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Ending {
    /// Blocks of zeros at the end, of which there should be two: 0, 1 or 2.
    pub zero_blocks: u8,
    /// Bytes behind the end.
    pub trailing: u64,
    /// Whether anything but zeros stands behind the end.
    pub trailing_data: bool,
}
