//! What is asked for, as values.

use std::path::PathBuf;

use super::OpenBase;
use super::sysroot::Sysroot;
use crate::analyze::needs::Choice;
use crate::image::Format;
use crate::oci::{Platform, Reference};
use crate::plan::{AddSpec, EncoderId, ImageOptions, Lock};
use crate::store::Location;

/// What an image is made from and what it says about itself.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Programs, in the order given: the first of each platform is that image's command.
    pub programs: Vec<ProgramFile>,
    /// Name of the image and of its first program; by default the first program's file name without platform suffix.
    pub name: Option<String>,
    /// Platforms the image must have. Programs for others are left out; none is ever relabelled. Empty: all there are.
    pub platforms: Vec<Platform>,
    /// Where programs find what they need; the machine's own `/` when there is none.
    pub roots: Vec<Sysroot>,
    /// What lies under the images, one for each platform; the roots then show its files first ([`super::open_bases`]).
    pub bases: Vec<OpenBase>,
    /// Which documents describe the images.
    pub format: Format,
    /// Which needs go into the images.
    pub choice: Choice,
    /// What the programs may need; anything else is an error.
    pub lock: Option<Locked>,
    /// Files and directories to add to every image.
    pub adds: Vec<AddSpec>,
    /// Patterns of paths that `adds` leave out.
    pub excludes: Vec<String>,
    /// User, environment, command and so on.
    pub options: ImageOptions,
    /// The encoder of layers.
    pub encoder: Option<EncoderId>,
    /// Seconds since the epoch for everything that carries a time.
    pub created: u64,
}

/// A lock that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locked {
    /// Its file, for messages.
    pub file: PathBuf,
    /// What it says.
    pub lock: Lock,
}

/// A program on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramFile {
    /// Where it lies, as the user wrote it; for a program of the root its path there.
    pub path: PathBuf,
    /// Whether it lies in the root instead of on this machine.
    pub in_root: bool,
    /// File name in the image; by default the file's own without platform suffix.
    pub name: Option<String>,
    /// What it must be made for, when the user said so.
    pub platform: Option<Platform>,
}

impl ProgramFile {
    /// A program with its own name, for whatever platform it is made.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), in_root: false, name: None, platform: None }
    }
}

/// Where an image goes.
#[derive(Debug, Clone, Default)]
pub struct Delivery {
    /// Names to publish under.
    pub tags: Vec<Reference>,
    /// Whether to push to the registries of `tags`.
    pub push: bool,
    /// Further places. With neither these nor `push` the image goes to [`Delivery::default_place`].
    pub outputs: Vec<Location>,
}

impl Delivery {
    /// The OCI layout that an image of this name goes to when nobody says where.
    #[must_use]
    pub fn default_place(name: &str) -> Location {
        let directory = PathBuf::from("coracle-out").join(super::naming::as_component(name));
        Location::Layout { directory, pointer: None }
    }
}
