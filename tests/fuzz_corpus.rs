//! Replays the corpus of every fuzz target through the function that the fuzzer calls, without the fuzzer.
//!
//! A target is one file under `fuzz/fuzz_targets/` with `pub fn run(data: &[u8])`, a `[[bin]]` in `fuzz/Cargo.toml`, a
//! folder under `fuzz/corpus/`, and one line in `TARGETS` below.

use std::path::Path;

#[path = "../fuzz/fuzz_targets/apk.rs"]
mod apk;
#[path = "../fuzz/fuzz_targets/dlopen_notes.rs"]
mod dlopen_notes;
#[path = "../fuzz/fuzz_targets/dpkg.rs"]
mod dpkg;
#[path = "../fuzz/fuzz_targets/elf.rs"]
mod elf;
#[path = "../fuzz/fuzz_targets/elf_loader.rs"]
mod elf_loader;
#[path = "../fuzz/fuzz_targets/elf_symbols.rs"]
mod elf_symbols;
#[path = "../fuzz/fuzz_targets/hosts.rs"]
mod hosts;
#[path = "../fuzz/fuzz_targets/image_root.rs"]
mod image_root;
#[path = "../fuzz/fuzz_targets/ldcache.rs"]
mod ldcache;
#[path = "../fuzz/fuzz_targets/ldconf.rs"]
mod ldconf;
#[path = "../fuzz/fuzz_targets/manifest.rs"]
mod manifest;
#[path = "../fuzz/fuzz_targets/plan_text.rs"]
mod plan_text;
#[path = "../fuzz/fuzz_targets/reference.rs"]
mod reference;
#[path = "../fuzz/fuzz_targets/rule_pack.rs"]
mod rule_pack;
#[path = "../fuzz/fuzz_targets/tar.rs"]
mod tar;
#[path = "../fuzz/fuzz_targets/traits.rs"]
mod traits;

/// Name of a target and its function.
type Target = (&'static str, fn(&[u8]));

const TARGETS: &[Target] = &[
    ("apk", apk::run),
    ("dpkg", dpkg::run),
    ("dlopen_notes", dlopen_notes::run),
    ("elf", elf::run),
    ("elf_loader", elf_loader::run),
    ("elf_symbols", elf_symbols::run),
    ("hosts", hosts::run),
    ("image_root", image_root::run),
    ("ldcache", ldcache::run),
    ("ldconf", ldconf::run),
    ("manifest", manifest::run),
    ("plan_text", plan_text::run),
    ("reference", reference::run),
    ("rule_pack", rule_pack::run),
    ("tar", tar::run),
    ("traits", traits::run),
];

fn names(dir: &str) -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(dir);
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn corpus_replays() {
    for (target, run) in TARGETS {
        let files = names(&format!("corpus/{target}"));
        assert!(!files.is_empty(), "target `{target}` has no corpus");
        for file in files {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target).join(&file);
            let data = std::fs::read(path).unwrap();
            let came_back = std::panic::catch_unwind(|| run(&data)).is_ok();
            assert!(came_back, "target `{target}` panics on `{file}`");
        }
    }
}

#[test]
fn every_target_is_replayed() {
    let mut listed: Vec<String> = TARGETS.iter().map(|(name, _)| format!("{name}.rs")).collect();
    listed.sort();
    assert_eq!(listed, names("fuzz_targets"));
    let mut corpora: Vec<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    corpora.sort();
    assert_eq!(corpora, names("corpus"));
}
