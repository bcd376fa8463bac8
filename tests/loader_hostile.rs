//! The simulation in roots that somebody made to hurt: paths that multiply, files that are none, names that are no text,
//! directories that may not be read, a tree that changes under the reader.

#[path = "support/elf.rs"]
mod maker;

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use coracle::analyze::loader::{Closure, Refusal, Target, Verdict};
use coracle::analyze::verdict::configuration;
use coracle::limits;
use coracle::oci::ImagePath;
use coracle::rootfs::{DirRoot, MemoryRoot, Node, OpenFile, Root, RootError};
use maker::{ElfMaker, Machine};

const INTERPRETER: &str = "/lib/ld.so.1";

fn at(path: &str) -> ImagePath {
    ImagePath::parse(path).unwrap()
}

fn needing(maker: ElfMaker, needed: &[&str]) -> ElfMaker {
    needed.iter().fold(maker, |maker, name| maker.needed(name))
}

fn library(needed: &[&str]) -> ElfMaker {
    needing(ElfMaker::new(Machine::Amd64).object_type(3).soname("libself.so"), needed)
}

fn program(needed: &[&str]) -> ElfMaker {
    needing(ElfMaker::new(Machine::Amd64).static_pie(true).interp(INTERPRETER), needed)
}

/// A loader whose default directories are `/lib` and `/usr/lib`.
fn loader() -> Vec<u8> {
    let text = b"\0GNU C Library (Debian GLIBC) stable release version 2.36.\n\0x\0/lib/\0/usr/lib/\0\0";
    ElfMaker::new(Machine::Amd64).object_type(3).soname("ld.so.1").payload(text).build()
}

fn in_memory() -> MemoryRoot {
    let mut root = MemoryRoot::new();
    root.add_file(&at("lib/ld.so.1"), loader(), 0o755);
    root
}

fn closure(root: &dyn Root, path: &str) -> Result<Closure, Refusal> {
    Target::new(root).closure(path.as_bytes(), None).unwrap()
}

/// A directory with a loader and a program that needs `libx.so`, which lies in the second default directory.
fn on_disk() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    for inside in ["lib", "usr/lib", "bin", "etc"] {
        std::fs::create_dir_all(root.join(inside)).unwrap();
    }
    std::fs::write(root.join("lib/ld.so.1"), loader()).unwrap();
    std::fs::write(root.join("bin/prog"), program(&["libx.so"]).build()).unwrap();
    std::fs::write(root.join("usr/lib/libx.so"), library(&[]).build()).unwrap();
    (directory, root)
}

/// Whether files that we make belong to root.
fn is_root(made: &Path) -> bool {
    made.metadata().unwrap().uid() == 0
}

#[test]
fn search_paths_that_multiply_are_expanded_one_by_one() {
    // Each library hands a path of thousands of elements down to all below it, and the first element is the right one.
    let mut root = in_memory();
    let colons = ":".repeat(4000);
    for i in 0..500 {
        root.add_file(&at(&format!("l{i}.so")), library(&[&format!("l{}.so", i + 1)]).rpath(&colons).build(), 0o644);
    }
    root.add_file(&at("bin/prog"), program(&["l0.so"]).rpath("/").build(), 0o755);
    let found = closure(&root, "/bin/prog").unwrap();
    assert!(found.loaded.len() == 502 && found.missing.len() == 1, "{} objects", found.loaded.len());
    assert!(found.cut_off, "the last name is looked for in two million directories");
}

#[test]
fn libraries_that_all_name_each_other_end() {
    let mut root = in_memory();
    let names: Vec<String> = (0..300).map(|i| format!("l{i}.so")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for name in &names {
        root.add_file(&at(&format!("lib/{name}")), library(&names).build(), 0o644);
    }
    root.add_file(&at("bin/prog"), program(&names).build(), 0o755);
    let found = closure(&root, "/bin/prog").unwrap();
    assert!(found.cut_off && found.edges.len() <= limits::MAX_LOADER_ATTEMPTS, "{} edges", found.edges.len());
    assert_eq!(found.loaded.len(), 302);
}

#[test]
fn tokens_do_not_make_paths_longer_than_any() {
    let deep = vec!["d".repeat(250); 15].join("/");
    let many = "$ORIGIN/".repeat(500);
    for (needed, rpath) in [(format!("{many}x.so"), "/lib"), ("x.so".to_owned(), many.as_str())] {
        let mut root = in_memory();
        root.add_file(&at(&format!("{deep}/prog")), program(&[&needed]).rpath(rpath).build(), 0o755);
        let found = closure(&root, &format!("/{deep}/prog")).unwrap();
        assert_eq!(found.missing.len(), 1);
        assert!(found.missing[0].attempts.iter().all(|a| a.path.len() <= limits::MAX_PATH_BYTES + 1));
    }
}

#[test]
fn a_library_that_is_none_ends_the_search() {
    let (_directory, root) = on_disk();
    let place = root.join("lib/libx.so");
    let root_user = is_root(&root);
    for kind in ["socket", "directory", "link to a directory", "device"] {
        match kind {
            "socket" => drop(std::os::unix::net::UnixListener::bind(&place).unwrap()),
            "directory" => std::fs::create_dir(&place).unwrap(),
            "link to a directory" => symlink("../etc", &place).unwrap(),
            _ if !root_user => continue,
            _ => assert!(Command::new("mknod").arg(&place).args(["c", "1", "3"]).status().unwrap().success()),
        }
        let tree = DirRoot::open(&root).unwrap();
        let found = closure(&tree, "/bin/prog").unwrap();
        let garbage = found.missing[0].garbage().map(|a| a.path.clone());
        assert_eq!(garbage.as_deref(), Some(&b"/lib/libx.so"[..]), "{kind}: {:?}", found.missing);
        std::fs::remove_file(&place).or_else(|_| std::fs::remove_dir(&place)).unwrap();
    }
}

#[test]
fn what_configures_a_loader_may_be_anything() {
    for file in ["etc/ld.so.cache", "etc/ld.so.preload"] {
        for kind in ["loop", "directory", "fifo", "cut off", "empty", "other bytes", "absent target"] {
            let (_directory, root) = on_disk();
            let place = root.join(file);
            match kind {
                "loop" => symlink(format!("/{file}"), &place).unwrap(),
                "directory" => std::fs::create_dir(&place).unwrap(),
                "fifo" => assert!(Command::new("mkfifo").arg(&place).status().unwrap().success()),
                "cut off" => std::fs::write(&place, b"glibc-ld.so.cache1.1\xff\xff\x0f\0").unwrap(),
                "empty" => std::fs::write(&place, b"").unwrap(),
                "other bytes" => std::fs::write(&place, [b'\xff'; 5000]).unwrap(),
                _ => symlink("/gone", &place).unwrap(),
            }
            let tree = DirRoot::open(&root).unwrap();
            let found = closure(&tree, "/bin/prog").unwrap();
            // The words of a preload file that is no list are names that are not found, which is no error.
            assert!(found.missing.iter().all(|m| m.optional), "{file} as {kind}: {:?}", found.missing);
            assert_eq!(found.loaded.last().unwrap().resolved.path, at("usr/lib/libx.so"), "{file} as {kind}");
        }
    }
}

#[test]
fn an_interpreter_that_cannot_be_opened_is_a_refusal() {
    let (_directory, root) = on_disk();
    std::fs::remove_file(root.join("lib/ld.so.1")).unwrap();
    symlink("ld.so.1", root.join("lib/ld.so.1")).unwrap();
    let tree = DirRoot::open(&root).unwrap();
    assert_eq!(closure(&tree, "/bin/prog").unwrap_err(), Refusal::InterpreterUnusable(INTERPRETER.to_owned()));
    let mut denied = Denied { tree: in_memory(), below: "/lib" };
    denied.tree.add_file(&at("bin/prog"), program(&[]).build(), 0o755);
    assert_eq!(closure(&denied, "/bin/prog").unwrap_err(), Refusal::InterpreterUnusable(INTERPRETER.to_owned()));
}

/// The bytes of an object in which each `~` becomes a byte that is in no text.
fn odd(maker: &ElfMaker) -> Vec<u8> {
    maker.build().into_iter().map(|b| if b == b'~' { 0xff } else { b }).collect()
}

#[test]
fn names_that_are_no_text_are_names() {
    let (_directory, root) = on_disk();
    let name = OsStr::from_bytes(b"lib\xff.so");
    let directory = root.join(OsStr::from_bytes(b"opt\xff"));
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(root.join("bin/prog"), odd(&program(&["lib~.so", "~.so"]).rpath("/opt~"))).unwrap();
    std::fs::write(directory.join(name), odd(&library(&["libx.so"]))).unwrap();
    let tree = DirRoot::open(&root).unwrap();
    let found = closure(&tree, "/bin/prog").unwrap();
    assert_eq!(found.loaded[2].resolved.path.as_bytes(), b"opt\xff/lib\xff.so");
    assert_eq!(found.loaded[3].resolved.path, at("usr/lib/libx.so"));
    assert_eq!(found.missing[0].name, b"\xff.so");
}

/// A tree of which one part may not be read.
struct Denied {
    tree: MemoryRoot,
    below: &'static str,
}

impl Denied {
    fn check(&self, path: &ImagePath) -> Result<(), RootError> {
        if !path.to_string().starts_with(&format!("{}/", self.below)) {
            return Ok(());
        }
        let source = std::io::ErrorKind::PermissionDenied.into();
        Err(RootError::Read { path: path.clone(), root: "denied".to_owned(), source })
    }
}

impl Root for Denied {
    fn node(&self, path: &ImagePath) -> Result<Option<Node>, RootError> {
        self.check(path).and_then(|()| self.tree.node(path))
    }

    fn read_dir(&self, path: &ImagePath) -> Result<Vec<Vec<u8>>, RootError> {
        self.tree.read_dir(path)
    }

    fn open(&self, path: &ImagePath) -> Result<OpenFile, RootError> {
        self.check(path).and_then(|()| self.tree.open(path))
    }

    fn stream(&self, path: &ImagePath, offset: u64) -> Result<Box<dyn Read + Send>, RootError> {
        self.tree.stream(path, offset)
    }
}

/// Names the root in the process that runs the test again as another user.
const AS_ANOTHER: &str = "CORACLE_TEST_ROOT_OF_ANOTHER";

#[test]
fn directories_that_may_not_be_read_are_passed_over() {
    if let Some(root) = std::env::var_os(AS_ANOTHER) {
        return as_another(Path::new(&root));
    }
    let (directory, root) = on_disk();
    std::fs::create_dir(root.join("secret")).unwrap();
    std::fs::write(root.join("secret/libx.so"), library(&[]).build()).unwrap();
    std::fs::write(root.join("bin/prog"), program(&["libx.so"]).rpath("/secret").build()).unwrap();
    std::fs::write(root.join("etc/ld.so.cache"), b"x").unwrap();
    for hidden in ["etc", "etc/ld.so.cache"] {
        let modes = |all: u32| {
            for inside in ["secret", hidden] {
                std::fs::set_permissions(root.join(inside), std::fs::Permissions::from_mode(all)).unwrap();
            }
        };
        modes(0);
        someone_else_looks(directory.path(), &root);
        // Else the directory could not be removed.
        modes(0o755);
    }
}

fn someone_else_looks(directory: &Path, root: &Path) {
    if is_root(root) {
        // Root may read everything: the test runs again as nobody, from where nobody may come.
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755)).unwrap();
        let program = directory.join("test");
        std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let words = ["--exact", "directories_that_may_not_be_read_are_passed_over"];
        let output =
            Command::new(&program).args(words).env(AS_ANOTHER, root).current_dir("/").uid(65534).gid(65534).output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    } else {
        as_another(root);
    }
}

fn as_another(root: &Path) {
    let tree = DirRoot::open(root).unwrap();
    let found = closure(&tree, "/bin/prog").unwrap();
    assert_eq!(found.loaded.last().unwrap().resolved.path, at("usr/lib/libx.so"));
    let unreadable = Target::new(&tree).with_traces().closure(b"/bin/prog", None).unwrap().unwrap();
    let attempts = unreadable.searches.iter().flat_map(|s| &s.steps).flat_map(|s| &s.attempts);
    let verdicts: Vec<_> = attempts.map(|a| (a.path.clone(), a.verdict.clone())).collect();
    assert!(verdicts.contains(&(b"/secret/libx.so".to_vec(), Verdict::Unreadable)), "{verdicts:?}");
    // A cache that may not be read counts as none, which is told; one that is out of sight is none.
    let told = configuration(&tree, &found.profile, found.loaded[0].object.abi).unwrap();
    let visible = tree.read_dir(&at("etc")).is_ok();
    assert_eq!(told.diagnostics.iter().any(|finding| finding.code.0 == "L034"), visible, "{told:?}");
}

#[test]
fn a_tree_that_changes_meanwhile_never_leads_out() {
    let (directory, root) = on_disk();
    // What lies outside would be seen by what it needs.
    let outside = directory.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("libx.so"), library(&["outside.so"]).build()).unwrap();
    let place = root.join("usr/lib");
    let (kept, link) = (root.join("usr/kept"), root.join("usr/link"));
    symlink("../../outside", &link).unwrap();
    let done = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let change = || {
            while !done.load(Ordering::Relaxed) {
                // The directory, a link that leads out, nothing, a file cut short.
                std::fs::rename(&place, &kept).unwrap();
                std::fs::rename(&link, &place).unwrap();
                std::fs::rename(&place, &link).unwrap();
                std::fs::write(kept.join("libx.so"), b"\x7fELF").unwrap();
                std::fs::rename(&kept, &place).unwrap();
                std::fs::write(place.join("libx.so"), library(&[]).build()).unwrap();
            }
        };
        scope.spawn(change);
        let tree = DirRoot::open(&root).unwrap();
        let mut seen = [0; 2];
        for _ in 0..2000 {
            // Each starts anew: a target remembers what it has seen.
            match Target::new(&tree).closure(b"/bin/prog", None) {
                Ok(Ok(found)) => {
                    assert!(found.missing.iter().all(|m| m.name == b"libx.so"), "{:?}", found.missing);
                    seen[usize::from(found.missing.is_empty())] += 1;
                }
                Ok(Err(refusal)) => panic!("{refusal}"),
                Err(error) => assert!(matches!(error, RootError::Read { .. }), "{error}"),
            }
        }
        done.store(true, Ordering::Relaxed);
        seen
    });
    assert!(seen[1] > 0, "it was never whole: {seen:?}");
}
