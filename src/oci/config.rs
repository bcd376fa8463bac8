//! The image config (image-spec, config.md). Unknown members are kept, so a base image's config survives whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::manifest::null_as_default;
use super::{DiffId, Error, Platform, json};
use crate::limits;

/// The image config document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// RFC 3339 time of creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Author, a name or URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// `os`, `architecture` and `variant` are members of the config itself.
    #[serde(flatten)]
    pub platform: Platform,
    /// Defaults of a container's execution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ContainerConfig>,
    /// Diff IDs, in the order of the layers.
    pub rootfs: RootFs,
    /// One entry per step; those without `empty_layer` correspond to layers in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub history: Vec<History>,
    /// Members this crate does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl ImageConfig {
    /// Parses a config, at most [`limits::MAX_CONFIG_BYTES`].
    ///
    /// # Errors
    /// [`Error::TooLarge`] or [`Error::Document`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        super::manifest::parse_document("image config", bytes, limits::MAX_CONFIG_BYTES)
    }

    /// The canonical encoding.
    ///
    /// # Errors
    /// [`Error::Document`] when an unknown member holds a number that is not an integer.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        json::canonical("image config", self)
    }
}

/// `config` of the image config: what a container runs and as whom.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerConfig {
    /// `uid[:gid]` or names; coracle writes numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// `port/protocol` as keys.
    #[serde(default, skip_serializing_if = "Set::is_empty", deserialize_with = "null_as_default")]
    pub exposed_ports: Set,
    /// `NAME=value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub env: Vec<String>,
    /// The command, exec form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Default arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Paths as keys.
    #[serde(default, skip_serializing_if = "Set::is_empty", deserialize_with = "null_as_default")]
    pub volumes: Set,
    /// Absolute path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub labels: BTreeMap<String, String>,
    /// Signal that stops the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Members this crate does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A Go set as JSON: keys with `{}` values.
pub type Set = BTreeMap<String, Map<String, Value>>;

/// `rootfs` of the image config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Diff IDs from the bottom up.
    #[serde(deserialize_with = "null_as_default")]
    pub diff_ids: Vec<DiffId>,
}

impl RootFs {
    /// A `layers` root of these diff IDs.
    #[must_use]
    pub fn layers(diff_ids: Vec<DiffId>) -> Self {
        Self { kind: "layers".to_owned(), diff_ids }
    }
}

/// One history entry.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// RFC 3339 time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The command that made the layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// The tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// True when no layer belongs to the entry.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
    /// Members this crate does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}
