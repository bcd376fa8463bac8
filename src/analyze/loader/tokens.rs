//! Dynamic string tokens (`ld.so(8)`, "Dynamic string tokens"): `$ORIGIN`, `$LIB`, `$PLATFORM`, also in braces.

use crate::limits;

/// What the tokens of one object stand for.
pub struct Tokens<'a> {
    /// Directory of the object.
    pub origin: &'a [u8],
    /// `$LIB` of the root's loader, for example `lib/x86_64-linux-gnu`; `None` where it has no meaning (musl).
    pub lib: Option<&'a [u8]>,
}

/// Expands glibc's tokens. `None` when a token depends on the processor (`$PLATFORM`) and so cannot be decided here. What
/// has grown longer than any path ends there: the system refuses it however it goes on.
pub fn expand_glibc(text: &[u8], tokens: &Tokens<'_>) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|b| *b == b'$') {
        out.extend_from_slice(&rest[..at]);
        if out.len() > limits::MAX_PATH_BYTES {
            return Some(out);
        }
        let after = &rest[at + 1..];
        match token(after) {
            Some((b"ORIGIN", used)) => {
                out.extend_from_slice(tokens.origin);
                rest = &after[used..];
            }
            Some((b"LIB", used)) => {
                out.extend_from_slice(tokens.lib.unwrap_or(b"lib"));
                rest = &after[used..];
            }
            Some((_, _)) => return None,
            // Not a token: the dollar stands for itself.
            None => {
                out.push(b'$');
                rest = after;
            }
        }
    }
    out.extend_from_slice(rest);
    Some(out)
}

/// The token at the start of `text` (behind the dollar) and how many bytes it takes.
fn token(text: &[u8]) -> Option<(&'static [u8], usize)> {
    const NAMES: [&[u8]; 3] = [b"ORIGIN", b"PLATFORM", b"LIB"];
    let braced = text.first() == Some(&b'{');
    let body = if braced { &text[1..] } else { text };
    NAMES.into_iter().find_map(|name| {
        let rest = body.strip_prefix(name)?;
        if braced {
            return (rest.first() == Some(&b'}')).then_some((name, name.len() + 2));
        }
        // A name ends where no letter, digit or underscore follows.
        let ends = rest.first().is_none_or(|b| !(b.is_ascii_alphanumeric() || *b == b'_'));
        ends.then_some((name, name.len()))
    })
}

/// Expands musl's only token. `None` when another dollar is there: musl then drops the whole search path
/// (`fixup_rpath`). What has grown longer than any path ends there.
pub fn expand_musl(text: &[u8], origin: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|b| *b == b'$') {
        out.extend_from_slice(&rest[..at]);
        let after = &rest[at + 1..];
        let tail = after.strip_prefix(b"ORIGIN".as_slice()).or_else(|| after.strip_prefix(b"{ORIGIN}".as_slice()))?;
        if out.len() <= limits::MAX_PATH_BYTES {
            out.extend_from_slice(origin);
        }
        rest = tail;
    }
    out.extend_from_slice(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glibc_tokens() {
        let tokens = Tokens { origin: b"/o", lib: Some(b"lib/x86_64-linux-gnu") };
        for (text, want) in [
            ("$ORIGIN/../lib", Some("/o/../lib")),
            ("${ORIGIN}x", Some("/ox")),
            ("/usr/$LIB/a", Some("/usr/lib/x86_64-linux-gnu/a")),
            ("$ORIGINAL/x", Some("$ORIGINAL/x")),
            ("$LIBX", Some("$LIBX")),
            ("/a/$PLATFORM", None),
            ("/plain", Some("/plain")),
            ("$", Some("$")),
            ("${ORIGIN", Some("${ORIGIN")),
        ] {
            assert_eq!(expand_glibc(text.as_bytes(), &tokens).as_deref(), want.map(str::as_bytes), "{text}");
        }
    }

    #[test]
    fn musl_knows_origin_only() {
        assert_eq!(expand_musl(b"$ORIGIN/l:${ORIGIN}/m", b"/o").as_deref(), Some(&b"/o/l:/o/m"[..]));
        assert_eq!(expand_musl(b"$ORIGIN:$LIB", b"/o"), None);
    }
}
