//! Repository names.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::oci::Reference;

/// A repository name as the distribution-spec has it ("Pulling manifests"), at most 255 characters. Its components
/// hold neither `..` nor an upper-case letter nor a leading dot, so none leads out of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Name(String);

/// Components that would collide with the files of a layout one level up.
const RESERVED: &[&str] = &["blobs", "index.json", "oci-layout"];

impl Name {
    /// Checks a name; `None` when it breaks the grammar.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let reference: Reference = format!("registry.invalid/{text}").parse().ok()?;
        (reference.repository() == text).then(|| Self(text.to_owned()))
    }

    /// The text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The directory below `root`. Reserved components get a leading `_`, which no component of a name can have, so
    /// two names never share a directory.
    pub(super) fn directory(&self, root: &Path) -> PathBuf {
        let mut path = root.to_owned();
        for part in self.0.split('/') {
            if RESERVED.contains(&part) { path.push(format!("_{part}")) } else { path.push(part) }
        }
        path
    }

    /// The inverse of [`Name::directory`] for a path relative to the root; `None` when no name leads there.
    pub(super) fn from_directory(relative: &Path) -> Option<Self> {
        let parts: Option<Vec<&str>> = relative
            .iter()
            .map(|part| {
                let part = part.to_str()?;
                match part.strip_prefix('_') {
                    Some(reserved) => RESERVED.contains(&reserved).then_some(reserved),
                    None => (!RESERVED.contains(&part)).then_some(part),
                }
            })
            .collect();
        Self::parse(&parts?.join("/"))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_below_the_root() {
        for text in ["..", "a/../b", "/a", "a/", "a//b", ".a", "A", "a:b", "a@b", "_blobs", "a%2fb", "", "a\0b", "a\\b"]
        {
            assert_eq!(Name::parse(text), None, "{text}");
        }
        assert!(Name::parse(&"a".repeat(255)).is_some());
        assert!(Name::parse(&"a".repeat(256)).is_none());
    }

    #[test]
    fn every_name_has_its_own_directory() {
        let root = Path::new("/r");
        for (text, want) in [
            ("app", "/r/app"),
            ("a/b.c/d__e", "/r/a/b.c/d__e"),
            ("a/blobs", "/r/a/_blobs"),
            ("index.json/oci-layout", "/r/_index.json/_oci-layout"),
        ] {
            let name = Name::parse(text).unwrap();
            let path = name.directory(root);
            assert_eq!(path, Path::new(want));
            assert_eq!(Name::from_directory(path.strip_prefix(root).unwrap()), Some(name));
        }
        assert_eq!(Name::from_directory(Path::new("a/blobs")), None);
        assert_eq!(Name::from_directory(Path::new("_a")), None);
    }
}
