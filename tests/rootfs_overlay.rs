//! Roots with more in them: what is mounted, what stays, and what paths mean across both.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use coracle::oci::ImagePath;
use coracle::rootfs::{DirRoot, HostFile, MemoryRoot, Node, Overlay, Root, RootError, read_whole, resolve};

fn at(path: &str) -> ImagePath {
    ImagePath::parse(path).unwrap()
}

/// `/usr/lib/libc.so`, `/bin/sh -> ../usr/bin/sh`, `/app -> usr/app` (which is not there), `/etc/conf`.
fn lower() -> MemoryRoot {
    let mut root = MemoryRoot::new();
    root.add_file(&at("usr/lib/libc.so"), b"libc".to_vec(), 0o755);
    root.add_file(&at("etc/conf"), b"conf".to_vec(), 0o644);
    root.add_symlink(&at("bin/sh"), b"../usr/bin/sh");
    root.add_symlink(&at("app"), b"usr/app");
    root
}

fn host(directory: &Path, name: &str, content: &[u8]) -> HostFile {
    std::fs::write(directory.join(name), content).unwrap();
    HostFile::open(&directory.join(name)).unwrap()
}

fn names(root: &dyn Root, path: &str) -> Vec<String> {
    root.read_dir(&at(path)).unwrap().into_iter().map(|name| String::from_utf8(name).unwrap()).collect()
}

fn content(root: &dyn Root, path: &str) -> String {
    let found = resolve(root, path.as_bytes()).unwrap().unwrap_or_else(|| panic!("{path} is not there"));
    let whole = read_whole(root, &found.path, 1 << 20).unwrap();
    let mut streamed = Vec::new();
    root.stream(&found.path, 1).unwrap().read_to_end(&mut streamed).unwrap();
    assert_eq!(streamed, whole[1..], "{path}");
    String::from_utf8(whole).unwrap()
}

#[test]
fn a_program_stands_in_a_foreign_root() {
    let directory = tempfile::tempdir().unwrap();
    let mut root = Overlay::new(Arc::new(lower()));
    let file = host(directory.path(), "server", b"program");
    assert_eq!(root.mount_file(&at("opt/app/server"), file).unwrap(), at("opt/app/server"));
    assert_eq!(content(&root, "/opt/app/server"), "program");
    assert_eq!(content(&root, "/usr/lib/libc.so"), "libc");
    // The directories above it exist, once.
    for path in ["opt", "opt/app"] {
        assert_eq!(root.node(&at(path)).unwrap(), Some(Node::Directory { mode: 0o755 }));
    }
    assert_eq!(names(&root, ""), ["app", "bin", "etc", "opt", "usr"]);
    assert_eq!((names(&root, "opt"), names(&root, "opt/app")), (vec!["app".to_owned()], vec!["server".to_owned()]));
    assert_eq!(resolve(&root, b"/opt/app/../../etc/conf").unwrap().unwrap().path, at("etc/conf"));
    // It is a file, and nothing is below it.
    assert_eq!(root.node(&at("opt/app/server/x")).unwrap(), None);
    assert_eq!(resolve(&root, b"/opt/app/server/..").unwrap(), None);
    assert!(root.read_dir(&at("opt/app/server")).is_err());
    assert!(root.open(&at("opt/app/server/x")).is_err() && root.open(&at("opt/app")).is_err());
}

#[test]
fn it_stays_the_file_that_was_opened() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server");
    let mut root = Overlay::new(Arc::new(lower()));
    root.mount_file(&at("server"), host(directory.path(), "server", b"program")).unwrap();
    let before = root.identity(&at("server"));
    assert!(before.is_some() && root.identity(&at("etc/conf")).is_none());
    let Some(Node::File { size: 7, mode, inode }) = root.node(&at("server")).unwrap() else { panic!("no file") };
    assert!(mode & 0o600 == 0o600 && inode == before.map(|b| (b.dev, b.ino)));
    // Another file under its name is not it; a write to it is.
    std::fs::write(directory.path().join("new"), b"another").unwrap();
    let mut old = std::fs::File::options().append(true).open(&path).unwrap();
    std::fs::rename(directory.path().join("new"), &path).unwrap();
    assert_eq!(content(&root, "server"), "program");
    old.write_all(b"more").unwrap();
    assert_ne!(root.identity(&at("server")), before);
    // Streams do not share a position.
    let mut streams = [root.stream(&at("server"), 0).unwrap(), root.stream(&at("server"), 3).unwrap()];
    let mut pieces = [[0; 2]; 2];
    for _ in 0..2 {
        for (stream, piece) in streams.iter_mut().zip(&mut pieces) {
            stream.read_exact(piece).unwrap();
        }
    }
    assert_eq!(pieces, [*b"og", *b"am"]);
}

#[test]
fn mounts_follow_links_of_the_root_and_links_lead_across_mounts() {
    let directory = tempfile::tempdir().unwrap();
    let mut root = Overlay::new(Arc::new(lower()));
    // `/app` is a link to a directory that the mount makes.
    let landed = root.mount_file(&at("app/server"), host(directory.path(), "server", b"program")).unwrap();
    assert_eq!(landed, at("usr/app/server"));
    let found = resolve(&root, b"/app/server").unwrap().unwrap();
    assert_eq!((found.path, found.links), (landed, vec![at("app")]));
    assert_eq!(names(&root, "usr"), ["app", "lib"]);

    // A tree whose links lead out of it and back; the host's directory is its own root, but not theirs.
    let tree = directory.path().join("tree");
    std::fs::create_dir_all(tree.join("sub")).unwrap();
    std::fs::write(tree.join("sub/data"), b"data").unwrap();
    for (name, target) in [
        ("absolute", "/etc/conf"),
        ("up", "../../etc/conf"),
        ("back", "/opt/tree/sub/data"),
        ("inner", "sub/../sub/data"),
        ("server", "/app/server"),
        ("host", directory.path().to_str().unwrap()),
    ] {
        std::os::unix::fs::symlink(target, tree.join(name)).unwrap();
    }
    root.mount_tree(&at("opt/tree"), Arc::new(DirRoot::open(&tree).unwrap())).unwrap();
    for (path, want) in [
        ("opt/tree/absolute", "conf"),
        ("opt/tree/up", "conf"),
        ("opt/tree/back", "data"),
        ("opt/tree/inner", "data"),
        ("opt/tree/server", "program"),
    ] {
        assert_eq!(content(&root, path), want, "{path}");
    }
    assert_eq!(resolve(&root, b"/opt/tree/host").unwrap(), None);
    assert_eq!(resolve(&root, b"/opt/tree/../../bin/sh").unwrap(), None, "a dangling link of the root stays one");
    assert_eq!(names(&root, "opt/tree"), ["absolute", "back", "host", "inner", "server", "sub", "up"]);
    assert!(root.identity(&at("opt/tree/sub/data")).is_some());
    assert!(matches!(root.open(&at("opt/tree/sub")), Err(RootError::NotRegular(path)) if path == at("opt/tree/sub")));
    // A program inside of a mounted tree.
    root.mount_file(&at("opt/tree/bin/tool"), host(directory.path(), "tool", b"tool")).unwrap();
    assert_eq!((content(&root, "/opt/tree/bin/tool"), names(&root, "opt/tree/bin").len()), ("tool".to_owned(), 1));
    assert!(names(&root, "opt/tree").contains(&"bin".to_owned()));
}

#[test]
fn what_is_in_the_way_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let mut root = Overlay::new(Arc::new(lower()));
    let file = |name: &str| host(directory.path(), name, b"file");
    let tree = || Arc::new(lower());
    let occupied = |result, want: &str| matches!(result, Err(RootError::Occupied(path)) if path == at(want));
    assert!(occupied(root.mount_file(&at("usr"), file("a")), "usr"));
    assert!(occupied(root.mount_file(&at(""), file("a")), ""));
    for path in ["usr", "etc/conf", "bin/sh", ""] {
        assert!(occupied(root.mount_tree(&at(path), tree()), path), "{path}");
    }
    assert!(
        matches!(root.mount_file(&at("etc/conf/x"), file("a")), Err(RootError::NotADirectory(p)) if p == at("etc/conf"))
    );
    // A file or link gives way to a file.
    root.mount_file(&at("etc/conf"), file("a")).unwrap();
    root.mount_file(&at("bin/sh"), file("a")).unwrap();
    assert_eq!((content(&root, "etc/conf"), content(&root, "bin/sh")), ("file".to_owned(), "file".to_owned()));
    assert_eq!(names(&root, "etc"), ["conf"]);
    // What is mounted does not.
    assert!(occupied(root.mount_file(&at("etc/conf"), file("a")), "etc/conf"));
    root.mount_tree(&at("app/tree"), tree()).unwrap();
    assert!(occupied(root.mount_tree(&at("usr/app"), tree()), "usr/app"));
    assert!(occupied(root.mount_file(&at("usr/app/tree"), file("a")), "usr/app/tree"));
    // Links that never end.
    let mut looped = lower();
    looped.add_symlink(&at("loop"), b"loop/x");
    let mut root = Overlay::new(Arc::new(looped));
    assert!(matches!(root.mount_file(&at("loop/a"), file("a")), Err(RootError::TooManyLinks(_))));
}
