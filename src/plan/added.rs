//! Entries for what the user adds.

use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use super::build::file;
use super::links::Link;
use super::tree::{Claim, LayerName, Tree, directory};
use super::{Add, AddSpec, Entry, EntryKind, Error, FileContent, findings};
use crate::analyze::{Confidence, Reason};
use crate::blob::FileSource;
use crate::diag::{Diagnostic, printable};
use crate::oci::ImagePath;
use crate::rootfs::walk::{Node, NodeKind};

/// Places all nodes of an addition and gives the symbolic links, which can be checked only when all is placed.
pub(super) fn place(add: &Add, tree: &mut Tree, found: &mut Vec<Diagnostic>) -> Result<Vec<Link>, Error> {
    let spec = &add.spec;
    let base = base(add)?;
    let subject = format!("add {}", spec.dst);
    let mut links = Vec::new();
    let (mut special, mut capabilities) = (Vec::new(), Vec::new());
    for node in &add.walked.nodes {
        let path = if node.path.is_empty() { base.clone() } else { join(spec, &base, &node.path)? };
        let origin = format!("`{}`", printable(&node.host.to_string_lossy()));
        if node.special.bits != 0 {
            special.push(path.as_bytes().to_vec());
        }
        if node.special.capabilities {
            capabilities.push(path.as_bytes().to_vec());
        }
        if let NodeKind::Symlink(target) = &node.kind {
            let (path, target, bound) = (path.clone(), target.clone(), base.clone());
            let (origin, addition) = (origin.clone(), subject.clone());
            links.push(Link { path, target, bound, origin, addition });
        }
        tree.place(entry(spec, node, path), LayerName::Files, Claim::Asis, &origin)?;
    }
    if !special.is_empty() {
        let message = "setuid, setgid and sticky bits are not taken over";
        found.push(findings::about_paths(findings::SPECIAL_BITS, &subject, message, "path", &special));
    }
    if !capabilities.is_empty() {
        let finding = findings::about_paths(
            findings::CAPABILITIES,
            &subject,
            "file capabilities are not taken over",
            "path",
            &capabilities,
        );
        found.push(finding.with_hint("give them with `--file-cap PATH=…`"));
    }
    Ok(links)
}

/// Where the start of the walk lands: below the destination when that ends in `/` and the source is a file.
fn base(add: &Add) -> Result<ImagePath, Error> {
    let spec = &add.spec;
    match spec.src.file_name() {
        Some(name) if spec.into_directory && !add.walked.is_directory() => join(spec, &spec.dst, name.as_bytes()),
        _ => Ok(spec.dst.clone()),
    }
}

/// The path in the image of a node of the walk, for people.
pub(super) fn path(add: &Add, below: &[u8]) -> Vec<u8> {
    let base = base(add).unwrap_or_else(|_| add.spec.dst.clone());
    let slash: &[u8] = if below.is_empty() { b"" } else { b"/" };
    [b"/", base.as_bytes(), slash, below].concat()
}

fn join(spec: &AddSpec, base: &ImagePath, below: &[u8]) -> Result<ImagePath, Error> {
    base.join(below).map_err(|_| Error::Path {
        what: "destination",
        text: format!("{}/{}", spec.dst, crate::diag::escape(below)),
        reason: "it is longer than 4096 bytes",
    })
}

fn entry(spec: &AddSpec, node: &Node, path: ImagePath) -> Entry {
    let reason = Reason::new("user:add", format!("add:{}", spec.dst), Confidence::Asserted);
    let owner = (spec.uid, spec.gid);
    match &node.kind {
        NodeKind::Directory => {
            // As `chmod u=rwX` does: a directory that can be read can be entered.
            let mode = spec.mode.map_or(0o755, |mode| mode | (mode & 0o444) >> 2);
            directory(path, mode, owner, reason)
        }
        NodeKind::File { size, executable } => {
            let mode = spec.mode.unwrap_or(if *executable { 0o755 } else { 0o644 });
            let content = FileContent::external(*size, Arc::new(FileSource::new(&node.host)));
            file(path, content, mode, owner, reason)
        }
        NodeKind::Symlink(target) => {
            Entry { kind: EntryKind::Symlink(target.clone()), ..directory(path, 0o777, owner, reason) }
        }
    }
}
