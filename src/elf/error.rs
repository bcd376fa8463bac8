//! Why a file cannot be understood as an ELF file.

use super::{Class, Endian, Machine};

/// What is wrong with the headers of an ELF file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The first four bytes are others.
    #[error("the file does not begin with the ELF magic")]
    NotElf,
    /// Something that must be there lies beyond the end.
    #[error("{part} needs {needed} bytes of a file that has {size}")]
    Truncated {
        /// Which part: `the ELF header`, `the program header table`, `a loaded segment`.
        part: &'static str,
        /// Offset of the first byte behind the part.
        needed: u64,
        /// Size of the file in bytes.
        size: u64,
    },
    /// `EI_CLASS` is neither 1 nor 2.
    #[error("the class byte is {0}, where 1 (32-bit) and 2 (64-bit) exist")]
    ClassByte(u8),
    /// `EI_DATA` is neither 1 nor 2.
    #[error("the byte-order byte is {0}, where 1 (little-endian) and 2 (big-endian) exist")]
    EndianByte(u8),
    /// `EI_DATA` contradicts the machine.
    #[error("the header says {declared}, but {machine} programs on Linux are {}", .declared.other())]
    WrongEndian {
        /// What the header says.
        declared: Endian,
        /// The machine it names.
        machine: Machine,
    },
    /// `EI_DATA` contradicts every other field.
    #[error("the header says {declared}, but its fields make sense only as {} ({machine})", .declared.other())]
    SwappedFields {
        /// What the header says.
        declared: Endian,
        /// The machine in the other byte order.
        machine: Machine,
    },
    /// `EI_CLASS` contradicts the machine.
    #[error("the header says {class}, which {machine} does not have")]
    WrongClass {
        /// What the header says.
        class: Class,
        /// The machine it names.
        machine: Machine,
    },
    /// `e_phentsize` is not the size that the class prescribes.
    #[error("program headers have {actual} bytes where the class prescribes {expected}")]
    ProgramHeaderSize {
        /// What the header says.
        actual: u16,
        /// What it must be.
        expected: u16,
    },
    /// The program header table is larger than Linux loads.
    #[error("{0} program headers are more than Linux loads")]
    TooManyProgramHeaders(u16),
    /// A loaded segment has more bytes in the file than in memory.
    #[error("a loaded segment has {file} bytes in the file but only {memory} in memory")]
    SegmentSize {
        /// `p_filesz`.
        file: u64,
        /// `p_memsz`.
        memory: u64,
    },
    /// A name of the dynamic section lies outside its string table or does not end.
    #[error("the name of a `{tag}` entry lies outside the dynamic string table")]
    DynamicName {
        /// The tag.
        tag: &'static str,
    },
    /// The dynamic section has no end within its bounds.
    #[error("the dynamic section has more than {0} entries or names of unreasonable length")]
    DynamicSize(usize),
    /// More dynamic symbols, or longer names of them, than any linker makes.
    #[error("the dynamic symbols are more than {0}, or have names of unreasonable length")]
    SymbolTableSize(u64),
    /// Bytes inside the file cannot be read.
    #[error("{len} bytes at offset {offset} cannot be read")]
    Unreadable {
        /// Offset in bytes.
        offset: u64,
        /// Length in bytes.
        len: usize,
    },
}
