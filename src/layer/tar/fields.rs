//! Fields of a header block. The layout is that of POSIX ustar and of GNU's `tar.h`.

use super::{BLOCK, Dialect};

/// A header block.
pub(super) struct Block<'a>(pub(super) &'a [u8; BLOCK]);

impl Block<'_> {
    /// Whether it holds zeros only.
    pub(super) fn is_zero(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    pub(super) fn type_flag(&self) -> u8 {
        self.0[156]
    }

    pub(super) fn dialect(&self) -> Dialect {
        match &self.0[257..265] {
            b"ustar  \0" => Dialect::Gnu,
            magic if magic.starts_with(b"ustar\0") => Dialect::Ustar,
            _ => Dialect::V7,
        }
    }

    /// `Some(signed)` when the checksum is right, with the sum of signed bytes if only that one is.
    pub(super) fn checksum(&self) -> Option<bool> {
        let stored = number(&self.0[148..156])?;
        // The checksum's own field counts as spaces.
        let mut unsigned = i64::from(b' ') * 8;
        let mut negative = 0;
        for byte in self.0[..148].iter().chain(&self.0[156..]) {
            unsigned += i64::from(*byte);
            negative += i64::from(byte >> 7);
        }
        let signed = unsigned - 256 * negative;
        match stored {
            sum if sum == unsigned => Some(false),
            sum if sum == signed => Some(true),
            _ => None,
        }
    }

    /// Name, with the prefix where the dialect has one.
    pub(super) fn name(&self) -> Vec<u8> {
        let name = text(&self.0[..100]);
        // Old GNU headers have other fields where ustar has the prefix, and star puts two times into its last 24 bytes.
        let prefix = match self.dialect() {
            Dialect::Ustar if &self.0[508..] == b"tar\0" => text(&self.0[345..476]),
            Dialect::Ustar => text(&self.0[345..500]),
            Dialect::Gnu | Dialect::V7 => b"",
        };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    pub(super) fn mode(&self) -> Option<i64> {
        number(&self.0[100..108])
    }

    pub(super) fn uid(&self) -> Option<i64> {
        number(&self.0[108..116])
    }

    pub(super) fn gid(&self) -> Option<i64> {
        number(&self.0[116..124])
    }

    pub(super) fn size(&self) -> Option<i64> {
        number(&self.0[124..136])
    }

    pub(super) fn mtime(&self) -> Option<i64> {
        number(&self.0[136..148])
    }

    pub(super) fn link(&self) -> &[u8] {
        text(&self.0[157..257])
    }

    pub(super) fn uname(&self) -> &[u8] {
        if self.dialect() == Dialect::V7 { b"" } else { text(&self.0[265..297]) }
    }

    pub(super) fn gname(&self) -> &[u8] {
        if self.dialect() == Dialect::V7 { b"" } else { text(&self.0[297..329]) }
    }

    pub(super) fn device(&self) -> Option<(i64, i64)> {
        if self.dialect() == Dialect::V7 {
            return Some((0, 0));
        }
        Some((number(&self.0[329..337])?, number(&self.0[337..345])?))
    }
}

/// Bytes up to the first NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A numeric field: octal digits between spaces and NULs (none at all mean 0), or GNU's base-256, which is a big-endian
/// two's complement number whose first bit is set and not part of it.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    match field {
        [first, rest @ ..] if first & 0x80 != 0 => {
            let negative = first & 0x40 != 0;
            // The first byte gives six bits and the sign.
            let mut value = i128::from(first & 0x3f) - if negative { 0x40 } else { 0 };
            for byte in rest {
                value = value.checked_mul(256)?.checked_add(i128::from(*byte))?;
            }
            i64::try_from(value).ok()
        }
        _ => {
            let blank = |byte: &u8| matches!(byte, b' ' | 0);
            let start = field.iter().position(|byte| !blank(byte)).unwrap_or(field.len());
            let digits = field[start..].split(blank).next().unwrap_or_default();
            let fold = |value: i64, digit: &u8| match digit {
                b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
                _ => None,
            };
            digits.iter().try_fold(0, fold)
        }
    }
}

/// A decimal number as pax records and sparse maps have them.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 20 {
        return None;
    }
    text.iter().try_fold(0u64, |value, digit| match digit {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// Seconds and nanoseconds of a decimal time with an optional sign and fraction.
pub(super) fn time(text: &[u8]) -> Option<(i64, u32)> {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    let seconds = i64::try_from(decimal(parts.next()?)?).ok()?;
    let fraction = parts.next().unwrap_or_default();
    let mut nanos = 0;
    for index in 0..9 {
        let digit = fraction.get(index).map_or(Some(0), |digit| digit.is_ascii_digit().then(|| digit - b'0'))?;
        nanos = nanos * 10 + u32::from(digit);
    }
    if fraction.iter().any(|digit| !digit.is_ascii_digit()) {
        return None;
    }
    Some(match (negative, nanos) {
        (false, _) => (seconds, nanos),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanos),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (field, want) in [
            (&b"0000755\0"[..], Some(0o755)),
            (b"   755 \0", Some(0o755)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"77777777777\0", Some((8 << 30) - 1)),
            (b"0000789\0", None),
            (b"-000001\0", None),
            (b"\x80\0\0\0\0\0\0\x07", Some(7)),
            (b"\x80\0\0\0\0\0\0\x02\0\0\0\0", Some(8 << 30)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x85", Some(-123)),
            (b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
        ] {
            assert_eq!(number(field), want, "{field:?}");
        }
    }

    #[test]
    fn times() {
        for (text, want) in [
            (&b"12"[..], Some((12, 0))),
            (b"12.5", Some((12, 500_000_000))),
            (b"12.123456789999", Some((12, 123_456_789))),
            (b"-0.25", Some((-1, 750_000_000))),
            (b"-3", Some((-3, 0))),
            (b"", None),
            (b"1.x", None),
            (b"1.0000000000x", None),
            (b"99999999999999999999999", None),
        ] {
            assert_eq!(time(text), want, "{text:?}");
        }
    }
}
