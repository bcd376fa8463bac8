//! Protections in words.

use crate::analyze::hardening::{Effective, ProcessHardening};
use crate::diag::escape;
use crate::elf::{ElfFacts, Presence, Relro};
use crate::pipeline::inspect::Inspection;

/// Those of the program itself. What the file cannot tell, or has no use for, is left out; JSON has the reason.
pub fn of_program(facts: &ElfFacts) -> Vec<String> {
    let hardening = &facts.hardening;
    let pie = if hardening.pie { "PIE" } else { "no PIE" };
    let relro = match hardening.relro {
        Relro::Full => "full RELRO",
        Relro::Partial => "partial RELRO",
        Relro::None => "no RELRO",
    };
    let stack = match hardening.nx {
        Some(true) => "NX",
        Some(false) => "executable stack",
        None => "NX as the kernel has it",
    };
    let mut words = vec![pie.to_owned(), relro.to_owned(), stack.to_owned()];
    match facts.code.canary.state {
        Presence::Yes | Presence::Partial => words.push("canary".to_owned()),
        Presence::No => words.push("no canary".to_owned()),
        Presence::Unknown | Presence::NotApplicable => {}
    }
    let fortify = &facts.code.fortify;
    match fortify.state {
        Presence::Yes => words.push("fortified".to_owned()),
        Presence::Partial => {
            let all = fortify.checked.len() + fortify.unchecked.len();
            words.push(format!("fortified {} of {all}", fortify.checked.len()));
        }
        Presence::No => words.push("not fortified".to_owned()),
        Presence::Unknown | Presence::NotApplicable => {}
    }
    words
}

/// What the file grants to whoever starts it; most grant nothing.
pub fn of_file(inspection: &Inspection) -> Vec<String> {
    let Some(privileges) = &inspection.privileges else { return Vec::new() };
    let mut words = Vec::new();
    words.extend(privileges.setuid.then(|| "setuid".to_owned()));
    words.extend(privileges.setgid.then(|| "setgid".to_owned()));
    if let Some(last) = words.last_mut() {
        last.push_str(&format!(" (mode {})", privileges.mode));
    }
    words.extend(privileges.capabilities.clone());
    words
}

/// Those of the whole process, where the libraries change what the program alone has.
pub fn of_process(inspection: &Inspection) -> Vec<String> {
    let (Some(process), Some(program)) = (&inspection.hardening, program(inspection)) else { return Vec::new() };
    let mut words = Vec::new();
    words.extend(branches("CET", [("IBT", &process.ibt), ("SHSTK", &process.shadow_stack)], &program));
    words.extend(branches("branches", [("BTI", &process.bti), ("PAC", &process.pac)], &program));
    words.extend(relro(process, &program));
    words
}

/// Path of the program as the process has it.
fn program(inspection: &Inspection) -> Option<String> {
    Some(escape(&inspection.closure()?.loaded.first()?.path))
}

/// `CET: no IBT (first of 3: libz.so.1), SHSTK`. A program that has neither says nothing: no library could change that.
fn branches(about: &str, both: [(&str, &Option<Effective>); 2], program: &str) -> Option<String> {
    let word = |(name, effective): (&str, &Option<Effective>)| {
        let effective = effective.as_ref()?;
        let Some(first) = &effective.broken_by else { return Some((true, name.to_owned())) };
        Some(if first == program {
            (false, format!("no {name}"))
        } else {
            (true, format!("no {name} ({})", first_of(first, effective.broken)))
        })
    };
    let words: Vec<(bool, String)> = both.into_iter().filter_map(word).collect();
    let speaks = words.iter().any(|(speaks, _)| *speaks);
    let words: Vec<String> = words.into_iter().map(|(_, word)| word).collect();
    speaks.then(|| format!("{about}: {}", words.join(", ")))
}

/// `full RELRO in 30 of 31 objects (first without: libz.so.1)`, for a program that has it itself.
fn relro(process: &ProcessHardening, program: &str) -> Option<String> {
    let first = process.relro.first_not_full.as_ref().filter(|first| *first != program)?;
    let file = file_name(first);
    Some(format!("full RELRO in {} of {} objects (first without: {file})", process.relro.full, process.objects))
}

fn first_of(path: &str, count: usize) -> String {
    let file = file_name(path);
    if count == 1 { format!("only {file}") } else { format!("first of {count}: {file}") }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}
