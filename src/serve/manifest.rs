//! What the registry reads of a manifest. Only that: bytes are stored as they come.

use serde::{Deserialize, Deserializer};

use crate::oci::{Annotations, Descriptor, Digest, media_type};

use super::storage::Listed;

/// Media types of layers that need not be in the repository (image-spec, layer.md "Non-Distributable Layers").
const NONDISTRIBUTABLE: &[&str] = &[
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
];

/// Why a manifest is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Invalid {
    #[error("`{0}` is neither an image manifest nor an image index of OCI or Docker")]
    Type(String),
    #[error("the body says that it is `{body}`, the request says `{header}`")]
    TypeMismatch { body: String, header: String },
    #[error("the body is not a manifest: {0}")]
    Document(String),
    #[error("the body has `schemaVersion` {0} where 2 is needed")]
    SchemaVersion(u64),
    #[error("an image manifest needs `{0}`")]
    Missing(&'static str),
    #[error("the body has both `layers` and `manifests`")]
    Ambiguous,
}

/// The members of a manifest or index that matter here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    #[serde(default)]
    schema_version: u64,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    config: Option<Reference>,
    #[serde(default)]
    layers: Option<Vec<Reference>>,
    #[serde(default)]
    manifests: Option<Vec<Reference>>,
    #[serde(default)]
    subject: Option<Reference>,
    #[serde(default, deserialize_with = "null_as_default")]
    annotations: Annotations,
}

/// A descriptor inside a manifest.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default, deserialize_with = "null_as_default")]
    urls: Vec<String>,
}

fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(d: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

impl Document {
    /// Reads a manifest that a client sends. `header` is the request's `Content-Type`; without one the body's own
    /// `mediaType` counts. Gives the document and its media type.
    pub(super) fn parse(header: Option<&str>, bytes: &[u8]) -> Result<(Self, String), Invalid> {
        // serde would also take a list of the members' values.
        if bytes.iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'{') {
            return Err(Invalid::Document("it is not a JSON object".to_owned()));
        }
        let document: Self = serde_json::from_slice(bytes).map_err(|e| Invalid::Document(e.to_string()))?;
        let body = document.media_type.as_deref().map(media_type::essence);
        let header = header.map(media_type::essence);
        let media_type = match (header, body) {
            (Some(header), Some(body)) if header != body => return Err(Invalid::TypeMismatch { body, header }),
            (Some(media_type), _) | (None, Some(media_type)) => media_type,
            (None, None) => return Err(Invalid::Missing("mediaType")),
        };
        if media_type::is_manifest(&media_type) {
            document.config.as_ref().ok_or(Invalid::Missing("config"))?;
            if document.manifests.is_some() {
                return Err(Invalid::Ambiguous);
            }
        } else if media_type::is_index(&media_type) {
            if document.layers.is_some() {
                return Err(Invalid::Ambiguous);
            }
        } else {
            return Err(Invalid::Type(media_type));
        }
        match document.schema_version {
            2 => Ok((document, media_type)),
            other => Err(Invalid::SchemaVersion(other)),
        }
    }

    /// What the index keeps of stored bytes; a document that does not parse has neither subject nor children.
    pub(super) fn listed(media_type: &str, bytes: &[u8]) -> Listed {
        let size = bytes.len() as u64;
        match serde_json::from_slice::<Self>(bytes) {
            Ok(document) => document.to_listed(media_type, size),
            Err(_) => Listed { media_type: media_type.to_owned(), size, subject: None, children: Vec::new() },
        }
    }

    /// What the index keeps.
    pub(super) fn to_listed(&self, media_type: &str, size: u64) -> Listed {
        let children = self.manifests.iter().flatten().map(|r| (r.digest.clone(), media_type::essence(&r.media_type)));
        Listed {
            media_type: media_type.to_owned(),
            size,
            subject: self.subject().cloned(),
            children: children.collect(),
        }
    }

    /// The manifest it refers to.
    pub(super) fn subject(&self) -> Option<&Digest> {
        self.subject.as_ref().map(|r| &r.digest)
    }

    /// Digest and size of everything that has to be in the repository: all but the subject and foreign layers.
    pub(super) fn references(&self) -> Vec<(Digest, u64)> {
        let foreign = |r: &&Reference| !r.urls.is_empty() || NONDISTRIBUTABLE.contains(&r.media_type.as_str());
        let layers = self.layers.iter().flatten().filter(|r| !foreign(r));
        let mut all: Vec<(Digest, u64)> = self
            .config
            .iter()
            .chain(layers)
            .chain(self.manifests.iter().flatten())
            .map(|r| (r.digest.clone(), r.size))
            .collect();
        all.sort();
        all.dedup();
        all
    }

    /// The descriptor in a list of referrers (distribution-spec, "Listing Referrers"): the artifact type falls back to
    /// the config's media type for an image manifest, and annotations are copied.
    pub(super) fn into_referrer(self, digest: Digest, listed: &Listed) -> Descriptor {
        let mut descriptor = Descriptor::new(&listed.media_type, digest, listed.size);
        let config = self.config.map(|config| config.media_type);
        descriptor.artifact_type = self.artifact_type.filter(|t| !t.is_empty()).or(config);
        descriptor.annotations = self.annotations;
        descriptor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"mediaType":"c","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}"#;

    fn check(header: Option<&str>, body: &str, want: Result<&str, Invalid>) {
        let got = Document::parse(header, body.as_bytes()).map(|(_, media_type)| media_type);
        match (got, want) {
            (Err(Invalid::Document(_)), Err(Invalid::Document(_))) => {}
            (got, want) => assert_eq!(got, want.map(str::to_owned), "{body}"),
        }
    }

    #[test]
    fn accepts_and_refuses() {
        let oci = media_type::OCI_MANIFEST;
        let image = format!(r#"{{"schemaVersion":2,"mediaType":"{oci}","config":{CONFIG},"layers":null}}"#);
        check(Some(oci), &image, Ok(oci));
        check(Some(&format!("{oci}; charset=utf-8")), &image, Ok(oci));
        check(None, &image, Ok(oci));
        check(
            Some(media_type::OCI_INDEX),
            &image,
            Err(Invalid::TypeMismatch { body: oci.to_owned(), header: media_type::OCI_INDEX.to_owned() }),
        );
        check(Some(oci), "{", Err(Invalid::Document(String::new())));
        check(Some(oci), "[]", Err(Invalid::Document(String::new())));
        check(Some(oci), r#"{"schemaVersion":2}"#, Err(Invalid::Missing("config")));
        check(None, r#"{"schemaVersion":2}"#, Err(Invalid::Missing("mediaType")));
        check(Some("text/plain"), r#"{"schemaVersion":2}"#, Err(Invalid::Type("text/plain".to_owned())));
        check(Some(oci), &format!(r#"{{"schemaVersion":1,"config":{CONFIG}}}"#), Err(Invalid::SchemaVersion(1)));
        check(
            Some(oci),
            &format!(r#"{{"schemaVersion":2,"config":{CONFIG},"manifests":[]}}"#),
            Err(Invalid::Ambiguous),
        );
        check(
            Some(media_type::DOCKER_SCHEMA1_SIGNED),
            r#"{"schemaVersion":1}"#,
            Err(Invalid::Type(media_type::DOCKER_SCHEMA1_SIGNED.to_owned())),
        );
    }

    #[test]
    fn foreign_layers_and_subjects_need_not_be_there() {
        let foreign = CONFIG.replace(r#""c""#, r#""c","urls":["https://example.com"]"#);
        let body = format!(
            r#"{{"schemaVersion":2,"config":{CONFIG},"layers":[{foreign}],"subject":{}}}"#,
            CONFIG.replace("44136", "00000")
        );
        let (document, _) = Document::parse(Some(media_type::OCI_MANIFEST), body.as_bytes()).unwrap();
        assert_eq!(document.references(), vec![(Digest::of(b"{}"), 2)]);
        assert!(document.subject().is_some());
    }
}
