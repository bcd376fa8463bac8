//! Protections of a whole process: what holds only when every object of a closure has it.

use serde::Serialize;

use super::loader::{Closure, Windows};
use crate::diag::escape;
use crate::elf::{Bytes, CodeHardening, Machine, Protection, Relro};
use crate::rootfs::{Root, RootError};

/// A protection that one object is enough to break.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Effective {
    /// Whether all objects have it.
    pub holds: bool,
    /// Path of the first object, in the loader's order, that breaks it.
    pub broken_by: Option<String>,
    /// How many objects break it.
    pub broken: usize,
}

/// How many objects of a closure have which kind of read-only relocations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct RelroCounts {
    /// All of the relocated data.
    pub full: usize,
    /// All but the table of functions that are bound late.
    pub partial: usize,
    /// Nothing.
    pub none: usize,
    /// Path of the first object that is not full.
    pub first_not_full: Option<String>,
}

/// The highest demand of any object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Demand<T> {
    /// What is demanded.
    pub value: T,
    /// Path of the first object that demands it.
    pub by: String,
}

/// Protections and demands of the process that a closure makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct ProcessHardening {
    /// Objects that were read; one that is gone meanwhile is left out.
    pub objects: usize,
    /// x86 indirect branch tracking (CET); `None` on other machines.
    pub ibt: Option<Effective>,
    /// x86 shadow stack (CET); `None` on other machines.
    pub shadow_stack: Option<Effective>,
    /// AArch64 branch target identification; `None` on other machines.
    pub bti: Option<Effective>,
    /// AArch64 pointer authentication; `None` on other machines.
    pub pac: Option<Effective>,
    /// A stack without code: one object that asks for an executable stack gets it for all. Objects that say nothing count as
    /// asking for it on x86 and 32-bit ARM only where the loader does the same, which is not told here: they count as fine.
    pub no_execute_stack: Effective,
    /// Code that is not written to while it is loaded.
    pub no_text_relocations: Effective,
    /// No segment that is writable and executable at once.
    pub no_writable_code: Effective,
    /// Read-only relocations.
    pub relro: RelroCounts,
    /// x86-64 level, where one above the baseline is demanded.
    pub x86_level: Option<Demand<u8>>,
    /// Oldest Linux kernel (`NT_GNU_ABI_TAG`), where one is named.
    pub kernel: Option<Demand<[u32; 3]>>,
}

/// What each object of a closure says of itself; `None` for one that is gone or changed since.
///
/// # Errors
/// [`RootError`] when the root cannot be read.
pub fn protections(root: &dyn Root, closure: &Closure) -> Result<Vec<Option<Protection>>, RootError> {
    each(root, closure, |bytes| Protection::parse(bytes).ok())
}

fn each<T>(
    root: &dyn Root,
    closure: &Closure,
    parse: impl Fn(&dyn Bytes) -> Option<T>,
) -> Result<Vec<Option<T>>, RootError> {
    let read = |loaded: &super::loader::Loaded| match root.open(&loaded.resolved.path) {
        Ok(file) => Ok(parse(&Windows::new(&*file))),
        Err(RootError::NotRegular(_)) => Ok(None),
        Err(error) if error.hides() => Ok(None),
        Err(error) => Err(error),
    };
    closure.loaded.iter().map(read).collect()
}

/// Protections of one object of a closure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct ObjectHardening {
    /// Those of linker and processor.
    #[serde(flatten)]
    pub protection: Protection,
    /// Those of the compiler.
    pub code: CodeHardening,
}

/// Protections of each object of a closure, those of the compiler too; `None` for one that is gone or changed since.
///
/// # Errors
/// As [`protections`].
pub fn objects(root: &dyn Root, closure: &Closure) -> Result<Vec<Option<ObjectHardening>>, RootError> {
    each(root, closure, |bytes| {
        let protection = Protection::parse(bytes).ok()?;
        Some(ObjectHardening { protection, code: CodeHardening::parse(bytes).ok()? })
    })
}

/// The protections of the process as a whole.
///
/// # Errors
/// As [`protections`].
pub fn hardening_of(root: &dyn Root, closure: &Closure) -> Result<ProcessHardening, RootError> {
    Ok(together(closure, &protections(root, closure)?))
}

/// The protections of the process as a whole, of those of its objects, which are in the closure's order.
#[must_use]
pub fn together(closure: &Closure, all: &[Option<Protection>]) -> ProcessHardening {
    let read: Vec<(String, Protection)> = closure
        .loaded
        .iter()
        .zip(all)
        .filter_map(|(loaded, protection)| Some((escape(&loaded.path), (*protection)?)))
        .collect();
    let effective = |has: fn(&Protection) -> bool| {
        let mut breaking = read.iter().filter(|(_, protection)| !has(protection));
        let broken_by = breaking.next().map(|(path, _)| path.clone());
        Effective { holds: broken_by.is_none(), broken: breaking.count() + usize::from(broken_by.is_some()), broken_by }
    };
    let machine = read.first().map(|(_, protection)| protection.machine);
    let x86 = matches!(machine, Some(Machine::X86 | Machine::X86_64));
    let arm = machine == Some(Machine::Aarch64);
    let count = |relro: Relro| read.iter().filter(|(_, p)| p.hardening.relro == relro).count();
    ProcessHardening {
        objects: read.len(),
        ibt: x86.then(|| effective(|p| p.properties.ibt)),
        shadow_stack: x86.then(|| effective(|p| p.properties.shadow_stack)),
        bti: arm.then(|| effective(|p| p.properties.bti)),
        pac: arm.then(|| effective(|p| p.properties.pac)),
        no_execute_stack: effective(|p| p.hardening.nx != Some(false)),
        no_text_relocations: effective(|p| !p.hardening.text_relocations),
        no_writable_code: effective(|p| p.hardening.writable_executable_segments == 0),
        relro: RelroCounts {
            full: count(Relro::Full),
            partial: count(Relro::Partial),
            none: count(Relro::None),
            first_not_full: read.iter().find(|(_, p)| p.hardening.relro != Relro::Full).map(|(path, _)| path.clone()),
        },
        x86_level: highest(&read, |p| p.properties.x86_isa_needed.filter(|level| *level > 1)),
        kernel: highest(&read, |p| p.abi_tag.filter(|tag| tag.os == 0).map(|tag| tag.kernel)),
    }
}

fn highest<T: Ord + Copy>(
    read: &[(String, Protection)],
    demand: impl Fn(&Protection) -> Option<T>,
) -> Option<Demand<T>> {
    let mut highest: Option<Demand<T>> = None;
    for (path, protection) in read {
        if let Some(value) = demand(protection)
            && highest.as_ref().is_none_or(|known| value > known.value)
        {
            highest = Some(Demand { value, by: path.clone() });
        }
    }
    highest
}
