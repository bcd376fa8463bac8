//! Directories of this machine as roots, when they resist: unreadable parts, special files, changes while they are read.

#[path = "support/elf.rs"]
mod maker;

use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use coracle::analyze::loader::{Target, Verdict};
use coracle::oci::ImagePath;
use coracle::rootfs::{DirRoot, Node, Root, RootError, read_whole, resolve};
use maker::{ElfMaker, Machine};

fn at(path: &str) -> ImagePath {
    ImagePath::parse(path).unwrap()
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A root with a program that needs `libx.so`, which lies in `/lib/one` and in `/lib/two`.
fn tree(root: &Path) {
    for directory in ["bin", "lib/one", "lib/two", "etc"] {
        std::fs::create_dir_all(root.join(directory)).unwrap();
    }
    let text = "\0GNU C Library (Debian GLIBC) stable release version 2.36.\n\0x\0/lib/one/\0/lib/two/\0\0";
    let loader = ElfMaker::new(Machine::Amd64).object_type(3).soname("ld.so.1").payload(text.as_bytes()).build();
    let library = ElfMaker::new(Machine::Amd64).object_type(3).soname("libx.so").build();
    std::fs::write(root.join("lib/ld.so.1"), loader).unwrap();
    let program = ElfMaker::new(Machine::Amd64).static_pie(true).interp("/lib/ld.so.1").needed("libx.so").build();
    std::fs::write(root.join("bin/prog"), program).unwrap();
    for directory in ["one", "two"] {
        std::fs::write(root.join("lib").join(directory).join("libx.so"), &library).unwrap();
    }
}

/// Where the program's library is found, and what was tried before.
fn library(root: &dyn Root) -> String {
    let found = Target::new(root).closure(b"/bin/prog", None).unwrap().unwrap();
    let tried: Vec<Verdict> = found.missing.iter().flat_map(|m| m.attempts.iter().map(|a| a.verdict.clone())).collect();
    found.loaded.get(2).map_or_else(|| format!("{tried:?}"), |loaded| loaded.resolved.path.to_string())
}

/// Set for the copy of this test that runs as a user without privileges: the root's directory.
const UNPRIVILEGED: &str = "CORACLE_TEST_UNREADABLE";

#[test]
fn what_may_not_be_read_is_passed_over() {
    if let Some(root) = std::env::var_os(UNPRIVILEGED) {
        return unreadable(Path::new(&root));
    }
    let directory = tempfile::tempdir().unwrap();
    set_mode(directory.path(), 0o755);
    let root = directory.path().join("root");
    std::fs::create_dir(&root).unwrap();
    tree(&root);
    std::fs::write(root.join("etc/shadow"), "secret").unwrap();
    let closed =
        [("lib/one", 0o000), ("etc/shadow", 0o000), ("bin", 0o711)].map(|(path, mode)| (root.join(path), mode));
    closed.iter().for_each(|(path, mode)| set_mode(path, *mode));
    // Nothing is closed to root, so the checks run as somebody else there.
    let is_root = std::fs::read_dir(root.join("lib/one")).is_ok();
    let done = if is_root {
        let copy = directory.path().join("test");
        std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
        set_mode(&copy, 0o755);
        let name = "what_may_not_be_read_is_passed_over";
        let mut command = Command::new(copy);
        command.args(["--exact", name]).env(UNPRIVILEGED, &root).uid(65534).gid(65534).current_dir("/");
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("1 passed") || !output.status.success(), "{said}");
        (output.status.success(), said)
    } else {
        unreadable(&root);
        (true, String::new())
    };
    // So that it can be removed.
    closed.iter().for_each(|(path, _)| set_mode(path, 0o755));
    assert!(done.0, "{}", done.1);
}

fn unreadable(path: &Path) {
    let denied = |error: Option<RootError>| {
        let denied = |e: &RootError| matches!(e, RootError::Read { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied);
        error.is_some_and(|error| denied(&error) && error.hides())
    };
    let root = DirRoot::open(path).unwrap();
    assert!(matches!(root.node(&at("lib/one")), Ok(Some(Node::Directory { mode: 0 }))));
    assert!(denied(root.read_dir(&at("lib/one")).err()));
    assert!(denied(root.node(&at("lib/one/libx.so")).err()));
    assert!(denied(root.open(&at("lib/one/libx.so")).err()));
    assert!(denied(resolve(&root, b"/lib/one/../one/libx.so").err()));
    // A file is seen and not read; a directory may be passed through and not listed.
    assert!(matches!(root.node(&at("etc/shadow")), Ok(Some(Node::File { size: 6, mode: 0, .. }))));
    assert!(denied(root.open(&at("etc/shadow")).err()) && denied(root.stream(&at("etc/shadow"), 0).err()));
    assert!(root.identity(&at("etc/shadow")).is_none());
    assert!(denied(root.read_dir(&at("bin")).err()) && root.open(&at("bin/prog")).is_ok());
    // As the loader of such a user does.
    assert_eq!(library(&root), "/lib/two/libx.so");
}

#[test]
fn special_files_are_seen_and_never_opened() {
    let directory = tempfile::tempdir().unwrap();
    tree(directory.path());
    let path = |inside: &str| directory.path().join(inside);
    let fifo = |inside: &str| assert!(Command::new("mkfifo").arg(path(inside)).status().unwrap().success());
    fifo("fifo");
    let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
    let root = DirRoot::open(directory.path()).unwrap();
    let machine = DirRoot::open(Path::new("/dev")).unwrap();
    for (root, name) in [(&root, "fifo"), (&root, "socket"), (&machine, "null"), (&machine, "zero")] {
        assert_eq!(root.node(&at(name)).unwrap(), Some(Node::Special), "{name}");
        let refused = |error: Option<RootError>| matches!(error, Some(RootError::NotRegular(path)) if path == at(name));
        assert!(refused(root.open(&at(name)).err()) && refused(root.stream(&at(name), 0).err()), "{name}");
        assert!(refused(read_whole(root, &at(name), 10).err()) && root.identity(&at(name)).is_none(), "{name}");
        assert!(root.read_dir(&at(name)).is_err(), "{name}");
        assert_eq!(resolve(root, format!("{name}/x").as_bytes()).unwrap(), None);
    }
    // In the place of what configures the loader: it is as if it were not there.
    let without = library(&root);
    for name in ["etc/ld.so.cache", "etc/ld.so.preload"] {
        fifo(name);
        assert_eq!(library(&root), without, "{name}");
    }
    // In the place of a library, the loader's search ends there.
    std::fs::remove_file(path("lib/one/libx.so")).unwrap();
    fifo("lib/one/libx.so");
    assert!(library(&root).contains("Garbage"), "{}", library(&root));
}

/// Puts other things in the place of a directory and a file until it is told to stop.
fn change(root: &Path, outside: &Path, stop: &AtomicBool) {
    let (directory, away) = (root.join("lib/one"), root.join("away"));
    let (file, spare) = (root.join("lib/two/libx.so"), root.join("spare"));
    while !stop.load(Ordering::Relaxed) {
        std::fs::rename(&directory, &away).unwrap();
        symlink(outside, &directory).unwrap();
        std::fs::rename(&file, &spare).unwrap();
        symlink(outside.join("libx.so"), &file).unwrap();
        std::thread::yield_now();
        std::fs::remove_file(&directory).unwrap();
        std::fs::rename(&away, &directory).unwrap();
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        std::fs::remove_dir(&file).unwrap();
        std::fs::rename(&spare, &file).unwrap();
    }
}

#[test]
fn a_tree_that_changes_while_it_is_read_gives_nothing_from_outside() {
    let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    tree(inside.path());
    std::fs::write(outside.path().join("libx.so"), "secret").unwrap();
    std::fs::write(outside.path().join("hidden"), "secret").unwrap();
    let root = DirRoot::open(inside.path()).unwrap();
    let stop = AtomicBool::new(false);
    let (mut read, mut failed, mut loaded) = (0, 0, 0);
    std::thread::scope(|scope| {
        let changing = scope.spawn(|| change(inside.path(), outside.path(), &stop));
        for round in 0..5_000 {
            for path in ["lib/one/libx.so", "lib/two/libx.so"] {
                let path = at(path);
                let mut content = Vec::new();
                let whole = match root.open(&path) {
                    Ok(file) => file.read_at(0, usize::try_from(file.len()).unwrap()).map(std::borrow::Cow::into_owned),
                    Err(_) => {
                        root.stream(&path, 0).ok().and_then(|mut s| s.read_to_end(&mut content).ok().map(|_| content))
                    }
                };
                match whole {
                    Some(bytes) => {
                        assert!(bytes.starts_with(b"\x7fELF"), "content from outside");
                        read += 1;
                    }
                    None => failed += 1,
                }
                drop((root.node(&path), root.identity(&path), resolve(&root, path.as_bytes())));
            }
            if let Ok(names) = root.read_dir(&at("lib/one")) {
                assert!(!names.contains(&b"hidden".to_vec()), "names from outside");
            }
            if round % 100 == 0 {
                loaded += usize::from(Target::new(&root).closure(b"/bin/prog", None).is_ok());
            }
        }
        stop.store(true, Ordering::Relaxed);
        changing.join().unwrap();
    });
    assert!(read > 0 && failed > 0 && loaded > 0, "{read} read, {failed} failed, {loaded} loaded");
}
