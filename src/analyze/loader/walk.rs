//! The walk: from a program to everything its loader maps.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::closure::{Answer, Attempt, Search, Step, Undecidable};
use super::search::{Objects, Opened, Opener, directory_of};
use super::{Alias, Audit, Closure, Dependency, Dlopen, Found, Libc, Loaded, Missing, Object, Profile, glibc, musl};
use crate::limits;
use crate::rootfs::{Node, Resolved, Root, RootError};

/// Walk in progress, shared by both rule sets.
pub(super) struct Walk<'a> {
    pub opener: Opener<'a>,
    pub profile: Arc<Profile>,
    /// Arena: an object keeps its index for ever.
    pub loaded: Vec<Loaded>,
    /// The list of the namespace, as indexes into the arena. For an audit library the program is not in it.
    pub order: Vec<usize>,
    pub edges: Vec<(usize, Vec<u8>, usize)>,
    pub missing: Vec<Missing>,
    pub undecidable: Vec<Undecidable>,
    /// All searches, when they are to be told.
    searches: Option<Vec<Search>>,
    /// Where the attempts of each rule begin in the search at hand, when it is to be told.
    pub steps: Option<Vec<(usize, Found)>>,
}

/// What a search for one name gave.
pub(super) enum Hit {
    /// It is loaded already.
    Known(usize),
    /// A fresh object; the flag says that a processor-dependent token was met before.
    Fresh { opened: Opened, found: Found, undecidable: bool },
    /// Nothing; the same flag.
    None { undecidable: bool },
}

impl Hit {
    /// A fresh object, found whatever the processor.
    pub const fn fresh(opened: Opened, found: Found) -> Self {
        Self::Fresh { opened, found, undecidable: false }
    }
}

/// An object with the path by which it is opened.
pub(super) struct Start {
    pub path: Vec<u8>,
    pub resolved: Resolved,
    pub object: Arc<Object>,
}

/// What all walks of a target share.
#[derive(Clone)]
pub(super) struct Ground<'a> {
    pub root: &'a dyn Root,
    pub objects: &'a dyn Objects,
    pub profile: Arc<Profile>,
    /// Whether searches are to be told.
    pub traces: bool,
}

/// Computes the closure of a program, its links resolved as `/proc/self/exe` would; `interpreter` by the path in
/// `PT_INTERP`.
///
/// # Errors
/// [`RootError`] when the root cannot be read.
pub(super) fn closure(ground: &Ground<'_>, program: Start, interpreter: Start) -> Result<Closure, RootError> {
    let audits = audit_names(&program.object, ground.profile.libc);
    let mut walk = Walk::start(ground, program, interpreter);
    let (program, interpreter) = (walk.loaded[0].clone(), walk.loaded[1].clone());
    for name in &Arc::clone(&walk.profile).preload {
        walk.depend(0, name, true)?;
    }
    walk.walk()?;
    let mut closure = walk.finish();
    for name in audits {
        closure.audits.push(audit(ground, &program, &interpreter, name)?);
    }
    Ok(closure)
}

/// Names of `DT_AUDIT` and `DT_DEPAUDIT` of the program (those of libraries do not count); musl knows no such thing.
fn audit_names(program: &Object, libc: Libc) -> Vec<Vec<u8>> {
    let named = program.audit.iter().filter(|name| !name.is_empty() && libc == Libc::Glibc);
    named.take(limits::MAX_AUDIT_LIBRARIES).cloned().collect()
}

/// The closure of one audit library (`load_audit_modules` in elf/rtld.c): opened as by `dlmopen` of the program in an empty
/// namespace, so the program counts for its search paths and for `$ORIGIN` only.
fn audit(ground: &Ground<'_>, program: &Loaded, interpreter: &Loaded, name: Vec<u8>) -> Result<Audit, RootError> {
    let mut walk = Walk::new(ground, program.object.abi);
    walk.loaded = vec![program.clone(), interpreter.clone()];
    let at = walk.depend_for(0, &name, true, None)?;
    if at.is_some() {
        walk.walk()?;
    }
    let mut missing = std::mem::take(&mut walk.missing);
    let outcome = match at {
        Some(_) => {
            walk.missing = missing;
            Ok(walk.finish())
        }
        None => Err(missing.pop().map_or_else(|| Missing::cut_off(name.clone()), |m| Missing { by: 0, ..m })),
    };
    Ok(Audit { name, outcome })
}

/// What `dlopen` of a name by an object of a closure maps (`_dl_open` in elf/dl-open.c, `dlopen` in musl's dynlink.c).
pub(super) fn dlopen(ground: &Ground<'_>, closure: &Closure, by: usize, name: &[u8]) -> Result<Dlopen, RootError> {
    let before = closure.loaded.len();
    let Some(program) = closure.loaded.first().filter(|_| by < before) else {
        let missing = vec![Missing::cut_off(name.to_vec())];
        return Ok(Dlopen { closure: closure.clone(), before, object: None, missing });
    };
    let mut walk = Walk::new(ground, program.object.abi);
    walk.loaded.clone_from(&closure.loaded);
    walk.order = (0..before).collect();
    walk.edges.clone_from(&closure.edges);
    walk.undecidable.clone_from(&closure.undecidable);
    // glibc takes the search paths of the caller, and those of the program for what the object needs; for musl the program
    // is the one who asks.
    let (by, loader) = match walk.profile.libc {
        Libc::Glibc => (by, None),
        Libc::Musl => (0, Some(0)),
    };
    let object = walk.depend_for(by, name, false, loader)?;
    walk.walk()?;
    let missing = std::mem::take(&mut walk.missing);
    let mut opened = walk.finish();
    opened.missing.clone_from(&closure.missing);
    opened.audits.clone_from(&closure.audits);
    opened.cut_off |= closure.cut_off;
    let traced = std::mem::take(&mut opened.searches);
    opened.searches = closure.searches.iter().cloned().chain(traced).collect();
    Ok(Dlopen { closure: opened, before, object, missing })
}

impl<'a> Walk<'a> {
    fn new(ground: &Ground<'a>, abi: super::Abi) -> Self {
        Self {
            opener: Opener::new(ground.root, ground.objects, abi, ground.profile.libc),
            profile: Arc::clone(&ground.profile),
            loaded: Vec::new(),
            order: Vec::new(),
            edges: Vec::new(),
            missing: Vec::new(),
            undecidable: Vec::new(),
            searches: ground.traces.then(Vec::new),
            steps: None,
        }
    }

    /// A list of the program and its loader.
    fn start(ground: &Ground<'a>, program: Start, interpreter: Start) -> Self {
        let mut walk = Self::new(ground, program.object.abi);
        walk.add(program.into(), None, Found::Program, &[]);
        let path = interpreter.path.clone();
        let index = walk.add(interpreter.into(), Some(0), Found::Interpreter, &[]);
        // The loader is in the list from the start under the name in PT_INTERP and its SONAME, with nothing to walk.
        walk.loaded[index].names.insert(path);
        walk.loaded[index].done = true;
        walk
    }
}

impl From<Start> for Opened {
    fn from(start: Start) -> Self {
        Self { path: start.path, resolved: start.resolved, object: start.object }
    }
}

impl Walk<'_> {
    fn is_full(&self) -> bool {
        self.opener.exhausted() || self.loaded.len() >= limits::MAX_CLOSURE_OBJECTS
    }

    /// Walks whatever is not done yet, until the end or a bound.
    fn walk(&mut self) -> Result<(), RootError> {
        // Objects before this place are done, but for one that a filter moves in front of its object.
        let mut place = 0;
        while let Some(at) = self.order.get(place).copied() {
            if std::mem::replace(&mut self.loaded[at].done, true) {
                place += 1;
                continue;
            }
            for dependency in &Arc::clone(&self.loaded[at].object).dependencies {
                if self.is_full() {
                    return Ok(());
                }
                self.opener.spend();
                self.follow(at, dependency)?;
            }
        }
        Ok(())
    }

    fn follow(&mut self, by: usize, dependency: &Dependency) -> Result<(), RootError> {
        match (dependency, self.profile.libc) {
            (Dependency::Needed(name), _) => {
                self.depend(by, name, false)?;
            }
            // musl knows no filters.
            (_, Libc::Musl) => {}
            (Dependency::Filter(name) | Dependency::Auxiliary(name), Libc::Glibc) => {
                let optional = matches!(dependency, Dependency::Auxiliary(_));
                if let Some(filtee) = self.depend(by, name, optional)? {
                    self.put_before(filtee, by);
                }
            }
        }
        Ok(())
    }

    /// A filter's object stands before the object itself in the list; one that stands there already stays.
    fn put_before(&mut self, filtee: usize, object: usize) {
        let place = |index| self.order.iter().position(|i| *i == index);
        if let (Some(from), Some(to)) = (place(filtee), place(object))
            && to < from
        {
            self.order.remove(from);
            self.order.insert(to, filtee);
        }
    }

    /// Meets one dependency; gives the index of the object that does.
    fn depend(&mut self, by: usize, name: &[u8], optional: bool) -> Result<Option<usize>, RootError> {
        self.depend_for(by, name, optional, Some(by))
    }

    /// As [`Self::depend`], where another object than the asking one, or none, hands its RPATH down.
    fn depend_for(
        &mut self,
        by: usize,
        name: &[u8],
        optional: bool,
        loader: Option<usize>,
    ) -> Result<Option<usize>, RootError> {
        let mut attempts = Vec::new();
        self.steps = self.searches.is_some().then(Vec::new);
        let hit = match self.profile.libc {
            Libc::Glibc => glibc::search(self, by, name, &mut attempts)?,
            Libc::Musl => musl::search(self, by, name, &mut attempts)?,
        };
        let undecidable = matches!(hit, Hit::Fresh { undecidable: true, .. } | Hit::None { undecidable: true });
        self.trace(by, name, undecidable, &attempts);
        let (answer, index) = match hit {
            Hit::None { undecidable } => {
                self.missing.push(Missing { name: name.to_vec(), by, optional, attempts, undecidable });
                (Answer::Missing, None)
            }
            Hit::Known(index) => (Answer::Known(index), Some(index)),
            Hit::Fresh { opened, found, undecidable } => {
                if undecidable {
                    self.undecidable.push(Undecidable { by, name: name.to_vec() });
                }
                match self.same_file(&opened.resolved) {
                    Some(index) => {
                        self.known_as(index, name, opened);
                        // In a namespace of its own the loader enters the list when it is first found.
                        if !self.order.contains(&index) {
                            self.order.push(index);
                        }
                        (Answer::SameFile(index), Some(index))
                    }
                    None => {
                        let index = self.add(opened, loader, found, name);
                        (Answer::Loaded(index), Some(index))
                    }
                }
            }
        };
        if let Some(search) = self.searches.as_mut().and_then(|searches| searches.last_mut()) {
            search.answer = answer;
        }
        if let Some(index) = index {
            self.edges.push((by, name.to_vec(), index));
        }
        Ok(index)
    }

    /// Keeps a search for who wants to know; its answer follows.
    fn trace(&mut self, by: usize, name: &[u8], undecidable: bool, attempts: &[Attempt]) {
        let (Some(searches), Some(steps)) = (&mut self.searches, self.steps.take()) else { return };
        let ends = steps.iter().skip(1).map(|(start, _)| *start).chain([attempts.len()]).collect::<Vec<_>>();
        let step = |((start, rule), end): ((usize, Found), usize)| Step {
            rule,
            attempts: attempts.get(start..end).unwrap_or_default().to_vec(),
        };
        let steps = steps.into_iter().zip(ends).map(step).collect();
        searches.push(Search { by, name: name.to_vec(), steps, answer: Answer::Missing, undecidable });
    }

    /// A rule of the search at hand begins.
    pub fn step(&mut self, attempts: &[Attempt], rule: impl FnOnce() -> Found) {
        if let Some(steps) = &mut self.steps {
            steps.push((attempts.len(), rule()));
        }
    }

    fn add(&mut self, opened: Opened, loader: Option<usize>, found: Found, name: &[u8]) -> usize {
        let index = self.loaded.len();
        let mut names = BTreeSet::new();
        match self.profile.libc {
            Libc::Glibc if !name.is_empty() => names.extend([name.to_vec(), opened.path.clone()]),
            // musl knows an object by the name by which a search found it, and by nothing else.
            Libc::Musl if !name.is_empty() && !name.contains(&b'/') => names.extend([name.to_vec()]),
            _ => {}
        }
        self.loaded.push(Loaded {
            path: opened.path,
            resolved: opened.resolved,
            object: opened.object,
            names,
            aliases: Vec::new(),
            loader,
            found,
            soname_added: false,
            done: false,
        });
        self.order.push(index);
        index
    }

    /// The loaded object of the same file, by device and inode, or by its path without links where the root has none.
    /// The program does not count: the kernel mapped it.
    fn same_file(&self, resolved: &Resolved) -> Option<usize> {
        let inode = |r: &Resolved| match r.node {
            Node::File { inode, .. } => inode,
            _ => None,
        };
        let (path, wanted) = (&resolved.path, inode(resolved));
        let same = |l: &Loaded| {
            l.found != Found::Program && (l.resolved.path == *path || wanted.is_some() && inode(&l.resolved) == wanted)
        };
        self.loaded.iter().position(same)
    }

    /// A loaded object was found by another path.
    fn known_as(&mut self, index: usize, name: &[u8], opened: Opened) {
        let object = &mut self.loaded[index];
        match self.profile.libc {
            Libc::Glibc => {
                object.names.insert(name.to_vec());
            }
            // An object that was loaded by a path is from now on known by that path's last part.
            Libc::Musl if object.names.is_empty() && !name.contains(&b'/') => {
                let last = object.path.rsplit(|b| *b == b'/').next().unwrap_or_default().to_vec();
                object.names.insert(last);
            }
            Libc::Musl => {}
        }
        let known = object.path == opened.path || object.aliases.iter().any(|a| a.path == opened.path);
        if !known {
            object.aliases.push(Alias { path: opened.path, resolved: opened.resolved });
        }
    }

    /// `$ORIGIN` of an object: the program's real directory, a library's directory as it was found.
    pub fn origin(&self, index: usize) -> Vec<u8> {
        directory_of(&self.loaded[index].path)
    }

    fn finish(self) -> Closure {
        let cut_off = self.is_full();
        let mut place = vec![None; self.loaded.len()];
        for (to, from) in self.order.iter().enumerate() {
            place[*from] = Some(to);
        }
        let at = |index: usize| place.get(index).copied().flatten();
        let answer = |answer| match answer {
            Answer::Known(i) => at(i).map_or(Answer::Missing, Answer::Known),
            Answer::Loaded(i) => at(i).map_or(Answer::Missing, Answer::Loaded),
            Answer::SameFile(i) => at(i).map_or(Answer::Missing, Answer::SameFile),
            Answer::Missing => Answer::Missing,
        };
        let mut loaded: Vec<Option<Loaded>> = self.loaded.into_iter().map(Some).collect();
        let reordered = self.order.iter().filter_map(|i| loaded[*i].take());
        let loaded = reordered.map(|l| Loaded { loader: l.loader.and_then(at), ..l }).collect();
        // In the namespace of an audit library the program, which asks for it, is not.
        let edges = self.edges.into_iter().filter_map(|(from, name, to)| Some((at(from)?, name, at(to)?)));
        let missing = self.missing.into_iter().map(|m| Missing { by: at(m.by).unwrap_or(0), ..m });
        let undecidable = self.undecidable.into_iter().map(|u| Undecidable { by: at(u.by).unwrap_or(0), ..u });
        let searches = self.searches.into_iter().flatten();
        let searches = searches.map(|s| Search { by: at(s.by).unwrap_or(0), answer: answer(s.answer), ..s });
        Closure {
            libc: self.profile.libc,
            loaded,
            edges: edges.collect(),
            missing: missing.collect(),
            undecidable: undecidable.collect(),
            audits: Vec::new(),
            searches: searches.collect(),
            cut_off,
            profile: self.profile,
        }
    }
}
