//! The walk over programs and what they bring in.

use super::placed::{self, Elsewhere};
use super::{
    Confidence, FileSet, Level, Needs, NeedsRequest, Process, ProgramAt, Reason, Requirement, Subject, image, reasons,
};
use crate::analyze::loader::{Closure, Found, Refusal, Target};
use crate::diag::{Code, Diagnostic, Evidence, Severity, escape};
use crate::rootfs::{Resolved, RootError, resolve};

/// The interpreter of a program is not in the root, or cannot be used.
const INTERPRETER: Code = Code("N001");
/// A library that the loader needs is not in the root.
const LIBRARY: Code = Code("N002");

/// State of the walk.
pub(super) struct Walk<'a> {
    pub request: &'a NeedsRequest,
    pub target: Target<'a>,
    pub files: FileSet,
    pub elsewhere: Elsewhere,
    pub needs: Needs,
}

impl<'a> Walk<'a> {
    pub fn new(request: &'a NeedsRequest) -> Self {
        let path = request.library_path.as_deref().unwrap_or_default();
        let target = Target::new(&*request.root).with_library_path(path.as_bytes()).without_preload();
        Self { request, target, files: FileSet::default(), elsewhere: Elsewhere::default(), needs: Needs::default() }
    }

    pub fn run(mut self) -> Result<Needs, RootError> {
        for program in &self.request.programs {
            if let Some(called) = &program.called {
                let reason = Reason::new("entrypoint", "PATH", Confidence::Asserted);
                // The links alone: the program itself is placed by the plan.
                if let Some(found) = resolve(&*self.request.root, &placed::slashed(called))? {
                    self.files.links(&*self.request.root, &found, &reason)?;
                }
            }
            self.program(program)?;
        }
        let last = self.needs.processes.iter().rev().find_map(|process| {
            let interpreter = process.closure.as_ref()?.loaded.iter().find(|l| l.found == Found::Interpreter)?;
            Some((process.profile.clone()?, interpreter.path.clone()))
        });
        if let Some((profile, interpreter)) = last {
            placed::configure(&self.elsewhere, &profile, &interpreter, &mut self.files);
        }
        self.needs.files = self.files.files().clone();
        image::check(self.request, &mut self.needs)?;
        Ok(self.needs)
    }

    /// The closure of one program of the request, and where its objects will lie.
    fn program(&mut self, program: &ProgramAt) -> Result<(), RootError> {
        let image = placed::slashed(&program.image);
        if program.facts.interpreter.is_none() {
            let process = Process { image, closure: None, profile: None, places: Vec::new(), later: Vec::new() };
            self.needs.processes.push(process);
            return Ok(());
        }
        let closure = match self.target.closure(&placed::slashed(&program.path), None)? {
            Ok(closure) => closure,
            Err(refusal) => {
                self.needs.diagnostics.push(refused(program, &refusal));
                return Ok(());
            }
        };
        let profile = match closure.loaded.iter().find(|l| l.found == Found::Interpreter) {
            Some(loader) => Some(self.target.profile(&loader.path, &loader.resolved, loader.object.abi)?),
            None => None,
        };
        let mut places = Vec::new();
        if let Some(profile) = &profile {
            let root = &*self.request.root;
            places = placed::place(root, &closure, profile, program, &mut self.files, &mut self.elsewhere)?;
        }
        self.told(program, &closure, &places);
        self.needs.processes.push(Process { image, closure: Some(closure), profile, places, later: Vec::new() });
        Ok(())
    }

    /// The closure as requirements, and what is missing in it.
    fn told(&mut self, program: &ProgramAt, closure: &Closure, places: &[Vec<u8>]) {
        for (index, loaded) in closure.loaded.iter().enumerate().filter(|(_, l)| l.found != Found::Program) {
            let reason = reasons::of_loaded(closure, index, places);
            let name = loaded.path.rsplit(|b| *b == b'/').next().unwrap_or_default();
            let subject = match loaded.found {
                Found::Interpreter => Subject::Interpreter(escape(&loaded.path)),
                _ => Subject::Library(escape(name)),
            };
            let mut requirement = Requirement::included(subject, Level::Required, reason);
            requirement.files = vec![escape(places.get(index).unwrap_or(&loaded.path))];
            requirement.size = size(&loaded.resolved);
            let known = |known: &Requirement| known.subject == requirement.subject && known.files == requirement.files;
            if !self.needs.requirements.iter().any(known) {
                self.needs.requirements.push(requirement);
            }
        }
        for missing in closure.missing.iter().filter(|missing| !missing.optional) {
            let by = escape(places.get(missing.by).unwrap_or(&closure.loaded[missing.by].path));
            let message = format!("the library `{}` is not in the root", escape(&missing.name));
            let tried = missing.attempts.iter().map(|a| Evidence::new("tried", escape(&a.path)));
            let finding = Diagnostic::new(LIBRARY, Severity::Error, program.name.as_str(), message);
            self.needs.diagnostics.push(finding.with_evidence([Evidence::new("needed by", by)]).with_evidence(tried));
        }
    }
}

fn size(resolved: &Resolved) -> u64 {
    match resolved.node {
        crate::rootfs::Node::File { size, .. } => size,
        _ => 0,
    }
}

fn refused(program: &ProgramAt, refusal: &Refusal) -> Diagnostic {
    let advice = crate::analyze::static_advice(&program.facts);
    let finding = Diagnostic::new(INTERPRETER, Severity::Error, program.name.as_str(), refusal.to_string());
    finding.with_hint(format!("name a root of the program's own system with `--root DIR`; or {advice}"))
}
