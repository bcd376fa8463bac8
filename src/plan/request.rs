//! What is asked of the planner: values only, nothing of the machine but sources that open.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::path::Path;
use std::sync::Arc;

use super::{Add, Base, EncoderId, FileCap, Found};
use crate::analyze::{self, Requirement};
use crate::blob::{BlobSource, FileSource};
use crate::oci::{ImagePath, Platform};
use crate::rootfs::walk::Special;

/// Everything one image of one platform is made from.
#[derive(Debug, Clone)]
pub struct PlanRequest {
    /// Name of the image, for people.
    pub name: String,
    /// What the image runs on; every program must agree.
    pub platform: Platform,
    /// The programs; the first is the entrypoint.
    pub programs: Vec<Program>,
    /// What lies under the image.
    pub base: Option<Base>,
    /// What the programs need of a root, where they were looked up in one.
    pub found: Option<Found>,
    /// Files and directories to add, already walked.
    pub adds: Vec<Add>,
    /// The exclude patterns, for the finding about those that matched nothing.
    pub excludes: Vec<String>,
    /// What the user decided about the image.
    pub options: ImageOptions,
    /// Which encoder compresses the layers.
    pub encoder: EncoderId,
    /// Seconds since the epoch: 0 or `SOURCE_DATE_EPOCH`.
    pub created: u64,
}

impl PlanRequest {
    /// A request for one program with all defaults.
    #[must_use]
    pub fn of(program: Program) -> Self {
        Self {
            name: program.name.clone(),
            platform: program.platform.clone(),
            programs: vec![program],
            base: None,
            found: None,
            adds: Vec::new(),
            excludes: Vec::new(),
            options: ImageOptions::default(),
            encoder: EncoderId::Gz1,
            created: 0,
        }
    }
}

/// A program of the image.
#[derive(Debug, Clone)]
pub struct Program {
    /// File name in the image, below `/app`.
    pub name: String,
    /// Its place in the image, when that is another one: a program of a root keeps its place.
    pub place: Option<ImagePath>,
    /// The path by which it is started, when that is a link to its place.
    pub called: Option<ImagePath>,
    /// How the user named it, for messages; never part of the plan.
    pub origin: String,
    /// What it runs on.
    pub platform: Platform,
    /// Size in bytes.
    pub size: u64,
    /// Where its bytes come from.
    pub source: Arc<dyn BlobSource>,
    /// Privileges it has on this machine, which the image drops with a finding.
    pub special: Special,
    /// What the analysis says it needs.
    pub requirements: Vec<Requirement>,
}

impl Program {
    /// A program of this machine that was analyzed. `name` is its file name in the image, `path` and `metadata` those of
    /// the analyzed file.
    #[must_use]
    pub fn of(name: impl Into<String>, path: &Path, metadata: &Metadata, analyzed: &analyze::Program) -> Self {
        Self {
            name: name.into(),
            place: None,
            called: None,
            origin: analyzed.name.clone(),
            platform: analyzed.platform.clone(),
            size: analyzed.size,
            source: Arc::new(FileSource::new(path)),
            special: Special::of(path, metadata),
            requirements: analyzed.requirements.clone(),
        }
    }
}

/// What the user decides about an image. Values are as the user writes them; [`super::build`] checks them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageOptions {
    /// Environment by name. `PATH` has a default.
    pub env: BTreeMap<String, String>,
    /// `uid[:gid]`, or `root`, `nobody` or `nonroot`, which are written as their numbers. A bare uid is its own group.
    pub user: Option<String>,
    /// Absolute path; `/` by default. A directory that is not in the image is made.
    pub workdir: Option<String>,
    /// Exec form; by default the absolute path of the first program.
    pub entrypoint: Option<Vec<String>>,
    /// Default arguments; none by default.
    pub cmd: Option<Vec<String>>,
    /// `port[/tcp|/udp|/sctp]`.
    pub ports: Vec<String>,
    /// Labels of the image config.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// Absolute paths.
    pub volumes: Vec<String>,
    /// Name or number.
    pub stop_signal: Option<String>,
    /// Directories the user can write to: 0755 and owned by the user; `/tmp` and `/var/tmp` are 1777 and root's.
    pub writable: Vec<String>,
    /// Made for an arbitrary uid with group 0, as OpenShift gives it: user `65532:0`, writable directories 0775 with group 0.
    pub openshift: bool,
    /// Whether to make `/etc/passwd`, `/etc/group` and `/home/nonroot` as distroless has them.
    pub passwd: bool,
    /// File capabilities to set.
    pub file_caps: Vec<FileCap>,
}

impl ImageOptions {
    /// These options with `over` laid on top: single values and keys of maps are replaced, lists are continued, switches
    /// that are on stay on.
    #[must_use]
    pub fn overlaid(mut self, over: Self) -> Self {
        self.env.extend(over.env);
        self.labels.extend(over.labels);
        self.annotations.extend(over.annotations);
        self.user = over.user.or(self.user);
        self.workdir = over.workdir.or(self.workdir);
        self.entrypoint = over.entrypoint.or(self.entrypoint);
        self.cmd = over.cmd.or(self.cmd);
        self.stop_signal = over.stop_signal.or(self.stop_signal);
        self.ports.extend(over.ports);
        self.volumes.extend(over.volumes);
        self.writable.extend(over.writable);
        self.file_caps.extend(over.file_caps);
        self.openshift |= over.openshift;
        self.passwd |= over.passwd;
        self
    }
}
