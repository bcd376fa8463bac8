//! The closure of one program of this machine: `cargo bench --bench closure`. Beside libtree and lddtree:
//! `scripts/bench-closure.sh`.

use std::path::Path;

use coracle::analyze::loader::{Target, check_versions};
use coracle::rootfs::DirRoot;
use divan::Bencher;

fn main() {
    divan::main();
}

/// A program with some thirty libraries where it is installed, else one that every machine has.
fn program() -> &'static str {
    ["/usr/bin/curl", "/usr/bin/git", "/bin/ls"]
        .into_iter()
        .find(|p| Path::new(p).exists())
        .expect("a program is there")
}

/// Nothing is known yet: every header is read.
#[divan::bench]
fn alone(bencher: Bencher) {
    let root = DirRoot::open(Path::new("/")).expect("the root opens");
    bencher.bench_local(|| Target::new(&root).closure(program().as_bytes(), None).expect("it is read"));
}

/// One of many programs: its libraries are parsed already.
#[divan::bench]
fn among_others(bencher: Bencher) {
    let root = DirRoot::open(Path::new("/")).expect("the root opens");
    let target = Target::new(&root);
    bencher.bench_local(|| target.closure(program().as_bytes(), None).expect("it is read"));
}

/// The check of symbol versions alone.
#[divan::bench]
fn versions(bencher: Bencher) {
    let root = DirRoot::open(Path::new("/")).expect("the root opens");
    let closure =
        Target::new(&root).closure(program().as_bytes(), None).expect("it is read").expect("it has a closure");
    bencher.bench_local(|| check_versions(&closure));
}
