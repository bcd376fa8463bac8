//! What an image carries of the packages whose files it has, read by dpkg and md5sum where they can read it.

#[path = "support/peers.rs"]
mod peers;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use coracle::oci::ImagePath;
use coracle::rootfs::packages::{Metadata, Packages};
use coracle::rootfs::{DirRoot, MemoryRoot, Node, Root, read_whole, resolve};

fn path(text: &str) -> ImagePath {
    ImagePath::parse(text).unwrap()
}

/// The metadata of some copied files, by path.
fn metadata(root: &dyn Root, copied: &[ImagePath]) -> BTreeMap<String, Metadata> {
    let (packages, findings) = Packages::read(root).unwrap();
    assert!(findings.is_empty(), "{findings:?}");
    let found = packages.metadata(root, copied).unwrap();
    found.files.into_iter().map(|(path, metadata)| (path.to_string(), metadata)).collect()
}

fn generated<'a>(found: &'a BTreeMap<String, Metadata>, path: &str) -> &'a str {
    match found.get(path) {
        Some(Metadata::Generated(bytes)) => std::str::from_utf8(bytes).unwrap(),
        other => panic!("{path}: {other:?} of {:?}", found.keys()),
    }
}

/// The image: copied files and metadata, as a tree of this machine.
fn lay_out(root: &dyn Root, copied: &[ImagePath], found: &BTreeMap<String, Metadata>, at: &Path) {
    let of_root = found.iter().filter(|(_, m)| **m == Metadata::OfRoot).map(|(p, _)| path(p));
    for file in copied.iter().cloned().chain(of_root) {
        let to = at.join(std::str::from_utf8(file.as_bytes()).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        match root.node(&file).unwrap() {
            Some(Node::Symlink(target)) => {
                std::os::unix::fs::symlink(std::str::from_utf8(&target).unwrap(), to).unwrap();
            }
            Some(Node::File { .. }) => std::fs::write(to, read_whole(root, &file, 1 << 30).unwrap()).unwrap(),
            other => panic!("{file}: {other:?}"),
        }
    }
    for (file, metadata) in found {
        if let Metadata::Generated(bytes) = metadata {
            let to = at.join(&file[1..]);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::write(to, bytes).unwrap();
        }
    }
}

/// Some files of this machine that packages own, links included, without links in their directories.
fn files_of_this_machine(root: &dyn Root) -> Vec<ImagePath> {
    let mut copied = Vec::new();
    for file in ["/lib/x86_64-linux-gnu/libc.so.6", "/bin/dash", "/usr/bin/perl", "/usr/lib/x86_64-linux-gnu/libz.so.1"]
    {
        let Some(found) = resolve(root, file.as_bytes()).unwrap() else { continue };
        copied.extend(found.links.into_iter().filter(|link| link.as_bytes().contains(&b'/')));
        copied.push(found.path);
    }
    copied
}

#[test]
fn dpkg_and_md5sum_read_what_an_image_carries() {
    let peers = ["dpkg-query", "md5sum"].map(peers::find);
    let root = DirRoot::open(Path::new("/")).unwrap();
    let copied = files_of_this_machine(&root);
    if peers.contains(&None) || copied.is_empty() {
        return;
    }
    let found = metadata(&root, &copied);
    let image = tempfile::tempdir().unwrap();
    lay_out(&root, &copied, &found, image.path());
    let mut status = String::new();
    let (mut names, mut sums) = (Vec::new(), 0);
    for file in found.keys().filter_map(|file| file.strip_prefix("/var/lib/dpkg/status.d/")) {
        let text = generated(&found, &format!("/var/lib/dpkg/status.d/{file}"));
        if file.ends_with(".md5sums") {
            let list = image.path().join("var/lib/dpkg/status.d").join(file);
            let output = Command::new("md5sum").arg("-c").arg(list).current_dir(image.path()).output().unwrap();
            assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stdout));
            sums += text.lines().count();
        } else {
            assert!(!text.contains("\nStatus:") && !text.contains("\nConffiles:"), "{text}");
            status += &text.replacen('\n', "\nStatus: install ok installed\n", 1);
            status.push('\n');
            names.push(file);
            assert!(found.contains_key(&format!("/usr/share/doc/{file}/copyright")), "{file} {:?}", found.keys());
        }
    }
    assert!(names.contains(&"libc6") && names.contains(&"base-files") && sums > names.len(), "{names:?} {sums}");

    let admin = tempfile::tempdir().unwrap();
    std::fs::create_dir(admin.path().join("info")).unwrap();
    std::fs::write(admin.path().join("status"), status).unwrap();
    let format = "${Package} ${Version} ${Architecture} ${source:Package} ${source:Version} ${Depends}\n";
    let list = |admin: &Path, names: &[&str]| {
        let mut query = Command::new("dpkg-query");
        query.arg("--admindir").arg(admin).args(["-W", "-f", format]).args(names);
        let output = query.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(list(admin.path(), &[]), list(Path::new("/var/lib/dpkg"), &names));
}

const LIBC: &str = "Package: libc6\nStatus: install ok installed\nSource: glibc (2.36-8)\nArchitecture: amd64\n\
    Multi-Arch: same\nVersion: 2.36-9\nConffiles:\n /etc/ld.so.conf.d/x.conf d4e7a7b88a71b5ffd9e2644e71a0cfab\n\
    Description: GNU C Library\n first\n .\n second\n";
const GCC: &str =
    "Package: libgcc-s1\nStatus: install ok installed\nSource: gcc-12\nArchitecture: amd64\nVersion: 12.2.0-14\n";
const GCC_BASE: &str = "Package: gcc-12-base\nStatus: install ok unpacked\nArchitecture: amd64\nVersion: 12.2.0-14\n";
const BASE: &str = "Package: base-files\nStatus: install ok installed\nArchitecture: amd64\nVersion: 12.4\n";
const GONE: &str = "Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n";

/// A small root with a merged `/usr`.
fn small_root() -> MemoryRoot {
    let mut root = MemoryRoot::new();
    root.add_symlink(&path("lib"), b"usr/lib");
    let mut add = |name: &str, text: &str| root.add_file(&path(name), text.as_bytes().to_vec(), 0o644);
    add("var/lib/dpkg/status", &[LIBC, GCC, GCC_BASE, BASE, GONE].join("\n"));
    let info = "var/lib/dpkg/info";
    add(
        &format!("{info}/libc6:amd64.list"),
        "/.\n/lib\n/lib/libc.so.6\n/lib/libm.so.6\n/usr/share/doc/libc6/copyright\n",
    );
    add(
        &format!("{info}/libc6:amd64.md5sums"),
        "00000000000000000000000000000001  lib/libc.so.6\n00000000000000000000000000000002  lib/libm.so.6\n",
    );
    add(&format!("{info}/libgcc-s1.list"), "/lib/libgcc_s.so.1\n/usr/share/doc/libgcc-s1\n");
    add(&format!("{info}/gcc-12-base.list"), "/usr/share/doc/gcc-12-base/copyright\n");
    add(&format!("{info}/base-files.list"), "/etc/debian_version\n/etc/os-release\n/usr/lib/os-release\n");
    add(&format!("{info}/gone.list"), "/etc/gone.conf\n");
    for file in
        ["usr/lib/libc.so.6", "usr/lib/libm.so.6", "usr/lib/libgcc_s.so.1", "etc/gone.conf", "usr/lib/os-release"]
    {
        add(file, file);
    }
    for file in ["etc/debian_version", "usr/share/doc/libc6/copyright", "usr/share/doc/gcc-12-base/copyright"] {
        add(file, file);
    }
    root.add_symlink(&path("usr/share/doc/libgcc-s1"), b"gcc-12-base");
    root.add_symlink(&path("etc/os-release"), b"../usr/lib/os-release");
    root
}

#[test]
fn only_what_was_copied_is_described() {
    let root = small_root();
    let found = metadata(&root, &[path("usr/lib/libc.so.6"), path("usr/lib/libgcc_s.so.1"), path("app/program")]);
    let stanza = "Package: libc6\nSource: glibc (2.36-8)\nArchitecture: amd64\nMulti-Arch: same\nVersion: 2.36-9\n\
        Description: GNU C Library\n first\n .\n second\n";
    assert_eq!(generated(&found, "/var/lib/dpkg/status.d/libc6"), stanza);
    let sums = "00000000000000000000000000000001  usr/lib/libc.so.6\n";
    assert_eq!(generated(&found, "/var/lib/dpkg/status.d/libc6.md5sums"), sums);
    // A link to the directory of another package leads to its licence, which belongs to that package.
    for copied in ["/usr/share/doc/libgcc-s1", "/usr/share/doc/gcc-12-base/copyright", "/usr/share/doc/libc6/copyright"]
    {
        assert_eq!(found.get(copied), Some(&Metadata::OfRoot), "{copied}");
    }
    for copied in ["/etc/debian_version", "/etc/os-release", "/usr/lib/os-release"] {
        assert_eq!(found.get(copied), Some(&Metadata::OfRoot), "{copied}");
    }
    let packages = found.keys().filter_map(|file| file.strip_prefix("/var/lib/dpkg/status.d/"));
    let names = ["base-files", "gcc-12-base", "libc6", "libc6.md5sums", "libgcc-s1"];
    assert_eq!(packages.collect::<Vec<_>>(), names);
    assert_eq!(found.len(), names.len() + 6);
}

#[test]
fn files_of_no_package_bring_nothing() {
    let root = small_root();
    assert!(metadata(&root, &[path("app/program"), path("etc/gone.conf"), path("usr/lib/unknown.so")]).is_empty());
}

#[test]
fn what_is_written_is_read_again() {
    let root = small_root();
    let copied = [path("usr/lib/libc.so.6"), path("usr/lib/libm.so.6")];
    let mut image = MemoryRoot::new();
    for (file, metadata) in metadata(&root, &copied) {
        if let Metadata::Generated(bytes) = metadata {
            image.add_file(&path(&file), bytes, 0o644);
        }
    }
    let (packages, findings) = Packages::read(&image).unwrap();
    assert!(findings.is_empty() && packages.has_database());
    let owner = packages.owner(&copied[1]).unwrap();
    let facts = [&owner.name, &owner.version, &owner.source, &owner.source_version].map(String::as_str);
    assert_eq!(facts, ["libc6", "2.36-9", "glibc", "2.36-8"]);
    assert!(!packages.is_known(&path("usr/lib/libgcc_s.so.1")));
}

#[test]
fn two_architectures_of_a_package_stand_beside_each_other() {
    let mut root = MemoryRoot::new();
    let other = LIBC.replace("amd64", "i386");
    root.add_file(&path("var/lib/dpkg/status"), format!("{LIBC}\n{other}").into_bytes(), 0o644);
    for architecture in ["amd64", "i386"] {
        let list = format!("/usr/lib/{architecture}/libc.so.6\n/usr/share/doc/libc6/copyright\n").into_bytes();
        root.add_file(&path(&format!("var/lib/dpkg/info/libc6:{architecture}.list")), list, 0o644);
    }
    let found = metadata(&root, &[path("usr/lib/i386/libc.so.6"), path("usr/lib/amd64/libc.so.6")]);
    assert!(generated(&found, "/var/lib/dpkg/status.d/libc6:i386").contains("Architecture: i386"));
    assert!(generated(&found, "/var/lib/dpkg/status.d/libc6:amd64").contains("Architecture: amd64"));
}
