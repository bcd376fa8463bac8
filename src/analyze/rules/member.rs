//! What rules are evaluated on.

use crate::analyze::traits::Traits;
use crate::elf::{Libc, Linkage};

/// Facts of the whole program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// Its C library: the loader's, or the one linked in.
    pub libc: Option<Libc>,
    /// How the program is linked.
    pub linkage: Linkage,
}

impl Context {
    /// Whether the program runs without a loader.
    #[must_use]
    pub const fn is_static(&self) -> bool {
        matches!(self.linkage, Linkage::Static | Linkage::StaticPie)
    }
}

/// One object of the program.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// Its path in the root or image, as the loader found it.
    pub path: &'a [u8],
    /// `DT_SONAME`.
    pub soname: Option<&'a [u8]>,
    /// What its bytes tell, read with [`super::RuleSet::needles`].
    pub traits: &'a Traits,
    /// Whether it is the program itself.
    pub is_program: bool,
    /// Whether it is the C library, its loader or one of their companions.
    pub is_libc: bool,
}

impl<'a> Member<'a> {
    /// What a library is known by: its SONAME, or its file name where it has none. `None` for a program without SONAME:
    /// no rule can know a program by its name.
    #[must_use]
    pub fn name(&self) -> Option<&'a [u8]> {
        let file = || self.path.rsplit(|b| *b == b'/').next().unwrap_or_default();
        self.soname.or_else(|| (!self.is_program).then(file))
    }

    /// The directory it lies in, without a slash at the end; empty in `/` itself.
    #[must_use]
    pub fn directory(&self) -> &'a [u8] {
        self.path.iter().rposition(|b| *b == b'/').map_or(&[], |at| &self.path[..at])
    }
}
