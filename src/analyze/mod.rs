//! Layer 2: from facts to requirements.
//!
//! *Invariant:* a strange file is a finding with a stable code, never an error and never a panic; nothing is executed.

mod codes;
pub mod hardening;
pub mod loader;
pub mod needs;
mod platform;
mod program;
mod refuse;
mod requirement;
pub mod rules;
pub mod traits;
pub mod verdict;

pub use program::{Analysis, Program, analyze_program};
pub use refuse::static_advice;
pub use requirement::{Confidence, Level, Outcome, Reason, Requirement, Subject};
