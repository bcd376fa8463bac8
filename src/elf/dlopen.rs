//! `.note.dlopen`: what a file loads by itself at run time, as its author declares it (specification "ELF Dlopen
//! Metadata" of the UAPI group).

use goblin::elf::program_header::PT_NOTE;
use serde::Serialize;
use serde_json::Value;

use super::header::Layout;
use super::sections::Sections;
use super::segments::Segments;
use super::{Bytes, Name, header, notes};
use crate::limits::{MAX_DLOPEN_ENTRIES, MAX_DLOPEN_SONAMES, MAX_NOTE_SEGMENT_BYTES};

/// Owner and type of the note.
const NOTE: (&[u8], u32) = (b"FDO", 0x407c_0c0a);

/// One thing that is loaded at run time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DlopenNote {
    /// Names of libraries of which any will do, the preferred one first; never empty.
    pub sonames: Vec<Name>,
    /// How much is lost without it.
    pub priority: Priority,
    /// The feature that it gives, a short word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature: Option<String>,
    /// What the feature is, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// How much is lost without a library, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Of use in rare cases.
    Suggested,
    /// What most want; what a note means that does not say.
    #[default]
    Recommended,
    /// The file does not do its work without it.
    Required,
}

/// The notes of a file, from its note segments, else from the section; best effort: what does not parse is left out.
#[must_use]
pub fn dlopen_notes(bytes: &dyn Bytes) -> Vec<DlopenNote> {
    let Ok(header) = header::parse(bytes) else { return Vec::new() };
    let Ok(segments) = Segments::parse(bytes, &header) else { return Vec::new() };
    let mut out = Vec::new();
    for segment in segments.of_type(PT_NOTE) {
        let Ok(len) = usize::try_from(segment.p_filesz.min(MAX_NOTE_SEGMENT_BYTES)) else { continue };
        let Some(raw) = bytes.read_at(segment.p_offset, len) else { continue };
        take(&raw, header.layout, if segment.p_align == 8 { 8 } else { 4 }, &mut out);
    }
    if out.is_empty() {
        let sections = Sections::parse(bytes, &header);
        let section = sections.named(b".note.dlopen").and_then(|section| sections.content(section));
        section.iter().for_each(|raw| take(raw, header.layout, 4, &mut out));
    }
    out
}

fn take(raw: &[u8], layout: Layout, align: usize, out: &mut Vec<DlopenNote>) {
    for note in notes::split(raw, layout, align).iter().filter(|note| (note.owner, note.kind) == NOTE) {
        let text = note.content.split(|&b| b == 0).next().unwrap_or_default();
        let entries = match serde_json::from_slice(text) {
            Ok(Value::Array(entries)) => entries,
            // An older form of the specification has one object.
            Ok(entry @ Value::Object(_)) => vec![entry],
            _ => continue,
        };
        let left = MAX_DLOPEN_ENTRIES.saturating_sub(out.len());
        out.extend(entries.iter().filter_map(entry).take(left));
    }
}

fn entry(value: &Value) -> Option<DlopenNote> {
    let text = |key: &str| value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let name = |name: &Value| name.as_str().filter(|name| !name.is_empty()).map(Name::new);
    let sonames: Vec<Name> = match value.get("soname")? {
        Value::Array(names) => names.iter().filter_map(name).take(MAX_DLOPEN_SONAMES).collect(),
        one => name(one).into_iter().collect(),
    };
    let priority = match text("priority") {
        Some("required") => Priority::Required,
        Some("suggested") => Priority::Suggested,
        _ => Priority::Recommended,
    };
    let owned = |key| text(key).map(str::to_owned);
    (!sonames.is_empty()).then(|| DlopenNote {
        sonames,
        priority,
        feature: owned("feature"),
        description: owned("description"),
    })
}
