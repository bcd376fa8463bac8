//! The database of apk-tools, from bytes: `/lib/apk/db/installed` (apk(5) of version 2). A stanza describes a package,
//! then its directories (`F:`) with their files (`R:`); `M:`, `a:` and `Z:` give modes and checksums.

use super::package::{self, Manager, Package};
use super::stanza;
use crate::limits;

/// What an installed database holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Installed {
    /// The packages, in the order of the file.
    pub packages: Vec<Package>,
    /// Stanzas without a name or version that apk would take, or after the last one allowed.
    pub skipped: usize,
}

/// Parses an installed database.
#[must_use]
pub fn parse_installed(bytes: &[u8]) -> Installed {
    let mut installed = Installed::default();
    for record in stanza::stanzas(bytes) {
        let parsed = package(bytes.get(record.clone()).unwrap_or_default());
        match parsed.filter(|_| installed.packages.len() < limits::MAX_PACKAGES) {
            Some(package) => installed.packages.push(Package { record, ..package }),
            None => installed.skipped += 1,
        }
    }
    installed
}

/// A line's letter and value.
fn line(line: &[u8]) -> Option<(u8, &[u8])> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    match line {
        [letter, b':', value @ ..] => Some((*letter, value)),
        _ => None,
    }
}

/// The value of a letter before the first directory.
fn value(record: &[u8], wanted: u8) -> Option<&[u8]> {
    let mut lines = record.split(|b| *b == b'\n').filter_map(line).take_while(|(letter, _)| *letter != b'F');
    lines.find(|(letter, value)| *letter == wanted && !value.is_empty()).map(|(_, value)| value)
}

fn package(record: &[u8]) -> Option<Package> {
    // Groups of packages that a user made with `--virtual` begin with a dot and have no files.
    let written = value(record, b'P')?;
    let name = package::name(written.strip_prefix(b".").unwrap_or(written))?;
    let version = package::word(value(record, b'V')?)?;
    let licence = value(record, b'L').map(|text| String::from_utf8_lossy(text).into_owned());
    Some(Package {
        manager: Manager::Apk,
        source: value(record, b'o').and_then(package::name).unwrap_or_else(|| name.clone()),
        source_version: version.clone(),
        name,
        version,
        architecture: value(record, b'A').and_then(package::name).unwrap_or_default(),
        licence,
        record: 0..0,
        sums: None,
        co_installable: false,
    })
}

/// The directories and files of a stanza, without leading slash.
#[must_use]
pub fn parse_files(record: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut directory: &[u8] = b"";
    for (letter, value) in record.split(|b| *b == b'\n').filter_map(line) {
        if value.len() + directory.len() >= limits::MAX_PATH_BYTES {
            continue;
        }
        match letter {
            b'F' => {
                directory = value;
                if !value.is_empty() {
                    found.push(value.to_vec());
                }
            }
            b'R' => found.push(join(directory, value)),
            _ => {}
        }
    }
    found
}

fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

/// A stanza with only the files that `keep` names, and the directories that hold them; ends with an empty line.
pub fn restrict(record: &[u8], keep: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut out = Vec::new();
    // The lines of the directory at hand, written with its first file.
    let mut pending: Vec<&[u8]> = Vec::new();
    let mut directory: &[u8] = b"";
    let mut state = State::Package;
    for full in record.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        let Some((letter, value)) = line(full) else { continue };
        match letter {
            b'F' => {
                (directory, state) = (value, State::Directory);
                pending.clear();
            }
            b'R' => state = if keep(&join(directory, value)) { State::Kept } else { State::Left },
            _ => {}
        }
        match state {
            State::Directory => pending.push(full),
            State::Left => {}
            State::Package | State::Kept => {
                for line in pending.drain(..).chain([full]) {
                    out.extend_from_slice(line);
                    out.push(b'\n');
                }
            }
        }
    }
    out.push(b'\n');
    out
}

/// What the line at hand belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Package,
    Directory,
    Kept,
    Left,
}
