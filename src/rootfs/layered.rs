//! Two roots as one, the way a container sees an image and what is laid over it.

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;

use super::{Identity, Node, OpenFile, Root, RootError, resolve};
use crate::oci::ImagePath;

/// A root over another: directories of both are one, anything else of the upper root hides what the lower one has at its
/// path or below.
///
/// Where the upper root has a merged `/usr` and the lower one has not, as trees of unpacked packages, what the lower one has
/// in `/lib` shows in `/usr/lib`, to which the upper one's link leads.
pub struct Layered {
    upper: Arc<dyn Root>,
    lower: Arc<dyn Root>,
    hidden: fn(&ImagePath) -> bool,
    /// Directories of the upper root, and those of the lower one whose content shows there too.
    merged: Vec<(ImagePath, ImagePath)>,
}

/// Directories that a merged `/usr` turns into links.
const MERGED: [&str; 8] = ["bin", "lib", "lib32", "lib64", "libo32", "libx32", "libn32", "sbin"];

impl Layered {
    /// Both roots as they are.
    ///
    /// # Errors
    /// [`RootError`] when one of them cannot be read.
    pub fn new(upper: Arc<dyn Root>, lower: Arc<dyn Root>) -> Result<Self, RootError> {
        let mut merged = Vec::new();
        for name in MERGED {
            let Ok(path) = ImagePath::parse(name) else { continue };
            let (above, below) = (upper.node(&path)?, lower.node(&path)?);
            if let (Some(Node::Symlink(_)), Some(Node::Directory { .. })) = (above, below)
                && let Some(found) = resolve(&*upper, path.as_bytes())?
                && matches!(found.node, Node::Directory { .. })
            {
                merged.push((found.path, path));
            }
        }
        Ok(Self { upper, lower, hidden: |_| false, merged })
    }

    /// Without those files and links of the lower root that `hidden` names.
    #[must_use]
    pub fn hiding(self, hidden: fn(&ImagePath) -> bool) -> Self {
        Self { hidden, ..self }
    }

    /// The paths of the lower root that show at a path.
    fn places(&self, path: &ImagePath) -> Vec<ImagePath> {
        let mut places = vec![path.clone()];
        for (shown, real) in &self.merged {
            if path.starts_with(shown) {
                let rest = path.as_bytes().get(shown.as_bytes().len()..).unwrap_or_default();
                places.extend(ImagePath::parse([real.as_bytes(), rest].concat()));
            }
        }
        places
    }

    /// What the lower root shows at a path, and where it has it; nothing below something of the upper root that is no
    /// directory.
    fn below(&self, path: &ImagePath) -> Result<Option<(ImagePath, Node)>, RootError> {
        for above in path.ancestors() {
            match self.upper.node(&above)? {
                None => break,
                Some(Node::Directory { .. }) => {}
                Some(_) => return Ok(None),
            }
        }
        for place in self.places(path) {
            if let Some(node) = self.lower.node(&place)?
                && (matches!(node, Node::Directory { .. }) || !(self.hidden)(&place))
            {
                return Ok(Some((place, node)));
            }
        }
        Ok(None)
    }

    /// The root that answers for a path, and the path in it.
    fn owner(&self, path: &ImagePath) -> (&dyn Root, ImagePath) {
        match self.upper.node(path) {
            Ok(None) => {
                let place = self.below(path).ok().flatten().map(|(place, _)| place);
                (&*self.lower, place.unwrap_or_else(|| path.clone()))
            }
            _ => (&*self.upper, path.clone()),
        }
    }

    /// The names of a directory of the lower root that are not hidden, at all its places.
    fn shown(&self, path: &ImagePath) -> Result<BTreeSet<Vec<u8>>, RootError> {
        let mut names = BTreeSet::new();
        for place in self.places(path) {
            let is_directory = place.is_root() || matches!(self.lower.node(&place)?, Some(Node::Directory { .. }));
            for name in if is_directory { self.lower.read_dir(&place)? } else { Vec::new() } {
                let hidden = match place.join(&name) {
                    Ok(child) if (self.hidden)(&child) => {
                        !matches!(self.lower.node(&child)?, Some(Node::Directory { .. }))
                    }
                    _ => false,
                };
                if !hidden {
                    names.insert(name);
                }
            }
        }
        Ok(names)
    }
}

impl Root for Layered {
    fn node(&self, path: &ImagePath) -> Result<Option<Node>, RootError> {
        match self.upper.node(path)? {
            Some(node) => Ok(Some(node)),
            None => Ok(self.below(path)?.map(|(_, node)| node)),
        }
    }

    fn read_dir(&self, path: &ImagePath) -> Result<Vec<Vec<u8>>, RootError> {
        let is_directory = |node: Option<Node>| path.is_root() || matches!(node, Some(Node::Directory { .. }));
        let upper = self.upper.node(path)?;
        if upper.is_some() && !is_directory(upper.clone()) {
            return Err(RootError::NotADirectory(path.clone()));
        }
        let lower = is_directory(self.below(path)?.map(|(_, node)| node));
        let mut names = if lower { self.shown(path)? } else { BTreeSet::new() };
        if is_directory(upper) || !lower {
            // Its own error, where neither has the directory.
            names.extend(self.upper.read_dir(path)?);
        }
        Ok(names.into_iter().collect())
    }

    fn open(&self, path: &ImagePath) -> Result<OpenFile, RootError> {
        let (root, place) = self.owner(path);
        root.open(&place)
    }

    fn stream(&self, path: &ImagePath, offset: u64) -> Result<Box<dyn Read + Send>, RootError> {
        let (root, place) = self.owner(path);
        root.stream(&place, offset)
    }

    fn capabilities(&self, path: &ImagePath) -> Option<Vec<u8>> {
        let (root, place) = self.owner(path);
        root.capabilities(&place)
    }

    fn identity(&self, path: &ImagePath) -> Option<Identity> {
        let (root, place) = self.owner(path);
        root.identity(&place)
    }
}

#[cfg(test)]
mod tests {
    use super::super::MemoryRoot;
    use super::*;

    fn path(text: &str) -> ImagePath {
        ImagePath::parse(text).unwrap()
    }

    #[test]
    fn directories_are_joined_and_all_else_is_hidden() {
        let (mut upper, mut lower) = (MemoryRoot::new(), MemoryRoot::new());
        upper.add_file(&path("usr/lib/a"), &b"upper"[..], 0o644);
        upper.add_symlink(&path("lib"), b"usr/lib");
        upper.add_file(&path("opt"), &b""[..], 0o644);
        lower.add_file(&path("usr/lib/a"), &b"lower"[..], 0o644);
        lower.add_file(&path("usr/lib/b"), &b"lower"[..], 0o644);
        lower.add_file(&path("usr/lib/libc.so.6"), &b"lower"[..], 0o644);
        lower.add_file(&path("lib/c"), &b"c"[..], 0o644);
        lower.add_file(&path("lib/deep/f"), &b"f"[..], 0o644);
        lower.add_file(&path("opt/d"), &b""[..], 0o644);
        lower.add_file(&path("srv/e"), &b""[..], 0o644);
        let both =
            Layered::new(Arc::new(upper), Arc::new(lower)).unwrap().hiding(|path| path.file_name() == b"libc.so.6");
        let read = |at: &str| {
            let found = resolve(&both, at.as_bytes()).unwrap()?;
            Some(super::super::read_whole(&both, &found.path, 100).unwrap())
        };
        assert_eq!(read("lib/a"), Some(b"upper".to_vec()));
        assert_eq!(read("lib/b"), Some(b"lower".to_vec()));
        assert_eq!(read("lib/libc.so.6"), None);
        assert_eq!(read("opt/d"), None);
        assert_eq!(both.node(&path("lib/c")).unwrap(), None);
        let names = |at: &str| both.read_dir(&path(at)).unwrap().join(&b' ');
        // The lower root has no merged /usr.
        assert_eq!(names("usr/lib"), b"a b c deep");
        assert_eq!((read("lib/c"), read("usr/lib/deep/f")), (Some(b"c".to_vec()), Some(b"f".to_vec())));
        assert_eq!(names("srv"), b"e");
        assert!(both.read_dir(&path("opt")).is_err());
        assert_eq!(both.read_dir(&ImagePath::root()).unwrap().join(&b' '), b"lib opt srv usr");
    }
}
