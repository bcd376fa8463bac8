//! Where the loader of a program looks for one library, step by step.

use serde::Serialize;

use super::sysroot::{self, Placed, Roots};
use super::{Error, Request, programs};
use crate::analyze::loader::{Answer, Closure, Dlopen, Found, Search, Step, Target, Verdict};
use crate::diag::escape;

/// Everything that a loader does for one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Path of the program in its root, escaped.
    pub program: String,
    /// The name that was asked about, escaped.
    pub library: String,
    /// Whether any object of the program asks for it when the program starts. Otherwise the search is that of a `dlopen`
    /// of this name by the program.
    pub needed: bool,
    /// Path at which it is found.
    pub found: Option<String>,
    /// Every search, in the loader's order.
    pub searches: Vec<SearchReport>,
}

/// One search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SearchReport {
    /// Path of the object that asks, escaped.
    pub by: String,
    /// The name that it asks for, escaped.
    pub name: String,
    /// `loaded`, `known` (an object of that name was loaded already), `same-file`, or `missing`.
    pub answer: &'static str,
    /// Path of the object that it gets.
    pub path: Option<String>,
    /// Whether another processor may find it elsewhere first (`$PLATFORM`).
    pub undecidable: bool,
    /// What each rule gave, in order.
    pub steps: Vec<StepReport>,
}

/// What one rule gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepReport {
    /// The rule in words, with its directory.
    pub rule: String,
    /// The paths tried.
    pub attempts: Vec<AttemptReport>,
}

/// One path that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttemptReport {
    /// The path, escaped.
    pub path: String,
    /// What became of it, in words.
    pub verdict: String,
}

/// Explains how the loader of the request's first program looks for `name`: a name that is asked for, a SONAME, a file name
/// or a path.
///
/// # Errors
/// [`Error::NoProgram`], [`Error::Refused`], [`Error::NoLoader`], and those of reading.
pub fn explain(request: &Request, name: &[u8]) -> Result<Explanation, Error> {
    let roots = Roots::of(request)?;
    let file = request.programs.first().ok_or(Error::NoProgram)?;
    let analysis = match roots.all().first() {
        Some(root) if file.in_root => programs::analyze_in_root(&*root.root, &file.path)?,
        _ => programs::analyze(&file.path)?,
    };
    let program = analysis.into_program().map_err(Error::Refused)?;
    let refuse = |reason: String| Error::NoLoader { path: file.path.clone(), reason };
    let Some(sysroot) = roots.of_platform(&program.platform.normalized()) else {
        return Err(refuse(format!("no root is for `{}`", program.platform)));
    };
    let placed = Placed::of(programs::own_name(file)?, file, &program, Some(sysroot))?;
    let (root, places) = sysroot::stand(sysroot, &[placed], &request.choice)?;
    let at = places.first().map(|program| [b"/", program.path.as_bytes()].concat()).unwrap_or_default();
    let target = Target::new(&*root).without_preload();
    let explained = target.explain(&at, None, name)?;
    let closure = explained.map_err(|refusal| refuse(refusal.to_string()))?;
    if !closure.searches.is_empty() {
        return Ok(told(name, &closure, &closure.searches, true));
    }
    // Nobody asks for it at the start.
    let target = Target::new(&*root).without_preload().with_traces();
    let closure = target.closure(&at, None)?.map_err(|refusal| refuse(refusal.to_string()))?;
    let before = closure.searches.len();
    let Dlopen { closure, .. } = target.dlopen(&closure, 0, name)?;
    let own: Vec<Search> = closure.searches.iter().skip(before).filter(|search| search.name == name).cloned().collect();
    Ok(told(name, &closure, &own, false))
}

fn told(name: &[u8], closure: &Closure, searches: &[Search], needed: bool) -> Explanation {
    let path = |index: usize| closure.loaded.get(index).map(|loaded| escape(&loaded.path));
    let report = |search: &Search| {
        let (answer, at) = match search.answer {
            Answer::Known(at) => ("known", Some(at)),
            Answer::Loaded(at) => ("loaded", Some(at)),
            Answer::SameFile(at) => ("same-file", Some(at)),
            Answer::Missing => ("missing", None),
        };
        SearchReport {
            by: path(search.by).unwrap_or_default(),
            name: escape(&search.name),
            answer,
            path: at.and_then(path),
            undecidable: search.undecidable,
            steps: search.steps.iter().map(step).collect(),
        }
    };
    let searches: Vec<SearchReport> = searches.iter().map(report).collect();
    Explanation {
        program: path(0).unwrap_or_default(),
        library: escape(name),
        needed,
        found: searches.iter().find_map(|search| search.path.clone()),
        searches,
    }
}

fn step(step: &Step) -> StepReport {
    let rule = match &step.rule {
        Found::Program => "the program itself".to_owned(),
        Found::Interpreter => "PT_INTERP".to_owned(),
        Found::Direct => "the name is a path".to_owned(),
        Found::Rpath { of, directory } => format!("DT_RPATH of {of}: {}", escape(directory)),
        Found::LibraryPath { directory } => format!("LD_LIBRARY_PATH: {}", escape(directory)),
        Found::Runpath { directory } => format!("DT_RUNPATH: {}", escape(directory)),
        Found::Cache => "ld.so.cache".to_owned(),
        Found::Default { directory } => format!("default directory: {}", escape(directory)),
    };
    let attempt = |attempt: &crate::analyze::loader::Attempt| AttemptReport {
        path: escape(&attempt.path),
        verdict: match &attempt.verdict {
            Verdict::Loaded => "loaded".to_owned(),
            Verdict::Absent => "not there".to_owned(),
            Verdict::Unreadable => "may not be read; skipped".to_owned(),
            Verdict::Loop => "a loop of links; this search path ends".to_owned(),
            Verdict::OtherAbi => "for another machine; skipped".to_owned(),
            Verdict::Garbage(reason) => format!("the loader gives up: {reason}"),
        },
    };
    StepReport { rule, attempts: step.attempts.iter().map(attempt).collect() }
}
