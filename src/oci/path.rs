//! Paths inside an image: bytes, relative to the root, already normal.

use std::fmt;

use super::Error;
use crate::{diag, limits};

/// A path of the image without leading slash: never empty components, `.`, `..` or NUL. The root itself is empty.
///
/// Ordered by bytes with `/` lowest, so that a directory always comes directly before what it holds.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ImagePath(Vec<u8>);

impl ImagePath {
    /// The root directory.
    #[must_use]
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// Parses an absolute or relative path as a user or a tar header writes it; leading `/` and `./` and a trailing `/`
    /// are dropped.
    ///
    /// # Errors
    /// [`Error::Path`] on `..`, NUL, or a length beyond [`limits::MAX_PATH_BYTES`].
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, Error> {
        let text = text.as_ref();
        let refuse = |reason| Error::Path { text: diag::escape(&text[..text.len().min(160)]), reason };
        if text.len() > limits::MAX_PATH_BYTES {
            return Err(refuse("it is longer than 4096 bytes"));
        }
        if text.contains(&0) {
            return Err(refuse("it has a NUL byte"));
        }
        let mut out = Vec::with_capacity(text.len());
        for part in text.split(|b| *b == b'/') {
            match part {
                b"" | b"." => {}
                b".." => return Err(refuse("it has a `..` component")),
                part => {
                    if !out.is_empty() {
                        out.push(b'/');
                    }
                    out.extend_from_slice(part);
                }
            }
        }
        Ok(Self(out))
    }

    /// The bytes, without leading slash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the root.
    #[must_use]
    pub const fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The last component; empty for the root.
    #[must_use]
    pub fn file_name(&self) -> &[u8] {
        self.0.rsplit(|b| *b == b'/').next().unwrap_or_default()
    }

    /// The directory that holds it; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|b| *b == b'/').unwrap_or(0);
        Some(Self(self.0[..end].to_vec()))
    }

    /// All directories above it, the topmost first, without the root.
    #[must_use]
    pub fn ancestors(&self) -> Vec<Self> {
        let slashes = self.0.iter().enumerate().filter(|(_, b)| **b == b'/');
        slashes.map(|(at, _)| Self(self.0[..at].to_vec())).collect()
    }

    /// The path of `name` below this one.
    ///
    /// # Errors
    /// As [`ImagePath::parse`].
    pub fn join(&self, name: impl AsRef<[u8]>) -> Result<Self, Error> {
        let mut bytes = self.0.clone();
        bytes.push(b'/');
        bytes.extend_from_slice(name.as_ref());
        Self::parse(bytes)
    }

    /// Whether it lies below `directory` (or is it).
    #[must_use]
    pub fn starts_with(&self, directory: &Self) -> bool {
        directory.is_root()
            || self.0 == directory.0
            || (self.0.starts_with(&directory.0) && self.0.get(directory.0.len()) == Some(&b'/'))
    }
}

impl Ord for ImagePath {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // Most of two paths of one tree is the same: that is passed over in pieces.
        const PIECE: usize = 16;
        let same = self.0.chunks_exact(PIECE).zip(other.0.chunks_exact(PIECE)).take_while(|(a, b)| a == b).count();
        let [own, other] = [self, other].map(|path| path.0.get(same * PIECE..).unwrap_or_default());
        // A path has no NUL, so `/` can stand for it as the lowest byte.
        let order = |byte: &u8| if *byte == b'/' { 0 } else { *byte };
        own.iter().map(order).cmp(other.iter().map(order))
    }
}

impl PartialOrd for ImagePath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// With a leading slash, escaped.
impl fmt::Display for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", diag::escape(&self.0))
    }
}

impl fmt::Debug for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalizes_and_refuses() {
        for (text, want) in [("/app//x/./y/", "/app/x/y"), ("./a", "/a"), ("/", "/"), ("a\u{1}", "/a\\x01")] {
            assert_eq!(ImagePath::parse(text).unwrap().to_string(), want);
        }
        for text in ["../a", "a/../b", "a\0b"] {
            assert!(ImagePath::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn orders_directories_before_their_content() {
        let mut paths: Vec<ImagePath> =
            ["a-b", "a/z", "a", "a/b/c", "a.c"].iter().map(|p| ImagePath::parse(p).unwrap()).collect();
        paths.sort();
        let shown: Vec<String> = paths.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["/a", "/a/b/c", "/a/z", "/a-b", "/a.c"]);
    }
}
