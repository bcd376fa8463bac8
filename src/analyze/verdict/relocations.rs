//! Relocations in a form that the root's loader does not know.

use super::{Judgement, Question, chain, codes, member};
use crate::analyze::loader::{Closure, Found, Libc};
use crate::diag::{Diagnostic, Evidence, Severity};
use crate::limits;

/// What glibc's libc defines when its loader applies `DT_RELR`: since 2.36, and in older ones of distributions.
const MARK: &[u8] = b"GLIBC_ABI_DT_RELR";

/// The first musl whose loader applies it.
const FIRST_MUSL: [u32; 3] = [1, 2, 4];

/// Older loaders pass `DT_RELR` over without a word and call what was not relocated. Programs that the linker marked with the
/// version `GLIBC_ABI_DT_RELR` are refused for that by glibc itself; the linkers for musl, and lld, mark nothing.
pub(super) fn packed(question: &Question<'_>, out: &mut Judgement) {
    let closure = question.closure;
    let Some(version) = &closure.profile.version else { return };
    let (libc, since) = match closure.libc {
        Libc::Glibc if !defines_mark(closure) => ("glibc", "2.36"),
        Libc::Musl if numbers(version) < FIRST_MUSL => ("musl", "1.2.4"),
        _ => return,
    };
    let is_hit = |index: &usize| {
        let loaded = &closure.loaded[*index];
        // Where the version is asked for, its absence is the finding. The loader relocates itself.
        let told = loaded.object.needed_versions.iter().any(|needed| needed.version == MARK);
        loaded.object.packed_relocations && !told && !matches!(loaded.found, Found::Interpreter)
    };
    let hit: Vec<usize> = (0..closure.loaded.len()).filter(is_hit).collect();
    let Some(first) = hit.first() else { return };
    let message = format!(
        "`{}` has packed relocations (`DT_RELR`), which {libc} applies since {since}; with the root's {version} it crashes",
        member(closure, *first)
    );
    let evidence = hit.iter().take(limits::MAX_EVIDENCE).map(|index| Evidence::new("DT_RELR", chain(closure, *index)));
    let hint = format!("use a root with {libc} {since} or newer, or link with `-Wl,-z,nopack-relative-relocs`");
    out.say(
        Diagnostic::new(codes::PACKED_RELOCATIONS, Severity::Error, question.program, message)
            .with_evidence(evidence)
            .with_hint(hint),
    );
}

/// Without any versions there is no libc to ask.
fn defines_mark(closure: &Closure) -> bool {
    let defined = closure.loaded.iter().filter_map(|loaded| loaded.object.defined_versions.as_ref());
    let mut all = defined.flatten().peekable();
    all.peek().is_none() || all.any(|version| version == MARK)
}

/// The leading numbers of a version.
fn numbers(version: &str) -> [u32; 3] {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}
