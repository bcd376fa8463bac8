//! From the bytes of a file to what an image of it needs, or to why there can be none.

use serde::Serialize;

use crate::diag::{Diagnostic, Evidence, Severity};
use crate::elf::{Bytes, ElfFacts, FileKind, Libc, Linkage, SectionTable, classify};
use crate::oci::Platform;

use super::platform::Judged;
use super::{Confidence, Level, Reason, Requirement, Subject, codes, platform, refuse};

/// Everything that is known about one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Analysis {
    /// The file as the user named it.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// What kind of file it is.
    pub file_kind: FileKind,
    /// What it says about itself; `None` when it is no ELF file, or a broken one.
    pub facts: Option<ElfFacts>,
    /// What it runs on; `None` when that has no name.
    pub platform: Option<Platform>,
    /// What it needs at run time; empty when it is refused.
    pub requirements: Vec<Requirement>,
    /// Findings, in the order of the checks.
    pub diagnostics: Vec<Diagnostic>,
}

impl Analysis {
    /// Whether no image can be made of it: one of the findings is an error.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.diagnostics.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// The program, when an image can be made of it.
    ///
    /// # Errors
    /// All findings, of which at least one is an error.
    pub fn into_program(self) -> Result<Program, Vec<Diagnostic>> {
        match (self.is_refused(), self.facts, self.platform) {
            (false, Some(facts), Some(platform)) => Ok(Program {
                name: self.name,
                size: self.size,
                facts,
                platform,
                requirements: self.requirements,
                diagnostics: self.diagnostics,
            }),
            _ => Err(self.diagnostics),
        }
    }
}

/// A program of which an image can be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Program {
    /// The file as the user named it.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// What it says about itself.
    pub facts: ElfFacts,
    /// What it runs on.
    pub platform: Platform,
    /// What it needs at run time.
    pub requirements: Vec<Requirement>,
    /// Notes and warnings.
    pub diagnostics: Vec<Diagnostic>,
}

/// Analyzes one file. `name` is how the user named it and appears in findings only, never in a reason.
#[must_use]
pub fn analyze_program(name: &str, bytes: &dyn Bytes) -> Analysis {
    let file_kind = classify(bytes);
    let mut out = Analysis {
        name: name.to_owned(),
        size: bytes.len(),
        facts: None,
        platform: None,
        requirements: Vec::new(),
        diagnostics: Vec::new(),
        file_kind,
    };
    if out.file_kind != FileKind::Elf {
        out.diagnostics.push(refuse::kind(name, bytes, &out.file_kind));
        return out;
    }
    let facts = match ElfFacts::parse(bytes) {
        Ok(facts) => facts,
        Err(error) => {
            out.diagnostics.push(refuse::headers(name, &error));
            return out;
        }
    };
    match judge(name, &facts) {
        Ok(judged) => {
            let findings = findings(name, &facts);
            out.requirements = requirements(&facts, &judged);
            out.platform = Some(judged.platform);
            out.diagnostics.extend(judged.findings.into_iter().chain(findings));
        }
        Err((refusal, platform)) => {
            out.platform = platform;
            out.diagnostics.push(*refusal);
        }
    }
    out.facts = Some(facts);
    out
}

type Refusal = (Box<Diagnostic>, Option<Platform>);

/// The checks that refuse, the most basic first; only the first refusal is told, since the others follow from it.
fn judge(name: &str, facts: &ElfFacts) -> Result<Judged, Refusal> {
    let early = |refusal| (Box::new(refusal), None);
    if let Some(refusal) = refuse::object_type(name, facts) {
        return Err(early(refusal));
    }
    if let Some((system, evidence)) = platform::other_system(facts) {
        return Err(early(refuse::other_system(name, &system, evidence)));
    }
    let judged = platform::judge(name, facts).map_err(|abi| early(refuse::no_platform(name, &abi, facts)))?;
    let late = |refusal| (Box::new(refusal), Some(judged.platform.clone()));
    if matches!(facts.linkage, Linkage::SharedLibrary | Linkage::None) {
        return Err(late(refuse::shared_library(name, facts)));
    }
    if let Some(refusal) = refuse::no_entry(name, facts) {
        return Err(late(refusal));
    }
    match (facts.linkage, &facts.interpreter) {
        (Linkage::Dynamic | Linkage::DynamicPie, None) => Err(late(refuse::no_interpreter(name, facts))),
        _ => Ok(judged),
    }
}

fn requirements(facts: &ElfFacts, judged: &Judged) -> Vec<Requirement> {
    let mut reason = Reason::new("entrypoint", "PATH", Confidence::Asserted);
    reason.evidence = vec![
        Evidence::new("e_type", facts.object_type.to_string()),
        Evidence::new("PT_INTERP", facts.interpreter.as_ref().map_or_else(|| "absent".to_owned(), ToString::to_string)),
        Evidence::new("linkage", facts.linkage.to_string()),
    ];
    reason.evidence.extend(judged.evidence.iter().cloned());
    let mut out = vec![Requirement::included(Subject::Program, Level::Required, reason)];
    if uses_nss(facts) {
        let mut reason = Reason::new("static-glibc-nss", "PATH", Confidence::Derived);
        reason.evidence = vec![nss_evidence()];
        let subject = Subject::File("/etc/nsswitch.conf".to_owned());
        out.push(Requirement::included(subject, Level::Recommended, reason));
    }
    out
}

fn uses_nss(facts: &ElfFacts) -> bool {
    facts.toolchain.libc == Some(Libc::Glibc) && facts.toolchain.nss
}

fn nss_evidence() -> Evidence {
    Evidence::new("string", "libnss_")
}

fn findings(name: &str, facts: &ElfFacts) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    if uses_nss(facts) {
        out.push(
            Diagnostic::new(
                codes::STATIC_NSS,
                Severity::Warning,
                name,
                "the program links glibc statically and looks up hosts or users through modules of the same glibc version, which the image does not have",
            )
            .with_evidence([nss_evidence()])
            .with_hint("lookups through `files` and `dns` work with glibc 2.34 or later; for all others link with musl, or in Go use `-tags netgo,osusergo`"),
        );
    }
    if facts.sections == SectionTable::Broken {
        out.push(
            Diagnostic::new(
                codes::BROKEN_SECTIONS,
                Severity::Note,
                name,
                "the section headers lie outside of the file or make no sense; Linux does not read them",
            )
            .with_hint("compare the size of the file with the original if it was copied: it may have been cut short"),
        );
    }
    let hardening = &facts.hardening;
    if hardening.writable_executable_segments > 0 {
        let count = hardening.writable_executable_segments.to_string();
        out.push(
            Diagnostic::new(codes::WRITABLE_CODE, Severity::Note, name, "the program has code that it can write to")
                .with_evidence([Evidence::new("PT_LOAD with write and execute", count)]),
        );
    }
    if hardening.text_relocations {
        out.push(
            Diagnostic::new(
                codes::TEXT_RELOCATIONS,
                Severity::Note,
                name,
                "the code of the program is changed while it is loaded, which some security policies forbid",
            )
            .with_evidence([Evidence::new("DT_TEXTREL", "present")])
            .with_hint("compile all of it with `-fPIE`"),
        );
    }
    if hardening.nx == Some(false) {
        out.push(
            Diagnostic::new(codes::EXECUTABLE_STACK, Severity::Note, name, "the stack of the program is executable")
                .with_evidence([Evidence::new("PT_GNU_STACK", "execute")])
                .with_hint("link with `-z noexecstack`"),
        );
    }
    out
}
