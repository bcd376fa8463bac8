//! What is asked and what comes out.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Choice, ImageFile, Requirement};
use crate::analyze::loader::Closure;
use crate::analyze::verdict::Remedy;
use crate::diag::Diagnostic;
use crate::elf::ElfFacts;
use crate::oci::ImagePath;
use crate::rootfs::Root;
use crate::rootfs::packages::Packages;

/// Programs of one image and the root in which their needs are looked up.
#[derive(Clone)]
pub struct NeedsRequest {
    /// The root; the programs lie in it.
    pub root: Arc<dyn Root>,
    /// The base of the image, whose files `root` shows before all others: what it has is not added again.
    pub base: Option<Arc<dyn Root>>,
    /// The programs.
    pub programs: Vec<ProgramAt>,
    /// What the user decided.
    pub choice: Choice,
    /// Its packages, where it has a database of them.
    pub packages: Option<Arc<Packages>>,
    /// Whether the root is the machine's own `/`, whose local state is not copied.
    pub host: bool,
    /// The x86-64 level of the image's platform: 1 where it has no variant.
    pub level: u8,
    /// `LD_LIBRARY_PATH` of the image's environment.
    pub library_path: Option<String>,
}

/// A program by its places.
#[derive(Debug, Clone)]
pub struct ProgramAt {
    /// How the user named it, for findings.
    pub name: String,
    /// Where it lies in the root.
    pub path: ImagePath,
    /// Where it will lie in the image.
    pub image: ImagePath,
    /// The path of root and image by which it is started, when that is a link.
    pub called: Option<ImagePath>,
    /// What it says about itself.
    pub facts: ElfFacts,
}

/// A program of the image with what its loader maps.
#[derive(Debug, Clone)]
pub struct Process {
    /// Where it lies in the image.
    pub image: Vec<u8>,
    /// What its loader maps, with what is loaded later behind it; `None` for a static program.
    pub closure: Option<Closure>,
    /// Number of objects that are mapped at the start; those behind them are loaded later.
    pub startup: usize,
    /// The image path of each object of the closure.
    pub places: Vec<Vec<u8>>,
}

/// What programs need.
#[derive(Debug, Clone, Default)]
pub struct Needs {
    /// Every need, in the order in which they were found.
    pub requirements: Vec<Requirement>,
    /// Files of the image by path.
    pub files: BTreeMap<ImagePath, ImageFile>,
    /// Environment that makes the program find what was included.
    pub env: BTreeMap<String, String>,
    /// Directories that the program must be able to write to, and why.
    pub writable: Vec<Requirement>,
    /// Why there must be account files, if so.
    pub accounts: Option<crate::analyze::Reason>,
    /// The programs of the request, then those that they execute.
    pub processes: Vec<Process>,
    /// What would mend some of the findings.
    pub remedies: Vec<Remedy>,
    /// Findings.
    pub diagnostics: Vec<Diagnostic>,
}
