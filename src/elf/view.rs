//! The part of a file that its loader looks at, without the marks and notes that only people want to know.

use super::dynamic;
use super::facts::read_interpreter;
use super::segments::Segments;
use super::{Bytes, Class, Dynamic, Endian, Error, Machine, Name, ObjectType, header};

/// What the loader sees of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoaderView {
    /// Width of addresses.
    pub class: Class,
    /// Byte order.
    pub endian: Endian,
    /// `e_machine`.
    pub machine: Machine,
    /// `e_flags`.
    pub flags: u32,
    /// `e_type`.
    pub object_type: ObjectType,
    /// `PT_INTERP`.
    pub interpreter: Option<Name>,
    /// The dynamic section.
    pub dynamic: Option<Dynamic>,
}

impl LoaderView {
    /// Parses header, program headers and dynamic section.
    ///
    /// # Errors
    /// As [`super::ElfFacts::parse`].
    pub fn parse(bytes: &dyn Bytes) -> Result<Self, Error> {
        let header = header::parse(bytes)?;
        let segments = Segments::parse(bytes, &header)?;
        Ok(Self {
            class: header.layout.class,
            endian: header.layout.endian,
            machine: header.machine,
            flags: header.flags,
            object_type: ObjectType::from_code(header.object_type),
            interpreter: read_interpreter(&segments),
            dynamic: dynamic::parse(&segments, header.layout)?,
        })
    }
}
