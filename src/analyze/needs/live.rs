//! A process while its needs are looked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::decide::Decision;
use super::member::is_libc;
use super::{Process, ProgramAt, Reason};
use crate::analyze::loader::{self, Closure};
use crate::analyze::rules::{Context, Member, Want, Wanted};
use crate::analyze::traits::Traits;
use crate::diag::escape;
use crate::elf;
use crate::oci::ImagePath;

/// A program that runs in the image.
pub(super) struct Live {
    pub program: ProgramAt,
    /// Where it lies in the image.
    pub image: Vec<u8>,
    /// Where it lies in the root.
    pub real: ImagePath,
    /// What its loader maps, with what is loaded later behind it; `None` for a static program.
    pub closure: Option<Closure>,
    /// Number of objects that are mapped at the start.
    pub startup: usize,
    /// The image path of each object.
    pub places: Vec<Vec<u8>>,
    /// The traits of each object.
    pub traits: Vec<Arc<Traits>>,
    /// Why objects that are loaded later are there.
    pub reasons: BTreeMap<usize, Reason>,
    /// The words of the rules that brought them.
    pub abouts: BTreeMap<usize, String>,
    /// Wants that are dealt with.
    pub handled: BTreeSet<(Want, Decision)>,
}

impl Live {
    pub fn new(program: &ProgramAt, image: Vec<u8>) -> Self {
        Self {
            program: program.clone(),
            image,
            real: program.path.clone(),
            closure: None,
            startup: 0,
            places: Vec::new(),
            traits: Vec::new(),
            reasons: BTreeMap::new(),
            abouts: BTreeMap::new(),
            handled: BTreeSet::new(),
        }
    }

    /// Number of objects; a static program is its only one.
    pub fn objects(&self) -> usize {
        self.closure.as_ref().map_or(1, |closure| closure.loaded.len())
    }

    pub fn context(&self) -> Context {
        let loader = self.closure.as_ref().map(|closure| match closure.libc {
            loader::Libc::Glibc => elf::Libc::Glibc,
            loader::Libc::Musl => elf::Libc::Musl,
        });
        Context { libc: loader.or(self.program.facts.toolchain.libc), linkage: self.program.facts.linkage }
    }

    pub fn members(&self) -> Vec<Member<'_>> {
        let Some(closure) = &self.closure else {
            let traits = self.traits.first();
            let member = traits.map(|traits| Member {
                path: &self.image,
                soname: None,
                traits,
                is_program: true,
                is_libc: false,
            });
            return member.into_iter().collect();
        };
        let members = closure.loaded.iter().zip(&self.traits).enumerate().map(|(index, (loaded, traits))| Member {
            path: &loaded.path,
            soname: loaded.object.soname.as_deref(),
            traits,
            is_program: index == 0,
            is_libc: is_libc(closure, index),
        });
        members.collect()
    }

    /// The image path of an object.
    pub fn place(&self, index: usize) -> String {
        escape(self.places.get(index).unwrap_or(&self.image))
    }

    /// Why a want is needed.
    pub fn reason(&self, wanted: &Wanted) -> Reason {
        let mut reason = Reason::new(wanted.rule.clone(), self.place(wanted.needed_by), wanted.confidence);
        reason.evidence.clone_from(&wanted.evidence);
        reason
    }

    /// The default directories of its loader.
    pub fn default_directories(&self) -> Vec<Vec<u8>> {
        let usual = || vec![b"/usr/lib".to_vec(), b"/lib".to_vec()];
        self.closure.as_ref().map_or_else(usual, |closure| closure.profile.default_directories.clone())
    }

    pub fn finish(self) -> Process {
        Process { image: self.image, closure: self.closure, startup: self.startup, places: self.places }
    }
}
