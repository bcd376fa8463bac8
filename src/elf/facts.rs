//! What one ELF file says about itself.

use std::fmt;

use goblin::elf::header as h;
use goblin::elf::program_header::{PT_INTERP, PT_LOAD};
use serde::{Serialize, Serializer};

use super::arm::{self, ArmFacts};
use super::code::{self, Origin};
use super::sections::{SectionTable, Sections};
use super::segments::Segments;
use super::{
    Bytes, Class, CodeHardening, Dynamic, Endian, Error, Hardening, Machine, Name, Notes, Toolchain, dynamic,
    hardening, header, notes, toolchain,
};
use crate::limits::MAX_ELF_NAME_BYTES;

/// Facts of one ELF file, parsed from its bytes alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct ElfFacts {
    /// Width of addresses.
    pub class: Class,
    /// Byte order.
    pub endian: Endian,
    /// `e_type`.
    pub object_type: ObjectType,
    /// `e_machine`.
    pub machine: Machine,
    /// `e_flags`.
    pub flags: u32,
    /// `EI_OSABI`.
    pub os_abi: OsAbi,
    /// Address of the first instruction (on 64-bit big-endian PowerPC: of its descriptor).
    pub entry: u64,
    /// Whether the entry lies in what is loaded from the file.
    pub entry_is_loaded: bool,
    /// Number of loaded segments.
    pub loaded_segments: usize,
    /// How it is linked.
    pub linkage: Linkage,
    /// `PT_INTERP`.
    pub interpreter: Option<Name>,
    /// The dynamic section.
    pub dynamic: Option<Dynamic>,
    /// The notes.
    pub notes: Notes,
    /// What 32-bit ARM code needs.
    pub arm: Option<ArmFacts>,
    /// Protections of linker and kernel.
    pub hardening: Hardening,
    /// Protections of the compiler.
    pub code: CodeHardening,
    /// Whether section headers can be used.
    pub sections: SectionTable,
    /// Whether there is no symbol table (or none that can be found).
    pub stripped: bool,
    /// Whether there is debug data in the file.
    pub debug_data: bool,
    /// Marks of compiler and C library.
    pub toolchain: Toolchain,
}

impl ElfFacts {
    /// Parses the headers, the loaded dynamic section and the notes; section headers only as far as they are usable.
    ///
    /// # Errors
    /// An [`Error`] when the file is no ELF file, or one that Linux could not load.
    pub fn parse(bytes: &dyn Bytes) -> Result<Self, Error> {
        let header = header::parse(bytes)?;
        let segments = Segments::parse(bytes, &header)?;
        let sections = Sections::parse(bytes, &header);
        let interpreter = read_interpreter(&segments);
        let dynamic = dynamic::parse(&segments, header.layout)?;
        let notes = notes::parse(&segments, &sections, header.layout, header.machine);
        let object_type = ObjectType::from_code(header.object_type);
        let linkage = linkage(object_type, interpreter.is_some(), dynamic.as_ref(), header.entry);
        let toolchain =
            toolchain::parse(&segments, &sections, &notes, header.layout, interpreter.as_ref().map(Name::as_bytes));
        let origin = Origin { linkage, language: toolchain.language, libc: toolchain.libc, dynamic: dynamic.as_ref() };
        Ok(Self {
            class: header.layout.class,
            endian: header.layout.endian,
            object_type,
            machine: header.machine,
            flags: header.flags,
            os_abi: OsAbi(header.os_abi),
            entry: header.entry,
            entry_is_loaded: segments.locate(header.entry).is_some(),
            loaded_segments: segments.of_type(PT_LOAD).count(),
            linkage,
            hardening: hardening::parse(&segments, dynamic.as_ref(), linkage, Some(&sections)),
            code: code::parse(&segments, &header, &origin),
            interpreter,
            dynamic,
            notes,
            arm: (header.machine == Machine::Arm).then(|| arm::parse(&header, &sections)),
            sections: sections.table,
            stripped: !sections.has_symbols(),
            debug_data: sections.has_debug_data(),
            toolchain,
        })
    }

    /// `DT_NEEDED` names, in order.
    #[must_use]
    pub fn needed(&self) -> &[Name] {
        self.dynamic.as_ref().map_or(&[], |dynamic| &dynamic.needed)
    }
}

/// The kernel takes the name from the file offset, not through the loaded segments.
pub(super) fn read_interpreter(segments: &Segments<'_>) -> Option<Name> {
    let segment = segments.of_type(PT_INTERP).next()?;
    let len = usize::try_from(segment.p_filesz).unwrap_or(usize::MAX).min(MAX_ELF_NAME_BYTES);
    let raw = segments.bytes().read_at(segment.p_offset, len)?;
    Some(Name::new(raw.split(|&b| b == 0).next().unwrap_or_default()))
}

/// Executables without interpreter are static. A shared object is told from a static-pie by `DF_1_PIE`; where old
/// linkers did not set it, by a library's name, its needs, or an entry that is missing.
pub(super) fn linkage(kind: ObjectType, interpreter: bool, dynamic: Option<&Dynamic>, entry: u64) -> Linkage {
    let needs = dynamic.is_some_and(|d| !d.needed.is_empty());
    let pie = dynamic.is_some_and(Dynamic::is_pie);
    match kind {
        ObjectType::Executable if interpreter || needs => Linkage::Dynamic,
        ObjectType::Executable => Linkage::Static,
        ObjectType::Shared if interpreter => Linkage::DynamicPie,
        ObjectType::Shared if pie && needs => Linkage::DynamicPie,
        ObjectType::Shared if pie => Linkage::StaticPie,
        ObjectType::Shared if needs || entry == 0 || dynamic.is_some_and(|d| d.soname.is_some()) => {
            Linkage::SharedLibrary
        }
        ObjectType::Shared => Linkage::StaticPie,
        ObjectType::Relocatable | ObjectType::Core | ObjectType::Other(_) => Linkage::None,
    }
}

/// How a file is linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Linkage {
    /// Runs by itself at a fixed address.
    Static,
    /// Runs by itself at any address.
    StaticPie,
    /// Needs an interpreter; fixed address.
    Dynamic,
    /// Needs an interpreter; any address.
    DynamicPie,
    /// Not a program.
    SharedLibrary,
    /// Not linked, or not code at all.
    None,
}

impl fmt::Display for Linkage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Static => "static",
            Self::StaticPie => "static-pie",
            Self::Dynamic => "dynamic",
            Self::DynamicPie => "dynamic-pie",
            Self::SharedLibrary => "shared-library",
            Self::None => "none",
        })
    }
}

/// `e_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectType {
    /// Not linked yet (`.o`, kernel modules).
    Relocatable,
    /// At a fixed address.
    Executable,
    /// At any address: libraries and position-independent executables.
    Shared,
    /// Memory of a process that has died.
    Core,
    /// Any other number.
    Other(u16),
}

impl ObjectType {
    pub(super) const fn from_code(code: u16) -> Self {
        match code {
            h::ET_REL => Self::Relocatable,
            h::ET_EXEC => Self::Executable,
            h::ET_DYN => Self::Shared,
            h::ET_CORE => Self::Core,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for ObjectType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relocatable => f.write_str("relocatable"),
            Self::Executable => f.write_str("executable"),
            Self::Shared => f.write_str("shared"),
            Self::Core => f.write_str("core"),
            Self::Other(code) => write!(f, "type-{code}"),
        }
    }
}

impl Serialize for ObjectType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// `EI_OSABI`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OsAbi(pub u8);

impl OsAbi {
    /// The system whose programs carry this number, when it is one of another system than Linux.
    #[must_use]
    pub const fn other_system(self) -> Option<&'static str> {
        Some(match self.0 {
            1 => "HP-UX",
            2 => "NetBSD",
            4 => "GNU Hurd",
            6 => "Solaris",
            7 => "AIX",
            8 => "IRIX",
            9 => "FreeBSD",
            10 => "Tru64",
            11 => "Novell Modesto",
            12 => "OpenBSD",
            13 => "OpenVMS",
            14 => "NonStop",
            15 => "AROS",
            16 => "Fenix OS",
            17 => "CloudABI",
            18 => "OpenVOS",
            51 => "CUDA",
            255 => "no system at all (standalone)",
            _ => return None,
        })
    }
}

impl fmt::Display for OsAbi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.other_system()) {
            (0, _) => f.write_str("sysv"),
            (3, _) => f.write_str("gnu"),
            (_, Some(name)) => f.write_str(&name.to_ascii_lowercase()),
            (code, None) => write!(f, "abi-{code}"),
        }
    }
}

impl Serialize for OsAbi {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
