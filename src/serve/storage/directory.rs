//! Repositories as a directory of OCI layouts (image-spec, image-layout.md), one per repository.
//!
//! A blob is written below `.uploads` and renamed to its place; `index.json` is replaced by a rename after everything it
//! names is in place. So a crash at any moment leaves at most bytes that nothing refers to.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::blob::Identity;
use crate::limits;
use crate::oci::Digest;
use crate::store::Pointer;

use super::super::Error;
use super::super::blocking::BLOCK;
use super::super::name::Name;
use super::super::uploads::session_id;
use super::{Backend, Content, OpenBlob, PutManifest, RepoIndex, Sink};

/// Holds unfinished uploads; no repository's name can start with a dot.
const UPLOADS: &str = ".uploads";
/// The file of a layout that says which version it has.
const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// Repositories whose index is kept in memory.
const CACHED: usize = 256;

/// Storage in a directory.
pub(in super::super) struct Directory {
    shared: Arc<Shared>,
}

struct Shared {
    root: PathBuf,
    slots: Mutex<HashMap<Name, Arc<Slot>>>,
    /// Held as long as the registry lives: a second one would clean away this one's uploads.
    _lock: Option<File>,
}

/// What is known of a repository.
#[derive(Default)]
struct Slot {
    /// Held while the repository is changed.
    edit: Mutex<()>,
    /// The index as last read, with the identity of its file: other programs may replace it.
    cached: Mutex<Option<(Identity, Arc<RepoIndex>)>>,
}

fn io(verb: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { verb, path, source }
}

// A poisoned lock is taken over: what it guards is replaced whole or not at all.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Directory {
    /// Opens a directory, which is made when it is not there. Uploads that an earlier process left are removed. With
    /// `read_only` nothing is written at all.
    pub(in super::super) fn open(root: &Path, read_only: bool) -> Result<Self, Error> {
        if root.join("index.json").exists() {
            return Err(Error::IsLayout(root.to_owned()));
        }
        let lock = if read_only {
            fs::read_dir(root).map_err(io("read", root))?;
            None
        } else {
            Some(take_over(root)?)
        };
        let shared = Shared { root: root.to_owned(), slots: Mutex::default(), _lock: lock };
        Ok(Self { shared: Arc::new(shared) })
    }
}

/// Locks the directory for this process and removes old uploads.
fn take_over(root: &Path) -> Result<File, Error> {
    let uploads = root.join(UPLOADS);
    fs::create_dir_all(&uploads).map_err(io("create", &uploads))?;
    let path = uploads.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(io("create", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(Error::InUse(root.to_owned())),
        Err(TryLockError::Error(source)) => return Err(io("lock", &path)(source)),
    }
    for entry in fs::read_dir(&uploads).map_err(io("read", &uploads))? {
        let old = entry.map_err(io("read", &uploads))?.path();
        if old != path {
            fs::remove_file(&old).map_err(io("delete", &old))?;
        }
    }
    Ok(file)
}

impl Shared {
    fn blob_path(&self, name: &Name, digest: &Digest) -> PathBuf {
        name.directory(&self.root).join("blobs").join(digest.algorithm().name()).join(digest.hex())
    }

    fn slot(&self, name: &Name) -> Arc<Slot> {
        let mut slots = lock(&self.slots);
        if slots.len() > CACHED {
            // Those in use stay: an edit holds its slot's lock.
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(slots.entry(name.clone()).or_default())
    }

    /// The size of a blob. Only regular files count: a link in a layout that someone put here leads anywhere.
    fn size(&self, name: &Name, digest: &Digest) -> Result<Option<u64>, Error> {
        let path = self.blob_path(name, digest);
        match fs::symlink_metadata(&path) {
            Ok(metadata) => Ok(metadata.is_file().then_some(metadata.len())),
            Err(e) if is_absent(&e) => Ok(None),
            Err(e) => Err(io("read", &path)(e)),
        }
    }

    fn read_manifest(&self, name: &Name, digest: &Digest) -> Option<Vec<u8>> {
        let size = self.size(name, digest).ok().flatten()?;
        if size > limits::MAX_MANIFEST_BYTES {
            return None;
        }
        fs::read(self.blob_path(name, digest)).ok()
    }

    fn load(&self, name: &Name) -> Result<Option<Arc<RepoIndex>>, Error> {
        let path = name.directory(&self.root).join("index.json");
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if is_absent(&e) => return Ok(None),
            Err(e) => return Err(io("read", &path)(e)),
        };
        let metadata = file.metadata().map_err(io("read", &path))?;
        let identity = Identity::of(&metadata);
        let slot = self.slot(name);
        let previous = match &*lock(&slot.cached) {
            Some((cached, index)) if *cached == identity => return Ok(Some(Arc::clone(index))),
            Some((_, index)) => Some(Arc::clone(index)),
            None => None,
        };
        let (size, limit) = (metadata.len(), limits::MAX_MANIFEST_BYTES);
        if size > limit {
            return Err(Error::IndexTooLarge { path, size, limit });
        }
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes).map_err(io("read", &path))?;
        let index = RepoIndex::load(&bytes, previous.as_deref(), &|digest| self.read_manifest(name, digest))
            .map_err(|source| Error::Index { path, source })?;
        let index = Arc::new(index);
        *lock(&slot.cached) = Some((identity, Arc::clone(&index)));
        Ok(Some(index))
    }

    /// Makes the layout's files, for a repository that is not there yet.
    fn create(&self, name: &Name) -> Result<(), Error> {
        let directory = name.directory(&self.root);
        if directory.join("index.json").exists() {
            return Ok(());
        }
        let blobs = directory.join("blobs");
        fs::create_dir_all(&blobs).map_err(io("create", &blobs))?;
        self.create_once(&directory.join("oci-layout"), LAYOUT)?;
        self.create_once(&directory.join("index.json"), &RepoIndex::empty().encode())
    }

    /// Makes a file unless another process was faster.
    fn create_once(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let (mut file, temporary) = self.temporary()?;
        file.write_all(bytes).and_then(|()| file.sync_data()).map_err(io("write", &temporary.0))?;
        match fs::hard_link(&temporary.0, path) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(io("create", path)(e)),
            _ => Ok(()),
        }
    }

    /// Serializes changes with other processes: all of coracle's writers of a layout lock its `oci-layout`.
    fn lock_layout(&self, name: &Name) -> Result<File, Error> {
        let path = name.directory(&self.root).join("oci-layout");
        let file = File::open(&path).map_err(io("read", &path))?;
        file.lock().map_err(io("lock", &path))?;
        Ok(file)
    }

    /// Replaces a file as a whole; gives the new file, still open.
    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<File, Error> {
        let (mut file, temporary) = self.temporary()?;
        file.write_all(bytes).and_then(|()| file.sync_data()).map_err(io("write", &temporary.0))?;
        temporary.rename(path)?;
        Ok(file)
    }

    fn temporary(&self) -> Result<(File, Temporary), Error> {
        let path = self.root.join(UPLOADS).join(session_id()?);
        let file = OpenOptions::new().create_new(true).write(true).open(&path).map_err(io("create", &path))?;
        Ok((file, Temporary(path)))
    }

    fn write_index(&self, name: &Name, slot: &Slot, index: RepoIndex) -> Result<(), Error> {
        let path = name.directory(&self.root).join("index.json");
        let bytes = index.encode();
        let (size, limit) = (bytes.len() as u64, limits::MAX_MANIFEST_BYTES);
        if size > limit {
            return Err(Error::IndexTooLarge { path, size, limit });
        }
        // Of the open file, not of the path: another program may have replaced it already.
        let metadata = self.replace(&path, &bytes)?.metadata().map_err(io("read", &path))?;
        *lock(&slot.cached) = Some((Identity::of(&metadata), Arc::new(index)));
        Ok(())
    }

    /// Puts a finished temporary file under its digest. The caller has synced it.
    fn place(&self, temporary: Temporary, name: &Name, digest: &Digest) -> Result<(), Error> {
        let path = self.blob_path(name, digest);
        let parent = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(parent).map_err(io("create", parent))?;
        temporary.rename(&path)
    }
}

/// A path that is not there, also because a parent is a file or the name is too long for the file system.
fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename)
}

impl Backend for Directory {
    fn index(&self, name: &Name) -> Result<Option<Arc<RepoIndex>>, Error> {
        self.shared.load(name)
    }

    fn open(&self, name: &Name, digest: &Digest) -> Result<Option<OpenBlob>, Error> {
        let Some(_) = self.shared.size(name, digest)? else { return Ok(None) };
        let path = self.shared.blob_path(name, digest);
        match File::open(&path) {
            Ok(file) => {
                let size = file.metadata().map_err(io("read", &path))?.len();
                Ok(Some(OpenBlob { size, content: Content::File(file) }))
            }
            Err(e) if is_absent(&e) => Ok(None),
            Err(e) => Err(io("read", &path)(e)),
        }
    }

    fn begin(&self) -> Result<Box<dyn Sink>, Error> {
        let (file, temporary) = self.shared.temporary()?;
        Ok(Box::new(FileSink { shared: Arc::clone(&self.shared), temporary, file: Some(file) }))
    }

    fn mount(&self, from: Option<&Name>, to: &Name, digest: &Digest) -> Result<bool, Error> {
        let has = |name: &Name| matches!(self.shared.size(name, digest), Ok(Some(_)));
        let source = match from {
            Some(from) => Some(from.clone()).filter(has),
            None => self.repositories()?.into_iter().find(has),
        };
        let Some(source) = source else { return Ok(false) };
        let slot = self.shared.slot(to);
        let _edit = lock(&slot.edit);
        self.shared.create(to)?;
        let (from, path) = (self.shared.blob_path(&source, digest), self.shared.blob_path(to, digest));
        let parent = path.parent().unwrap_or(&self.shared.root);
        fs::create_dir_all(parent).map_err(io("create", parent))?;
        match fs::hard_link(&from, &path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(true),
            Err(e) if is_absent(&e) => Ok(false),
            // File systems without links: the client uploads instead.
            Err(_) => Ok(false),
        }
    }

    fn delete_blob(&self, name: &Name, digest: &Digest) -> Result<bool, Error> {
        let Some(_) = self.shared.size(name, digest)? else { return Ok(false) };
        let slot = self.shared.slot(name);
        let _edit = lock(&slot.edit);
        let _layout = self.shared.lock_layout(name)?;
        if self.shared.load(name)?.is_some_and(|index| index.manifests().contains_key(digest)) {
            return Err(Error::IsManifest(digest.clone()));
        }
        remove(&self.shared.blob_path(name, digest))
    }

    fn put_manifest(&self, name: &Name, put: &PutManifest) -> Result<(), Error> {
        let slot = self.shared.slot(name);
        let _edit = lock(&slot.edit);
        if self.shared.load(name)?.is_none() {
            // Refused without a trace in a repository that is not there.
            put.check(&RepoIndex::empty(), |digest| self.shared.size(name, digest))?;
            self.shared.create(name)?;
        }
        let _layout = self.shared.lock_layout(name)?;
        let current = self.shared.load(name)?.map_or_else(RepoIndex::empty, |index| RepoIndex::clone(&index));
        put.check(&current, |digest| self.shared.size(name, digest))?;
        let (mut file, temporary) = self.shared.temporary()?;
        file.write_all(&put.bytes).and_then(|()| file.sync_data()).map_err(io("write", &temporary.0))?;
        self.shared.place(temporary, name, &put.digest)?;
        let mut index = current;
        index.put(&put.digest, &put.listed, &put.tags, &|digest| self.shared.read_manifest(name, digest));
        self.shared.write_index(name, &slot, index)
    }

    fn delete_manifest(&self, name: &Name, pointer: &Pointer) -> Result<bool, Error> {
        let slot = self.shared.slot(name);
        let _edit = lock(&slot.edit);
        if self.shared.load(name)?.is_none() {
            return Ok(false);
        }
        let _layout = self.shared.lock_layout(name)?;
        let Some(current) = self.shared.load(name)? else { return Ok(false) };
        let mut index = RepoIndex::clone(&current);
        let found = match pointer {
            Pointer::Tag(tag) => index.remove_tag(tag, &|digest| self.shared.read_manifest(name, digest)),
            Pointer::Digest(digest) => {
                let read = |other: &Digest| if other == digest { None } else { self.shared.read_manifest(name, other) };
                index.remove_manifest(digest, &read)
            }
        };
        if found {
            self.shared.write_index(name, &slot, index)?;
            if let Pointer::Digest(digest) = pointer {
                remove(&self.shared.blob_path(name, digest))?;
            }
        }
        Ok(found)
    }

    fn repositories(&self) -> Result<BTreeSet<Name>, Error> {
        let root = &self.shared.root;
        let walk = walkdir::WalkDir::new(root).min_depth(1).follow_links(true).into_iter().filter_entry(|entry| {
            entry.file_type().is_dir()
                && !entry.file_name().as_encoded_bytes().starts_with(b".")
                && entry.file_name() != "blobs"
                && entry.path().as_os_str().len() - root.as_os_str().len() <= limits::MAX_REPOSITORY_BYTES * 2
        });
        let names = walk
            // A directory that cannot be read holds no repository that could be served.
            .filter_map(Result::ok)
            .filter(|entry| entry.path().join("index.json").is_file())
            .filter_map(|entry| Name::from_directory(entry.path().strip_prefix(root).ok()?))
            .take(limits::MAX_REPOSITORIES);
        Ok(names.collect())
    }
}

fn remove(path: &Path) -> Result<bool, Error> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if is_absent(&e) => Ok(false),
        Err(e) => Err(io("delete", path)(e)),
    }
}

/// A file that is removed when it is dropped before it has been renamed.
struct Temporary(PathBuf);

impl Temporary {
    fn rename(mut self, to: &Path) -> Result<(), Error> {
        fs::rename(&self.0, to).map_err(io("rename", to))?;
        self.0 = PathBuf::new();
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            // What cannot be removed now is removed at the next start.
            let _ = fs::remove_file(&self.0);
        }
    }
}

struct FileSink {
    shared: Arc<Shared>,
    temporary: Temporary,
    file: Option<File>,
}

impl FileSink {
    fn file(&mut self) -> Result<&mut File, Error> {
        let path = &self.temporary.0;
        match &mut self.file {
            Some(file) => Ok(file),
            none => Ok(none.insert(OpenOptions::new().append(true).open(path).map_err(io("write", path))?)),
        }
    }
}

impl Sink for FileSink {
    fn append(&mut self, bytes: Vec<u8>) -> Result<(), Error> {
        let result = self.file()?.write_all(&bytes);
        result.map_err(io("write", &self.temporary.0))
    }

    fn replay(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        let path = &self.temporary.0;
        let mut file = File::open(path).map_err(io("read", path))?;
        file.rewind().map_err(io("read", path))?;
        let mut block = vec![0; BLOCK];
        loop {
            match file.read(&mut block).map_err(io("read", path))? {
                0 => return Ok(()),
                n => take(&block[..n]),
            }
        }
    }

    fn rest(&mut self) {
        self.file = None;
    }

    fn commit(mut self: Box<Self>, name: &Name, digest: &Digest) -> Result<(), Error> {
        let result = self.file()?.sync_data();
        result.map_err(io("write", &self.temporary.0))?;
        let Self { shared, temporary, .. } = *self;
        let slot = shared.slot(name);
        let _edit = lock(&slot.edit);
        shared.create(name)?;
        shared.place(temporary, name, digest)
    }
}
