//! What programs need at run time, found in a root: the closure of the loader, and what the rules know beyond it.
//!
//! A program is walked as its loader would, then the rules look at every object for needs that no loader knows; what a
//! need brings in is walked and looked at in turn, until nothing new comes. At the end the image is looked at as a root of
//! its own: its loader must map the same files.
//!
//! *Invariant:* the files come from one root, or are made here; nothing is executed; the outcome depends on the programs,
//! the root and the choice alone.

mod base;
mod choice;
mod decide;
mod execute;
mod features;
mod files;
mod findings;
mod image;
mod live;
mod local;
mod made;
mod meet;
mod member;
mod placed;
mod reasons;
mod request;
mod settle;
mod tree;
mod trees;
mod walk;

pub use base::{has_libc, is_of_libc};
pub use choice::{Choice, Selector, SelectorError};
pub use features::FEATURES;
pub use files::{FileSet, ImageFile, ImageFileKind};
pub use request::{Needs, NeedsRequest, Process, ProgramAt};
pub use tree::ImageTree;

use super::rules::{Generated, Want};
use super::{Confidence, Level, Outcome, Reason, Requirement, Subject};
use crate::diag::escape;
use crate::rootfs::{Node, Resolved, RootError};

/// Finds everything that the programs need.
///
/// # Errors
/// [`RootError`] when the root cannot be read; what the root does not have is a finding.
pub fn find(request: &NeedsRequest) -> Result<Needs, RootError> {
    walk::Walk::new(request).run()
}

/// Bytes of what a path leads to.
fn resolved_size(resolved: &Resolved) -> u64 {
    match resolved.node {
        Node::File { size, .. } => size,
        _ => 0,
    }
}

/// What a want is about, before anything is looked up.
fn subject(want: &Want) -> Subject {
    let first = || want.names().first().map(|name| escape(name)).unwrap_or_default();
    match want {
        Want::AnyOf(_) | Want::AllOf(_) | Want::AtRunTime(_) => Subject::File(first()),
        Want::Tree { .. } => Subject::Tree(first()),
        Want::Library(_) => Subject::Library(first()),
        Want::Program(_) => Subject::Executable(first()),
        Want::Writable(_) => Subject::WritableDirectory(first()),
        Want::Generated(Generated::Nsswitch) => Subject::NameService,
        Want::Generated(Generated::Passwd) => Subject::Accounts,
        Want::Generated(Generated::CaBundle { .. }) => Subject::Certificates,
        Want::Generated(Generated::Zoneinfo { .. }) => Subject::TimeZones,
        Want::Generated(Generated::Locale { .. }) => Subject::Tree("locale".to_owned()),
        Want::Generated(Generated::Gconv { .. }) => Subject::Tree("gconv".to_owned()),
    }
}
