//! The walk: from a program to everything its loader maps.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::search::{Objects, Opened, Opener, directory_of};
use super::{Dependency, Found, Libc, Object, Profile, glibc, musl};
use crate::limits;
use crate::rootfs::{Node, Resolved, Root, RootError};

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
    done: bool,
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
    /// The file at which the loader gave up, where there is one: no later directory would have been tried.
    #[must_use]
    pub fn garbage(&self) -> Option<&Attempt> {
        self.attempts.last().filter(|attempt| matches!(attempt.verdict, Verdict::Garbage(_)))
    }
}

/// Everything the loader maps for one program.
#[derive(Debug, Clone)]
pub struct Closure {
    /// Whose rules were followed.
    pub libc: Libc,
    /// Objects in the loader's order; the program is the first, the interpreter the second where there is one.
    pub loaded: Vec<Loaded>,
    /// `(asking, name, given)` for every dependency met, in the order of the walk.
    pub edges: Vec<(usize, Vec<u8>, usize)>,
    /// Dependencies that cannot be met.
    pub missing: Vec<Missing>,
    /// The walk was cut off at [`limits::MAX_CLOSURE_OBJECTS`] or [`limits::MAX_LOADER_ATTEMPTS`]; what is told is true,
    /// but not all.
    pub cut_off: bool,
}

/// Walk in progress, shared by both rule sets.
pub(super) struct Walk<'a> {
    pub opener: Opener<'a>,
    pub profile: &'a Profile,
    /// Arena: an object keeps its index for ever.
    pub loaded: Vec<Loaded>,
    /// The loader's list, as indexes into the arena.
    pub order: Vec<usize>,
    pub edges: Vec<(usize, Vec<u8>, usize)>,
    pub missing: Vec<Missing>,
}

/// What a search for one name gave.
pub(super) enum Hit {
    /// It is loaded already.
    Known(usize),
    /// A fresh object.
    Fresh(Opened, Found),
    /// Nothing; the flag says that a processor-dependent token was met.
    None { undecidable: bool },
}

/// Computes the closure of the program at `program` (a path inside the root, links resolved by the caller for
/// `$ORIGIN` as `/proc/self/exe` would). `interpreter` is the resolved `PT_INTERP`, where there is one.
///
/// # Errors
/// [`RootError`] when the root cannot be read.
pub fn closure(
    root: &dyn Root,
    objects: &dyn Objects,
    profile: &Profile,
    program: Resolved,
    object: Arc<Object>,
    interpreter: Option<(Vec<u8>, Resolved, Arc<Object>)>,
) -> Result<Closure, RootError> {
    let opener = Opener::new(root, objects, object.abi, profile.libc);
    let mut walk =
        Walk { opener, profile, loaded: Vec::new(), order: Vec::new(), edges: Vec::new(), missing: Vec::new() };
    let path = [b"/", program.path.as_bytes()].concat();
    walk.add(Opened { path, resolved: program, object }, None, Found::Program, &[]);
    if let Some((path, resolved, object)) = interpreter {
        let index = walk.add(Opened { path: path.clone(), resolved, object }, Some(0), Found::Interpreter, &[]);
        // The loader is in the list from the start under the name in PT_INTERP and its SONAME, with nothing to walk.
        walk.loaded[index].names.insert(path);
        walk.loaded[index].done = true;
    }
    for name in &profile.preload {
        walk.depend(0, name, true)?;
    }
    // Objects before this place are done, but for one that a filter moves in front of its object.
    let mut place = 0;
    while let Some(at) = walk.order.get(place).copied() {
        if std::mem::replace(&mut walk.loaded[at].done, true) {
            place += 1;
            continue;
        }
        for dependency in &Arc::clone(&walk.loaded[at].object).dependencies {
            if walk.is_full() {
                return Ok(walk.finish());
            }
            walk.follow(at, dependency)?;
        }
    }
    Ok(walk.finish())
}

impl Walk<'_> {
    fn is_full(&self) -> bool {
        self.opener.exhausted() || self.loaded.len() >= limits::MAX_CLOSURE_OBJECTS
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
        let mut attempts = Vec::new();
        let hit = match self.profile.libc {
            Libc::Glibc => glibc::search(self, by, name, &mut attempts)?,
            Libc::Musl => musl::search(self, by, name, &mut attempts)?,
        };
        let index = match hit {
            Hit::None { undecidable } => {
                self.missing.push(Missing { name: name.to_vec(), by, optional, attempts, undecidable });
                return Ok(None);
            }
            Hit::Known(index) => index,
            Hit::Fresh(opened, found) => match self.same_file(&opened.resolved) {
                Some(index) => {
                    self.known_as(index, name, opened);
                    index
                }
                None => self.add(opened, Some(by), found, name),
            },
        };
        self.edges.push((by, name.to_vec(), index));
        Ok(Some(index))
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
        let mut place = vec![0; self.loaded.len()];
        for (to, from) in self.order.iter().enumerate() {
            place[*from] = to;
        }
        let mut loaded: Vec<Option<Loaded>> = self.loaded.into_iter().map(Some).collect();
        let reordered = self.order.iter().filter_map(|i| loaded[*i].take());
        let loaded = reordered.map(|l| Loaded { loader: l.loader.map(|i| place[i]), ..l }).collect();
        let edges = self.edges.into_iter().map(|(from, name, to)| (place[from], name, place[to])).collect();
        let missing = self.missing.into_iter().map(|m| Missing { by: place[m.by], ..m }).collect();
        Closure { libc: self.profile.libc, loaded, edges, missing, cut_off }
    }
}
