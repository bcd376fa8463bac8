//! The reader of `ld.so.cache`.
#![cfg_attr(fuzzing, no_main)]

use coracle::analyze::loader::LdCache;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));

/// No input makes the reader panic; what it accepts is no larger than its entries allow and is the same when read again.
pub fn run(data: &[u8]) {
    for big_endian in [false, true] {
        if let Ok(cache) = LdCache::parse(data, big_endian) {
            assert!(cache.len() <= data.len() / 12);
            assert_eq!(LdCache::parse(data, big_endian), Ok(cache));
        }
    }
}
