//! What scanners and licences ask an image to carry of the packages whose files it has.
//!
//! For dpkg it is laid out as in distroless images: one file for each package in `status.d`, beside it the checksums of
//! the package's files, here of those that are in the image. For apk it is the installed database, restricted in the
//! same way; `/etc/apk/world` only says what a user once asked for, and no scanner reads it. Checksums are those of the
//! database: a file changed since its installation shows.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Node, Root, RootError, read_whole, resolve};
use super::package::{Manager, Package};
use super::{Packages, apk, dpkg, findings};
use crate::diag::Diagnostic;
use crate::limits;
use crate::oci::ImagePath;

/// Files by which scanners tell the distribution; those that a root has are copied.
const RELEASE: [&str; 5] =
    ["/etc/os-release", "/usr/lib/os-release", "/etc/debian_version", "/etc/lsb-release", "/etc/alpine-release"];

/// A file of the image that describes packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Metadata {
    /// Written by coracle.
    Generated(Vec<u8>),
    /// The file or symbolic link at that path of the root.
    OfRoot,
}

/// What an image carries of the packages whose files it has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Described {
    /// The files to add, sorted by path.
    pub files: Vec<(ImagePath, Metadata)>,
    /// What is missing.
    pub findings: Vec<Diagnostic>,
}

/// The files of the image by the package that they belong to.
struct Collection<'a> {
    packages: &'a Packages,
    root: &'a dyn Root,
    /// Files that the image has without us.
    copied: BTreeSet<&'a ImagePath>,
    found: BTreeMap<ImagePath, Metadata>,
    owned: BTreeMap<u32, BTreeSet<ImagePath>>,
}

pub(super) fn metadata<'a>(
    packages: &'a Packages,
    root: &'a dyn Root,
    copied: impl IntoIterator<Item = &'a ImagePath>,
) -> Result<Described, RootError> {
    let copied: BTreeSet<&ImagePath> = copied.into_iter().collect();
    let (found, owned) = (BTreeMap::new(), BTreeMap::new());
    let mut collection = Collection { packages, root, copied, found, owned };
    for path in collection.copied.clone() {
        collection.own(path);
    }
    if collection.owned.is_empty() {
        return Ok(Described::default());
    }
    for path in RELEASE {
        collection.take(path.as_bytes())?;
    }
    let findings = collection.licences()?;
    collection.dpkg()?;
    collection.apk()?;
    Ok(Described { files: collection.found.into_iter().collect(), findings: findings.into_iter().collect() })
}

impl Collection<'_> {
    /// Notes to whom a path of the image belongs.
    fn own(&mut self, path: &ImagePath) {
        for owner in self.packages.index.owners(&self.packages.aliases.real(path.as_bytes())) {
            self.owned.entry(owner).or_default().insert(path.clone());
        }
    }

    /// Takes a file of the root with the links that lead to it. Whether there is one.
    fn take(&mut self, path: &[u8]) -> Result<bool, RootError> {
        let resolved = match resolve(self.root, path) {
            Err(RootError::TooManyLinks(_) | RootError::PathTooLong) => None,
            Err(error) if error.hides() => None,
            resolved => resolved?,
        };
        let Some(resolved) = resolved.filter(|r| matches!(r.node, Node::File { .. })) else { return Ok(false) };
        for path in resolved.links.into_iter().chain([resolved.path]) {
            self.own(&path);
            if !self.copied.contains(&path) {
                self.found.insert(path, Metadata::OfRoot);
            }
        }
        Ok(true)
    }

    /// Takes the licences of all packages, and of those whose files these are.
    fn licences(&mut self) -> Result<Option<Diagnostic>, RootError> {
        let mut done = BTreeSet::new();
        let mut missing = BTreeSet::new();
        while let Some(owner) = self.owned.keys().copied().find(|owner| !done.contains(owner)) {
            done.insert(owner);
            let Some(package) = self.packages.get(owner) else { continue };
            let Some(path) = package.licence_file() else { continue };
            if !self.take(path.as_bytes())? {
                missing.insert(package.name.clone());
            }
        }
        Ok(findings::no_licence(&missing.into_iter().collect::<Vec<_>>()))
    }

    fn of(&self, manager: Manager) -> Vec<(&Package, &BTreeSet<ImagePath>)> {
        let packages = self.owned.iter().filter_map(|(owner, files)| Some((self.packages.get(*owner)?, files)));
        packages.filter(|(package, _)| package.manager == manager).collect()
    }

    fn dpkg(&mut self) -> Result<(), RootError> {
        let mut generated = Vec::new();
        let owners = self.of(Manager::Dpkg);
        for (package, files) in &owners {
            let twice = owners.iter().filter(|(other, _)| other.name == package.name).count() > 1;
            let suffix = if twice { format!(":{}", package.architecture) } else { String::new() };
            let path = format!("var/lib/dpkg/status.d/{}{suffix}", package.name);
            let stanza = self.packages.text.get(package.record.clone()).unwrap_or_default();
            generated.push((path.clone(), dpkg::without_state(stanza)));
            let sums = self.sums(package, files)?;
            if !sums.is_empty() {
                generated.push((path + ".md5sums", sums));
            }
        }
        for (path, bytes) in generated {
            if let Ok(path) = ImagePath::parse(path) {
                self.found.insert(path, Metadata::Generated(bytes));
            }
        }
        Ok(())
    }

    /// The lines of the package's checksums for files of the image, under the paths that they have there.
    fn sums(&self, package: &Package, files: &BTreeSet<ImagePath>) -> Result<Vec<u8>, RootError> {
        let Some(path) = &package.sums else { return Ok(Vec::new()) };
        let bytes = match read_whole(self.root, path, limits::MAX_PACKAGE_DATABASE_BYTES) {
            Err(RootError::Read { .. } | RootError::NotRegular(_) | RootError::TooLarge { .. }) => {
                return Ok(Vec::new());
            }
            bytes => bytes?,
        };
        let (aliases, diversions) = (&self.packages.aliases, &self.packages.diversions);
        let by_place: BTreeMap<_, _> =
            files.iter().map(|path| (aliases.real(path.as_bytes()).into_owned(), path)).collect();
        let mut lines = BTreeMap::new();
        for (sum, listed) in dpkg::parse_md5sums(&bytes) {
            let place = aliases.real(diversions.place(listed, &package.name));
            if let Some(path) = by_place.get(place.as_ref()) {
                lines.insert(*path, sum);
            }
        }
        let line = |(path, sum): (&&ImagePath, &&[u8])| [sum, b"  ".as_slice(), path.as_bytes(), b"\n"].concat();
        Ok(lines.iter().map(line).collect::<Vec<_>>().concat())
    }

    fn apk(&mut self) -> Result<(), RootError> {
        let Some(path) = &self.packages.installed else { return Ok(()) };
        let aliases = &self.packages.aliases;
        let mut out = Vec::new();
        for (package, files) in self.of(Manager::Apk) {
            let files: BTreeSet<_> = files.iter().map(|path| aliases.real(path.as_bytes())).collect();
            let record = self.packages.text.get(package.record.clone()).unwrap_or_default();
            out.extend(apk::restrict(record, |path| files.contains(&aliases.real(path))));
        }
        if !out.is_empty() {
            self.found.insert(path.clone(), Metadata::Generated(out));
        }
        Ok(())
    }
}
