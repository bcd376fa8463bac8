//! Checks of manifests, indexes and configs.

use std::collections::HashSet;
use std::io::Read;

use super::tree::Tree;
use super::{Run, codes};
use crate::image::Error;
use crate::limits;
use crate::oci::{ContainerConfig, Descriptor, DiffId, Hasher, ImageConfig, ImageManifest, RawManifest, media_type};

impl Run<'_> {
    /// Size and digest of bytes in memory.
    pub(super) fn check_content(&mut self, subject: &str, descriptor: &Descriptor, bytes: &[u8]) {
        let size = bytes.len() as u64;
        if size != descriptor.size {
            let message = format!("{size} bytes where the descriptor says {}", descriptor.size);
            self.report.add(codes::SIZE, subject, message);
        }
        let mut hasher = Hasher::new(descriptor.digest.algorithm());
        hasher.update(bytes);
        let actual = hasher.finish();
        if actual != descriptor.digest {
            let message = format!("`{}` was promised, the bytes have `{actual}`", descriptor.digest);
            self.report.add(codes::DIGEST, subject, message);
        }
    }

    /// What manifests and indexes have in common.
    pub(super) fn check_header(&mut self, subject: &str, raw: &RawManifest, version: u32, own: Option<&str>) {
        if version != 2 {
            self.report.add(codes::SCHEMA_VERSION, subject, format!("`schemaVersion` is {version}"));
        }
        match own {
            None => {
                self.report.add(codes::NO_MEDIA_TYPE, subject, "it has no `mediaType`");
            }
            Some(own) if media_type::essence(own) != raw.media_type() => {
                let message = format!("it says `{own}` and its descriptor `{}`", raw.media_type());
                self.report.add(codes::OTHER_MEDIA_TYPE, subject, message);
            }
            Some(_) => {}
        }
    }

    /// Docker and OCI types in one document: some registries refuse it.
    pub(super) fn check_mixed<'t>(&mut self, subject: &str, own: &str, types: impl Iterator<Item = &'t str>) {
        let family = |t: &str| {
            let docker = t.starts_with("application/vnd.docker.");
            (docker || t.starts_with("application/vnd.oci.image.")).then_some(docker)
        };
        let own_family = family(own);
        for other in types {
            if family(other).is_some_and(|other| Some(other) != own_family) {
                self.report.add(codes::MIXED_TYPES, subject, format!("`{own}` holds `{other}`"));
                return;
            }
        }
    }

    /// An image, or an artifact, of which only the content is checked.
    pub(super) fn image(
        &mut self,
        subject: &str,
        raw: &RawManifest,
        manifest: &ImageManifest,
        listed: Option<&Descriptor>,
    ) -> Result<(), Error> {
        self.check_header(subject, raw, manifest.schema_version, manifest.media_type.as_deref());
        let types = manifest.layers.iter().chain([&manifest.config]).map(|part| part.media_type.as_str());
        self.check_mixed(subject, raw.media_type(), types);
        let is_image =
            matches!(manifest.config.media_type.as_str(), media_type::OCI_CONFIG | media_type::DOCKER_CONFIG);
        let config = self.config(subject, &manifest.config, is_image);
        if manifest.artifact_type.is_some() || !is_image {
            for blob in &manifest.layers {
                self.plain_blob(subject, blob)?;
            }
            return Ok(());
        }
        self.report.images += 1;
        let diff_ids: &[DiffId] = config.as_ref().map_or(&[], |config| &config.rootfs.diff_ids);
        if let Some(config) = &config {
            self.check_config(subject, config, manifest.layers.len());
            self.check_platform(subject, config, listed);
        }
        let created = config.as_ref().and_then(|config| config.created.clone());
        let mut tree = Tree::new(created);
        let mut whole = true;
        for (at, layer) in manifest.layers.iter().enumerate() {
            whole &= self.layer(subject, layer, diff_ids.get(at), at, &mut tree)?;
        }
        if let Some(config) = config
            && whole
            && config.platform.os == "linux"
        {
            let container = config.config.unwrap_or_default();
            let user = self.check_user(subject, container.user.as_deref().unwrap_or_default(), &tree);
            self.check_command(subject, &container, user, &tree);
        }
        Ok(())
    }

    /// Reads and checks the config blob; parsed when it is an image's.
    fn config(&mut self, subject: &str, descriptor: &Descriptor, is_image: bool) -> Option<ImageConfig> {
        let mut bytes = Vec::new();
        let limit = limits::MAX_CONFIG_BYTES + 1;
        let subject = format!("{subject} config");
        match self.source.blob(descriptor) {
            Ok(reader) => {
                if let Err(e) = reader.take(limit).read_to_end(&mut bytes) {
                    let reason = crate::image::stream::reason(e);
                    self.unreadable(&subject, &descriptor.digest, &reason);
                    return None;
                }
            }
            Err(reason) => {
                self.unreadable(&subject, &descriptor.digest, &reason);
                return None;
            }
        }
        self.report.bytes += bytes.len() as u64;
        self.check_content(&subject, descriptor, &bytes);
        if !is_image {
            return None;
        }
        match ImageConfig::parse(&bytes) {
            Ok(config) => Some(config),
            Err(e) => {
                self.report.add(codes::DOCUMENT, subject, e.to_string());
                None
            }
        }
    }

    fn check_config(&mut self, subject: &str, config: &ImageConfig, layers: usize) {
        let (diff_ids, rootfs) = (config.rootfs.diff_ids.len(), &config.rootfs.kind);
        if diff_ids != layers {
            let message = format!("the config has {diff_ids} diff IDs, the manifest {layers} layers");
            self.report.add(codes::LAYER_COUNT, subject, message);
        }
        let steps = config.history.iter().filter(|step| !step.empty_layer).count();
        if !config.history.is_empty() && steps != layers {
            let message = format!("the history has {steps} steps with a layer, the manifest {layers} layers");
            self.report.add(codes::HISTORY_COUNT, subject, message);
        }
        if rootfs != "layers" {
            self.report.add(codes::ROOTFS_TYPE, subject, format!("it is `{rootfs}`"));
        }
        if config.created.as_deref().is_some_and(|time| !is_rfc3339(time)) {
            let message = format!("`created` is `{}`", config.created.as_deref().unwrap_or_default());
            self.report.add(codes::CREATED, subject, message);
        }
        if let Some(container) = &config.config {
            self.check_container(subject, container);
        }
    }

    fn check_container(&mut self, subject: &str, container: &ContainerConfig) {
        if let Some(directory) = container.working_dir.as_deref().filter(|d| !d.is_empty() && !d.starts_with('/')) {
            self.report.add(codes::WORKING_DIR, subject, format!("it is `{directory}`"));
        }
        let mut names = HashSet::new();
        for variable in &container.env {
            let name = variable.split_once('=').map(|(name, _)| name).filter(|name| !name.is_empty());
            // The value can be a secret and is not shown.
            match name {
                None => self.report.add(codes::ENVIRONMENT, subject, "an entry of `Env` is not `NAME=value`"),
                Some(name) if !names.insert(name) => {
                    self.report.add(codes::ENVIRONMENT, subject, format!("`{name}` stands twice"))
                }
                Some(_) => None,
            };
        }
    }

    fn check_platform(&mut self, subject: &str, config: &ImageConfig, listed: Option<&Descriptor>) {
        let own = &config.platform;
        if own.os.is_empty() || own.architecture.is_empty() {
            self.report.add(codes::PLATFORM_INVALID, subject, format!("it names `{own}`"));
        }
        if let Some(platform) = listed.and_then(|listed| listed.platform.as_ref())
            && platform.normalized() != own.normalized()
        {
            let message = format!("the index says `{platform}`, the config `{own}`");
            self.report.add(codes::PLATFORM_DIFFERS, subject, message);
        }
    }
}

/// `YYYY-MM-DDThh:mm:ss[.fraction](Z|±hh:mm)`, with fields in range.
fn is_rfc3339(text: &str) -> bool {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<u32> {
        let part = bytes.get(from..to)?;
        part.iter().all(u8::is_ascii_digit).then(|| text[from..to].parse().ok())?
    };
    let field = |from, to, low, high| number(from, to).is_some_and(|n| (low..=high).contains(&n));
    let marks = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    let date = number(0, 4).is_some()
        && field(5, 7, 1, 12)
        && field(8, 10, 1, 31)
        && matches!(bytes.get(10), Some(b'T' | b't'))
        && field(11, 13, 0, 23)
        && field(14, 16, 0, 59)
        && field(17, 19, 0, 60)
        && marks.iter().all(|(at, mark)| bytes.get(*at) == Some(mark));
    let mut at = 19;
    if bytes.get(at) == Some(&b'.') {
        let digits = bytes[at + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
        at = if digits == 0 { bytes.len() } else { at + 1 + digits };
    }
    let zone = match bytes.get(at) {
        Some(b'Z' | b'z') => bytes.len() == at + 1,
        Some(b'+' | b'-') => {
            bytes.len() == at + 6
                && field(at + 1, at + 3, 0, 23)
                && bytes[at + 3] == b':'
                && field(at + 4, at + 6, 0, 59)
        }
        _ => false,
    };
    date && zone
}

#[cfg(test)]
mod tests {
    use super::is_rfc3339;

    #[test]
    fn times() {
        for good in ["1970-01-01T00:00:00Z", "2024-02-29t23:59:60.123456789+05:30", "2024-01-01T00:00:00-00:00"] {
            assert!(is_rfc3339(good), "{good}");
        }
        for bad in [
            "",
            "1970-01-01",
            "1970-01-01 00:00:00Z",
            "1970-13-01T00:00:00Z",
            "1970-01-01T00:00:00",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00+1",
            "é970-01-01T00:00:00Z",
            "1970-01-01T00:00:00é0:00",
        ] {
            assert!(!is_rfc3339(bad), "{bad}");
        }
    }
}
