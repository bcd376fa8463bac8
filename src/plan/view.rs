//! The plan as plain values: what the text and JSON forms hold, and what two plans are compared by.

use std::collections::BTreeMap;
use std::io::Read;

use serde::{Deserialize, Serialize};

use super::{Entry, EntryKind, Error, FileContent, Plan};
use crate::diag::escape;
use crate::limits;
use crate::oci::{Annotations, ContainerConfig};

/// The format of text and JSON that this crate writes.
pub(super) const VERSION: u32 = 1;

/// A plan without sources: no path of the building machine, only what ends in the image and why.
///
/// Paths, link targets and contents are escaped as [`crate::diag::escape`] does, for they are bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanView {
    /// Version of the format, 1.
    pub version: u32,
    /// Name of the image.
    pub name: String,
    /// `os/arch[/variant]`.
    pub platform: String,
    /// Seconds since the epoch.
    pub created: u64,
    /// Id of the encoder.
    pub encoder: String,
    /// The image config's `config`.
    pub config: ContainerConfig,
    /// Annotations of the manifest.
    pub annotations: Annotations,
    /// Layers from the bottom up.
    pub layers: Vec<LayerView>,
}

/// A layer of a [`PlanView`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerView {
    /// What it is for.
    pub name: String,
    /// Its entries, sorted by path.
    pub entries: Vec<EntryView>,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KindView {
    /// A directory.
    Dir,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
}

impl KindView {
    /// The word in the text.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dir => "dir",
            Self::File => "file",
            Self::Link => "link",
        }
    }
}

/// An entry of a [`PlanView`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryView {
    /// With a leading slash, escaped.
    pub path: String,
    /// What it is.
    pub kind: KindView,
    /// Four octal digits.
    pub mode: String,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Size of a file in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Digest of a file's content; `None` while it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Target of a link, escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Extended attributes in hex.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub xattrs: BTreeMap<String, String>,
    /// Owning package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<PackageView>,
    /// The rule that put it there.
    pub rule: String,
    /// Who needs it.
    pub needed_by: String,
    /// How sure that is.
    pub confidence: String,
    /// What it rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<EvidenceView>,
    /// Content of a small generated file, escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

/// A package's name, version and architecture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageView {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Architecture.
    pub architecture: String,
}

/// A piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceView {
    /// Where it stands.
    pub source: String,
    /// What stands there.
    pub value: String,
}

impl PlanView {
    /// The plain values of a plan.
    ///
    /// # Errors
    /// [`Error::Content`] when generated content cannot be read.
    pub fn of(plan: &Plan) -> Result<Self, Error> {
        let layers = plan.layers.iter().map(|layer| {
            let entries = layer.entries.iter().map(EntryView::of).collect::<Result<_, _>>()?;
            Ok(LayerView { name: layer.name.clone(), entries })
        });
        Ok(Self {
            version: VERSION,
            name: plan.name.clone(),
            platform: plan.platform.to_string(),
            created: plan.created,
            encoder: plan.encoder.to_string(),
            config: plan.config.clone(),
            annotations: plan.annotations.clone(),
            layers: layers.collect::<Result<_, Error>>()?,
        })
    }
}

impl EntryView {
    fn of(entry: &Entry) -> Result<Self, Error> {
        let reason = &entry.reason;
        let mut view = Self {
            path: entry.path.to_string(),
            kind: KindView::Dir,
            mode: format!("{:04o}", entry.mode),
            uid: entry.uid,
            gid: entry.gid,
            size: None,
            digest: None,
            target: None,
            xattrs: entry.xattrs.iter().map(|(name, value)| (name.clone(), hex(value))).collect(),
            package: entry.owner.as_ref().map(|owner| PackageView {
                name: owner.name.clone(),
                version: owner.version.clone(),
                architecture: owner.architecture.clone(),
            }),
            rule: reason.rule.clone(),
            needed_by: reason.needed_by.clone(),
            confidence: reason.confidence.name().to_owned(),
            evidence: reason
                .evidence
                .iter()
                .map(|e| EvidenceView { source: e.source.clone(), value: e.value.clone() })
                .collect(),
            content: None,
        };
        match &entry.kind {
            EntryKind::Directory => {}
            EntryKind::Symlink(target) => {
                view.kind = KindView::Link;
                view.target = Some(escape(target));
            }
            EntryKind::File(content) => {
                view.kind = KindView::File;
                view.size = Some(content.size);
                view.digest = content.digest.as_ref().map(ToString::to_string);
                view.content = inline(content).map_err(|source| Error::Content { path: entry.path.clone(), source })?;
            }
        }
        Ok(view)
    }
}

/// The content of a small generated file.
fn inline(content: &FileContent) -> Result<Option<String>, crate::blob::Error> {
    if !content.generated || content.size > limits::MAX_INLINE_CONTENT_BYTES {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let mut reader = content.source.open(0)?.take(limits::MAX_INLINE_CONTENT_BYTES);
    reader.read_to_end(&mut bytes).map_err(|source| crate::blob::Error::Open { path: "generated".into(), source })?;
    Ok(Some(escape(&bytes)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
