//! The files of dpkg's database, from bytes: `status` (deb-control(5)), `info/PACKAGE.list`, `.md5sums`
//! (deb-md5sums(5)) and `diversions` (dpkg-divert(1)).

use std::collections::BTreeMap;

use super::package::{self, Manager, Package};
use super::stanza::{self, Field};
use crate::limits;

/// States of dpkg(1) in which the files of exactly that version are in place, configured or not.
const STATES: [&[u8]; 5] = [b"installed", b"unpacked", b"half-configured", b"triggers-awaited", b"triggers-pending"];

/// Fields that describe the state of an installation and not the package: `dpkg-deb --field` of the package has none of
/// them, and neither do the stanzas of distroless images.
const STATE_FIELDS: [&[u8]; 5] = [b"Status", b"Conffiles", b"Config-Version", b"Triggers-Pending", b"Triggers-Awaited"];

/// What a status file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The packages whose files are in place, in the order of the file.
    pub packages: Vec<Package>,
    /// Stanzas that name no package, version or state that dpkg would take, or that come after the last one allowed.
    pub skipped: usize,
}

/// Parses `/var/lib/dpkg/status`, or a file of `/var/lib/dpkg/status.d`, whose stanzas have no `Status` field.
#[must_use]
pub fn parse_status(bytes: &[u8]) -> Status {
    let mut status = Status::default();
    for record in stanza::stanzas(bytes) {
        let fields = stanza::fields(bytes.get(record.clone()).unwrap_or_default());
        if field(&fields, b"Status").is_some_and(|status| !in_place(status)) {
            continue;
        }
        match package(&fields).filter(|_| status.packages.len() < limits::MAX_PACKAGES) {
            Some(package) => status.packages.push(Package { record, ..package }),
            None => status.skipped += 1,
        }
    }
    status
}

/// `Status: WANT FLAG STATE`.
fn in_place(status: &[u8]) -> bool {
    let state = status.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).nth(2);
    state.is_some_and(|state| STATES.contains(&state))
}

fn field<'a>(fields: &[Field<'a>], name: &[u8]) -> Option<&'a [u8]> {
    fields.iter().find(|f| f.name.eq_ignore_ascii_case(name)).map(|f| f.value)
}

fn package(fields: &[Field<'_>]) -> Option<Package> {
    let name = package::name(field(fields, b"Package")?)?;
    let version = package::word(field(fields, b"Version")?)?;
    let architecture = field(fields, b"Architecture").and_then(package::name).unwrap_or_default();
    let (source, source_version) = source(field(fields, b"Source").unwrap_or_default());
    Some(Package {
        manager: Manager::Dpkg,
        source: source.unwrap_or_else(|| name.clone()),
        source_version: source_version.unwrap_or_else(|| version.clone()),
        name,
        version,
        architecture,
        licence: None,
        record: 0..0,
        sums: None,
        co_installable: field(fields, b"Multi-Arch").is_some_and(|value| value.eq_ignore_ascii_case(b"same")),
    })
}

/// `Source: NAME` or `Source: NAME (VERSION)`, the latter where it differs from the binary package's.
fn source(value: &[u8]) -> (Option<String>, Option<String>) {
    let mut words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let name = words.next().and_then(package::name);
    let version = words.next().and_then(|word| word.strip_prefix(b"(")?.strip_suffix(b")"));
    (name, version.and_then(package::word))
}

/// A stanza as the package itself has it, without the state of its installation; ends with a line end.
#[must_use]
pub fn without_state(stanza: &[u8]) -> Vec<u8> {
    let of_state = |f: &Field<'_>| STATE_FIELDS.iter().any(|name| f.name.eq_ignore_ascii_case(name));
    let fields = stanza::fields(stanza);
    let mut out = fields.iter().filter(|f| !of_state(f)).map(|f| f.lines).collect::<Vec<_>>().concat();
    if !out.ends_with(b"\n") {
        out.push(b'\n');
    }
    out
}

/// The paths of a list, without leading slash. Lines that are no absolute path are left out; so is the root itself.
pub fn parse_list(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = bytes.split(|b| *b == b'\n').filter_map(|line| line.strip_prefix(b"/"));
    lines.filter(|path| !path.is_empty() && *path != b"." && path.len() <= limits::MAX_PATH_BYTES)
}

/// The lines of a list of checksums: 32 hexadecimal digits and a path without leading slash. Others are left out.
pub fn parse_md5sums(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    bytes.split(|b| *b == b'\n').filter_map(|line| {
        let (sum, rest) = line.split_at_checked(32)?;
        let path = rest.strip_prefix(b"  ").or_else(|| rest.strip_prefix(b" *"))?;
        let path = path.strip_prefix(b"./").unwrap_or(path);
        let good = sum.iter().all(u8::is_ascii_hexdigit) && !path.is_empty() && path.len() <= limits::MAX_PATH_BYTES;
        good.then_some((sum, path))
    })
}

/// The lines of a `Conffiles` field: a path, here without leading slash, the checksum of what the package brought, and
/// perhaps words about its state. Paths whose checksum dpkg does not know yet are left out.
pub fn parse_conffiles(field: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let is_sum = |word: &[u8]| word.len() == 32 && word.iter().all(u8::is_ascii_hexdigit);
    field.split(|b| *b == b'\n').filter_map(move |line| {
        let path = line.trim_ascii_start().strip_prefix(b"/")?;
        let mut end = path.len();
        // Paths may have blanks; what comes behind the checksum has none of its length.
        while let Some(blank) = path.get(..end)?.iter().rposition(|b| *b == b' ') {
            let word = path.get(blank + 1..end)?;
            if is_sum(word) {
                return path.get(..blank).filter(|path| !path.is_empty()).map(|path| (path, word));
            }
            end = blank;
        }
        None
    })
}

/// Where the file of a diverted path is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Diversion {
    to: Vec<u8>,
    /// The package whose own file stays in place; `None` for a diversion of the machine's administrator.
    by: Option<String>,
}

/// All diversions: paths at which another package's file stands, and where the diverted one is instead.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Diversions {
    from: BTreeMap<Vec<u8>, Diversion>,
    /// Entries that are cut, name no absolute path, or divert what another entry diverts, from or to.
    pub skipped: usize,
}

impl Diversions {
    /// Parses `/var/lib/dpkg/diversions`: three lines for each, from, to, and the package or `:`.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let mut found = Self::default();
        let lines: Vec<&[u8]> = bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|b| *b == b'\n').collect();
        if bytes.is_empty() {
            return found;
        }
        // dpkg refuses a file in which one path stands twice; so chains and cycles cannot be.
        let mut seen = std::collections::BTreeSet::new();
        for entry in lines.chunks(3) {
            let parsed = diversion(entry).filter(|_| found.from.len() < limits::MAX_DIVERSIONS);
            match parsed.filter(|(from, d)| !seen.contains(from) && !seen.contains(&d.to) && *from != d.to) {
                Some((from, diversion)) => {
                    seen.extend([from.clone(), diversion.to.clone()]);
                    found.from.insert(from, diversion);
                }
                None => found.skipped += 1,
            }
        }
        found
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.from.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.from.is_empty()
    }

    /// Where the file is that `package` lists at `path` (both without leading slash).
    #[must_use]
    pub fn place<'a>(&'a self, path: &'a [u8], package: &str) -> &'a [u8] {
        let diversion = self.from.get(path).filter(|diversion| diversion.by.as_deref() != Some(package));
        diversion.map_or(path, |diversion| &diversion.to)
    }
}

fn diversion(lines: &[&[u8]]) -> Option<(Vec<u8>, Diversion)> {
    let [from, to, by] = lines else { return None };
    let path = |line: &[u8]| {
        let path = line.strip_prefix(b"/").filter(|path| !path.is_empty() && path.len() <= limits::MAX_PATH_BYTES);
        path.map(<[u8]>::to_vec)
    };
    let by = if *by == b":" { None } else { Some(package::name(by)?) };
    Some((path(from)?, Diversion { to: path(to)?, by }))
}
