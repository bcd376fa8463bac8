//! Roots as people name them: a directory of this machine, or an image wherever it lies.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::sysroot::Sysroot;
use super::{Environment, Error, Request, Seen, SeenImage, look};
use crate::blob::Layer;
use crate::image::{ImageRoot, RootLimits};
use crate::observe::SharedObserver;
use crate::oci::{Digest, ImageConfig, Platform};
use crate::rootfs::{DirRoot, Root, RootError};
use crate::store::{self, Location, Store};

/// Layers that are fetched at a time, as when images are copied.
const FETCHES: usize = 4;

/// What a value begins with that names an image, and not a directory. Those that give no image are there to be refused:
/// nobody means a directory by them.
const PREFIXES: [&str; 7] =
    ["oci:", "archive:", "docker-daemon:", "docker://", "oci-archive:", "docker-archive:", "containers-storage:"];

/// The value of `--root`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootSpec {
    /// `DIR`: a sysroot, an unpacked package tree, or `/`.
    Directory(PathBuf),
    /// `image:REF`, `oci:DIR[:TAG|@DIGEST]` or `archive:FILE`: the files of an image.
    Image(Location),
}

/// A root that is open.
#[derive(Clone)]
pub struct OpenRoot {
    /// Its files.
    pub root: Arc<dyn Root>,
    /// Whether it is this machine's own `/`, whose local state is not for images.
    pub is_host: bool,
    /// For people: as it was named.
    pub shown: String,
    /// The image that it is.
    pub image: Option<RootImage>,
}

/// An image is a root for programs of its platform, a directory for those of any.
impl From<OpenRoot> for Sysroot {
    fn from(open: OpenRoot) -> Self {
        Self { root: open.root, is_host: open.is_host, platform: open.image.map(|image| image.platform), base: None }
    }
}

impl std::fmt::Debug for OpenRoot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenRoot").field("shown", &self.shown).field("image", &self.image).finish_non_exhaustive()
    }
}

/// Which image a root is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootImage {
    /// Digest of its manifest.
    pub manifest: Digest,
    /// What it runs on.
    pub platform: Platform,
}

impl RootSpec {
    /// Parses the value. A directory whose name begins like an image is written with `./` before it.
    ///
    /// # Errors
    /// [`Error::EmptyRoot`]; [`Error::Store`] for the place of an image that cannot be understood.
    pub fn parse(value: &OsStr) -> Result<Self, Error> {
        let bytes = value.as_bytes();
        if bytes.is_empty() {
            return Err(Error::EmptyRoot);
        }
        let place = bytes
            .strip_prefix(b"image:")
            .or_else(|| PREFIXES.iter().any(|prefix| bytes.starts_with(prefix.as_bytes())).then_some(bytes));
        let Some(place) = place else { return Ok(Self::Directory(PathBuf::from(value))) };
        let text = || store::Error::Location {
            text: value.to_string_lossy().into_owned(),
            reason: "the name of an image is text in UTF-8",
        };
        let place: Location = std::str::from_utf8(place).map_err(|_| text())?.parse()?;
        match place {
            Location::Daemon(_) => Err(Error::OnlyForWriting(place.to_string())),
            place => Ok(Self::Image(place)),
        }
    }

    /// Opens the root. Of an index, the image for `platform`; without one it must hold a single image. The layers of an
    /// image are fetched, verified, and decompressed into temporary files without a name.
    ///
    /// # Errors
    /// [`Error::RootDirectory`]; [`Error::RootPlatforms`] when an index leaves the choice open;
    /// [`store::Error::NoPlatform`] when the image is for another platform; those of stores and layers.
    pub async fn open(
        &self,
        platform: Option<&Platform>,
        environment: &Environment,
        observer: &SharedObserver,
    ) -> Result<OpenRoot, Error> {
        let shown = self.to_string();
        match self {
            Self::Directory(path) => {
                let (path, shown) = (path.clone(), shown);
                tokio::task::spawn_blocking(move || directory(&path, shown)).await?
            }
            Self::Image(location) => image(location, shown, platform, environment, observer).await,
        }
    }
}

/// Opens the roots of a request: one for every platform that it is for. Of an index these are the platforms asked for, or
/// else those of the programs of this machine.
///
/// # Errors
/// As [`RootSpec::open`]; those of reading the programs.
pub async fn open_roots(
    spec: &RootSpec,
    request: &Request,
    environment: &Environment,
    observer: &SharedObserver,
) -> Result<Vec<Sysroot>, Error> {
    let RootSpec::Image(_) = spec else {
        return Ok(vec![spec.open(None, environment, observer).await?.into()]);
    };
    let platforms = platforms(request)?;
    if platforms.is_empty() {
        return Ok(vec![spec.open(None, environment, observer).await?.into()]);
    }
    let mut roots = Vec::new();
    for platform in &platforms {
        roots.push(spec.open(Some(platform), environment, observer).await?.into());
    }
    Ok(roots)
}

/// The platforms asked for, or else those of the programs of this machine and of the roots that are open.
pub(super) fn platforms(request: &Request) -> Result<Vec<Platform>, Error> {
    let mut platforms: Vec<Platform> = request.platforms.iter().map(Platform::normalized).collect();
    if platforms.is_empty() {
        for file in &request.programs {
            let mut found = Vec::new();
            if file.in_root {
                for root in &request.roots {
                    found.push(super::programs::analyze_in_root(&*root.root, &file.path)?.platform);
                }
            } else {
                found.push(super::programs::analyze(&file.path)?.platform);
            }
            for platform in found.into_iter().flatten().map(|platform| platform.normalized()) {
                if !platforms.contains(&platform) {
                    platforms.push(platform);
                }
            }
        }
    }
    Ok(platforms)
}

impl std::fmt::Display for RootSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(path) => f.write_str(&crate::diag::escape(path.as_os_str().as_bytes())),
            Self::Image(Location::Registry(reference)) => write!(f, "image:{reference}"),
            Self::Image(location) => location.fmt(f),
        }
    }
}

fn directory(path: &Path, shown: String) -> Result<OpenRoot, Error> {
    let fail = |source| Error::RootDirectory { path: path.to_owned(), source };
    let root = DirRoot::open(path).map_err(|error| match error {
        RootError::Read { source, .. } => fail(source),
        other => fail(std::io::Error::other(other)),
    })?;
    let node = |path: &Path| std::fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
    let is_host = node(path).map_err(fail)? == node(Path::new("/")).map_err(fail)?;
    Ok(OpenRoot { root: Arc::new(root), is_host, shown, image: None })
}

async fn image(
    location: &Location,
    shown: String,
    platform: Option<&Platform>,
    environment: &Environment,
    observer: &SharedObserver,
) -> Result<OpenRoot, Error> {
    let opened = opened(location, &shown, platform, environment, observer).await?;
    let image = RootImage { manifest: opened.manifest, platform: opened.config.platform.normalized() };
    Ok(OpenRoot { root: opened.files, is_host: false, shown, image: Some(image) })
}

/// An image that is open, with everything that it is made of.
pub(super) struct Opened {
    /// Digest of what the name stands for.
    pub root: Digest,
    /// Digest of its manifest.
    pub manifest: Digest,
    /// Its config.
    pub config: ImageConfig,
    /// Its layers.
    pub layers: Vec<Layer>,
    /// Its files.
    pub files: Arc<dyn Root>,
}

pub(super) async fn opened(
    location: &Location,
    shown: &str,
    platform: Option<&Platform>,
    environment: &Environment,
    observer: &SharedObserver,
) -> Result<Opened, Error> {
    let seen = look(location, platform, environment, observer).await?;
    let (image, _) = choose(&seen, platform, shown)?;
    let config = image.config.clone().ok_or_else(|| Error::RootNotAnImage(shown.to_owned()))?;
    let diff_ids = config.rootfs.diff_ids.clone();
    let descriptors = &image.manifest.layers;
    if diff_ids.len() != descriptors.len() {
        let (layers, diff_ids) = (descriptors.len(), diff_ids.len());
        return Err(Error::RootLayers { manifest: image.raw.digest().clone(), layers, diff_ids });
    }
    let store: &dyn Store = &*seen.store;
    let fetches: Vec<_> = descriptors.iter().map(|descriptor| store.get_blob(descriptor)).collect();
    let blobs: Vec<_> = stream::iter(fetches).buffered(FETCHES).try_collect().await?;
    let layers: Vec<Layer> = blobs.into_iter().zip(diff_ids).map(|(blob, diff_id)| Layer { blob, diff_id }).collect();
    let (name, temp_dir, observer) = (shown.to_owned(), environment.temp_dir.clone(), Arc::clone(observer));
    let own = layers.clone();
    let opened =
        tokio::task::spawn_blocking(move || ImageRoot::open(&own, &name, &temp_dir, RootLimits::default(), &*observer));
    let files: Arc<dyn Root> = Arc::new(opened.await??);
    let (root, manifest) = (seen.root.digest().clone(), image.raw.digest().clone());
    Ok(Opened { root, manifest, config, layers, files })
}

/// The one image that is meant.
pub(super) fn choose<'s>(
    seen: &'s Seen,
    wanted: Option<&Platform>,
    shown: &str,
) -> Result<(&'s SeenImage, Platform), Error> {
    // Attestations in an index are images for the platform `unknown`, and artifacts have no platform at all.
    let platform = |image: &'s SeenImage| image.config.as_ref().map(|config| config.platform.normalized());
    let all = seen.images.iter().filter_map(|image| Some((image, platform(image)?)));
    let all: Vec<_> = all.filter(|(_, platform)| platform.os != "unknown").collect();
    let available = || all.iter().map(|(_, platform)| platform.clone()).collect();
    let fits = |has: &Platform| wanted.is_none_or(|wanted| wanted.normalized() == *has);
    let mut fitting = all.iter().filter(|(_, platform)| fits(platform));
    match (fitting.next(), fitting.next(), wanted) {
        (Some((image, platform)), None, _) => Ok((image, platform.clone())),
        // Clients take the first that fits.
        (Some((image, platform)), Some(_), Some(_)) => Ok((image, platform.clone())),
        (Some(_), Some(_), None) => Err(Error::RootPlatforms { root: shown.to_owned(), available: available() }),
        (None, _, Some(wanted)) if !all.is_empty() => {
            let (index, platform) = (seen.root.digest().clone(), Box::new(wanted.clone()));
            Err(store::Error::NoPlatform { index, platform, available: available() }.into())
        }
        _ => Err(Error::RootNotAnImage(shown.to_owned())),
    }
}
