//! The packs that coracle is built with.

/// Name and text of each pack.
pub(super) const PACKS: &[(&str, &str)] = &[
    ("names", include_str!("packs/names.yaml")),
    ("users", include_str!("packs/users.yaml")),
    ("libc", include_str!("packs/libc.yaml")),
    ("time", include_str!("packs/time.yaml")),
    ("certs", include_str!("packs/certs.yaml")),
    ("openssl", include_str!("packs/openssl.yaml")),
    ("data", include_str!("packs/data.yaml")),
    ("runtimes", include_str!("packs/runtimes.yaml")),
    ("loads", include_str!("packs/loads.yaml")),
];
