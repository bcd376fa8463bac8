//! What came out.

use std::time::Duration;

use crate::diag::Diagnostic;
use crate::oci::{Descriptor, Platform, RawManifest};
use crate::plan::Lock;
use crate::store::Location;

/// A finished build.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The image's name.
    pub name: String,
    /// The root: a manifest, or an index when there are several platforms.
    pub root: RawManifest,
    /// One per platform, in the index's order.
    pub images: Vec<ImageSummary>,
    /// One per place, in the order asked for.
    pub places: Vec<Place>,
    /// What the programs need, in the form to commit.
    pub lock: Lock,
    /// Findings, none of severity `error`.
    pub diagnostics: Vec<Diagnostic>,
    /// How long it took.
    pub timing: Timing,
}

/// One image.
#[derive(Debug, Clone)]
pub struct ImageSummary {
    /// What it runs on.
    pub platform: Platform,
    /// Its manifest.
    pub manifest: Descriptor,
    /// Its config.
    pub config: Descriptor,
    /// Its layers from the bottom up.
    pub layers: Vec<Descriptor>,
    /// Bytes of files in it, uncompressed.
    pub content_bytes: u64,
    /// Number of paths in it.
    pub paths: usize,
}

impl ImageSummary {
    /// Bytes that a registry stores for the image: config and layers.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        self.config.size + self.layers.iter().map(|layer| layer.size).sum::<u64>()
    }
}

/// One place that has the image now.
#[derive(Debug, Clone)]
pub struct Place {
    /// Where.
    pub location: Location,
    /// How to name the image there, one per tag: `repository:tag@digest`, `oci:DIR@digest`, `archive:FILE`.
    pub references: Vec<String>,
    /// Blobs whose bytes went there.
    pub written: usize,
    /// Blobs that were there already.
    pub spared: usize,
    /// Bytes that went there.
    pub bytes: u64,
}

/// How long the parts took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timing {
    /// Reading the programs and deciding.
    pub plan: Duration,
    /// Making the layers.
    pub pack: Duration,
    /// Putting everything where it belongs.
    pub deliver: Duration,
}
