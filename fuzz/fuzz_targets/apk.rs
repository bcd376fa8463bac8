//! The reader of apk's installed database.
#![cfg_attr(fuzzing, no_main)]

use std::collections::BTreeSet;

use coracle::rootfs::packages::apk;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));

/// No input makes the reader panic. A database restricted to all files has no others; one restricted to none has none.
pub fn run(data: &[u8]) {
    let installed = apk::parse_installed(data);
    assert!(installed.packages.len() + installed.skipped <= data.len());
    let files: BTreeSet<Vec<u8>> = apk::parse_files(data).into_iter().collect();
    let all = apk::restrict(data, |_| true);
    assert!(apk::parse_files(&all).iter().all(|file| files.contains(file)));
    assert_eq!(apk::restrict(&all, |_| true), all);
    assert!(apk::parse_files(&apk::restrict(data, |_| false)).is_empty());
}
