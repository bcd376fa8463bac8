//! The base of a build: an image for each platform, under the layers that are made.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::root::{self, Opened};
use super::sysroot::{OnBase, Sysroot};
use super::{Environment, Error, Request};
use crate::analyze::needs::{has_libc, is_of_libc};
use crate::image::Ground;
use crate::observe::SharedObserver;
use crate::oci::{Digest, Platform, Reference};
use crate::plan::{self, BaseImage};
use crate::rootfs::{Layered, Root};
use crate::store::{self, Location, Pointer};

/// The value of `--base`: a reference, `oci:DIR[:TAG|@DIGEST]` or `archive:FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseSpec(Location);

/// A base that is open, for one platform.
#[derive(Clone)]
pub struct OpenBase {
    /// The platform of the programs that lie on it.
    pub platform: Platform,
    /// How a lock names it.
    pub name: String,
    /// Which image it is.
    pub image: BaseImage,
    /// What its name stands for: an index where there is one.
    pub root: Digest,
    /// Its repository, from which a registry may take its layers over.
    pub repository: Option<Reference>,
    /// Config and layers.
    pub ground: Ground,
    /// Its files.
    pub files: Arc<dyn Root>,
}

impl std::fmt::Debug for OpenBase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenBase").field("platform", &self.platform).field("image", &self.image).finish_non_exhaustive()
    }
}

impl BaseSpec {
    /// Parses the value.
    ///
    /// # Errors
    /// [`Error::Store`] for a place that cannot be understood; [`Error::OnlyForWriting`] for a docker daemon.
    pub fn parse(text: &str) -> Result<Self, Error> {
        match text.strip_prefix("image:").unwrap_or(text).parse()? {
            place @ Location::Daemon(_) => Err(Error::OnlyForWriting(place.to_string())),
            place => Ok(Self(place)),
        }
    }

    /// The name under which a lock remembers it: without a digest, which the lock has.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.0 {
            Location::Registry(reference) => reference.without_digest().to_string(),
            Location::Layout { directory, pointer: Some(Pointer::Digest(_)) } => {
                Location::Layout { directory: directory.clone(), pointer: None }.to_string()
            }
            place => place.to_string(),
        }
    }

    /// Whether it says itself which content it means.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        match &self.0 {
            Location::Registry(reference) => reference.digest().is_some(),
            Location::Layout { pointer, .. } => matches!(pointer, Some(Pointer::Digest(_))),
            Location::Archive(_) | Location::Daemon(_) => false,
        }
    }

    /// The same at a digest, where its place can be asked for one.
    #[must_use]
    pub fn at(&self, digest: &Digest) -> Self {
        Self(match &self.0 {
            Location::Registry(reference) => Location::Registry(reference.with_digest(digest.clone())),
            Location::Layout { directory, .. } => {
                Location::Layout { directory: directory.clone(), pointer: Some(Pointer::Digest(digest.clone())) }
            }
            other => other.clone(),
        })
    }

    /// Opens it for a platform. Its layers are fetched and verified.
    ///
    /// # Errors
    /// [`store::Error::NoPlatform`] within, and as [`super::RootSpec::open`].
    pub async fn open(
        &self,
        platform: &Platform,
        environment: &Environment,
        observer: &SharedObserver,
    ) -> Result<OpenBase, Error> {
        let shown = self.0.to_string();
        let open = |wanted: Platform| {
            let shown = shown.clone();
            async move { root::opened(&self.0, &shown, Some(&wanted), environment, observer).await }
        };
        let found = match open(platform.clone()).await {
            // Programs for better processors of a kind run on what is made for all of them.
            Err(Error::Store(store::Error::NoPlatform { .. }))
                if platform.variant.is_some() && platform.architecture == "amd64" =>
            {
                open(Platform::linux("amd64")).await?
            }
            other => other?,
        };
        let Opened { root, manifest, config, layers, files } = found;
        let repository = match &self.0 {
            Location::Registry(reference) => Some(reference.clone()),
            _ => None,
        };
        let name =
            repository.as_ref().map(|reference| super::deliver::with_tag(&reference.without_digest()).to_string());
        let image = BaseImage { name, digest: manifest };
        let ground = Ground { config, layers };
        Ok(OpenBase { platform: platform.clone(), name: self.name(), image, root, repository, ground, files })
    }
}

impl std::fmt::Display for BaseSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl OpenBase {
    pub(super) fn planned(&self) -> plan::Base {
        let config = self.ground.config.config.clone().unwrap_or_default();
        plan::Base { files: Arc::clone(&self.files), config, image: self.image.clone() }
    }
}

/// Opens a base for every platform of a request, and lets its programs find what they need there; the roots of the request
/// give what it does not have, but no C library where it has one.
///
/// # Errors
/// As [`BaseSpec::open`]; those of reading the programs; [`Error::Root`].
pub async fn open_bases(
    spec: &BaseSpec,
    request: &mut Request,
    environment: &Environment,
    observer: &SharedObserver,
) -> Result<(), Error> {
    let mut bases = Vec::new();
    for platform in &root::platforms(request)? {
        bases.push(spec.open(platform, environment, observer).await?);
    }
    let mut roots = Vec::new();
    for base in &bases {
        roots.push(standing(base, &request.roots)?);
    }
    request.bases = bases;
    request.roots = roots;
    Ok(())
}

fn standing(base: &OpenBase, beside: &[Sysroot]) -> Result<Sysroot, Error> {
    let fits =
        |root: &&Sysroot| root.platform.as_ref().is_none_or(|own| own.normalized() == base.platform.normalized());
    let beside = beside.iter().find(fits);
    let root: Arc<dyn Root> = match beside {
        None => Arc::clone(&base.files),
        Some(beside) => {
            let both = Layered::new(Arc::clone(&base.files), Arc::clone(&beside.root))?;
            Arc::new(if has_libc(&*base.files)? { both.hiding(is_of_libc) } else { both })
        }
    };
    Ok(Sysroot {
        root,
        is_host: beside.is_some_and(|beside| beside.is_host),
        platform: Some(base.platform.clone()),
        base: Some(OnBase { files: Arc::clone(&base.files), beside: beside.map(|beside| Arc::clone(&beside.root)) }),
    })
}

/// The base for a platform.
pub(super) fn of<'r>(request: &'r Request, platform: &Platform) -> Result<Option<&'r OpenBase>, Error> {
    if request.bases.is_empty() {
        return Ok(None);
    }
    let found = request.bases.iter().find(|base| base.platform.normalized() == platform.normalized());
    found.map(Some).ok_or_else(|| Error::NoPlatform {
        wanted: Box::new(platform.clone()),
        have: request.bases.iter().map(|base| base.platform.clone()).collect(),
    })
}

/// What the bases of an index are annotated as: their index, not one of its images.
pub(super) fn annotate(bases: &[OpenBase], annotations: &mut BTreeMap<String, String>) {
    if let Some(base) = bases.first() {
        let key = "org.opencontainers.image.base.digest";
        if annotations.get(key).is_some_and(|own| *own == base.image.digest.to_string()) {
            annotations.insert(key.to_owned(), base.root.to_string());
        }
    }
}
