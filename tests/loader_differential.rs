//! Every program and library of a tree: the files that we say its loader maps are those that the loader says.
//!
//! The tree is this machine's `/usr`, by a sample that `CORACLE_DIFFERENTIAL=all` makes the whole. With
//! `CORACLE_DEBIAN_ROOT` (`scripts/debian-root.sh` makes one) it is all of that root too, whose own loader runs in it.
//! `CORACLE_FOREIGN_ROOTS` names roots of other machines or with musl, separated by colons (`scripts/foreign-root.sh`,
//! `scripts/musl-root.sh`): their loaders run in them, under emulation where they must.

#[path = "support/loader_hwcaps.rs"]
mod hwcaps;
#[path = "support/peers.rs"]
mod peers;
#[path = "support/loader_told.rs"]
#[allow(dead_code)]
mod told;
#[path = "support/loader_tree.rs"]
mod tree;

use std::path::Path;

use tree::{Kind, Tree, say};

/// Files of this machine that are compared by default, spread evenly over all.
const SAMPLE: usize = 400;

/// Spread evenly over all, unless all are asked for.
fn sample(all: Vec<String>) -> Vec<String> {
    let whole = std::env::var_os("CORACLE_DIFFERENTIAL").is_some_and(|value| value == "all");
    let step = if whole { 1 } else { all.len().div_ceil(SAMPLE).max(1) };
    all.into_iter().step_by(step).collect()
}

#[test]
fn this_machine() {
    let root = Path::new("/");
    if !cfg!(target_arch = "x86_64") || !Path::new(Kind::NATIVE.loader).exists() {
        return peers::skipped("this machine has no glibc for x86-64");
    }
    let tree = Tree::new(root, Kind::NATIVE, peers::find).expect("a static program cannot be linked");
    let some = sample(tree.files(&["usr/bin", "usr/sbin", "usr/lib/x86_64-linux-gnu"]));
    assert!(some.len() > 20, "only {} files were found", some.len());
    if tree.compare(&some).is_none() {
        peers::skipped("only root can enter a root");
    }
}

#[test]
fn a_debian_root() {
    let Some(root) = std::env::var_os("CORACLE_DEBIAN_ROOT") else {
        return peers::skipped("CORACLE_DEBIAN_ROOT names no root (scripts/debian-root.sh makes one)");
    };
    let tree = Tree::new(Path::new(&root), Kind::NATIVE, peers::find).expect("a static program cannot be linked");
    if tree.compare(&tree.files(&["usr", "opt"])).is_none() {
        peers::skipped("only root can enter a root");
    }
}

#[test]
fn roots_of_other_machines() {
    let Some(roots) = std::env::var_os("CORACLE_FOREIGN_ROOTS") else {
        return peers::skipped("CORACLE_FOREIGN_ROOTS names no roots (scripts/foreign-root.sh makes some)");
    };
    for root in std::env::split_paths(&roots) {
        let kinds = Kind::of(&root);
        assert!(!kinds.is_empty(), "`{}` has no loader that is known here", root.display());
        for kind in kinds {
            let Some(tree) = Tree::new(&root, kind, peers::find) else {
                say(&format!("skipped: {} cannot be run here", kind.loader));
                continue;
            };
            let some = sample(tree.files(&["usr", "opt", "lib"]));
            assert!(some.len() > 20, "only {} files of {} were found", some.len(), kind.loader);
            if tree.compare(&some).is_none() {
                peers::skipped("only root can enter a root");
            }
        }
    }
}
