//! Whether a want goes into the image.

use super::{Choice, Selector};
use crate::analyze::rules::{Generated, Want, Wanted};
use crate::analyze::{Confidence, Level};

/// What is to be done about a want.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Decision {
    /// It goes in.
    Include,
    /// It is told, with the flag that includes it.
    Offer,
    /// The user left it out.
    LeaveOut,
}

/// What is proven, and what is required and declared or derived, goes in by itself; the rest when the user says so.
pub(super) fn decide(wanted: &Wanted, choice: &Choice) -> Decision {
    if choice.without.iter().any(|selector| selects(selector, wanted)) {
        return Decision::LeaveOut;
    }
    let sure = match wanted.confidence {
        Confidence::Proven | Confidence::Asserted => true,
        Confidence::Declared | Confidence::Derived => wanted.level == Level::Required,
        Confidence::Hinted => false,
    };
    if sure || choice.with.iter().any(|selector| selects(selector, wanted)) {
        Decision::Include
    } else {
        Decision::Offer
    }
}

/// Whether a selector names a want.
pub(super) fn selects(selector: &Selector, wanted: &Wanted) -> bool {
    let names = |text: &str| wanted.want.names().iter().any(|name| name == text.as_bytes());
    match (selector, &wanted.want) {
        (Selector::Feature { .. }, _) => wanted.feature.as_deref().is_some_and(|feature| selector.is_feature(feature)),
        (Selector::File(path), Want::AnyOf(_) | Want::AllOf(_) | Want::Tree { .. }) => names(path),
        (Selector::Library(name), Want::Library(_)) => names(name),
        (Selector::Program(name), Want::Program(_)) => names(name),
        _ => false,
    }
}

/// The flag that includes a want, of which `found` is what the root has.
pub(super) fn flag(wanted: &Wanted, found: &str) -> String {
    if let Some(feature) = &wanted.feature {
        return format!("--with {feature}");
    }
    match &wanted.want {
        Want::Library(_) => format!("--with lib:{found}"),
        Want::Program(_) => format!("--with program:{found}"),
        Want::Writable(_) => format!("--writable {found}"),
        Want::Generated(Generated::Nsswitch) => "--with hosts".to_owned(),
        Want::Generated(Generated::Passwd) => "--with users".to_owned(),
        Want::Generated(Generated::CaBundle { .. }) => "--with certs".to_owned(),
        Want::Generated(Generated::Zoneinfo { .. }) => "--with tzdata".to_owned(),
        Want::Generated(Generated::Locale { .. }) => "--with locale".to_owned(),
        Want::Generated(Generated::Gconv { .. }) => "--with gconv".to_owned(),
        Want::AnyOf(_) | Want::AllOf(_) | Want::Tree { .. } | Want::AtRunTime(_) => format!("--with file:{found}"),
    }
}
