//! What counts as a path or the name of a library among the bytes of an object.

use crate::limits::MAX_PATH_STRING_BYTES;

/// The absolute path that begins with the slash at `at`, when it is a string of its own.
pub(super) fn path(window: &[u8], at: usize) -> Option<&[u8]> {
    if at.checked_sub(1).and_then(|before| window.get(before)).is_some_and(|&byte| continues(byte)) {
        return None;
    }
    let rest = window.get(at..)?;
    let bound = rest.len().min(MAX_PATH_STRING_BYTES + 1);
    let end = rest[..bound].iter().position(|byte| !byte.is_ascii_graphic())?;
    let text = (rest[end] == 0).then(|| &rest[..end])?;
    (end >= 3 && text.iter().any(u8::is_ascii_alphabetic)).then_some(text)
}

/// Whether a slash behind this byte goes on with a path or word. Linkers store a string that is the end of another one only
/// once, so that `/bin/sh` may stand in `SHELL=/bin/sh` alone. Behind a quote stands a part of a longer text.
const fn continues(byte: u8) -> bool {
    is_name(byte) || matches!(byte, b'/' | b'"' | b'\'' | b'`') || !byte.is_ascii()
}

/// Bytes of the names of libraries.
const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+' | b'%' | b'@' | b'~')
}

/// Where the name of a library begins and the name, around the `.so` at `at`.
pub(super) fn library(window: &[u8], at: usize) -> Option<(usize, &[u8])> {
    let before = window.get(..at)?;
    let stem = before.iter().rev().take(MAX_PATH_STRING_BYTES).take_while(|byte| is_name(**byte)).count();
    let start = at - stem;
    let in_a_path =
        start.checked_sub(1).and_then(|before| window.get(before)).is_some_and(|&b| b == b'/' || !b.is_ascii());
    let rest = window.get(start..)?;
    let bound = rest.len().min(MAX_PATH_STRING_BYTES + 1);
    let end = rest[..bound].iter().position(|byte| !is_name(*byte))?;
    let text = rest.get(..end).filter(|_| !in_a_path && rest[end] == 0)?;
    let tail = text.get(stem + 3..)?;
    let numbered = tail.is_empty()
        || tail.strip_prefix(b".").is_some_and(|numbers| {
            numbers.split(|&b| b == b'.').all(|n| !n.is_empty() && n.iter().all(u8::is_ascii_digit))
        });
    let named = text.starts_with(b"lib") && stem > 3;
    (named || (numbered && text[..stem].iter().any(u8::is_ascii_alphanumeric))).then_some((start, text))
}
