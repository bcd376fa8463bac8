//! Tags and manifests of one repository: the model of its `index.json`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::limits;
use crate::oci::{Digest, Tag, media_type};
use crate::store::Pointer;

use super::super::manifest::Document;

/// Annotation of an index entry that holds its tag (image-spec, annotations.md).
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Annotation of containerd with the full name; it goes when the tag goes.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// What is kept of a manifest: enough to serve it and to find its referrers.
#[derive(Debug, Clone)]
pub(in super::super) struct Listed {
    /// Its media type.
    pub(in super::super) media_type: String,
    /// Its size in bytes.
    pub(in super::super) size: u64,
    /// The manifest it refers to.
    pub(in super::super) subject: Option<Digest>,
    /// Manifests below it, when it is an index: digest and media type.
    pub(in super::super) children: Vec<(Digest, String)>,
}

/// Reads a manifest's bytes; `None` when it is not there (or larger than any manifest).
pub(super) type ReadManifest<'a> = &'a dyn Fn(&Digest) -> Option<Vec<u8>>;

/// One entry of `index.json`. Members that are not understood are kept.
#[derive(Debug, Clone)]
struct Entry {
    raw: Map<String, Value>,
    /// Digest and media type, when both are valid.
    names: Option<(Digest, String)>,
    tag: Option<Tag>,
}

impl Entry {
    fn new(raw: Map<String, Value>) -> Self {
        let text = |key: &str| raw.get(key).and_then(Value::as_str);
        let digest = text("digest").and_then(|d| d.parse().ok());
        let names = digest.zip(text("mediaType").map(media_type::essence));
        let tag = raw.get("annotations").and_then(|a| a.get(REF_NAME)).and_then(Value::as_str);
        let tag = tag.and_then(|t| t.parse().ok());
        Self { raw, names, tag }
    }

    fn is(&self, digest: &Digest) -> bool {
        self.names.as_ref().is_some_and(|(d, _)| d == digest)
    }

    fn set_tag(&mut self, tag: Option<Tag>) {
        let annotations = self.raw.entry("annotations").or_insert_with(|| Value::Object(Map::new()));
        if !annotations.is_object() {
            *annotations = Value::Object(Map::new());
        }
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.remove(CONTAINERD_NAME);
            match &tag {
                Some(tag) => annotations.insert(REF_NAME.to_owned(), tag.as_str().into()),
                None => annotations.remove(REF_NAME),
            };
            if annotations.is_empty() {
                self.raw.remove("annotations");
            }
        }
        self.tag = tag;
    }
}

/// The tags and manifests of a repository. Values are immutable once shared; an edit makes a new one.
#[derive(Debug, Clone)]
pub(in super::super) struct RepoIndex {
    /// Members of `index.json` beside `manifests`.
    members: Map<String, Value>,
    entries: Vec<Entry>,
    tags: BTreeMap<Tag, Digest>,
    /// The listed manifests and, below indexes, the reachable ones.
    manifests: BTreeMap<Digest, Arc<Listed>>,
}

impl RepoIndex {
    /// An index without manifests.
    pub(super) fn empty() -> Self {
        let mut members = Map::new();
        members.insert("schemaVersion".to_owned(), 2.into());
        members.insert("mediaType".to_owned(), media_type::OCI_INDEX.into());
        Self { members, entries: Vec::new(), tags: BTreeMap::new(), manifests: BTreeMap::new() }
    }

    /// Reads `index.json`; `previous` spares reading manifests that it knows.
    pub(super) fn load(
        bytes: &[u8],
        previous: Option<&Self>,
        read: ReadManifest<'_>,
    ) -> Result<Self, serde_json::Error> {
        let mut members: Map<String, Value> = serde_json::from_slice(bytes)?;
        let entries = match members.remove("manifests") {
            Some(Value::Array(entries)) => entries,
            _ => Vec::new(),
        };
        let entries = entries
            .into_iter()
            .filter_map(|entry| match entry {
                Value::Object(raw) => Some(Entry::new(raw)),
                _ => None,
            })
            .collect();
        let known = previous.map(|p| p.manifests.clone()).unwrap_or_default();
        let mut index = Self { members, entries, tags: BTreeMap::new(), manifests: known };
        index.rebuild(read);
        Ok(index)
    }

    /// The bytes of `index.json`.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut members = self.members.clone();
        let entries = self.entries.iter().map(|e| Value::Object(e.raw.clone())).collect();
        members.insert("manifests".to_owned(), Value::Array(entries));
        Value::Object(members).to_string().into_bytes()
    }

    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// All tags, sorted by their bytes.
    pub(in super::super) fn tags(&self) -> &BTreeMap<Tag, Digest> {
        &self.tags
    }

    /// The digest of a tag.
    pub(in super::super) fn tag(&self, tag: &Tag) -> Option<&Digest> {
        self.tags.get(tag)
    }

    /// Every manifest, sorted by digest.
    pub(in super::super) fn manifests(&self) -> &BTreeMap<Digest, Arc<Listed>> {
        &self.manifests
    }

    /// The manifest that a tag or digest names.
    pub(in super::super) fn resolve(&self, pointer: &Pointer) -> Option<(Digest, Arc<Listed>)> {
        let digest = match pointer {
            Pointer::Tag(tag) => self.tags.get(tag)?,
            Pointer::Digest(digest) => digest,
        };
        self.manifests.get(digest).map(|listed| (digest.clone(), Arc::clone(listed)))
    }

    /// Lists a manifest whose bytes are stored and moves tags to it.
    pub(super) fn put(&mut self, digest: &Digest, listed: &Listed, tags: &[Tag], read: ReadManifest<'_>) {
        for tag in tags {
            if self.entries.iter().any(|e| e.tag.as_ref() == Some(tag) && e.is(digest)) {
                continue;
            }
            self.untag(tag);
            match self.entries.iter_mut().find(|e| e.tag.is_none() && e.is(digest)) {
                Some(entry) => entry.set_tag(Some(tag.clone())),
                None => self.push(digest, listed, Some(tag.clone())),
            }
        }
        if !self.entries.iter().any(|e| e.is(digest)) {
            self.push(digest, listed, None);
        }
        self.manifests.insert(digest.clone(), Arc::new(listed.clone()));
        self.rebuild(read);
    }

    /// Takes a tag away; its manifest stays. False when there is no such tag.
    pub(super) fn remove_tag(&mut self, tag: &Tag, read: ReadManifest<'_>) -> bool {
        let found = self.tags.contains_key(tag);
        if found {
            self.untag(tag);
            self.rebuild(read);
        }
        found
    }

    /// Takes a manifest and its tags away; `read` must no longer find it. False when there is no such manifest.
    pub(super) fn remove_manifest(&mut self, digest: &Digest, read: ReadManifest<'_>) -> bool {
        let found = self.manifests.remove(digest).is_some();
        if found {
            self.entries.retain(|e| !e.is(digest));
            self.rebuild(read);
        }
        found
    }

    fn push(&mut self, digest: &Digest, listed: &Listed, tag: Option<Tag>) {
        let mut raw = Map::new();
        raw.insert("mediaType".to_owned(), listed.media_type.as_str().into());
        raw.insert("digest".to_owned(), digest.to_string().into());
        raw.insert("size".to_owned(), listed.size.into());
        let mut entry = Entry::new(raw);
        if tag.is_some() {
            entry.set_tag(tag);
        }
        self.entries.push(entry);
    }

    /// Frees a tag. An entry that only carried it goes, unless it is the last one of its manifest.
    fn untag(&mut self, tag: &Tag) {
        while let Some(at) = self.entries.iter().position(|e| e.tag.as_ref() == Some(tag)) {
            let others = self
                .entries
                .iter()
                .enumerate()
                .any(|(i, e)| i != at && self.entries[at].names.as_ref().is_some_and(|(digest, _)| e.is(digest)));
            if others {
                self.entries.remove(at);
            } else {
                self.entries[at].set_tag(None);
            }
        }
    }

    /// Derives tags and manifests from the entries. What was known is not read again: digests do not change meaning.
    fn rebuild(&mut self, read: ReadManifest<'_>) {
        let known = std::mem::take(&mut self.manifests);
        // A stack instead of recursion: a hostile layout may nest without end.
        let mut pending: Vec<(Digest, String)> = self.entries.iter().rev().filter_map(|e| e.names.clone()).collect();
        while let Some((digest, media_type)) = pending.pop() {
            if self.manifests.contains_key(&digest) || self.manifests.len() >= limits::MAX_REPOSITORY_MANIFESTS {
                continue;
            }
            let listed = match known.get(&digest) {
                Some(listed) => Arc::clone(listed),
                None => match read(&digest).map(|bytes| Document::listed(&media_type, &bytes)) {
                    Some(listed) => Arc::new(listed),
                    None => continue,
                },
            };
            pending.extend(listed.children.iter().rev().cloned());
            self.manifests.insert(digest, listed);
        }
        self.tags.clear();
        for entry in &self.entries {
            if let (Some((digest, _)), Some(tag)) = (&entry.names, &entry.tag)
                && self.manifests.contains_key(digest)
            {
                self.tags.entry(tag.clone()).or_insert_with(|| digest.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(subject: Option<Digest>) -> Listed {
        Listed { media_type: media_type::OCI_MANIFEST.to_owned(), size: 1, subject, children: Vec::new() }
    }

    fn tag(text: &str) -> Tag {
        text.parse().unwrap()
    }

    #[test]
    fn tags_move_and_manifests_stay() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let nothing: ReadManifest<'_> = &|_| None;
        let mut index = RepoIndex::empty();
        index.put(&a, &listed(None), &[tag("one"), tag("two")], nothing);
        index.put(&b, &listed(None), &[tag("one")], nothing);
        assert_eq!(index.tag(&tag("one")), Some(&b));
        assert_eq!(index.tag(&tag("two")), Some(&a));
        assert!(index.remove_tag(&tag("two"), nothing) && !index.remove_tag(&tag("two"), nothing));
        assert_eq!(index.len(), 2, "an untagged manifest keeps its entry");
        index.put(&a, &listed(None), &[tag("three")], nothing);
        assert_eq!(index.len(), 2, "the untagged entry is used again");
        assert!(index.remove_manifest(&a, nothing) && !index.remove_manifest(&a, nothing));
        assert_eq!(index.tags().len(), 1);
        let again = RepoIndex::load(&index.encode(), Some(&index), nothing).unwrap();
        assert_eq!(again.tags(), index.tags());
    }

    #[test]
    fn keeps_what_it_does_not_understand() {
        let bytes = br#"{"schemaVersion":2,"x":[1],"manifests":[{"digest":"md5:1","mediaType":"m","y":2},7]}"#;
        let mut index = RepoIndex::load(bytes, None, &|_| None).unwrap();
        index.put(&Digest::of(b"a"), &listed(None), &[tag("t")], &|_| None);
        let text = String::from_utf8(index.encode()).unwrap();
        assert!(text.contains(r#""x":[1]"#) && text.contains(r#""y":2"#), "{text}");
    }

    #[test]
    fn finds_children_below_a_listed_index_and_ends_on_cycles() {
        let (top, child) = (Digest::of(b"top"), Digest::of(b"child"));
        let body = |digest: &Digest| {
            format!(r#"{{"manifests":[{{"mediaType":"{}","digest":"{digest}","size":1}}]}}"#, media_type::OCI_INDEX)
        };
        let (down, up) = (body(&child).into_bytes(), body(&top).into_bytes());
        let read = |digest: &Digest| Some(if *digest == top { down.clone() } else { up.clone() });
        let index = RepoIndex::load(body(&top).as_bytes(), None, &read).unwrap();
        assert!(index.resolve(&Pointer::Digest(child)).is_some());
        assert_eq!(index.manifests().len(), 2);
    }
}
