//! One installed package.

use std::ops::Range;

use crate::oci::ImagePath;

/// The package manager whose database names a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Manager {
    /// Debian and its descendants.
    Dpkg,
    /// Alpine, Wolfi and others with apk-tools.
    Apk,
}

impl Manager {
    /// Its name, as in the type of a package URL's tool chain: `dpkg` or `apk`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dpkg => "dpkg",
            Self::Apk => "apk",
        }
    }
}

/// An installed package, as its database describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Whose database it stands in.
    pub manager: Manager,
    /// Its name, without architecture.
    pub name: String,
    /// Its version, with epoch and revision.
    pub version: String,
    /// Its architecture in the words of its distribution (`amd64`, `all`, `x86_64`); empty when it is not told.
    pub architecture: String,
    /// The source package it was built from; its own name when the database names no other.
    pub source: String,
    /// The version of that source package.
    pub source_version: String,
    /// The licence expression of the database; only apk has one.
    pub licence: Option<String>,
    /// Where its stanza stands in the text of all databases.
    pub(super) record: Range<usize>,
    /// The file of its checksums.
    pub(super) sums: Option<ImagePath>,
    /// Several architectures of it may be installed at once (`Multi-Arch: same`).
    pub(super) co_installable: bool,
}

impl Package {
    /// Where the package keeps its licences (Debian policy 12.5), links not resolved. `None` for apk, whose packages
    /// bring none.
    #[must_use]
    pub fn licence_file(&self) -> Option<ImagePath> {
        let path = || ImagePath::parse(format!("usr/share/doc/{}/copyright", self.name)).ok();
        (self.manager == Manager::Dpkg).then(path).flatten()
    }
}

/// A package's name, if it is one: it becomes part of file names, so nothing else may pass. dpkg's rule
/// (`pkg_name_is_illegal`) with the leading characters that apk takes.
pub(super) fn name(value: &[u8]) -> Option<String> {
    let first = value.first().is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let rest = value.iter().all(|b| b.is_ascii_alphanumeric() || b"-+._".contains(b));
    (first && rest && value.len() <= NAME_MAX).then(|| text(value)).flatten()
}

/// A version or architecture: printable, without white space.
pub(super) fn word(value: &[u8]) -> Option<String> {
    let good = !value.is_empty() && value.len() <= NAME_MAX && value.iter().all(u8::is_ascii_graphic);
    good.then(|| text(value)).flatten()
}

fn text(value: &[u8]) -> Option<String> {
    std::str::from_utf8(value).ok().map(str::to_owned)
}

/// Longest name of a file on Linux, less what is put behind it (`:architecture.md5sums`).
const NAME_MAX: usize = 200;
