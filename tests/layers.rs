//! The import rule: a module uses only modules of the same or a lower layer, and no two folders use each other.
//!
//! rustc forbids neither, so this test reads the sources. The numbers are those of ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Top module and its layer.
const LAYERS: &[(&str, u8)] = &[
    ("oci", 0),
    ("diag", 0),
    ("limits", 0),
    ("observe", 0),
    ("elf", 1),
    ("rootfs", 1),
    ("analyze", 2),
    ("blob", 3),
    ("plan", 3),
    ("config", 3),
    ("layer", 4),
    ("net", 4),
    ("image", 5),
    ("store", 6),
    ("registry", 6),
    ("serve", 6),
    ("attest", 7),
    ("pipeline", 8),
    ("kube", 8),
    ("cli", 9),
];

/// `(file, top module, code)` of each source file.
type Sources = Vec<(String, String, String)>;

fn sources(root: &Path) -> Sources {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let relative = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                let top = relative.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
                if top != "lib" && top != "main" {
                    found.push((relative, top, std::fs::read_to_string(&path).unwrap()));
                }
            }
        }
    }
    found.sort();
    found
}

/// Code without comments: documentation may link anywhere. Modules under `#[cfg(test)]` count, they are code too.
fn without_comments(code: &str) -> String {
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Top modules that the code names after `crate::`, single or in braces.
fn used(code: &str) -> BTreeSet<String> {
    let code = without_comments(code);
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(list) = rest.strip_prefix('{') else {
            names.insert(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut fresh = true;
        for (i, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => fresh = true,
                c if depth == 0 && fresh && !c.is_whitespace() => {
                    names.insert(word(&list[i..]));
                    fresh = false;
                }
                _ => {}
            }
        }
    }
    names
}

/// Every breach of the rule in `sources`.
fn breaches(sources: &Sources) -> Vec<String> {
    let layers: BTreeMap<&str, u8> = LAYERS.iter().copied().collect();
    let mut found = Vec::new();
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, top, code) in sources {
        let Some(own) = layers.get(top.as_str()) else {
            found.push(format!("{file}: module `{top}` has no layer number"));
            continue;
        };
        for name in used(code) {
            if name == *top || name.is_empty() {
                continue;
            }
            match layers.get(name.as_str()) {
                None => found.push(format!("{file}: uses `crate::{name}`, which has no layer number")),
                Some(other) if other > own => {
                    found.push(format!("{file}: layer {own} uses `{name}` of layer {other}"));
                }
                Some(_) => {}
            }
            edges.entry(top.clone()).or_default().insert(name);
        }
    }
    found.extend(cycle(&edges));
    found
}

/// A cycle among the folders, if there is one.
fn cycle(edges: &BTreeMap<String, BTreeSet<String>>) -> Option<String> {
    edges.keys().find_map(|start| {
        let mut reached = BTreeSet::new();
        let mut open: Vec<&String> = edges[start].iter().collect();
        while let Some(next) = open.pop() {
            if next == start {
                return Some(format!("folders use each other in a cycle through `{start}`"));
            }
            if reached.insert(next) {
                open.extend(edges.get(next).into_iter().flatten());
            }
        }
        None
    })
}

#[test]
fn imports_run_downwards_and_have_no_cycle() {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(sources.len() > 20, "the sources were not found");
    let found = breaches(&sources);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_breach_is_found() {
    let file = |name: &str, code: &str| {
        (name.to_owned(), name.split('/').next().unwrap().trim_end_matches(".rs").to_owned(), code.to_owned())
    };
    let check = |sources: Sources, want: &str| {
        let found = breaches(&sources).join("\n");
        assert!(found.contains(want), "wanted `{want}` in `{found}`");
    };
    check(vec![file("elf/mod.rs", "use crate::store::Store;")], "layer 1 uses `store` of layer 6");
    check(vec![file("oci/x.rs", "use crate::{limits, cli::Args};")], "layer 0 uses `cli` of layer 9");
    check(vec![file("oci/x.rs", "use crate::{limits::{A, B}, elf};")], "layer 0 uses `elf` of layer 1");
    check(vec![file("strange/x.rs", "")], "module `strange` has no layer number");
    let both =
        vec![file("store/a.rs", "use crate::registry::X;"), file("registry/b.rs", "fn f() { crate::store::g() }")];
    check(both, "cycle");
    assert_eq!(breaches(&vec![file("oci/x.rs", "//! See [`crate::cli`].\nuse crate::limits;")]), Vec::<String>::new());
}
