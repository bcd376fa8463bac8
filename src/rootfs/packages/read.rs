//! Reads the databases of a root.

use std::ops::Range;

use super::super::{Node, Root, RootError, read_whole, resolve};
use super::aliases::Aliases;
use super::alternatives::{Alternatives, parse_alternatives};
use super::index::Index;
use super::package::Package;
use super::{Packages, apk, dpkg, findings};
use crate::diag::{Diagnostic, escape};
use crate::limits;
use crate::oci::ImagePath;

const STATUS: &str = "/var/lib/dpkg/status";
const STATUS_D: &str = "/var/lib/dpkg/status.d";
const INFO: &str = "/var/lib/dpkg/info";
const ALTERNATIVES: &str = "/var/lib/dpkg/alternatives";
const DIVERSIONS: &str = "/var/lib/dpkg/diversions";
/// Old and new place; since the merge of `/usr` both may name one file.
const INSTALLED: [&str; 2] = ["/usr/lib/apk/db/installed", "/lib/apk/db/installed"];
const RPM: [&str; 6] = [
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
    "/usr/lib/sysimage/rpm/Packages.db",
    "/usr/lib/sysimage/rpm/Packages",
    "/var/lib/rpm/rpmdb.sqlite",
    "/var/lib/rpm/Packages.db",
    "/var/lib/rpm/Packages",
];

/// The state of one reading.
pub(super) struct Reading<'a> {
    root: &'a dyn Root,
    packages: Packages,
    findings: Vec<Diagnostic>,
    /// Bytes of lists that may still be read.
    left: u64,
    /// Packages whose list is missing.
    unlisted: Vec<String>,
    full: bool,
}

pub(super) fn read(root: &dyn Root) -> Result<(Packages, Vec<Diagnostic>), RootError> {
    let packages = Packages {
        all: Vec::new(),
        text: Vec::new(),
        index: Index::default(),
        aliases: Aliases::read(root)?,
        diversions: dpkg::Diversions::default(),
        alternatives: Alternatives::new(),
        installed: None,
        found: false,
    };
    let left = limits::MAX_PACKAGE_LISTS_BYTES;
    let mut reading = Reading { root, packages, findings: Vec::new(), left, unlisted: Vec::new(), full: false };
    reading.dpkg()?;
    reading.distroless()?;
    reading.alternatives()?;
    reading.apk()?;
    reading.rpm()?;
    Ok(reading.finish())
}

impl Reading<'_> {
    fn dpkg(&mut self) -> Result<(), RootError> {
        let Some((_, status)) = self.file(STATUS)? else { return Ok(()) };
        if let Some((_, diversions)) = self.file(DIVERSIONS)? {
            self.packages.diversions = dpkg::Diversions::parse(&diversions);
            self.damaged(DIVERSIONS, self.packages.diversions.skipped, "diversions");
        }
        let parsed = dpkg::parse_status(&status);
        self.damaged(STATUS, parsed.skipped, "stanzas");
        let Some(base) = self.keep(STATUS, &status) else { return Ok(()) };
        let info = resolve_quietly(self.root, INFO)?.unwrap_or_else(ImagePath::root);
        let names = read_dir(self.root, &info)?;
        for mut package in parsed.packages {
            package.record = shifted(&package.record, base);
            let find = |suffix: &str| info_file(&info, &names, &package, suffix);
            let list = find("list");
            package.sums = find("md5sums");
            let bytes = list.map(|list| self.list(&list)).transpose()?.flatten();
            match bytes {
                Some(bytes) => self.add(package, dpkg::parse_list(&bytes)),
                None => {
                    self.unlisted.push(package.name.clone());
                    self.add(package, std::iter::empty());
                }
            }
        }
        Ok(())
    }

    /// Images without dpkg keep one file for each package, and checksums for the list of its files.
    fn distroless(&mut self) -> Result<(), RootError> {
        let Some(directory) = resolve_quietly(self.root, STATUS_D)? else { return Ok(()) };
        let names = read_dir(self.root, &directory)?;
        for name in names.iter().filter(|name| !name.ends_with(b".md5sums")) {
            let (Ok(path), Ok(sums)) = (directory.join(name), directory.join([name, b".md5sums".as_slice()].concat()))
            else {
                continue;
            };
            let Some(stanza) = self.list(&path)? else { continue };
            self.packages.found = true;
            let parsed = dpkg::parse_status(&stanza);
            self.damaged(&path.to_string(), parsed.skipped, "stanzas");
            let Some(base) = self.keep(STATUS_D, &stanza) else { return Ok(()) };
            let sums_there = names.binary_search_by(|n| n.as_slice().cmp(sums.file_name())).is_ok();
            for mut package in parsed.packages {
                package.record = shifted(&package.record, base);
                package.sums = sums_there.then(|| sums.clone());
                let bytes = if sums_there { self.list(&sums)? } else { None };
                self.add(package, dpkg::parse_md5sums(&bytes.unwrap_or_default()).map(|(_, path)| path));
            }
        }
        Ok(())
    }

    fn alternatives(&mut self) -> Result<(), RootError> {
        let Some(directory) = resolve_quietly(self.root, ALTERNATIVES)? else { return Ok(()) };
        for name in read_dir(self.root, &directory)?.into_iter().take(limits::MAX_PACKAGES) {
            let Ok(path) = directory.join(&name) else { continue };
            let Some(bytes) = self.list(&path)? else { continue };
            for link in parse_alternatives(&name, &bytes) {
                let link = self.packages.aliases.real(&link).into_owned();
                self.packages.alternatives.insert(link, escape(&name));
            }
        }
        Ok(())
    }

    fn apk(&mut self) -> Result<(), RootError> {
        for place in INSTALLED {
            let Some((path, bytes)) = self.file(place)? else { continue };
            let parsed = apk::parse_installed(&bytes);
            self.damaged(place, parsed.skipped, "stanzas");
            let Some(base) = self.keep(place, &bytes) else { return Ok(()) };
            self.packages.installed = Some(path);
            for mut package in parsed.packages {
                let files = apk::parse_files(bytes.get(package.record.clone()).unwrap_or_default());
                package.record = shifted(&package.record, base);
                self.add(package, files.iter().map(Vec::as_slice));
            }
            return Ok(());
        }
        Ok(())
    }

    fn rpm(&mut self) -> Result<(), RootError> {
        for place in RPM {
            if resolve_quietly(self.root, place)?.is_some() {
                self.findings.push(findings::rpm(place));
                return Ok(());
            }
        }
        Ok(())
    }

    fn finish(mut self) -> (Packages, Vec<Diagnostic>) {
        self.packages.index.finish();
        self.findings.extend(findings::no_list(&self.unlisted));
        if self.full {
            self.findings.push(findings::too_large("/var/lib/dpkg"));
        }
        if !self.packages.found && self.findings.is_empty() {
            self.findings.push(findings::no_database());
        }
        (self.packages, self.findings)
    }

    /// Takes a package and the paths that it lists.
    fn add<'p>(&mut self, package: Package, paths: impl Iterator<Item = &'p [u8]>) {
        let packages = &mut self.packages;
        let number = packages.all.len();
        let owner = u32::try_from(number).ok().filter(|_| number < limits::MAX_PACKAGES);
        let Some(owner) = owner else {
            self.full = true;
            return;
        };
        for path in paths {
            let place = packages.diversions.place(path, &package.name);
            if !packages.index.add(&packages.aliases.real(place), owner) {
                self.full = true;
                break;
            }
        }
        packages.all.push(package);
    }

    /// Keeps the text of a database, so that stanzas can be written from it. Its offset, or `None` beyond the limit.
    fn keep(&mut self, path: &str, bytes: &[u8]) -> Option<usize> {
        self.packages.found = true;
        let base = self.packages.text.len();
        let all = (base + bytes.len()) as u64;
        if all > limits::MAX_PACKAGE_DATABASE_BYTES {
            self.findings.push(findings::too_large(path));
            return None;
        }
        self.packages.text.extend_from_slice(bytes);
        Some(base)
    }

    fn damaged(&mut self, path: &str, skipped: usize, what: &str) {
        if skipped > 0 && self.findings.len() < limits::MAX_FINDINGS_PER_CODE {
            self.findings.push(findings::damaged(path, skipped, what));
        }
    }

    /// A file of the database with its path, if it is there; what cannot be read is a finding.
    fn file(&mut self, path: &str) -> Result<Option<(ImagePath, Vec<u8>)>, RootError> {
        let Some(found) = resolve_quietly(self.root, path)? else { return Ok(None) };
        match read_whole(self.root, &found, limits::MAX_PACKAGE_DATABASE_BYTES) {
            Ok(bytes) => Ok(Some((found, bytes))),
            Err(RootError::TooLarge { .. }) => {
                self.findings.push(findings::too_large(path));
                Ok(None)
            }
            Err(error) if error.hides() || matches!(error, RootError::NotRegular(_)) => {
                self.findings.push(findings::unreadable(path, &error.to_string()));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// A list of one package. `None` when it cannot be read, or too much has been read already.
    fn list(&mut self, path: &ImagePath) -> Result<Option<Vec<u8>>, RootError> {
        match read_whole(self.root, path, self.left) {
            Ok(bytes) => {
                self.left -= bytes.len() as u64;
                Ok(Some(bytes))
            }
            Err(RootError::TooLarge { .. }) => {
                self.full = true;
                Ok(None)
            }
            // A link, device or directory in place of the list, or one that nobody may read.
            Err(RootError::Read { .. } | RootError::NotRegular(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn shifted(range: &Range<usize>, by: usize) -> Range<usize> {
    range.start + by..range.end + by
}

/// Where a path of the database leads, if anywhere.
fn resolve_quietly(root: &dyn Root, path: &str) -> Result<Option<ImagePath>, RootError> {
    match resolve(root, path.as_bytes()) {
        Err(RootError::TooManyLinks(_) | RootError::PathTooLong) => Ok(None),
        Err(error) if error.hides() => Ok(None),
        found => Ok(found?.map(|found| found.path)),
    }
}

/// The names in a directory of the database; none when it is no directory or may not be read.
fn read_dir(root: &dyn Root, path: &ImagePath) -> Result<Vec<Vec<u8>>, RootError> {
    if path.is_root() || !matches!(root.node(path)?, Some(Node::Directory { .. })) {
        return Ok(Vec::new());
    }
    match root.read_dir(path) {
        Err(error) if error.hides() => Ok(Vec::new()),
        names => names,
    }
}

/// `info/PACKAGE:ARCHITECTURE.SUFFIX` for packages that may be there once for each architecture, else `PACKAGE.SUFFIX`;
/// databases of an older format have the latter for all.
fn info_file(info: &ImagePath, names: &[Vec<u8>], package: &Package, suffix: &str) -> Option<ImagePath> {
    let with = format!("{}:{}.{suffix}", package.name, package.architecture);
    let without = format!("{}.{suffix}", package.name);
    let order = if package.co_installable { [with, without] } else { [without, with] };
    let there = |name: &String| names.binary_search_by(|n| n.as_slice().cmp(name.as_bytes())).is_ok();
    info.join(order.into_iter().find(there)?).ok()
}
