//! Which package owns a path by apk's database, and what an image carries of it.

#[path = "support/peers.rs"]
mod peers;

use std::path::Path;
use std::process::Command;

use coracle::oci::ImagePath;
use coracle::rootfs::packages::{Described, Manager, Metadata, Packages};
use coracle::rootfs::{DirRoot, MemoryRoot};

/// Two packages in the form in which apk-tools 2.14 writes them.
const INSTALLED: &str = "\
C:Q1p78yvTLG094tHE1+dToJGbmYzQE=
P:musl
V:1.2.5-r0
A:x86_64
S:409600
I:667648
T:the musl c library (libc) implementation
U:https://musl.libc.org/
L:MIT
o:musl
m:Maintainer <m@example.org>
t:1709675000
c:0123456789abcdef
p:so:libc.musl-x86_64.so.1=1
F:lib
R:ld-musl-x86_64.so.1
a:0:0:755
Z:Q1HqAhFJsfWbDLBjTg6MPdAJiB4sQ=
R:libc.musl-x86_64.so.1
a:0:0:777
Z:Q17yJ3JFNypA4mxhJJr0ou6CzsJVI=

C:Q1qKcZ+j23xssAXmgQhkOO8dHnbWw=
P:ssl_client
V:1.36.1-r29
A:x86_64
L:GPL-2.0-only
o:busybox
D:so:libc.musl-x86_64.so.1
F:etc
F:etc/ssl
M:0:0:750
R:a.cnf
Z:Q1d8WF3hOe4x9LbmbIlmhNT0gSbBg=
R:b.cnf
a:0:0:600
Z:Q1abcdefghijklmnopqrstuvwxyzA=
F:usr
F:usr/bin
R:ssl_client
a:0:0:755
Z:Q1thJ7ezyYAYb2Si9mDKsmpXbcw7A=
";

fn path(text: &str) -> ImagePath {
    ImagePath::parse(text).unwrap()
}

fn root(database: &str) -> MemoryRoot {
    let mut root = MemoryRoot::new();
    root.add_file(&path(database), INSTALLED.as_bytes().to_vec(), 0o644);
    root.add_file(&path("etc/alpine-release"), b"3.20.0\n".to_vec(), 0o644);
    root.add_file(&path("usr/lib/os-release"), b"ID=alpine\n".to_vec(), 0o644);
    root.add_symlink(&path("etc/os-release"), b"../usr/lib/os-release");
    root
}

#[test]
fn files_and_directories_have_their_packages() {
    let (packages, findings) = Packages::read(&root("lib/apk/db/installed")).unwrap();
    assert!(findings.is_empty() && packages.has_database());
    let owner = packages.owner(&path("/lib/libc.musl-x86_64.so.1")).unwrap();
    assert_eq!((owner.manager, owner.licence.as_deref()), (Manager::Apk, Some("MIT")));
    let client = packages.owner(&path("/usr/bin/ssl_client")).unwrap();
    let facts = [&client.name, &client.version, &client.architecture, &client.source, &client.source_version];
    assert_eq!(facts.map(String::as_str), ["ssl_client", "1.36.1-r29", "x86_64", "busybox", "1.36.1-r29"]);
    assert!(packages.is_known(&path("/etc/ssl")) && !packages.is_known(&path("/etc/apk/world")));
}

#[test]
fn the_database_of_an_image_has_the_copied_files_only() {
    let root = root("lib/apk/db/installed");
    let (packages, _) = Packages::read(&root).unwrap();
    let copied = [path("lib/ld-musl-x86_64.so.1"), path("etc/ssl/b.cnf"), path("app/program")];
    let Described { files: found, findings } = packages.metadata(&root, &copied).unwrap();
    assert!(findings.is_empty(), "{findings:?}");
    let want = INSTALLED
        .replace("R:libc.musl-x86_64.so.1\na:0:0:777\nZ:Q17yJ3JFNypA4mxhJJr0ou6CzsJVI=\n", "")
        .replace("F:etc\nF:etc/ssl", "F:etc/ssl")
        .replace("R:a.cnf\nZ:Q1d8WF3hOe4x9LbmbIlmhNT0gSbBg=\n", "")
        .replace("F:usr\nF:usr/bin\nR:ssl_client\na:0:0:755\nZ:Q1thJ7ezyYAYb2Si9mDKsmpXbcw7A=\n", "\n");
    let found: Vec<(String, Metadata)> = found.into_iter().map(|(path, m)| (path.to_string(), m)).collect();
    let of_root = |text: &str| (text.to_owned(), Metadata::OfRoot);
    let database = ("/lib/apk/db/installed".to_owned(), Metadata::Generated(want.into_bytes()));
    let release = [of_root("/etc/alpine-release"), of_root("/etc/os-release")];
    assert_eq!(found, [&release[..], &[database, of_root("/usr/lib/os-release")]].concat());
}

#[test]
fn a_merged_usr_keeps_the_database_in_usr_lib() {
    let mut root = root("usr/lib/apk/db/installed");
    root.add_symlink(&path("lib"), b"usr/lib");
    let (packages, findings) = Packages::read(&root).unwrap();
    assert!(findings.is_empty());
    assert_eq!(packages.all().len(), 2);
    for name in ["/lib/ld-musl-x86_64.so.1", "/usr/lib/ld-musl-x86_64.so.1"] {
        assert_eq!(packages.owner(&path(name)).map(|p| p.name.as_str()), Some("musl"), "{name}");
    }
    let found = packages.metadata(&root, &[path("usr/lib/ld-musl-x86_64.so.1")]).unwrap().files;
    let database = found.iter().find(|(file, _)| *file == path("usr/lib/apk/db/installed"));
    let Some((_, Metadata::Generated(bytes))) = database else { panic!("{found:?}") };
    let text = String::from_utf8_lossy(bytes);
    assert!(text.contains("F:lib\nR:ld-musl-x86_64.so.1\n") && !text.contains("ssl_client"), "{text}");
}

/// Files with their true checksums, that of a link being the one of its target.
const WITH_CHECKSUMS: &str = "\
P:musl
V:1.2.5-r0
F:lib
R:ld-musl.so.1
a:0:0:755
Z:Q1eHRza+lS6NJD8o8Vg21w8IeVVWw=
R:libc.so
a:0:0:777
Z:Q156uC9DEKgOV1t4vEKqm1D8PsCic=
R:other
Z:Q1vqQ+cDPhkycYNBbyP+LuG2TCX0o=

P:tools
V:1-r0
F:usr/bin
R:tool
Z:Q1Mm2QYmeIhqHqSSp5Rd7iOWdy78U=
";

/// What apksums, another reader of the format, says of an image: whether all is whole, and its lines.
fn apksums(tool: &Path, image: &Path) -> (bool, Vec<String>) {
    let output = Command::new(tool).arg("-r").arg(image).arg("-m").arg(image.join("lib/apk/db/installed")).output();
    let output = output.unwrap();
    let mut lines: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    lines.retain(|line| !line.is_empty());
    (output.status.success(), lines)
}

#[test]
fn apksums_finds_the_copied_files_whole() {
    let Some(tool) = peers::find("apksums") else { return };
    let (from, image) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (tree, database) in [(from.path(), Some(WITH_CHECKSUMS)), (image.path(), None)] {
        std::fs::create_dir_all(tree.join("lib/apk/db")).unwrap();
        std::fs::write(tree.join("lib/ld-musl.so.1"), "loader\n").unwrap();
        std::os::unix::fs::symlink("ld-musl.so.1", tree.join("lib/libc.so")).unwrap();
        if let Some(database) = database {
            std::fs::write(tree.join("lib/apk/db/installed"), database).unwrap();
        }
    }
    let root = DirRoot::open(from.path()).unwrap();
    let (packages, _) = Packages::read(&root).unwrap();
    let found = packages.metadata(&root, &[path("lib/ld-musl.so.1"), path("lib/libc.so")]).unwrap().files;
    let [(_, Metadata::Generated(bytes))] = found.as_slice() else { panic!("{found:?}") };
    std::fs::write(image.path().join("lib/apk/db/installed"), bytes).unwrap();
    let whole = ["OK: lib/ld-musl.so.1 (from musl)", "OK: lib/libc.so -> ld-musl.so.1 (from musl)"];
    assert_eq!(apksums(&tool, image.path()), (true, whole.map(str::to_owned).to_vec()));
    // The root lacks two files of its own database; a changed file shows in the image.
    assert!(!apksums(&tool, from.path()).0);
    std::fs::write(image.path().join("lib/ld-musl.so.1"), "changed\n").unwrap();
    assert!(!apksums(&tool, image.path()).0);
}
