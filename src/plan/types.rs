//! The plan and its layers.

use std::fmt;
use std::str::FromStr;

use super::Entry;
use crate::oci::{Annotations, ContainerConfig, Platform};

/// Everything decided about one image of one platform.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Name of the image, for people; not part of any digest.
    pub name: String,
    /// What it runs on.
    pub platform: Platform,
    /// Seconds since the epoch for `created`, history and every tar header: 0 or `SOURCE_DATE_EPOCH`.
    pub created: u64,
    /// Which encoder compresses the layers.
    pub encoder: EncoderId,
    /// User, environment, entrypoint, ports, labels and so on.
    pub config: ContainerConfig,
    /// Annotations of the manifest.
    pub annotations: Annotations,
    /// Layers from the bottom up.
    pub layers: Vec<LayerPlan>,
}

/// One layer: entries sorted by path, each directory before what it holds, no path twice.
#[derive(Debug, Clone)]
pub struct LayerPlan {
    /// What the layer is for, for example `app`; shown in history and progress.
    pub name: String,
    /// Its entries.
    pub entries: Vec<Entry>,
}

/// A frozen encoder: the id stands for codec, version, level, block size and geometry, whose bytes never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EncoderId {
    /// `gz1`: one gzip member, made in blocks (the default, readable everywhere).
    Gz1,
    /// `zst1`: zstd frames (readable by containerd 1.5, podman 4, docker 23 and later).
    Zst1,
    /// `tar`: not compressed.
    Tar,
}

impl EncoderId {
    /// The stable id.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gz1 => "gz1",
            Self::Zst1 => "zst1",
            Self::Tar => "tar",
        }
    }
}

impl fmt::Display for EncoderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EncoderId {
    type Err = UnknownEncoder;

    fn from_str(text: &str) -> Result<Self, UnknownEncoder> {
        [Self::Gz1, Self::Zst1, Self::Tar]
            .into_iter()
            .find(|id| id.name() == text)
            .ok_or_else(|| UnknownEncoder(text.to_owned()))
    }
}

/// No encoder has this id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no encoder is called `{0}`; there are `gz1`, `zst1` and `tar`")]
pub struct UnknownEncoder(pub String);
