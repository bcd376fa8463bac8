//! Class, byte order and machine.

use std::fmt;

use goblin::elf::header as h;
use serde::{Serialize, Serializer};

/// Width of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// 32-bit.
    Elf32,
    /// 64-bit.
    Elf64,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Elf32 => "32-bit",
            Self::Elf64 => "64-bit",
        })
    }
}

/// Byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Endian {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

impl Endian {
    /// The opposite order.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Little => Self::Big,
            Self::Big => Self::Little,
        }
    }
}

impl fmt::Display for Endian {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Little => "little-endian",
            Self::Big => "big-endian",
        })
    }
}

/// `e_machine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Machine {
    /// x86-64.
    X86_64,
    /// 32-bit x86.
    X86,
    /// 64-bit ARM.
    Aarch64,
    /// 32-bit ARM.
    Arm,
    /// RISC-V.
    RiscV,
    /// 64-bit PowerPC.
    Ppc64,
    /// 32-bit PowerPC.
    Ppc,
    /// IBM Z (s390 and s390x).
    S390,
    /// LoongArch.
    LoongArch,
    /// MIPS.
    Mips,
    /// 64-bit SPARC.
    SparcV9,
    /// eBPF, which no CPU runs.
    Bpf,
    /// Any other number.
    Other(u16),
}

/// Machine, number, name, byte order on Linux (`None`: both), class on Linux (`None`: both).
type Row = (Machine, u16, &'static str, Option<Endian>, Option<Class>);

const TABLE: &[Row] = &[
    (Machine::X86_64, h::EM_X86_64, "x86-64", Some(Endian::Little), None),
    (Machine::X86, h::EM_386, "x86", Some(Endian::Little), Some(Class::Elf32)),
    (Machine::Aarch64, h::EM_AARCH64, "aarch64", None, None),
    (Machine::Arm, h::EM_ARM, "arm", None, Some(Class::Elf32)),
    (Machine::RiscV, h::EM_RISCV, "riscv", Some(Endian::Little), None),
    (Machine::Ppc64, h::EM_PPC64, "ppc64", None, Some(Class::Elf64)),
    (Machine::Ppc, h::EM_PPC, "ppc", None, Some(Class::Elf32)),
    (Machine::S390, h::EM_S390, "s390", Some(Endian::Big), None),
    (Machine::LoongArch, h::EM_LOONGARCH, "loongarch", Some(Endian::Little), None),
    (Machine::Mips, h::EM_MIPS, "mips", None, None),
    (Machine::SparcV9, h::EM_SPARCV9, "sparcv9", Some(Endian::Big), Some(Class::Elf64)),
    (Machine::Bpf, h::EM_BPF, "bpf", None, Some(Class::Elf64)),
];

impl Machine {
    /// From `e_machine`.
    #[must_use]
    pub fn from_code(code: u16) -> Self {
        TABLE.iter().find(|row| row.1 == code).map_or(Self::Other(code), |row| row.0)
    }

    fn row(self) -> Option<&'static Row> {
        TABLE.iter().find(|row| row.0 == self)
    }

    /// The number in `e_machine`.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Other(code) => code,
            known => known.row().map_or(0, |row| row.1),
        }
    }

    /// The only byte order that Linux programs of this machine have, if there is only one.
    #[must_use]
    pub fn endian(self) -> Option<Endian> {
        self.row().and_then(|row| row.3)
    }

    /// The only class that Linux programs of this machine have, if there is only one.
    #[must_use]
    pub fn class(self) -> Option<Class> {
        self.row().and_then(|row| row.4)
    }

    /// Whether the number is one of the known.
    #[must_use]
    pub fn is_known(self) -> bool {
        self.row().is_some()
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.row() {
            Some(row) => f.write_str(row.2),
            None => write!(f, "machine-{}", self.code()),
        }
    }
}

impl Serialize for Machine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
