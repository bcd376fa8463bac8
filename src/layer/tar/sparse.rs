//! Sparse files: the old GNU format and GNU's three pax formats. Never written, always read.

use super::fields::{decimal, number};
use super::pax::{Parsed, Records};
use super::{BLOCK, Error};
use crate::limits::MAX_SPARSE_SEGMENTS;

/// The map of a sparse file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sparse {
    /// How the map is written.
    pub format: SparseFormat,
    /// Offset and length of the data between holes, in order.
    pub segments: Vec<(u64, u64)>,
}

/// How a sparse map is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SparseFormat {
    /// In the header of type `S` and in blocks behind it.
    OldGnu,
    /// pax, repeated `GNU.sparse.offset` and `GNU.sparse.numbytes`.
    Pax00,
    /// pax, `GNU.sparse.map`.
    Pax01,
    /// pax, in front of the data.
    Pax10,
}

/// A map that is being read.
pub(super) struct Map {
    pub(super) format: SparseFormat,
    offset: u64,
    segments: Vec<(u64, u64)>,
}

impl Map {
    pub(super) const fn new(format: SparseFormat, offset: u64) -> Self {
        Self { format, offset, segments: Vec::new() }
    }

    fn fail(&self, reason: &'static str) -> Error {
        Error::Sparse { offset: self.offset, reason }
    }

    fn push(&mut self, start: u64, length: u64) -> Result<(), Error> {
        if self.segments.len() >= MAX_SPARSE_SEGMENTS {
            let limit = MAX_SPARSE_SEGMENTS as u64;
            return Err(Error::Limit { offset: self.offset, what: "segments of a sparse file", limit });
        }
        let end = self.segments.last().map_or(0, |(start, length)| start + length);
        if start < end {
            return Err(self.fail("its segments are not in order"));
        }
        start.checked_add(length).ok_or_else(|| self.fail("a segment ends beyond any size"))?;
        self.segments.push((start, length));
        Ok(())
    }

    /// Takes the numbers of the formats 0.0 and 0.1, offset and length in turn.
    pub(super) fn push_all(&mut self, numbers: &[u64]) -> Result<(), Error> {
        let (pairs, rest) = numbers.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(self.fail("it has an offset without a length"));
        }
        pairs.iter().try_for_each(|[start, length]| self.push(*start, *length))
    }

    /// Takes the 24-byte descriptors of an old GNU header or extension block, up to the first empty one.
    pub(super) fn push_gnu(&mut self, descriptors: &[u8]) -> Result<(), Error> {
        for descriptor in descriptors.as_chunks::<24>().0 {
            if descriptor[0] == 0 {
                break;
            }
            let field = |bytes| number(bytes).and_then(|number| u64::try_from(number).ok());
            match (field(&descriptor[..12]), field(&descriptor[12..])) {
                (Some(start), Some(length)) => self.push(start, length)?,
                _ => return Err(self.fail("it has no number")),
            }
        }
        Ok(())
    }

    /// Checks the map against the file's size with holes and the bytes stored.
    pub(super) fn finish(self, real_size: u64, stored: u64) -> Result<Sparse, Error> {
        let end = self.segments.last().map_or(0, |(start, length)| start + length);
        if end > real_size {
            return Err(self.fail("its segments end beyond the file"));
        }
        if self.segments.iter().map(|(_, length)| length).sum::<u64>() != stored {
            return Err(self.fail("its segments are not as long as the data"));
        }
        Ok(Sparse { format: self.format, segments: self.segments })
    }
}

/// Offset of the descriptors in an old GNU header, of the flag that says that more follow, and of the real size.
const GNU_DESCRIPTORS: std::ops::Range<usize> = 386..482;
const GNU_EXTENDED: usize = 482;
const GNU_REAL_SIZE: std::ops::Range<usize> = 483..495;
/// The same in an extension block.
const EXTENSION_DESCRIPTORS: std::ops::Range<usize> = 0..504;
const EXTENSION_EXTENDED: usize = 504;

/// Reads the map of an old GNU header and gives it with the real size; `next` gives the blocks behind the header.
pub(super) fn old_gnu(
    header: &[u8; BLOCK],
    offset: u64,
    mut next: impl FnMut() -> Result<[u8; BLOCK], Error>,
) -> Result<(Map, u64), Error> {
    let mut map = Map::new(SparseFormat::OldGnu, offset);
    let real_size = number(&header[GNU_REAL_SIZE]).and_then(|size| u64::try_from(size).ok());
    let real_size = real_size.ok_or(Error::Number { offset, field: "realsize" })?;
    map.push_gnu(&header[GNU_DESCRIPTORS])?;
    let mut extended = header[GNU_EXTENDED] != 0;
    while extended {
        let block = next()?;
        let before = map.segments.len();
        map.push_gnu(&block[EXTENSION_DESCRIPTORS])?;
        if map.segments.len() == before {
            return Err(map.fail("an extension block is empty"));
        }
        extended = block[EXTENSION_EXTENDED] != 0;
    }
    Ok((map, real_size))
}

/// Reads the map in front of the data (format 1.0): the count and then offsets and lengths, a decimal number a line, padded
/// to a block. `next` gives blocks of the data.
pub(super) fn pax_1_0(offset: u64, mut next: impl FnMut() -> Result<[u8; BLOCK], Error>) -> Result<Map, Error> {
    let mut map = Map::new(SparseFormat::Pax10, offset);
    let mut block = next()?;
    let mut at = 0;
    let mut line = |map: &Map| {
        let mut text = Vec::new();
        loop {
            if at == BLOCK {
                block = next()?;
                at = 0;
            }
            at += 1;
            match block[at - 1] {
                b'\n' => return decimal(&text).ok_or_else(|| map.fail("it has no number")),
                _ if text.len() >= 20 => return Err(map.fail("it has no number")),
                byte => text.push(byte),
            }
        }
    };
    let count = line(&map)?;
    for _ in 0..count {
        let (start, length) = (line(&map)?, line(&map)?);
        map.push(start, length)?;
    }
    Ok(map)
}

/// Which pax format an entry uses, if any, and the map where the records hold it; 1.0 has it in the data.
pub(super) fn from_pax(pax: &Parsed, offset: u64) -> Result<Option<Map>, Error> {
    let value = |key: &[u8]| pax.records.get(key).map(Vec::as_slice);
    if value(b"GNU.sparse.major").is_some_and(|major| major != b"0") {
        return match (value(b"GNU.sparse.major"), value(b"GNU.sparse.minor")) {
            (Some(b"1"), Some(b"0")) => Ok(Some(Map::new(SparseFormat::Pax10, offset))),
            _ => Err(Error::Sparse { offset, reason: "its version is unknown" }),
        };
    }
    if let Some(text) = value(b"GNU.sparse.map") {
        let mut map = Map::new(SparseFormat::Pax01, offset);
        let numbers: Option<Vec<u64>> =
            if text.is_empty() { Some(Vec::new()) } else { text.split(|byte| *byte == b',').map(decimal).collect() };
        let numbers = numbers.ok_or_else(|| map.fail("it has no number"))?;
        map.push_all(&numbers)?;
        return Ok(Some(map));
    }
    if value(b"GNU.sparse.numblocks").is_some() || !pax.sparse.is_empty() {
        let mut map = Map::new(SparseFormat::Pax00, offset);
        map.push_all(&pax.sparse)?;
        return Ok(Some(map));
    }
    Ok(None)
}

/// The size with holes, from the records of any of the pax formats.
pub(super) fn real_size(records: &Records, offset: u64) -> Result<u64, Error> {
    let text = records.get(&b"GNU.sparse.realsize"[..]).or_else(|| records.get(&b"GNU.sparse.size"[..]));
    text.and_then(|text| decimal(text)).ok_or(Error::Number { offset, field: "GNU.sparse.realsize" })
}
