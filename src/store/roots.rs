//! The `index.json` of a layout or archive: which manifests are roots, and their names.
//!
//! Worked on as JSON and not as parsed values, so that descriptors of other tools survive with all their members.

use serde_json::{Map, Value};

use crate::limits;
use crate::oci::{Annotations, Descriptor, Digest, Error, ImageIndex, Reference, Tag, json, media_type};

/// A tag in an image layout (image-spec, annotations.md).
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The full name under which containerd imports an image.
pub(super) const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// The digests of the plans that are there, separated by commas: in an archive at the image's root, in a layout at the index
/// itself. A root of their own would be taken for an image: containerd tries to unpack each, and skopeo wants to be told which
/// one is meant.
pub(super) const PLANS: &str = "vnd.coracle.plans";

const WHAT: &str = "index of the layout";

/// The document, with `manifests` as a list of raw descriptors.
#[derive(Debug, Clone)]
pub(super) struct Roots {
    document: Map<String, Value>,
    manifests: Vec<Value>,
}

impl Roots {
    /// An index without manifests.
    pub(super) fn empty() -> Self {
        let mut document = Map::new();
        document.insert("schemaVersion".to_owned(), Value::from(2));
        document.insert("mediaType".to_owned(), Value::from(media_type::OCI_INDEX));
        Self { document, manifests: Vec::new() }
    }

    /// Parses the document; it has to be an image index, whatever else stands in it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        ImageIndex::parse(bytes)?;
        let refuse = |reason: String| Error::Document { what: WHAT, reason };
        let mut document: Map<String, Value> = serde_json::from_slice(bytes).map_err(|e| refuse(e.to_string()))?;
        let manifests = match document.remove("manifests") {
            Some(Value::Array(manifests)) => manifests,
            _ => Vec::new(),
        };
        Ok(Self { document, manifests })
    }

    /// The canonical encoding.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut document = self.document.clone();
        document.insert("manifests".to_owned(), Value::Array(self.manifests.clone()));
        json::canonical(WHAT, &document)
    }

    /// All roots, in order.
    pub(super) fn descriptors(&self) -> Vec<Descriptor> {
        self.manifests.iter().filter_map(parse).collect()
    }

    /// The plans that lie beside the images.
    pub(super) fn plans(&self) -> Vec<Digest> {
        let text = self.document.get("annotations").and_then(|all| all.get(PLANS)).and_then(Value::as_str);
        let digests = text.unwrap_or_default().split(',').filter_map(|digest| digest.parse().ok());
        digests.take(limits::MAX_INDEX_CHILDREN).collect()
    }

    /// Sets the plans; none takes the annotation away.
    pub(super) fn set_plans(&mut self, mut plans: Vec<Digest>) {
        plans.sort();
        plans.dedup();
        let text = plans.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let mut annotations = match self.document.remove("annotations") {
            Some(Value::Object(annotations)) => annotations,
            _ => Map::new(),
        };
        annotations.remove(PLANS);
        if !text.is_empty() {
            annotations.insert(PLANS.to_owned(), Value::from(text));
        }
        if !annotations.is_empty() {
            self.document.insert("annotations".to_owned(), Value::Object(annotations));
        }
    }

    /// The root of this tag.
    pub(super) fn find(&self, tag: &Tag) -> Option<Descriptor> {
        self.manifests.iter().filter_map(parse).find(|d| tag_of(d).as_ref() == Some(tag))
    }

    /// Adds a root without a name, unless the manifest is a root already. Says whether something changed.
    pub(super) fn add(&mut self, descriptor: &Descriptor) -> Result<bool, Error> {
        if self.manifests.iter().any(|root| digest_of(root) == Some(descriptor.digest.to_string().as_str())) {
            return Ok(false);
        }
        self.push(descriptor)?;
        Ok(true)
    }

    /// Adds an entry whatever else is there.
    pub(super) fn push(&mut self, descriptor: &Descriptor) -> Result<(), Error> {
        self.manifests.push(encode(descriptor)?);
        Ok(())
    }

    /// Removes the roots without any annotation among `digests`: they are reachable from elsewhere.
    pub(super) fn absorb(&mut self, digests: &[Digest]) -> bool {
        let before = self.manifests.len();
        let digests: Vec<String> = digests.iter().map(ToString::to_string).collect();
        self.manifests.retain(|root| !(is_plain(root) && digests.iter().any(|d| digest_of(root) == Some(d.as_str()))));
        self.manifests.len() != before
    }

    /// Points a tag at a manifest, in the place where the tag stood before. `name` is the repository's full name. Says
    /// whether something changed.
    pub(super) fn tag(&mut self, tag: &Tag, descriptor: &Descriptor, name: Option<&str>) -> Result<bool, Error> {
        let mut annotations = Annotations::new();
        annotations.insert(REF_NAME.to_owned(), tag.to_string());
        if let Some(name) = name {
            annotations.insert(CONTAINERD_NAME.to_owned(), format!("{name}:{tag}"));
        }
        let held = self.manifests.iter().position(|root| parse(root).and_then(|d| tag_of(&d)).as_ref() == Some(tag));
        let named = Descriptor { annotations, ..descriptor.clone() };
        if let Some(at) = held {
            let old = parse(&self.manifests[at]);
            let same = old.is_some_and(|old| {
                old.digest == named.digest && named.annotations.iter().all(|(k, v)| old.annotations.get(k) == Some(v))
            });
            if same {
                return Ok(false);
            }
            self.manifests[at] = encode(&named)?;
        } else {
            // In the place of the entry without a name: what was put first stays first.
            let digest = descriptor.digest.to_string();
            let plain =
                self.manifests.iter().position(|root| is_plain(root) && digest_of(root) == Some(digest.as_str()));
            match plain {
                Some(at) => self.manifests[at] = encode(&named)?,
                None => self.manifests.push(encode(&named)?),
            }
        }
        self.absorb(std::slice::from_ref(&descriptor.digest));
        Ok(true)
    }
}

/// The image meant when no name is given: the one tagged `latest`, else the only one.
pub(super) fn sole(roots: &[Descriptor], location: &dyn Fn() -> String) -> Result<Digest, super::Error> {
    if let Some(latest) = roots.iter().find(|root| tag_of(root) == Some(Tag::latest())) {
        return Ok(latest.digest.clone());
    }
    let mut digests: Vec<&Digest> = roots.iter().map(|root| &root.digest).collect();
    digests.sort();
    digests.dedup();
    if let [only] = digests.as_slice() {
        return Ok((*only).clone());
    }
    let names =
        roots.iter().map(|root| tag_of(root).map_or_else(|| format!("@{}", root.digest), |tag| format!(":{tag}")));
    Err(super::Error::Ambiguous { location: location(), count: digests.len(), names: names.collect() })
}

/// The tag that a root's annotations give it: written plainly, or as the end of a full name.
pub(super) fn tag_of(descriptor: &Descriptor) -> Option<Tag> {
    let full = |text: &String| text.parse::<Reference>().ok()?.tag().cloned();
    let name = descriptor.annotations.get(REF_NAME);
    name.and_then(|text| text.parse::<Tag>().ok().or_else(|| full(text)))
        .or_else(|| descriptor.annotations.get(CONTAINERD_NAME).and_then(full))
}

fn parse(root: &Value) -> Option<Descriptor> {
    serde_json::from_value(root.clone()).ok()
}

fn encode(descriptor: &Descriptor) -> Result<Value, Error> {
    serde_json::to_value(descriptor).map_err(|e| Error::Document { what: WHAT, reason: e.to_string() })
}

fn digest_of(root: &Value) -> Option<&str> {
    root.get("digest").and_then(Value::as_str)
}

fn is_plain(root: &Value) -> bool {
    root.get("annotations").and_then(Value::as_object).is_none_or(Map::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(text: &str) -> Descriptor {
        Descriptor::of(media_type::OCI_MANIFEST, text.as_bytes())
    }

    #[test]
    fn foreign_members_survive() {
        let hex = "a".repeat(64);
        let text = format!(
            r#"{{"schemaVersion":2,"x":[1],"manifests":[{{"mediaType":"m","digest":"sha256:{hex}","size":1,"urls":["u"],"annotations":{{"k":"v"}}}}]}}"#
        );
        let mut roots = Roots::parse(text.as_bytes()).unwrap();
        assert!(roots.tag(&Tag::latest(), &descriptor("a"), None).unwrap());
        let written = String::from_utf8(roots.to_bytes().unwrap()).unwrap();
        for part in [r#""urls":["u"]"#, r#""k":"v""#, r#""x":[1]"#, "latest"] {
            assert!(written.contains(part), "{part} in {written}");
        }
    }

    #[test]
    fn tags_move_and_take_over_unnamed_roots() {
        let (mut roots, one, two) = (Roots::empty(), descriptor("1"), descriptor("2"));
        assert!(roots.add(&one).unwrap());
        assert!(!roots.add(&one).unwrap());
        assert!(roots.tag(&Tag::latest(), &one, Some("r.io/x")).unwrap());
        assert_eq!(roots.descriptors().len(), 1, "the unnamed root is the named one now");
        assert!(!roots.tag(&Tag::latest(), &one, None).unwrap());
        assert!(roots.tag(&Tag::latest(), &two, Some("r.io/x")).unwrap());
        let found = roots.find(&Tag::latest()).unwrap();
        assert_eq!((found.digest, roots.descriptors().len()), (two.digest, 1));
        assert_eq!(found.annotations[CONTAINERD_NAME], "r.io/x:latest");
    }

    #[test]
    fn tags_of_other_tools() {
        for (key, value, want) in [
            (REF_NAME, "v1", Some("v1")),
            (REF_NAME, "docker.io/library/x:v2", Some("v2")),
            (CONTAINERD_NAME, "r.io:5000/x:v3", Some("v3")),
            (REF_NAME, "a b", None),
        ] {
            let mut d = descriptor("x");
            d.annotations.insert(key.to_owned(), value.to_owned());
            assert_eq!(tag_of(&d).as_ref().map(Tag::as_str), want, "{value}");
        }
    }
}
