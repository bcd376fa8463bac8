//! Facts of ELF files that the tests make, and what becomes of broken ones.

#[path = "support/elf.rs"]
mod maker;

use coracle::elf::{Class, ElfFacts, Endian, Linkage};
use maker::{ElfMaker, Machine};

fn facts(bytes: &[u8]) -> ElfFacts {
    ElfFacts::parse(&bytes).unwrap()
}

#[test]
fn every_machine() {
    for machine in Machine::ALL {
        let (code, wide, little, flags, _) = machine.row();
        let got = facts(&ElfMaker::new(machine).build());
        assert_eq!(got.machine.code(), code);
        assert_eq!(got.class, if wide { Class::Elf64 } else { Class::Elf32 });
        assert_eq!(got.endian, if little { Endian::Little } else { Endian::Big });
        assert_eq!(got.flags, flags);
        assert_eq!(got.linkage, Linkage::Static);
        assert!(got.entry_is_loaded);
    }
}
