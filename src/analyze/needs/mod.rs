//! What programs need at run time, found in a root: the closure of the loader, and what the rules know beyond it.
//!
//! A program is walked as its loader would, then the rules look at every object for needs that no loader knows; what a
//! need brings in is walked and looked at in turn, until nothing new comes. At the end the image is looked at as a root of
//! its own: its loader must map the same files.
//!
//! *Invariant:* the files come from one root, or are made here; nothing is executed; the outcome depends on the programs,
//! the root and the choice alone.

mod choice;
mod files;
mod image;
mod placed;
mod reasons;
mod request;
mod tree;
mod walk;

pub use choice::{Choice, Selector, SelectorError};
pub use files::{FileSet, ImageFile, ImageFileKind};
pub use request::{Needs, NeedsRequest, Process, ProgramAt};
pub use tree::ImageTree;

use super::{Confidence, Level, Reason, Requirement, Subject};
use crate::rootfs::RootError;

/// Finds everything that the programs need.
///
/// # Errors
/// [`RootError`] when the root cannot be read; what the root does not have is a finding.
pub fn find(request: &NeedsRequest) -> Result<Needs, RootError> {
    walk::Walk::new(request).run()
}
