//! Finding manifests below roots, for stores whose only list is the list of roots.

use std::collections::HashSet;

use super::Error;
use crate::limits;
use crate::oci::{Descriptor, Digest, ManifestView, RawManifest, media_type};

/// Reads the manifest of a descriptor, verified; `None` when it is not there.
pub(super) type Read<'a> = dyn Fn(&Descriptor) -> Result<Option<RawManifest>, Error> + 'a;

/// The descriptor under which `digest` is reachable from the roots, through indexes.
pub(super) fn find(roots: &[Descriptor], digest: &Digest, read: &Read<'_>) -> Result<Option<Descriptor>, Error> {
    if let Some(root) = roots.iter().find(|root| root.digest == *digest) {
        return Ok(Some(bare(root)));
    }
    let mut found = None;
    visit(roots, &|d| media_type::is_index(&d.media_type), read, &mut |manifest| {
        if found.is_none()
            && let Ok(ManifestView::Index(index)) = manifest.view()
        {
            found = index.manifests.iter().find(|child| child.digest == *digest).map(bare);
        }
    })?;
    Ok(found)
}

/// Descriptors of all reachable manifests whose subject is `digest`, sorted by digest.
pub(super) fn referrers(roots: &[Descriptor], digest: &Digest, read: &Read<'_>) -> Result<Vec<Descriptor>, Error> {
    let mut found = Vec::new();
    visit(roots, &|_| true, read, &mut |manifest| found.extend(referrer(manifest, digest)))?;
    found.sort_by(|a, b| a.digest.cmp(&b.digest));
    Ok(found)
}

/// The descriptor of a manifest as the referrers API lists it (distribution-spec, "Listing Referrers"), when its
/// subject is `digest`.
pub(crate) fn referrer(manifest: &RawManifest, digest: &Digest) -> Option<Descriptor> {
    let (subject, artifact_type, annotations) = match manifest.view().ok()? {
        ManifestView::Image(m) => {
            let artifact_type = m.artifact_type.unwrap_or(m.config.media_type);
            (m.subject, Some(artifact_type), m.annotations)
        }
        ManifestView::Index(i) => (i.subject, i.artifact_type, i.annotations),
    };
    (subject?.digest == *digest).then(|| Descriptor { artifact_type, annotations, ..manifest.descriptor() })
}

/// Calls `see` with every manifest reachable from the roots whose descriptor `wanted` accepts, each once. Children that
/// are not there are passed over: layouts may be sparse.
fn visit(
    roots: &[Descriptor],
    wanted: &dyn Fn(&Descriptor) -> bool,
    read: &Read<'_>,
    see: &mut dyn FnMut(&RawManifest),
) -> Result<(), Error> {
    let mut seen: HashSet<Digest> = HashSet::new();
    let mut level: Vec<Descriptor> = roots.to_vec();
    for _ in 0..=limits::MAX_INDEX_DEPTH {
        let mut below = Vec::new();
        for descriptor in level {
            let is_index = media_type::is_index(&descriptor.media_type);
            if !(is_index || media_type::is_manifest(&descriptor.media_type))
                || !wanted(&descriptor)
                || !seen.insert(descriptor.digest.clone())
            {
                continue;
            }
            let Some(manifest) = read(&descriptor)? else { continue };
            see(&manifest);
            if let Ok(ManifestView::Index(index)) = manifest.view() {
                below.extend(index.manifests);
            }
        }
        if below.is_empty() {
            break;
        }
        level = below;
    }
    Ok(())
}

/// Without the name, platform and annotations that one list gives it.
fn bare(descriptor: &Descriptor) -> Descriptor {
    Descriptor::new(&descriptor.media_type, descriptor.digest.clone(), descriptor.size)
}
