//! Notes, from `PT_NOTE` segments; the build id also from its section, best effort.

use goblin::elf::program_header::PT_NOTE;
use serde::Serialize;

use super::header::Layout;
use super::sections::Sections;
use super::segments::Segments;
use super::{Class, Machine, Name};
use crate::limits::{MAX_NOTE_SEGMENT_BYTES, MAX_NOTES};

/// What the notes of a file say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, schemars::JsonSchema)]
pub struct Notes {
    /// `NT_GNU_BUILD_ID`, in hexadecimal.
    pub build_id: Option<String>,
    /// The build id of the Go linker, which is text.
    pub go_build_id: Option<Name>,
    /// `NT_GNU_ABI_TAG`: for which system, and its oldest kernel.
    pub abi_tag: Option<AbiTag>,
    /// Owner of a note by which another system marks its programs: `FreeBSD`, `NetBSD`, `OpenBSD`, `DragonFly`.
    pub system: Option<Name>,
    /// `NT_GNU_PROPERTY_TYPE_0`.
    pub properties: Properties,
    /// `.note.package` of systemd's package metadata: JSON text as written.
    pub package: Option<Name>,
}

/// `NT_GNU_ABI_TAG`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct AbiTag {
    /// 0 Linux, 1 Hurd, 2 Solaris, 3 FreeBSD kernel.
    pub os: u32,
    /// Oldest kernel: major, minor, patch.
    pub kernel: [u32; 3],
}

/// Processor properties that the file declares (`.note.gnu.property`; System V ABI supplements of x86-64 and AArch64).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, schemars::JsonSchema)]
pub struct Properties {
    /// x86-64 instruction set level that is needed: 1 (baseline) to 4; `None` when nothing is said.
    pub x86_isa_needed: Option<u8>,
    /// x86 indirect branch tracking.
    pub ibt: bool,
    /// x86 shadow stack.
    pub shadow_stack: bool,
    /// AArch64 branch target identification.
    pub bti: bool,
    /// AArch64 pointer authentication.
    pub pac: bool,
}

pub(super) struct Note<'a> {
    pub owner: &'a [u8],
    pub kind: u32,
    pub content: &'a [u8],
}

/// Splits one segment; stops at the first note that does not fit.
pub(super) fn split(raw: &[u8], layout: Layout, align: usize) -> Vec<Note<'_>> {
    let mut found = Vec::new();
    let mut at = 0usize;
    while found.len() < MAX_NOTES {
        let Some(note) = one(raw, layout, align, &mut at) else { break };
        found.push(note);
    }
    found
}

fn one<'a>(raw: &'a [u8], layout: Layout, align: usize, at: &mut usize) -> Option<Note<'a>> {
    let owner_size = usize::try_from(layout.u32(raw, *at)?).ok()?;
    let content_size = usize::try_from(layout.u32(raw, at.checked_add(4)?)?).ok()?;
    let kind = layout.u32(raw, at.checked_add(8)?)?;
    let owner_start = at.checked_add(12)?;
    let owner_end = owner_start.checked_add(owner_size)?;
    let content_start = owner_end.checked_next_multiple_of(align)?;
    let content_end = content_start.checked_add(content_size)?;
    let owner = raw.get(owner_start..owner_end)?;
    let content = raw.get(content_start..content_end)?;
    // The header alone is 12 bytes, so every step goes forward.
    *at = content_end.checked_next_multiple_of(align)?;
    let owner = owner.split(|&b| b == 0).next().unwrap_or_default();
    Some(Note { owner, kind, content })
}

pub(super) fn parse(segments: &Segments<'_>, sections: &Sections<'_>, layout: Layout, machine: Machine) -> Notes {
    let mut out = from_segments(segments, layout, machine);
    // The Go linker leaves this note out of its note segment.
    let section = sections.named(b".note.gnu.build-id").filter(|_| out.build_id.is_none());
    if let Some(raw) = section.and_then(|section| sections.content(section)) {
        let found = split(&raw, layout, 4);
        out.build_id = found.iter().find(|note| (note.owner, note.kind) == (b"GNU", 3)).map(|note| hex(note.content));
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn from_segments(segments: &Segments<'_>, layout: Layout, machine: Machine) -> Notes {
    let mut out = Notes::default();
    let mut left = MAX_NOTES;
    for segment in segments.of_type(PT_NOTE) {
        let size = segment.p_filesz.min(MAX_NOTE_SEGMENT_BYTES);
        let Ok(len) = usize::try_from(size) else { continue };
        let Some(raw) = segments.bytes().read_at(segment.p_offset, len) else { continue };
        let align = if segment.p_align == 8 { 8 } else { 4 };
        for note in split(&raw, layout, align) {
            if left == 0 {
                return out;
            }
            left -= 1;
            take(&note, layout, machine, &mut out);
        }
    }
    out
}

fn take(note: &Note<'_>, layout: Layout, machine: Machine, out: &mut Notes) {
    match (note.owner, note.kind) {
        (b"GNU", 1) => {
            let word = |i: usize| layout.u32(note.content, 4 * i);
            if let (Some(os), Some(a), Some(b), Some(c)) = (word(0), word(1), word(2), word(3)) {
                out.abi_tag = Some(AbiTag { os, kernel: [a, b, c] });
            }
        }
        (b"GNU", 3) => out.build_id = Some(hex(note.content)),
        (b"GNU", 5) => properties(note.content, layout, machine, &mut out.properties),
        (b"Go", 4) => out.go_build_id = Some(Name::new(note.content)),
        (b"FreeBSD" | b"NetBSD" | b"OpenBSD" | b"DragonFly", 1) => out.system = Some(Name::new(note.owner)),
        (b"FDO", 0xcafe_1a7e) => {
            out.package = Some(Name::new(note.content.split(|&b| b == 0).next().unwrap_or_default()));
        }
        _ => {}
    }
}

fn properties(raw: &[u8], layout: Layout, machine: Machine, out: &mut Properties) {
    let pad = if layout.class == Class::Elf64 { 8 } else { 4 };
    let mut at = 0usize;
    while let (Some(kind), Some(size)) = (layout.u32(raw, at), layout.u32(raw, at + 4)) {
        let end = usize::try_from(size).ok().and_then(|size| at.checked_add(8)?.checked_add(size));
        let Some(content) = end.and_then(|end| raw.get(at + 8..end)) else { return };
        if let Some(value) = layout.u32(content, 0) {
            match (machine, kind) {
                (Machine::X86_64 | Machine::X86, 0xc000_0002) => {
                    out.ibt = value & 1 != 0;
                    out.shadow_stack = value & 2 != 0;
                }
                (Machine::X86_64 | Machine::X86, 0xc000_8002) => {
                    // Bits 0 to 3 are baseline, v2, v3, v4; the highest one decides.
                    let known = value & 0xf;
                    out.x86_isa_needed = (1..=4).rev().find(|level| known & (1 << (level - 1)) != 0);
                }
                (Machine::Aarch64, 0xc000_0000) => {
                    out.bti = value & 1 != 0;
                    out.pac = value & 2 != 0;
                }
                _ => {}
            }
        }
        // The fixed part alone is 8 bytes, so every step goes forward.
        at += 8 + content.len().next_multiple_of(pad);
    }
}
