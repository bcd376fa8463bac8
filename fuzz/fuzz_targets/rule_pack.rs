//! The reader of rule packs, and their rules on one object.
#![cfg_attr(fuzzing, no_main)]

use coracle::analyze::rules::{Context, Member, RuleSet};
use coracle::analyze::traits::Traits;
use coracle::elf::{Libc, Linkage};

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));

/// No input makes the reader or its rules panic; what is given is sorted, each once.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(rules) = RuleSet::parse(&[("pack", text)]) else { return };
    let traits = Traits::read(&data, rules.needles());
    let traits = Traits { imports: vec![b"dlopen".to_vec(), b"getaddrinfo".to_vec()], ..traits };
    let program = Member { path: b"/bin/p", soname: None, traits: &traits, is_program: true, is_libc: false };
    let library = Member { soname: Some(b"libx.so.1"), is_program: false, ..program };
    for linkage in [Linkage::Static, Linkage::DynamicPie] {
        let given = rules.evaluate(&Context { libc: Some(Libc::Glibc), linkage }, &[program, library]);
        assert!(given.is_sorted_by(|a, b| a < b));
    }
}
