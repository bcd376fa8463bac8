//! The build cache: it finds again what it may, and nothing else.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use coracle::analyze::{Confidence, Reason};
use coracle::blob::FileSource;
use coracle::layer::Packed;
use coracle::oci::{Descriptor, DiffId, Digest, ImagePath, media_type};
use coracle::plan::{EncoderId, Entry, EntryKind, FileContent, LayerPlan};
use coracle::store::{BuildCache, CacheKey, CacheSize};

fn entry(path: &str, kind: EntryKind) -> Entry {
    Entry {
        path: ImagePath::parse(path).unwrap(),
        kind,
        mode: 0o555,
        uid: 0,
        gid: 0,
        xattrs: BTreeMap::new(),
        owner: None,
        reason: Reason::new("test", "test", Confidence::Asserted),
    }
}

/// A layer of a generated file and the file at `path`.
fn layer(path: &Path) -> LayerPlan {
    let size = std::fs::metadata(path).unwrap().len();
    LayerPlan {
        name: "app".to_owned(),
        entries: vec![
            entry("app", EntryKind::Directory),
            entry("app/a", EntryKind::File(FileContent::generated(b"generated".to_vec()))),
            entry("app/b", EntryKind::File(FileContent::external(size, Arc::new(FileSource::new(path))))),
        ],
    }
}

fn packed() -> Packed {
    let file =
        |path: &str, text: &str| (ImagePath::parse(path).unwrap(), Digest::of(text.as_bytes()), text.len() as u64);
    Packed {
        descriptor: Descriptor::of(media_type::OCI_LAYER_GZIP, b"layer"),
        diff_id: DiffId(Digest::of(b"tar")),
        files: vec![file("app/a", "generated"), file("app/b", "content")],
        tar_size: 4096,
    }
}

/// Long after every file of the test was written.
fn later() -> SystemTime {
    SystemTime::now() + Duration::from_secs(3600)
}

fn key(layer: &LayerPlan) -> Option<CacheKey> {
    CacheKey::of(layer, 0, EncoderId::Gz1, later())
}

#[test]
fn what_was_packed_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b");
    std::fs::write(&path, "content").unwrap();
    let (layer, cache) = (layer(&path), BuildCache::at(&dir.path().join("cache")));
    let key = key(&layer).unwrap();
    assert_eq!(cache.get(&key, &layer), None);
    assert_eq!(cache.size().unwrap(), CacheSize::default(), "asking makes nothing");
    cache.put(&key, &packed()).unwrap();
    assert_eq!(cache.get(&key, &layer), Some(packed()));
    let size = cache.size().unwrap();
    assert_eq!(size.records, 1);
    assert_eq!(cache.prune(SystemTime::now() - Duration::from_secs(3600)).unwrap(), CacheSize::default());
    assert_eq!(cache.prune(later()).unwrap(), size);
    assert_eq!(cache.get(&key, &layer), None);
}

#[test]
fn any_change_is_another_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b");
    std::fs::write(&path, "content").unwrap();
    let base = layer(&path);
    let first = key(&base).unwrap();
    assert_eq!(key(&layer(&path)), Some(first.clone()), "the same twice");
    assert_ne!(CacheKey::of(&base, 1, EncoderId::Gz1, later()), Some(first.clone()));
    assert_ne!(CacheKey::of(&base, 0, EncoderId::Zst1, later()), Some(first.clone()));
    let changes: &[fn(&mut Entry)] = &[
        |e| e.mode = 0o755,
        |e| e.uid = 1,
        |e| e.gid = 1,
        |e| e.path = ImagePath::parse("app/c").unwrap(),
        |e| e.kind = EntryKind::Directory,
        |e| e.kind = EntryKind::Symlink(b"x".to_vec()),
        |e| e.kind = EntryKind::File(FileContent::generated(b"content".to_vec())),
        |e| drop(e.xattrs.insert("user.x".to_owned(), vec![0])),
    ];
    for (n, change) in changes.iter().enumerate() {
        let mut other = base.clone();
        change(&mut other.entries[2]);
        assert_ne!(key(&other), Some(first.clone()), "change {n}");
    }
    // The same size and time of change, by another inode: only `ctime` and the inode tell.
    let copy = dir.path().join("copy");
    std::fs::write(&copy, "CONTENT").unwrap();
    let time = std::fs::metadata(&path).unwrap().modified().unwrap();
    std::fs::File::options().write(true).open(&copy).unwrap().set_modified(time).unwrap();
    std::fs::rename(&copy, &path).unwrap();
    assert_ne!(key(&base), Some(first));
}

#[test]
fn young_files_are_not_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b");
    std::fs::write(&path, "content").unwrap();
    let layer = layer(&path);
    assert_eq!(CacheKey::of(&layer, 0, EncoderId::Gz1, SystemTime::now()), None);
    // An old time of change does not help: the inode has been touched just now.
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
    assert_eq!(CacheKey::of(&layer, 0, EncoderId::Gz1, SystemTime::now()), None);
    assert!(CacheKey::of(&layer, 0, EncoderId::Gz1, later()).is_some());
    std::fs::remove_file(&path).unwrap();
    assert_eq!(CacheKey::of(&layer, 0, EncoderId::Gz1, later()), None, "a file that is gone");
}

#[test]
fn damaged_records_are_misses() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b");
    std::fs::write(&path, "content").unwrap();
    let (layer, directory) = (layer(&path), dir.path().join("cache"));
    let (key, cache) = (key(&layer).unwrap(), BuildCache::at(&directory));
    cache.put(&key, &packed()).unwrap();
    let record = std::fs::read_dir(&directory).unwrap().next().unwrap().unwrap().path();
    let good = std::fs::read_to_string(&record).unwrap();
    for damage in [
        String::new(),
        good[..good.len() / 2].to_owned(),
        good.replace("sha256:", "sha256;"),
        good.replacen("\"files\":[", "\"files\":[\"sha256:", 1),
        "[]".to_owned(),
        "\0".repeat(100),
    ] {
        std::fs::write(&record, &damage).unwrap();
        assert_eq!(cache.get(&key, &layer), None, "{damage}");
    }
    let mut fewer = packed();
    fewer.files.pop();
    cache.put(&key, &fewer).unwrap();
    assert_eq!(cache.get(&key, &layer), None, "a record of another layer");
    cache.put(&key, &packed()).unwrap();
    assert_eq!(cache.get(&key, &layer), Some(packed()), "written over");
    std::fs::write(directory.join("notes.txt"), "mine").unwrap();
    cache.prune(later()).unwrap();
    assert!(directory.join("notes.txt").exists());
}
