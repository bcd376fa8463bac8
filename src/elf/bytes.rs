//! Bounded windows into a file of any size.

use std::borrow::Cow;

/// A file as the parsers see it: a length and windows of bytes. Nothing here reads a file; what does so lives in
/// higher modules and implements this.
pub trait Bytes {
    /// Length in bytes.
    fn len(&self) -> u64;

    /// Whether there are no bytes at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `len` bytes from `offset`, or `None` when they are not all there or cannot be read.
    fn read_at(&self, offset: u64, len: usize) -> Option<Cow<'_, [u8]>>;
}

impl Bytes for &[u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read_at(&self, offset: u64, len: usize) -> Option<Cow<'_, [u8]>> {
        let start = usize::try_from(offset).ok()?;
        self.get(start..start.checked_add(len)?).map(Cow::Borrowed)
    }
}

impl Bytes for Vec<u8> {
    fn len(&self) -> u64 {
        Self::len(self) as u64
    }

    fn read_at(&self, offset: u64, len: usize) -> Option<Cow<'_, [u8]>> {
        let start = usize::try_from(offset).ok()?;
        self.get(start..start.checked_add(len)?).map(Cow::Borrowed)
    }
}

/// At most `len` bytes from `offset`, fewer at the end of the file, none when they cannot be read.
pub(super) fn up_to(bytes: &dyn Bytes, offset: u64, len: usize) -> Cow<'_, [u8]> {
    let left = bytes.len().saturating_sub(offset);
    let len = usize::try_from(left).map_or(len, |left| left.min(len));
    bytes.read_at(offset, len).unwrap_or_default()
}
