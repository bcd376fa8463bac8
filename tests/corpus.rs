//! What real programs opened beyond their closures, beside what the analyzer puts into their images or names with a flag:
//! the programs of the corpus, ten that were chosen without regard to the rules, and those of roots for another machine and
//! with musl.
//!
//! `CORACLE_DEBIAN_ROOT` and `CORACLE_UNSEEN_ROOT` name the roots (`scripts/debian-root.sh`, `scripts/unseen-root.sh`), the
//! others stand in `CORACLE_FOREIGN_ROOTS` (`scripts/foreign-root.sh arm64`, `scripts/musl-root.sh`). The
//! tables of `docs/corpus.md` are held against what comes out; `CORACLE_BLESS=1` writes them anew.

mod support {
    #[allow(dead_code)]
    pub mod corpus;
    pub mod corpus_page;
    #[allow(dead_code)]
    pub mod peers;
}

use std::path::{Path, PathBuf};

use support::corpus::{ACCOUNTS, Bench, Case, Classes, Judged, cases, is_file};
use support::{corpus_page, peers};

/// The root that a variable names, if any.
fn root(variable: &str) -> Option<PathBuf> {
    let root = std::env::var_os(variable).map(PathBuf::from);
    if root.is_none() {
        peers::skipped(&format!("{variable} names no root"));
    }
    root
}

#[test]
fn every_opened_file_has_one_class() {
    for (runs, classes, count) in [
        ("cases.json", "classes.yaml", 21),
        ("unseen.json", "unseen-classes.yaml", 10),
        ("foreign.json", "foreign-classes.yaml", 20),
        ("musl.json", "musl-classes.yaml", 8),
    ] {
        let all = cases(runs, classes);
        assert_eq!(all.len(), count, "{runs}");
        for (case, class) in all {
            for path in &case.opened_beyond_closure {
                assert!(class.of(path).is_some(), "{}: {path} has no class, or two", case.name);
            }
        }
    }
}

fn judge(root: &Path, all: &[(Case, Classes)]) -> Vec<Judged> {
    let bench = Bench::open(root);
    let mut judged = Vec::new();
    for (case, classes) in all {
        if let Some(absent) = case.executables.iter().find(|path| !is_file(&*bench.root, path)) {
            panic!("case {}: {absent} is not in the root", case.name);
        }
        judged.push(bench.judge(case, classes));
    }
    judged
}

/// Closures are equal, what the runtime provides is known, and the tables of the page are true.
fn holds(judged: &[Judged], section: &str) {
    let mut wrong = Vec::new();
    for case in judged {
        let [missing, more] = &case.closure;
        wrong.extend(missing.iter().map(|path| format!("{}: {path} is mapped, and not by us", case.name)));
        wrong.extend(more.iter().map(|path| format!("{}: {path} is mapped by us alone", case.name)));
        wrong.extend(case.not_of_runtime.iter().map(|path| format!("{}: {path} is of the runtime", case.name)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    corpus_page::hold(section, judged);
}

#[test]
fn what_the_programs_opened_is_included_or_told() {
    let Some(root) = root("CORACLE_DEBIAN_ROOT") else { return };
    let judged = judge(&root, &cases("cases.json", "classes.yaml"));
    holds(&judged, "corpus");
    let missed: Vec<String> = judged.iter().flat_map(corpus_page::missed).collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn what_programs_that_no_rule_was_written_for_opened() {
    let Some(root) = root("CORACLE_UNSEEN_ROOT") else { return };
    holds(&judge(&root, &cases("unseen.json", "unseen-classes.yaml")), "unseen");
}

/// The one of `CORACLE_FOREIGN_ROOTS` that has this file.
fn foreign_root(mark: &str) -> Option<PathBuf> {
    let roots = std::env::var_os("CORACLE_FOREIGN_ROOTS").unwrap_or_default();
    let found = std::env::split_paths(&roots).find(|root| root.join(mark).exists());
    if found.is_none() {
        peers::skipped(&format!("CORACLE_FOREIGN_ROOTS names no root with /{mark}"));
    }
    found
}

#[test]
fn what_programs_of_another_machine_opened() {
    let Some(root) = foreign_root("lib/ld-linux-aarch64.so.1") else { return };
    holds(&judge(&root, &cases("foreign.json", "foreign-classes.yaml")), "arm64");
}

#[test]
fn what_programs_with_musl_opened() {
    let Some(root) = foreign_root("lib/ld-musl-x86_64.so.1") else { return };
    holds(&judge(&root, &cases("musl.json", "musl-classes.yaml")), "musl");
}

/// The pipeline plans exactly what was judged.
#[test]
fn the_plan_has_what_was_found() {
    let Some(root) = root("CORACLE_DEBIAN_ROOT") else { return };
    let bench = Bench::open(&root);
    for (case, _) in cases("cases.json", "classes.yaml") {
        let (mended, links) = bench.mended(&case.executables);
        let planned = bench.plan(&case.executables, &links);
        let entries = planned.plans[0].layers.iter().flat_map(|layer| &layer.entries);
        let paths: std::collections::BTreeSet<String> = entries.map(|entry| entry.path.to_string()).collect();
        let found = mended.find(&case.executables, &[]);
        for path in found.files.keys() {
            assert!(paths.contains(&path.to_string()), "{}: {path}", case.name);
        }
        for path in ACCOUNTS {
            assert_eq!(paths.contains(path), found.accounts.is_some(), "{}: {path}", case.name);
        }
    }
}
