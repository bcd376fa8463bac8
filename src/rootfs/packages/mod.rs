//! Which package of a distribution owns a path of a root, and what an image must carry of its database.
//!
//! Databases of dpkg (also in the form that distroless images have) and of apk are read. What stands in none of them is
//! local to the machine, or its owner is unknown: nothing is guessed.

mod aliases;
mod alternatives;
pub mod apk;
mod conffiles;
pub mod dpkg;
mod findings;
mod index;
mod md5;
mod metadata;
mod package;
mod read;
mod stanza;

pub use alternatives::parse_alternatives;
pub use metadata::{Described, Metadata};
pub use package::{Manager, Package};

use super::{Root, RootError};
use crate::diag::Diagnostic;
use crate::oci::ImagePath;
use aliases::Aliases;
use alternatives::Alternatives;
use index::Index;

/// Where what stands at a path came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin<'a> {
    /// A package brought it.
    Package(&'a Package),
    /// A link of the group of alternatives of that name: the machine's choice among what packages brought.
    Alternative(&'a str),
    /// In a root with a database, what no package brought: made by the administrator or by a script of a package.
    Local,
    /// The root has no database.
    Unknown,
}

/// The packages of a root and the paths that they own.
#[derive(Debug)]
pub struct Packages {
    all: Vec<Package>,
    /// The text of all databases, in which stanzas stand.
    text: Vec<u8>,
    index: Index,
    aliases: Aliases,
    diversions: dpkg::Diversions,
    alternatives: Alternatives,
    /// apk's database, links resolved.
    installed: Option<ImagePath>,
    found: bool,
}

impl Packages {
    /// Reads the databases of a root. What is missing, damaged or too large in them is a finding.
    ///
    /// # Errors
    /// [`RootError::Read`] for anything but absence and missing permission.
    pub fn read(root: &dyn Root) -> Result<(Self, Vec<Diagnostic>), RootError> {
        read::read(root)
    }

    /// Whether the root has a database at all. Without one, a path without an owner means nothing.
    #[must_use]
    pub const fn has_database(&self) -> bool {
        self.found
    }

    /// All installed packages, in the order of their database.
    #[must_use]
    pub fn all(&self) -> &[Package] {
        &self.all
    }

    fn get(&self, number: u32) -> Option<&Package> {
        self.all.get(usize::try_from(number).ok()?)
    }

    /// The packages that own what stands at `path`, in the order of their database. `path` may lead through links to
    /// directories as those of the merged `/usr`. Directories have many owners; files that packages of several
    /// architectures share have one for each.
    #[must_use]
    pub fn owners(&self, path: &ImagePath) -> Vec<&Package> {
        let real = self.aliases.real(path.as_bytes());
        self.index.owners(&real).into_iter().filter_map(|number| self.get(number)).collect()
    }

    /// The first of [`Packages::owners`].
    #[must_use]
    pub fn owner(&self, path: &ImagePath) -> Option<&Package> {
        self.owners(path).into_iter().next()
    }

    /// Whether `path` belongs to a package.
    #[must_use]
    pub fn is_known(&self, path: &ImagePath) -> bool {
        self.owner(path).is_some()
    }

    /// Where what stands at `path` came from.
    #[must_use]
    pub fn origin(&self, path: &ImagePath) -> Origin<'_> {
        let alternative = || self.alternatives.get(self.aliases.real(path.as_bytes()).as_ref());
        match (self.owner(path), self.found) {
            (Some(package), _) => Origin::Package(package),
            (None, false) => Origin::Unknown,
            (None, true) => alternative().map_or(Origin::Local, |group| Origin::Alternative(group)),
        }
    }

    /// The files that describe the packages that own `copied` in an image: their stanzas and checksums, the licences,
    /// and what names the distribution; sorted, without those already copied. Licences and release files are owned by
    /// packages too, which are described with the others. Nothing for files without owner.
    ///
    /// # Errors
    /// As [`Packages::read`].
    pub fn metadata<'a>(
        &'a self,
        root: &'a dyn Root,
        copied: impl IntoIterator<Item = &'a ImagePath>,
    ) -> Result<Described, RootError> {
        metadata::metadata(self, root, copied)
    }
}
