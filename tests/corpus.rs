//! The rules on real programs: everything that the programs of the corpus opened beyond their closures is included, told
//! with its flag, or provided by the container runtime.
//!
//! `CORACLE_DEBIAN_ROOT` names the root (`scripts/debian-root.sh` makes it); `CORACLE_CORPUS` prints all that is found for
//! one case, or for `all`. What each program opened, and whether it is
//! the analyzer's business, stands in `testdata/corpus/`.

#[path = "support/needs_of.rs"]
mod needs_of;
#[path = "support/peers.rs"]
#[allow(dead_code)]
mod peers;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use coracle::rootfs::DirRoot;
use serde::Deserialize;

use needs_of::{Cover, NeedsOf, Shared};

#[derive(Debug, Deserialize)]
struct Case {
    name: String,
    executables: Vec<String>,
    opened_beyond_closure: Vec<String>,
}

/// What a case opened, by class.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Classes {
    user: Vec<String>,
    runtime: Vec<String>,
    needed: Vec<String>,
}

/// `CORACLE_CORPUS_DIR` names another corpus, of programs that were chosen after the rules.
fn testdata(name: &str) -> String {
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/corpus");
    let path = std::env::var_os("CORACLE_CORPUS_DIR").map_or_else(own, PathBuf::from).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn cases() -> Vec<(Case, Classes)> {
    let cases: Vec<Case> = serde_json::from_str(&testdata("cases.json")).unwrap();
    let mut classes: BTreeMap<String, Classes> = serde_saphyr::from_str(&testdata("classes.yaml")).unwrap();
    let with = |case: Case| {
        let class = classes.remove(&case.name).unwrap_or_else(|| panic!("`{}` has no classes", case.name));
        (case, class)
    };
    let all = cases.into_iter().map(with).collect();
    assert!(classes.is_empty(), "classes without a case: {:?}", classes.keys());
    all
}

/// Whether the list has the path, or `…/**` above it.
fn lists(list: &[String], path: &str) -> bool {
    list.iter().any(|entry| match entry.strip_suffix("/**") {
        Some(above) => path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/')),
        None => entry == path,
    })
}

#[test]
fn every_opened_file_has_one_class() {
    let all = cases();
    assert!(std::env::var_os("CORACLE_CORPUS_DIR").is_some() || all.len() == 21);
    for (case, class) in all {
        for path in &case.opened_beyond_closure {
            let count = [&class.user, &class.runtime, &class.needed].iter().filter(|list| lists(list, path)).count();
            assert_eq!(count, 1, "{}: {path}", case.name);
        }
    }
}

/// One line for each case: how many of the needed files are covered, and how much is offered.
#[derive(Default)]
struct Table {
    text: String,
    needed: usize,
    missed: Vec<String>,
}

impl Table {
    fn add(&mut self, case: &Case, class: &Classes, needs: &mut NeedsOf<'_>) {
        let mut count: BTreeMap<&str, usize> = BTreeMap::new();
        for path in case.opened_beyond_closure.iter().filter(|path| lists(&class.needed, path)) {
            let word = match needs.cover(path.as_bytes()) {
                Some(Cover::Included) => "included",
                Some(Cover::Offered(_)) => "offered",
                Some(Cover::AtRunTime) | None => {
                    self.missed.push(format!("{}: {path}", case.name));
                    "missed"
                }
            };
            *count.entry(word).or_default() += 1;
            self.needed += 1;
        }
        for path in case.opened_beyond_closure.iter().filter(|path| lists(&class.runtime, path)) {
            if needs.cover(path.as_bytes()) != Some(Cover::AtRunTime) {
                self.missed.push(format!("{}: {path} is not known to come from the runtime", case.name));
            }
        }
        let of = |word| count.get(word).copied().unwrap_or_default();
        writeln!(
            self.text,
            "{:14} needed: {:3} included, {:2} offered, {:2} missed; included in all: {:4} files; offered: {:3} flags",
            case.name,
            of("included"),
            of("offered"),
            of("missed"),
            needs.included(),
            needs.features().len(),
        )
        .unwrap();
    }
}

#[test]
fn what_the_programs_opened_is_included_or_told() {
    let Some(root) = std::env::var_os("CORACLE_DEBIAN_ROOT").map(PathBuf::from) else {
        peers::skipped("CORACLE_DEBIAN_ROOT names no root");
        return;
    };
    let tree = DirRoot::open(&root).unwrap();
    let shared = Shared::new(&tree);
    let mut table = Table::default();
    for (case, class) in cases() {
        if let Some(absent) = case.executables.iter().find(|path| !root.join(path.trim_start_matches('/')).exists()) {
            peers::skipped(&format!("case {}: {absent} is not in the root", case.name));
            continue;
        }
        let mut needs = NeedsOf::new(&shared);
        for path in &case.executables {
            needs.program(path.as_bytes());
        }
        table.add(&case, &class, &mut needs);
        if std::env::var("CORACLE_CORPUS").is_ok_and(|name| name == "all" || name == case.name) {
            let _ = writeln!(std::io::stdout(), "{}", needs.describe());
        }
    }
    let _ = writeln!(std::io::stdout(), "{}{} needed files", table.text, table.needed);
    assert!(table.missed.is_empty(), "missed:\n{}", table.missed.join("\n"));
}
