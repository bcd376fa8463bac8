//! The strings that are looked for, compiled once for all objects.

use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::samples::{SHORTEST, Samples};
use crate::limits::MAX_NEEDLE_BYTES;

/// Text that is kept when it stands behind other text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// What stands in front of the text.
    pub after: Vec<u8>,
    /// What ends the text; `None` for a NUL. A control character in front of it means that there is no text.
    pub until: Option<u8>,
}

/// What a search finds by itself: marks of toolchains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    Go,
    Rust,
    Zig,
    Glibc,
    Musl,
}

/// The name of a function that every Go program has in its table of functions, build information that survives a strip of
/// sections; messages of Rust and Zig that no option removes, and where the paths of Rust's own sources begin; the loader
/// cache that glibc's `dlopen` reads; musl's text for an unknown error number.
const MARKS: [(&[u8], Mark); 7] = [
    (b"\0runtime.mallocgc\0", Mark::Go),
    (b"\xff Go buildinf:", Mark::Go),
    (b"called `Option::unwrap()` on a `None` value", Mark::Rust),
    (b"/rustc/", Mark::Rust),
    (b"attempt to unwrap error: ", Mark::Zig),
    (b"glibc-ld.so.cache1.1", Mark::Glibc),
    (b"No error information\0", Mark::Musl),
];

/// What one text stands for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Literal(usize),
    Capture(usize),
    Mark(Mark),
}

/// What the rules ask of an object's strings.
#[derive(Debug)]
pub struct Needles {
    literals: Vec<Vec<u8>>,
    captures: Vec<Capture>,
    /// All texts that are looked for, and what each stands for.
    texts: Vec<(Vec<u8>, Kind)>,
    samples: Samples,
    /// For texts that are too short for samples, and which of `texts` each of its patterns is.
    short: Option<(AhoCorasick, Vec<usize>)>,
    complete: bool,
}

impl Needles {
    /// Compiles the strings. Those that are empty or longer than [`MAX_NEEDLE_BYTES`] are never found. The shortest one
    /// decides how fast a search is: 7 bytes are best, and less than 4 make it several times slower.
    #[must_use]
    pub fn new(literals: Vec<Vec<u8>>, captures: Vec<Capture>) -> Self {
        let own = literals.iter().enumerate().map(|(index, text)| (text.clone(), Kind::Literal(index)));
        let behind = captures.iter().enumerate().map(|(index, c)| (c.after.clone(), Kind::Capture(index)));
        let marks = MARKS.iter().map(|(text, mark)| (text.to_vec(), Kind::Mark(*mark)));
        let all: Vec<(Vec<u8>, Kind)> = own.chain(behind).chain(marks).collect();
        let count = all.len();
        let fits = |text: &[u8]| (1..=MAX_NEEDLE_BYTES).contains(&text.len());
        let texts: Vec<(Vec<u8>, Kind)> = all.into_iter().filter(|(text, _)| fits(text)).collect();
        let indexed: Vec<(usize, &[u8])> =
            texts.iter().enumerate().map(|(i, (text, _))| (i, text.as_slice())).collect();
        let samples = Samples::new(&indexed);
        let few: Vec<(usize, &[u8])> = indexed.into_iter().filter(|(_, text)| text.len() < SHORTEST).collect();
        // Strings overlap and contain one another, and each counts: only the standard kind reports all of them.
        let builder =
            || AhoCorasick::builder().match_kind(MatchKind::Standard).kind(Some(AhoCorasickKind::DFA)).to_owned();
        let built = (!few.is_empty()).then(|| builder().build(few.iter().map(|(_, text)| text)).ok());
        let complete = texts.len() == count && built.as_ref().is_none_or(Option::is_some);
        let short = built.flatten().map(|automaton| (automaton, few.iter().map(|(index, _)| *index).collect()));
        Self { samples, short, complete, texts, literals, captures }
    }

    /// The literals, as given.
    #[must_use]
    pub fn literals(&self) -> &[Vec<u8>] {
        &self.literals
    }

    /// The captures, as given.
    #[must_use]
    pub fn captures(&self) -> &[Capture] {
        &self.captures
    }

    /// Whether everything that was given can be found.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.complete
    }

    /// Length in bytes of the longest text that is looked for.
    pub(super) fn longest(&self) -> usize {
        self.texts.iter().map(|(text, _)| text.len()).max().unwrap_or(0)
    }

    /// Calls `found` with each text that begins in `own`, and where; the places of one text come in order.
    pub(super) fn each(&self, bytes: &[u8], own: &Range<usize>, mut found: impl FnMut(Kind, usize)) {
        self.samples.each(bytes, own, |index, begin| {
            if let (Some((text, kind)), Some(rest)) = (self.texts.get(index), bytes.get(begin..))
                && rest.starts_with(text)
            {
                found(*kind, begin);
            }
        });
        let Some((automaton, indexes)) = &self.short else { return };
        let end = own.end.saturating_add(SHORTEST).min(bytes.len());
        let Some(part) = bytes.get(own.start..end) else { return };
        for hit in automaton.find_overlapping_iter(part) {
            let begin = own.start + hit.start();
            let kind = indexes.get(hit.pattern().as_usize()).and_then(|index| self.texts.get(*index));
            kind.filter(|_| begin < own.end).into_iter().for_each(|(_, kind)| found(*kind, begin));
        }
    }
}
