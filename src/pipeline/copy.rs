//! Copying finished images from place to place.

use super::deliver::{named_layout, with_tag};
use super::{Environment, Error, places};
use crate::observe::SharedObserver;
use crate::oci::{Digest, Platform, RawManifest, Reference, Tag};
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

/// Copies an image to several places, one after the other. Of an index only the images for `platforms`, all when empty.
///
/// # Errors
/// Those of the stores; the tags of the place that failed are as they were before.
pub async fn copy(
    from: &Location,
    to: &[Location],
    platforms: &[Platform],
    environment: &Environment,
    observer: &SharedObserver,
) -> Result<Vec<CopiedTo>, Error> {
    let source = places::open(from, environment, observer).await?;
    // Asked before any place is opened: nothing is made for an image that is not there.
    let root = source.store.get_manifest(&source.pointer).await?;
    for place in to {
        check_digest(root.digest(), place)?;
    }
    let mut done = Vec::with_capacity(to.len());
    for place in to {
        done.push(copy_one(from, &source, place, platforms, environment, observer).await?);
    }
    Ok(done)
}

async fn copy_one(
    from: &Location,
    source: &places::Opened,
    to: &Location,
    platforms: &[Platform],
    environment: &Environment,
    observer: &SharedObserver,
) -> Result<CopiedTo, Error> {
    let (store, pointer) = (&*source.store, &source.pointer);
    let names = names(from, to);
    let options = |names| ArchiveOptions {
        names,
        platforms: platforms.to_vec(),
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
        Location::Registry(reference) => Box::new(environment.registry(observer)?.repository(reference)?),
    };
    let copied = store::copy(
        store,
        pointer,
        &*target,
        &CopyOptions {
            platforms: platforms.to_vec(),
            tags: tags(from, to)?,
            observer: observer.clone(),
            referrers: Referrers::Plans,
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
