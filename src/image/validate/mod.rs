//! The validator: recomputes every digest of an image and checks what the specifications and the runtimes ask for.
//!
//! It believes nothing: not the descriptors, not the source, not that an archive ends where it says. It streams, so
//! its memory grows with the number of paths and not with their content.

mod codes;
mod document;
mod layer;
mod tree;

pub use codes::{RULES, Rule};

use std::collections::{BTreeMap, HashSet};

use super::{Error, ImageSource, Unreadable};
use crate::diag::{Diagnostic, Evidence, Severity};
use crate::limits;
use crate::observe::Observer;
use crate::oci::{Descriptor, Digest, ImageIndex, ManifestView, RawManifest, media_type};

/// What was found and how much was looked at.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Report {
    /// Findings in the order in which they were made.
    pub findings: Vec<Diagnostic>,
    /// Images (not indexes, not artifacts).
    pub images: u64,
    /// Layers, each as often as an image names it.
    pub layers: u64,
    /// Entries of those layers.
    pub entries: u64,
    /// Bytes of manifests, configs and compressed layers read.
    pub bytes: u64,
    /// Findings per code, also those beyond the number that is kept.
    #[serde(skip)]
    counts: BTreeMap<&'static str, usize>,
}

impl Report {
    /// Whether nothing of this weight or more was found.
    #[must_use]
    pub fn is_free_of(&self, severity: Severity) -> bool {
        self.findings.iter().all(|finding| finding.severity < severity)
    }

    /// Findings of a code that are counted, though not all of them may be kept.
    #[must_use]
    pub fn count(&self, code: &str) -> usize {
        self.counts.get(code).copied().unwrap_or(0)
    }

    fn add(&mut self, rule: Rule, subject: impl Into<String>, message: impl Into<String>) -> Option<&mut Diagnostic> {
        let count = self.counts.entry(rule.code.0).or_default();
        *count += 1;
        if *count > limits::MAX_FINDINGS_PER_CODE {
            return None;
        }
        self.findings.push(Diagnostic::new(rule.code, rule.severity, subject, message));
        self.findings.last_mut()
    }

    /// Says how many findings were not kept.
    fn close(&mut self) {
        for (rule, _) in RULES {
            let more = self.count(rule.code.0).saturating_sub(limits::MAX_FINDINGS_PER_CODE);
            if let Some(last) = self.findings.iter_mut().rfind(|finding| finding.code == rule.code)
                && more > 0
            {
                last.evidence.push(Evidence::new("more of the same", more.to_string()));
            }
        }
    }
}

/// Validates an image or index with everything below it.
///
/// # Errors
/// Only [`Error::Cancelled`]: whatever is wrong with the image is a finding.
pub fn validate(source: &dyn ImageSource, root: &Descriptor, observer: &dyn Observer) -> Result<Report, Error> {
    let mut run = Run { source, observer, report: Report::default(), seen: HashSet::new() };
    run.manifest(root, None, 0)?;
    run.report.close();
    Ok(run.report)
}

/// One validation.
struct Run<'a> {
    source: &'a dyn ImageSource,
    observer: &'a dyn Observer,
    report: Report,
    seen: HashSet<Digest>,
}

impl Run<'_> {
    /// Fetches a manifest and validates what it is. `listed` is the entry of the index that names it.
    fn manifest(&mut self, descriptor: &Descriptor, listed: Option<&Descriptor>, depth: usize) -> Result<(), Error> {
        let subject = name_of(listed.unwrap_or(descriptor));
        if depth > limits::MAX_INDEX_DEPTH || self.seen.len() > limits::MAX_INDEX_CHILDREN {
            self.report.add(
                codes::TOO_DEEP,
                subject,
                "it is not looked at: the indexes nest too deeply or hold too much",
            );
            return Ok(());
        }
        if !self.seen.insert(descriptor.digest.clone()) {
            return Ok(());
        }
        let raw = match self.source.manifest(descriptor) {
            Ok(raw) => raw,
            Err(reason) => {
                self.unreadable(&subject, &descriptor.digest, &reason);
                return Ok(());
            }
        };
        self.report.bytes += raw.bytes().len() as u64;
        self.check_content(&subject, descriptor, raw.bytes());
        let view = match raw.view() {
            Ok(view) => view,
            Err(e @ crate::oci::Error::UnknownManifestType(_)) => {
                self.report.add(codes::MANIFEST_TYPE, subject, e.to_string());
                return Ok(());
            }
            Err(e) => {
                self.report.add(codes::DOCUMENT, subject, e.to_string());
                return Ok(());
            }
        };
        match view {
            ManifestView::Image(image) => self.image(&subject, &raw, &image, listed),
            ManifestView::Index(index) => self.index(&subject, &raw, &index, depth),
        }
    }

    fn index(&mut self, subject: &str, raw: &RawManifest, index: &ImageIndex, depth: usize) -> Result<(), Error> {
        self.check_header(subject, raw, index.schema_version, index.media_type.as_deref());
        let types = index.manifests.iter().map(|child| child.media_type.as_str());
        self.check_mixed(subject, raw.media_type(), types);
        let mut platforms = HashSet::new();
        for child in &index.manifests {
            let artifact = child.artifact_type.is_some() || child.annotations.contains_key("vnd.docker.reference.type");
            match &child.platform {
                Some(platform) if !artifact && !platforms.insert(platform.normalized()) => {
                    let message = format!("the index has two images for `{platform}`");
                    self.report.add(codes::PLATFORM_TWICE, subject, message);
                }
                None if !artifact && media_type::is_manifest(&child.media_type) => {
                    let message = format!("the entry of `{}` names no platform", child.digest);
                    self.report.add(codes::NO_PLATFORM, subject, message);
                }
                _ => {}
            }
            self.manifest(child, Some(child), depth + 1)?;
        }
        Ok(())
    }

    /// A finding on content that the source cannot give.
    fn unreadable(&mut self, subject: &str, digest: &Digest, reason: &Unreadable) {
        let (rule, message) = match reason {
            Unreadable::OtherDigest(actual) => {
                (codes::DIGEST, format!("`{digest}` was promised, the bytes have `{actual}`"))
            }
            Unreadable::OtherSize(actual) => (codes::SIZE, format!("`{digest}` has {actual} bytes")),
            Unreadable::Document(e) => (codes::DOCUMENT, e.to_string()),
            Unreadable::Missing | Unreadable::Failed(_) => (codes::UNREADABLE, format!("`{digest}`: {reason}")),
        };
        let cause = std::error::Error::source(reason).map(ToString::to_string);
        if let Some(finding) = self.report.add(rule, subject, message) {
            finding.evidence.extend(cause.map(|cause| Evidence::new("cause", cause)));
        }
    }
}

/// What a finding calls a manifest: its platform where one is known, and its digest.
fn name_of(descriptor: &Descriptor) -> String {
    match &descriptor.platform {
        Some(platform) => format!("{platform} {}", descriptor.digest),
        None => descriptor.digest.to_string(),
    }
}
