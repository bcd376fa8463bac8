//! The build cache: what packing a layer gave, found again without reading a file.
//!
//! A record is found by the encoder, the recipe of the archive, and each entry with the identity of its content: the
//! digest where it is known, else what `stat` tells (device, inode, size, both times). A file changed within the last two
//! seconds has no identity: it can change again without a trace within one tick of the clock, as in git's racy index.
//! Linux notes a write through a shared memory map only when the page was clean: a process that keeps a file mapped and
//! goes on writing is the one case that is not seen.
//! The cache holds no content, so a wrong hit is the only harm it could do; a lost or damaged record is a miss.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Error, file};
use crate::blob::Identity;
use crate::layer::Packed;
use crate::limits;
use crate::oci::{Descriptor, DiffId, Digest, ImagePath, json};
use crate::plan::{EncoderId, Entry, EntryKind, LayerPlan};

/// Raised when the bytes that [`crate::layer`] writes for a plan change; golden digests there tell when.
const RECIPE: u32 = 1;

/// Younger files are not trusted. File systems with the coarsest clocks (FAT, HFS+) tick every two seconds.
const RACY: Duration = Duration::from_secs(2);

/// Under what a layer is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheKey(Digest);

/// Sizes of the cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheSize {
    /// Records.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A directory of records.
#[derive(Debug, Clone)]
pub struct BuildCache {
    directory: PathBuf,
}

/// One record as it is stored. Paths and sizes stand in the plan, whose digest is the key.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    layer: Descriptor,
    diff_id: DiffId,
    tar_size: u64,
    files: Vec<Digest>,
}

impl CacheKey {
    /// The key of a layer, or `None` when one of its files cannot be recognized again.
    ///
    /// Take it before packing and again afterwards with the same `now`, and remember the result only when both are equal:
    /// then no file has changed in between.
    #[must_use]
    pub fn of(layer: &LayerPlan, created: u64, encoder: EncoderId, now: SystemTime) -> Option<Self> {
        let entries: Option<Vec<Value>> = layer.entries.iter().map(|entry| describe(entry, now)).collect();
        let key = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "recipe": RECIPE,
            "encoder": encoder.name(),
            "created": created,
            "entries": entries?,
        });
        json::canonical("cache key", &key).ok().map(|bytes| Self(Digest::of(&bytes)))
    }
}

/// Everything about an entry that shows in the layer. Names are bytes and written escaped, which loses nothing.
fn describe(entry: &Entry, now: SystemTime) -> Option<Value> {
    let escape = crate::diag::escape;
    let kind = match &entry.kind {
        EntryKind::Directory => json!("directory"),
        EntryKind::Symlink(target) => json!({"symlink": escape(target)}),
        EntryKind::File(content) => match &content.digest {
            Some(digest) => json!({"digest": digest, "size": content.size}),
            None => {
                let identity = content.source.identity().filter(|identity| settled(identity, now))?;
                json!({
                    "size": content.size,
                    "stat": [
                        identity.dev.to_string(), identity.ino.to_string(), identity.size.to_string(),
                        identity.mtime_ns.to_string(), identity.ctime_ns.to_string(),
                    ],
                })
            }
        },
    };
    let xattrs: Vec<Value> = entry.xattrs.iter().map(|(name, value)| json!([name, escape(value)])).collect();
    Some(json!([escape(entry.path.as_bytes()), kind, entry.mode, entry.uid, entry.gid, xattrs]))
}

/// Whether the file's last change lies far enough back. Times in the future, as a wrong clock leaves them, do not.
fn settled(identity: &Identity, now: SystemTime) -> bool {
    let Ok(now) = now.duration_since(SystemTime::UNIX_EPOCH) else { return false };
    let before = i128::try_from(now.saturating_sub(RACY).as_nanos()).unwrap_or(i128::MAX);
    identity.mtime_ns.max(identity.ctime_ns) < before
}

impl BuildCache {
    /// A cache in this directory, which is made with the first record.
    #[must_use]
    pub fn at(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    fn path(&self, key: &CacheKey) -> PathBuf {
        self.directory.join(format!("{}.json", key.0.hex()))
    }

    /// What packing this layer gave. A record that cannot be read or does not fit the layer is a miss.
    #[must_use]
    pub fn get(&self, key: &CacheKey, layer: &LayerPlan) -> Option<Packed> {
        let path = self.path(key);
        let bytes = file::read_document(&path, "cache record", limits::MAX_CACHE_RECORD_BYTES).ok().flatten()?;
        let record: Record = serde_json::from_slice(&bytes).ok()?;
        let files: Vec<(&ImagePath, u64)> = files(layer).collect();
        if files.len() != record.files.len() {
            return None;
        }
        // The time of the last use, for `prune`; a cache that cannot be written to still answers.
        File::options().write(true).open(&path).and_then(|file| file.set_modified(SystemTime::now())).ok();
        let files = files.into_iter().zip(record.files).map(|((path, size), digest)| (path.clone(), digest, size));
        Some(Packed {
            descriptor: record.layer,
            diff_id: record.diff_id,
            files: files.collect(),
            tar_size: record.tar_size,
        })
    }

    /// Remembers what packing gave.
    ///
    /// # Errors
    /// [`Error::Io`]; the build itself has not failed then.
    pub fn put(&self, key: &CacheKey, packed: &Packed) -> Result<(), Error> {
        let record = Record {
            layer: packed.descriptor.clone(),
            diff_id: packed.diff_id.clone(),
            tar_size: packed.tar_size,
            files: packed.files.iter().map(|(_, digest, _)| digest.clone()).collect(),
        };
        fs::create_dir_all(&self.directory).map_err(|e| Error::io("create", &self.directory, e))?;
        file::replace(&self.path(key), &json::canonical("cache record", &record)?)
    }

    /// How much is remembered.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn size(&self) -> Result<CacheSize, Error> {
        self.each(|_, _| Ok(true))
    }

    /// Forgets what was not used since `since`; with a `since` in the future, everything. Says how much that was.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn prune(&self, since: SystemTime) -> Result<CacheSize, Error> {
        self.each(|path, metadata| {
            if metadata.modified().is_ok_and(|used| used >= since) {
                return Ok(false);
            }
            fs::remove_file(path).map(|()| true).map_err(|e| Error::io("remove", path, e))
        })
    }

    /// Sums up the records that `counts` accepts. Other files in the directory are left alone.
    fn each(&self, counts: impl Fn(&Path, &fs::Metadata) -> Result<bool, Error>) -> Result<CacheSize, Error> {
        let fail = |e| Error::io("read", &self.directory, e);
        let mut size = CacheSize::default();
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(size),
            Err(e) => return Err(fail(e)),
        };
        for entry in entries {
            let path = entry.map_err(fail)?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let is_record = path.extension().is_some_and(|extension| extension == "json")
                && format!("sha256:{stem}").parse::<Digest>().is_ok();
            // Gone in the meantime: another process prunes too.
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            if is_record && metadata.is_file() && counts(&path, &metadata)? {
                size.records += 1;
                size.bytes += metadata.len();
            }
        }
        Ok(size)
    }
}

/// The regular files of a layer in order, with their sizes.
fn files(layer: &LayerPlan) -> impl Iterator<Item = (&ImagePath, u64)> {
    layer.entries.iter().filter_map(|entry| match &entry.kind {
        EntryKind::File(content) => Some((&entry.path, content.size)),
        _ => None,
    })
}
