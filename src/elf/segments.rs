//! Program headers, and from addresses to file offsets.

use std::borrow::Cow;

use goblin::container::{Container, Ctx, Endian as GoblinEndian};
use goblin::elf::program_header::{PF_W, PF_X, PT_INTERP, PT_LOAD, ProgramHeader};

use super::header::Header;
use super::{Bytes, Class, Endian, Error};
use crate::limits::{ELF_SCAN_WINDOW_BYTES, MAX_ELF_NAME_BYTES, MAX_ELF_SCAN_BYTES, MAX_PROGRAM_HEADER_BYTES};

/// The program headers of one file together with its bytes.
pub(super) struct Segments<'a> {
    bytes: &'a dyn Bytes,
    headers: Vec<ProgramHeader>,
}

impl<'a> Segments<'a> {
    /// Reads the table; refuses one that Linux would refuse, and loaded segments that are not wholly in the file.
    pub fn parse(bytes: &'a dyn Bytes, header: &Header) -> Result<Self, Error> {
        if header.phnum == 0 {
            return Ok(Self { bytes, headers: Vec::new() });
        }
        let (expected, container) = match header.layout.class {
            Class::Elf32 => (32, Container::Little),
            Class::Elf64 => (56, Container::Big),
        };
        if header.phentsize != expected {
            return Err(Error::ProgramHeaderSize { actual: header.phentsize, expected });
        }
        let total = u64::from(expected) * u64::from(header.phnum);
        if total > MAX_PROGRAM_HEADER_BYTES {
            return Err(Error::TooManyProgramHeaders(header.phnum));
        }
        inside(bytes, "the program header table", header.phoff, total)?;
        let len = usize::from(expected) * usize::from(header.phnum);
        let unreadable = Error::Unreadable { offset: header.phoff, len };
        let raw = bytes.read_at(header.phoff, len).ok_or(unreadable.clone())?;
        let order = match header.layout.endian {
            Endian::Little => GoblinEndian::Little,
            Endian::Big => GoblinEndian::Big,
        };
        let headers = ProgramHeader::parse(&raw, 0, usize::from(header.phnum), Ctx::new(container, order))
            .map_err(|_| unreadable)?;
        for segment in &headers {
            match segment.p_type {
                PT_LOAD if segment.p_filesz > segment.p_memsz => {
                    return Err(Error::SegmentSize { file: segment.p_filesz, memory: segment.p_memsz });
                }
                PT_LOAD => inside(bytes, "a loaded segment", segment.p_offset, segment.p_filesz)?,
                PT_INTERP => inside(bytes, "the name of the interpreter", segment.p_offset, segment.p_filesz)?,
                _ => {}
            }
        }
        Ok(Self { bytes, headers })
    }

    /// The bytes of the whole file.
    pub fn bytes(&self) -> &'a dyn Bytes {
        self.bytes
    }

    /// All segments of a type, in the order of the table.
    pub fn of_type(&self, kind: u32) -> impl Iterator<Item = &ProgramHeader> {
        self.headers.iter().filter(move |segment| segment.p_type == kind)
    }

    /// File offset of `address` and how many bytes of the file follow there in the same segment.
    pub fn locate(&self, address: u64) -> Option<(u64, u64)> {
        self.of_type(PT_LOAD).find_map(|segment| {
            let inner = address.checked_sub(segment.p_vaddr)?;
            let left = segment.p_filesz.checked_sub(inner)?;
            (left > 0).then_some((segment.p_offset.checked_add(inner)?, left))
        })
    }

    /// Exactly `len` loaded bytes at `address`.
    pub fn read(&self, address: u64, len: usize) -> Option<Cow<'a, [u8]>> {
        let (offset, left) = self.locate(address)?;
        if left < len as u64 {
            return None;
        }
        self.bytes.read_at(offset, len)
    }

    /// The bytes at `address` up to a NUL, of which there must be one within `limit` bytes.
    pub fn read_name(&self, address: u64, limit: u64) -> Option<Vec<u8>> {
        let (offset, left) = self.locate(address)?;
        let bound = left.min(limit).min(MAX_ELF_NAME_BYTES as u64 + 1);
        // Most names are short: one small window first, the largest only when that has no end.
        for window in [bound.min(128), bound] {
            let raw = self.bytes.read_at(offset, usize::try_from(window).ok()?)?;
            if let Some(end) = raw.iter().position(|&b| b == 0) {
                return Some(raw[..end].to_vec());
            }
        }
        None
    }

    /// Looks for all `needles` in the loaded data and says which are there, and where (file offset of the first).
    /// `order` gives a segment its turn, or leaves it out. Bounded by [`MAX_ELF_SCAN_BYTES`]; of a segment that is larger
    /// both ends are searched.
    pub fn search(&self, needles: &[&[u8]], order: fn(&ProgramHeader) -> Option<u8>) -> Vec<Option<u64>> {
        let finders: Vec<_> = needles.iter().map(memchr::memmem::Finder::new).collect();
        let overlap = needles.iter().copied().map(<[u8]>::len).max().unwrap_or(1).saturating_sub(1) as u64;
        let mut found = vec![None; needles.len()];
        let mut turns: Vec<(u8, u64, u64)> =
            self.of_type(PT_LOAD).filter_map(|s| Some((order(s)?, s.p_offset, s.p_filesz))).collect();
        turns.sort_unstable();
        let mut budget = MAX_ELF_SCAN_BYTES;
        for (_, start, size) in turns {
            let Some(end) = start.checked_add(size) else { continue };
            let (head, tail) = if size <= budget { (size, 0) } else { (budget / 2, budget / 2) };
            budget -= head + tail;
            for (mut at, end) in [(start, start + head), (end - tail, end)] {
                while at < end && found.iter().any(Option::is_none) {
                    let len = (end - at).min(ELF_SCAN_WINDOW_BYTES as u64);
                    let window = usize::try_from(len).ok().and_then(|len| self.bytes.read_at(at, len));
                    let Some(window) = window else { break };
                    for (finder, place) in finders.iter().zip(&mut found).filter(|(_, place)| place.is_none()) {
                        *place = finder.find(&window).map(|inner| at + inner as u64);
                    }
                    at += if at + len == end { len } else { (len - overlap).max(1) };
                }
            }
        }
        found
    }
}

/// Turn of a segment when read-only data matters most, code next (older linkers keep both together).
pub(super) fn constants_first(segment: &ProgramHeader) -> Option<u8> {
    match segment.p_flags & (PF_W | PF_X) {
        0 => Some(0),
        PF_X => Some(1),
        _ => None,
    }
}

/// Turn of a segment when writable data matters most.
pub(super) fn variables_first(segment: &ProgramHeader) -> Option<u8> {
    match segment.p_flags & (PF_W | PF_X) {
        0 => Some(1),
        PF_X => None,
        _ => Some(0),
    }
}

fn inside(bytes: &dyn Bytes, part: &'static str, offset: u64, len: u64) -> Result<(), Error> {
    let needed = offset.saturating_add(len);
    if needed > bytes.len() {
        return Err(Error::Truncated { part, needed, size: bytes.len() });
    }
    Ok(())
}
