//! The reader of `ld.so.cache`.
#![cfg_attr(fuzzing, no_main)]

use coracle::analyze::loader::{Abi, CacheLine, LdCache};

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));

/// No input makes the reader panic; what it accepts is no larger than its entries allow and is the same when read again. A
/// cache that is written of it gives each name the path that came first.
pub fn run(data: &[u8]) {
    for big_endian in [false, true] {
        if let Ok(cache) = LdCache::parse(data, big_endian) {
            assert!(cache.len() <= data.len() / 12);
            assert_eq!(LdCache::parse(data, big_endian).as_ref(), Ok(&cache));
            write(&cache, big_endian);
        }
    }
}

fn write(cache: &LdCache, big_endian: bool) {
    let lines: Vec<CacheLine> = cache
        .entries()
        .map(|(name, entry)| CacheLine { name: name.to_vec(), path: entry.path.clone(), hwcaps: entry.hwcaps.clone() })
        .collect();
    let abi = Abi { is_64: true, big_endian, machine: 62 };
    let Ok(bytes) = LdCache::write(&lines, abi, 0x303) else { return };
    let Ok(written) = LdCache::parse(&bytes, big_endian) else { panic!("what we write does not parse") };
    for line in &lines {
        let first = lines.iter().find(|l| l.name == line.name && l.hwcaps == line.hwcaps);
        let found = written.lookup(&line.name, 0x303).find(|entry| entry.hwcaps == line.hwcaps);
        assert_eq!(found.map(|entry| &entry.path), first.map(|line| &line.path));
    }
}
