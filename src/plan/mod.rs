//! Layer 3: the plan, every decision in one value.
//!
//! *Invariant:* what follows the plan is a pure function of (plan, file bytes). Nothing to the right of it decides.

mod entry;
mod types;

pub use entry::{Entry, EntryKind, FileContent, PackageOwner};
pub use types::{EncoderId, LayerPlan, Plan};
