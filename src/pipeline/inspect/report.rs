//! What `coracle inspect --format json` writes. The comments of this file are the descriptions in its JSON schema.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::Value;

use super::{Inspection, Privileges};
use crate::analyze::Analysis;
use crate::analyze::hardening::{ObjectHardening, ProcessHardening};
use crate::diag::escape;
use crate::elf::Libc;
use crate::oci::Digest;
use crate::pipeline::{SeenPath, kind};

/// What `coracle inspect --format json` writes: a program or an image.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(title = "coracle inspect")]
pub enum Inspected {
    /// A program.
    Program(Box<ProgramReport>),
    /// An image.
    Image(ImageReport),
}

/// A program and what it needs.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ProgramReport {
    /// What the file says about itself, every need, and the findings.
    #[serde(flatten)]
    pub analysis: Analysis,
    /// What the file grants to whoever starts it; an image takes none of it over.
    pub privileges: Option<Privileges>,
    /// Its C library; `null` when it has none that is known.
    pub libc: Option<LibcReport>,
    /// Protections of the process as a whole; `null` for a static program.
    pub process: Option<ProcessHardening>,
    /// What the needs come to; `null` for a file that no image can be made of.
    pub needs: Option<NeedsReport>,
}

/// A C library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LibcReport {
    /// Which one.
    pub name: Libc,
    /// The highest version that the program's symbols demand, for example `2.34`.
    pub needed: Option<String>,
    /// The version that the root has.
    pub root: Option<String>,
}

/// What the needs come to.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct NeedsReport {
    /// Number of files that they bring into the image.
    pub files: usize,
    /// Bytes of these files.
    pub bytes: u64,
    /// Objects that the loader maps, in its order; the program is the first. Empty for a static program.
    pub objects: Vec<ObjectReport>,
}

/// An object that the loader maps.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ObjectReport {
    /// Its path in the image, escaped.
    pub path: String,
    /// Paths of the objects that it needs, in its order.
    pub needs: Vec<String>,
    /// Its protections; `null` for one that cannot be read.
    pub hardening: Option<ObjectHardening>,
}

/// An image, or the images of an index.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageReport {
    /// Where it lies.
    pub location: String,
    /// Digest of the manifest or index.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// Media type of the manifest or index.
    pub media_type: String,
    /// The images.
    pub images: Vec<OneImageReport>,
}

/// One image.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct OneImageReport {
    /// `os/arch[/variant]`; `null` for an artifact that is no image.
    pub platform: Option<String>,
    /// Digest of the manifest.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// The manifest, as it is.
    pub manifest: Value,
    /// The config, as it is.
    pub config: Value,
    /// The paths of each layer from the bottom up, with `--files`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<LayerReport>>,
}

/// The paths of a layer, in the order of its tar.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct LayerReport(pub Vec<PathReport>);

/// One path of a layer.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PathReport {
    /// As the tar has it, escaped.
    pub path: String,
    /// `file`, `dir`, `link` and so on.
    pub kind: String,
    /// Four octal digits.
    pub mode: String,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Bytes of a file.
    pub size: u64,
    /// Seconds since the epoch.
    pub mtime: i64,
    /// Digest of a file's content.
    #[schemars(with = "Option<String>")]
    pub digest: Option<Digest>,
    /// Target of a link, escaped.
    pub target: Option<String>,
}

impl PathReport {
    /// A path of a layer.
    #[must_use]
    pub fn of(path: &SeenPath) -> Self {
        let entry = &path.entry;
        Self {
            path: escape(&entry.path),
            kind: kind(entry.kind).to_owned(),
            mode: format!("{:04o}", entry.mode),
            uid: entry.uid,
            gid: entry.gid,
            size: entry.size,
            mtime: entry.mtime,
            digest: path.digest.clone(),
            target: (!entry.link.is_empty()).then(|| escape(&entry.link)),
        }
    }
}

impl ProgramReport {
    /// Everything that is known of a program.
    #[must_use]
    pub fn of(inspection: &Inspection) -> Self {
        let mut analysis = inspection.analysis.clone();
        analysis.requirements.truncate(1);
        analysis.requirements.extend(inspection.requirements());
        analysis.diagnostics = inspection.diagnostics();
        let needs = inspection.needs.as_ref().map(|needs| {
            let (files, bytes) = inspection.files();
            NeedsReport {
                files,
                bytes,
                objects: needs
                    .processes
                    .first()
                    .map(|process| objects(process, &inspection.objects))
                    .unwrap_or_default(),
            }
        });
        let process = inspection.hardening.clone();
        Self { analysis, privileges: inspection.privileges.clone(), libc: inspection.libc(), process, needs }
    }
}

fn objects(process: &crate::analyze::needs::Process, hardening: &[Option<ObjectHardening>]) -> Vec<ObjectReport> {
    let Some(closure) = &process.closure else { return Vec::new() };
    let path = |at: usize| escape(process.places.get(at).unwrap_or(&closure.loaded[at].path));
    let object = |at: usize| {
        let mut needs: Vec<String> = Vec::new();
        for (_, _, to) in closure.edges.iter().filter(|(by, _, _)| *by == at) {
            let path = path(*to);
            if !needs.contains(&path) {
                needs.push(path);
            }
        }
        ObjectReport { path: path(at), needs, hardening: hardening.get(at).cloned().flatten() }
    };
    (0..closure.loaded.len()).map(object).collect()
}

/// The highest `GLIBC_x.y` that the program demands, and what the root's loader says of itself.
pub(super) fn libc(inspection: &Inspection) -> Option<LibcReport> {
    let facts = inspection.analysis.facts.as_ref()?;
    let of_root = inspection.closure().map(|closure| match closure.libc {
        crate::analyze::loader::Libc::Glibc => Libc::Glibc,
        crate::analyze::loader::Libc::Musl => Libc::Musl,
    });
    let name = of_root.or(facts.toolchain.libc)?;
    let needed = facts.dynamic.iter().flat_map(|dynamic| &dynamic.versions.needed);
    let versions = needed.filter_map(|needed| {
        let version = needed.version.as_bytes().strip_prefix(b"GLIBC_")?;
        let text = std::str::from_utf8(version).ok()?;
        let parts = text.split('.').map(str::parse::<u32>).collect::<Result<Vec<_>, _>>().ok()?;
        Some((parts, text.to_owned()))
    });
    Some(LibcReport {
        name,
        needed: versions.max().map(|(_, text)| text),
        root: inspection.closure().and_then(|closure| closure.profile.version.clone()),
    })
}

/// The JSON schema (draft 7) of what is written, as committed at `docs/inspect.schema.json`.
#[must_use]
pub fn schema() -> String {
    let settings =
        SchemaSettings::draft07().with(|settings| settings.contract = schemars::generate::Contract::Serialize);
    let schema = settings.into_generator().into_root_schema_for::<Inspected>();
    // A schema is plain JSON and always has a text.
    serde_json::to_string_pretty(schema.as_value()).unwrap_or_default() + "\n"
}
