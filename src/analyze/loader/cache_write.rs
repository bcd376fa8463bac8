//! A cache of our own for an image whose libraries lie outside of the default directories. The new format alone, which
//! every glibc since 2.2 reads; the same lines give the same bytes.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::cache::{EXTENSION_HWCAPS, EXTENSION_MAGIC, HWCAP_EXTENSION, NEW_ENTRY, NEW_HEADER, NEW_MAGIC};
use super::{Abi, CacheError, LdCache};
use crate::diag::escape;
use crate::limits;

/// A library that a cache is to name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheLine {
    /// The name by which it is asked for: its SONAME.
    pub name: Vec<u8>,
    /// Its absolute path in the image.
    pub path: Vec<u8>,
    /// The glibc-hwcaps subdirectory that it is of, for example `x86-64-v3`; `None` for the baseline.
    pub hwcaps: Option<Vec<u8>>,
}

impl LdCache {
    /// The bytes of a cache with these lines for loaders of `abi`, whose entries carry `flags`
    /// ([`super::Profile::cache_flags`]). Of two lines with one name the earlier one wins, as the earlier directory does.
    ///
    /// # Errors
    /// [`CacheError::Line`] for a name or path that no cache can hold or no search of the loader would find, [`CacheError::Ambiguous`] for two names that the
    /// loader takes for one, [`CacheError::TooMany`].
    pub fn write(lines: &[CacheLine], abi: Abi, flags: u32) -> Result<Vec<u8>, CacheError> {
        let lines = sorted(lines, abi)?;
        let mut hwcaps: Vec<&[u8]> = lines.iter().filter_map(|line| line.hwcaps.as_deref()).collect();
        // The loader merges this list with its own, which is sorted.
        hwcaps.sort_unstable();
        hwcaps.dedup();
        let strings_at = NEW_HEADER + lines.len() * NEW_ENTRY;
        let mut strings = Strings { at: strings_at, bytes: Vec::new(), known: BTreeMap::new() };
        let word = if abi.big_endian { u32::to_be_bytes } else { u32::to_le_bytes };
        let mut entries = Vec::with_capacity(lines.len() * NEW_ENTRY);
        for line in &lines {
            let (path, name) = (strings.add(&line.path)?, strings.add(&line.name)?);
            let index = line.hwcaps.as_deref().and_then(|name| hwcaps.iter().position(|known| *known == name));
            let (high, low) = match index {
                Some(index) => (HWCAP_EXTENSION, u32::try_from(index).unwrap_or(u32::MAX)),
                None => (0, 0),
            };
            // The last two are one 64-bit number.
            let number = if abi.big_endian { [high, low] } else { [low, high] };
            for value in [flags, name, path, 0, number[0], number[1]] {
                entries.extend(word(value));
            }
        }
        let names = hwcaps.iter().map(|name| strings.add(name)).collect::<Result<Vec<u32>, _>>()?;
        let strings = strings.bytes;
        let extension_at = (strings_at + strings.len()).next_multiple_of(4);
        let mut out = NEW_MAGIC.to_vec();
        let extension_offset = if names.is_empty() { 0 } else { fits(extension_at)? };
        out.extend([fits(lines.len())?, fits(strings.len())?].into_iter().flat_map(word));
        // The byte order, padded to a word.
        out.extend([if abi.big_endian { 3 } else { 2 }, 0, 0, 0]);
        out.extend(word(extension_offset));
        out.resize(NEW_HEADER, 0);
        out.extend(entries);
        out.extend(strings);
        if !names.is_empty() {
            out.resize(extension_at, 0);
            // The directory with its one section, and behind it the section.
            let size = fits(names.len() * 4)?;
            let section = [EXTENSION_HWCAPS, 0, fits(extension_at + 24)?, size];
            out.extend([EXTENSION_MAGIC, 1].into_iter().chain(section).chain(names).flat_map(word));
        }
        Ok(out)
    }
}

/// An offset or count as the format holds it.
fn fits(number: usize) -> Result<u32, CacheError> {
    u32::try_from(number).map_err(|_| CacheError::TooMany(u32::MAX))
}

/// The lines in the order that the loader's binary search expects (`compare` in elf/cache.c): names descending, and of one
/// name those of subdirectories first, since the search ends at the first line of the baseline.
fn sorted(lines: &[CacheLine], abi: Abi) -> Result<Vec<&CacheLine>, CacheError> {
    if lines.len() > limits::MAX_LD_CACHE_ENTRIES as usize {
        return Err(CacheError::TooMany(fits(lines.len())?));
    }
    for line in lines {
        let strings = [Some(&line.name), Some(&line.path), line.hwcaps.as_ref()];
        let bad = |s: &&Vec<u8>| s.is_empty() || s.len() > limits::MAX_PATH_BYTES || s.contains(&0);
        if let Some(bad) = strings.into_iter().flatten().find(bad) {
            return Err(CacheError::Line(escape(bad)));
        }
    }
    let signed = has_signed_characters(abi);
    let hwcaps = |line: &CacheLine| (line.hwcaps.is_none(), line.hwcaps.clone());
    let mut sorted: Vec<&CacheLine> = lines.iter().collect();
    // The loader subtracts numbers of 32 bits: where large ones wrap around, one order or the other is the right one.
    let orders: [fn(i32, i32) -> Ordering; 2] = [|a, b| a.cmp(&b), |a, b| a.cast_unsigned().cmp(&b.cast_unsigned())];
    let mut lost = None;
    for numbers in orders {
        sorted.sort_by(|a, b| compare_names(&b.name, &a.name, signed, numbers).then_with(|| hwcaps(a).cmp(&hwcaps(b))));
        lost = sorted.iter().find(|line| !is_found(&sorted, &line.name, signed)).copied();
        if lost.is_none() {
            break;
        }
    }
    if let Some(lost) = lost {
        return Err(CacheError::Line(escape(&lost.name)));
    }
    for pair in sorted.windows(2) {
        if let [a, b] = pair
            && a.name != b.name
            && compare_names(&a.name, &b.name, signed, difference).is_eq()
        {
            return Err(CacheError::Ambiguous(escape(&a.name), escape(&b.name)));
        }
    }
    sorted.dedup_by(|later, earlier| later.name == earlier.name && later.hwcaps == earlier.hwcaps);
    Ok(sorted)
}

/// The binary search of the loader (`search_cache` in elf/dl-cache.c).
fn is_found(sorted: &[&CacheLine], name: &[u8], signed: bool) -> bool {
    let (mut left, mut right) = (0, sorted.len());
    while left < right {
        let middle = usize::midpoint(left, right - 1);
        match compare_names(name, &sorted[middle].name, signed, difference) {
            Ordering::Equal => return true,
            Ordering::Less => left = middle + 1,
            Ordering::Greater => right = middle,
        }
    }
    false
}

/// Two numbers of a name as C compares them: by the sign of their difference, which may wrap around.
fn difference(a: i32, b: i32) -> Ordering {
    a.wrapping_sub(b).cmp(&0)
}

/// Whether C's `char` is signed, by the processor supplements of the System V ABI: bytes from 0x80 sort before ASCII then.
fn has_signed_characters(abi: Abi) -> bool {
    use goblin::elf::header as h;
    matches!(abi.machine, h::EM_X86_64 | h::EM_386 | h::EM_MIPS | h::EM_LOONGARCH | h::EM_SPARCV9)
}

/// `_dl_cache_libcmp` (elf/dl-cache.c): digits count as numbers and stand behind everything else.
fn compare_names(a: &[u8], b: &[u8], signed: bool, numbers: fn(i32, i32) -> Ordering) -> Ordering {
    let character = |byte: u8| if signed { i32::from(byte.cast_signed()) } else { i32::from(byte) };
    let (mut a, mut b) = (a, b);
    loop {
        let (Some(x), Some(y)) = (a.first().copied(), b.first().copied()) else {
            // The NUL at the end of one of them.
            let end = |rest: &[u8]| rest.first().map_or(0, |byte| character(*byte));
            return match a.first() {
                Some(x) if x.is_ascii_digit() => Ordering::Greater,
                _ => end(a).cmp(&end(b)),
            };
        };
        match (x.is_ascii_digit(), y.is_ascii_digit()) {
            (true, false) => return Ordering::Greater,
            (false, true) => return Ordering::Less,
            (true, true) => match numbers(number(&mut a), number(&mut b)) {
                Ordering::Equal => {}
                other => return other,
            },
            (false, false) if x != y => return character(x).cmp(&character(y)),
            (false, false) => (a, b) = (&a[1..], &b[1..]),
        }
    }
}

/// Takes the digits from the front; an `int` that overflows wraps around.
pub(super) fn number(text: &mut &[u8]) -> i32 {
    let mut value = 0i32;
    while let Some((digit, rest)) = text.split_first().filter(|(digit, _)| digit.is_ascii_digit()) {
        value = value.wrapping_mul(10).wrapping_add(i32::from(digit - b'0'));
        *text = rest;
    }
    value
}

/// The string table: each string once, and a file's name within its path.
struct Strings {
    /// Where it begins in the file.
    at: usize,
    bytes: Vec<u8>,
    known: BTreeMap<Vec<u8>, u32>,
}

impl Strings {
    fn add(&mut self, text: &[u8]) -> Result<u32, CacheError> {
        if let Some(known) = self.known.get(text) {
            return Ok(*known);
        }
        let place = fits(self.at + self.bytes.len())?;
        self.known.insert(text.to_vec(), place);
        if let Some(slash) = text.iter().rposition(|b| *b == b'/') {
            let name = text[slash + 1..].to_vec();
            self.known.entry(name).or_insert(place.saturating_add(fits(slash + 1)?));
        }
        self.bytes.extend_from_slice(text);
        self.bytes.push(0);
        fits(self.at + self.bytes.len())?;
        Ok(place)
    }
}
