//! Putting the layers of a finished image onto another base. Nothing is built anew: what cannot be carried over is refused.

mod fit;
mod merge;

use std::collections::BTreeMap;

use super::base::{BaseSpec, OpenBase};
use super::made::Made;
use super::{Delivery, Environment, Error, Place, Seen, SeenImage, deliver, look, plans};
use crate::blob::Layer;
use crate::diag::Diagnostic;
use crate::image::{Artifact, Format, Image, PLAN_TYPE};
use crate::observe::SharedObserver;
use crate::oci::{Annotations, Descriptor, ImageConfig, ManifestView, RawManifest, Reference, media_type};
use crate::plan::EncoderId;
use crate::store::Location;

/// The annotations that say what an image was built on (image-spec, annotations.md).
const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// An image on its new base.
#[derive(Debug)]
pub struct Rebased {
    /// The manifest or index.
    pub root: RawManifest,
    /// Where it is now.
    pub places: Vec<Place>,
    /// Layers that were carried over, and those of the new base, of all platforms.
    pub layers: (usize, usize),
    /// Findings, none of severity `error`.
    pub diagnostics: Vec<Diagnostic>,
}

/// Puts an image, or all images of an index, onto another base, and delivers the result. The base that it has is the one
/// that its annotations name, or `from`.
///
/// # Errors
/// [`Error::NoBaseKnown`], [`Error::NotOnBase`]; [`Error::DoesNotFit`] for paths; [`Error::Refused`] with the verdict on the new
/// base; [`Error::NeedsMore`] for what the old base had and the new one has not; those of stores.
pub async fn rebase(
    image: &Location,
    onto: &BaseSpec,
    from: Option<&Location>,
    delivery: &Delivery,
    environment: &Environment,
    observer: &SharedObserver,
) -> Result<Rebased, Error> {
    let seen = look(image, None, environment, observer).await?;
    let (mut images, mut artifacts, mut diagnostics, mut bases) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut layers = (0, 0);
    for one in seen.images.iter().filter(|one| is_image(one)) {
        let moved = one_image(image, &seen, one, onto, from, environment, observer).await?;
        layers = (layers.0 + moved.own, layers.1 + moved.base.ground.layers.len());
        artifacts.extend(moved.plan);
        diagnostics.extend(moved.diagnostics);
        images.push(moved.image);
        bases.push(moved.base);
    }
    let Some(base) = bases.first() else { return Err(Error::RootNotAnImage(image.to_string())) };
    let annotations = match seen.root.view() {
        Ok(ManifestView::Index(index)) => based_on(index.annotations, base, &base.root.to_string()),
        _ => Annotations::new(),
    };
    let made = Made::of(images, annotations, artifacts)?;
    let beside = base.repository.clone().or_else(|| reference_of(image).cloned());
    let targets = deliver::targets(delivery, "image", EncoderId::Gz1, beside.as_ref(), environment, observer)?;
    let (places, findings) = deliver::deliver(targets, &made, observer).await?;
    diagnostics.extend(findings);
    Ok(Rebased { root: made.root().clone(), places, layers, diagnostics })
}

/// Whether it is an image with files; an index may list attestations too, which are about the image as it was.
fn is_image(image: &SeenImage) -> bool {
    image.config.as_ref().is_some_and(|config| config.platform.os != "unknown")
}

fn reference_of(location: &Location) -> Option<&Reference> {
    match location {
        Location::Registry(reference) => Some(reference),
        _ => None,
    }
}

struct Moved {
    image: Image,
    plan: Option<Artifact>,
    base: OpenBase,
    own: usize,
    diagnostics: Vec<Diagnostic>,
}

async fn one_image(
    location: &Location,
    seen: &Seen,
    image: &SeenImage,
    onto: &BaseSpec,
    from: Option<&Location>,
    environment: &Environment,
    observer: &SharedObserver,
) -> Result<Moved, Error> {
    let shown = location.to_string();
    let config = image.config.as_ref().ok_or_else(|| Error::RootNotAnImage(shown.clone()))?;
    let old = old_base(&shown, image, from, environment, observer).await?;
    let below = old.rootfs.diff_ids.len();
    let (ids, descriptors) = (&config.rootfs.diff_ids, &image.manifest.layers);
    if ids.len() != descriptors.len() || !ids.starts_with(&old.rootfs.diff_ids) {
        return Err(Error::NotOnBase { image: shown });
    }
    let base = onto.open(&config.platform, environment, observer).await?;
    let own = carried(seen, &descriptors[below..], ids[below..].to_vec()).await?;
    let diagnostics = fit::check(&shown, config, &base, &own, environment, observer).await?;

    let new = base.ground.config.clone();
    let history = config.history.get(old.history.len()..).unwrap_or_default();
    let all: Vec<Layer> = base.ground.layers.iter().chain(&own).cloned().collect();
    let merged = ImageConfig {
        created: config.created.clone(),
        author: config.author.clone(),
        platform: config.platform.clone(),
        config: Some(merge::container(
            &config.config.clone().unwrap_or_default(),
            &old.config.unwrap_or_default(),
            &new.config.unwrap_or_default(),
        )),
        rootfs: crate::oci::RootFs::layers(all.iter().map(|layer| layer.diff_id.clone()).collect()),
        history: new.history.iter().chain(history).cloned().collect(),
        other: merge::members(&config.other, &old.other, &new.other),
    };
    let docker = image.raw.media_type() == media_type::DOCKER_MANIFEST;
    let format = if docker { Format::Docker } else { Format::Oci };
    let annotations = based_on(image.manifest.annotations.clone(), &base, &base.image.digest.to_string());
    let made = Image::from_parts_in(&merged, all, annotations.clone(), format)?;
    let plan = match plans::of_image(&*seen.store, image).await? {
        Some(mut plan) => {
            plan.annotations = annotations;
            plan.config = merged.config.clone().unwrap_or_default();
            Some(Artifact::of(PLAN_TYPE, plan.to_text()?.into_bytes(), &made.descriptor())?)
        }
        None => None,
    };
    Ok(Moved { image: made, plan, base, own: own.len(), diagnostics })
}

/// The config of the base that an image has.
async fn old_base(
    shown: &str,
    image: &SeenImage,
    from: Option<&Location>,
    environment: &Environment,
    observer: &SharedObserver,
) -> Result<ImageConfig, Error> {
    let annotations = &image.manifest.annotations;
    let unknown = || Error::NoBaseKnown { image: shown.to_owned() };
    let platform = image.config.as_ref().map(|config| config.platform.clone());
    let location = match from {
        Some(from) => from.clone(),
        None => {
            let name = annotations.get(BASE_NAME).and_then(|name| name.parse::<Reference>().ok());
            let digest = annotations.get(BASE_DIGEST).and_then(|digest| digest.parse().ok());
            match (name, digest) {
                (Some(name), Some(digest)) => Location::Registry(name.with_digest(digest)),
                _ => return Err(unknown()),
            }
        }
    };
    let seen = look(&location, platform.as_ref(), environment, observer).await?;
    let (found, _) = super::root::choose(&seen, platform.as_ref(), &location.to_string())?;
    found.config.clone().ok_or_else(unknown)
}

/// The layers of the image itself.
async fn carried(
    seen: &Seen,
    descriptors: &[Descriptor],
    diff_ids: Vec<crate::oci::DiffId>,
) -> Result<Vec<Layer>, Error> {
    let mut layers = Vec::with_capacity(descriptors.len());
    for (descriptor, diff_id) in descriptors.iter().zip(diff_ids) {
        layers.push(Layer { blob: seen.store.get_blob(descriptor).await?, diff_id });
    }
    Ok(layers)
}

fn based_on(mut annotations: Annotations, base: &OpenBase, digest: &str) -> Annotations {
    annotations.insert(BASE_DIGEST.to_owned(), digest.to_owned());
    match &base.image.name {
        Some(name) => annotations.insert(BASE_NAME.to_owned(), name.clone()),
        None => annotations.remove(BASE_NAME),
    };
    annotations
}

/// Values by name, as a config has them.
type Named<V> = BTreeMap<String, V>;
