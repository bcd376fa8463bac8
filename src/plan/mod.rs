//! Layer 3: the plan, every decision in one value.
//!
//! *Invariant:* what follows the plan is a pure function of (plan, file bytes). Nothing to the right of it decides.
//! [`build`] itself is a pure function of its request; only [`AddSpec::read`] looks at the machine.

mod add;
mod added;
mod base;
mod build;
mod caps;
mod code;
mod diff;
mod entry;
mod error;
pub mod findings;
mod found;
mod links;
mod lock;
mod request;
mod settings;
mod text;
mod tree;
mod types;
mod users;
mod view;
mod why;

pub use add::{Add, AddSpec, parse_mode};
pub use base::{Base, BaseImage};
pub use build::build;
pub use caps::{Capabilities, FileCap};
pub use diff::{Change, diff};
pub use entry::{Entry, EntryKind, FileContent, PackageOwner};
pub use error::Error;
pub use found::Found;
pub use lock::{Lock, LockDifference, LockError, PlatformDifference};
pub use request::{ImageOptions, PlanRequest, Program};
pub use types::{EncoderId, LayerPlan, Plan};
pub use users::NONROOT;
pub use view::{EntryView, EvidenceView, KindView, LayerView, PackageView, PlanView};
pub use why::why;
