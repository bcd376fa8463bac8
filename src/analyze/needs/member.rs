//! Objects of a process as the rules see them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::analyze::loader::Closure;
use crate::analyze::rules::RuleSet;
use crate::analyze::traits::Traits;
use crate::oci::ImagePath;
use crate::rootfs::{Root, RootError};

/// Traits of objects, each read once.
#[derive(Default)]
pub(super) struct KnownTraits(BTreeMap<ImagePath, Arc<Traits>>);

impl KnownTraits {
    /// The traits of the file at `path`, which has no links.
    pub fn of(&mut self, root: &dyn Root, path: &ImagePath) -> Result<Arc<Traits>, RootError> {
        if let Some(known) = self.0.get(path) {
            return Ok(Arc::clone(known));
        }
        let file = root.open(path)?;
        let traits = Arc::new(Traits::read(&*file, RuleSet::builtin().needles()));
        self.0.insert(path.clone(), Arc::clone(&traits));
        Ok(traits)
    }
}

/// The C library, its loader and the libraries that belong to it (glibc's own, and musl, which is one file).
pub(super) fn is_libc(closure: &Closure, index: usize) -> bool {
    const COMPANIONS: [&[u8]; 12] = [
        b"libc",
        b"libm",
        b"libmvec",
        b"libpthread",
        b"libdl",
        b"librt",
        b"libresolv",
        b"libutil",
        b"libnsl",
        b"libanl",
        b"libBrokenLocale",
        b"libthread_db",
    ];
    let loaded = &closure.loaded[index];
    let name = loaded.object.soname.as_deref().unwrap_or_else(|| file_name(&loaded.path));
    let stem = name.split(|b| *b == b'.').next().unwrap_or_default();
    let loader = loaded.found == crate::analyze::loader::Found::Interpreter;
    loader || COMPANIONS.contains(&stem) || stem.starts_with(b"ld-") || name.starts_with(b"libc.musl-")
}

/// The last part of a path.
pub(super) fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|b| *b == b'/').next().unwrap_or_default()
}
