//! The simulation over trees that no loader here can be asked about: other machines, hostile files, roots that fail.

#[path = "support/elf.rs"]
mod maker;

use std::io::Read;
use std::path::Path;
use std::process::Command;

use coracle::analyze::loader::{CacheError, Closure, LdCache, Refusal, Target, Verdict};
use coracle::oci::ImagePath;
use coracle::rootfs::{DirRoot, MemoryRoot, Node, OpenFile, Root, RootError, resolve};
use maker::{ElfMaker, Machine};

fn at(path: &str) -> ImagePath {
    ImagePath::parse(path).unwrap()
}

fn library(machine: Machine, needed: &[&str]) -> Vec<u8> {
    let maker = ElfMaker::new(machine).object_type(3).soname("libself.so");
    needed.iter().fold(maker, |maker, name| maker.needed(name)).build()
}

fn program(machine: Machine, loader: &str, needed: &[&str]) -> Vec<u8> {
    let maker = ElfMaker::new(machine).static_pie(true).interp(loader);
    needed.iter().fold(maker, |maker, name| maker.needed(name)).build()
}

/// A loader of glibc that holds these default directories, as the real one does.
fn loader(machine: Machine, directories: &[&str]) -> Vec<u8> {
    let directories: String = directories.iter().map(|d| format!("{d}/\0")).collect();
    let text = format!("\0GNU C Library (Debian GLIBC) stable release version 2.36.\n\0x\0{directories}\0");
    ElfMaker::new(machine).object_type(3).soname("ld.so.1").payload(text.as_bytes()).build()
}

fn closure(root: &dyn Root, path: &str) -> Result<Closure, Refusal> {
    Target::new(root).closure(path.as_bytes(), None).unwrap()
}

fn paths(closure: &Closure) -> Vec<String> {
    closure.loaded.iter().map(|l| l.resolved.path.to_string()).collect()
}

/// A root of a machine with a program that needs `libx.so` from the second default directory.
fn root_of(machine: Machine) -> MemoryRoot {
    let mut root = MemoryRoot::new();
    root.add_file(&at("lib/ld.so.1"), loader(machine, &["/lib/tuple", "/usr/lib/tuple", "/lib", "/usr/lib"]), 0o755);
    root.add_file(&at("usr/lib/tuple/libx.so"), library(machine, &[]), 0o644);
    root.add_file(&at("bin/prog"), program(machine, "/lib/ld.so.1", &["libx.so"]), 0o755);
    root
}

#[test]
fn other_machines_have_their_own_directories() {
    for machine in Machine::ALL {
        let found = closure(&root_of(machine), "/bin/prog").unwrap();
        assert_eq!(paths(&found), ["/bin/prog", "/lib/ld.so.1", "/usr/lib/tuple/libx.so"], "{machine:?}");
    }
}

#[test]
fn a_name_that_is_not_found_tells_where_it_was_looked_for() {
    let mut root = root_of(Machine::Arm64);
    root.add_file(&at("bin/prog"), program(Machine::Arm64, "/lib/ld.so.1", &["liby.so"]), 0o755);
    root.add_file(&at("usr/lib/liby.so"), library(Machine::Amd64, &[]), 0o644);
    let found = closure(&root, "/bin/prog").unwrap();
    let tried: Vec<_> = found.missing[0]
        .attempts
        .iter()
        .map(|a| (String::from_utf8_lossy(&a.path).into_owned(), a.verdict.clone()))
        .collect();
    let absent = |path: &str| (path.to_owned(), Verdict::Absent);
    let want = [
        absent("/lib/tuple/liby.so"),
        absent("/usr/lib/tuple/liby.so"),
        absent("/lib/liby.so"),
        ("/usr/lib/liby.so".to_owned(), Verdict::OtherAbi),
    ];
    assert_eq!(tried, want);
}

#[test]
fn what_has_no_closure_says_why() {
    let mut root = root_of(Machine::Amd64);
    root.add_file(&at("bin/static"), ElfMaker::new(Machine::Amd64).build(), 0o755);
    root.add_file(&at("bin/script"), b"#!/bin/sh\n".to_vec(), 0o755);
    root.add_file(&at("bin/lost"), program(Machine::Amd64, "/lib/gone.so.1", &[]), 0o755);
    root.add_file(&at("bin/foreign"), program(Machine::Arm64, "/lib/ld.so.1", &[]), 0o755);
    root.add_symlink(&at("bin/loop"), b"loop");
    assert_eq!(closure(&root, "/bin/gone").unwrap_err(), Refusal::Absent);
    assert_eq!(closure(&root, "/bin/static").unwrap_err(), Refusal::Static);
    assert!(matches!(closure(&root, "/bin/script").unwrap_err(), Refusal::NotAnObject(_)));
    assert!(matches!(closure(&root, "/bin").unwrap_err(), Refusal::NotAnObject(_)));
    assert_eq!(closure(&root, "/bin/lost").unwrap_err(), Refusal::InterpreterAbsent("/lib/gone.so.1".to_owned()));
    assert_eq!(closure(&root, "/bin/foreign").unwrap_err(), Refusal::InterpreterUnusable("/lib/ld.so.1".to_owned()));
    assert!(matches!(Target::new(&root).closure(b"/bin/loop", None), Err(RootError::TooManyLinks(_))));
}

#[test]
fn a_walk_without_end_is_cut_off() {
    // Each library needs the next; the names go on for longer than any process.
    let mut root = root_of(Machine::Amd64);
    let machine = Machine::Amd64;
    root.add_file(&at("bin/prog"), program(machine, "/lib/ld.so.1", &["l0.so"]), 0o755);
    for i in 0..5000 {
        let maker = ElfMaker::new(machine).object_type(3).needed(&format!("l{}.so", i + 1));
        root.add_file(&at(&format!("lib/tuple/l{i}.so")), maker.build(), 0o644);
    }
    let found = closure(&root, "/bin/prog").unwrap();
    assert!(found.cut_off && found.loaded.len() == 4096, "{} objects", found.loaded.len());
    // Names that are nowhere, in every directory.
    let names: Vec<String> = (0..20_000).map(|i| format!("n{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (count, cut_off) in [(2000, false), (20_000, true)] {
        let bytes = program(machine, "/lib/ld.so.1", &names[..count]);
        root.add_file(&at("bin/prog"), bytes, 0o755);
        match closure(&root, "/bin/prog") {
            Ok(found) => {
                assert!(found.missing.iter().map(|m| m.attempts.len()).sum::<usize>() <= 64 << 10);
                assert_eq!(found.cut_off, cut_off, "{count} names");
            }
            // More entries than any dynamic section has.
            Err(Refusal::NotAnObject(_)) => assert!(cut_off),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn needing_each_other_ends() {
    let mut root = root_of(Machine::Amd64);
    root.add_file(&at("lib/tuple/liba.so"), library(Machine::Amd64, &["libb.so", "liba.so"]), 0o644);
    root.add_file(&at("lib/tuple/libb.so"), library(Machine::Amd64, &["liba.so", "libself.so"]), 0o644);
    root.add_file(&at("bin/prog"), program(Machine::Amd64, "/lib/ld.so.1", &["liba.so"]), 0o755);
    let found = closure(&root, "/bin/prog").unwrap();
    assert_eq!(paths(&found), ["/bin/prog", "/lib/ld.so.1", "/lib/tuple/liba.so", "/lib/tuple/libb.so"]);
    assert!(found.missing.is_empty() && found.edges.len() == 5, "{:?}", found.edges);
}

#[test]
fn names_may_be_any_bytes() {
    for name in ["", "/", ".", "..", "../../../../etc/passwd", "//x", "a/../../b", "$ORIGIN", "${LIB}", "\u{fffd}", "$"]
    {
        let mut root = root_of(Machine::Amd64);
        root.add_file(&at("bin/prog"), program(Machine::Amd64, "/lib/ld.so.1", &[name, &"n".repeat(4000)]), 0o755);
        let found = closure(&root, "/bin/prog").unwrap();
        assert_eq!(found.missing.len(), 2, "{name}: {:?}", paths(&found));
    }
}

/// A root in which one path fails in one way.
struct Failing {
    tree: MemoryRoot,
    path: &'static str,
    kind: std::io::ErrorKind,
    /// Whether looking it up fails already, not only opening it.
    at_once: bool,
}

impl Failing {
    fn check(&self, path: &ImagePath, looking: bool) -> Result<(), RootError> {
        if path.to_string() == self.path && (self.at_once || !looking) {
            return Err(RootError::Read { path: path.clone(), root: "failing".to_owned(), source: self.kind.into() });
        }
        Ok(())
    }
}

impl Root for Failing {
    fn node(&self, path: &ImagePath) -> Result<Option<Node>, RootError> {
        self.check(path, true)?;
        self.tree.node(path)
    }

    fn read_dir(&self, path: &ImagePath) -> Result<Vec<Vec<u8>>, RootError> {
        self.tree.read_dir(path)
    }

    fn open(&self, path: &ImagePath) -> Result<OpenFile, RootError> {
        self.check(path, false)?;
        self.tree.open(path)
    }

    fn stream(&self, path: &ImagePath, offset: u64) -> Result<Box<dyn Read + Send>, RootError> {
        self.tree.stream(path, offset)
    }
}

#[test]
fn what_may_not_be_read_is_not_there_and_a_failing_disk_is_an_error() {
    use std::io::ErrorKind as Kind;
    for at_once in [true, false] {
        for (kind, hides) in [(Kind::PermissionDenied, true), (Kind::NotFound, true), (Kind::Other, false)] {
            let mut tree = root_of(Machine::Amd64);
            tree.add_file(&at("lib/tuple/libx.so"), library(Machine::Amd64, &[]), 0o644);
            let root = Failing { tree, path: "/lib/tuple/libx.so", kind, at_once };
            match Target::new(&root).closure(b"/bin/prog", None) {
                Ok(found) => {
                    let found = found.unwrap();
                    assert!(hides && paths(&found)[2] == "/usr/lib/tuple/libx.so", "{kind}: {:?}", paths(&found));
                }
                Err(error) => assert!(!hides, "{kind}: {error}"),
            }
        }
    }
}

#[test]
fn a_fifo_is_never_opened() {
    let directory = tempfile::tempdir().unwrap();
    let path = |inside: &str| directory.path().join(inside);
    for inside in ["lib/tuple", "bin"] {
        std::fs::create_dir_all(path(inside)).unwrap();
    }
    let machine = Machine::Amd64;
    std::fs::write(path("lib/ld.so.1"), loader(machine, &["/lib/tuple", "/usr/lib"])).unwrap();
    std::fs::write(path("bin/prog"), program(machine, "/lib/ld.so.1", &["libx.so"])).unwrap();
    assert!(Command::new("mkfifo").arg(path("lib/tuple/libx.so")).status().unwrap().success());
    let root = DirRoot::open(directory.path()).unwrap();
    // Opening it would wait for ever.
    let found = closure(&root, "/bin/prog").unwrap();
    assert!(found.missing[0].garbage().is_some(), "{:?}", found.missing);
    assert!(matches!(root.open(&at("lib/tuple/libx.so")), Err(RootError::NotRegular(_))));
    // As the program itself, and as the interpreter.
    std::fs::rename(path("lib/tuple/libx.so"), path("bin/fifo")).unwrap();
    assert!(matches!(closure(&root, "/bin/fifo").unwrap_err(), Refusal::NotAnObject(_)));
    std::fs::remove_file(path("lib/ld.so.1")).unwrap();
    std::os::unix::fs::symlink("/bin/fifo", path("lib/ld.so.1")).unwrap();
    assert!(matches!(closure(&root, "/bin/prog").unwrap_err(), Refusal::InterpreterUnusable(_)));
}

#[test]
fn no_path_leads_out_of_a_directory() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), b"secret").unwrap();
    let inside = outside.path().join("root");
    std::fs::create_dir_all(inside.join("d")).unwrap();
    std::os::unix::fs::symlink("../../secret", inside.join("d/relative")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret"), inside.join("d/absolute")).unwrap();
    std::os::unix::fs::symlink("../..", inside.join("d/up")).unwrap();
    std::os::unix::fs::symlink("/proc/self/root", inside.join("magic")).unwrap();
    let root = DirRoot::open(&inside).unwrap();
    for path in
        ["../secret", "/../secret", "d/../../secret", "d/relative", "d/absolute", "d/up/secret", "magic/etc/passwd"]
    {
        assert_eq!(resolve(&root, path.as_bytes()).unwrap(), None, "{path}");
    }
    // The root is where `..` ends.
    assert_eq!(resolve(&root, b"d/up/d").unwrap().unwrap().path, at("d"));
    // Opening by name never follows a link, whatever was looked up before: the tree may have changed since.
    for path in ["d/relative", "d/absolute", "d/up/secret", "magic/etc/passwd", "magic"] {
        assert!(root.open(&at(path)).is_err() && root.stream(&at(path), 0).is_err(), "{path}");
        let node = root.node(&at(path)).unwrap();
        assert!(matches!(node, None | Some(Node::Symlink(_))), "{path}: {node:?}");
    }
    assert!(root.read_dir(&at("d/up")).is_err());
    assert_eq!(root.read_dir(&at("d")).unwrap(), [b"absolute".to_vec(), b"relative".to_vec(), b"up".to_vec()]);
}

#[test]
fn a_file_that_changes_is_no_panic() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, vec![1; 10_000]).unwrap();
    let root = DirRoot::open(directory.path()).unwrap();
    let open = root.open(&at("file")).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(10).unwrap();
    assert!(open.read_at(0, 10_000).is_none());
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(matches!(root.open(&at("file")), Err(RootError::NotRegular(_) | RootError::Read { .. })));
    assert!(Path::new(&path).is_dir());
}

#[test]
fn links_are_followed_forty_times() {
    let mut root = MemoryRoot::new();
    root.add_file(&at("l0"), b"end".to_vec(), 0o644);
    for i in 1..=41 {
        root.add_symlink(&at(&format!("l{i}")), format!("l{}", i - 1).as_bytes());
    }
    assert_eq!(resolve(&root, b"l40").unwrap().unwrap().links.len(), 40);
    assert!(matches!(resolve(&root, b"l41"), Err(RootError::TooManyLinks(_))));
    assert!(matches!(resolve(&root, &[b'x'; 4097]), Err(RootError::PathTooLong)));
}

#[test]
fn a_cache_is_refused_by_cause() {
    let new = |count: u32, order: u8| {
        let mut bytes = b"glibc-ld.so.cache1.1".to_vec();
        bytes.extend(count.to_le_bytes());
        bytes.extend(0u32.to_le_bytes());
        bytes.push(order);
        bytes.resize(48, 0);
        bytes
    };
    assert_eq!(LdCache::parse(b"", false), Err(CacheError::Magic));
    assert_eq!(LdCache::parse(b"glibc-ld.so.cache1.1", false), Err(CacheError::Truncated));
    assert_eq!(LdCache::parse(b"ld.so-1.7.0\0\x09\0\0\0", false), Err(CacheError::Truncated));
    assert_eq!(LdCache::parse(&new(1, 2), false), Err(CacheError::Truncated));
    assert_eq!(LdCache::parse(&new(u32::MAX, 2), false), Err(CacheError::TooMany(u32::MAX)));
    assert_eq!(LdCache::parse(&new(0, 3), false), Err(CacheError::ByteOrder));
    assert!(LdCache::parse(&new(0, 0), false).unwrap().is_empty());
    assert!(LdCache::parse(&new(0, 2), false).unwrap().is_empty());
}
