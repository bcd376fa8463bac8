//! Stacks of layers, tame and nasty, as tars made entry by entry.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::collections::BTreeMap;

use coracle::blob::{Blob, Layer};
use coracle::oci::{DiffId, Digest, ImagePath, media_type};
use coracle::rootfs::{Node, Root, read_whole};

use super::archives::{Header, archive, records, with_body};

/// A header of a type with these names as bytes and this mode.
fn header(type_flag: u8, name: &[u8], link: &[u8], mode: u32, size: usize) -> Header {
    let mut header = Header::new(type_flag, "", size as u64);
    header.field(0, name).field(100, format!("{mode:07o}\0").as_bytes()).field(157, link);
    header
}

pub fn dir(name: impl AsRef<[u8]>, mode: u32) -> Vec<u8> {
    header(b'5', name.as_ref(), b"", mode, 0).block()
}

pub fn file(name: impl AsRef<[u8]>, content: &str) -> Vec<u8> {
    file_of_mode(name, content, 0o644)
}

pub fn file_of_mode(name: impl AsRef<[u8]>, content: &str, mode: u32) -> Vec<u8> {
    with_body(&header(b'0', name.as_ref(), b"", mode, content.len()), content.as_bytes())
}

pub fn link(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Vec<u8> {
    header(b'2', name.as_ref(), target.as_ref(), 0o777, 0).block()
}

pub fn hard(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Vec<u8> {
    header(b'1', name.as_ref(), target.as_ref(), 0o644, 0).block()
}

pub fn special(type_flag: u8, name: &str) -> Vec<u8> {
    header(type_flag, name.as_bytes(), b"", 0o644, 0).block()
}

/// A file whose name stands in a pax header.
pub fn pax_file(name: &str, content: &str) -> Vec<u8> {
    [records(b'x', &[("path", name)]), file("short", content)].concat()
}

/// A sparse file in GNU's format 1.0: two pieces of data with holes around.
pub fn sparse(name: &str) -> Vec<u8> {
    let mut body = b"2\n1000\n4\n5000\n3\n".to_vec();
    body.resize(512, 0);
    body.extend(b"dataend");
    let pax = [
        ("GNU.sparse.major", "1"),
        ("GNU.sparse.minor", "0"),
        ("GNU.sparse.name", name),
        ("GNU.sparse.realsize", "6000"),
    ];
    let body = with_body(&Header::new(b'0', "GNUSparseFile.0/x", body.len() as u64), &body);
    [records(b'x', &pax), body].concat()
}

/// The tar of a layer.
pub fn tar(entries: &[Vec<u8>]) -> Vec<u8> {
    archive(entries)
}

/// A layer of this tar, in one of the encodings by turns.
pub fn layer(tar: &[u8], turn: usize) -> Layer {
    let (media_type, bytes) = match turn % 3 {
        0 => (media_type::OCI_LAYER_GZIP, super::images::gzip(tar)),
        1 => (media_type::OCI_LAYER, tar.to_vec()),
        _ => (media_type::OCI_LAYER_ZSTD, zstd::encode_all(tar, 1).unwrap()),
    };
    Layer { blob: Blob::from_bytes(media_type, bytes), diff_id: DiffId(Digest::of(tar)) }
}

/// What stands at each path of a root: kind, mode, target or content. Hard links tell their first name.
pub fn described(root: &dyn Root) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut inodes = BTreeMap::new();
    let mut open = vec![ImagePath::root()];
    while let Some(at) = open.pop() {
        let text = match root.node(&at).unwrap().unwrap_or_else(|| panic!("{at} is listed and not there")) {
            Node::Directory { mode } => {
                let names = root.read_dir(&at).unwrap();
                assert!(names.is_sorted(), "{at}: {names:?}");
                open.extend(names.iter().rev().map(|name| at.join(name).unwrap()));
                format!("directory {mode:04o}")
            }
            Node::File { size, mode, inode } => {
                let content = read_whole(root, &at, 1 << 20).unwrap();
                assert_eq!(content.len() as u64, size, "{at}");
                let first = inodes.entry(inode.expect("an inode")).or_insert_with(|| at.to_string());
                let linked = if *first == at.to_string() { String::new() } else { format!(" = {first}") };
                format!("file {mode:04o} {}{linked}", coracle::diag::escape(&content))
            }
            Node::Symlink(target) => format!("link {}", coracle::diag::escape(&target)),
            Node::Special => "special".to_owned(),
        };
        all.insert(at.to_string(), text);
    }
    all
}

/// A name and the layers of a stack, from the bottom up.
pub type Stack = (&'static str, Vec<Vec<Vec<u8>>>);

/// Stacks that runtimes agree on.
pub fn stacks() -> Vec<Stack> {
    let mut all = whiteouts();
    all.extend(replacements());
    all.extend(links());
    all.extend(names());
    all
}

/// A directory `d` with a file, a directory and a link.
fn base() -> Vec<Vec<u8>> {
    vec![
        dir("d/", 0o750),
        file("d/a", "a"),
        file("d/b", "b"),
        dir("d/sub/", 0o700),
        file("d/sub/c", "c"),
        link("d/l", "sub/c"),
        file("top", "top"),
    ]
}

fn whiteouts() -> Vec<Stack> {
    vec![
        (
            "whiteouts of a file, a link, a directory and nothing",
            vec![base(), vec![file("d/.wh.a", ""), file("d/.wh.l", ""), file("d/.wh.sub", ""), file(".wh.none", "")]],
        ),
        (
            "a file comes back in the layer above",
            vec![base(), vec![file("d/.wh.a", "")], vec![file_of_mode("d/a", "again", 0o600)]],
        ),
        ("a whiteout before what takes the place", vec![base(), vec![file("d/.wh.a", ""), file("d/a", "new")]]),
        ("a whiteout behind what takes the place", vec![base(), vec![file("d/a", "new"), file("d/.wh.a", "")]]),
        (
            "a whiteout of a directory that comes back",
            vec![base(), vec![file(".wh.d", ""), dir("d/", 0o711), file("d/new", "new")]],
        ),
        (
            "the same, the other way round",
            vec![base(), vec![dir("d/", 0o711), file("d/new", "new"), file(".wh.d", "")]],
        ),
        (
            "an opaque directory",
            vec![
                base(),
                vec![dir("d/", 0o755), file("d/.wh..wh..opq", ""), file("d/new", "new"), file("d/b", "other")],
            ],
        ),
        (
            "an opaque directory whose mark comes last",
            vec![
                base(),
                vec![dir("d/", 0o755), dir("d/sub/", 0o755), file("d/sub/e", "e"), file("d/.wh..wh..opq", "")],
            ],
        ),
        (
            "opaque twice, in two layers",
            vec![
                base(),
                vec![dir("d/", 0o755), file("d/.wh..wh..opq", ""), file("d/x", "x")],
                vec![dir("d/", 0o700), file("d/.wh..wh..opq", ""), file("d/y", "y")],
            ],
        ),
        ("the whole image", vec![base(), vec![dir("./", 0o711), file(".wh..wh..opq", ""), file("n", "n")]]),
        (
            "a whiteout through a link of a lower layer",
            vec![
                vec![dir("usr/", 0o755), dir("usr/lib/", 0o755), file("usr/lib/x", "x"), link("lib", "usr/lib")],
                vec![file("lib/.wh.x", ""), file("lib/y", "y")],
            ],
        ),
        (
            "a whiteout of a link to a directory",
            vec![vec![dir("usr/", 0o755), file("usr/x", "x"), link("lib", "usr")], vec![file(".wh.lib", "")]],
        ),
        ("whiteouts below what is not there", vec![base(), vec![file("top2/.wh.x", ""), file("x/.wh..wh..opq", "")]]),
    ]
}

fn replacements() -> Vec<Stack> {
    vec![
        ("a file becomes a directory", vec![base(), vec![dir("top/", 0o755), file("top/x", "x")]]),
        (
            "a directory becomes a file and a directory again",
            vec![base(), vec![file("d", "file")], vec![dir("d/", 0o700), file("d/z", "z")]],
        ),
        (
            "a directory becomes a link, which is followed later",
            vec![base(), vec![link("d", "e"), dir("e/", 0o755), file("d/through", "t")], vec![file("d/later", "l")]],
        ),
        (
            "a link becomes a directory",
            vec![
                vec![dir("usr/", 0o755), file("usr/x", "x"), link("lib", "usr")],
                vec![dir("lib/", 0o700), file("lib/own", "own")],
            ],
        ),
        ("a link becomes a file, and a file a link", vec![base(), vec![file("d/l", "l"), link("top", "d/l")]]),
        (
            "two entries of a name in one layer",
            vec![vec![
                file("x", "1"),
                file_of_mode("x", "2", 0o755),
                dir("y/", 0o700),
                dir("y/", 0o711),
                file("y/z", "z"),
            ]],
        ),
        (
            "a name that is many things in one layer",
            vec![vec![file("x", "1"), dir("x/", 0o755), file("x/in", "in"), link("x", "elsewhere"), file("x", "end")]],
        ),
        (
            "modes of directories come from the last entry",
            vec![vec![dir("m/", 0o700), file("m/a", "a")], vec![dir("m/", 0o1755)], vec![file("m/b", "b")]],
        ),
        ("directories that nobody describes", vec![vec![file("p/q/r", "r")]]),
        (
            "setuid, setgid and sticky bits",
            vec![vec![
                dir("./", 0o755),
                file_of_mode("s", "s", 0o4755),
                file_of_mode("g", "g", 0o2711),
                dir("t/", 0o1777),
            ]],
        ),
    ]
}

fn links() -> Vec<Stack> {
    vec![
        (
            "hard links in one layer",
            vec![vec![file("a", "one"), hard("b", "a"), hard("c", "./b"), dir("d/", 0o755), hard("d/e", "/a")]],
        ),
        ("hard links across layers", vec![base(), vec![hard("d/h", "d/sub/c"), hard("h", "/top")]]),
        (
            "a hard link whose file is replaced later",
            vec![vec![file("a", "old"), hard("b", "a")], vec![file("a", "new")]],
        ),
        (
            "a hard link whose file is hidden later",
            vec![vec![file("a", "kept"), hard("b", "a")], vec![file(".wh.a", "")]],
        ),
        ("a hard link to a link", vec![vec![link("l", "nowhere"), hard("m", "l")]]),
        (
            "a hard link through links of directories",
            vec![
                vec![dir("usr/", 0o755), file("usr/x", "x"), link("lib", "/usr")],
                vec![hard("y", "lib/x"), hard("lib/z", "y")],
            ],
        ),
        (
            "writing through absolute, relative and chained links",
            vec![
                vec![
                    dir("usr/", 0o755),
                    dir("usr/lib/", 0o755),
                    link("lib", "usr/lib"),
                    link("usr/abs", "/usr/lib"),
                    link("one", "two"),
                    link("two", "./usr/abs/../lib"),
                    dir("deep/", 0o755),
                    link("deep/up", "../../../usr"),
                ],
                vec![
                    file("lib/a", "a"),
                    file("usr/abs/b", "b"),
                    file("one/c", "c"),
                    file("deep/up/d", "d"),
                    dir("lib/e/", 0o700),
                ],
            ],
        ),
        ("writing through a link that leads nowhere", vec![vec![link("l", "not/yet")], vec![file("l/x", "x")]]),
        ("a loop of links that nothing goes through", vec![vec![link("a", "b"), link("b", "a"), link("self", "self")]]),
    ]
}

fn names() -> Vec<Stack> {
    let long = format!("{}/{}", "n".repeat(120), "m".repeat(130));
    let latin: &[u8] = b"caf\xe9";
    vec![
        (
            "dots, slashes and absolute names",
            vec![
                vec![
                    dir("./", 0o755),
                    file("./a", "a"),
                    dir(".//b///", 0o755),
                    file("/abs", "abs"),
                    file("b/./c", "c"),
                ],
                vec![file("./b/.wh.c", ""), file("/.wh.abs", "")],
            ],
        ),
        (
            "names that go up and stay inside",
            vec![vec![dir("a/", 0o755), file("a/../b", "b"), file("x/y/../../c", "c")]],
        ),
        ("names in pax headers", vec![vec![pax_file(&long, "long"), pax_file("ü/ß", "utf-8")]]),
        (
            "names that are not UTF-8",
            vec![
                vec![file(latin, "1"), dir(b"\xff\xfe/", 0o755), file(b"\xff\xfe/\x80", "2"), link("l", latin)],
                vec![file([b".wh.", latin].concat(), ""), hard(b"\xf0", b"\xff\xfe/\x80")],
            ],
        ),
        ("a sparse file", vec![vec![sparse("holes")]]),
        ("names like whiteouts that are none", vec![vec![file("wh.a", "1"), file("a.wh.b", "2"), dir(".w/", 0o755)]]),
    ]
}
