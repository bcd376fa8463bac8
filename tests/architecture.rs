//! ARCHITECTURE.md stays true where a test can tell: each direct dependency has its line of reason, and each folder and
//! top file of `src/` its line in the code map.

use std::path::PathBuf;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Names in the first column of all tables of `text`, without backticks.
fn first_cells(text: &str) -> Vec<String> {
    let rows = text.lines().filter_map(|l| l.strip_prefix("| ")?.split(" | ").next());
    let names = rows.flat_map(|cell| cell.split(", "));
    names.map(|name| name.split(" (").next().unwrap_or_default().trim_matches('`').to_owned()).collect()
}

/// Direct dependencies of a manifest, of all kinds.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if inside && !line.starts_with('#') {
            names.extend(line.split_once(" = ").map(|(name, _)| name.to_owned()));
        }
    }
    names
}

/// Everything of `wanted` that no table names.
fn unnamed(text: &str, wanted: &[String]) -> Vec<String> {
    let named = first_cells(text);
    wanted.iter().filter(|w| !named.contains(w)).cloned().collect()
}

#[test]
fn every_direct_dependency_has_its_reason() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let wanted = dependencies(&std::fs::read_to_string(root().join("Cargo.toml")).unwrap());
    assert!(wanted.len() > 10, "Cargo.toml was not read");
    assert_eq!(unnamed(&text, &wanted), Vec::<String>::new());
}

#[test]
fn every_folder_stands_in_the_code_map() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let mut wanted = Vec::new();
    for entry in std::fs::read_dir(root().join("src")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if !["lib.rs", "main.rs"].contains(&name.as_str()) {
            wanted.push(if entry.path().is_dir() { format!("src/{name}/") } else { format!("src/{name}") });
        }
    }
    assert_eq!(unnamed(&text, &wanted), Vec::<String>::new());
}

#[test]
fn what_is_not_named_is_found() {
    let wanted = ["serde".to_owned(), "left-pad".to_owned()];
    assert_eq!(unnamed("| Crate | Why |\n| serde, x | because |", &wanted), ["left-pad"]);
    assert_eq!(dependencies("[dependencies]\na = \"1\"\n[dev-dependencies]\nb = { }\n[lints]\nc = 1"), ["a", "b"]);
}
