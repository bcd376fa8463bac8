//! The packs that coracle is built with.

/// Name and text of each pack.
pub(super) const PACKS: &[(&str, &str)] = &[("names", include_str!("packs/names.yaml"))];
