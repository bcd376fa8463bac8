//! `docs/acceptance.md` names, for each promise, the check that fails without it. This test reads the table and makes
//! sure that every named check exists: a renamed or deleted test cannot leave a promise unguarded.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Each check named in the last column of a row, as `file::function` or a path.
fn checks(table: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in table.lines().filter(|l| l.starts_with('|') && !l.starts_with("|-") && !l.starts_with("| Promise")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        let named: Vec<String> = cells.last().unwrap().split('`').skip(1).step_by(2).map(str::to_owned).collect();
        assert!(!named.is_empty() && cells.len() >= 2, "a row without a check: {line}");
        found.extend(named);
    }
    found
}

/// What is wrong with a named check, if anything.
fn missing(check: &str) -> Option<String> {
    let Some((file, function)) = check.split_once("::") else {
        return (!root().join(check).exists()).then(|| format!("`{check}` does not exist"));
    };
    let path = root().join(file);
    let Ok(code) = std::fs::read_to_string(&path) else {
        return Some(format!("`{file}` does not exist"));
    };
    let is_there = code.contains(&format!("fn {function}("));
    (!is_there).then(|| format!("`{file}` has no function `{function}`"))
}

#[test]
fn every_named_check_exists() {
    let table = std::fs::read_to_string(root().join("docs/acceptance.md")).unwrap();
    let checks = checks(&table);
    assert!(checks.len() > 3, "the table was not read");
    let found: Vec<String> = checks.iter().filter_map(|c| missing(c)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_missing_check_is_found() {
    assert!(missing("tests/acceptance.rs::no_such_test").is_some());
    assert!(missing("tests/no_such_file.rs::x").is_some());
    assert!(missing("tests/no_such_file").is_some());
    assert_eq!(missing("tests/acceptance.rs::a_missing_check_is_found"), None);
    assert!(Path::new(&root()).is_dir());
}
