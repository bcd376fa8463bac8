//! Protections and demands of one object of a process: what the headers, the dynamic section and the note segments say.

use serde::Serialize;

use super::facts::{linkage, read_interpreter};
use super::segments::Segments;
use super::{AbiTag, Bytes, Error, Hardening, Machine, ObjectType, Properties, dynamic, hardening, header, notes};

/// What one object of a process contributes to, and demands of, the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Protection {
    /// `e_machine`.
    pub machine: Machine,
    /// Protections of its segments and relocations.
    pub hardening: Hardening,
    /// Processor properties that it declares.
    pub properties: Properties,
    /// `NT_GNU_ABI_TAG`.
    pub abi_tag: Option<AbiTag>,
}

impl Protection {
    /// Parses headers, dynamic section and note segments; section headers are not looked at.
    ///
    /// # Errors
    /// As [`super::ElfFacts::parse`].
    pub fn parse(bytes: &dyn Bytes) -> Result<Self, Error> {
        let header = header::parse(bytes)?;
        let segments = Segments::parse(bytes, &header)?;
        let dynamic = dynamic::parse(&segments, header.layout)?;
        let kind = ObjectType::from_code(header.object_type);
        let linkage = linkage(kind, read_interpreter(&segments).is_some(), dynamic.as_ref(), header.entry);
        let notes = notes::from_segments(&segments, header.layout, header.machine);
        Ok(Self {
            machine: header.machine,
            hardening: hardening::parse(&segments, dynamic.as_ref(), linkage, None),
            properties: notes.properties,
            abi_tag: notes.abi_tag,
        })
    }
}
