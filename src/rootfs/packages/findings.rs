//! Findings about package databases: area `D`. `docs/diagnostics.md` explains each.

use crate::diag::{Code, Diagnostic, Evidence, Severity};

const NO_DATABASE: Code = Code("D001");
const RPM: Code = Code("D002");
const DAMAGED: Code = Code("D003");
const NO_LIST: Code = Code("D004");
const TOO_LARGE: Code = Code("D005");
const NO_LICENCE: Code = Code("D006");

/// How many names a finding shows; the rest is counted.
const SHOWN: usize = 5;

pub(super) fn no_database() -> Diagnostic {
    Diagnostic::new(
        NO_DATABASE,
        Severity::Note,
        "/",
        "the root has no package database, so no package is known for its files",
    )
    .with_hint("scanners find no distribution packages in the image; use a root in which packages were installed")
}

pub(super) fn rpm(path: &str) -> Diagnostic {
    Diagnostic::new(RPM, Severity::Warning, path, "rpm databases are not read, so no package is known for its files")
        .with_hint("scanners find no distribution packages in the image")
}

/// Parts of a database that are left out.
pub(super) fn damaged(path: &str, skipped: usize, what: &str) -> Diagnostic {
    Diagnostic::new(DAMAGED, Severity::Warning, path, format!("{skipped} {what} of the package database are damaged"))
        .with_hint("files of those packages count as files of no package")
}

/// A file of a database that cannot be read.
pub(super) fn unreadable(path: &str, reason: &str) -> Diagnostic {
    Diagnostic::new(DAMAGED, Severity::Warning, path, "a file of the package database cannot be read")
        .with_evidence([Evidence::new("reason", reason)])
        .with_hint("files of those packages count as files of no package")
}

pub(super) fn no_list(packages: &[String]) -> Option<Diagnostic> {
    let message = format!("{} installed packages have no readable list of files", packages.len());
    Some(
        Diagnostic::new(NO_LIST, Severity::Warning, "/var/lib/dpkg/info", message)
            .with_evidence(shown(packages)?)
            .with_hint("files of those packages count as files of no package"),
    )
}

pub(super) fn too_large(path: &str) -> Diagnostic {
    Diagnostic::new(TOO_LARGE, Severity::Warning, path, "the package database is larger than any real one and is cut")
        .with_hint("files of packages beyond the limit count as files of no package")
}

pub(super) fn no_licence(packages: &[String]) -> Option<Diagnostic> {
    let message = format!("{} packages of the image have no licence file in the root", packages.len());
    Some(
        Diagnostic::new(NO_LICENCE, Severity::Note, "/usr/share/doc", message)
            .with_evidence(shown(packages)?)
            .with_hint(
                "roots made with `path-exclude` lack them; add the files that the licences ask for with `--add`",
            ),
    )
}

/// The first names, or `None` when there is none at all.
fn shown(packages: &[String]) -> Option<Vec<Evidence>> {
    let named = packages.iter().take(SHOWN).map(|name| Evidence::new("package", name.clone()));
    (!packages.is_empty()).then(|| named.collect())
}
