//! Putting finished images where they belong.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::made::{Content, Made};
use super::{Delivery, Environment, Error, Place, plans};
use crate::blob::Blob;
use crate::diag::Diagnostic;
use crate::observe::SharedObserver;
use crate::oci::{Descriptor, Reference, Tag};
use crate::plan::{EncoderId, EntryKind, Plan};
use crate::registry::Registry;
use crate::store::{
    Archive, ArchiveOptions, CopyOptions, Daemon, LayoutStore, Location, Pointer, Store, put_image, put_index,
};

/// A place that an image goes to.
pub(super) struct Target {
    location: Location,
    kind: Kind,
    /// Full names it gets there; for a layout and a repository their tags count.
    names: Vec<Reference>,
}

enum Kind {
    /// A layout, which may not exist yet.
    Layout { directory: PathBuf, tags: Vec<Tag> },
    /// A repository of a registry, and the one of the base, whose blobs the registry may take over.
    Repository { registry: Registry, repository: Reference, base: Option<Reference> },
    /// An archive, written as a whole.
    Archive(PathBuf),
    /// The docker daemon.
    Daemon(Daemon),
}

/// Whether a place has a layer.
pub(super) enum Find {
    /// Yes, and its bytes are at hand.
    Blob(Blob),
    /// Yes, far away.
    There,
    /// No.
    Absent,
}

/// The places of a delivery. Nothing is opened or made yet.
///
/// # Errors
/// [`Error::NoTag`], [`Error::TagWithDigest`], [`Error::SameOutput`], [`Error::ZstdForDocker`], [`Error::PinnedOutput`].
pub(super) fn targets(
    delivery: &Delivery,
    name: &str,
    encoder: EncoderId,
    base: Option<&Reference>,
    environment: &Environment,
    observer: &SharedObserver,
) -> Result<Vec<Target>, Error> {
    if let Some(tag) = delivery.tags.iter().find(|tag| tag.digest().is_some()) {
        return Err(Error::TagWithDigest(Box::new(tag.clone())));
    }
    if delivery.push && delivery.tags.is_empty() {
        return Err(Error::NoTag);
    }
    let names: Vec<Reference> = delivery.tags.iter().map(with_tag).collect();
    // What was pushed is named first: that is what most callers want.
    let mut targets =
        if delivery.push { repositories(&names, base, &environment.registry(observer)?) } else { Vec::new() };
    let mut outputs = delivery.outputs.clone();
    if outputs.is_empty() && !delivery.push {
        outputs.push(Delivery::default_place(name));
    }
    for output in outputs {
        if targets.iter().any(|target| target.location == output) {
            return Err(Error::SameOutput(output.to_string()));
        }
        targets.push(target(output, &names, name, environment)?);
    }
    if encoder == EncoderId::Zst1
        && let Some(target) = targets.iter().find(|target| matches!(target.kind, Kind::Archive(_) | Kind::Daemon(_)))
    {
        return Err(Error::ZstdForDocker(target.location.to_string()));
    }
    Ok(targets)
}

/// The name with its tag, or with `latest` when it says neither tag nor digest.
pub(super) fn with_tag(name: &Reference) -> Reference {
    name.tag_or_latest().map_or_else(|| name.clone(), |tag| name.with_tag(tag))
}

fn target(location: Location, names: &[Reference], name: &str, environment: &Environment) -> Result<Target, Error> {
    let names = names.to_vec();
    let (kind, names) = match &location {
        Location::Layout { pointer: Some(Pointer::Digest(_)), .. } => {
            return Err(Error::PinnedOutput(location.to_string()));
        }
        Location::Layout { directory, pointer: Some(Pointer::Tag(tag)) } => {
            (Kind::Layout { directory: directory.clone(), tags: vec![tag.clone()] }, names)
        }
        Location::Layout { directory, pointer: None } => {
            (Kind::Layout { directory: directory.clone(), tags: layout_tags(&names) }, names)
        }
        Location::Archive(file) => (Kind::Archive(file.clone()), names),
        Location::Daemon(own) => {
            let mut names: Vec<Reference> = own.iter().map(with_tag).chain(names).collect();
            if names.is_empty() {
                // An image without a name in a daemon is found by nobody.
                names.push(with_tag(&super::naming::as_component(name).parse().map_err(crate::store::Error::Oci)?));
            }
            (Kind::Daemon(Daemon::at(&environment.docker_socket)), names)
        }
        Location::Registry(_) => return Err(Error::RegistryOutput(location.to_string())),
    };
    Ok(Target { location, kind, names })
}

/// The tags of the names; without names `latest`, so that the newest build is what the layout's name alone means.
fn layout_tags(names: &[Reference]) -> Vec<Tag> {
    let mut tags: Vec<Tag> = names.iter().filter_map(Reference::tag_or_latest).collect();
    if tags.is_empty() {
        tags.push(Tag::latest());
    }
    tags.sort();
    tags.dedup();
    tags
}

/// One target per repository, in the order in which the names first mention them.
fn repositories(names: &[Reference], base: Option<&Reference>, registry: &Registry) -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::new();
    for name in names {
        match targets.iter_mut().find(|target| target.names[0].name() == name.name()) {
            Some(target) => target.names.push(name.clone()),
            None => targets.push(Target {
                location: Location::Registry(name.clone()),
                kind: Kind::Repository { registry: registry.clone(), repository: name.clone(), base: base.cloned() },
                names: vec![name.clone()],
            }),
        }
    }
    targets
}

impl Target {
    /// Looks for a layer in the place. A layout that cannot be read counts as not having it; opening it later will say
    /// why.
    pub async fn find(&self, layer: &Descriptor) -> Result<Find, Error> {
        match &self.kind {
            Kind::Layout { directory, .. } => {
                let Ok(layout) = LayoutStore::open(directory) else { return Ok(Find::Absent) };
                Ok(layout.get_blob(layer).await.map_or(Find::Absent, Find::Blob))
            }
            Kind::Repository { registry, repository, .. } => {
                let size = registry.repository(repository)?.has_blob(&layer.digest).await?;
                Ok(if size == Some(layer.size) { Find::There } else { Find::Absent })
            }
            Kind::Archive(_) | Kind::Daemon(_) => Ok(Find::Absent),
        }
    }

    /// The store, when the place is filled blob by blob.
    fn store(&self) -> Result<Option<Box<dyn Store>>, Error> {
        Ok(match &self.kind {
            Kind::Layout { directory, .. } => Some(named_layout(directory, &self.names)?),
            Kind::Repository { registry, repository, base } => {
                let store = registry.repository(repository)?;
                Some(match base {
                    Some(base) => Box::new(store.mounting_from(base)),
                    None => Box::new(store),
                })
            }
            Kind::Archive(_) | Kind::Daemon(_) => None,
        })
    }

    fn tags(&self) -> Vec<Tag> {
        match &self.kind {
            Kind::Layout { tags, .. } => tags.clone(),
            _ => self.names.iter().filter_map(Reference::tag_or_latest).collect(),
        }
    }

    /// The names from the first on that has this tag, or all of them when none has.
    fn names_from(&self, tag: &Tag) -> &[Reference] {
        let at = self.names.iter().position(|name| name.tag_or_latest().as_ref() == Some(tag));
        &self.names[at.unwrap_or(0)..]
    }

    /// How the image is named there.
    fn references(&self, made: &Made) -> Vec<String> {
        let digest = made.root().digest();
        match &self.kind {
            Kind::Layout { directory, .. } => {
                let pointer = Some(Pointer::Digest(digest.clone()));
                vec![Location::Layout { directory: directory.clone(), pointer }.to_string()]
            }
            Kind::Repository { .. } => {
                self.names.iter().map(|name| name.with_digest(digest.clone()).to_string()).collect()
            }
            Kind::Archive(_) => vec![self.location.to_string()],
            Kind::Daemon(_) => self.names.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Opens or makes a layout whose tags carry the first of the full names too.
pub(super) fn named_layout(directory: &Path, names: &[Reference]) -> Result<Box<dyn Store>, Error> {
    let layout = LayoutStore::create(directory)?;
    Ok(match names.first() {
        Some(name) => Box::new(layout.with_name(name)),
        None => Box::new(layout),
    })
}

/// Where layers are packed to: on the file system of the first layout, which can then link them instead of copying.
pub(super) fn spool_directory(targets: &[Target], environment: &Environment) -> PathBuf {
    let device = |path: &Path| std::fs::metadata(path).map(|m| m.dev()).ok();
    let temp = &environment.temp_dir;
    let layout = targets.iter().find_map(|target| match &target.kind {
        Kind::Layout { directory, .. } => Some(existing(directory)),
        _ => None,
    });
    match layout {
        Some(beside) if device(&beside) != device(temp) => beside,
        _ => temp.clone(),
    }
}

/// The nearest directory above (or at) a path that exists.
fn existing(path: &Path) -> PathBuf {
    let found = path.ancestors().find(|p| !p.as_os_str().is_empty() && p.is_dir());
    found.map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// Refuses an output that takes the place of a file that goes into the image, and a layout that goes into the image
/// itself: it would be another one with every build.
///
/// # Errors
/// [`Error::OutputIsInput`].
pub(super) fn keep_apart(targets: &[Target], plans: &[Plan]) -> Result<(), Error> {
    let contents = || plans.iter().flat_map(|plan| &plan.layers).flat_map(|layer| &layer.entries);
    let sources = || {
        contents().filter_map(|entry| match &entry.kind {
            EntryKind::File(content) => content.source.file(),
            _ => None,
        })
    };
    let identity = |path: &Path| std::fs::metadata(path).ok().map(|m| (m.dev(), m.ino()));
    let absolute = |path: &Path| std::path::absolute(path).ok();
    for target in targets {
        let clash = match &target.kind {
            Kind::Layout { directory, .. } => absolute(directory).and_then(|directory| {
                sources().find(|source| absolute(source).is_some_and(|source| source.starts_with(&directory)))
            }),
            Kind::Archive(file) => identity(file)
                .and_then(|output| sources().find(|source| identity(source).is_some_and(|source| source == output))),
            Kind::Repository { .. } | Kind::Daemon(_) => None,
        };
        if let Some(input) = clash {
            let (output, input) = (target.location.to_string(), input.to_owned());
            return Err(Error::OutputIsInput { output, input });
        }
    }
    Ok(())
}

/// Puts everything everywhere, and only then sets the tags. Archives and the daemon, which take content and names in one
/// step, come between the two.
///
/// # Errors
/// Those of the stores.
pub(super) async fn deliver(
    targets: Vec<Target>,
    made: &Made,
    observer: &SharedObserver,
) -> Result<(Vec<Place>, Vec<Diagnostic>), Error> {
    let options = CopyOptions { observer: observer.clone(), ..CopyOptions::default() };
    let mut places: Vec<Place> = targets.iter().map(|target| place(target, made)).collect();
    let (mut filled, mut findings) = (Vec::new(), Vec::new());
    for (target, place) in targets.iter().zip(&mut places) {
        let Some(store) = target.store()? else { continue };
        let copied = match &made.content {
            Content::Image(image) => put_image(&*store, image, &options).await?,
            Content::Index(index) => put_index(&*store, index, &options).await?,
        };
        match (plans::put(&*store, made.artifacts()).await, &target.kind) {
            (Ok(()), _) => {}
            // Registries may refuse what they do not know; the image is there.
            (Err(error), Kind::Repository { .. }) if !matches!(error, crate::store::Error::Cancelled) => {
                findings.push(plans::refused(&store.location(), &error));
            }
            (Err(error), _) => return Err(error.into()),
        }
        (place.written, place.spared, place.bytes) = (copied.written, copied.spared, copied.bytes);
        filled.push((store, target));
    }
    for target in &targets {
        let pointer = Pointer::Digest(made.root().digest().clone());
        let plans = matches!(target.kind, Kind::Archive(_));
        let options = ArchiveOptions {
            names: target.names.clone(),
            plans,
            observer: observer.clone(),
            ..ArchiveOptions::default()
        };
        match &target.kind {
            Kind::Archive(file) => Archive::prepare(made, &pointer, &options).await?.write_file(file).await?,
            Kind::Daemon(daemon) => {
                daemon.load(made, &pointer, &options).await?;
            }
            Kind::Layout { .. } | Kind::Repository { .. } => {}
        }
    }
    for (store, target) in &filled {
        for tag in &target.tags() {
            match &target.kind {
                Kind::Layout { directory, .. } => {
                    named_layout(directory, target.names_from(tag))?.tag(tag, made.root()).await?;
                }
                _ => {
                    store.tag(tag, made.root()).await?;
                }
            }
        }
    }
    Ok((places, findings))
}

fn place(target: &Target, made: &Made) -> Place {
    let (location, references) = (target.location.clone(), target.references(made));
    Place { location, references, written: 0, spared: 0, bytes: 0 }
}
