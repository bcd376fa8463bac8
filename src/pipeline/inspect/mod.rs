//! A program with all that it needs of a root: what `coracle inspect` shows. Nothing is refused: what stands in the way of
//! an image is a finding.

mod graph;
mod privileges;
mod report;

pub use graph::{Graph, GraphEdge, GraphNode, NodeKind, Tie};
pub use privileges::Privileges;
pub use report::{
    ImageReport, Inspected, LayerReport, LibcReport, NeedsReport, ObjectReport, OneImageReport, PathReport,
    ProgramReport, schema,
};

use std::os::unix::ffi::OsStrExt as _;

use super::sysroot::{self, Placed, Roots};
use super::{Error, ProgramFile, Request, programs};
use crate::analyze::hardening::{self, ObjectHardening, ProcessHardening};
use crate::analyze::loader::Closure;
use crate::analyze::needs::{ImageFileKind, Needs};
use crate::analyze::{Analysis, Requirement, Subject};
use crate::diag::Diagnostic;

/// What is known of one program.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// What it says about itself.
    pub analysis: Analysis,
    /// What it needs; `None` for a file that no image can be made of.
    pub needs: Option<Needs>,
    /// What the file grants to whoever starts it; `None` when it is gone meanwhile.
    pub privileges: Option<Privileges>,
    /// Protections of each object that the loader maps, in its order, the program first; `None` for one that cannot be read.
    /// Empty for a static program, whose own facts say it all.
    pub objects: Vec<Option<ObjectHardening>>,
    /// Protections of the whole process; `None` for a static program.
    pub hardening: Option<ProcessHardening>,
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
            let mut inspection = one(file, programs::analyze(&file.path)?, &roots, request)?;
            inspection.privileges = Some(Privileges::of_host(&file.path)?);
            out.push(inspection);
            continue;
        }
        for root in roots.all() {
            let analysis = programs::analyze_in_root(&*root.root, &file.path)?;
            let mut inspection = one(file, analysis, &roots, request)?;
            inspection.privileges = Privileges::of_root(&*root.root, file.path.as_os_str().as_bytes())?;
            out.push(inspection);
        }
    }
    Ok(out)
}

fn one(file: &ProgramFile, analysis: Analysis, roots: &Roots, request: &Request) -> Result<Inspection, Error> {
    let Ok(program) = analysis.clone().into_program() else {
        return Ok(Inspection { analysis, needs: None, privileges: None, objects: Vec::new(), hardening: None });
    };
    let Some(root) = roots.of_platform(&program.platform.normalized()) else {
        return Ok(Inspection { analysis, needs: None, privileges: None, objects: Vec::new(), hardening: None });
    };
    let name = match &request.name {
        Some(name) => name.clone(),
        None => programs::own_name(file)?,
    };
    let placed = Placed::of(name, file, &program, Some(root))?;
    let library_path = request.options.env.get("LD_LIBRARY_PATH");
    let found = sysroot::find(root, &[placed], &request.choice, library_path)?;
    let closure = found.needs.processes.first().and_then(|process| process.closure.as_ref());
    let (mut objects, mut hardening) = (Vec::new(), None);
    if let Some(closure) = closure {
        objects = hardening::objects(&*found.root, closure)?;
        let protections: Vec<_> = objects.iter().map(|object| object.as_ref().map(|o| o.protection)).collect();
        hardening = Some(hardening::together(closure, &protections));
    }
    Ok(Inspection { analysis, needs: Some(found.needs), privileges: None, objects, hardening })
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
