//! The ELF header, and reading numbers in the byte order and width it declares.

use goblin::elf::header as h;

use super::bytes::up_to;
use super::{Bytes, Class, Endian, Error, Machine};

/// Byte order and width of a file's numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub class: Class,
    pub endian: Endian,
}

impl Layout {
    fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
        bytes.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    pub fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let raw = Self::array(bytes, at)?;
        Some(if self.endian == Endian::Little { u16::from_le_bytes(raw) } else { u16::from_be_bytes(raw) })
    }

    pub fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let raw = Self::array(bytes, at)?;
        Some(if self.endian == Endian::Little { u32::from_le_bytes(raw) } else { u32::from_be_bytes(raw) })
    }

    pub fn u64(self, bytes: &[u8], at: usize) -> Option<u64> {
        let raw = Self::array(bytes, at)?;
        Some(if self.endian == Endian::Little { u64::from_le_bytes(raw) } else { u64::from_be_bytes(raw) })
    }

    /// A number as wide as an address.
    pub fn word(self, bytes: &[u8], at: usize) -> Option<u64> {
        match self.class {
            Class::Elf32 => self.u32(bytes, at).map(u64::from),
            Class::Elf64 => self.u64(bytes, at),
        }
    }

    /// Width of an address in bytes.
    pub const fn width(self) -> usize {
        match self.class {
            Class::Elf32 => 4,
            Class::Elf64 => 8,
        }
    }
}

/// The fields of the ELF header that are used.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub layout: Layout,
    pub os_abi: u8,
    pub object_type: u16,
    pub machine: Machine,
    pub entry: u64,
    pub phoff: u64,
    pub shoff: u64,
    pub flags: u32,
    pub phentsize: u16,
    pub phnum: u16,
    pub shentsize: u16,
    pub shnum: u16,
    pub shstrndx: u16,
}

pub(super) fn parse(bytes: &dyn Bytes) -> Result<Header, Error> {
    let start = up_to(bytes, 0, 64);
    if start.is_empty() && !bytes.is_empty() {
        return Err(Error::Unreadable { offset: 0, len: 64 });
    }
    if start.get(..4) != Some(h::ELFMAG) {
        return Err(Error::NotElf);
    }
    let truncated = |needed| Error::Truncated { part: "the ELF header", needed, size: bytes.len() };
    let (Some(&class), Some(&data), Some(&os_abi)) = (start.get(4), start.get(5), start.get(7)) else {
        return Err(truncated(16));
    };
    let class = match class {
        h::ELFCLASS32 => Class::Elf32,
        h::ELFCLASS64 => Class::Elf64,
        other => return Err(Error::ClassByte(other)),
    };
    let endian = match data {
        h::ELFDATA2LSB => Endian::Little,
        h::ELFDATA2MSB => Endian::Big,
        other => return Err(Error::EndianByte(other)),
    };
    let layout = Layout { class, endian };
    let header =
        fields(&start, layout, os_abi).ok_or_else(|| truncated(if class == Class::Elf32 { 52 } else { 64 }))?;
    plausible(&header)?;
    Ok(header)
}

/// Field offsets follow from the width: three words stand between `e_version` and `e_flags`.
fn fields(raw: &[u8], layout: Layout, os_abi: u8) -> Option<Header> {
    let width = layout.width();
    let tail = 24 + 3 * width;
    Some(Header {
        layout,
        os_abi,
        object_type: layout.u16(raw, 16)?,
        machine: Machine::from_code(layout.u16(raw, 18)?),
        entry: layout.word(raw, 24)?,
        phoff: layout.word(raw, 24 + width)?,
        shoff: layout.word(raw, 24 + 2 * width)?,
        flags: layout.u32(raw, tail)?,
        phentsize: layout.u16(raw, tail + 6)?,
        phnum: layout.u16(raw, tail + 8)?,
        shentsize: layout.u16(raw, tail + 10)?,
        shnum: layout.u16(raw, tail + 12)?,
        shstrndx: layout.u16(raw, tail + 14)?,
    })
}

/// Refuses headers whose identification contradicts the machine.
fn plausible(header: &Header) -> Result<(), Error> {
    let Layout { class, endian } = header.layout;
    let machine = header.machine;
    if !machine.is_known() {
        let swapped = Machine::from_code(machine.code().swap_bytes());
        // A real number below 256 in the wrong order has a low byte of 0, and so have the swapped types 1 to 4.
        if swapped.is_known() && (1..=4).contains(&header.object_type.swap_bytes()) {
            return Err(Error::SwappedFields { declared: endian, machine: swapped });
        }
    }
    if machine.endian().is_some_and(|only| only != endian) {
        return Err(Error::WrongEndian { declared: endian, machine });
    }
    if machine.class().is_some_and(|only| only != class) {
        return Err(Error::WrongClass { class, machine });
    }
    Ok(())
}
