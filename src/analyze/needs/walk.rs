//! The walk over programs and what they bring in.

use std::collections::{BTreeMap, BTreeSet};

use super::decide::{self, Decision};
use super::live::Live;
use super::member::KnownTraits;
use super::placed::{self, Elsewhere};
use super::{
    Choice, Confidence, FileSet, Level, Needs, NeedsRequest, Outcome, ProgramAt, Reason, Requirement, Selector,
    Subject, features, findings, image, local, made, reasons,
};
use crate::analyze::loader::{Found, Target};
use crate::analyze::rules::{RuleSet, Want, Wanted};
use crate::analyze::verdict::{self, Judgement, Question};
use crate::diag::{Diagnostic, Evidence, Severity, escape};
use crate::elf::{ElfFacts, Linkage};
use crate::limits;
use crate::oci::ImagePath;
use crate::rootfs::{Root, RootError, resolve};

/// Most places in which something was looked for that a missing need names.
const TRIED: usize = 10;

/// State of the walk.
pub(super) struct Walk<'a> {
    pub request: &'a NeedsRequest,
    pub target: Target<'a>,
    pub traits: KnownTraits,
    pub files: FileSet,
    pub elsewhere: Elsewhere,
    pub needs: Needs,
    /// Processes; those of the request come first.
    pub live: Vec<Live>,
    /// Selectors that chose something.
    pub used: Vec<Selector>,
    /// Files that are executed.
    pub executed: BTreeSet<ImagePath>,
    /// Index of each requirement by its subject and what it is about.
    known: BTreeMap<(Subject, Vec<String>), usize>,
}

impl<'a> Walk<'a> {
    pub fn new(request: &'a NeedsRequest) -> Self {
        let path = request.library_path.as_deref().unwrap_or_default();
        Self {
            request,
            target: Target::new(&*request.root).with_library_path(path.as_bytes()).without_preload(),
            traits: KnownTraits::default(),
            files: FileSet::default(),
            elsewhere: Elsewhere::default(),
            needs: Needs::default(),
            live: Vec::new(),
            used: Vec::new(),
            executed: BTreeSet::new(),
            known: BTreeMap::new(),
        }
    }

    pub fn root(&self) -> &'a dyn Root {
        &*self.request.root
    }

    pub fn choice(&self) -> &'a Choice {
        &self.request.choice
    }

    pub fn run(mut self) -> Result<Needs, RootError> {
        for program in &self.request.programs {
            self.asked(program)?;
        }
        let mut at = 0;
        while at < self.live.len() {
            self.rounds(at)?;
            at += 1;
        }
        self.with()?;
        // What the selectors brought in has needs of its own.
        for at in 0..self.live.len() {
            self.rounds(at)?;
        }
        self.configure()?;
        self.settle();
        if let Some(base) = &self.request.base {
            self.needs.files = super::base::spare(&**base, std::mem::take(&mut self.needs.files))?;
        }
        let live = std::mem::take(&mut self.live);
        self.needs.processes = live.into_iter().map(Live::finish).collect();
        let first = self.request.programs.first().map(|program| escape(&placed::slashed(&program.image)));
        let first = first.unwrap_or_default();
        let missing = findings::of_requirements(&self.needs.requirements, self.choice(), &first);
        self.needs.diagnostics.extend(missing);
        // Nothing is built: what an image could have besides would hide why.
        if self.needs.diagnostics.iter().any(|found| found.severity == Severity::Error) {
            self.needs.diagnostics.retain(|found| found.code != findings::OFFERED);
        }
        image::check(self.request, &mut self.needs)?;
        Ok(self.needs)
    }

    /// A program of the request.
    fn asked(&mut self, program: &ProgramAt) -> Result<(), RootError> {
        if let Some(called) = &program.called {
            let reason = Reason::new("entrypoint", "PATH", Confidence::Asserted);
            // The links alone: the program itself is placed by the plan.
            if let Some(found) = resolve(self.root(), &placed::slashed(called))? {
                self.files.links(self.root(), &found, &reason)?;
            }
        }
        self.start(program)
    }

    /// A program that is executed: its closure, and a place among the processes.
    pub fn start(&mut self, program: &ProgramAt) -> Result<(), RootError> {
        let image = placed::slashed(&program.image);
        let known = self.live.iter().any(|live| live.image == image);
        if known {
            return Ok(());
        }
        if self.live.len() >= limits::MAX_PROCESSES {
            self.cut_off(&escape(&image), "more programs are executed than are looked at");
            return Ok(());
        }
        let mut live = Live::new(program, image);
        if program.facts.interpreter.is_some() {
            match self.target.closure(&placed::slashed(&program.path), None)? {
                Ok(closure) => live.closure = Some(closure),
                Err(refusal) => {
                    let path = placed::slashed(&program.path);
                    let judged = verdict::refusal(&program.name, self.root(), &path, &refusal)?;
                    self.judged(judged);
                    return Ok(());
                }
            }
        }
        live.startup = live.closure.as_ref().map_or(0, |closure| closure.loaded.len());
        if let Some(closure) = &live.closure {
            let (program, root, level) = (live.program.name.as_str(), self.root(), self.request.level);
            let judged = verdict::verdict(&Question { program, root, closure, level })?;
            let configuration = match self.live.iter().any(|live| live.closure.is_some()) {
                true => Judgement::default(),
                false => verdict::configuration(root, &closure.profile, closure.loaded[0].object.abi)?,
            };
            self.judged(judged);
            self.judged(configuration);
        }
        self.live.push(live);
        self.place(self.live.len() - 1)?;
        self.audits(self.live.len() - 1)
    }

    /// Libraries that watch the loader, each with what is mapped for it: the loader takes them before anything else.
    fn audits(&mut self, at: usize) -> Result<(), RootError> {
        let (root, place) = (self.root(), self.live[at].place(0));
        let audits = self.live[at].closure.as_ref().map(|closure| closure.audits.clone()).unwrap_or_default();
        for audit in audits {
            // One that is missing is told by the verdict; the loader goes on without it.
            let Ok(closure) = &audit.outcome else { continue };
            for loaded in closure.loaded.iter().filter(|l| l.found != Found::Interpreter) {
                let mut reason = Reason::new("loader/audit", place.clone(), Confidence::Proven);
                reason.evidence.push(Evidence::new("DT_AUDIT", escape(&audit.name)));
                self.files.take_resolved(root, &loaded.resolved, &reason)?;
                let name = Subject::Library(escape(super::member::file_name(&loaded.path)));
                let mut requirement = Requirement::included(name, Level::Recommended, reason);
                requirement.files = vec![escape(&loaded.path)];
                requirement.size = super::resolved_size(&loaded.resolved);
                self.tell(requirement);
            }
        }
        Ok(())
    }

    /// Takes over what was judged; the same is told once.
    fn judged(&mut self, judgement: Judgement) {
        for diagnostic in judgement.diagnostics {
            if !self.needs.diagnostics.contains(&diagnostic) {
                self.needs.diagnostics.push(diagnostic);
            }
        }
        for remedy in judgement.remedies {
            if !self.needs.remedies.contains(&remedy) {
                self.needs.remedies.push(remedy);
            }
        }
    }

    /// Places the objects of a process that have no place yet, and tells them as requirements.
    pub fn place(&mut self, at: usize) -> Result<(), RootError> {
        let root = self.root();
        let live = &mut self.live[at];
        let Some(closure) = &live.closure else { return Ok(()) };
        let program = &live.program;
        let before = live.places.len();
        placed::place(root, closure, program, &live.reasons, &mut live.places, &mut self.files, &mut self.elsewhere)?;
        let mut told = Vec::new();
        for (index, loaded) in closure.loaded.iter().enumerate().skip(before).filter(|(_, l)| l.found != Found::Program)
        {
            let subject = match loaded.found {
                Found::Interpreter => Subject::Interpreter(escape(&loaded.path)),
                _ => Subject::Library(escape(super::member::file_name(&loaded.path))),
            };
            // What is loaded later is told as the need that loads it.
            let reason = match live.reasons.get(&index) {
                Some(reason) => reason.clone(),
                None => reasons::of_loaded(closure, index, &live.places),
            };
            let mut requirement = Requirement::included(subject, Level::Required, reason);
            requirement.about = live.abouts.get(&index).cloned().unwrap_or_default();
            requirement.files = vec![escape(&live.places[index])];
            requirement.size = super::resolved_size(&loaded.resolved);
            told.push(requirement);
        }
        if before == 0 {
            told.extend(reasons::missing(closure, &live.places));
        }
        for requirement in told {
            self.tell(requirement);
        }
        Ok(())
    }

    /// Adds a requirement, once; a surer word for the same thing takes the place of a weaker one.
    pub fn tell(&mut self, requirement: Requirement) {
        let key = (requirement.subject.clone(), requirement.files.clone());
        match self.known.get(&key) {
            Some(at) => {
                let old = &mut self.needs.requirements[*at];
                if requirement.outcome == Outcome::Included && old.outcome != Outcome::Included {
                    *old = requirement;
                }
            }
            None => {
                self.known.insert(key, self.needs.requirements.len());
                self.needs.requirements.push(requirement);
            }
        }
    }

    /// Looks for needs of a process until nothing new comes.
    fn rounds(&mut self, at: usize) -> Result<(), RootError> {
        for _ in 0..limits::MAX_NEED_ROUNDS {
            self.read_traits(at)?;
            let mut wanted = {
                let live = &self.live[at];
                RuleSet::builtin().evaluate(&live.context(), &live.members())
            };
            // The surest and most needed first: what they bring makes weaker words for it superfluous.
            wanted.sort_by_key(|wanted| (wanted.confidence, wanted.level));
            let before = (self.live[at].objects(), self.live.len());
            for wanted in wanted {
                let key = (wanted.want.clone(), decide::decide(&wanted, self.choice()));
                if self.live[at].handled.insert(key) {
                    self.meet(at, &wanted)?;
                }
            }
            if before == (self.live[at].objects(), self.live.len()) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn read_traits(&mut self, at: usize) -> Result<(), RootError> {
        let root = self.root();
        let live = &mut self.live[at];
        for index in live.traits.len()..live.objects() {
            let path = match &live.closure {
                Some(closure) => closure.loaded[index].resolved.path.clone(),
                None => live.real.clone(),
            };
            live.traits.push(self.traits.of(root, &path)?);
        }
        Ok(())
    }

    /// One want: decided, met or told.
    pub fn meet(&mut self, at: usize, wanted: &Wanted) -> Result<(), RootError> {
        let decision = decide::decide(wanted, self.choice());
        let reason = self.live[at].reason(wanted);
        let mut requirement = Requirement::included(super::subject(&wanted.want), wanted.level, reason.clone());
        requirement.about.clone_from(&wanted.about);
        if let Want::AtRunTime(_) = wanted.want {
            requirement.outcome = Outcome::AtRunTime;
            self.use_selectors(wanted);
            self.tell(requirement);
            return Ok(());
        }
        let met = self.find(at, wanted)?;
        // Who asks by its name for what no rule requires gets it or hears that it is not there.
        let by_name = |selector: &Selector| match selector {
            Selector::Feature { value, .. } => value.is_some(),
            _ => wanted.confidence == Confidence::Hinted,
        };
        let missed = met.is_none() && (wanted.confidence == Confidence::Hinted || wanted.level != Level::Required);
        let asked_for = self.choice().with.iter().any(|s| by_name(s) && decide::selects(s, wanted));
        if missed && asked_for && wanted.confidence != Confidence::Asserted {
            // The selector stands for itself later, and says what is missing.
            return Ok(());
        }
        self.use_selectors(wanted);
        let Some(met) = met else {
            // A hint that leads nowhere is none; what the user asked for, or what is needed, is missing.
            if decision == Decision::Include && wanted.confidence != Confidence::Hinted {
                if let Some(path) = self.local(&wanted.want)? {
                    let finding = findings::local(&path);
                    if !self.needs.diagnostics.contains(&finding) {
                        self.needs.diagnostics.push(finding);
                    }
                }
                requirement.outcome = Outcome::Missing;
                let tried = wanted.want.names().iter().take(TRIED);
                requirement.reason.evidence.extend(tried.map(|name| Evidence::new("not there", escape(name))));
                if let Want::Generated(generated) = &wanted.want {
                    let there = made::there(self, generated)?.into_iter().take(TRIED);
                    requirement.reason.evidence.extend(there.map(|name| Evidence::new("the root has", name)));
                }
                self.tell(requirement);
            }
            return Ok(());
        };
        requirement.subject = met.subject(&wanted.want);
        match decision {
            Decision::Include => {
                let taken = self.take(at, &met, wanted, &reason)?;
                requirement.files = taken.files;
                requirement.size = taken.size;
            }
            Decision::Offer => requirement.outcome = Outcome::Offered(decide::flag(wanted, &met.name())),
            Decision::LeaveOut => requirement.outcome = Outcome::LeftOut,
        }
        self.tell(requirement);
        Ok(())
    }

    /// Remembers the selectors that name a want.
    fn use_selectors(&mut self, wanted: &Wanted) {
        for selector in self.choice().with.iter().chain(&self.choice().without) {
            // A value such as a locale's name is for what is made of it, not for other files of the same feature.
            let of_value = matches!(selector, Selector::Feature { value: Some(_), .. });
            if of_value && !matches!(wanted.want, Want::Generated(_)) {
                continue;
            }
            if decide::selects(selector, wanted) && !self.used.contains(selector) {
                self.used.push(selector.clone());
            }
        }
    }

    /// Selectors that no rule met stand for themselves.
    fn with(&mut self) -> Result<(), RootError> {
        if self.live.is_empty() {
            return Ok(());
        }
        let libraries: Vec<Vec<u8>> = self.live[0].default_directories();
        for selector in &self.choice().with {
            if self.used.contains(selector) || matches!(selector, Selector::Link { .. }) {
                continue;
            }
            match features::want(selector, &libraries) {
                Some(mut wanted) => {
                    // A directory is as good as a file.
                    if let (Selector::File(path), Want::AnyOf(paths)) = (selector, &wanted.want)
                        && self.directory(path.as_bytes())?.is_some()
                    {
                        wanted.want = Want::Tree { paths: paths.clone(), only: Vec::new() };
                    }
                    self.meet(0, &wanted)?;
                }
                None => self.needs.diagnostics.push(findings::unknown_feature(selector)),
            }
        }
        for selector in &self.choice().without {
            if !self.used.contains(selector) {
                self.needs.diagnostics.push(findings::unused(selector));
            }
        }
        Ok(())
    }

    /// Tells that something is not there because there is too much of it; once for each thing.
    pub fn cut_off(&mut self, subject: &str, message: &str) {
        let finding = findings::cut_off(subject, message, self.choice());
        let known = |old: &Diagnostic| old.code == finding.code && old.message == finding.message;
        if !self.needs.diagnostics.iter().any(known) {
            self.needs.diagnostics.push(finding);
        }
    }

    /// The configuration of the image's loader, when one is needed.
    fn configure(&mut self) -> Result<(), RootError> {
        let mut known = Vec::new();
        if let Some(base) = &self.request.base {
            // What the base's own cache leads to needs no word of ours.
            let mut new = std::collections::BTreeMap::new();
            for (name, path) in std::mem::take(&mut self.elsewhere.names) {
                if resolve(&**base, &path)?.is_none() {
                    new.insert(name, path);
                }
            }
            self.elsewhere.names = new;
            let closure = self.live.iter().find_map(|live| live.closure.as_ref());
            known = closure.map_or(Ok(Vec::new()), |closure| super::base::cache_lines(&**base, closure))?;
        }
        for live in &self.live {
            let Some(closure) = &live.closure else { continue };
            let Some(interpreter) = closure.loaded.iter().find(|l| l.found == Found::Interpreter) else { continue };
            placed::configure(&self.elsewhere, &closure.profile, &interpreter.path, &known, &mut self.files);
            break;
        }
        Ok(())
    }
}

/// Facts of an executable that a need brought in, as far as they matter here.
pub(super) fn is_executable(facts: &ElfFacts) -> bool {
    matches!(facts.linkage, Linkage::Static | Linkage::StaticPie | Linkage::Dynamic | Linkage::DynamicPie)
}

/// A program of the root that stays where it is.
pub(super) fn program_at(path: ImagePath, facts: ElfFacts) -> ProgramAt {
    ProgramAt { name: format!("/{}", escape(path.as_bytes())), image: path.clone(), path, called: None, facts }
}

impl Walk<'_> {
    /// The first path that is asked for, is there, and is local to the machine.
    fn local(&self, want: &Want) -> Result<Option<Vec<u8>>, RootError> {
        if !self.request.host || !matches!(want, Want::AnyOf(_) | Want::AllOf(_) | Want::Program(_)) {
            return Ok(None);
        }
        for path in want.names().iter().filter(|name| name.starts_with(b"/")) {
            if let Some(found) = self.look(path)?
                && matches!(found.node, crate::rootfs::Node::File { .. })
                && !local::may_copy(self.request, &found.path)?
            {
                return Ok(Some(path.to_vec()));
            }
        }
        Ok(None)
    }
}
