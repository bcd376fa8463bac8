//! The strings that are looked for, compiled once for all objects.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

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

/// What one pattern of the automaton stands for.
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
    pub(super) automaton: Option<AhoCorasick>,
    pub(super) kinds: Vec<Kind>,
    /// Length of the longest pattern in bytes.
    pub(super) longest: usize,
    usable: bool,
}

impl Needles {
    /// Compiles the strings. Those that are empty or longer than [`MAX_NEEDLE_BYTES`] are never found.
    #[must_use]
    pub fn new(literals: Vec<Vec<u8>>, captures: Vec<Capture>) -> Self {
        let marks = MARKS.iter().map(|(text, mark)| (*text, Kind::Mark(*mark)));
        let own = literals.iter().enumerate().map(|(index, text)| (text.as_slice(), Kind::Literal(index)));
        let behind = captures.iter().enumerate().map(|(index, c)| (c.after.as_slice(), Kind::Capture(index)));
        let all: Vec<(&[u8], Kind)> = own.chain(behind).collect();
        let fits = |text: &[u8]| (1..=MAX_NEEDLE_BYTES).contains(&text.len());
        let usable = all.iter().all(|(text, _)| fits(text));
        let (texts, kinds): (Vec<&[u8]>, Vec<Kind>) =
            all.into_iter().filter(|(text, _)| fits(text)).chain(marks).unzip();
        // Strings overlap and contain one another, and each counts: only the standard kind reports all of them.
        let automaton =
            AhoCorasick::builder().match_kind(MatchKind::Standard).kind(Some(AhoCorasickKind::DFA)).build(&texts).ok();
        let longest = texts.iter().map(|text| text.len()).max().unwrap_or(0);
        Self { automaton, kinds, longest, usable, literals, captures }
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
    pub fn is_complete(&self) -> bool {
        self.usable && self.automaton.is_some()
    }
}
