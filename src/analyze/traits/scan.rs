//! One pass through the bytes of an object, in windows that see a little of their neighbours.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use memchr::memmem::Finder;

use super::needles::{Kind, Mark, Needles};
use super::{Captured, PathString, text};
use crate::elf::Bytes;
use crate::limits::{
    MAX_CAPTURE_BYTES, MAX_CAPTURED_TEXTS, MAX_LIBRARY_STRINGS, MAX_PATH_STRING_BYTES, MAX_PATH_STRINGS,
};

/// Bytes in front of a window that decide where a string begins.
const LEAD: usize = MAX_PATH_STRING_BYTES + 1;

/// What has been found so far.
pub(super) struct Scan<'a> {
    needles: &'a Needles,
    dynamic_strings: Range<u64>,
    window: usize,
    so: Finder<'static>,
    marks: BTreeSet<Mark>,
    pub literals: BTreeMap<usize, u64>,
    pub captures: BTreeMap<usize, Texts>,
    pub paths: Strings,
    pub libraries: Strings,
    pub complete: bool,
}

/// The part of a window whose strings begin in it, with its surroundings.
struct Window<'a> {
    bytes: &'a [u8],
    /// File offset of the first byte.
    offset: u64,
    /// The part whose strings are this window's; those that begin elsewhere are another one's.
    own: Range<usize>,
}

impl<'a> Scan<'a> {
    pub fn new(needles: &'a Needles, dynamic_strings: Option<Range<u64>>, window: usize) -> Self {
        Self {
            needles,
            dynamic_strings: dynamic_strings.unwrap_or(0..0),
            window: window.max(1),
            so: Finder::new(b".so"),
            marks: BTreeSet::new(),
            literals: BTreeMap::new(),
            captures: BTreeMap::new(),
            paths: Strings::new(MAX_PATH_STRINGS),
            libraries: Strings::new(MAX_LIBRARY_STRINGS),
            complete: true,
        }
    }

    pub fn has(&self, mark: Mark) -> bool {
        self.marks.contains(&mark)
    }

    /// Searches the bytes from `start` to `end`; strings do not go beyond them.
    pub fn range(&mut self, bytes: &dyn Bytes, start: u64, end: u64) {
        // What a string may need behind its first byte.
        let tail = (self.needles.longest() + MAX_CAPTURE_BYTES + 1).max(MAX_PATH_STRING_BYTES + 1) as u64;
        let mut at = start;
        while at < end {
            let own_end = end.min(at.saturating_add(self.window as u64));
            let (first, last) = (at.saturating_sub(LEAD as u64).max(start), end.min(own_end.saturating_add(tail)));
            let own = usize::try_from(at - first).and_then(|own| Ok(own..usize::try_from(own_end - first)?));
            let (Ok(own), Ok(len)) = (own, usize::try_from(last - first)) else {
                self.complete = false;
                return;
            };
            match bytes.read_at(first, len) {
                Some(raw) => self.look(&Window { bytes: &raw, offset: first, own }),
                None => self.complete = false,
            }
            at = own_end;
        }
    }

    fn look(&mut self, window: &Window<'_>) {
        self.patterns(window);
        self.path_strings(window);
        self.library_strings(window);
    }

    fn patterns(&mut self, window: &Window<'_>) {
        let (needles, bytes) = (self.needles, window.bytes);
        needles.each(bytes, &window.own, |kind, begin| {
            let at = window.offset + begin as u64;
            match kind {
                Kind::Literal(index) => {
                    self.literals.entry(index).or_insert(at);
                }
                Kind::Mark(mark) => {
                    self.marks.insert(mark);
                }
                Kind::Capture(index) => {
                    let Some(capture) = needles.captures().get(index) else { return };
                    let Some(text) = captured(bytes, begin + capture.after.len(), capture.until) else { return };
                    let offset = at + capture.after.len() as u64;
                    self.complete &= self.captures.entry(index).or_default().add(text, offset);
                }
            }
        });
    }

    fn path_strings(&mut self, window: &Window<'_>) {
        let Some(own) = window.bytes.get(window.own.clone()) else { return };
        for found in memchr::memchr_iter(b'/', own) {
            let begin = window.own.start + found;
            let Some(text) = text::path(window.bytes, begin) else { continue };
            let offset = window.offset + begin as u64;
            if !self.dynamic_strings.contains(&offset) {
                self.complete &= self.paths.add(text, offset);
            }
        }
    }

    /// The `.so` decides to which window a name belongs.
    fn library_strings(&mut self, window: &Window<'_>) {
        let end = window.bytes.len().min(window.own.end + 2);
        let Some(part) = window.bytes.get(window.own.start..end) else { return };
        for found in self.so.find_iter(part) {
            let Some((begin, text)) = text::library(window.bytes, window.own.start + found) else { continue };
            let offset = window.offset + begin as u64;
            if !self.dynamic_strings.contains(&offset) {
                self.complete &= self.libraries.add(text, offset);
            }
        }
    }
}

/// The text from `start` up to `until`.
fn captured(bytes: &[u8], start: usize, until: Option<u8>) -> Option<&[u8]> {
    let rest = bytes.get(start..)?;
    let rest = &rest[..rest.len().min(MAX_CAPTURE_BYTES + 1)];
    let end = memchr::memchr(until.unwrap_or(0), rest)?;
    let text = &rest[..end];
    (end > 0 && !text.iter().any(u8::is_ascii_control)).then_some(text)
}

/// Texts of one capture with their first offsets.
#[derive(Default)]
pub(super) struct Texts(BTreeMap<Vec<u8>, u64>);

impl Texts {
    /// False when there is no room for another one.
    fn add(&mut self, text: &[u8], offset: u64) -> bool {
        if self.0.contains_key(text) {
            return true;
        }
        let room = self.0.len() < MAX_CAPTURED_TEXTS;
        if room {
            self.0.insert(text.to_vec(), offset);
        }
        room
    }

    pub fn into_sorted(self) -> Vec<Captured> {
        self.0.into_iter().map(|(text, offset)| Captured { text, offset }).collect()
    }
}

/// Strings in the order in which they are found, each once.
pub(super) struct Strings {
    known: BTreeSet<Vec<u8>>,
    found: Vec<PathString>,
    most: usize,
}

impl Strings {
    fn new(most: usize) -> Self {
        Self { known: BTreeSet::new(), found: Vec::new(), most }
    }

    /// False when there is no room for another one.
    fn add(&mut self, text: &[u8], offset: u64) -> bool {
        if self.known.contains(text) {
            return true;
        }
        let room = self.found.len() < self.most;
        if room {
            self.known.insert(text.to_vec());
            self.found.push(PathString { text: text.to_vec(), offset });
        }
        room
    }

    pub fn into_found(self) -> Vec<PathString> {
        self.found
    }
}
