//! From wants to what the root has of them.

use globset::{Glob, GlobSet, GlobSetBuilder};

use super::made::{self, Made};
use super::trees::{self, Wish};
use super::walk::{Walk, is_executable, program_at};
use super::{Reason, Subject, findings, local, resolved_size};
use crate::analyze::rules::{Want, Wanted};
use crate::diag::escape;
use crate::elf::{ElfFacts, FileKind, Linkage, classify};
use crate::oci::ImagePath;
use crate::rootfs::{Node, Resolved, RootError, resolve};

/// Where programs of an image are looked for by name: `PATH` of an image's config.
const PATH: [&[u8]; 6] = [b"/usr/local/sbin", b"/usr/local/bin", b"/usr/sbin", b"/usr/bin", b"/sbin", b"/bin"];

/// What the root has of a want.
pub(super) enum Met {
    /// Files, by the path that leads to each.
    Files(Vec<(Vec<u8>, Resolved)>),
    /// A directory.
    Tree(Vec<u8>, Resolved, Option<GlobSet>),
    /// A library by its name.
    Library(Vec<u8>),
    /// A program.
    Program(Vec<u8>, Resolved),
    /// A directory to write to.
    Writable(Vec<u8>),
    /// Something that is made.
    Made(Made),
}

/// What went into the image.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub files: Vec<String>,
    pub size: u64,
}

impl Met {
    /// The path or name by which people know it.
    pub fn name(&self) -> String {
        match self {
            Self::Files(files) => files.first().map(|(path, _)| escape(path)).unwrap_or_default(),
            Self::Tree(path, ..) | Self::Program(path, _) | Self::Writable(path) => escape(path),
            Self::Library(name) => escape(name),
            Self::Made(_) => String::new(),
        }
    }

    /// What a requirement is about, now that it is known what the root has.
    pub fn subject(&self, want: &Want) -> Subject {
        match self {
            Self::Files(_) => Subject::File(self.name()),
            Self::Tree(..) => Subject::Tree(self.name()),
            Self::Library(_) => Subject::Library(self.name()),
            Self::Program(..) => Subject::Executable(self.name()),
            Self::Writable(_) | Self::Made(_) => super::subject(want),
        }
    }
}

impl Walk<'_> {
    /// Looks a want up in the root; `None` when it has nothing of it.
    pub fn find(&mut self, at: usize, wanted: &Wanted) -> Result<Option<Met>, RootError> {
        Ok(match &wanted.want {
            Want::AnyOf(paths) => {
                let mut found = None;
                for path in paths {
                    found = self.file(path)?;
                    if found.is_some() {
                        break;
                    }
                }
                found.map(|found| Met::Files(vec![found]))
            }
            Want::AllOf(paths) => {
                let mut found = Vec::new();
                for path in paths {
                    found.extend(self.file(path)?);
                }
                (!found.is_empty()).then_some(Met::Files(found))
            }
            Want::Tree { paths, only } => {
                let mut found = None;
                for path in paths {
                    if let Some(top) = self.directory(path)? {
                        found = Some(Met::Tree(path.clone(), top, globs(only)));
                        break;
                    }
                }
                found
            }
            Want::Library(names) => self.library(at, wanted.needed_by, names)?,
            Want::Program(names) => self.program(names)?,
            Want::Generated(generated) => made::find(self, at, generated)?.map(Met::Made),
            Want::Writable(path) => Some(Met::Writable(path.clone())),
            Want::AtRunTime(_) => None,
        })
    }

    /// The regular file at a path that may go into an image.
    pub fn file(&self, path: &[u8]) -> Result<Option<(Vec<u8>, Resolved)>, RootError> {
        let found = self.look(path)?.filter(|found| matches!(found.node, Node::File { .. }));
        let Some(found) = found else { return Ok(None) };
        Ok(local::may_copy(self.request, &found.path)?.then(|| (path.to_vec(), found)))
    }

    /// The directory at a path; nothing needs the root itself, nor what the kernel makes up.
    pub fn directory(&self, path: &[u8]) -> Result<Option<Resolved>, RootError> {
        let directory = |found: &Resolved| {
            let real = !found.path.is_root() && !local::is_volatile(&found.path);
            real && matches!(found.node, Node::Directory { .. })
        };
        Ok(self.look(path)?.filter(directory))
    }

    /// What a path leads to; loops and what may not be read are nothing.
    pub fn look(&self, path: &[u8]) -> Result<Option<Resolved>, RootError> {
        match resolve(self.root(), path) {
            Ok(found) => Ok(found),
            Err(RootError::TooManyLinks(_) | RootError::PathTooLong) => Ok(None),
            Err(error) if error.hides() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn library(&self, at: usize, by: usize, names: &[Vec<u8>]) -> Result<Option<Met>, RootError> {
        let Some(closure) = &self.live[at].closure else { return Ok(None) };
        for name in names {
            let asked = self.target.dlopen(closure, by.min(closure.loaded.len() - 1), name)?;
            if asked.object.is_some() {
                return Ok(Some(Met::Library(name.clone())));
            }
        }
        Ok(None)
    }

    pub(super) fn program(&self, names: &[Vec<u8>]) -> Result<Option<Met>, RootError> {
        for name in names {
            let candidates: Vec<Vec<u8>> = if name.contains(&b'/') {
                vec![name.clone()]
            } else {
                PATH.iter().map(|directory| [directory, &b"/"[..], name].concat()).collect()
            };
            for path in candidates {
                if let Some((path, found)) = self.file(&path)?
                    && matches!(found.node, Node::File { mode, .. } if mode & 0o111 != 0)
                {
                    return Ok(Some(Met::Program(path, found)));
                }
            }
        }
        Ok(None)
    }

    /// Takes what was found into the image, with what it needs itself.
    pub fn take(&mut self, at: usize, met: &Met, wanted: &Wanted, reason: &Reason) -> Result<Taken, RootError> {
        let root = self.root();
        let mut taken = Taken::default();
        match met {
            Met::Files(files) => {
                for (path, found) in files {
                    self.files.take_resolved(root, found, reason)?;
                    if local::is_private(&found.node) {
                        self.needs.diagnostics.push(findings::private(path));
                    }
                    taken.files.push(escape(path));
                    taken.size += resolved_size(found);
                    self.code(at, wanted, path, found, reason)?;
                }
            }
            Met::Tree(path, top, only) => {
                let tree = self.tree(top, &Wish { only: only.as_ref(), except: &[] }, reason)?;
                taken.files.push(escape(path));
                taken.size = tree.size;
                for file in tree.files {
                    self.code_in_tree(at, wanted, &file, reason)?;
                }
            }
            Met::Library(name) => {
                let before = self.files.size();
                self.dlopen(at, wanted.needed_by, name, reason, &wanted.about)?;
                taken.size = self.files.size() - before;
                let live = &self.live[at];
                let places = live.places.iter().skip(live.startup);
                taken.files.extend(places.filter(|place| place.ends_with(name)).map(|place| escape(place)));
            }
            Met::Program(path, found) => {
                self.files.take_resolved(root, found, reason)?;
                taken.files.push(escape(path));
                taken.size = resolved_size(found);
                self.execute(found, reason)?;
            }
            Met::Writable(path) => {
                let mut needed = super::Requirement::included(
                    Subject::WritableDirectory(escape(path)),
                    wanted.level,
                    reason.clone(),
                );
                needed.files = vec![escape(path)];
                taken.files.push(escape(path));
                if path.starts_with(b"/") && !self.needs.writable.iter().any(|known| known.subject == needed.subject) {
                    self.needs.writable.push(needed);
                }
            }
            Met::Made(what) => taken = made::take(self, at, what, reason)?,
        }
        Ok(taken)
    }

    /// Takes a directory, and tells what of it is not taken.
    pub fn tree(&mut self, top: &Resolved, wish: &Wish<'_>, reason: &Reason) -> Result<trees::Taken, RootError> {
        let tree = trees::take(self.request, top, wish, reason, &mut self.files)?;
        let shown = escape(&super::placed::slashed(&top.path));
        if tree.cut_off {
            self.cut_off(&shown, "the directory has more entries than are taken");
        }
        if !tree.local.is_empty() {
            self.needs.diagnostics.push(findings::local_in(&shown, &tree.local));
        }
        if !tree.private.is_empty() {
            self.needs.diagnostics.push(findings::private_in(&shown, &tree.private));
        }
        Ok(tree)
    }

    /// A file that was taken may be code: a library to load, a program to execute, a script for another program.
    fn code(
        &mut self,
        at: usize,
        wanted: &Wanted,
        path: &[u8],
        found: &Resolved,
        reason: &Reason,
    ) -> Result<(), RootError> {
        let file = self.root().open(&found.path)?;
        match classify(&*file) {
            FileKind::Elf => match ElfFacts::parse(&*file) {
                Ok(facts) if facts.linkage == Linkage::SharedLibrary => {
                    self.dlopen(at, wanted.needed_by, path, reason, &wanted.about)
                }
                Ok(facts) if is_executable(&facts) => self.start(&program_at(found.path.clone(), facts)),
                _ => Ok(()),
            },
            FileKind::Script { .. } if matches!(found.node, Node::File { mode, .. } if mode & 0o111 != 0) => {
                self.execute(found, reason)
            }
            _ => Ok(()),
        }
    }

    /// The same for a file of a tree: libraries by their names only, since most files are data.
    fn code_in_tree(&mut self, at: usize, wanted: &Wanted, path: &ImagePath, reason: &Reason) -> Result<(), RootError> {
        let name = path.file_name();
        let library = name.ends_with(b".so") || memchr::memmem::find(name, b".so.").is_some();
        let Some(node) = self.root().node(path)?.filter(|_| library) else { return Ok(()) };
        let found = Resolved { path: path.clone(), node, links: Vec::new() };
        self.code(at, wanted, &super::placed::slashed(path), &found, reason)
    }

    /// Objects that a `dlopen` maps; `about` says what for.
    pub fn dlopen(&mut self, at: usize, by: usize, name: &[u8], reason: &Reason, about: &str) -> Result<(), RootError> {
        let live = &self.live[at];
        let Some(closure) = &live.closure else { return Ok(()) };
        let asked = self.target.dlopen(closure, by.min(closure.loaded.len() - 1), name)?;
        let missing: Vec<Vec<u8>> = asked.missing.iter().filter(|m| !m.optional).map(|m| m.name.clone()).collect();
        if !missing.is_empty() {
            let place = live.place(by);
            self.needs.diagnostics.push(findings::unloadable(name, &place, &missing));
        }
        let Some(object) = asked.object else { return Ok(()) };
        let live = &mut self.live[at];
        if object >= asked.before {
            live.reasons.insert(object, reason.clone());
            live.abouts.insert(object, about.to_owned());
        }
        live.closure = Some(asked.closure);
        self.place(at)
    }
}

fn globs(only: &[String]) -> Option<GlobSet> {
    if only.is_empty() {
        return None;
    }
    let mut set = GlobSetBuilder::new();
    for glob in only.iter().filter_map(|glob| Glob::new(glob).ok()) {
        set.add(glob);
    }
    set.build().ok()
}
