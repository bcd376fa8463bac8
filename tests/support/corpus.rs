//! Programs of a root with what they opened at run time, and how the analyzer covers each file of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use coracle::analyze::Outcome;
use coracle::analyze::needs::{self, Choice, ImageFileKind, ImageTree, Needs, NeedsRequest, ProgramAt, Selector};
use coracle::analyze::verdict::Remedy;
use coracle::analyze::{Reason, Requirement, Subject};
use coracle::elf::{FileKind, classify};
use coracle::oci::ImagePath;
use coracle::pipeline::sysroot::Sysroot;
use coracle::pipeline::{self, Planned, ProgramFile, Request, programs};
use coracle::rootfs::packages::Packages;
use coracle::rootfs::{DirRoot, Linked, Node, Root, read_whole, resolve};
use serde::Deserialize;

/// A run of programs.
#[derive(Debug, Clone, Deserialize)]
pub struct Case {
    pub name: String,
    /// All that were exec'ed.
    pub executables: Vec<String>,
    /// What the root's own loader maps for them, as real paths, with the programs.
    pub closure: BTreeSet<String>,
    /// Regular files that were opened for reading and that no `DT_NEEDED` names.
    pub opened_beyond_closure: Vec<String>,
}

/// What a case opened, by class; `/**` stands for all below, which is one need.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Classes {
    pub user: Vec<String>,
    pub runtime: Vec<String>,
    pub needed: Vec<String>,
}

impl Classes {
    /// The class of a path; none when it has no class, or several.
    pub fn of(&self, path: &str) -> Option<&'static str> {
        let lists = [("user", &self.user), ("runtime", &self.runtime), ("needed", &self.needed)];
        let mut found = lists.into_iter().filter(|(_, list)| list.iter().any(|entry| matches(entry, path)));
        let (class, _) = found.next()?;
        found.next().is_none().then_some(class)
    }
}

/// Whether an entry of a class stands for a path.
pub fn matches(entry: &str, path: &str) -> bool {
    match entry.strip_suffix("/**") {
        Some(above) => path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/')),
        None => entry == path,
    }
}

/// The cases of a file of `testdata/corpus`, each with the classes that another file gives it.
pub fn cases(runs: &str, classes: &str) -> Vec<(Case, Classes)> {
    let text = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/corpus").join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let cases: Vec<Case> = serde_json::from_str(&text(runs)).unwrap();
    let mut classes: BTreeMap<String, Classes> = serde_saphyr::from_str(&text(classes)).unwrap();
    let with = |case: Case| {
        let class = classes.remove(&case.name).unwrap_or_else(|| panic!("`{}` has no classes", case.name));
        (case, class)
    };
    let all = cases.into_iter().map(with).collect();
    assert!(classes.is_empty(), "classes without a case: {:?}", classes.keys());
    all
}

/// Files that the plan makes where `Needs::accounts` has a reason.
pub const ACCOUNTS: [&str; 2] = ["/etc/passwd", "/etc/group"];

/// How a need is covered, the best first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cover {
    /// In the image by default.
    Included,
    /// With this flag, which was tried.
    Offered(String),
    /// Not at all.
    Missed,
}

/// What came out for a case.
#[derive(Debug)]
pub struct Judged {
    pub name: String,
    /// Links that a script of a package would have made, as the findings name them.
    pub links: Vec<Selector>,
    /// What the root's loader maps and we do not, then what only we do.
    pub closure: [BTreeSet<String>; 2],
    /// Number of files that the root's loader maps.
    pub mapped: usize,
    /// Entries of the class `needed`, with the files of each that are covered worst.
    pub needed: BTreeMap<String, (Cover, Vec<String>)>,
    /// Files of an interpreter's tree that the run itself had made.
    pub not_in_root: Vec<String>,
    /// Files of the container runtime that are not known to be such.
    pub not_of_runtime: Vec<String>,
    /// Flags that are offered.
    pub flags: usize,
    /// Regular files of the image, by default.
    pub files: usize,
    /// Those of them that were not opened, with their sizes.
    pub unopened: BTreeMap<String, u64>,
}

impl Judged {
    pub fn count(&self, wanted: fn(&Cover) -> bool) -> usize {
        self.needed.values().filter(|(cover, _)| wanted(cover)).count()
    }
}

/// A root, with what all its programs share.
pub struct Bench {
    pub root: Arc<dyn Root>,
    packages: Option<Arc<Packages>>,
}

impl Bench {
    pub fn open(directory: &Path) -> Self {
        let root: Arc<dyn Root> = Arc::new(DirRoot::open(directory).unwrap());
        let (packages, _) = Packages::read(&*root).unwrap();
        let packages = packages.has_database().then(|| Arc::new(packages));
        Self { root, packages }
    }

    /// The path without links.
    pub fn real(&self, path: &str) -> Option<ImagePath> {
        resolve(&*self.root, path.as_bytes()).unwrap().map(|found| found.path)
    }

    /// Programs to start: a script is none, its interpreter is, with `--with program:SCRIPT`.
    fn programs(&self, executables: &[String]) -> (Vec<String>, Vec<Selector>) {
        let (mut programs, mut with) = (Vec::new(), Vec::new());
        for path in executables {
            let real = self.real(path).unwrap_or_else(|| panic!("{path} is not in the root"));
            let file = self.root.open(&real).unwrap();
            if let FileKind::Script { .. } = classify(&*file) {
                let bytes = read_whole(&*self.root, &real, 1 << 20).unwrap();
                let line = String::from_utf8_lossy(bytes.split(|b| *b == b'\n').next().unwrap()).into_owned();
                let words: Vec<&str> = line.trim_start_matches("#!").split_whitespace().collect();
                let last = words.last().unwrap();
                programs.push(if last.starts_with('/') { (*last).to_owned() } else { format!("/usr/bin/{last}") });
                with.push(Selector::Program(path.clone()));
            } else {
                programs.push(path.clone());
            }
        }
        (programs, with)
    }

    fn at(&self, path: &str) -> ProgramAt {
        let analysis = programs::analyze_in_root(&*self.root, Path::new(path)).unwrap();
        let program = analysis.into_program().unwrap_or_else(|findings| panic!("{path}: {findings:?}"));
        let real = self.real(path).unwrap();
        let asked = ImagePath::parse(path.trim_start_matches('/')).unwrap();
        let called = (asked != real).then_some(asked);
        ProgramAt { name: program.name, path: real.clone(), image: real, called, facts: program.facts }
    }

    /// The root with the links that the findings about these programs name: scripts of packages would have made them.
    pub fn mended(&self, executables: &[String]) -> (Self, Vec<Selector>) {
        let (mut links, mut flags) = (BTreeMap::new(), Vec::new());
        for remedy in self.find(executables, &[]).remedies {
            let flag: Selector = remedy.to_string().strip_prefix("--with ").unwrap().parse().unwrap();
            let Remedy::Link { link, target } = remedy else { unreachable!("{flag}") };
            let (directory, name) = link.split_at(link.iter().rposition(|b| *b == b'/').unwrap());
            let directory = resolve(&*self.root, directory).unwrap().unwrap().path;
            links.insert(directory.join(&name[1..]).unwrap(), target);
            flags.push(flag);
        }
        let root = Arc::new(Linked::new(Arc::clone(&self.root), links));
        (Self { root, packages: self.packages.clone() }, flags)
    }

    /// What programs need, with these flags.
    pub fn find(&self, executables: &[String], with: &[Selector]) -> Needs {
        let (programs, mut own) = self.programs(executables);
        own.extend_from_slice(with);
        needs::find(&NeedsRequest {
            root: Arc::clone(&self.root),
            base: None,
            programs: programs.iter().map(|path| self.at(path)).collect(),
            choice: Choice { with: own, ..Choice::default() },
            packages: self.packages.clone(),
            host: false,
            level: 1,
            library_path: None,
        })
        .unwrap()
    }

    /// The plan that the pipeline makes of the programs.
    pub fn plan(&self, executables: &[String], with: &[Selector]) -> Planned {
        let (programs, mut own) = self.programs(executables);
        own.extend_from_slice(with);
        let file = |path: &String| ProgramFile { in_root: true, ..ProgramFile::at(path) };
        let sysroot = Sysroot { root: Arc::clone(&self.root), is_host: false, platform: None, base: None };
        let request = Request {
            programs: programs.iter().map(file).collect(),
            roots: vec![sysroot],
            choice: Choice { with: own, ..Choice::default() },
            ..Request::default()
        };
        pipeline::plan(&request).unwrap_or_else(|error| panic!("{programs:?}: {error:?}"))
    }

    /// Whether the path leads to a file in the image that is the root's own, or one that was made.
    fn has(&self, needs: &Needs, path: &str) -> bool {
        // The plan makes them when there is a reason to.
        if ACCOUNTS.contains(&path) {
            return needs.accounts.is_some();
        }
        let tree = ImageTree::new(Arc::clone(&self.root), needs.files.clone());
        let Some(found) = resolve(&tree, path.as_bytes()).unwrap() else { return false };
        match needs.files.get(&found.path).map(|file| &file.kind) {
            Some(ImageFileKind::Copied { from, .. }) => self.real(path).as_ref() == Some(from),
            Some(ImageFileKind::Generated(_)) => true,
            _ => false,
        }
    }

    /// How each file is covered; `needs` are those by default.
    fn covers(&self, executables: &[String], needs: &Needs, paths: &[&String]) -> BTreeMap<String, Cover> {
        let mut out = BTreeMap::new();
        let mut rest = Vec::new();
        for path in paths {
            match self.has(needs, path) {
                true => drop(out.insert((*path).clone(), Cover::Included)),
                false => rest.push((*path).clone()),
            }
        }
        if rest.is_empty() {
            return out;
        }
        let flags = offered(needs);
        let all: Vec<Selector> = flags.keys().cloned().collect();
        let everything = self.find(executables, &all);
        let mut tried: BTreeMap<Selector, Needs> = BTreeMap::new();
        for path in rest {
            let mut cover = Cover::Missed;
            if self.has(&everything, &path) {
                // The flag that its reason leads to first; then any.
                let first = self.blamed(&everything, &path, &flags);
                for flag in first.iter().chain(all.iter().filter(|flag| !first.contains(flag))) {
                    let with =
                        tried.entry(flag.clone()).or_insert_with(|| self.find(executables, std::slice::from_ref(flag)));
                    if self.has(with, &path) {
                        cover = Cover::Offered(format!("--with {flag}"));
                        break;
                    }
                }
            }
            out.insert(path, cover);
        }
        out
    }

    /// The flags whose need the reasons of a file lead to.
    fn blamed(&self, needs: &Needs, path: &str, flags: &BTreeMap<Selector, Vec<Reason>>) -> Vec<Selector> {
        let mut at = self.real(path);
        let mut seen = BTreeSet::new();
        while let Some(file) = at.as_ref().and_then(|at| needs.files.get(at)) {
            let is = |reason: &&Reason| reason.rule == file.reason.rule && reason.evidence == file.reason.evidence;
            let found: Vec<Selector> = flags
                .iter()
                .filter(|(_, reasons)| reasons.iter().any(|r| is(&r)))
                .map(|(flag, _)| flag.clone())
                .collect();
            if !found.is_empty() || !seen.insert(file.reason.needed_by.clone()) {
                return found;
            }
            at = self.real(&file.reason.needed_by);
        }
        Vec::new()
    }

    /// Everything about a case.
    pub fn judge(&self, case: &Case, classes: &Classes) -> Judged {
        let (mended, links) = self.mended(&case.executables);
        Judged { links, ..mended.judge_whole(case, classes) }
    }

    fn judge_whole(&self, case: &Case, classes: &Classes) -> Judged {
        let needs = self.find(&case.executables, &[]);
        let ours = self.mapped(case, &needs);
        let opened = |class: &str| -> Vec<&String> {
            case.opened_beyond_closure.iter().filter(|path| classes.of(path) == Some(class)).collect()
        };
        let covers = self.covers(&case.executables, &needs, &opened("needed"));
        let mut needed = BTreeMap::new();
        let mut not_in_root = Vec::new();
        for entry in &classes.needed {
            // An interpreter writes caches beside its library: what the root does not have, the run itself had made.
            let is_lost = |path: &str| entry.ends_with("/**") && matches(entry, path) && !is_file(&*self.root, path);
            not_in_root.extend(covers.keys().filter(|path| is_lost(path)).cloned());
            let own: Vec<(&String, &Cover)> =
                covers.iter().filter(|(path, _)| matches(entry, path) && !is_lost(path)).collect();
            let worst = own.iter().map(|(_, cover)| *cover).max().unwrap_or_else(|| panic!("{entry} was not opened"));
            let files = own.iter().filter(|(_, cover)| *cover == worst).map(|(path, _)| (*path).clone()).collect();
            needed.insert(entry.clone(), (worst.clone(), files));
        }
        let of_runtime = |path: &&&String| {
            let told =
                |r: &Requirement| r.subject == Subject::File((**path).clone()) && r.outcome == Outcome::AtRunTime;
            !needs.requirements.iter().any(told)
        };
        let flags: BTreeSet<&String> = needs.requirements.iter().filter_map(|r| flag(&r.outcome)).collect();
        let (files, unopened) = self.unopened(case, &needs);
        Judged {
            name: case.name.clone(),
            links: Vec::new(),
            closure: [&case.closure - &ours, &ours - &case.closure],
            mapped: case.closure.len(),
            needed,
            not_in_root,
            not_of_runtime: opened("runtime").iter().filter(of_runtime).map(|path| (*path).clone()).collect(),
            flags: flags.len(),
            files,
            unopened,
        }
    }

    /// What our loader maps for the programs of a case, the programs too.
    fn mapped(&self, case: &Case, needs: &Needs) -> BTreeSet<String> {
        let mut out = BTreeSet::new();
        for path in &case.executables {
            let real = self.real(path).unwrap();
            out.insert(real.to_string());
        }
        let (programs, _) = self.programs(&case.executables);
        for program in programs {
            let real = self.real(&program).unwrap().to_string();
            let process = needs.processes.iter().find(|process| process.image == real.as_bytes());
            let process = process.unwrap_or_else(|| panic!("{real} is no process"));
            let loaded = process.closure.iter().flat_map(|closure| closure.loaded.iter().take(process.startup));
            out.extend(loaded.map(|loaded| loaded.resolved.path.to_string()));
            out.insert(real);
        }
        out
    }

    /// The number of regular files of the image, and those that the case did not open.
    fn unopened(&self, case: &Case, needs: &Needs) -> (usize, BTreeMap<String, u64>) {
        let opened: BTreeSet<String> =
            case.opened_beyond_closure.iter().filter_map(|path| self.real(path)).map(|p| p.to_string()).collect();
        let (mut files, mut out) = (0, BTreeMap::new());
        for (path, file) in &needs.files {
            let size = match &file.kind {
                ImageFileKind::Copied { size, .. } => *size,
                ImageFileKind::Generated(bytes) => bytes.len() as u64,
                ImageFileKind::Link(_) | ImageFileKind::Directory => continue,
            };
            files += 1;
            let path = path.to_string();
            let named =
                case.opened_beyond_closure.contains(&path) || opened.contains(&path) || path == "/etc/ld.so.cache";
            if !named && !case.closure.contains(&path) {
                out.insert(path, size);
            }
        }
        (files, out)
    }
}

/// Whether a root has a file at a path.
pub fn is_file(root: &dyn Root, path: &str) -> bool {
    resolve(root, path.as_bytes()).unwrap().is_some_and(|found| matches!(found.node, Node::File { .. }))
}

fn flag(outcome: &Outcome) -> Option<&String> {
    match outcome {
        Outcome::Offered(flag) => Some(flag),
        _ => None,
    }
}

/// What is offered by a selector, with the reasons of what it brings.
fn offered(needs: &Needs) -> BTreeMap<Selector, Vec<Reason>> {
    let mut out: BTreeMap<Selector, Vec<Reason>> = BTreeMap::new();
    for requirement in &needs.requirements {
        let selector = flag(&requirement.outcome).and_then(|flag| flag.strip_prefix("--with "));
        if let Some(selector) = selector {
            let selector: Selector = selector.parse().unwrap_or_else(|error| panic!("a flag that is none: {error}"));
            out.entry(selector).or_default().push(requirement.reason.clone());
        }
    }
    out
}
