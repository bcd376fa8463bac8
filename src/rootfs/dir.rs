//! A directory of this machine as a root.
//!
//! Every path is opened beneath the directory's own descriptor with links refused in all its parts, so a tree that is
//! changed while it is read can give other content, but never content from outside.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags, RawDir, ResolveFlags};
use rustix::io::Errno;

use super::walk::CAPABILITY_XATTR;
use super::{HostFile, Identity, Node, OpenFile, Root, RootError};
use crate::limits::MAX_CAPABILITY_BYTES;
use crate::oci::ImagePath;

/// A sysroot, an unpacked package tree, or `/`.
#[derive(Debug)]
pub struct DirRoot {
    path: PathBuf,
    directory: OwnedFd,
}

impl DirRoot {
    /// Opens the directory; it is followed when it is a link itself.
    ///
    /// # Errors
    /// [`RootError::Read`] when it is absent or not a directory.
    pub fn open(path: &Path) -> Result<Self, RootError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| RootError::Read {
            path: ImagePath::root(),
            root: path.display().to_string(),
            source: e.into(),
        })?;
        Ok(Self { path: path.to_owned(), directory })
    }

    fn fail(&self, path: &ImagePath, source: std::io::Error) -> RootError {
        RootError::Read { path: path.clone(), root: self.path.display().to_string(), source }
    }

    /// Opens `path` beneath the root, no link followed anywhere.
    fn open_beneath(&self, path: &ImagePath, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let name: &[u8] = if path.is_root() { b"." } else { path.as_bytes() };
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        // With O_PATH and O_NOFOLLOW a link itself may be the last part; NO_SYMLINKS would refuse it.
        let (parent, last) = match path.parent() {
            Some(parent) if !parent.is_root() => (Some(parent), path.file_name()),
            _ => (None, name),
        };
        let Some(parent) = parent else {
            return rustix::fs::openat(&self.directory, last, flags, Mode::empty());
        };
        let directory_flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat2(&self.directory, parent.as_bytes(), directory_flags, Mode::empty(), beneath);
        let directory = match opened {
            Err(Errno::NOSYS) => self.open_stepwise(&parent)?,
            other => other?,
        };
        rustix::fs::openat(&directory, last, flags, Mode::empty())
    }

    /// For kernels and sandboxes without `openat2`: the same, one part after the other.
    fn open_stepwise(&self, path: &ImagePath) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut at = rustix::fs::openat(&self.directory, ".", flags, Mode::empty())?;
        for part in path.as_bytes().split(|b| *b == b'/') {
            at = rustix::fs::openat(&at, part, flags, Mode::empty())?;
        }
        Ok(at)
    }

    fn open_file(&self, path: &ImagePath) -> Result<File, RootError> {
        // Non-blocking, so that a FIFO put there meanwhile cannot hang the open.
        let opened = self.open_beneath(path, OFlags::RDONLY | OFlags::NONBLOCK).map_err(|e| match e {
            // A socket, or a device without a driver (open(2)).
            Errno::NXIO => RootError::NotRegular(path.clone()),
            e => self.fail(path, e.into()),
        })?;
        let file = File::from(opened);
        let metadata = file.metadata().map_err(|e| self.fail(path, e))?;
        if metadata.is_file() { Ok(file) } else { Err(RootError::NotRegular(path.clone())) }
    }
}

impl Root for DirRoot {
    fn node(&self, path: &ImagePath) -> Result<Option<Node>, RootError> {
        let opened = match self.open_beneath(path, OFlags::PATH) {
            Ok(opened) => opened,
            // LOOP is a link in a directory part: the caller has resolved those, so the tree changed meanwhile.
            // No file has a name that is too long.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG) => return Ok(None),
            Err(e) => return Err(self.fail(path, e.into())),
        };
        let stat = rustix::fs::statat(&opened, "", AtFlags::EMPTY_PATH).map_err(|e| self.fail(path, e.into()))?;
        let mode = stat.st_mode & 0o7777;
        Ok(Some(match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
            rustix::fs::FileType::Directory => Node::Directory { mode },
            rustix::fs::FileType::RegularFile => {
                let size = u64::try_from(stat.st_size).unwrap_or(0);
                Node::File { size, mode, inode: Some((stat.st_dev, stat.st_ino)) }
            }
            rustix::fs::FileType::Symlink => {
                let target = rustix::fs::readlinkat(&opened, "", Vec::new()).map_err(|e| self.fail(path, e.into()))?;
                Node::Symlink(target.into_bytes())
            }
            _ => Node::Special,
        }))
    }

    fn read_dir(&self, path: &ImagePath) -> Result<Vec<Vec<u8>>, RootError> {
        let fail = |e: Errno| self.fail(path, e.into());
        let opened = self.open_beneath(path, OFlags::RDONLY | OFlags::DIRECTORY).map_err(fail)?;
        let mut buffer = Vec::with_capacity(16 << 10);
        let mut names = Vec::new();
        let mut entries = RawDir::new(&opened, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name.to_vec());
            }
        }
        names.sort();
        Ok(names)
    }

    fn open(&self, path: &ImagePath) -> Result<OpenFile, RootError> {
        let file = self.open_file(path)?;
        Ok(Arc::new(HostFile::from_file(file).map_err(|e| self.fail(path, e))?))
    }

    fn stream(&self, path: &ImagePath, offset: u64) -> Result<Box<dyn Read + Send>, RootError> {
        let mut file = self.open_file(path)?;
        if offset > 0 {
            file.seek(SeekFrom::Start(offset)).map_err(|e| self.fail(path, e))?;
        }
        Ok(Box::new(file))
    }

    fn capabilities(&self, path: &ImagePath) -> Option<Vec<u8>> {
        let file = self.open_file(path).ok()?;
        let mut value = vec![0; MAX_CAPABILITY_BYTES];
        let len = rustix::fs::fgetxattr(&file, CAPABILITY_XATTR, &mut value).ok()?;
        value.truncate(len);
        Some(value)
    }

    fn identity(&self, path: &ImagePath) -> Option<Identity> {
        self.open_file(path)
            .and_then(|file| file.metadata().map_err(|e| self.fail(path, e)))
            .ok()
            .map(|m| Identity::of(&m))
    }
}

/// The host path as bytes, for messages.
impl std::fmt::Display for DirRoot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&crate::diag::escape(self.path.as_os_str().as_bytes()))
    }
}
