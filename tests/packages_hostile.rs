//! Package databases that nobody's package manager wrote: bounded work, a finding, never a panic.

use coracle::oci::ImagePath;
use coracle::rootfs::packages::dpkg::{Diversions, parse_status};
use coracle::rootfs::packages::{Origin, Packages, parse_alternatives};
use coracle::rootfs::{DirRoot, MemoryRoot, Root};

const STATUS: &str = "var/lib/dpkg/status";

fn path(text: &str) -> ImagePath {
    ImagePath::parse(text).unwrap()
}

fn stanza(name: &str) -> String {
    format!("Package: {name}\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n")
}

fn root(files: &[(&str, &[u8])]) -> MemoryRoot {
    let mut root = MemoryRoot::new();
    for (name, bytes) in files {
        root.add_file(&path(name), bytes.to_vec(), 0o644);
    }
    root
}

fn read(root: &dyn Root) -> (Packages, Vec<&'static str>) {
    let (packages, findings) = Packages::read(root).unwrap();
    (packages, findings.iter().map(|finding| finding.code.0).collect())
}

#[test]
fn a_root_without_database_says_so() {
    let (packages, codes) = read(&root(&[("usr/share/doc/libc6/copyright", b"")]));
    assert_eq!(codes, ["D001"]);
    assert!(!packages.has_database() && packages.owner(&path("usr/share/doc/libc6/copyright")).is_none());
    assert_eq!(packages.origin(&path("usr/share/doc/libc6/copyright")), Origin::Unknown);
}

#[test]
fn an_rpm_database_is_told() {
    let (packages, codes) = read(&root(&[("var/lib/rpm/rpmdb.sqlite", b"SQLite format 3\0")]));
    assert_eq!(codes, ["D002"]);
    assert!(!packages.has_database());
}

#[test]
fn damaged_stanzas_are_left_out_and_counted() {
    let good = stanza("good");
    let nameless = "Status: install ok installed\nVersion: 1\n\n";
    let evil = stanza("../../etc/passwd");
    let versionless = "Package: a\nStatus: install ok installed\n\n";
    let text = [
        good.as_bytes(),
        nameless.as_bytes(),
        evil.as_bytes(),
        versionless.as_bytes(),
        b"\xff\xfe: \xff\n\n",
        &good.as_bytes()[..20],
    ]
    .concat();
    let (packages, codes) = read(&root(&[(STATUS, &text), ("var/lib/dpkg/info/good.list", b"/usr/bin/good\n")]));
    assert_eq!(codes, ["D003"]);
    assert_eq!(packages.all().iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["good"]);
    assert!(packages.is_known(&path("usr/bin/good")));
    assert_eq!(parse_status(&text).skipped, 5);
}

#[test]
fn odd_lines_of_a_list_are_passed_over() {
    let list = b"/.\n\n/\nrelative\n/usr/bin/\xff\xfe\n/usr/../etc/shadow\n/usr//bin/x\n/usr/bin/last";
    let (packages, codes) = read(&root(&[(STATUS, stanza("p").as_bytes()), ("var/lib/dpkg/info/p.list", list)]));
    assert!(codes.is_empty());
    assert!(packages.is_known(&ImagePath::parse(b"usr/bin/\xff\xfe").unwrap()));
    assert!(packages.is_known(&path("usr/bin/last")));
    assert!(!packages.is_known(&path("etc/shadow")) && !packages.is_known(&path("relative")));
}

#[test]
fn a_missing_list_is_a_finding() {
    let text = [stanza("there"), stanza("without")].concat();
    let files: &[(&str, &[u8])] = &[(STATUS, text.as_bytes()), ("var/lib/dpkg/info/there.list", b"/a\n")];
    let (packages, findings) = Packages::read(&root(files)).unwrap();
    assert_eq!(findings.len(), 1);
    assert_eq!((findings[0].code.0, findings[0].evidence[0].value.as_str()), ("D004", "without"));
    assert_eq!(packages.all().len(), 2);
}

#[test]
fn diversions_that_form_a_cycle_or_are_cut_are_left_out() {
    let text = b"/a\n/b\n:\n/b\n/a\n:\n/c\n/c\np\n/d\n/a\np\nrelative\n/e\np\n/f\n/g\nno/name\n/h\n/i\n";
    let diversions = Diversions::parse(text);
    assert_eq!((diversions.len(), diversions.skipped), (1, 6));
    assert_eq!((diversions.place(b"a", "p"), diversions.place(b"b", "p")), (&b"b"[..], &b"b"[..]));
    let (_, codes) = read(&root(&[(STATUS, b""), ("var/lib/dpkg/diversions", text)]));
    assert_eq!(codes, ["D003"]);
}

#[test]
fn a_million_lines_are_read() {
    let list: Vec<u8> = (0..1_000_000).flat_map(|i| format!("/usr/share/x/{i}\n").into_bytes()).collect();
    let text = stanza("big");
    let root = root(&[(STATUS, text.as_bytes()), ("var/lib/dpkg/info/big.list", &list)]);
    let (packages, codes) = read(&root);
    assert!(codes.is_empty());
    assert!(packages.is_known(&path("usr/share/x/999999")) && !packages.is_known(&path("usr/share/x/1000000")));
}

#[test]
fn more_stanzas_than_any_root_has_are_cut() {
    let text: String = (0..100_010).map(|i| format!("Package: p{i}\nVersion: 1\n\n")).collect();
    let status = parse_status(text.as_bytes());
    assert_eq!((status.packages.len(), status.skipped), (100_000, 10));
}

#[test]
fn files_that_are_too_large_or_no_files_are_findings() {
    let directory = tempfile::tempdir().unwrap();
    let admin = directory.path().join("var/lib/dpkg");
    std::fs::create_dir_all(&admin).unwrap();
    let status = admin.join("status");
    // Sparse: nothing of it is written or read.
    std::fs::File::create(&status).unwrap().set_len(1 << 40).unwrap();
    let root = DirRoot::open(directory.path()).unwrap();
    assert_eq!(read(&root).1, ["D005"]);
    std::fs::remove_file(&status).unwrap();
    std::fs::create_dir(&status).unwrap();
    assert_eq!(read(&root).1, ["D003"]);
    std::fs::remove_dir(&status).unwrap();
    std::os::unix::fs::symlink("status", &status).unwrap();
    assert_eq!(read(&root).1, ["D001"]);
    std::fs::remove_file(&status).unwrap();
    std::os::unix::fs::symlink("/../../../etc/passwd", &status).unwrap();
    assert_eq!(read(&root).1, ["D001"]);
    let made = std::process::Command::new("mkfifo").arg(admin.join("diversions")).status().unwrap();
    assert!(made.success());
    std::fs::remove_file(&status).unwrap();
    std::fs::write(&status, stanza("p")).unwrap();
    assert_eq!(read(&root).1, ["D003", "D004"]);
}

#[test]
fn lists_that_are_links_are_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let info = directory.path().join("var/lib/dpkg/info");
    std::fs::create_dir_all(&info).unwrap();
    std::fs::write(directory.path().join(STATUS), stanza("p")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", info.join("p.list")).unwrap();
    let (packages, codes) = read(&DirRoot::open(directory.path()).unwrap());
    assert_eq!((packages.all().len(), codes), (1, vec!["D004"]));
}

#[test]
fn damaged_alternatives_have_the_links_before_the_damage() {
    for text in [&b""[..], b"auto", b"auto\n", b"other\n/usr/bin/x\n\n", b"auto\nrelative\n"] {
        assert!(parse_alternatives(b"x", text).is_empty(), "{text:?}");
    }
    let text = b"manual\n/usr/bin/x\nx.1\n/usr/man/x.1\n../y\n/usr/bin/y\nz\ncut";
    let links = ["usr/bin/x", "etc/alternatives/x", "usr/man/x.1", "etc/alternatives/x.1"];
    assert_eq!(parse_alternatives(b"x", text), links.map(|link| link.as_bytes().to_vec()));
}
