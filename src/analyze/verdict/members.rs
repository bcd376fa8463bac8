//! What single objects of a closure demand of processor, kernel and each other.

use super::{Judgement, Question, chain, codes, member};
use crate::analyze::hardening::protections;
use crate::analyze::loader::{Dependency, Found, Libc, Loaded};
use crate::diag::{Diagnostic, Evidence, Severity, escape};
use crate::elf::Protection;
use crate::limits;
use crate::rootfs::RootError;

/// Oldest kernel on which docker runs containers (its requirements); ports of glibc that ask for less say nothing new, as
/// arm64 with 3.7 (`arch_minimum_kernel` in its `configure`).
const USUAL_KERNEL: [u32; 3] = [3, 10, 0];

/// Objects that were linked with another libc than the program's loader brings.
pub(super) fn mixed(question: &Question<'_>, out: &mut Judgement) {
    let closure = question.closure;
    let (own, other) = match closure.libc {
        Libc::Glibc => ("glibc", "musl"),
        Libc::Musl => ("musl", "glibc"),
    };
    for (index, loaded) in closure.loaded.iter().enumerate().filter(|(_, l)| l.found != Found::Interpreter) {
        let Some(evidence) = other_libc(loaded, closure.libc) else { continue };
        let message =
            format!("`{}` is made for {other}, the loader of the program is that of {own}", member(closure, index));
        // musl takes itself for glibc's library and runs what it has all symbols for; glibc maps a second libc.
        let severity = if closure.libc == Libc::Glibc { Severity::Error } else { Severity::Warning };
        out.say(
            Diagnostic::new(codes::MIXED_LIBCS, severity, question.program, message)
                .with_evidence([evidence, Evidence::new("loaded for", chain(closure, index))])
                .with_hint(format!("take the library built for {own}, from one root with the program")),
        );
    }
}

/// Marks of the other libc: names of its library and loader, versions that only glibc has.
fn other_libc(loaded: &Loaded, own: Libc) -> Option<Evidence> {
    let object = &loaded.object;
    let needed = object.dependencies.iter().map(|dependency| match dependency {
        Dependency::Needed(name) | Dependency::Auxiliary(name) | Dependency::Filter(name) => name,
    });
    let of_musl = |name: &[u8]| name == b"libc.so" || name.starts_with(b"libc.musl-") || name.starts_with(b"ld-musl-");
    let of_glibc = |name: &[u8]| name == b"libc.so.6" || name.starts_with(b"ld-linux");
    let is_other = |name: &&Vec<u8>| match own {
        Libc::Glibc => of_musl(name),
        Libc::Musl => of_glibc(name),
    };
    if let Some(name) = needed.into_iter().find(is_other) {
        return Some(Evidence::new("DT_NEEDED", escape(name)));
    }
    if let Some(soname) = object.soname.as_ref().filter(is_other) {
        return Some(Evidence::new("DT_SONAME", escape(soname)));
    }
    let version = object.needed_versions.iter().find(|v| own == Libc::Musl && v.version.starts_with(b"GLIBC_"))?;
    Some(Evidence::new("DT_VERNEED", escape(&version.version)))
}

/// Demands of processor and kernel, and what weakens the whole process.
pub(super) fn demands(question: &Question<'_>, out: &mut Judgement) -> Result<(), RootError> {
    let all = protections(question.root, question.closure)?;
    levels(question, &all, out);
    let kernel =
        |p: &Protection| p.abi_tag.filter(|tag| tag.os == 0 && tag.kernel > USUAL_KERNEL).map(|tag| tag.kernel);
    if let Some((index, [major, minor, patch])) = highest(&all, kernel) {
        let kernel = format!("{major}.{minor}.{patch}");
        let message = format!("`{}` asks for Linux {kernel} or newer", member(question.closure, index));
        out.say(
            Diagnostic::new(codes::KERNEL, Severity::Note, question.program, message)
                .with_evidence([Evidence::new("NT_GNU_ABI_TAG", kernel)])
                .with_hint("make sure that the machines have it: containers run on the kernel of their host"),
        );
    }
    let libraries = |breaks: fn(&Protection) -> bool| {
        // The program's own are told with the program.
        let indexes = all.iter().enumerate().skip(1).filter(|(_, p)| p.as_ref().is_some_and(breaks));
        indexes.map(|(index, _)| member(question.closure, index)).collect::<Vec<_>>()
    };
    let kinds = [
        (
            codes::TEXT_RELOCATIONS,
            libraries(|p| p.hardening.text_relocations),
            "the code of a library is changed while it is loaded, which some security policies forbid",
            "DT_TEXTREL",
        ),
        (
            codes::EXECUTABLE_STACK,
            libraries(|p| p.hardening.nx == Some(false)),
            "a library asks for an executable stack, which the whole process then has",
            "PT_GNU_STACK",
        ),
    ];
    for (code, members, message, source) in kinds {
        if !members.is_empty() {
            let evidence = members.into_iter().take(limits::MAX_EVIDENCE).map(|path| Evidence::new(source, path));
            out.say(Diagnostic::new(code, Severity::Note, question.program, message).with_evidence(evidence));
        }
    }
    Ok(())
}

/// The highest x86-64 level, against that of the platform. The program's own stands in the platform already.
fn levels(question: &Question<'_>, all: &[Option<Protection>], out: &mut Judgement) {
    let above = |p: &Protection| p.properties.x86_isa_needed.filter(|level| *level > 1);
    let Some((index, level)) = highest(all, above) else { return };
    let who = member(question.closure, index);
    let evidence = [
        Evidence::new("GNU_PROPERTY_X86_ISA_1_NEEDED", format!("v{level} in {who}")),
        Evidence::new("loaded for", chain(question.closure, index)),
    ];
    let (code, severity, message, hint) = if level > question.level {
        let own = if question.level > 1 { format!("v{}", question.level) } else { "the baseline".to_owned() };
        (
            codes::CPU_LEVEL,
            Severity::Error,
            format!("`{who}` needs a CPU of level x86-64-v{level}, the platform of the image is {own}"),
            format!("use a root that is built for the baseline, or make an image for `linux/amd64/v{level}`"),
        )
    } else if index > 0 {
        (
            codes::CPU_LEVEL_NOTED,
            Severity::Note,
            format!("`{who}` needs a CPU of level x86-64-v{level}, as the platform says"),
            "runtimes that do not know the level of their CPU pick `linux/amd64` only".to_owned(),
        )
    } else {
        return;
    };
    out.say(Diagnostic::new(code, severity, question.program, message).with_evidence(evidence).with_hint(hint));
}

/// The first object with the highest demand.
fn highest<T: Ord + Copy>(all: &[Option<Protection>], demand: impl Fn(&Protection) -> Option<T>) -> Option<(usize, T)> {
    let mut highest: Option<(usize, T)> = None;
    for (index, protection) in all.iter().enumerate() {
        if let Some(value) = protection.as_ref().and_then(&demand)
            && highest.is_none_or(|(_, known)| value > known)
        {
            highest = Some((index, value));
        }
    }
    highest
}
