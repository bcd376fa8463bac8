//! Reasons for what the loader needs, in words.

use crate::analyze::loader::{Closure, Found};
use crate::analyze::{Confidence, Level, Outcome, Reason, Requirement, Subject};
use crate::diag::{Evidence, escape};

/// The rule of what the loader is told to load.
pub(super) const NEEDED: &str = "loader/needed";

/// Why an object of a closure is there. `places` are the image paths of the objects before it.
pub(super) fn of_loaded(closure: &Closure, index: usize, places: &[Vec<u8>]) -> Reason {
    let loaded = &closure.loaded[index];
    let place = |at: usize| escape(places.get(at).unwrap_or(&closure.loaded[at].path));
    if loaded.found == Found::Interpreter {
        let mut reason = Reason::new("loader/interpreter", place(0), Confidence::Proven);
        reason.evidence.push(Evidence::new("PT_INTERP", escape(&loaded.path)));
        return reason;
    }
    // The first that asked in the order of the walk; a preloaded object has no edge of its own.
    let edge = closure.edges.iter().find(|(_, _, to)| *to == index);
    let by = edge.map_or(0, |(by, _, _)| *by);
    let mut reason = Reason::new(NEEDED, place(by), Confidence::Proven);
    if let Some((_, name, _)) = edge {
        reason.evidence.push(Evidence::new("DT_NEEDED", escape(name)));
    }
    reason.evidence.push(Evidence::new("found by", found(&loaded.found)));
    reason
}

/// Libraries that the loader would not find, as requirements; the verdict says more of each.
pub(super) fn missing(closure: &Closure, places: &[Vec<u8>]) -> Vec<Requirement> {
    let mut out: Vec<Requirement> = Vec::new();
    for missing in closure.missing.iter().filter(|missing| !missing.optional) {
        let by = escape(places.get(missing.by).unwrap_or(&closure.loaded[missing.by].path));
        let mut reason = Reason::new(NEEDED, by, Confidence::Proven);
        reason.evidence.push(Evidence::new("DT_NEEDED", escape(&missing.name)));
        let mut requirement = Requirement::included(Subject::Library(escape(&missing.name)), Level::Required, reason);
        requirement.outcome = Outcome::Missing;
        out.push(requirement);
    }
    out
}

/// The rule by which an object was found.
pub(super) fn found(found: &Found) -> String {
    match found {
        Found::Program => "the program itself".to_owned(),
        Found::Interpreter => "PT_INTERP".to_owned(),
        Found::Direct => "its path".to_owned(),
        // Their directories may be those of the building machine.
        Found::Rpath { .. } => "DT_RPATH".to_owned(),
        Found::LibraryPath { directory } => format!("LD_LIBRARY_PATH {}", escape(directory)),
        Found::Runpath { .. } => "DT_RUNPATH".to_owned(),
        Found::Cache => "ld.so.cache".to_owned(),
        Found::Default { directory } => format!("default directory {}", escape(directory)),
    }
}
