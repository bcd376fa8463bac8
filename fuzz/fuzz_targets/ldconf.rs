//! The reader of `ld.so.conf`, with files that include each other.
#![cfg_attr(fuzzing, no_main)]

use coracle::analyze::verdict::configured_directories;
use coracle::oci::ImagePath;
use coracle::rootfs::MemoryRoot;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));

/// No input makes the reader panic or go on for ever; what it gives are absolute directories, in bounds.
pub fn run(data: &[u8]) {
    let mut root = MemoryRoot::new();
    for path in ["etc/ld.so.conf", "etc/ld.so.conf.d/a.conf", "etc/ld.so.conf.d/b.conf"] {
        if let Ok(path) = ImagePath::parse(path) {
            root.add_file(&path, data, 0o644);
        }
    }
    let found = configured_directories(&root).unwrap_or_default();
    assert!(found.len() <= 1024 && found.iter().all(|d| d.path.starts_with(b"/") && d.line > 0));
}
