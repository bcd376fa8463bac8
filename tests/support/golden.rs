//! Golden files: bytes that must never change, written down so that a change explains itself.
//!
//! A golden file is JSON. A mismatch names the first value that differs, for a tar the header and the field. With
//! `CORACLE_BLESS=1` the file is written anew instead.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::path::Path;

use coracle::diag::escape;
use coracle::oci::Digest;
use serde_json::{Map, Value, json};

/// Compares `actual` with `tests/golden/<name>.json`.
pub fn check(name: &str, actual: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.json"));
    if std::env::var_os("CORACLE_BLESS").is_some_and(|value| value == "1") {
        let text = serde_json::to_string_pretty(actual).expect("serializes") + "\n";
        std::fs::write(&path, text).expect("writes the golden file");
        return;
    }
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("cannot read {}: {error}; CORACLE_BLESS=1 writes it", path.display());
    });
    let committed: Value = serde_json::from_str(&text).expect("a golden file is JSON");
    if let Some(difference) = first_difference("", &committed, actual) {
        panic!("{name} is not what {} says; first difference at {difference}", path.display());
    }
}

/// Where two values first differ, with both of them; arrays and objects are walked in order.
pub fn first_difference(at: &str, committed: &Value, actual: &Value) -> Option<String> {
    match (committed, actual) {
        (Value::Array(a), Value::Array(b)) => a
            .iter()
            .zip(b)
            .enumerate()
            .find_map(|(index, (a, b))| first_difference(&format!("{at}[{index}]"), a, b))
            .or_else(|| (a.len() != b.len()).then(|| format!("{at}: committed {} elements, now {}", a.len(), b.len()))),
        (Value::Object(a), Value::Object(b)) => {
            let key_of = |(key, value): (&String, &Value)| {
                let at = format!("{at}.{key}");
                match b.get(key) {
                    None => Some(format!("{at}: committed {value}, now absent")),
                    Some(other) => first_difference(&at, value, other),
                }
            };
            let added = b.iter().find(|(key, _)| !a.contains_key(*key));
            a.iter().find_map(key_of).or_else(|| added.map(|(key, value)| format!("{at}.{key}: new, {value}")))
        }
        _ => (committed != actual).then(|| format!("{at}: committed {committed}, now {actual}")),
    }
}

/// The fields of a ustar header and where they end. Fields are compared in the order of their names, and the checksum last:
/// it differs whenever another field does.
const FIELDS: [(&str, usize); 16] = [
    ("name", 100),
    ("mode", 108),
    ("uid", 116),
    ("gid", 124),
    ("size", 136),
    ("mtime", 148),
    ("z-checksum", 156),
    ("type", 157),
    ("linkname", 257),
    ("magic", 263),
    ("version", 265),
    ("uname", 297),
    ("gname", 329),
    ("devmajor", 337),
    ("devminor", 345),
    ("prefix", 500),
];

/// Every header of a tar with its raw fields, and the digest of what follows it. Reads sizes in octal only, as coracle
/// writes them for anything below 8 GiB.
pub fn tar_listing(tar: &[u8]) -> Value {
    let mut headers = Vec::new();
    let mut at = 0;
    while tar.len() >= at + 512 && tar[at..at + 512].iter().any(|byte| *byte != 0) {
        let block = &tar[at..at + 512];
        let mut header = Map::new();
        let mut start = 0;
        for (name, end) in FIELDS {
            let field = &block[start..end];
            let used = field.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            header.insert(name.to_owned(), escape(&field[..used]).into());
            start = end;
        }
        let octal = std::str::from_utf8(&block[124..135]).expect("digits");
        let size = usize::from_str_radix(octal, 8).expect("octal");
        let content = &tar[at + 512..at + 512 + size];
        match block[156] {
            b'x' => header.insert("records".to_owned(), escape(content).into()),
            _ => header.insert("content".to_owned(), Digest::of(content).to_string().into()),
        };
        headers.push(Value::Object(header));
        at += 512 + size.next_multiple_of(512);
    }
    json!({ "headers": headers, "end": tar.len() - at, "endIsZero": tar[at..].iter().all(|byte| *byte == 0) })
}
