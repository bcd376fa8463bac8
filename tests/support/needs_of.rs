//! What the rules ask of programs in a root, looked up there: enough to see which files they reach.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::rc::Rc;

use coracle::analyze::loader::{Closure, Target};
use coracle::analyze::rules::{Context, Generated, Member, RuleSet, Want, Wanted};
use coracle::analyze::traits::Traits;
use coracle::analyze::{Confidence, Level};
use coracle::diag::escape;
use coracle::elf::{ElfFacts, Libc, Linkage};
use coracle::oci::ImagePath;
use coracle::rootfs::{DirRoot, Node, Root, resolve};

/// How a path is covered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cover {
    /// In the image by default.
    Included,
    /// With this flag.
    Offered(String),
    /// Provided by the container runtime.
    AtRunTime,
}

/// Path, SONAME and traits.
type Object = (Vec<u8>, Option<Vec<u8>>, Rc<Traits>);

/// A directory with all below it.
#[derive(Debug)]
struct Tree {
    path: Vec<u8>,
    only: Vec<String>,
    cover: Cover,
}

/// A root, with what all programs in it share.
pub struct Shared<'a> {
    root: &'a DirRoot,
    target: Target<'a>,
    traits: RefCell<BTreeMap<Vec<u8>, Rc<Traits>>>,
}

impl<'a> Shared<'a> {
    pub fn new(root: &'a DirRoot) -> Self {
        Self { root, target: Target::new(root), traits: RefCell::default() }
    }

    fn traits(&self, real: &[u8]) -> Rc<Traits> {
        let mut known = self.traits.borrow_mut();
        let traits = known.entry(real.to_vec()).or_insert_with(|| {
            let file = self.root.open(&ImagePath::parse(&real[1..]).unwrap()).unwrap();
            Rc::new(Traits::read(&*file, RuleSet::builtin().needles()))
        });
        Rc::clone(traits)
    }
}

/// Needs of some programs.
pub struct NeedsOf<'a> {
    root: &'a DirRoot,
    shared: &'a Shared<'a>,
    files: BTreeMap<Vec<u8>, Cover>,
    trees: Vec<Tree>,
    features: BTreeMap<String, BTreeSet<String>>,
    done: BTreeSet<(Vec<u8>, bool)>,
    walked: BTreeSet<(Vec<u8>, Vec<String>, Cover)>,
    interpreter: Option<Vec<u8>>,
}

impl<'a> NeedsOf<'a> {
    pub fn new(shared: &'a Shared<'a>) -> Self {
        Self {
            root: shared.root,
            shared,
            files: BTreeMap::new(),
            trees: Vec::new(),
            features: BTreeMap::new(),
            done: BTreeSet::new(),
            walked: BTreeSet::new(),
            interpreter: None,
        }
    }

    /// Follows a program and all it needs.
    pub fn program(&mut self, path: &[u8]) {
        self.object(path, &Cover::Included, true);
    }

    /// Number of paths that are included, links counted for themselves.
    pub fn included(&self) -> usize {
        self.files.values().filter(|cover| **cover == Cover::Included).count()
    }

    /// Flags that are offered, each with what it stands for.
    pub const fn features(&self) -> &BTreeMap<String, BTreeSet<String>> {
        &self.features
    }

    /// All of it, for people.
    pub fn describe(&self) -> String {
        let mut out = String::new();
        for (path, cover) in self.files.iter().filter(|(_, cover)| !matches!(cover, Cover::Offered(_))) {
            writeln!(out, "  {cover:?} {}", escape(path)).unwrap();
        }
        for tree in self.trees.iter().filter(|tree| tree.cover == Cover::Included) {
            writeln!(out, "  Included tree {}", escape(&tree.path)).unwrap();
        }
        for (feature, wants) in &self.features {
            writeln!(out, "  --with {feature}: {}", wants.iter().cloned().collect::<Vec<_>>().join("; ")).unwrap();
        }
        out
    }

    /// How a path is covered: itself or the file that it leads to.
    pub fn cover(&mut self, path: &[u8]) -> Option<Cover> {
        let real = self.real(path);
        let direct = [Some(path), real.as_deref()].into_iter().flatten().filter_map(|p| self.files.get(p)).min();
        let trees =
            self.trees.iter().filter(|tree| [Some(path), real.as_deref()].into_iter().flatten().any(|p| tree.has(p)));
        direct.into_iter().chain(trees.map(|tree| &tree.cover)).min().cloned()
    }

    fn real(&self, path: &[u8]) -> Option<Vec<u8>> {
        let resolved = resolve(self.root, path).ok()??;
        Some([b"/", resolved.path.as_bytes()].concat())
    }

    fn is_directory(&self, path: &[u8]) -> bool {
        resolve(self.root, path).ok().flatten().is_some_and(|r| matches!(r.node, Node::Directory { .. }))
    }

    fn is_file(&self, path: &[u8]) -> bool {
        resolve(self.root, path).ok().flatten().is_some_and(|r| matches!(r.node, Node::File { .. }))
    }

    fn put(&mut self, path: &[u8], cover: &Cover) {
        let mut paths = vec![path.to_vec()];
        paths.extend(self.real(path));
        for path in paths {
            let known = self.files.entry(path).or_insert_with(|| cover.clone());
            if *cover < *known {
                *known = cover.clone();
            }
        }
    }

    /// An ELF file with its closure, and what the rules ask of them.
    fn object(&mut self, path: &[u8], cover: &Cover, is_program: bool) {
        let Some(real) = self.real(path) else { return };
        if !self.done.insert((real.clone(), *cover == Cover::Included)) {
            return;
        }
        self.put(path, cover);
        let Ok(file) = self.root.open(&ImagePath::parse(&real[1..]).unwrap()) else { return };
        let Ok(facts) = ElfFacts::parse(&*file) else { return };
        let interpreter = facts.interpreter.as_ref().map(|name| name.as_bytes().to_vec());
        if is_program && interpreter.is_some() {
            self.interpreter.clone_from(&interpreter);
        }
        let closure = self.shared.target.closure(path, self.interpreter.as_deref()).unwrap().ok();
        let members: Vec<Object> = match &closure {
            Some(closure) => closure.loaded.iter().map(|l| self.member(&l.path, l.object.soname.clone())).collect(),
            None => vec![self.member(path, None)],
        };
        for (path, _, _) in &members {
            self.put(path, cover);
        }
        let libc = match &closure {
            Some(closure) => Some(match closure.libc {
                coracle::analyze::loader::Libc::Glibc => Libc::Glibc,
                coracle::analyze::loader::Libc::Musl => Libc::Musl,
            }),
            None => facts.toolchain.libc,
        };
        let linkage = if closure.is_some() { Linkage::DynamicPie } else { facts.linkage };
        let view: Vec<Member<'_>> = members
            .iter()
            .enumerate()
            .map(|(index, (path, soname, traits))| Member {
                path,
                soname: soname.as_deref(),
                traits,
                is_program: is_program && index == 0,
                is_libc: soname.as_deref().is_some_and(is_libc),
            })
            .collect();
        for wanted in RuleSet::builtin().evaluate(&Context { libc, linkage }, &view) {
            let by = &members[wanted.needed_by].0;
            self.want(&wanted, by, closure.as_ref(), cover);
        }
    }

    fn member(&self, path: &[u8], soname: Option<Vec<u8>>) -> Object {
        (path.to_vec(), soname, self.shared.traits(&self.real(path).unwrap()))
    }

    fn want(&mut self, wanted: &Wanted, by: &[u8], closure: Option<&Closure>, parent: &Cover) {
        let sure = matches!(wanted.confidence, Confidence::Declared | Confidence::Derived);
        let cover = match parent {
            Cover::Included if sure && wanted.level == Level::Required => Cover::Included,
            Cover::Included => Cover::Offered(wanted.feature.clone().unwrap_or_default()),
            other => other.clone(),
        };
        let exists = self.follow(&wanted.want, by, closure, &cover);
        if exists && matches!((&cover, parent), (Cover::Offered(_), Cover::Included)) {
            let feature = wanted.feature.clone().unwrap_or_default();
            self.features.entry(feature).or_default().insert(format!("{} [{}]", wanted.want, wanted.rule));
        }
    }

    /// Whether what is wanted is there.
    fn follow(&mut self, want: &Want, by: &[u8], closure: Option<&Closure>, cover: &Cover) -> bool {
        let files = |paths: &[Vec<u8>]| paths.iter().filter(|path| self.is_file(path)).cloned().collect::<Vec<_>>();
        let (files, is_program) = match want {
            Want::AnyOf(paths) => (files(paths).into_iter().take(1).collect(), false),
            Want::Program(paths) => (files(paths).into_iter().take(1).collect(), true),
            Want::AllOf(paths) => (files(paths), false),
            Want::Library(names) => (self.library(names, by, closure), false),
            Want::Tree { paths, only } => return self.tree(paths, only, cover),
            Want::Generated(made) => return self.generated(made, cover),
            Want::AtRunTime(path) => {
                self.put(path, &Cover::AtRunTime);
                return true;
            }
            Want::Writable(_) => return true,
        };
        for path in &files {
            self.object(path, cover, is_program);
        }
        !files.is_empty()
    }

    fn tree(&mut self, paths: &[Vec<u8>], only: &[String], cover: &Cover) -> bool {
        let Some(path) = paths.iter().find(|path| self.is_directory(path)) else { return false };
        let real = self.real(path).unwrap();
        if !self.walked.insert((real.clone(), only.to_vec(), cover.clone())) {
            return true;
        }
        for path in [path.clone(), real.clone()] {
            self.trees.push(Tree { path, only: only.to_vec(), cover: cover.clone() });
        }
        for file in self.below(&real) {
            self.object(&file, cover, false);
        }
        true
    }

    /// All files below a directory; links are followed once, to files.
    fn below(&self, path: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        let mut open = vec![path.to_vec()];
        while let Some(directory) = open.pop() {
            let Some(at) = ImagePath::parse(&directory[1..]).ok() else { continue };
            for name in self.root.read_dir(&at).unwrap_or_default() {
                let inside = [&directory, &b"/"[..], &name].concat();
                match self.root.node(&ImagePath::parse(&inside[1..]).unwrap()) {
                    Ok(Some(Node::Directory { .. })) => open.push(inside),
                    Ok(Some(Node::File { .. } | Node::Symlink(_))) => out.push(inside),
                    _ => {}
                }
            }
        }
        out
    }

    /// Beside what is loaded already.
    fn library(&self, names: &[Vec<u8>], by: &[u8], closure: Option<&Closure>) -> Vec<Vec<u8>> {
        let mut directories: Vec<Vec<u8>> = vec![parent(by)];
        for loaded in closure.into_iter().flat_map(|closure| &closure.loaded) {
            directories.push(parent(&loaded.path));
        }
        let candidates = names.iter().flat_map(|name| directories.iter().map(move |d| [d, &b"/"[..], name].concat()));
        candidates.filter(|path| self.is_file(path)).take(1).collect()
    }

    fn generated(&mut self, made: &Generated, cover: &Cover) -> bool {
        for path in made.fixed_paths() {
            self.put(path, cover);
        }
        for path in made.paths() {
            match made {
                Generated::CaBundle { .. } => {
                    self.put(path, cover);
                    // The bundle is made by a script of its package: the link to it leads nowhere.
                    self.put(b"/etc/ssl/certs/ca-certificates.crt", cover);
                }
                _ => {
                    self.tree(std::slice::from_ref(path), &[], cover);
                }
            }
        }
        true
    }
}

impl Tree {
    fn has(&self, path: &[u8]) -> bool {
        let below = path.strip_prefix(self.path.as_slice()).is_some_and(|rest| rest.starts_with(b"/"));
        let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
        let taken = |glob: &String| {
            globset::Glob::new(glob)
                .unwrap()
                .compile_matcher()
                .is_match_candidate(&globset::Candidate::from_bytes(name))
        };
        below && (self.only.is_empty() || self.only.iter().any(taken))
    }
}

fn parent(path: &[u8]) -> Vec<u8> {
    path.iter().rposition(|b| *b == b'/').map_or_else(Vec::new, |at| path[..at].to_vec())
}

/// The C library, its loader and what belongs to them.
fn is_libc(soname: &[u8]) -> bool {
    let stem = soname.split(|b| *b == b'.').next().unwrap_or_default();
    let companions: [&[u8]; 10] = [
        b"libc",
        b"libm",
        b"libdl",
        b"libpthread",
        b"librt",
        b"libresolv",
        b"libutil",
        b"libanl",
        b"libnsl",
        b"libmvec",
    ];
    companions.contains(&stem)
        || soname.starts_with(b"ld-linux")
        || soname.starts_with(b"ld-musl")
        || soname.starts_with(b"libc.musl")
}
