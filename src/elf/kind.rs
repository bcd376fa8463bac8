//! What kind of file something is, from its first bytes.

use std::fmt;

use serde::Serialize;

use super::bytes::up_to;
use super::{Bytes, Name};
use crate::limits::FILE_KIND_BYTES;

/// Kind of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind")]
#[non_exhaustive]
pub enum FileKind {
    /// Begins with the ELF magic.
    Elf,
    /// Has no bytes.
    Empty,
    /// Begins with `#!`.
    Script {
        /// The interpreter, without its arguments.
        interpreter: Name,
    },
    /// WebAssembly: a module, or a component.
    Wasm {
        /// Whether it is a component.
        component: bool,
    },
    /// Windows or UEFI program.
    Pe,
    /// macOS program.
    MachO {
        /// Whether it holds several architectures.
        universal: bool,
    },
    /// Java class.
    JavaClass,
    /// `ar` archive: a static library, or a Debian package.
    Archive {
        /// Whether it is a Debian package.
        debian_package: bool,
    },
    /// Compressed file, by its codec.
    Compressed {
        /// `gzip`, `xz`, `zstd`, `bzip2`.
        codec: &'static str,
    },
    /// Zip archive.
    Zip {
        /// Whether it is a Java archive.
        jar: bool,
    },
    /// tar archive.
    Tar,
    /// LLVM bitcode.
    Bitcode,
    /// RPM package.
    RpmPackage,
    /// Text without `#!`.
    Text,
    /// Begins with zero bytes, as a file does whose content was never written.
    Zeros,
    /// Anything else.
    Unknown,
    /// Its first bytes cannot be read.
    Unreadable,
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Elf => "an ELF file",
            Self::Empty => "an empty file",
            Self::Script { .. } => "a script",
            Self::Wasm { component: false } => "a WebAssembly module",
            Self::Wasm { component: true } => "a WebAssembly component",
            Self::Pe => "a Windows program (PE)",
            Self::MachO { universal: false } => "a macOS program (Mach-O)",
            Self::MachO { universal: true } => "a macOS program for several architectures (universal Mach-O)",
            Self::JavaClass => "a Java class",
            Self::Archive { debian_package: false } => "an `ar` archive, such as a static library",
            Self::Archive { debian_package: true } => "a Debian package",
            Self::Compressed { codec } => return write!(f, "a file compressed with {codec}"),
            Self::Zip { jar: false } => "a zip archive",
            Self::Zip { jar: true } => "a Java archive",
            Self::Tar => "a tar archive",
            Self::Bitcode => "LLVM bitcode",
            Self::RpmPackage => "an RPM package",
            Self::Text => "a text file",
            Self::Zeros => "a file that begins with zero bytes",
            Self::Unknown => "of a kind that is not known",
            Self::Unreadable => "a file whose beginning cannot be read",
        })
    }
}

/// Tells the kind of a file from its first bytes.
#[must_use]
pub fn classify(bytes: &dyn Bytes) -> FileKind {
    if bytes.is_empty() {
        return FileKind::Empty;
    }
    let start = up_to(bytes, 0, FILE_KIND_BYTES);
    match &*start {
        [] => FileKind::Unreadable,
        [0x7f, b'E', b'L', b'F', ..] => FileKind::Elf,
        [b'#', b'!', rest @ ..] => FileKind::Script { interpreter: interpreter(rest) },
        [0, b'a', b's', b'm', rest @ ..] => FileKind::Wasm { component: matches!(rest, [_, _, 1, 0, ..]) },
        [b'M', b'Z', ..] => FileKind::Pe,
        [0xfe, 0xed, 0xfa, 0xce | 0xcf, ..] | [0xce | 0xcf, 0xfa, 0xed, 0xfe, ..] => {
            FileKind::MachO { universal: false }
        }
        // The same magic begins Java classes, whose next field is a version of at least 45, while a universal
        // program counts its architectures there.
        [0xca, 0xfe, 0xba, 0xbe, a, b, c, d, ..] if u32::from_be_bytes([*a, *b, *c, *d]) & 0xffff >= 45 => {
            FileKind::JavaClass
        }
        [0xca, 0xfe, 0xba, 0xbe | 0xbf, ..] | [0xbe | 0xbf, 0xba, 0xfe, 0xca, ..] => {
            FileKind::MachO { universal: true }
        }
        [b'!', b'<', b'a' | b't', ..] if start.starts_with(b"!<arch>\n") || start.starts_with(b"!<thin>\n") => {
            FileKind::Archive { debian_package: start.get(8..21) == Some(b"debian-binary") }
        }
        [0x1f, 0x8b, ..] => FileKind::Compressed { codec: "gzip" },
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => FileKind::Compressed { codec: "xz" },
        [0x28, 0xb5, 0x2f, 0xfd, ..] => FileKind::Compressed { codec: "zstd" },
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => FileKind::Compressed { codec: "bzip2" },
        [b'P', b'K', 3, 4, ..] => FileKind::Zip { jar: start.get(30..39) == Some(b"META-INF/") },
        [b'P', b'K', 5, 6, ..] => FileKind::Zip { jar: false },
        [b'B', b'C', 0xc0, 0xde, ..] => FileKind::Bitcode,
        [0xed, 0xab, 0xee, 0xdb, ..] => FileKind::RpmPackage,
        _ if start.get(257..262) == Some(b"ustar") => FileKind::Tar,
        _ if start.iter().all(|&b| b == 0) => FileKind::Zeros,
        _ if is_text(&start) => FileKind::Text,
        _ => FileKind::Unknown,
    }
}

/// The first word behind `#!`, as the kernel takes it.
fn interpreter(rest: &[u8]) -> Name {
    let line = rest.split(|&b| b == b'\n' || b == 0).next().unwrap_or_default();
    let word = line.split(|&b| b == b' ' || b == b'\t' || b == b'\r').find(|word| !word.is_empty());
    Name::new(word.unwrap_or_default())
}

/// UTF-8 (which may be cut at the end) without control characters other than white space.
fn is_text(start: &[u8]) -> bool {
    let valid = match std::str::from_utf8(start) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !valid.is_empty() && valid.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\u{c}' | '\u{1b}'))
}
