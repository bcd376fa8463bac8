//! The reader of dynamic symbols.
#![cfg_attr(fuzzing, no_main)]

use coracle::elf::imports;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));

/// No input makes the reader panic, and every name stands in the file, in order and once.
pub fn run(data: &[u8]) {
    let Ok(names) = imports(&data) else { return };
    assert!(names.is_sorted_by(|a, b| a < b));
    for name in names {
        let name = name.as_bytes();
        assert!(!name.is_empty() && data.windows(name.len()).any(|window| window == name));
    }
}
