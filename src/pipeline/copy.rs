//! Copying finished images from place to place.

use super::deliver::{named_layout, with_tag};
use super::{Environment, Error, places};
use crate::observe::SharedObserver;
use crate::oci::{Digest, Platform, RawManifest, Reference, Tag};
use crate::registry::Registry;
use crate::store::{self, Archive, ArchiveOptions, CopyOptions, Daemon, Location, Pointer, Referrers, Store};

/// What a copy brought to one place.
#[derive(Debug, Clone)]
pub struct CopiedTo {
    /// The manifest or index that stands there now.
    pub root: RawManifest,
    /// How it is named there.
    pub references: Vec<String>,
    /// Blobs whose bytes went there; archives and daemons are not counted.
    pub written: usize,
    /// Blobs that were there already.
    pub spared: usize,
    /// Bytes that went there.
    pub bytes: u64,
}

/// What of an image is copied.
#[derive(Debug, Clone, Default)]
pub struct CopyScope {
    /// Of an index only the images for these, all when empty.
    pub platforms: Vec<Platform>,
    /// Whether all that refers to it (signatures, SBOMs) goes along. Its plan always does.
    pub referrers: bool,
}

/// Copies an image to several places, one after the other. What another repository of the same registry has is taken over
/// there, and fetched only where that is refused.
///
/// # Errors
/// Those of the stores; [`Error::NoReferrers`] for a place that cannot hold them. The tags of the place that failed are as they
/// were before.
pub async fn copy(
    from: &Location,
    to: &[Location],
    scope: &CopyScope,
    environment: &Environment,
    observer: &SharedObserver,
) -> Result<Vec<CopiedTo>, Error> {
    let source = places::open(from, environment, observer).await?;
    // Asked before any place is opened: nothing is made for an image that is not there.
    let root = source.store.get_manifest(&source.pointer).await?;
    for place in to {
        check_digest(root.digest(), place)?;
        if scope.referrers && matches!(place, Location::Archive(_) | Location::Daemon(_)) {
            return Err(Error::NoReferrers(place.to_string()));
        }
    }
    // One client for all: what one repository of a registry has been given, the next takes over from it.
    let registry = environment.registry(observer)?;
    let mut done = Vec::with_capacity(to.len());
    for place in to {
        done.push(copy_one(from, &source, place, scope, (environment, &registry), observer).await?);
    }
    Ok(done)
}

async fn copy_one(
    from: &Location,
    source: &places::Opened,
    to: &Location,
    scope: &CopyScope,
    (environment, registry): (&Environment, &Registry),
    observer: &SharedObserver,
) -> Result<CopiedTo, Error> {
    let (store, pointer) = (&*source.store, &source.pointer);
    let names = names(from, to);
    let options = |names| ArchiveOptions {
        names,
        platforms: scope.platforms.clone(),
        observer: observer.clone(),
        ..ArchiveOptions::default()
    };
    let whole = |root, references| CopiedTo { root, references, written: 0, spared: 0, bytes: 0 };
    let target: Box<dyn Store> = match to {
        Location::Archive(file) => {
            let archive = Archive::prepare(store, pointer, &ArchiveOptions { plans: true, ..options(names) }).await?;
            archive.write_file(file).await?;
            return Ok(whole(archive.root().clone(), vec![to.to_string()]));
        }
        Location::Daemon(_) => {
            let references = names.iter().map(ToString::to_string).collect();
            Daemon::at(&environment.docker_socket).load(store, pointer, &options(names)).await?;
            return Ok(whole(store.get_manifest(pointer).await?, references));
        }
        Location::Layout { directory, .. } => named_layout(directory, &names)?,
        Location::Registry(reference) => {
            let target = registry.repository(reference)?;
            match from {
                Location::Registry(source) => Box::new(target.mounting_from(source)),
                _ => Box::new(target),
            }
        }
    };
    let copied = store::copy(
        store,
        pointer,
        &*target,
        &CopyOptions {
            platforms: scope.platforms.clone(),
            tags: tags(from, to)?,
            observer: observer.clone(),
            referrers: if scope.referrers { Referrers::All } else { Referrers::Plans },
            ..CopyOptions::default()
        },
    )
    .await?;
    let digest = copied.manifest.digest().clone();
    let reference = match to {
        Location::Registry(reference) => with_tag(reference).with_digest(digest).to_string(),
        Location::Layout { directory, .. } => {
            Location::Layout { directory: directory.clone(), pointer: Some(Pointer::Digest(digest)) }.to_string()
        }
        other => other.to_string(),
    };
    Ok(CopiedTo {
        root: copied.manifest,
        references: vec![reference],
        written: copied.written,
        spared: copied.spared,
        bytes: copied.bytes,
    })
}

/// A destination that names a digest must name that of the source: nothing else can lie there.
fn check_digest(actual: &Digest, to: &Location) -> Result<(), Error> {
    match to {
        Location::Registry(reference) if reference.digest().is_some_and(|wanted| wanted != actual) => {
            Err(Error::OtherDigest { to: Box::new(reference.clone()), actual: actual.clone() })
        }
        _ => Ok(()),
    }
}

/// The full names for archives and daemons: their own, else the one that the image has in a registry.
fn names(from: &Location, to: &Location) -> Vec<Reference> {
    match (to, from) {
        (Location::Daemon(Some(own)), _) => vec![with_tag(own)],
        (_, Location::Registry(reference)) if reference.digest().is_none() => vec![with_tag(reference)],
        _ => Vec::new(),
    }
}

/// The tags that a copy gets: what the destination says, else the source's own, else `latest`.
fn tags(from: &Location, to: &Location) -> Result<Vec<Tag>, Error> {
    let own = match from {
        Location::Registry(reference) => reference.tag_or_latest(),
        Location::Layout { pointer: Some(Pointer::Tag(tag)), .. } => Some(tag.clone()),
        _ => None,
    };
    match to {
        Location::Registry(reference) => Ok(reference.tag_or_latest().into_iter().collect()),
        Location::Layout { pointer: Some(Pointer::Tag(tag)), .. } => Ok(vec![tag.clone()]),
        Location::Layout { pointer: Some(Pointer::Digest(_)), .. } => Err(Error::PinnedOutput(to.to_string())),
        _ => Ok(vec![own.unwrap_or_else(Tag::latest)]),
    }
}
