//! The reader of ELF files and what judges them.
#![cfg_attr(fuzzing, no_main)]

use coracle::analyze::analyze_program;
use coracle::diag::Severity;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));

/// No input makes the reader panic, and what is refused has a reason.
pub fn run(data: &[u8]) {
    let analysis = analyze_program("input", &data);
    let refused = analysis.diagnostics.iter().any(|d| d.severity == Severity::Error);
    assert_eq!(refused, analysis.platform.is_none() || analysis.facts.is_none() || analysis.requirements.is_empty());
}
