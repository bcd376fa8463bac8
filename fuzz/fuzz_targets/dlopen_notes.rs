//! The reader of declared run-time loads, on the content of a note.
#![cfg_attr(fuzzing, no_main)]

use coracle::elf::dlopen_notes;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));

/// No input makes the reader panic, and every entry names something.
pub fn run(data: &[u8]) {
    let Ok(size) = u32::try_from(data.len()) else { return };
    let note = [&4u32.to_le_bytes()[..], &size.to_le_bytes(), &0x407c_0c0au32.to_le_bytes(), b"FDO\0", data].concat();
    for entry in dlopen_notes(&with_note(&note)) {
        assert!(!entry.sonames.is_empty() && entry.sonames.iter().all(|name| !name.as_bytes().is_empty()));
    }
}

/// A little-endian 64-bit file with one note segment behind its headers.
fn with_note(note: &[u8]) -> Vec<u8> {
    let mut out = b"\x7fELF\x02\x01\x01".to_vec();
    out.resize(64, 0);
    let mut put = |at: usize, value: &[u8]| out[at..at + value.len()].copy_from_slice(value);
    put(16, &[3, 0, 62, 0, 1]);
    // e_phoff, e_phentsize, e_phnum.
    put(32, &[64]);
    put(54, &[56, 0, 1]);
    let offset = 120u64.to_le_bytes();
    let size = (note.len() as u64).to_le_bytes();
    out.extend(
        [&[4u8, 0, 0, 0, 4, 0, 0, 0][..], &offset, &offset, &offset, &size, &size, &4u64.to_le_bytes(), note].concat(),
    );
    out
}
