//! Programs and libraries among what the user adds: they are packed as they are, so what they need is checked and told.

use std::collections::BTreeSet;
use std::path::Path;

use super::tree::Tree;
use super::{Add, findings};
use crate::analyze::loader::{Abi, Dependency, Object};
use crate::diag::{Diagnostic, Evidence, Severity, escape};
use crate::elf::LoaderView;
use crate::limits;
use crate::rootfs::HostFile;
use crate::rootfs::walk::NodeKind;

/// Tells which added files are of another machine than the program, and which need a library that is not in the image.
pub(super) fn check(adds: &[Add], program: Abi, tree: &Tree, found: &mut Vec<Diagnostic>) {
    let present: BTreeSet<&[u8]> = tree.paths().map(crate::oci::ImagePath::file_name).collect();
    let mut looked = 0;
    for add in adds {
        let (mut foreign, mut lacking) = (Vec::new(), Vec::new());
        for node in &add.walked.nodes {
            if !matches!(node.kind, NodeKind::File { .. }) || looked >= limits::MAX_ADDED_CODE_FILES {
                continue;
            }
            let Some(object) = object(&node.host) else { continue };
            looked += 1;
            let path = super::added::path(add, &node.path);
            if object.abi != program {
                foreign.push(path);
                continue;
            }
            let own = object.soname.as_deref();
            let needed = object.dependencies.iter().filter_map(|dependency| match dependency {
                Dependency::Needed(name) => Some(name.as_slice()),
                // Their absence ends nothing.
                Dependency::Auxiliary(_) | Dependency::Filter(_) => None,
            });
            let missing = needed.filter(|name| !name.contains(&b'/') && Some(*name) != own && !present.contains(name));
            lacking.extend(missing.map(|name| Evidence::new(escape(&path), escape(name))));
        }
        let subject = format!("add {}", add.spec.dst);
        if !foreign.is_empty() {
            let message = "programs or libraries are for another machine than the image";
            found.push(findings::about_paths(findings::FOREIGN, &subject, message, "path", &foreign));
        }
        if !lacking.is_empty() {
            lacking.truncate(limits::MAX_EVIDENCE);
            let message = "what is added needs libraries that are not in the image; it is packed as it is";
            let hint = "add them too, or take it from a root with `--with file:PATH`, which brings what it needs; \
                        `--with lib:NAME` brings a library of the root";
            let finding = Diagnostic::new(findings::LACKING, Severity::Warning, subject, message);
            found.push(finding.with_evidence(lacking).with_hint(hint));
        }
    }
}

/// The file as a loader sees it; `None` for anything else. One that is gone meanwhile fails when it is packed.
fn object(path: &Path) -> Option<Object> {
    let file = HostFile::open(path).ok()?;
    LoaderView::parse(&file).ok().map(Object::from)
}
