//! Protections that the compiler puts into code: stack canaries, and calls of the C library with checked buffers
//! (`_FORTIFY_SOURCE`). Both are told from what a file imports, so they tell that some of the linked code has them, not that
//! all of it has; where imports cannot tell, that is said, with the reason.

use serde::Serialize;

use super::facts::{linkage, read_interpreter};
use super::header::Header;
use super::sections::Sections;
use super::segments::Segments;
use super::symbols::{DynamicSymbols, dynamic_symbols};
use super::{
    Bytes, Dynamic, Error, Language, Libc, Linkage, Name, ObjectType, dynamic, fortify, header, notes, toolchain,
};

/// What code calls when a canary was overwritten, and the canary itself where it is no field of the thread (GCC,
/// `-fstack-protector`). A file whose buffers all stay within bounds imports the second alone.
const CANARY: [&[u8]; 2] = [b"__stack_chk_fail", b"__stack_chk_guard"];

/// Whether code has a protection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// It has.
    Yes,
    /// Some calls that could be checked are, others are not.
    Partial,
    /// It has not, or had no use for it.
    No,
    /// The file cannot tell.
    Unknown,
    /// There is nothing that it could protect.
    NotApplicable,
}

/// Protections of the compiler in one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct CodeHardening {
    /// Overwritten return addresses are noticed.
    pub canary: Canary,
    /// Calls of the C library are checked against the size of the buffer, where the compiler knows it.
    pub fortify: Fortify,
}

/// Stack canaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Canary {
    /// Whether there are any.
    pub state: Presence,
    /// How that is known, or why it is not.
    pub why: &'static str,
}

/// Checked calls of the C library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Fortify {
    /// Whether there are any, and whether all are.
    pub state: Presence,
    /// How that is known, or why it is not.
    pub why: &'static str,
    /// Functions that are called with a check, by the name of the checking one, sorted.
    pub checked: Vec<Name>,
    /// Functions that are called without a check and for which the C library has a checking one, sorted. The compiler leaves
    /// a call alone whose buffer has no size that it knows, and one that it has checked itself.
    pub unchecked: Vec<Name>,
}

impl CodeHardening {
    /// Parses headers, dynamic section and dynamic symbols of a program or library; what made it, as far as notes and section
    /// headers tell.
    ///
    /// # Errors
    /// As [`super::ElfFacts::parse`].
    pub fn parse(bytes: &dyn Bytes) -> Result<Self, Error> {
        let header = header::parse(bytes)?;
        let segments = Segments::parse(bytes, &header)?;
        let sections = Sections::parse(bytes, &header);
        let dynamic = dynamic::parse(&segments, header.layout)?;
        let notes = notes::parse(&segments, &sections, header.layout, header.machine);
        let kind = ObjectType::from_code(header.object_type);
        let interpreter = read_interpreter(&segments);
        let origin = Origin {
            linkage: linkage(kind, interpreter.is_some(), dynamic.as_ref(), header.entry),
            language: toolchain::declared_language(&sections, &notes),
            libc: interpreter.as_ref().and_then(|name| toolchain::libc_of_interpreter(name.as_bytes())),
            dynamic: dynamic.as_ref(),
        };
        Ok(parse(&segments, &header, &origin))
    }

    const fn same(state: Presence, why: &'static str) -> Self {
        let fortify = Fortify { state, why, checked: Vec::new(), unchecked: Vec::new() };
        Self { canary: Canary { state, why }, fortify }
    }
}

/// What decides beside the symbols.
pub(super) struct Origin<'a> {
    pub linkage: Linkage,
    pub language: Option<Language>,
    pub libc: Option<Libc>,
    pub dynamic: Option<&'a Dynamic>,
}

pub(super) fn parse(segments: &Segments<'_>, header: &Header, origin: &Origin<'_>) -> CodeHardening {
    let go = origin.language == Some(Language::Go);
    let symbols = match origin.linkage {
        Linkage::None => return CodeHardening::same(Presence::Unknown, "it is not linked"),
        Linkage::Static | Linkage::StaticPie => Ok(None),
        _ => dynamic_symbols(segments, header, CANARY[0]),
    };
    match symbols {
        Ok(Some(symbols)) => {
            CodeHardening { canary: canary(&symbols, origin), fortify: fortified(&symbols.imports, origin) }
        }
        _ if go => CodeHardening::same(Presence::NotApplicable, GO),
        Ok(None) if matches!(origin.linkage, Linkage::Static | Linkage::StaticPie) => of_static(origin),
        Ok(None) => CodeHardening::same(Presence::Unknown, "it has no table of dynamic symbols that can be found"),
        Err(_) => {
            CodeHardening::same(Presence::Unknown, "its table of dynamic symbols is larger than any linker makes it")
        }
    }
}

const GO: &str = "Go checks every access itself";
const RUST: &str = "Rust checks every access itself";

/// The C library within has canaries and checks of its own, so that not even a table of all symbols tells whose they are.
fn of_static(origin: &Origin<'_>) -> CodeHardening {
    let mut out = CodeHardening::same(
        Presence::Unknown,
        "a static program imports nothing, and marks in it may be those of the C library",
    );
    if origin.language == Some(Language::Rust) {
        (out.fortify.state, out.fortify.why) = (Presence::NotApplicable, RUST);
    }
    out
}

fn canary(symbols: &DynamicSymbols, origin: &Origin<'_>) -> Canary {
    let imports = |wanted: &[u8]| symbols.imports.binary_search_by(|name| name.as_bytes().cmp(wanted)).is_ok();
    let (state, why) = if imports(CANARY[0]) {
        (Presence::Yes, "imports `__stack_chk_fail`")
    } else if imports(CANARY[1]) {
        (Presence::Yes, "imports `__stack_chk_guard`")
    } else if origin.language == Some(Language::Go) {
        (Presence::NotApplicable, GO)
    } else if symbols.defines {
        (Presence::Unknown, "defines `__stack_chk_fail` for others, and its own calls need no symbol")
    } else if origin.dynamic.is_none_or(|dynamic| dynamic.needed.is_empty()) {
        (Presence::Unknown, "needs no library, so that a check could only be its own")
    } else {
        (Presence::No, "does not import `__stack_chk_fail`: compiled without, or no function has a buffer")
    };
    Canary { state, why }
}

fn fortified(imports: &[Name], origin: &Origin<'_>) -> Fortify {
    let checked: Vec<Name> = imports.iter().filter(|name| fortify::is_checking(name.as_bytes())).cloned().collect();
    let plain: Vec<Name> = imports.iter().filter(|name| fortify::is_checkable(name.as_bytes())).cloned().collect();
    let (state, why) = match (checked.is_empty(), plain.is_empty(), origin.language) {
        (false, true, _) => (Presence::Yes, "every call that can be checked is"),
        (false, false, _) => (Presence::Partial, "imports both checking functions and plain ones"),
        (true, _, Some(Language::Go)) => (Presence::NotApplicable, GO),
        (true, _, Some(Language::Rust)) => (Presence::NotApplicable, RUST),
        _ if uses_musl(origin) => {
            (Presence::Unknown, "musl has no checking functions; headers that check leave no symbol")
        }
        (true, true, _) => (Presence::NotApplicable, "calls no function of the C library that can be checked"),
        (true, false, _) => (Presence::No, "imports plain functions only"),
    };
    // Where checks make no sense, plain calls are no shortcoming.
    let unchecked = if matches!(state, Presence::Partial | Presence::No) { plain } else { Vec::new() };
    Fortify { state, why, checked, unchecked }
}

/// By the interpreter, or by the name under which musl's libraries are needed (`libc.musl-x86_64.so.1`, or `libc.so` where
/// musl is not the system's own).
fn uses_musl(origin: &Origin<'_>) -> bool {
    let is_musl = |name: &Name| name.as_bytes().starts_with(b"libc.musl-") || name.as_bytes() == b"libc.so";
    origin.libc == Some(Libc::Musl) || origin.dynamic.is_some_and(|dynamic| dynamic.needed.iter().any(is_musl))
}
