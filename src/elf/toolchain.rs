//! Which toolchain made a file, and which C library is linked into it: marks, not proof.

use serde::Serialize;

use super::go::{self, GoBuild};
use super::header::Layout;
use super::notes::Notes;
use super::sections::Sections;
use super::segments::{Segments, constants_first};

/// How the names of glibc's name service modules begin, which it loads at run time, also into static programs.
const NSS_MODULES: &[u8] = b"libnss_";
/// The loader cache that glibc's `dlopen` reads.
const GLIBC_CACHE: &[u8] = b"glibc-ld.so.cache1.1";
/// musl's text for an unknown error number, linked wherever an error can be told.
const MUSL_ERROR: &[u8] = b"No error information\0";
/// Where the paths of Rust's own sources begin.
const RUST_SOURCES: &[u8] = b"/rustc/";
/// A panic message that no option removes.
const RUST_PANIC: &[u8] = b"called `Option::unwrap()` on a `None` value";
/// A panic message of Zig's runtime safety.
const ZIG_PANIC: &[u8] = b"attempt to unwrap error: ";

/// How the comment of a compiler begins in `.comment`.
const RUSTC: &str = "rustc version ";
const ZIG: &str = "zig ";

/// What made the file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, schemars::JsonSchema)]
pub struct Toolchain {
    /// Language, as far as the marks tell: the most specific one.
    pub language: Option<Language>,
    /// Version of the compiler, where the file tells.
    pub version: Option<String>,
    /// C library that is linked into a static program, or the one whose loader a dynamic one names.
    pub libc: Option<Libc>,
    /// Whether a static glibc looks up names through modules that it loads at run time.
    pub nss: bool,
    /// Whether the file carries the list of Rust crates of `cargo auditable`.
    pub rust_audit_data: bool,
    /// Go build information.
    pub go: Option<GoBuild>,
    /// Compilers named in `.comment`, in order.
    pub comments: Vec<String>,
}

/// Language of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Go.
    Go,
    /// Rust.
    Rust,
    /// Zig.
    Zig,
}

/// C library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Libc {
    /// GNU C library.
    Glibc,
    /// musl.
    Musl,
}

/// What notes and section headers say of the language; the comment of a compiler is the last to count, because objects of
/// several may be linked.
pub(super) fn declared_language(sections: &Sections<'_>, notes: &Notes) -> Option<Language> {
    let go_sections = [&b".gopclntab"[..], b".go.buildinfo"];
    if notes.go_build_id.is_some() || go_sections.iter().any(|name| sections.named(name).is_some()) {
        return Some(Language::Go);
    }
    let comments = comments(sections);
    let has = |mark: &str| comments.iter().any(|comment| comment.starts_with(mark));
    [(RUSTC, Language::Rust), (ZIG, Language::Zig)]
        .into_iter()
        .find(|(mark, _)| has(mark))
        .map(|(_, language)| language)
}

pub(super) fn parse(
    segments: &Segments<'_>,
    sections: &Sections<'_>,
    notes: &Notes,
    layout: Layout,
    interpreter: Option<&[u8]>,
) -> Toolchain {
    let comments = comments(sections);
    let from_comment =
        |mark: &str| comments.iter().find_map(|comment| comment.strip_prefix(mark)).map(|rest| rest.trim().to_owned());
    let mut out = Toolchain {
        rust_audit_data: sections.named(b".dep-v0").is_some(),
        libc: interpreter.and_then(libc_of_interpreter),
        ..Toolchain::default()
    };

    let go_mark = notes.go_build_id.is_some() || sections.named(b".gopclntab").is_some();
    if go_mark || sections.named(b".go.buildinfo").is_some() || sections.table != super::SectionTable::Present {
        out.go = go::parse(segments, sections, layout);
    }
    if out.go.is_some() || go_mark {
        out.language = Some(Language::Go);
        out.version = out.go.as_ref().map(|go| go.version.clone());
    } else if let Some(version) = from_comment(RUSTC) {
        out.language = Some(Language::Rust);
        out.version = version.split(' ').next().map(str::to_owned);
    } else if let Some(version) = from_comment(ZIG) {
        out.language = Some(Language::Zig);
        out.version = Some(version);
    }

    // A pure Go program has no C library, and its read-only data need not be searched.
    let pure_go = out.go.as_ref().is_some_and(|go| go.settings.get("CGO_ENABLED").is_some_and(|v| v == "0"));
    if interpreter.is_none() && !pure_go {
        search(segments, notes, &mut out);
    }
    out.comments = comments;
    out
}

/// Looks only for marks that could still tell something: each one costs a pass over what is searched.
fn search(segments: &Segments<'_>, notes: &Notes, out: &mut Toolchain) {
    let glibc_note = notes.abi_tag.is_some_and(|tag| tag.os == 0);
    let mut needles: Vec<&[u8]> = vec![NSS_MODULES];
    if !glibc_note {
        needles.extend([MUSL_ERROR, GLIBC_CACHE]);
    }
    if out.language.is_none() {
        needles.extend([RUST_PANIC, RUST_SOURCES, ZIG_PANIC]);
    }
    let found = segments.search(&needles, constants_first);
    let has = |needle: &[u8]| needles.iter().zip(&found).any(|(n, at)| *n == needle && at.is_some());
    if has(RUST_PANIC) || has(RUST_SOURCES) {
        out.language = Some(Language::Rust);
    } else if has(ZIG_PANIC) {
        out.language = Some(Language::Zig);
    }
    if glibc_note || has(GLIBC_CACHE) {
        out.libc = Some(Libc::Glibc);
        out.nss = has(NSS_MODULES);
    } else if has(MUSL_ERROR) {
        out.libc = Some(Libc::Musl);
    }
}

pub(super) fn libc_of_interpreter(path: &[u8]) -> Option<Libc> {
    let file = path.rsplit(|&b| b == b'/').next().unwrap_or_default();
    if file.starts_with(b"ld-musl-") {
        Some(Libc::Musl)
    } else if file.starts_with(b"ld-linux") || file.starts_with(b"ld64.so") || path == b"/lib/ld.so.1" {
        Some(Libc::Glibc)
    } else {
        None
    }
}

fn comments(sections: &Sections<'_>) -> Vec<String> {
    let Some(raw) = sections.named(b".comment").and_then(|section| sections.content(section)) else {
        return Vec::new();
    };
    let mut out: Vec<String> = Vec::new();
    for part in raw.split(|&b| b == 0).filter(|part| !part.is_empty()) {
        let text = crate::diag::escape(part);
        if !out.contains(&text) {
            out.push(text);
        }
    }
    out
}
