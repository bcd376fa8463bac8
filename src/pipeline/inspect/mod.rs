//! A program with all that it needs of a root: what `coracle inspect` shows. Nothing is refused: what stands in the way of
//! an image is a finding.

mod graph;
mod report;

pub use graph::{Graph, GraphEdge, GraphNode, NodeKind, Tie};
pub use report::{
    ImageReport, Inspected, LayerReport, LibcReport, NeedsReport, ObjectReport, OneImageReport, PathReport,
    ProgramReport, schema,
};

use super::sysroot::{self, Placed, Roots};
use super::{Error, ProgramFile, Request, programs};
use serde::Serialize;

use crate::analyze::hardening::{ProcessHardening, hardening_of};
use crate::analyze::loader::Closure;
use crate::analyze::needs::{ImageFileKind, Needs};
use crate::analyze::{Analysis, Requirement, Subject};
use crate::diag::Diagnostic;
use crate::elf;
use crate::rootfs::Root;

/// What is known of one program.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// What it says about itself.
    pub analysis: Analysis,
    /// What it needs; `None` for a file that no image can be made of.
    pub needs: Option<Needs>,
    /// Protections of the whole process; `None` for a static program, whose own facts say it all.
    pub hardening: Option<ProcessHardening>,
    /// What the program's symbols tell of its compiler's protections; `None` for a static program, which has none to tell.
    pub symbols: Option<SymbolHardening>,
}

/// Protections that the names of imported functions tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct SymbolHardening {
    /// Overwritten return addresses are noticed (`__stack_chk_fail`).
    pub canary: bool,
    /// Calls of the C library with a known buffer are checked (`__memcpy_chk` and others).
    pub fortified: bool,
}

/// Inspects every program of a request, each by itself, in each root that it lies in.
///
/// # Errors
/// [`Error::Read`], [`Error::Directory`], [`Error::NotRegular`], [`Error::Absent`], [`Error::Root`].
pub fn inspect(request: &Request) -> Result<Vec<Inspection>, Error> {
    let roots = Roots::of(request)?;
    let mut out = Vec::new();
    for file in &request.programs {
        if !file.in_root {
            out.push(one(file, programs::analyze(&file.path)?, &roots, request)?);
            continue;
        }
        for root in roots.all() {
            let analysis = programs::analyze_in_root(&*root.root, &file.path)?;
            out.push(one(file, analysis, &roots, request)?);
        }
    }
    Ok(out)
}

fn one(file: &ProgramFile, analysis: Analysis, roots: &Roots, request: &Request) -> Result<Inspection, Error> {
    let Ok(program) = analysis.clone().into_program() else {
        return Ok(Inspection { analysis, needs: None, hardening: None, symbols: None });
    };
    let Some(root) = roots.of_platform(&program.platform.normalized()) else {
        return Ok(Inspection { analysis, needs: None, hardening: None, symbols: None });
    };
    let name = match &request.name {
        Some(name) => name.clone(),
        None => programs::own_name(file)?,
    };
    let placed = Placed::of(name, file, &program, Some(root))?;
    let library_path = request.options.env.get("LD_LIBRARY_PATH");
    let found = sysroot::find(root, &[placed], &request.choice, library_path)?;
    let closure = found.needs.processes.first().and_then(|process| process.closure.as_ref());
    let (hardening, symbols) = match closure {
        Some(closure) => (Some(hardening_of(&*found.root, closure)?), symbols(&*found.root, closure)?),
        None => (None, None),
    };
    Ok(Inspection { analysis, needs: Some(found.needs), hardening, symbols })
}

/// Looks at what the program, the first object of its closure, imports.
fn symbols(root: &dyn Root, closure: &Closure) -> Result<Option<SymbolHardening>, Error> {
    let Some(program) = closure.loaded.first() else { return Ok(None) };
    let Ok(imports) = elf::imports(&*root.open(&program.resolved.path)?) else { return Ok(None) };
    let has = |wanted: &dyn Fn(&[u8]) -> bool| imports.iter().any(|name| wanted(name.as_bytes()));
    Ok(Some(SymbolHardening {
        canary: has(&|name| name == b"__stack_chk_fail" || name == b"__stack_chk_guard"),
        fortified: has(&|name| name.starts_with(b"__") && name.ends_with(b"_chk")),
    }))
}

impl Inspection {
    /// Every need, the program itself aside: what the root told, then what the program alone tells.
    #[must_use]
    pub fn requirements(&self) -> Vec<Requirement> {
        let found = self.needs.iter().flat_map(|needs| needs.requirements.iter().chain(&needs.writable));
        let mut all: Vec<Requirement> = found.cloned().collect();
        for own in self.analysis.requirements.iter().filter(|own| own.subject != Subject::Program) {
            if !all.iter().any(|known| known.subject == own.subject) {
                all.push(own.clone());
            }
        }
        all
    }

    /// All findings, those about the program alone first.
    #[must_use]
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        let found = self.needs.iter().flat_map(|needs| &needs.diagnostics);
        self.analysis.diagnostics.iter().chain(found).cloned().collect()
    }

    /// Number and bytes of the files that the needs bring into the image.
    #[must_use]
    pub fn files(&self) -> (usize, u64) {
        // What describes packages serves scanners, not the program.
        let files = self.needs.iter().flat_map(|needs| needs.files.values());
        let files = files.filter(|file| file.reason.rule != "package/metadata");
        let sizes = files.filter_map(|file| match &file.kind {
            ImageFileKind::Copied { size, .. } => Some(*size),
            ImageFileKind::Generated(bytes) => Some(bytes.len() as u64),
            ImageFileKind::Link(_) | ImageFileKind::Directory => None,
        });
        sizes.fold((0, 0), |(count, bytes), size| (count + 1, bytes + size))
    }

    /// What the loader maps for the program.
    #[must_use]
    pub fn closure(&self) -> Option<&Closure> {
        self.needs.as_ref()?.processes.first()?.closure.as_ref()
    }

    /// The C library of the program: which one, the version it demands, the version the root has.
    #[must_use]
    pub fn libc(&self) -> Option<LibcReport> {
        report::libc(self)
    }
}
