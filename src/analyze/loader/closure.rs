//! What a loader maps for one program, and what it looked for.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Found, Libc, Object, Profile};
use crate::rootfs::Resolved;

/// What became of one path that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is loaded.
    Loaded,
    /// Nothing is there.
    Absent,
    /// Something is there that may not be read: skipped.
    Unreadable,
    /// A loop of links in a directory that is there: glibc skips the rest of that search path.
    Loop,
    /// Another class or machine: skipped.
    OtherAbi,
    /// No object; the loader gives up.
    Garbage(String),
}

/// One path that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The path as the loader writes it.
    pub path: Vec<u8>,
    /// What became of it.
    pub verdict: Verdict,
}

/// A further path to an object: a link, or another name of the same inode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The path that the loader opens.
    pub path: Vec<u8>,
    /// Where it leads, and through which links.
    pub resolved: Resolved,
}

/// An object of the closure.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The path that the loader opens, links not resolved.
    pub path: Vec<u8>,
    /// Where it leads, and through which links.
    pub resolved: Resolved,
    /// What it is.
    pub object: Arc<Object>,
    /// Names under which it is known to the loader.
    pub names: BTreeSet<Vec<u8>>,
    /// Other paths by which the loader found this same file: an image needs them too.
    pub aliases: Vec<Alias>,
    /// Index of the object for which it was first loaded.
    pub loader: Option<usize>,
    /// By which rule.
    pub found: Found,
    /// Whether its names include the SONAME already (glibc adds it when it is first compared).
    pub(super) soname_added: bool,
    /// Whether its dependencies have been walked.
    pub(super) done: bool,
}

/// A dependency that cannot be met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The name asked for.
    pub name: Vec<u8>,
    /// Index of the object that asks.
    pub by: usize,
    /// Whether the loader shrugs (`DT_AUXILIARY`, `ld.so.preload`).
    pub optional: bool,
    /// Every path tried, in order.
    pub attempts: Vec<Attempt>,
    /// A token that depends on the processor stood in a name or search path.
    pub undecidable: bool,
}

impl Missing {
    /// A name for which nothing may be tried any more.
    pub(super) const fn cut_off(name: Vec<u8>) -> Self {
        Self { name, by: 0, optional: false, attempts: Vec::new(), undecidable: false }
    }

    /// The file at which the loader gave up, where there is one: no later directory would have been tried.
    #[must_use]
    pub fn garbage(&self) -> Option<&Attempt> {
        self.attempts.last().filter(|attempt| matches!(attempt.verdict, Verdict::Garbage(_)))
    }
}

/// A library that watches the loader (`DT_AUDIT` and `DT_DEPAUDIT` of the program).
#[derive(Debug, Clone)]
pub struct Audit {
    /// The name asked for.
    pub name: Vec<u8>,
    /// What is mapped for it: it is the first object. Apart from the program, with a libc of its own. Where it is missing,
    /// the loader says so and goes on.
    pub outcome: Result<Closure, Missing>,
}

/// What a search for one name came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Index of the object that was loaded already under that name: nothing was searched.
    Known(usize),
    /// Index of the object that was loaded.
    Loaded(usize),
    /// Index of the object that was loaded already from the same file.
    SameFile(usize),
    /// It is missing.
    Missing,
}

/// The paths that one rule of a search gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The rule, with its directory where it has one.
    pub rule: Found,
    /// The paths tried, in order; none where the rule gives none, such as a cache without an entry.
    pub attempts: Vec<Attempt>,
}

/// One search, step by step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// Index of the object that asks.
    pub by: usize,
    /// The name asked for.
    pub name: Vec<u8>,
    /// The steps in order; the last one is that of the answer.
    pub steps: Vec<Step>,
    /// What it came to.
    pub answer: Answer,
    /// A token that depends on the processor stood in the name or in a search path before the answer.
    pub undecidable: bool,
}

/// A name that is found, but may be found elsewhere first: a token that depends on the processor (`$PLATFORM`) stands in a
/// search path before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Undecidable {
    /// Index of the object that asks.
    pub by: usize,
    /// The name asked for.
    pub name: Vec<u8>,
}

/// Everything the loader maps for one program.
#[derive(Debug, Clone)]
pub struct Closure {
    /// Whose rules were followed.
    pub libc: Libc,
    /// The loader's directories, cache and preloaded names.
    pub profile: Arc<Profile>,
    /// Objects in the loader's order; the program is the first, the interpreter the second where there is one.
    pub loaded: Vec<Loaded>,
    /// `(asking, name, given)` for every dependency met, in the order of the walk.
    pub edges: Vec<(usize, Vec<u8>, usize)>,
    /// Dependencies that cannot be met.
    pub missing: Vec<Missing>,
    /// Names that another processor may find elsewhere.
    pub undecidable: Vec<Undecidable>,
    /// Libraries that watch the loader, in its order.
    pub audits: Vec<Audit>,
    /// Every search, when the target was told to trace them ([`super::Target::with_traces`]).
    pub searches: Vec<Search>,
    /// The walk was cut off at [`crate::limits::MAX_CLOSURE_OBJECTS`] or [`crate::limits::MAX_LOADER_ATTEMPTS`]; what is
    /// told is true, but not all.
    pub cut_off: bool,
}

impl Closure {
    /// The searches for a library: by the name that was asked for, or by the path, file name or SONAME of what was found.
    pub fn searches_for<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a Search> {
        self.searches.iter().filter(move |search| self.is_about(search, name))
    }

    /// Drops all other searches, also of the audit libraries.
    pub(super) fn keep_searches_for(&mut self, name: &[u8]) {
        let mut searches = std::mem::take(&mut self.searches);
        searches.retain(|search| self.is_about(search, name));
        self.searches = searches;
        for closure in self.audits.iter_mut().filter_map(|audit| audit.outcome.as_mut().ok()) {
            closure.keep_searches_for(name);
        }
    }

    fn is_about(&self, search: &Search, name: &[u8]) -> bool {
        let last = |path: &[u8]| path.rsplit(|b| *b == b'/').next() == Some(name);
        let found = match search.answer {
            Answer::Known(index) | Answer::Loaded(index) | Answer::SameFile(index) => self.loaded.get(index),
            Answer::Missing => None,
        };
        search.name == name
            || last(&search.name)
            || found.is_some_and(|found| {
                let real = found.resolved.path.as_bytes();
                let soname = found.object.soname.as_deref();
                found.path == name
                    || last(&found.path)
                    || last(real)
                    || soname == Some(name)
                    || name.strip_prefix(b"/") == Some(real)
            })
    }
}

/// What `dlopen` of one name does.
#[derive(Debug, Clone)]
pub struct Dlopen {
    /// The closure with the further objects behind those that were there: these keep their indexes.
    pub closure: Closure,
    /// Number of objects before.
    pub before: usize,
    /// Index of the object that was asked for.
    pub object: Option<usize>,
    /// What was not found, for this call alone; the closure's own list is as it was. When one of them is not optional,
    /// the call fails and nothing stays mapped.
    pub missing: Vec<Missing>,
}

impl Dlopen {
    /// Whether the call gives the object.
    #[must_use]
    pub fn succeeds(&self) -> bool {
        self.object.is_some() && self.missing.iter().all(|missing| missing.optional)
    }
}
