//! Where the loaded bytes of a file are and what its headers say of their origin: what a search through them needs.

use std::ops::Range;

use goblin::elf::dynamic::{DT_STRSZ, DT_STRTAB};
use goblin::elf::program_header::{PF_W, PF_X, PT_LOAD};

use super::facts::{linkage, read_interpreter};
use super::sections::Sections;
use super::segments::Segments;
use super::{Bytes, Error, Language, Linkage, ObjectType, dynamic, header, notes, toolchain};

/// The file's part of one loaded segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadedSegment {
    /// Where it begins in the file, in bytes.
    pub offset: u64,
    /// Its size in the file, in bytes.
    pub size: u64,
    /// Whether the program may write to it.
    pub writable: bool,
    /// Whether it holds code.
    pub executable: bool,
}

/// Loaded parts and marks of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// `PT_LOAD`, in the order of the file's table; all of them lie inside the file.
    pub segments: Vec<LoadedSegment>,
    /// Offsets in the file of the dynamic string table: names for the loader, not strings of the program.
    pub dynamic_strings: Option<Range<u64>>,
    /// How it is linked.
    pub linkage: Linkage,
    /// The language that notes and section headers tell, without a look at the code or data.
    pub language: Option<Language>,
    /// Whether `NT_GNU_ABI_TAG` names Linux: the C library is glibc.
    pub glibc_note: bool,
}

impl Outline {
    /// Parses the headers, the dynamic section and the notes.
    ///
    /// # Errors
    /// As [`super::ElfFacts::parse`].
    pub fn parse(bytes: &dyn Bytes) -> Result<Self, Error> {
        let header = header::parse(bytes)?;
        let segments = Segments::parse(bytes, &header)?;
        let sections = Sections::parse(bytes, &header);
        let parsed = dynamic::parse(&segments, header.layout)?;
        let notes = notes::parse(&segments, &sections, header.layout, header.machine);
        let kind = ObjectType::from_code(header.object_type);
        let entries = dynamic::entries(&segments, header.layout)?.unwrap_or_default();
        let value = |tag: u64| entries.iter().rev().find(|entry| entry.0 == tag).map(|entry| entry.1);
        let strings = value(DT_STRTAB).and_then(|at| segments.locate(at));
        let loaded = segments.of_type(PT_LOAD).map(|segment| LoadedSegment {
            offset: segment.p_offset,
            size: segment.p_filesz,
            writable: segment.p_flags & PF_W != 0,
            executable: segment.p_flags & PF_X != 0,
        });
        Ok(Self {
            segments: loaded.collect(),
            dynamic_strings: strings.map(|(at, left)| at..at + left.min(value(DT_STRSZ).unwrap_or(0))),
            linkage: linkage(kind, read_interpreter(&segments).is_some(), parsed.as_ref(), header.entry),
            language: toolchain::declared_language(&sections, &notes),
            glibc_note: notes.abi_tag.is_some_and(|tag| tag.os == 0),
        })
    }
}
