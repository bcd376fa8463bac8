//! tar as coracle writes and reads it, judged by GNU tar, Python's tarfile, gzip and zstd.

#[path = "support/entries.rs"]
mod entries;
#[path = "support/peers.rs"]
mod peers;

use std::io::Read;
use std::path::Path;
use std::process::Command;

use coracle::layer::tar::{BLOCK, Dialect, SparseFormat, TarEntry, TarKind, TarReader, encode};
use coracle::layer::{PackOptions, pack};
use coracle::observe::Silent;
use coracle::plan::{EncoderId, Entry, EntryKind, FileContent, LayerPlan};
use entries::{directory, entry, file, layer, program_like, symlink};

const LONG: &str =
    "a-directory-with-a-rather-long-name-for-a-start/another-one-that-makes-it-longer-than-a-hundred-bytes/file";

fn everything() -> LayerPlan {
    let mut capable = file("app/capable", *b"#!/bin/false\n");
    capable.xattrs.insert("security.capability".to_owned(), b"\x01\0\0\x02\0\x04\0\0".to_vec());
    capable.xattrs.insert("user.note".to_owned(), b"a\nb=c".to_vec());
    let mut openshift = file("app/openshift", *b"random uid\n");
    (openshift.uid, openshift.gid, openshift.mode) = (1_000_660_000, 2_097_152, 0o664);
    let mut sticky = directory("tmp");
    sticky.mode = 0o1777;
    layer(vec![
        directory("app"),
        capable,
        openshift,
        file("app/server", program_like(5, 70_000)),
        symlink("app/current", "server"),
        symlink("app/far", "../".repeat(40) + "target"),
        file("app/na\u{ef}ve", *b"utf-8\n"),
        file(b"app/raw\xff", *b"not utf-8\n"),
        file([b"app/raw\xff".as_slice(), &[b'x'; 100]].concat(), *b"long and not utf-8\n"),
        file(LONG, *b"long\n"),
        file("x".repeat(100), *b"just fits\n"),
        sticky,
    ])
}

fn packed(plan: &LayerPlan, created: u64, encoder: EncoderId) -> Vec<u8> {
    let mut out = Vec::new();
    pack(plan, created, encoder, &PackOptions::default(), &Silent, &mut out).expect("packs");
    out
}

/// All entries with their contents.
fn read_all(tar: &[u8]) -> Vec<(TarEntry, Vec<u8>)> {
    let mut reader = TarReader::new(tar);
    let mut found = Vec::new();
    while let Some(entry) = reader.next_entry().expect("a valid archive") {
        let mut content = Vec::new();
        reader.content().read_to_end(&mut content).expect("reads");
        assert_eq!(content.len() as u64, entry.size, "{entry:?}");
        found.push((entry, content));
    }
    assert!(reader.ending().is_some());
    found
}

/// Name in the archive, type as `tar -tv` shows it, and link target.
fn expected(planned: &Entry) -> (Vec<u8>, TarKind, Vec<u8>) {
    let mut path = planned.path.as_bytes().to_vec();
    match &planned.kind {
        EntryKind::Directory => {
            path.push(b'/');
            (path, TarKind::Directory, Vec::new())
        }
        EntryKind::File(_) => (path, TarKind::File, Vec::new()),
        EntryKind::Symlink(target) => (path, TarKind::Symlink, target.clone()),
    }
}

#[test]
fn reads_what_it_writes() {
    let plan = everything();
    let tar = packed(&plan, 1_700_000_000, EncoderId::Tar);
    let found = read_all(&tar);
    assert_eq!(found.len(), plan.entries.len());
    for (planned, (found, content)) in plan.entries.iter().zip(&found) {
        let (path, kind, link) = expected(planned);
        assert_eq!((&found.path, found.kind, &found.link), (&path, kind, &link));
        assert_eq!((found.mode, found.uid, found.gid), (planned.mode, planned.uid, planned.gid), "{}", planned.path);
        assert_eq!((found.mtime, found.mtime_nanos), (1_700_000_000, 0));
        assert_eq!((found.uname.len(), found.gname.len(), found.dialect), (0, 0, Dialect::Ustar));
        assert_eq!(found.problems, [], "{}", planned.path);
        let xattrs: Vec<_> = planned.xattrs.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())).collect();
        assert_eq!(found.xattrs.iter().map(|(n, v)| (n.as_slice(), v.as_slice())).collect::<Vec<_>>(), xattrs);
        if let EntryKind::File(file) = &planned.kind {
            let mut want = Vec::new();
            file.source.open(0).expect("opens").read_to_end(&mut want).expect("reads");
            assert!(*content == want, "{}", planned.path);
        }
    }
}

#[test]
fn fields_that_do_not_fit_get_a_record() {
    let records = |entry: &Entry, mtime| {
        let bytes = encode(entry, mtime).expect("encodes");
        let size = bytes.len().saturating_sub(2 * BLOCK);
        let body = &bytes[bytes.len().min(BLOCK)..][..size];
        let text: Vec<String> = body.split(|b| *b == b'\n').map(coracle::diag::escape).collect();
        text.into_iter().filter(|line| !line.starts_with("\\x00") && !line.is_empty()).collect::<Vec<_>>()
    };
    let big = |size| {
        entry(
            "f",
            EntryKind::File(FileContent::external(
                size,
                std::sync::Arc::new(coracle::blob::BytesSource::new(Vec::new())),
            )),
        )
    };
    let owned = |uid, gid| {
        let mut file = file("f", []);
        (file.uid, file.gid) = (uid, gid);
        file
    };
    let none: [&str; 0] = [];
    assert_eq!(records(&big((8 << 30) - 1), 0), none);
    assert_eq!(records(&big(8 << 30), 0), ["19 size=8589934592"]);
    assert_eq!(records(&owned(2_097_151, 2_097_151), 0), none);
    assert_eq!(records(&owned(1_000_660_000, 2_097_152), 0), ["15 gid=2097152", "18 uid=1000660000"]);
    assert_eq!(records(&file("f", []), (8 << 30) - 1), none);
    assert_eq!(records(&file("f", []), 8 << 30), ["20 mtime=8589934592"]);
    assert_eq!(records(&file("f".repeat(100), []), 0), none);
    assert_eq!(records(&file("f".repeat(101), []), 0), [format!("111 path={}", "f".repeat(101))]);
    assert_eq!(records(&directory("d".repeat(99)), 0), none);
    assert_eq!(records(&directory("d".repeat(100)), 0), [format!("111 path={}/", "d".repeat(100))]);
    assert_eq!(records(&symlink("l", "t".repeat(100)), 0), none);
    assert_eq!(records(&symlink("l", "t".repeat(101)), 0), [format!("115 linkpath={}", "t".repeat(101))]);
    // The length of a record counts its own digits.
    for length in [85, 86, 87, 88, 980, 981, 982, 983, 984, 985, 986] {
        let mut file = file("f", []);
        file.xattrs.insert("u.x".to_owned(), vec![b'v'; length]);
        let record = records(&file, 0).remove(0);
        let claimed: usize = record.split(' ').next().expect("a length").parse().expect("a number");
        assert_eq!(claimed, record.len() + 1, "{length}");
    }
}

/// Type, mode, owner, size, time and name, as `tar -tv` shows them.
fn as_tar_lists(planned: &Entry) -> String {
    let (letter, size) = match &planned.kind {
        EntryKind::Directory => ('d', 0),
        EntryKind::File(content) => ('-', content.size),
        EntryKind::Symlink(_) => ('l', 0),
    };
    let mut mode = String::new();
    for (shift, special) in [(6, 0o4000), (3, 0o2000), (0, 0o1000)] {
        let bits = planned.mode >> shift & 7;
        mode.push(if bits & 4 != 0 { 'r' } else { '-' });
        mode.push(if bits & 2 != 0 { 'w' } else { '-' });
        mode.push(match (bits & 1 != 0, planned.mode & special != 0) {
            (true, true) => 't',
            (true, false) => 'x',
            _ => '-',
        });
    }
    let (path, _, link) = expected(planned);
    let mut name = String::from_utf8_lossy(&path).into_owned();
    if !link.is_empty() {
        name += &format!(" -> {}", String::from_utf8_lossy(&link));
    }
    format!("{letter}{mode} {}/{} {size} 2023-11-14 22:13:20 {name}", planned.uid, planned.gid)
}

#[test]
fn gnu_tar_lists_every_entry() {
    let Some(tar) = peers::find("tar") else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let plan = everything();
    for (encoder, name) in [(EncoderId::Tar, "l.tar"), (EncoderId::Gz1, "l.tar.gz")] {
        let path = dir.path().join(name);
        std::fs::write(&path, packed(&plan, 1_700_000_000, encoder)).expect("writes");
        let output = Command::new(&tar)
            .args(["--numeric-owner", "--full-time", "--quoting-style=literal", "--warning=no-unknown-keyword", "-tvf"])
            .arg(&path)
            .env("TZ", "UTC")
            .output()
            .expect("runs");
        assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        let listing = String::from_utf8_lossy(&output.stdout).into_owned();
        let squeeze = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let found: Vec<String> = listing.lines().map(squeeze).collect();
        let want: Vec<String> = plan.entries.iter().map(as_tar_lists).collect();
        assert_eq!(found, want);
    }
}

const PYTHON: &str = r#"
import sys, tarfile, hashlib
for m in tarfile.open(sys.argv[1]):
    kind = "d" if m.isdir() else "l" if m.issym() else "f" if m.isreg() else "?"
    name = m.name.encode("utf-8", "surrogateescape").hex()
    digest = hashlib.sha256(tarfile.open(sys.argv[1]).extractfile(m).read()).hexdigest() if kind == "f" else "-"
    xattrs = sorted(k[13:] for k in m.pax_headers if k.startswith("SCHILY.xattr."))
    print(kind, name, oct(m.mode), m.uid, m.gid, m.size, int(m.mtime), m.linkname or "-", digest, ",".join(xattrs) or "-")
"#;

#[test]
fn python_reads_every_entry() {
    let Some(python) = peers::find("python3") else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let plan = everything();
    let path = dir.path().join("l.tar.gz");
    std::fs::write(&path, packed(&plan, 42, EncoderId::Gz1)).expect("writes");
    let output = Command::new(python).args(["-c", PYTHON]).arg(&path).output().expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    let want: Vec<String> = plan.entries.iter().map(as_python_prints).collect();
    assert_eq!(found, want);
}

fn as_python_prints(planned: &Entry) -> String {
    let (_, kind, link) = expected(planned);
    let name: String = planned.path.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let (letter, size, digest) = match &planned.kind {
        EntryKind::File(content) => {
            let mut bytes = Vec::new();
            content.source.open(0).expect("opens").read_to_end(&mut bytes).expect("reads");
            ("f", content.size, coracle::oci::Digest::of(&bytes).to_string().split_off("sha256:".len()))
        }
        _ => (if kind == TarKind::Symlink { "l" } else { "d" }, 0, "-".to_owned()),
    };
    let link = if link.is_empty() { "-".to_owned() } else { String::from_utf8_lossy(&link).into_owned() };
    let xattrs = planned.xattrs.keys().cloned().collect::<Vec<_>>().join(",");
    let xattrs = if xattrs.is_empty() { "-".to_owned() } else { xattrs };
    let (mode, uid, gid) = (planned.mode, planned.uid, planned.gid);
    format!("{letter} {name} 0o{mode:o} {uid} {gid} {size} 42 {link} {digest} {xattrs}")
}

#[test]
fn gzip_and_zstd_find_no_fault() {
    let dir = tempfile::tempdir().expect("a directory");
    for (peer, encoder, name) in [("gzip", EncoderId::Gz1, "l.gz"), ("zstd", EncoderId::Zst1, "l.zst")] {
        let Some(program) = peers::find(peer) else { continue };
        let path = dir.path().join(name);
        let plan = layer(vec![file("a", program_like(9, (2 << 20) + 5)), file("b", vec![1; 1 << 20])]);
        let mut bytes = packed(&plan, 0, encoder);
        std::fs::write(&path, &bytes).expect("writes");
        let test = || Command::new(&program).arg("-t").arg(&path).output().expect("runs").status.success();
        assert!(test(), "{peer}");
        let shown = Command::new(&program).arg("-dc").arg(&path).output().expect("runs").stdout;
        assert!(shown == packed(&plan, 0, EncoderId::Tar), "{peer} gives another tar");
        bytes.truncate(bytes.len() - 1);
        std::fs::write(&path, &bytes).expect("writes");
        assert!(!test(), "{peer} does not notice a cut");
    }
}

/// A tree with everything that GNU tar can store without privileges.
fn tree(dir: &Path) {
    use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
    let long = dir.join(LONG);
    std::fs::create_dir_all(long.parent().expect("a parent")).expect("creates");
    std::fs::write(&long, b"long\n").expect("writes");
    std::fs::hard_link(&long, dir.join("z-hard")).expect("links");
    symlink(LONG, dir.join("z-soft")).expect("links");
    std::fs::set_permissions(&long, PermissionsExt::from_mode(0o640)).expect("sets");
    let sparse = std::fs::File::create(dir.join("sparse")).expect("creates");
    for piece in 0..40u64 {
        sparse.write_all_at(&[b'0' + (piece % 10) as u8; 5000], piece * 300_000).expect("writes");
    }
    sparse.set_len(13_000_000).expect("grows");
    assert!(Command::new("mkfifo").arg(dir.join("fifo")).status().expect("runs").success());
}

fn gnu_tar(tar: &Path, dir: &Path, options: &[&str]) -> Vec<u8> {
    let output = Command::new(tar)
        .args(["--sort=name", "--owner=root:0", "--group=wheel:3000000", "--mtime=@7", "-C"])
        .arg(dir)
        .args(options)
        .args(["-cf", "-", "."])
        .output()
        .expect("runs");
    assert!(output.status.success(), "{options:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn reads_what_gnu_tar_writes() {
    let Some(tar) = peers::find("tar") else { return };
    let dir = tempfile::tempdir().expect("a directory");
    tree(dir.path());
    for (options, dialect, sparse) in [
        (&["--format=gnu"][..], Dialect::Gnu, None),
        (&["--format=gnu", "--sparse"], Dialect::Gnu, Some(SparseFormat::OldGnu)),
        (&["--format=pax"], Dialect::Ustar, None),
        (&["--format=pax", "--sparse", "--sparse-version=0.0"], Dialect::Ustar, Some(SparseFormat::Pax00)),
        (&["--format=pax", "--sparse", "--sparse-version=0.1"], Dialect::Ustar, Some(SparseFormat::Pax01)),
        (&["--format=pax", "--sparse", "--sparse-version=1.0"], Dialect::Ustar, Some(SparseFormat::Pax10)),
    ] {
        let found = read_all(&gnu_tar(&tar, dir.path(), options));
        let get = |name: &str| {
            let name = format!("./{name}");
            let entry = found.iter().find(|(entry, _)| entry.path == name.as_bytes());
            entry.unwrap_or_else(|| panic!("{options:?} has no {name}"))
        };
        let (file, content) = get(LONG);
        assert_eq!((file.kind, file.mode, file.uid, file.gid), (TarKind::File, 0o640, 0, 3_000_000), "{options:?}");
        assert_eq!((file.uname.as_slice(), file.gname.as_slice()), (&b"root"[..], &b"wheel"[..]));
        assert_eq!((file.mtime, file.dialect, content.as_slice()), (7, dialect, &b"long\n"[..]), "{options:?}");
        assert_eq!(
            (get("z-hard").0.kind, &get("z-hard").0.link),
            (TarKind::HardLink, &format!("./{LONG}").into_bytes())
        );
        assert_eq!((get("z-soft").0.kind, get("z-soft").0.link.as_slice()), (TarKind::Symlink, LONG.as_bytes()));
        assert_eq!(get("fifo").0.kind, TarKind::Fifo);
        assert_eq!(found[0].0.path, b"./");

        let (file, content) = get("sparse");
        assert_eq!(file.sparse.as_ref().map(|sparse| sparse.format), sparse, "{options:?}");
        let want = std::fs::read(dir.path().join("sparse")).expect("reads");
        assert!(file.kind == TarKind::File && *content == want, "{options:?}");
        assert!(found.iter().all(|(entry, _)| entry.problems.is_empty()), "{options:?}");
    }
}
