//! Moving images into and between stores, always in the order blobs, manifests, indexes, referrers, tags.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::tree::Tree;
use super::{Error, Pointer, Put, Store};
use crate::blob::Blob;
use crate::image::{Image, Index, PLAN_TYPE};
use crate::limits;
use crate::observe::{Event, SharedObserver, silent};
use crate::oci::{Descriptor, Platform, RawManifest, Tag, media_type};

/// Which manifests that refer to those of an image go with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Referrers {
    /// None.
    #[default]
    None,
    /// The plans of the images. Where they cannot be read, or the destination refuses them, the image goes without, and the
    /// observer is told.
    Plans,
    /// All (signatures, SBOMs), and what refers to them.
    All,
}

/// How to copy.
#[derive(Clone)]
pub struct CopyOptions {
    /// Of an index, only the images for these; all when empty. One image that fits is copied as a plain manifest.
    pub platforms: Vec<Platform>,
    /// Tags that the copy gets, last of all.
    pub tags: Vec<Tag>,
    /// What refers to the manifests and is copied too.
    pub referrers: Referrers,
    /// Blobs in flight at a time; at least 1.
    pub concurrency: usize,
    /// Who watches.
    pub observer: SharedObserver,
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self { platforms: Vec::new(), tags: Vec::new(), referrers: Referrers::None, concurrency: 4, observer: silent() }
    }
}

/// What a copy did.
#[derive(Debug, Clone)]
pub struct Copied {
    /// The root that was copied; with a platform selection it can be another one than the source's.
    pub manifest: RawManifest,
    /// Blobs whose bytes went over.
    pub written: usize,
    /// Blobs that were there, or were taken over from a neighbouring repository.
    pub spared: usize,
    /// Size of the blobs whose bytes went over.
    pub bytes: u64,
}

/// Copies an image or index with everything below it.
///
/// # Errors
/// Those of both stores; [`Error::NoPlatform`], [`Error::IndexTooLarge`], [`Error::Cancelled`]. The tags of the
/// destination are then as they were before.
pub async fn copy(from: &dyn Store, pointer: &Pointer, to: &dyn Store, options: &CopyOptions) -> Result<Copied, Error> {
    let tree = Tree::load(from, pointer, &options.platforms).await?;
    let mut copied = Copied { manifest: tree.root.clone(), written: 0, spared: 0, bytes: 0 };
    copy_tree(from, &tree, to, options, &mut copied).await?;
    match options.referrers {
        Referrers::None => {}
        Referrers::Plans => without_plans(copy_plans(from, &tree, to).await, &options.observer)?,
        Referrers::All => copy_referrers(from, &tree, to, options, &mut copied).await?,
    }
    tag_all(to, &tree.root, &options.tags).await?;
    Ok(copied)
}

/// Puts a finished image into a store and tags it.
///
/// # Errors
/// Those of the store, or [`Error::Cancelled`].
pub async fn put_image(to: &dyn Store, image: &Image, options: &CopyOptions) -> Result<Copied, Error> {
    put_all(to, std::slice::from_ref(image), None, options).await
}

/// Puts a finished index with all its images into a store and tags the index.
///
/// # Errors
/// Those of the store, or [`Error::Cancelled`].
pub async fn put_index(to: &dyn Store, index: &Index, options: &CopyOptions) -> Result<Copied, Error> {
    put_all(to, index.images(), Some(index.manifest()), options).await
}

async fn put_all(
    to: &dyn Store,
    images: &[Image],
    index: Option<&RawManifest>,
    options: &CopyOptions,
) -> Result<Copied, Error> {
    let mut blobs: Vec<Blob> = images.iter().flat_map(Image::blobs).cloned().collect();
    let mut seen = std::collections::HashSet::new();
    blobs.retain(|blob| seen.insert(blob.descriptor().digest.clone()));
    // Small ones first: a large one then does not stand before them all.
    blobs.sort_by_key(|blob| blob.descriptor().size);
    let manifests: Vec<RawManifest> = images.iter().map(|i| i.manifest().clone()).chain(index.cloned()).collect();
    // invariant: an image is one, and an index has at least one
    let Some(root) = manifests.last().cloned() else { return Err(Error::Cancelled) };
    let mut copied = Copied { manifest: root.clone(), written: 0, spared: 0, bytes: 0 };
    let work = blobs.into_iter().map(|blob| put_watched(to, blob, &options.observer));
    let mut done = stream::iter(work.collect::<Vec<_>>()).buffer_unordered(options.concurrency.max(1));
    while let Some((descriptor, put)) = done.try_next().await? {
        copied.count(&descriptor, Some(put));
    }
    for manifest in &manifests {
        to.put_manifest(manifest).await?;
    }
    tag_all(to, &root, &options.tags).await?;
    Ok(copied)
}

impl Copied {
    fn count(&mut self, descriptor: &Descriptor, put: Option<Put>) {
        match put {
            Some(Put::Written) => {
                self.written += 1;
                self.bytes += descriptor.size;
            }
            Some(Put::Existed | Put::Mounted) => self.spared += 1,
            None => {}
        }
    }
}

async fn copy_tree(
    from: &dyn Store,
    tree: &Tree,
    to: &dyn Store,
    options: &CopyOptions,
    copied: &mut Copied,
) -> Result<(), Error> {
    let mut blobs = tree.blobs.clone();
    blobs.sort_by_key(|blob| blob.size);
    let work: Vec<_> = blobs.into_iter().map(|blob| copy_blob(from, blob, to, &options.observer)).collect();
    let mut done = stream::iter(work).buffer_unordered(options.concurrency.max(1));
    while let Some((descriptor, put)) = done.try_next().await? {
        copied.count(&descriptor, put);
    }
    for manifest in &tree.manifests {
        to.put_manifest(manifest).await?;
    }
    Ok(())
}

/// Copies one blob unless it is there; nothing of it is fetched then. `None` when it is a layer that may not be given
/// away and the source does not have it either.
async fn copy_blob(
    from: &dyn Store,
    descriptor: Descriptor,
    to: &dyn Store,
    observer: &SharedObserver,
) -> Result<(Descriptor, Option<Put>), Error> {
    stop_if_cancelled(observer)?;
    if to.has_blob(&descriptor.digest).await? == Some(descriptor.size) {
        return Ok((descriptor, Some(Put::Existed)));
    }
    if let Some(put) = to.take_over(&descriptor).await? {
        return Ok((descriptor, Some(put)));
    }
    let elsewhere = [".nondistributable.", ".foreign."].iter().any(|part| descriptor.media_type.contains(part));
    let blob = match from.get_blob(&descriptor).await {
        Err(Error::NotFound { .. }) if elsewhere => return Ok((descriptor, None)),
        other => other?,
    };
    let (descriptor, put) = put_watched(to, blob, observer).await?;
    Ok((descriptor, Some(put)))
}

async fn put_watched(to: &dyn Store, blob: Blob, observer: &SharedObserver) -> Result<(Descriptor, Put), Error> {
    stop_if_cancelled(observer)?;
    let descriptor = blob.descriptor().clone();
    if to.is_watched() {
        let put = to.put_blob(&blob).await?;
        return Ok((descriptor, put));
    }
    let id = descriptor.digest.to_string();
    observer.event(Event::Begin { id: &id, verb: "storing", total: Some(descriptor.size) });
    let put = to.put_blob(&blob).await;
    let note = match &put {
        Ok(Put::Written) => "",
        Ok(Put::Existed) => "exists",
        Ok(Put::Mounted) => "mounted",
        Err(_) => "failed",
    };
    observer.event(Event::Advance { id: &id, bytes: descriptor.size });
    observer.event(Event::End { id: &id, note });
    Ok((descriptor, put?))
}

/// A plan that cannot come along is no reason to stop: it is told.
fn without_plans(outcome: Result<(), Error>, observer: &SharedObserver) -> Result<(), Error> {
    match outcome {
        Err(Error::Cancelled) => Err(Error::Cancelled),
        Err(error) => {
            let text = format!("the plan of the image does not go with it: {error}");
            observer.event(Event::Message { text: &text });
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

async fn copy_plans(from: &dyn Store, tree: &Tree, to: &dyn Store) -> Result<(), Error> {
    for plan in plans(from, tree).await? {
        for descriptor in &plan.blobs {
            if to.has_blob(&descriptor.digest).await? != Some(descriptor.size) {
                to.put_blob(&from.get_blob(descriptor).await?).await?;
            }
        }
        for manifest in &plan.manifests {
            to.put_manifest(manifest).await?;
        }
    }
    Ok(())
}

/// The plans of the images of a tree.
pub(super) async fn plans(from: &dyn Store, tree: &Tree) -> Result<Vec<Tree>, Error> {
    let mut found = Vec::new();
    for manifest in tree.manifests.iter().filter(|manifest| media_type::is_manifest(manifest.media_type())) {
        for referrer in from.referrers(manifest.digest()).await? {
            if referrer.artifact_type.as_deref() == Some(PLAN_TYPE) {
                found.push(Tree::load(from, &Pointer::Digest(referrer.digest), &[]).await?);
            }
        }
    }
    Ok(found)
}

/// Copies what refers to any manifest of the tree, and what refers to that (a signature of an SBOM).
async fn copy_referrers(
    from: &dyn Store,
    tree: &Tree,
    to: &dyn Store,
    options: &CopyOptions,
    copied: &mut Copied,
) -> Result<(), Error> {
    let mut seen: std::collections::HashSet<_> = tree.manifests.iter().map(|m| m.digest().clone()).collect();
    let mut level: Vec<_> = seen.iter().cloned().collect();
    level.sort();
    for _ in 0..limits::MAX_INDEX_DEPTH {
        let mut next = Vec::new();
        for subject in level {
            for referrer in from.referrers(&subject).await? {
                if !seen.insert(referrer.digest.clone()) {
                    continue;
                }
                if seen.len() > limits::MAX_INDEX_CHILDREN {
                    return Err(Error::IndexTooLarge(tree.root.digest().clone()));
                }
                let pointer = Pointer::Digest(referrer.digest.clone());
                let below = Tree::load(from, &pointer, &[]).await?;
                copy_tree(from, &below, to, options, copied).await?;
                next.push(referrer.digest);
            }
        }
        level = next;
    }
    Ok(())
}

async fn tag_all(to: &dyn Store, root: &RawManifest, tags: &[Tag]) -> Result<(), Error> {
    for tag in tags {
        to.tag(tag, root).await?;
    }
    Ok(())
}

fn stop_if_cancelled(observer: &SharedObserver) -> Result<(), Error> {
    if observer.cancelled() { Err(Error::Cancelled) } else { Ok(()) }
}
