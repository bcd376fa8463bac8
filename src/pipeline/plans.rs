//! The plans that travel with images.

use super::{Environment, Error, SeenImage, look};
use crate::diag::{Code, Diagnostic, Evidence, Severity};
use crate::image::{Artifact, Image, PLAN_TYPE};
use crate::limits;
use crate::observe::SharedObserver;
use crate::oci::{Descriptor, ManifestView, Platform};
use crate::plan::{Plan, PlanView};
use crate::store::{self, Location, Pointer, Store};

/// The artifact of a plan. Where the digests of files are known by now, they do not matter: the image has them.
pub(super) fn artifact(plan: &Plan, image: &Image) -> Result<Artifact, Error> {
    Ok(Artifact::of(PLAN_TYPE, plan.to_text()?.into_bytes(), &image.descriptor())?)
}

/// Puts artifacts beside their images.
pub(super) async fn put(to: &dyn Store, artifacts: &[Artifact]) -> Result<(), store::Error> {
    for artifact in artifacts {
        for blob in artifact.blobs() {
            to.put_blob(blob).await?;
        }
        to.put_manifest(artifact.manifest()).await?;
    }
    Ok(())
}

/// The plan was not taken by a registry.
const REFUSED: Code = Code("R001");

/// The finding about a registry that does not take a plan.
pub(super) fn refused(place: &str, error: &store::Error) -> Diagnostic {
    let message =
        "the registry does not take the plan of the image, so that `coracle why` will not know its reasons there";
    let mut evidence = vec![Evidence::new("error", error.to_string())];
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        evidence.push(Evidence::new("caused by", cause.to_string()));
        source = cause.source();
    }
    Diagnostic::new(REFUSED, Severity::Note, place, message).with_evidence(evidence)
}

/// The plans of an image, or of the images of an index, as they were when the images were made.
///
/// # Errors
/// [`Error::NoPlan`] when none of the images has one; those of the store; [`Error::Plan`] for a text that is none.
pub async fn plans_of(
    location: &Location,
    platform: Option<&Platform>,
    environment: &Environment,
    observer: &SharedObserver,
) -> Result<Vec<PlanView>, Error> {
    let seen = look(location, platform, environment, observer).await?;
    let mut plans = Vec::new();
    for image in &seen.images {
        plans.extend(of_image(&*seen.store, image).await?);
    }
    if plans.is_empty() { Err(Error::NoPlan(location.to_string())) } else { Ok(plans) }
}

pub(super) async fn of_image(store: &dyn Store, image: &SeenImage) -> Result<Option<PlanView>, Error> {
    for referrer in store.referrers(image.raw.digest()).await? {
        // A registry may leave the type out of its list.
        if referrer.artifact_type.as_deref().is_some_and(|kind| kind != PLAN_TYPE) {
            continue;
        }
        let raw = store.get_manifest(&Pointer::Digest(referrer.digest.clone())).await?;
        let Ok(ManifestView::Image(manifest)) = raw.view() else { continue };
        let is_about = manifest.subject.as_ref().is_some_and(|subject| subject.digest == *image.raw.digest());
        let document = manifest.layers.iter().find(|layer| layer.media_type == PLAN_TYPE);
        if let (true, Some(document)) = (is_about, document) {
            return read(store, document).await.map(Some);
        }
    }
    Ok(None)
}

async fn read(store: &dyn Store, document: &Descriptor) -> Result<PlanView, Error> {
    let limit = limits::MAX_PLAN_TEXT_BYTES;
    if document.size > limit as u64 {
        let size = usize::try_from(document.size).unwrap_or(usize::MAX);
        return Err(crate::plan::Error::TextTooLarge { size, limit }.into());
    }
    let bytes = look::bytes(store, document, limit as u64).await?;
    Ok(PlanView::parse(&bytes)?)
}
