//! The dynamic section, read as the loader reads it: through the loaded segments, never through section headers.

use goblin::elf::dynamic as d;
use goblin::elf::program_header::PT_DYNAMIC;
use serde::Serialize;

use super::header::Layout;
use super::segments::Segments;
use super::versions::{self, Tables};
use super::{Error, Name, Versions};
use crate::limits::{MAX_DYNAMIC_ENTRIES, MAX_ELF_NAMES_TOTAL_BYTES};

/// Tags that goblin does not name (gABI, "Dynamic Section"; Solaris linkers, adopted by glibc).
const DT_AUXILIARY: u64 = 0x7fff_fffd;
const DT_FILTER: u64 = 0x7fff_ffff;
const DT_DEPAUDIT: u64 = 0x6fff_fefb;
const DT_AUDIT: u64 = 0x6fff_fefc;
/// gABI since 2022, "Relative Relocation Table".
const DT_RELR: u64 = 36;

/// An entry that makes the loader load something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "name")]
pub enum Load {
    /// `DT_NEEDED`.
    Needed(Name),
    /// `DT_FILTER`: symbols come from there; it must be there.
    Filter(Name),
    /// `DT_AUXILIARY`: symbols come from there if it is there.
    Auxiliary(Name),
}

/// What the dynamic section asks of the loader.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, schemars::JsonSchema)]
pub struct Dynamic {
    /// `DT_NEEDED`, in order.
    pub needed: Vec<Name>,
    /// `DT_NEEDED`, `DT_FILTER` and `DT_AUXILIARY` in the section's order, which is the loader's.
    #[serde(skip)]
    pub loads: Vec<Load>,
    /// `DT_AUDIT` and `DT_DEPAUDIT`, as written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audit: Vec<Name>,
    /// Symbol versions demanded and defined.
    pub versions: Versions,
    /// `DT_SONAME`.
    pub soname: Option<Name>,
    /// `DT_RPATH`, as written.
    pub rpath: Option<Name>,
    /// `DT_RUNPATH`, as written.
    pub runpath: Option<Name>,
    /// `DT_FLAGS`.
    pub flags: u64,
    /// `DT_FLAGS_1`.
    pub flags_1: u64,
    /// `DT_TEXTREL`, or `DF_TEXTREL` in the flags: code is written to while it is loaded.
    pub text_relocations: bool,
    /// `DT_RELR`: relative relocations in the packed form, which older loaders pass over in silence.
    #[serde(skip)]
    pub packed_relocations: bool,
    /// `DT_BIND_NOW`, or one of the flags that mean the same.
    pub bind_now: bool,
}

impl Dynamic {
    /// Whether `DF_1_PIE` is set: an executable, not a library.
    #[must_use]
    pub const fn is_pie(&self) -> bool {
        self.flags_1 & d::DF_1_PIE != 0
    }
}

/// The `(tag, value)` pairs in front of the end mark; `None` when there is no dynamic section, or none that is loaded.
pub(super) fn entries(segments: &Segments<'_>, layout: Layout) -> Result<Option<Vec<(u64, u64)>>, Error> {
    let Some(segment) = segments.of_type(PT_DYNAMIC).next() else { return Ok(None) };
    let Some((_, left)) = segments.locate(segment.p_vaddr) else { return Ok(None) };
    let entry = 2 * layout.width();
    let count = usize::try_from(left.min(segment.p_memsz)).unwrap_or(usize::MAX) / entry;
    let Some(raw) = segments.read(segment.p_vaddr, entry * count.min(MAX_DYNAMIC_ENTRIES)) else { return Ok(None) };
    let mut out = Vec::new();
    for at in (0..raw.len()).step_by(entry) {
        let (Some(tag), Some(value)) = (layout.word(&raw, at), layout.word(&raw, at + layout.width())) else { break };
        if tag == d::DT_NULL {
            return Ok(Some(out));
        }
        out.push((tag, value));
    }
    if count > MAX_DYNAMIC_ENTRIES {
        return Err(Error::DynamicSize(MAX_DYNAMIC_ENTRIES));
    }
    Ok(Some(out))
}

/// `None` when there is no dynamic section, or none that is loaded.
pub(super) fn parse(segments: &Segments<'_>, layout: Layout) -> Result<Option<Dynamic>, Error> {
    let Some(entries) = entries(segments, layout)? else { return Ok(None) };
    let mut out = Dynamic::default();
    let mut names: Vec<(u64, u64)> = Vec::new();
    let (mut table, mut table_size) = (None, 0);
    let mut tables = Tables::default();
    for (tag, value) in entries {
        match tag {
            d::DT_STRTAB => table = Some(value),
            d::DT_STRSZ => table_size = value,
            d::DT_NEEDED | d::DT_SONAME | d::DT_RPATH | d::DT_RUNPATH => names.push((tag, value)),
            DT_FILTER | DT_AUXILIARY | DT_AUDIT | DT_DEPAUDIT => names.push((tag, value)),
            d::DT_VERNEED => tables.needs = Some(value),
            d::DT_VERNEEDNUM => tables.need_count = value,
            d::DT_VERDEF => tables.definitions = Some(value),
            d::DT_VERDEFNUM => tables.definition_count = value,
            d::DT_FLAGS => out.flags |= value,
            d::DT_FLAGS_1 => out.flags_1 |= value,
            d::DT_TEXTREL => out.text_relocations = true,
            d::DT_BIND_NOW => out.bind_now = true,
            DT_RELR => out.packed_relocations = true,
            _ => {}
        }
    }
    out.text_relocations |= out.flags & d::DF_TEXTREL != 0;
    out.bind_now |= out.flags & d::DF_BIND_NOW != 0 || out.flags_1 & d::DF_1_NOW != 0;
    read_names(segments, &names, table, table_size, &mut out)?;
    if let Some(table) = table {
        out.versions = versions::parse(segments, layout, &tables, (table, table_size));
    }
    Ok(Some(out))
}

fn read_names(
    segments: &Segments<'_>,
    names: &[(u64, u64)],
    table: Option<u64>,
    table_size: u64,
    out: &mut Dynamic,
) -> Result<(), Error> {
    let mut total = 0usize;
    for &(tag, offset) in names {
        let outside = Error::DynamicName { tag: tag_name(tag) };
        let address = table.and_then(|table| table.checked_add(offset)).ok_or(outside.clone())?;
        let limit = table_size.checked_sub(offset).filter(|&left| left > 0).ok_or(outside.clone())?;
        let name = segments.read_name(address, limit).ok_or(outside)?;
        total = total.saturating_add(name.len());
        if total > MAX_ELF_NAMES_TOTAL_BYTES {
            return Err(Error::DynamicSize(MAX_DYNAMIC_ENTRIES));
        }
        let name = Name::new(name);
        match tag {
            d::DT_NEEDED => {
                out.needed.push(name.clone());
                out.loads.push(Load::Needed(name));
            }
            DT_FILTER => out.loads.push(Load::Filter(name)),
            DT_AUXILIARY => out.loads.push(Load::Auxiliary(name)),
            DT_AUDIT | DT_DEPAUDIT => out.audit.push(name),
            d::DT_SONAME => out.soname = Some(name),
            d::DT_RPATH => out.rpath = Some(name),
            _ => out.runpath = Some(name),
        }
    }
    Ok(())
}

const fn tag_name(tag: u64) -> &'static str {
    match tag {
        d::DT_NEEDED => "DT_NEEDED",
        d::DT_SONAME => "DT_SONAME",
        d::DT_RPATH => "DT_RPATH",
        DT_FILTER => "DT_FILTER",
        DT_AUXILIARY => "DT_AUXILIARY",
        DT_AUDIT => "DT_AUDIT",
        DT_DEPAUDIT => "DT_DEPAUDIT",
        _ => "DT_RUNPATH",
    }
}
