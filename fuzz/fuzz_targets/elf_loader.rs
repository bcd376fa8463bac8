//! The loader's view of an object, and the walk from it.
#![cfg_attr(fuzzing, no_main)]

use coracle::analyze::loader::Target;
use coracle::elf::LoaderView;
use coracle::oci::ImagePath;
use coracle::rootfs::MemoryRoot;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));

/// No input makes the reader panic, and an object that stands for everything in a root has a closure that ends.
pub fn run(data: &[u8]) {
    let Ok(view) = LoaderView::parse(&data) else { return };
    let mut root = MemoryRoot::new();
    let mut add = |path: &[u8]| {
        if let Ok(path) = ImagePath::parse(path) {
            root.add_file(&path, data, 0o755);
        }
    };
    add(b"program");
    for name in view.dynamic.iter().flat_map(|d| d.needed.iter().chain(d.rpath.iter()).chain(d.runpath.iter())) {
        add(name.as_bytes());
        add(&[b"lib/", name.as_bytes()].concat());
    }
    let interpreter = view.interpreter.as_ref().map_or(&b"/lib/ld.so"[..], |name| name.as_bytes());
    add(interpreter);
    if let Ok(Ok(closure)) = Target::new(&root).closure(b"/program", Some(interpreter)) {
        let count = closure.loaded.len();
        assert!(closure.edges.iter().all(|(from, _, to)| *from < count && *to < count));
        assert!(closure.missing.iter().all(|missing| missing.by < count));
    }
}
