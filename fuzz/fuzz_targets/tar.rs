//! The reader of tar archives.
#![cfg_attr(fuzzing, no_main)]

use std::io::Read;

use coracle::layer::tar::TarReader;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));

/// No archive makes the reader panic; entries come in order, and stored contents are no longer than the archive.
pub fn run(data: &[u8]) {
    let mut reader = TarReader::new(data);
    let (mut last, mut stored) = (None, 0);
    while let Ok(Some(entry)) = reader.next_entry() {
        assert!(last < Some(entry.offset) && entry.offset < data.len() as u64);
        last = Some(entry.offset);
        let mut content = Vec::new();
        let whole = reader.content().take(1 << 16).read_to_end(&mut content).is_ok();
        if entry.sparse.is_none() {
            stored += content.len();
        }
        assert!(stored <= data.len());
        assert!(!whole || content.len() as u64 == entry.size.min(1 << 16));
    }
}
