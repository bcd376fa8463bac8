//! Section headers, best effort: nothing at run time reads them, so whatever is wrong with them changes nothing but
//! what can be told about symbols, debug data and toolchains.

use std::borrow::Cow;

use serde::Serialize;

use super::header::Header;
use super::{Bytes, Class};
use crate::limits::{MAX_SECTIONS, MAX_SMALL_SECTION_BYTES};

/// Longest section name looked at, in bytes; longer ones are cut.
const NAME_WINDOW: usize = 32;

/// Whether the section headers can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SectionTable {
    /// There is none.
    Absent,
    /// It is there.
    Present,
    /// The header points to one that is outside of the file or makes no sense.
    Broken,
}

pub(super) struct Section {
    pub name: Vec<u8>,
    pub kind: u32,
    pub offset: u64,
    pub size: u64,
}

/// `SHT_SYMTAB`.
const SYMTAB: u32 = 2;
/// `SHT_NOBITS`.
const NOBITS: u32 = 8;

pub(super) struct Sections<'a> {
    bytes: &'a dyn Bytes,
    pub table: SectionTable,
    all: Vec<Section>,
}

impl<'a> Sections<'a> {
    pub fn parse(bytes: &'a dyn Bytes, header: &Header) -> Self {
        if header.shoff == 0 || header.shnum == 0 {
            return Self { bytes, table: SectionTable::Absent, all: Vec::new() };
        }
        match read(bytes, header) {
            Some(all) => Self { bytes, table: SectionTable::Present, all },
            None => Self { bytes, table: SectionTable::Broken, all: Vec::new() },
        }
    }

    pub fn named(&self, name: &[u8]) -> Option<&Section> {
        self.all.iter().find(|section| section.name == name)
    }

    pub fn of_kind(&self, kind: u32) -> Option<&Section> {
        self.all.iter().find(|section| section.kind == kind)
    }

    pub fn has_symbols(&self) -> bool {
        self.of_kind(SYMTAB).is_some()
    }

    pub fn has_debug_data(&self) -> bool {
        self.all.iter().any(|s| s.name.starts_with(b".debug_") || s.name.starts_with(b".zdebug_"))
    }

    /// Content of a section of reasonable size.
    pub fn content(&self, section: &Section) -> Option<Cow<'a, [u8]>> {
        if section.kind == NOBITS || section.size > MAX_SMALL_SECTION_BYTES {
            return None;
        }
        self.bytes.read_at(section.offset, usize::try_from(section.size).ok()?)
    }
}

fn read(bytes: &dyn Bytes, header: &Header) -> Option<Vec<Section>> {
    let layout = header.layout;
    let entry = match layout.class {
        Class::Elf32 => 40,
        Class::Elf64 => 64,
    };
    let count = usize::from(header.shnum);
    if usize::from(header.shentsize) != entry || count > MAX_SECTIONS || header.shstrndx >= header.shnum {
        return None;
    }
    let raw = bytes.read_at(header.shoff, entry * count)?;
    let width = layout.width();
    // sh_name and sh_type are 4 bytes each, then come sh_flags, sh_addr, sh_offset, sh_size as words.
    let field = |i: usize, word: usize| layout.word(&raw, i * entry + 8 + word * width);
    let (names_offset, names_size) = (field(header.shstrndx.into(), 2)?, field(header.shstrndx.into(), 3)?);
    let mut all = Vec::with_capacity(count);
    for i in 0..count {
        let name = u64::from(layout.u32(&raw, i * entry)?);
        all.push(Section {
            name: section_name(bytes, names_offset, names_size, name),
            kind: layout.u32(&raw, i * entry + 4)?,
            offset: field(i, 2)?,
            size: field(i, 3)?,
        });
    }
    Some(all)
}

/// Empty when it cannot be read.
fn section_name(bytes: &dyn Bytes, table: u64, table_size: u64, name: u64) -> Vec<u8> {
    let Some(left) = table_size.checked_sub(name) else { return Vec::new() };
    let Some(offset) = table.checked_add(name) else { return Vec::new() };
    let window = super::bytes::up_to(bytes, offset, usize::try_from(left).unwrap_or(NAME_WINDOW).min(NAME_WINDOW));
    window.split(|&b| b == 0).next().unwrap_or_default().to_vec()
}
