//! To which packages the files of an image belong, and what the image carries of them.

use std::collections::BTreeMap;

use super::Error;
use crate::analyze::needs::{FileSet, ImageFileKind, Needs};
use crate::analyze::{Confidence, Reason};
use crate::diag::Evidence;
use crate::oci::ImagePath;
use crate::plan::PackageOwner;
use crate::rootfs::packages::{Metadata, Package, Packages};
use crate::rootfs::{Node, Root, resolve};

/// Finds the owners of everything that comes from the root, and adds what describes them to the files of the image.
/// `programs` are those of the root itself.
pub(super) fn describe(
    root: &dyn Root,
    packages: &Packages,
    programs: impl Iterator<Item = ImagePath>,
    needs: &mut Needs,
) -> Result<BTreeMap<ImagePath, PackageOwner>, Error> {
    let mut copied: Vec<ImagePath> = programs.collect();
    for (path, file) in &needs.files {
        match &file.kind {
            // What has another place in the image is no file of its package any more.
            ImageFileKind::Copied { from, .. } if from == path => copied.push(path.clone()),
            ImageFileKind::Link(_) if !is_directory(root, path)? => copied.push(path.clone()),
            _ => {}
        }
    }
    let described = packages.metadata(root, &copied)?;
    needs.diagnostics.extend(described.findings);
    let mut files = FileSet::from(std::mem::take(&mut needs.files));
    for (path, metadata) in described.files {
        let by = packages.owner(&path).map(|package| package.name.clone());
        let mut reason = Reason::new("package/metadata", "packages of the files", Confidence::Declared);
        reason.evidence.extend(by.map(|name| Evidence::new("package", name)));
        match metadata {
            Metadata::Generated(bytes) => files.generate(path, bytes, reason),
            Metadata::OfRoot => {
                files.take(root, path.as_bytes(), &reason)?;
            }
        }
    }
    needs.files = files.into_files();
    let paths = needs.files.values().filter_map(|file| match &file.kind {
        ImageFileKind::Copied { from, .. } => Some(from),
        _ => None,
    });
    let owner = |path: &ImagePath| Some((path.clone(), owner(packages.owner(path)?)));
    Ok(paths.chain(&copied).filter_map(owner).collect())
}

/// A directory, and a link that stands for one as those of the merged `/usr` do, has as many owners as there are packages
/// with files in it: it belongs to none.
fn is_directory(root: &dyn Root, path: &ImagePath) -> Result<bool, Error> {
    let found = resolve(root, path.as_bytes())?;
    Ok(found.is_some_and(|found| matches!(found.node, Node::Directory { .. })))
}

fn owner(package: &Package) -> PackageOwner {
    PackageOwner {
        name: package.name.clone(),
        version: package.version.clone(),
        architecture: package.architecture.clone(),
    }
}
