//! `/etc/ld.so.cache` as glibc reads it (elf/dl-cache.c, sysdeps/generic/dl-cache.h): the old format `ld.so-1.7.0`, the
//! new one `glibc-ld.so.cache1.1` alone or behind the old, and the extension that names glibc-hwcaps subdirectories.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::cache_write::number;
use crate::limits;

const OLD_MAGIC: &[u8] = b"ld.so-1.7.0";
pub(super) const NEW_MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
/// Header of the old format: the magic padded to 12 bytes, and the count.
const OLD_HEADER: usize = 16;
const OLD_ENTRY: usize = 12;
pub(super) const NEW_HEADER: usize = 48;
pub(super) const NEW_ENTRY: usize = 24;
/// First word of the extension directory.
pub(super) const EXTENSION_MAGIC: u32 = 0xEAA4_2174;
/// Section of the extension directory that lists the subdirectories' names.
pub(super) const EXTENSION_HWCAPS: u32 = 1;
/// Set in the upper half of `hwcap` when its lower half is an index into the subdirectories.
pub(super) const HWCAP_EXTENSION: u32 = 1 << 30;
/// Bits of the upper half that hold an ISA level and do not count for that test.
const HWCAP_LEVEL_MASK: u32 = (1 << 10) - 1;

/// Why a cache cannot be used, so that the loader behaves as if there were none, or why none can be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CacheError {
    /// Neither magic is there.
    #[error("the magic is neither `ld.so-1.7.0` nor `glibc-ld.so.cache1.1`")]
    Magic,
    /// The header or the entries reach beyond the end.
    #[error("it ends before its entries do")]
    Truncated,
    /// The header names the other byte order.
    #[error("it is written in the other byte order")]
    ByteOrder,
    /// More entries than [`limits::MAX_LD_CACHE_ENTRIES`].
    #[error("it claims {0} entries, more than can be")]
    TooMany(u32),
    /// A name, path or subdirectory that is empty, longer than [`limits::MAX_PATH_BYTES`] or holds a NUL, or a name whose
    /// numbers are so large that the loader's binary search fails.
    #[error("`{0}` is no name or path that a cache can hold")]
    Line(String),
    /// Two names that differ, but not for the loader: `lib01.so` and `lib1.so`.
    #[error("the loader takes `{0}` and `{1}` for the same name")]
    Ambiguous(String, String),
}

/// One entry: a library of one ABI and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry {
    /// ABI, for example `0x303` for x86-64; 1 means any (old format).
    pub flags: u32,
    /// Path of the library.
    pub path: Vec<u8>,
    /// The glibc-hwcaps subdirectory, for example `x86-64-v3`; `None` for the baseline.
    pub hwcaps: Option<Vec<u8>>,
    /// A legacy hardware mask (`tls`, `haswell`): ignored since glibc 2.37.
    pub legacy_mask: u64,
}

/// A parsed cache: entries by canonical name, in file order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LdCache {
    entries: BTreeMap<Vec<u8>, Vec<CacheEntry>>,
}

impl LdCache {
    /// Parses the file's bytes for a target of the given byte order.
    ///
    /// # Errors
    /// [`CacheError`]; entries whose strings lie outside the file are skipped as the loader skips them.
    pub fn parse(bytes: &[u8], big_endian: bool) -> Result<Self, CacheError> {
        let words = Words { bytes, big_endian };
        if bytes.starts_with(NEW_MAGIC) {
            return Self::parse_new(words);
        }
        if !bytes.starts_with(OLD_MAGIC) {
            return Err(CacheError::Magic);
        }
        let count = checked_count(words.u32(12).ok_or(CacheError::Truncated)?)?;
        let end = OLD_HEADER + count * OLD_ENTRY;
        if end > bytes.len() {
            return Err(CacheError::Truncated);
        }
        // The new format begins behind the old entries, aligned as its 64-bit words are: to 4 bytes on i386, else to 8.
        for aligned in [end.next_multiple_of(8), end.next_multiple_of(4)] {
            if let Some(rest) = bytes.get(aligned..).filter(|rest| rest.starts_with(NEW_MAGIC)) {
                return Self::parse_new(Words { bytes: rest, big_endian });
            }
        }
        let mut cache = Self::default();
        for i in 0..count {
            let at = OLD_HEADER + i * OLD_ENTRY;
            let (Some(flags), Some(key), Some(value)) = (words.u32(at), words.u32(at + 4), words.u32(at + 8)) else {
                return Err(CacheError::Truncated);
            };
            let string = |offset: u32| words.string(end.checked_add(offset as usize)?);
            if let (Some(key), Some(path)) = (string(key), string(value)) {
                cache.add(key, CacheEntry { flags, path, hwcaps: None, legacy_mask: 0 });
            }
        }
        Ok(cache)
    }

    fn parse_new(words: Words<'_>) -> Result<Self, CacheError> {
        let header = |at| words.u32(at).ok_or(CacheError::Truncated);
        let count = checked_count(header(20)?)?;
        match (words.bytes.get(28).ok_or(CacheError::Truncated)? & 3, words.big_endian) {
            // 0 is a cache of glibc before 2.33, which does not say.
            (0, _) | (2, false) | (3, true) => {}
            _ => return Err(CacheError::ByteOrder),
        }
        if NEW_HEADER + count * NEW_ENTRY > words.bytes.len() {
            return Err(CacheError::Truncated);
        }
        let subdirectories = hwcaps_names(words, header(32)?);
        let mut cache = Self::default();
        for i in 0..count {
            let at = NEW_HEADER + i * NEW_ENTRY;
            let (low, high) = if words.big_endian { (at + 20, at + 16) } else { (at + 16, at + 20) };
            let (low, high) = (header(low)?, header(high)?);
            let (Some(key), Some(path)) =
                (words.string(header(at + 4)? as usize), words.string(header(at + 8)? as usize))
            else {
                continue;
            };
            let extension = high & !HWCAP_LEVEL_MASK == HWCAP_EXTENSION;
            let hwcaps = if extension {
                let Some(name) = subdirectories.get(low as usize) else { continue };
                Some(name.clone())
            } else {
                None
            };
            let legacy_mask = if extension { 0 } else { (u64::from(high) << 32) | u64::from(low) };
            cache.add(key, CacheEntry { flags: header(at)?, path, hwcaps, legacy_mask });
        }
        Ok(cache)
    }

    fn add(&mut self, key: Vec<u8>, entry: CacheEntry) {
        self.entries.entry(canonical(&key).into_owned()).or_default().push(entry);
    }

    /// The entries of `name` whose ABI is `flags`, in file order. Digits count as numbers: `lib01.so` is `lib1.so`.
    pub fn lookup<'a>(&'a self, name: &[u8], flags: u32) -> impl Iterator<Item = &'a CacheEntry> {
        let found = self.entries.get(&*canonical(name)).map(Vec::as_slice).unwrap_or_default();
        found.iter().filter(move |entry| entry.flags == flags || entry.flags == 1)
    }

    /// All entries by name, the numbers of names without leading zeros; those of one name in file order.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &CacheEntry)> {
        self.entries.iter().flat_map(|(name, entries)| entries.iter().map(move |entry| (name.as_slice(), entry)))
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.values().map(Vec::len).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// One spelling for all names that the loader takes for the same: its comparison reads digits as numbers.
fn canonical(name: &[u8]) -> Cow<'_, [u8]> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some(first) = rest.first() {
        if first.is_ascii_digit() {
            out.extend_from_slice(number(&mut rest).to_string().as_bytes());
        } else {
            out.push(*first);
            rest = &rest[1..];
        }
    }
    if out == name { Cow::Borrowed(name) } else { Cow::Owned(out) }
}

fn checked_count(count: u32) -> Result<usize, CacheError> {
    if count > limits::MAX_LD_CACHE_ENTRIES {
        return Err(CacheError::TooMany(count));
    }
    Ok(count as usize)
}

/// The subdirectories' names, or none when the extension is absent or does not parse (as the loader does).
fn hwcaps_names(words: Words<'_>, offset: u32) -> Vec<Vec<u8>> {
    let offset = offset as usize;
    if offset == 0 || !offset.is_multiple_of(4) || words.u32(offset) != Some(EXTENSION_MAGIC) {
        return Vec::new();
    }
    let sections = words.u32(offset + 4).unwrap_or(0).min(limits::MAX_LD_CACHE_SECTIONS) as usize;
    for i in 0..sections {
        let at = offset + 8 + i * 16;
        if words.u32(at) != Some(EXTENSION_HWCAPS) {
            continue;
        }
        let (Some(start), Some(size)) = (words.u32(at + 8), words.u32(at + 12)) else { return Vec::new() };
        let count = (size / 4).min(limits::MAX_LD_CACHE_HWCAPS) as usize;
        let name = |i: usize| words.string(words.u32((start as usize).checked_add(i * 4)?)? as usize);
        return (0..count).map_while(name).collect();
    }
    Vec::new()
}

/// Bounded reads in one byte order.
#[derive(Clone, Copy)]
struct Words<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl Words<'_> {
    fn u32(&self, at: usize) -> Option<u32> {
        let word: [u8; 4] = self.bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if self.big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) })
    }

    fn string(&self, at: usize) -> Option<Vec<u8>> {
        let rest = self.bytes.get(at..)?;
        let window = &rest[..rest.len().min(limits::MAX_PATH_BYTES + 1)];
        let end = window.iter().position(|b| *b == 0)?;
        Some(window[..end].to_vec())
    }
}
