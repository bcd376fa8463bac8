//! Symbol versions (LSB, "Symbol Versioning"): what an object demands of which library, and what it defines.

use serde::Serialize;

use super::Name;
use super::header::Layout;
use super::segments::Segments;
use crate::limits::{MAX_ELF_NAMES_TOTAL_BYTES, MAX_VERSION_STEPS};

/// `VER_FLG_BASE`: the definition that names the file itself, not a version.
const BASE: u16 = 1;
/// `VER_FLG_WEAK`: no symbol is bound to it; its absence is no error.
const WEAK: u16 = 2;

/// One version demanded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
pub struct NeededVersion {
    /// Name of the library as recorded at link time.
    pub library: Name,
    /// The version.
    pub version: Name,
    /// Whether its absence is no error.
    pub weak: bool,
    /// Its number in `DT_VERSYM`, by which symbols are bound to it.
    #[serde(skip)]
    pub index: u16,
}

/// Versions demanded and defined.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, schemars::JsonSchema)]
pub struct Versions {
    /// `DT_VERNEED`, in order.
    pub needed: Vec<NeededVersion>,
    /// `DT_VERDEF` without the base definition; `None` when the object defines no versions at all.
    pub defined: Option<Vec<Name>>,
}

/// Addresses and counts from the dynamic section.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub needs: Option<u64>,
    pub need_count: u64,
    pub definitions: Option<u64>,
    pub definition_count: u64,
}

/// Reads both tables; what does not parse ends its table, as it ends nothing for the kernel.
pub(super) fn parse(segments: &Segments<'_>, layout: Layout, tables: &Tables, strings: (u64, u64)) -> Versions {
    let mut reader = Reader { segments, layout, strings, steps: MAX_VERSION_STEPS, bytes: MAX_ELF_NAMES_TOTAL_BYTES };
    let mut out = Versions::default();
    if let Some(at) = tables.needs {
        let _ = reader.needs(at, tables.need_count, &mut out.needed);
    }
    if let Some(at) = tables.definitions {
        let mut defined = Vec::new();
        let _ = reader.definitions(at, tables.definition_count, &mut defined);
        out.defined = Some(defined);
    }
    out
}

/// Walks linked records; every step counts, so that cycles and overlaps end.
struct Reader<'a> {
    segments: &'a Segments<'a>,
    layout: Layout,
    strings: (u64, u64),
    steps: usize,
    bytes: usize,
}

impl Reader<'_> {
    fn step(&mut self) -> Option<()> {
        self.steps = self.steps.checked_sub(1)?;
        Some(())
    }

    fn name(&mut self, offset: u32) -> Option<Name> {
        let offset = u64::from(offset);
        let limit = self.strings.1.checked_sub(offset).filter(|left| *left > 0)?;
        let name = self.segments.read_name(self.strings.0.checked_add(offset)?, limit)?;
        self.bytes = self.bytes.checked_sub(name.len())?;
        Some(Name::new(name))
    }

    /// `Verneed { u16 version, count; u32 file, aux, next }`, `Vernaux { u32 hash; u16 flags, other; u32 name, next }`.
    fn needs(&mut self, start: u64, count: u64, out: &mut Vec<NeededVersion>) -> Option<()> {
        let mut at = start;
        for _ in 0..count {
            self.step()?;
            let raw = self.segments.read(at, 16)?;
            let (aux_count, next) = (self.layout.u16(&raw, 2)?, self.layout.u32(&raw, 12)?);
            let library = self.name(self.layout.u32(&raw, 4)?)?;
            let mut aux = at.checked_add(u64::from(self.layout.u32(&raw, 8)?))?;
            for _ in 0..aux_count {
                self.step()?;
                let raw = self.segments.read(aux, 16)?;
                let weak = self.layout.u16(&raw, 4)? & WEAK != 0;
                let index = self.layout.u16(&raw, 6)?;
                let version = self.name(self.layout.u32(&raw, 8)?)?;
                out.push(NeededVersion { library: library.clone(), version, weak, index });
                match self.layout.u32(&raw, 12)? {
                    0 => break,
                    next => aux = aux.checked_add(u64::from(next))?,
                }
            }
            match next {
                0 => break,
                next => at = at.checked_add(u64::from(next))?,
            }
        }
        Some(())
    }

    /// `Verdef { u16 version, flags, index, count; u32 hash, aux, next }`, `Verdaux { u32 name, next }`.
    fn definitions(&mut self, start: u64, count: u64, out: &mut Vec<Name>) -> Option<()> {
        let mut at = start;
        for _ in 0..count {
            self.step()?;
            let raw = self.segments.read(at, 20)?;
            let (flags, next) = (self.layout.u16(&raw, 2)?, self.layout.u32(&raw, 16)?);
            if flags & BASE == 0 {
                let aux = at.checked_add(u64::from(self.layout.u32(&raw, 12)?))?;
                let raw = self.segments.read(aux, 8)?;
                let name = self.name(self.layout.u32(&raw, 0)?)?;
                out.push(name);
            }
            match next {
                0 => break,
                next => at = at.checked_add(u64::from(next))?,
            }
        }
        Some(())
    }
}
