//! What one object says by its symbols, notes and strings: all that the rules look at.

mod needles;
mod samples;
mod scan;
mod text;

use std::collections::BTreeMap;

use crate::elf::{Bytes, DlopenNote, Language, Libc, Linkage, Outline, dlopen_notes, imports};
use crate::limits::{MAX_TRAIT_SCAN_BYTES, TRAIT_WINDOW_BYTES};

use needles::Mark;
pub use needles::{Capture, Needles};
use scan::Scan;

/// Symbols, notes and strings of one object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Traits {
    /// Undefined dynamic symbols, sorted.
    pub imports: Vec<Vec<u8>>,
    /// `.note.dlopen`, in order.
    pub dlopen: Vec<DlopenNote>,
    /// The language that the marks of its toolchain tell.
    pub language: Option<Language>,
    /// The C library that is linked into a static program.
    pub static_libc: Option<Libc>,
    /// Index of each literal that is there, and the file offset of its first occurrence in the order of the search:
    /// constants, variables, code.
    pub literals: BTreeMap<usize, u64>,
    /// Index of each capture that is there, and its texts, sorted, each once.
    pub captures: BTreeMap<usize, Vec<Captured>>,
    /// Strings that are an absolute path: `/`, visible ASCII of which one at least is a letter, and a NUL, 3 to 1023 bytes.
    /// In front of it stands neither a name nor a quote. In the order of the search, each once.
    pub paths: Vec<PathString>,
    /// Strings that are the name of a library, without a slash: `lib*.so*`, or `*.so` with numbers behind it, and a NUL.
    /// In the order of the search, each once.
    pub libraries: Vec<PathString>,
    /// Whether everything was looked at; false when a bound of [`crate::limits`] or an unreadable part cut it short.
    pub complete: bool,
}

/// Text behind a [`Capture`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// The text, without what it stands behind and without what ends it.
    pub text: Vec<u8>,
    /// File offset of its first byte.
    pub offset: u64,
}

/// A string of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathString {
    /// The string, without the NUL.
    pub text: Vec<u8>,
    /// File offset of its first byte.
    pub offset: u64,
}

impl Traits {
    /// Reads one object, in one pass over what it loads. A file that is no ELF file, or a broken one, has no traits and is
    /// not complete.
    #[must_use]
    pub fn read(bytes: &dyn Bytes, needles: &Needles) -> Self {
        Self::read_in_windows(bytes, needles, TRAIT_WINDOW_BYTES)
    }

    /// As [`Self::read`], with windows of another size in bytes, which the result does not depend on.
    #[must_use]
    pub fn read_in_windows(bytes: &dyn Bytes, needles: &Needles, window: usize) -> Self {
        let Ok(outline) = Outline::parse(bytes) else { return Self::default() };
        let names = imports(bytes);
        let mut scan = Scan::new(needles, outline.dynamic_strings.clone(), window);
        let mut budget = MAX_TRAIT_SCAN_BYTES;
        for (start, end) in ranges(&outline) {
            let len = (end - start).min(budget);
            budget -= len;
            scan.complete &= len == end - start;
            scan.range(bytes, start, start + len);
        }
        let complete = scan.complete && names.is_ok() && needles.is_complete();
        Self {
            imports: names.unwrap_or_default().iter().map(|name| name.as_bytes().to_vec()).collect(),
            dlopen: dlopen_notes(bytes),
            language: outline.language.or_else(|| language(&scan)),
            static_libc: static_libc(&outline, &scan),
            literals: scan.literals,
            captures: scan.captures.into_iter().map(|(index, texts)| (index, texts.into_sorted())).collect(),
            paths: scan.paths.into_found(),
            libraries: scan.libraries.into_found(),
            complete,
        }
    }
}

/// The loaded parts of the file: constants first, where strings are; then variables; code last, whose bytes look like short
/// strings by chance. Parts of one kind that touch or overlap are one.
fn ranges(outline: &Outline) -> Vec<(u64, u64)> {
    let turn = |writable, executable| match (writable, executable) {
        (false, false) => 0,
        (true, false) => 1,
        (_, true) => 2,
    };
    let mut all: Vec<(u8, u64, u64)> = outline
        .segments
        .iter()
        .filter(|segment| segment.size > 0)
        .map(|s| (turn(s.writable, s.executable), s.offset, s.offset.saturating_add(s.size)))
        .collect();
    all.sort_unstable();
    let mut merged: Vec<(u8, u64, u64)> = Vec::new();
    for (turn, start, end) in all {
        match merged.last_mut() {
            Some(last) if last.0 == turn && last.2 >= start => last.2 = last.2.max(end),
            _ => merged.push((turn, start, end)),
        }
    }
    merged.into_iter().map(|(_, start, end)| (start, end)).collect()
}

fn language(scan: &Scan<'_>) -> Option<Language> {
    [(Mark::Go, Language::Go), (Mark::Rust, Language::Rust), (Mark::Zig, Language::Zig)]
        .into_iter()
        .find(|(mark, _)| scan.has(*mark))
        .map(|(_, language)| language)
}

fn static_libc(outline: &Outline, scan: &Scan<'_>) -> Option<Libc> {
    if !matches!(outline.linkage, Linkage::Static | Linkage::StaticPie) {
        return None;
    }
    if outline.glibc_note || scan.has(Mark::Glibc) {
        return Some(Libc::Glibc);
    }
    scan.has(Mark::Musl).then_some(Libc::Musl)
}
