//! Stanzas of the files that Debian calls control files (deb822(5)): fields, continued by lines that begin with white
//! space, and separated by empty lines.

use std::ops::Range;

/// The places of all stanzas of a file, in its order.
#[must_use]
pub fn stanzas(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = None;
    let mut at = 0;
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let end = at + line.len();
        if line.trim_ascii().is_empty() {
            found.extend(start.take().map(|start| start..at));
        } else {
            start = start.or(Some(at));
        }
        at = end;
    }
    found.extend(start.map(|start| start..at));
    found
}

/// One field of a stanza.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as written; it is compared without regard to case.
    pub name: &'a [u8],
    /// What stands on its first line, without white space around it.
    pub value: &'a [u8],
    /// All its lines as written, with their line ends.
    pub lines: &'a [u8],
}

/// The fields of one stanza. Lines that are neither a field nor continue one are left out.
#[must_use]
pub fn fields(stanza: &[u8]) -> Vec<Field<'_>> {
    let mut found: Vec<Field<'_>> = Vec::new();
    let mut at = 0;
    let mut start = 0;
    let mut continues = false;
    for line in stanza.split_inclusive(|b| *b == b'\n') {
        let end = at + line.len();
        if matches!(line.first(), Some(b' ' | b'\t')) {
            if let Some(field) = found.last_mut().filter(|_| continues) {
                field.lines = stanza.get(start..end).unwrap_or_default();
            }
        } else {
            let colon = line.iter().position(|b| *b == b':').filter(|colon| *colon > 0);
            continues = colon.is_some();
            if let Some((name, value)) = colon.and_then(|colon| line.split_at_checked(colon)) {
                start = at;
                let value = value.get(1..).unwrap_or_default().trim_ascii();
                found.push(Field { name: name.trim_ascii(), value, lines: line });
            }
        }
        at = end;
    }
    found
}
