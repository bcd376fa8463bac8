//! Protections that the headers tell about: those of the linker and the kernel.

use goblin::elf::program_header::{PF_W, PF_X, PT_GNU_RELRO, PT_GNU_STACK, PT_LOAD};
use serde::Serialize;

use super::sections::{SectionTable, Sections};
use super::segments::Segments;
use super::{Dynamic, Linkage};

/// Protections of one program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Hardening {
    /// Whether the program can be loaded at any address.
    pub pie: bool,
    /// Read-only relocations.
    pub relro: Relro,
    /// Whether the stack is not executable; `None` when the file says nothing and the kernel's default holds.
    pub nx: Option<bool>,
    /// Whether code is written to while it is loaded.
    pub text_relocations: bool,
    /// Loaded segments that are writable and executable at once.
    pub writable_executable_segments: usize,
}

/// How much of the relocated data becomes read-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Relro {
    /// Nothing.
    None,
    /// All but the table of functions that are bound late.
    Partial,
    /// All.
    Full,
}

/// `sections` are those of a whole program; without them a static program counts as one whose table may stay writable.
pub(super) fn parse(
    segments: &Segments<'_>,
    dynamic: Option<&Dynamic>,
    linkage: Linkage,
    sections: Option<&Sections<'_>>,
) -> Hardening {
    let has_relro = segments.of_type(PT_GNU_RELRO).next().is_some();
    let is_static = matches!(linkage, Linkage::Static | Linkage::StaticPie);
    let binds_now =
        dynamic.is_some_and(|d| d.bind_now) || is_static && sections.is_some_and(|s| table_is_covered(segments, s));
    Hardening {
        pie: matches!(linkage, Linkage::StaticPie | Linkage::DynamicPie),
        relro: match (has_relro, binds_now) {
            (false, _) => Relro::None,
            (true, false) => Relro::Partial,
            (true, true) => Relro::Full,
        },
        nx: segments.of_type(PT_GNU_STACK).next().map(|stack| stack.p_flags & PF_X == 0),
        text_relocations: dynamic.is_some_and(|d| d.text_relocations),
        writable_executable_segments: segments
            .of_type(PT_LOAD)
            .filter(|segment| segment.p_flags & (PF_W | PF_X) == PF_W | PF_X)
            .count(),
    }
}

/// A static program binds nothing late, but calls the functions that fit its processor (`STT_GNU_IFUNC`) through the same
/// table. Linked without `-z now` it lies in a section `.got.plt` of its own behind what becomes read-only, and no dynamic
/// section of a program at a fixed address tells of that.
fn table_is_covered(segments: &Segments<'_>, sections: &Sections<'_>) -> bool {
    let Some(table) = sections.named(b".got.plt") else { return sections.table == SectionTable::Present };
    segments.of_type(PT_GNU_RELRO).any(|relro| {
        let end = relro.p_offset.saturating_add(relro.p_filesz);
        table.offset >= relro.p_offset && table.offset.saturating_add(table.size) <= end
    })
}
