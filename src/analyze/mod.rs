//! Layer 2: from facts to requirements.

mod requirement;

pub use requirement::{Confidence, Level, Reason, Requirement, Subject};
