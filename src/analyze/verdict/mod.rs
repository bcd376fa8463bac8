//! What cannot work, said before anything is pushed: the closure of a program and its root as findings.
//!
//! Each finding that refuses is one of which the root's own loader would say the same. Findings about the root alone are
//! made once for a root ([`configuration`]), those about a program for each closure ([`verdict`], [`refusal`]).

mod codes;
mod conf;
mod configuration;
mod elsewhere;
mod interpreter;
mod libraries;
mod members;
mod paths;
mod relocations;
mod remedy;
mod versions;

use super::loader::Closure;
use crate::diag::{Diagnostic, escape};
use crate::rootfs::{Root, RootError};

pub use conf::{ConfDirectory, directories as configured_directories};
pub use configuration::configuration;
pub use interpreter::refusal;
pub use remedy::Remedy;

/// What is judged.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The program as the user named it.
    pub program: &'a str,
    /// The root in which the closure was computed.
    pub root: &'a dyn Root,
    /// What its loader maps.
    pub closure: &'a Closure,
    /// The x86-64 level of the platform that the image will have: 1 where it has no variant. Other machines have none.
    pub level: u8,
}

/// Findings, and what would mend them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement {
    /// In the order of the checks, and of the closure.
    pub diagnostics: Vec<Diagnostic>,
    /// In the order of the findings, each once.
    pub remedies: Vec<Remedy>,
}

impl Judgement {
    fn say(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    fn offer(&mut self, remedy: Remedy) {
        if !self.remedies.contains(&remedy) {
            self.remedies.push(remedy);
        }
    }
}

/// All findings about one closure: what is missing, what does not fit, what is risky, what is left out.
///
/// # Errors
/// [`RootError`] when the root cannot be read.
pub fn verdict(question: &Question<'_>) -> Result<Judgement, RootError> {
    let mut out = Judgement::default();
    libraries::missing(question, &mut out)?;
    versions::problems(question, &mut out)?;
    relocations::packed(question, &mut out);
    members::mixed(question, &mut out);
    members::demands(question, &mut out)?;
    libraries::variants(question, &mut out)?;
    libraries::watchers(question, &mut out);
    libraries::undecidable(question, &mut out);
    paths::risks(question, &mut out)?;
    Ok(out)
}

/// The name of a member for people: its path as the loader opens it.
fn member(closure: &Closure, index: usize) -> String {
    closure.loaded.get(index).map_or_else(|| "?".to_owned(), |loaded| escape(&loaded.path))
}

/// A member with those for which it was loaded, up to the program.
fn chain(closure: &Closure, index: usize) -> String {
    let mut text = member(closure, index);
    let mut at = closure.loaded.get(index).and_then(|loaded| loaded.loader);
    // Whoever loads stands before what it loads, so the chain ends; filters alone stand the other way round.
    for _ in 0..closure.loaded.len() {
        let Some(index) = at else { break };
        text.push_str(" < ");
        text.push_str(&member(closure, index));
        at = closure.loaded.get(index).and_then(|loaded| loaded.loader);
    }
    text
}
