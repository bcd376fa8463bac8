//! Layer 8: the front door of the library: a request in, an outcome out.
//!
//! Programs are read and grouped by platform ([`programs`]), one plan is made for each platform, its layers are packed or
//! known already, images and index are put together, and all of it goes to its places in the order blobs, manifests,
//! index, tags.
//!
//! *Invariant:* nothing is written before everything is decided, and no tag is set before all places have all content.

mod base;
mod copy;
mod deliver;
mod difference;
mod environment;
mod error;
mod explain;
pub mod inspect;
mod look;
mod made;
pub mod naming;
mod outcome;
mod owned;
mod pack;
pub mod places;
mod plans;
pub mod programs;
mod rebase;
mod request;
pub mod root;
pub mod sysroot;

pub use base::{BaseSpec, OpenBase, open_bases};
pub use copy::{CopiedTo, CopyScope, copy};
pub use difference::{kind, of_images, of_plans};
pub use environment::Environment;
pub use error::Error;
pub use explain::{AttemptReport, Explanation, SearchReport, StepReport, explain};
pub use look::{Seen, SeenImage, SeenPath, all_paths, look, paths};
pub use outcome::{ImageSummary, Outcome, Place, Timing};
pub use plans::plans_of;
pub use rebase::{Rebased, rebase};
pub use request::{Delivery, Locked, ProgramFile, Request};
pub use root::{OpenRoot, RootImage, RootSpec, open_roots};

use std::time::{Duration, Instant, SystemTime};

use crate::analyze::Requirement;
use crate::blob::Layer;
use crate::diag::Diagnostic;
use crate::image::Image;
use crate::observe::SharedObserver;
use crate::oci::Platform;
use crate::plan::{self, EncoderId, Lock, Plan, PlanRequest};
use crate::rootfs::walk::Excludes;
use crate::store::{BuildCache, CacheKey};
use deliver::{Find, Target};
use made::Made;
use pack::Recipe;

/// Every decision about an image: one plan per platform, and the findings.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Name of the image.
    pub name: String,
    /// One per platform, in the order of their first programs.
    pub plans: Vec<Plan>,
    /// What the programs of each platform need, in the plans' order.
    pub needs: Vec<PlatformNeeds>,
    /// The needs in the form to commit.
    pub lock: Lock,
    /// Findings.
    pub diagnostics: Vec<Diagnostic>,
}

/// What the programs of one platform need.
#[derive(Debug, Clone)]
pub struct PlatformNeeds {
    /// The platform.
    pub platform: Platform,
    /// The needs, the programs themselves aside.
    pub requirements: Vec<Requirement>,
}

/// Decides everything about an image and writes nothing. Blocks while it reads the programs' headers and walks the
/// directories to add.
///
/// # Errors
/// [`Error::Refused`] for files that are no programs an image can be made from; [`Error::LockDiffers`]; errors of reading and
/// planning.
pub fn plan(request: &Request) -> Result<Planned, Error> {
    let grouped = programs::group(request)?;
    let excludes = Excludes::parse(&request.excludes)?;
    let adds = request.adds.iter().map(|add| add.clone().read(&excludes)).collect::<Result<Vec<_>, _>>()?;
    let mut planned = Planned {
        name: grouped.name,
        plans: Vec::new(),
        needs: Vec::new(),
        lock: Lock::default(),
        diagnostics: grouped.diagnostics,
    };
    if let Some(base) = request.bases.first() {
        planned.lock.set_base(&base.name, base.root.clone());
    }
    for group in grouped.groups {
        let requirements = group.requirements();
        let sole = match &group.programs[..] {
            [program] if program.place.is_none() => Some(format!("/app/{}", program.name)),
            _ => None,
        };
        planned.lock.add(&group.platform, &request.choice, &requirements, sole.as_deref());
        planned.needs.push(PlatformNeeds { platform: group.platform.clone(), requirements });
        let base = base::of(request, &group.platform)?;
        let (plan, findings) = plan::build(&PlanRequest {
            name: planned.name.clone(),
            platform: group.platform,
            programs: group.programs,
            base: base.map(OpenBase::planned),
            found: group.found,
            adds: adds.clone(),
            excludes: request.excludes.clone(),
            options: request.options.clone(),
            encoder: request.encoder.unwrap_or(EncoderId::Gz1),
            created: request.created,
        })?;
        planned.plans.push(plan);
        for finding in findings {
            // What is true of every platform is told once.
            if !planned.diagnostics.contains(&finding) {
                planned.diagnostics.push(finding);
            }
        }
    }
    if let Some(locked) = &request.lock
        && let Some(difference) = locked.lock.difference(&planned.lock)
    {
        return Err(Error::LockDiffers { file: locked.file.clone(), difference: Box::new(difference) });
    }
    Ok(planned)
}

/// Builds an image and delivers it.
///
/// # Errors
/// [`Error`]; no place has a new tag then.
pub async fn build(
    request: &Request,
    delivery: &Delivery,
    environment: &Environment,
    observer: &SharedObserver,
) -> Result<Outcome, Error> {
    let started = Instant::now();
    let encoder = request.encoder.unwrap_or(EncoderId::Gz1);
    let asked = request.clone();
    let planned = tokio::task::spawn_blocking(move || plan(&asked)).await??;
    let beside = request.bases.first().and_then(|base| base.repository.as_ref());
    let targets = deliver::targets(delivery, &planned.name, encoder, beside, environment, observer)?;
    deliver::keep_apart(&targets, &planned.plans)?;
    let plan_done = Instant::now();

    let (mut images, mut artifacts) = (Vec::new(), Vec::new());
    for plan in &planned.plans {
        let layers = layers(plan, &targets, environment, observer).await?;
        let ground = base::of(request, &plan.platform)?.map(|base| &base.ground);
        let image = Image::assemble_on(plan, ground, layers, request.format)?;
        artifacts.push(plans::artifact(plan, &image)?);
        images.push(image);
    }
    // What a user annotates is the whole: registries show the annotations of the index.
    let mut annotations = planned.plans.first().map(|plan| plan.annotations.clone()).unwrap_or_default();
    base::annotate(&request.bases, &mut annotations);
    let made = Made::of(images, annotations, artifacts)?;
    let pack_done = Instant::now();

    let (places, findings) = deliver::deliver(targets, &made, observer).await?;
    Ok(Outcome {
        name: planned.name.clone(),
        root: made.root().clone(),
        images: made.images().iter().map(|image| summary(image, &planned)).collect(),
        places,
        lock: planned.lock,
        diagnostics: planned.diagnostics.into_iter().chain(findings).collect(),
        timing: Timing { plan: plan_done - started, pack: pack_done - plan_done, deliver: pack_done.elapsed() },
    })
}

/// Packs the layers of a plan, as far as their bytes are needed.
async fn layers(
    plan: &Plan,
    targets: &[Target],
    environment: &Environment,
    observer: &SharedObserver,
) -> Result<Vec<Layer>, Error> {
    let directory = deliver::spool_directory(targets, environment);
    let cache = environment.cache_dir.as_ref().map(|dir| BuildCache::at(&dir.join("layers")));
    let mut layers = Vec::with_capacity(plan.layers.len());
    for layer in &plan.layers {
        let recipe = Recipe {
            layer: layer.clone(),
            created: plan.created,
            encoder: plan.encoder,
            options: crate::layer::PackOptions { threads: environment.threads },
            directory: directory.clone(),
            observer: observer.clone(),
        };
        layers.push(make(recipe, targets, cache.as_ref()).await?);
    }
    Ok(layers)
}

/// What the cache does not remember for longer than this is forgotten when something new is remembered.
const REMEMBERED: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Packs a layer, or takes it from where it lies, when it is known and unchanged.
async fn make(recipe: Recipe, targets: &[Target], cache: Option<&BuildCache>) -> Result<Layer, Error> {
    let now = SystemTime::now();
    let key = || CacheKey::of(&recipe.layer, recipe.created, recipe.encoder, now);
    let (Some(cache), Some(before)) = (cache, key()) else {
        return Ok(recipe.run().await?.1);
    };
    if let Some(known) = cache.get(&before, &recipe.layer) {
        let mut everywhere = true;
        for target in targets {
            match target.find(&known.descriptor).await? {
                Find::Blob(blob) => return Ok(Layer { blob, diff_id: known.diff_id }),
                Find::There => {}
                Find::Absent => everywhere = false,
            }
        }
        if everywhere {
            return Ok(recipe.later(known.descriptor, known.diff_id));
        }
    }
    let (packed, layer) = recipe.clone().run().await?;
    // A file that changed while it was packed has another identity now.
    if key().as_ref() == Some(&before) {
        // A cache that cannot be written costs time later and is no reason to fail.
        let _ = cache.put(&before, &packed);
        let _ = cache.prune(now.checked_sub(REMEMBERED).unwrap_or(SystemTime::UNIX_EPOCH));
    }
    Ok(layer)
}

fn summary(image: &Image, planned: &Planned) -> ImageSummary {
    let plan = planned.plans.iter().find(|plan| plan.platform == *image.platform());
    let entries = || plan.into_iter().flat_map(|plan| &plan.layers).flat_map(|layer| &layer.entries);
    ImageSummary {
        platform: image.platform().clone(),
        manifest: image.descriptor(),
        config: image.config().descriptor().clone(),
        layers: image.layers().iter().map(|layer| layer.blob.descriptor().clone()).collect(),
        content_bytes: entries()
            .map(|entry| match &entry.kind {
                plan::EntryKind::File(content) => content.size,
                _ => 0,
            })
            .sum(),
        paths: entries().count(),
    }
}
