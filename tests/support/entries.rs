//! Layer plans made in memory.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle::analyze::{Confidence, Reason};
use coracle::blob::{BlobSource, BytesSource};
use coracle::oci::ImagePath;
use coracle::plan::{Entry, EntryKind, FileContent, LayerPlan};

/// An entry owned by 0:0, with the mode that coracle gives its kind.
pub fn entry(path: impl AsRef<[u8]>, kind: EntryKind) -> Entry {
    let mode = match kind {
        EntryKind::Directory => 0o755,
        EntryKind::File(_) => 0o555,
        EntryKind::Symlink(_) => 0o777,
    };
    Entry {
        path: ImagePath::parse(path).expect("a valid path"),
        kind,
        mode,
        uid: 0,
        gid: 0,
        xattrs: BTreeMap::new(),
        owner: None,
        reason: Reason::new("test", "test", Confidence::Asserted),
    }
}

pub fn directory(path: impl AsRef<[u8]>) -> Entry {
    entry(path, EntryKind::Directory)
}

pub fn symlink(path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Entry {
    entry(path, EntryKind::Symlink(target.as_ref().to_vec()))
}

pub fn file(path: impl AsRef<[u8]>, bytes: impl Into<Vec<u8>>) -> Entry {
    let bytes = bytes.into();
    let content = FileContent::external(bytes.len() as u64, Arc::new(BytesSource::new(bytes)));
    entry(path, EntryKind::File(content))
}

/// A file whose bytes come from `source`, which claims `size`.
pub fn file_from(path: impl AsRef<[u8]>, size: u64, source: impl BlobSource + 'static) -> Entry {
    entry(path, EntryKind::File(FileContent::external(size, Arc::new(source))))
}

/// A layer of these entries, sorted.
pub fn layer(mut entries: Vec<Entry>) -> LayerPlan {
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    LayerPlan { name: "app".to_owned(), entries }
}

/// Bytes that compress about as well as machine code: the same for the same seed.
pub fn program_like(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut out = Vec::with_capacity(length + 16);
    while out.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let word = state.to_le_bytes();
        match state % 5 {
            0 => out.extend_from_slice(&[0x48, 0x89, word[0], 0x0f, 0x1f, 0x44, 0, 0]),
            1 => out.extend_from_slice(&word),
            2 if out.len() > 4096 => {
                let from = out.len() - 64 - usize::from(u16::from_le_bytes([word[3], word[4]]) % 4000);
                out.extend_from_within(from..from + usize::from(word[5] % 64));
            }
            3 => out.extend_from_slice(&[0; 12]),
            _ => out.extend_from_slice(&[0xe8, word[1], word[2], 0xff, 0xff]),
        }
    }
    out.truncate(length);
    out
}
