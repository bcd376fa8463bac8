//! A program and its needs on one screen.

use std::fmt::Write as _;

use super::hardening;
use super::progress::human_bytes;
use crate::analyze::{Confidence, Level, Outcome, Requirement, Subject};
use crate::diag::printable;
use crate::elf::{ElfFacts, Language, Libc};
use crate::oci::Platform;
use crate::pipeline::inspect::Inspection;

/// More libraries than this are folded.
const LIBRARIES: usize = 20;
/// How many of them are shown then.
const SHOWN: usize = 12;
/// Letters of a reason that are shown; `--all` shows all.
const REASON: usize = 76;
/// The widest column of subjects; longer ones push their own line to the right.
const SUBJECT: usize = 36;

/// What a person wants to know of a program; with `all`, nothing is folded or cut.
pub fn program(inspection: &Inspection, all: bool) -> String {
    let analysis = &inspection.analysis;
    let Some(facts) = &analysis.facts else {
        return format!("{}  {}  {}\n", printable(&analysis.name), analysis.file_kind, human_bytes(analysis.size));
    };
    let mut out = printable(&head(inspection, facts).join("  "));
    let _ = writeln!(out, "\n  {}", printable(&details(inspection, facts).join(", ")));
    let privileges = hardening::of_file(inspection);
    if !privileges.is_empty() {
        let _ = writeln!(out, "  privileges: {}", printable(&privileges.join(", ")));
    }
    let process = hardening::of_process(inspection);
    if !process.is_empty() {
        let _ = writeln!(out, "  process: {}", printable(&process.join("; ")));
    }
    if inspection.needs.is_some() {
        needs(inspection, all, &mut out);
    }
    out
}

fn head(inspection: &Inspection, facts: &ElfFacts) -> Vec<String> {
    let analysis = &inspection.analysis;
    let mut parts = vec![analysis.name.clone()];
    parts.push(match &analysis.platform {
        Some(platform) => match variant(platform) {
            Some(words) => format!("{platform} ({words})"),
            None => platform.to_string(),
        },
        None => facts.machine.to_string(),
    });
    parts.push(hardening::of_program(facts).join(", "));
    let toolchain: Vec<String> = language(facts).into_iter().chain(libc(inspection)).collect();
    if !toolchain.is_empty() {
        parts.push(toolchain.join(", "));
    }
    // A library may demand a newer one than the program itself.
    let of_process =
        inspection.hardening.as_ref().and_then(|process| process.kernel.as_ref()).map(|kernel| kernel.value);
    let own = || facts.notes.abi_tag.filter(|tag| tag.os == 0).map(|tag| tag.kernel);
    if let Some([major, minor, patch]) = of_process.or_else(own) {
        let patch = if patch == 0 { String::new() } else { format!(".{patch}") };
        parts.push(format!("kernel >={major}.{minor}{patch}"));
    }
    parts
}

/// What a variant asks of the processor: the feature that most often decides (x86-64 psABI, "Micro-Architecture Levels"; Arm
/// ARM).
fn variant(platform: &Platform) -> Option<&'static str> {
    Some(match (platform.architecture.as_str(), platform.variant.as_deref()) {
        ("amd64", None | Some("v1")) => "baseline",
        ("amd64", Some("v2")) => "needs SSE4.2",
        ("amd64", Some("v3")) => "needs AVX2",
        ("amd64", Some("v4")) => "needs AVX-512",
        ("arm", Some("v5")) => "ARMv5",
        ("arm", Some("v6")) => "ARMv6",
        ("arm", Some("v7")) => "ARMv7",
        _ => return None,
    })
}

fn language(facts: &ElfFacts) -> Option<String> {
    let toolchain = &facts.toolchain;
    if let Some(language) = toolchain.language {
        let name = match language {
            Language::Go => "Go",
            Language::Rust => "Rust",
            Language::Zig => "Zig",
        };
        let version = toolchain.version.as_deref().unwrap_or_default();
        return Some(format!("{name} {}", version.strip_prefix("go").unwrap_or(version)).trim_end().to_owned());
    }
    // `GCC: (Debian 12.2.0-14) 12.2.0`
    let comment = toolchain.comments.iter().find_map(|comment| comment.strip_prefix("GCC: "))?;
    Some(format!("GCC {}", comment.rsplit(' ').next().unwrap_or_default()))
}

fn libc(inspection: &Inspection) -> Option<String> {
    let libc = inspection.libc()?;
    let name = match libc.name {
        Libc::Glibc => "glibc",
        Libc::Musl => "musl",
    };
    if inspection.closure().is_none() {
        return Some(format!("static {name}"));
    }
    let needed = libc.needed.map(|version| format!(" >={version}")).unwrap_or_default();
    let root = libc.root.map(|version| format!(" (root {version})")).unwrap_or_default();
    Some(format!("{name}{needed}{root}"))
}

fn details(inspection: &Inspection, facts: &ElfFacts) -> Vec<String> {
    let mut parts = vec![
        human_bytes(inspection.analysis.size),
        format!("{} {} {} ELF", facts.class, facts.endian, facts.machine),
        facts.linkage.to_string(),
    ];
    parts.extend(facts.interpreter.as_ref().map(|name| format!("interpreter {name}")));
    if let Some(go) = &facts.toolchain.go {
        parts.extend(go.path.as_ref().map(|path| format!("package {path}")));
        parts.push(format!("{} Go modules", go.dependencies.len()));
    }
    parts.push(if facts.stripped { "stripped" } else { "with symbols" }.to_owned());
    if facts.debug_data {
        parts.push("with debug data".to_owned());
    }
    parts.extend(facts.notes.build_id.as_ref().map(|id| format!("build id {}", id.get(..12).unwrap_or(id))));
    parts
}

/// Where a need stands in the list: what is in the image, what is missing, what is offered, the rest.
fn rank(requirement: &Requirement) -> (u8, Level) {
    let known = requirement.reason.confidence == Confidence::Proven;
    match (&requirement.outcome, known) {
        // In the loader's own order.
        (Outcome::Included, true) => (0, Level::Required),
        (Outcome::Included, false) => (1, requirement.level),
        (Outcome::Missing, _) => (2, requirement.level),
        (Outcome::Offered(_), _) => (3, requirement.level),
        (Outcome::LeftOut, _) => (4, requirement.level),
        (Outcome::AtRunTime, _) => (5, requirement.level),
    }
}

fn needs(inspection: &Inspection, all: bool, out: &mut String) {
    let mut requirements = inspection.requirements();
    requirements.sort_by_key(rank);
    let (count, bytes) = inspection.files();
    let plural = if count == 1 { "" } else { "s" };
    let _ = match (count, requirements.is_empty()) {
        (0, true) => writeln!(out, "NEEDS nothing but itself"),
        (0, false) => writeln!(out, "NEEDS no file of the root"),
        _ => writeln!(out, "NEEDS {count} file{plural} {}", human_bytes(bytes)),
    };
    let is_library = |r: &Requirement| matches!(r.subject, Subject::Library(_)) && r.outcome == Outcome::Included;
    let is_hint = |r: &Requirement| {
        r.reason.confidence == Confidence::Hinted && !matches!(r.outcome, Outcome::Included | Outcome::Missing)
    };
    let libraries = requirements.iter().filter(|r| is_library(r)).count();
    let hints = requirements.iter().filter(|r| is_hint(r)).count();
    let mut lines = Vec::new();
    let mut seen = 0;
    for requirement in &requirements {
        if !all && is_hint(requirement) {
            continue;
        }
        if is_library(requirement) {
            seen += 1;
            if !all && libraries > LIBRARIES && seen > SHOWN {
                if seen == SHOWN + 1 {
                    let more = format!("{} more libraries", libraries - SHOWN);
                    lines.push(Line::folded(Confidence::Proven, more));
                }
                continue;
            }
        }
        lines.push(Line::of(requirement, all));
    }
    if !all && hints > 0 {
        lines.push(Line::folded(Confidence::Hinted, format!("{hints} that a string names")));
    }
    let longest = |text: fn(&Line) -> &str| lines.iter().map(|line| text(line).chars().count()).max().unwrap_or(0);
    let subject = longest(|line| &line.subject).min(SUBJECT);
    let why = lines.iter().filter(|line| !line.note.is_empty()).map(|line| line.why.chars().count()).max();
    for line in &lines {
        let text = format!(
            " {:<9} {:<3} {:<subject$}  {:<why$}  {}",
            line.confidence,
            line.level,
            line.subject,
            line.why,
            line.note,
            why = why.unwrap_or(0)
        );
        let _ = writeln!(out, "{}", printable(text.trim_end()));
    }
}

/// One line of the list.
struct Line {
    confidence: &'static str,
    level: &'static str,
    subject: String,
    why: String,
    /// What to do about it, or what became of it.
    note: String,
}

impl Line {
    fn of(requirement: &Requirement, all: bool) -> Self {
        let mut why = why(requirement);
        if !all && why.chars().count() > REASON {
            why = why.chars().take(REASON - 1).chain(['…']).collect();
        }
        Self {
            confidence: requirement.reason.confidence.name(),
            level: match requirement.level {
                Level::Required => "req",
                Level::Recommended => "rec",
                Level::Optional => "opt",
            },
            subject: requirement.subject.text().to_owned(),
            why,
            note: match &requirement.outcome {
                Outcome::Included => String::new(),
                Outcome::Offered(flag) => flag.clone(),
                Outcome::Missing => "MISSING".to_owned(),
                other => other.name().to_owned(),
            },
        }
    }

    fn folded(confidence: Confidence, subject: String) -> Self {
        Self { confidence: confidence.name(), level: "", subject, why: String::new(), note: "--all".to_owned() }
    }
}

/// Why, in a few words: what it is for, who needs it, and the first pieces of evidence.
fn why(requirement: &Requirement) -> String {
    let reason = &requirement.reason;
    let by = reason.needed_by.rsplit('/').next().unwrap_or_default();
    let found = reason.evidence.iter().find(|evidence| evidence.source == "found by");
    if let Some(found) = found {
        return format!("needed by {by}; {}", found.value);
    }
    if reason.rule == "loader/interpreter" {
        return format!("interpreter of {by}");
    }
    let evidence = reason.evidence.iter().take(2).map(|evidence| format!("{} {}", evidence.source, evidence.value));
    let evidence = evidence.collect::<Vec<_>>().join(", ");
    let about = if requirement.about.is_empty() { reason.rule.as_str() } else { &requirement.about };
    match (evidence.is_empty(), by.is_empty()) {
        (true, true) => about.to_owned(),
        (true, false) => format!("{about} ({by})"),
        (false, _) => format!("{about} ({by}: {evidence})"),
    }
}
