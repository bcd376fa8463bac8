//! Every code of a finding in the sources stands once in `docs/diagnostics.md`, and no other does.

use std::path::Path;

fn codes(text: &str, before: &str, after: &str) -> Vec<String> {
    let mut found: Vec<String> = text
        .split(before)
        .skip(1)
        .filter_map(|rest| rest.split_once(after).map(|(code, _)| code.to_owned()))
        .filter(|code| code.len() == 4 && code.starts_with(|c: char| c.is_ascii_uppercase()))
        .filter(|code| code.chars().skip(1).all(|c| c.is_ascii_digit()))
        .collect();
    found.sort();
    found
}

fn sources() -> String {
    let mut text = String::new();
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                text.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    text
}

#[test]
fn every_code_is_explained() {
    let docs = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/diagnostics.md")).unwrap();
    let explained = codes(&docs, "\n| ", " |");
    assert!(explained.len() > 30, "{explained:?}");
    assert_eq!(codes(&sources(), "Code(\"", "\")"), explained);
}

#[test]
fn an_unexplained_code_is_seen() {
    assert_eq!(codes("const A: Code = Code(\"X123\");", "Code(\"", "\")"), ["X123"]);
    assert!(codes("Code(\"x\")", "Code(\"", "\")").is_empty());
}
