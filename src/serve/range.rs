//! `Range` of downloads (RFC 9110 section 14) and `Content-Range` of upload chunks (distribution-spec, "Pushing a blob
//! in chunks").

use std::ops::Range;

/// What a download's `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// No range, several, or one that is no byte range: the whole content.
    All,
    /// These bytes.
    Part(Range<u64>),
    /// A byte range that holds no byte of the content: 416.
    None,
}

/// Reads a `Range` header for content of `size` bytes.
pub(super) fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some((first, last)) = header.and_then(|h| h.trim().strip_prefix("bytes=")).and_then(|r| r.split_once('-'))
    else {
        return Wanted::All;
    };
    let (first, last) = (first.trim(), last.trim());
    match (number(first), number(last)) {
        // The last `n` bytes.
        (None, Some(n)) if first.is_empty() => {
            let start = size.saturating_sub(n);
            if start < size { Wanted::Part(start..size) } else { Wanted::None }
        }
        (Some(start), None) if last.is_empty() => part(start, size, size),
        (Some(start), Some(last)) => part(start, last.saturating_add(1).min(size), size),
        _ => Wanted::All,
    }
}

fn part(start: u64, end: u64, size: u64) -> Wanted {
    if start < size && start < end { Wanted::Part(start..end) } else { Wanted::None }
}

/// Reads the `Content-Range` of a chunk, `^[0-9]+-[0-9]+$`, inclusive on both ends; `None` when it is malformed.
pub(super) fn chunk(header: &str) -> Option<Range<u64>> {
    let (first, last) = header.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then(|| last.checked_add(1)).flatten().map(|end| first..end)
}

/// Digits only: `u64::from_str` would also take a sign.
pub(super) fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn downloads() {
        for (header, want) in [
            ("bytes=0-499", Wanted::Part(0..500)),
            ("bytes=500-", Wanted::Part(500..1000)),
            ("bytes=-300", Wanted::Part(700..1000)),
            ("bytes=-5000", Wanted::Part(0..1000)),
            ("bytes=900-5000", Wanted::Part(900..1000)),
            ("bytes=0-18446744073709551615", Wanted::Part(0..1000)),
            ("bytes=1000-", Wanted::None),
            ("bytes=500-0", Wanted::None),
            ("bytes=-0", Wanted::None),
            ("bytes=0-1,5-6", Wanted::All),
            ("bytes=-", Wanted::All),
            ("bytes=+1-2", Wanted::All),
            ("lines=1-2", Wanted::All),
            ("bytes=99999999999999999999-", Wanted::All),
        ] {
            assert_eq!(wanted(Some(header), 1000), want, "{header}");
        }
        assert_eq!(wanted(None, 1000), Wanted::All);
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::None);
    }

    #[test]
    fn chunks() {
        assert_eq!(chunk("0-9"), Some(0..10));
        assert_eq!(chunk("7-7"), Some(7..8));
        for bad in ["", "-", "5-", "-5", "5-4", "a-b", "bytes 0-9/*", "0-18446744073709551615", "+0-1", " 0-1"] {
            assert_eq!(chunk(bad), None, "{bad}");
        }
    }
}
