//! The tables of `docs/corpus.md`, made of what was judged.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use super::corpus::{Cover, Judged};

/// Most of the files of a case that are listed as superfluous.
const LARGEST: usize = 3;

/// Lines about the needs that a case misses.
pub fn missed(case: &Judged) -> Vec<String> {
    let missed = case.needed.iter().filter(|(_, (cover, _))| *cover == Cover::Missed);
    missed.map(|(entry, (_, files))| format!("{}: {entry}{}", case.name, of(entry, files))).collect()
}

/// The files that stand for a tree.
fn of(entry: &str, files: &[String]) -> String {
    if !entry.ends_with("/**") {
        return String::new();
    }
    format!(" ({} files, such as {})", files.len(), files[0])
}

/// The lines of a case that only a change of the analyzer changes.
fn row(case: &Judged) -> String {
    let [missing, more] = &case.closure;
    let closure = if missing.is_empty() && more.is_empty() { "equal" } else { "differs" };
    let count = |wanted| case.count(wanted);
    format!(
        "| {} | {} {closure} | {} | {} | {} | {} | {} |",
        case.name,
        case.mapped,
        case.needed.len(),
        count(|cover| *cover == Cover::Included),
        count(|cover| matches!(cover, Cover::Offered(_))),
        count(|cover| *cover == Cover::Missed),
        case.flags,
    )
}

fn table(judged: &[Judged]) -> String {
    let mut out =
        "| Case | Closure | Needed | Included | Offered | Missed | Flags |\n|---|---|---:|---:|---:|---:|---:|\n"
            .to_owned();
    for case in judged {
        writeln!(out, "{}", row(case)).unwrap();
    }
    let sum = |wanted: fn(&Cover) -> bool| judged.iter().map(|case| case.count(wanted)).sum::<usize>();
    writeln!(
        out,
        "| together | | {} | {} | {} | {} | |\n",
        judged.iter().map(|case| case.needed.len()).sum::<usize>(),
        sum(|cover| *cover == Cover::Included),
        sum(|cover| matches!(cover, Cover::Offered(_))),
        sum(|cover| *cover == Cover::Missed),
    )
    .unwrap();
    for case in judged {
        let mut by_flag: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (entry, (cover, _)) in &case.needed {
            if let Cover::Offered(flag) = cover {
                by_flag.entry(flag).or_default().push(entry);
            }
        }
        for (flag, entries) in by_flag {
            let rest = if entries.len() > 1 { format!(" and {} more", entries.len() - 1) } else { String::new() };
            writeln!(out, "- {}: `{flag}` for {}{rest}", case.name, entries[0]).unwrap();
        }
        if let Some(first) = case.not_in_root.first() {
            let count = case.not_in_root.len();
            writeln!(
                out,
                "- {}: {count} caches that the interpreter wrote itself are left out, such as {first}",
                case.name
            )
            .unwrap();
        }
        for link in &case.links {
            writeln!(out, "- {}: judged with `--with {link}`, as its finding says", case.name).unwrap();
        }
    }
    out.push_str("\nMissed:\n\n");
    let lines: Vec<String> = judged.iter().flat_map(missed).collect();
    for line in &lines {
        writeln!(out, "- {line}").unwrap();
    }
    if lines.is_empty() {
        out.push_str("- nothing\n");
    }
    out
}

/// What is in the image by default, and the run did not open. The sizes are those of a release of packages.
fn superfluous(judged: &[Judged]) -> String {
    let mut out = "| Case | Files | not opened | KiB of them | The largest |\n|---|---:|---:|---:|---|\n".to_owned();
    for case in judged {
        let mut largest: Vec<(&String, u64)> = case.unopened.iter().map(|(path, size)| (path, *size)).collect();
        largest.sort_by_key(|(path, size)| (std::cmp::Reverse(*size), *path));
        let shown: Vec<String> =
            largest.iter().take(LARGEST).map(|(path, size)| format!("{path} {}", size.div_ceil(1024))).collect();
        let bytes: u64 = case.unopened.values().sum();
        writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            case.name,
            case.files,
            case.unopened.len(),
            bytes.div_ceil(1024),
            shown.join(", ")
        )
        .unwrap();
    }
    out
}

/// Holds a section of the page against what was judged, or writes it.
pub fn hold(section: &str, judged: &[Judged]) {
    part(section, &table(judged), true);
    part(&format!("{section}, not opened"), &superfluous(judged), false);
}

/// One part of the page, between two comments. Parts with sizes are written, not compared: packages get updates.
pub fn part(name: &str, text: &str, compared: bool) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/corpus.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- {name} -->\n\n"), "\n<!-- end -->");
    let start = page.find(&begin).unwrap_or_else(|| panic!("docs/corpus.md has no part `{name}`")) + begin.len();
    let stop = start + page[start..].find(end).unwrap();
    let _ = writeln!(std::io::stdout(), "{name}\n{text}");
    if std::env::var_os("CORACLE_BLESS").is_some() {
        std::fs::write(path, format!("{}{text}{}", &page[..start], &page[stop..])).unwrap();
    } else if compared {
        assert!(page[start..stop] == *text, "docs/corpus.md does not tell what is true of `{name}`:\n{text}");
    }
}
