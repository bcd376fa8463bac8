//! Files and directories the user adds.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::Error;
use crate::diag;
use crate::oci::ImagePath;
use crate::rootfs::walk::{self, Excludes, Walked};

/// What to add, where to, and with which owner and mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddSpec {
    /// File or directory of this machine. A directory's content goes to `dst`, as with `COPY`.
    pub src: PathBuf,
    /// Path in the image.
    pub dst: ImagePath,
    /// Whether `dst` was written with `/` at its end, so that a file goes below it.
    pub into_directory: bool,
    /// Mode of files; directories get it with `x` wherever there is `r`. By default 0755 for directories and anything
    /// executable, else 0644.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
}

impl AddSpec {
    /// An addition owned by root with default modes.
    ///
    /// # Errors
    /// [`Error::Path`] when `dst` is not an absolute path of an image.
    pub fn new(src: impl Into<PathBuf>, dst: &[u8]) -> Result<Self, Error> {
        let into_directory = dst.ends_with(b"/");
        Ok(Self { src: src.into(), dst: absolute("destination", dst)?, into_directory, mode: None, uid: 0, gid: 0 })
    }

    /// Parses `SRC:DST[:MODE[:UID:GID]]`. `\:` and `\\` stand for `:` and `\` in a path.
    ///
    /// # Errors
    /// [`Error::Add`], [`Error::Path`] and [`Error::Mode`].
    pub fn parse(text: &OsStr) -> Result<Self, Error> {
        let refuse = |reason| Error::Add { text: diag::escape(text.as_bytes()), reason };
        let fields = split_fields(text.as_bytes());
        let (src, dst) = match fields.as_slice() {
            [src, dst] | [src, dst, _] | [src, dst, _, _, _] => (src, dst),
            [_] => return Err(refuse("expected `SRC:DST`")),
            [_, _, _, _] => return Err(refuse("a uid needs a gid: `SRC:DST:MODE:UID:GID`")),
            _ => return Err(refuse("expected `SRC:DST[:MODE[:UID:GID]]`; a `:` in a path is written `\\:`")),
        };
        if src.is_empty() {
            return Err(refuse("the source is empty"));
        }
        let mut spec = Self::new(OsString::from_vec(src.clone()), dst)?;
        if let Some(mode) = fields.get(2) {
            spec.mode = Some(parse_mode(&diag::escape(mode))?);
        }
        let id = |at: usize, reason| -> Result<u64, Error> {
            let Some(field) = fields.get(at) else { return Ok(0) };
            parse_id(&diag::escape(field)).ok_or_else(|| refuse(reason))
        };
        spec.uid = id(3, "the uid is not a number from 0 to 4294967294")?;
        spec.gid = id(4, "the gid is not a number from 0 to 4294967294")?;
        Ok(spec)
    }

    /// Walks the source. This is the only step that looks at the machine.
    ///
    /// # Errors
    /// [`Error::Walk`].
    pub fn read(self, excludes: &Excludes) -> Result<Add, Error> {
        let walked = walk::walk(&self.src, excludes)?;
        Ok(Add { spec: self, walked })
    }
}

/// An addition with what the walk found.
#[derive(Debug, Clone)]
pub struct Add {
    /// What was asked.
    pub spec: AddSpec,
    /// What was found.
    pub walked: Walked,
}

/// Splits at `:`, where `\` takes the meaning from the byte behind it.
fn split_fields(text: &[u8]) -> Vec<Vec<u8>> {
    let mut fields = vec![Vec::new()];
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let escaped = byte == b'\\' && matches!(bytes.peek(), Some(b':' | b'\\'));
        if byte == b':' {
            fields.push(Vec::new());
        } else if let Some(field) = fields.last_mut() {
            field.push(if escaped { bytes.next().unwrap_or(byte) } else { byte });
        }
    }
    fields
}

/// Parses an octal mode of permission bits.
///
/// # Errors
/// [`Error::Mode`]; also for setuid, setgid and sticky bits, which added files never have.
pub fn parse_mode(text: &str) -> Result<u32, Error> {
    let refuse = |reason| Error::Mode { text: text.to_owned(), reason };
    let digits = text.strip_prefix("0o").unwrap_or(text);
    if !(3..=5).contains(&digits.len()) || !digits.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
        return Err(refuse("expected three or four octal digits such as `0644`"));
    }
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err(refuse("setuid, setgid and sticky bits are not given to added files")),
    }
}

/// Parses a numeric uid or gid; 4294967295 means "no id" to the kernel.
pub(super) fn parse_id(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits {
        return None;
    }
    text.parse::<u32>().ok().filter(|id| *id != u32::MAX).map(u64::from)
}

/// Parses a path of the image that the user must write as absolute.
pub(super) fn absolute(what: &'static str, text: &[u8]) -> Result<ImagePath, Error> {
    let refuse = |reason| Error::Path { what, text: diag::escape(text), reason };
    if !text.starts_with(b"/") {
        return Err(refuse("it does not begin with `/`"));
    }
    ImagePath::parse(text).map_err(|error| match error {
        crate::oci::Error::Path { reason, .. } => refuse(reason),
        _ => refuse("it is not a path of an image"),
    })
}
