//! Why two images have different digests.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Error, Planned, Seen, SeenImage, SeenPath, look};
use crate::blob::BlobSource;
use crate::diag::escape;
use crate::layer::tar::{TarEntry, TarKind};
use crate::oci::{Algorithm, Descriptor, Digest, DigestWriter};
use crate::plan::{self, Change, EntryKind, Plan, PlanView};

/// The differences of two images or indexes, empty when their digests are equal. Layers are read only where they differ.
///
/// # Errors
/// As [`look::paths`].
pub async fn of_images(left: &Seen, right: &Seen) -> Result<Vec<Change>, Error> {
    if left.root.digest() == right.root.digest() {
        return Ok(Vec::new());
    }
    let mut changes = Vec::new();
    let left_images = by_platform(left);
    let right_images = by_platform(right);
    let single = left.images.len() == 1 && right.images.len() == 1;
    let mut platforms: Vec<&String> = left_images.keys().chain(right_images.keys()).collect();
    platforms.sort();
    platforms.dedup();
    if single {
        // Two single images are compared even when they are for different platforms: that is a difference like others.
        changes.extend(images(left, &left.images[0], right, &right.images[0], "").await?);
    } else {
        for platform in platforms {
            match (left_images.get(platform), right_images.get(platform)) {
                (Some(a), Some(b)) => changes.extend(images(left, a, right, b, &format!("{platform}: ")).await?),
                (a, b) => changes.push(change(
                    "platforms",
                    a.map(|image| format!("{platform} {}", image.raw.digest())),
                    b.map(|image| format!("{platform} {}", image.raw.digest())),
                )),
            }
        }
    }
    if left.root.media_type() != right.root.media_type() {
        let side = |seen: &Seen| Some(seen.root.media_type().to_owned());
        changes.push(change("media type", side(left), side(right)));
    }
    if changes.is_empty() {
        changes.extend(documents("document", left.root.bytes(), right.root.bytes(), &[]));
    }
    Ok(changes)
}

fn by_platform(seen: &Seen) -> BTreeMap<String, &SeenImage> {
    seen.images.iter().map(|image| (image.platform(), image)).collect()
}

async fn images(left: &Seen, a: &SeenImage, right: &Seen, b: &SeenImage, prefix: &str) -> Result<Vec<Change>, Error> {
    if a.raw.digest() == b.raw.digest() {
        return Ok(Vec::new());
    }
    let mut changes = documents(&format!("{prefix}manifest"), a.raw.bytes(), b.raw.bytes(), &["config", "layers"]);
    changes.extend(documents(&format!("{prefix}config"), &a.config_bytes, &b.config_bytes, &["rootfs"]));
    let (a_layers, b_layers) = (&a.manifest.layers, &b.manifest.layers);
    for at in 0..a_layers.len().max(b_layers.len()) {
        let place = format!("{prefix}layer {at}");
        match (a_layers.get(at), b_layers.get(at)) {
            (Some(x), Some(y)) if x.digest == y.digest => {}
            (Some(x), Some(y)) if diff_id(a, at).is_some() && diff_id(a, at) == diff_id(b, at) => {
                // The same tar: only its compression differs.
                changes.push(change(format!("{place}: compression"), Some(encoded(x)), Some(encoded(y))));
            }
            (Some(x), Some(y)) => {
                let x = look::paths(&*left.store, x, true).await?;
                let y = look::paths(&*right.store, y, true).await?;
                changes.extend(layers(&place, &x, &y));
            }
            (x, y) => changes.push(change(place, x.map(encoded), y.map(encoded))),
        }
    }
    if changes.is_empty() {
        changes.extend(documents(&format!("{prefix}manifest"), a.raw.bytes(), b.raw.bytes(), &[]));
    }
    Ok(changes)
}

fn diff_id(image: &SeenImage, at: usize) -> Option<String> {
    image.config.as_ref()?.rootfs.diff_ids.get(at).map(ToString::to_string)
}

fn encoded(layer: &Descriptor) -> String {
    format!("{} {} ({} bytes)", layer.media_type, layer.digest, layer.size)
}

/// Differences of two layers, path by path.
fn layers(place: &str, left: &[SeenPath], right: &[SeenPath]) -> Vec<Change> {
    let map = |paths: &[SeenPath]| -> BTreeMap<Vec<u8>, BTreeMap<&'static str, String>> {
        paths.iter().map(|path| (name(&path.entry).to_vec(), fields(path))).collect()
    };
    let (a, b) = (map(left), map(right));
    let mut names: Vec<&Vec<u8>> = a.keys().chain(b.keys()).collect();
    names.sort();
    names.dedup();
    let mut changes = Vec::new();
    for path in names {
        let shown = format!("{place}: /{}", escape(path));
        match (a.get(path), b.get(path)) {
            (Some(x), Some(y)) => {
                for field in x.keys().chain(y.keys().filter(|key| !x.contains_key(*key))) {
                    if x.get(field) != y.get(field) {
                        let place = format!("{shown}: {field}");
                        changes.push(change(place, x.get(field).cloned(), y.get(field).cloned()));
                    }
                }
            }
            (x, y) => {
                let whole = |fields: &BTreeMap<&str, String>| fields.values().cloned().collect::<Vec<_>>().join(" ");
                changes.push(change(shown, x.map(whole), y.map(whole)));
            }
        }
    }
    let order = |paths: &[SeenPath]| paths.iter().map(|path| name(&path.entry).to_vec()).collect::<Vec<_>>();
    if changes.is_empty() && order(left) != order(right) {
        changes.push(change(format!("{place}: order of the entries"), None, None));
    }
    if changes.is_empty() {
        changes.push(change(format!("{place}: format of the tar headers"), None, None));
    }
    changes
}

fn name(entry: &TarEntry) -> &[u8] {
    let path = entry.path.strip_prefix(b"./").unwrap_or(&entry.path);
    path.strip_suffix(b"/").unwrap_or(path)
}

/// What an entry says, by name; the names sort in the order in which people read them.
fn fields(path: &SeenPath) -> BTreeMap<&'static str, String> {
    let entry = &path.entry;
    let mut fields = BTreeMap::from([
        ("kind", kind(entry.kind).to_owned()),
        ("mode", format!("{:04o}", entry.mode)),
        ("owner", format!("{}:{}", entry.uid, entry.gid)),
        ("time", entry.mtime.to_string()),
    ]);
    if entry.kind == TarKind::File {
        fields.insert("size", entry.size.to_string());
    }
    if !entry.link.is_empty() {
        fields.insert("target", escape(&entry.link));
    }
    if !entry.uname.is_empty() || !entry.gname.is_empty() {
        fields.insert("owner names", format!("{}:{}", escape(&entry.uname), escape(&entry.gname)));
    }
    if let Some(digest) = &path.digest {
        fields.insert("content", digest.to_string());
    }
    if !entry.xattrs.is_empty() {
        let one = |(name, value): (&Vec<u8>, &Vec<u8>)| format!("{}={}", escape(name), escape(value));
        fields.insert("xattrs", entry.xattrs.iter().map(one).collect::<Vec<_>>().join(" "));
    }
    fields
}

/// The word for a kind of entry.
#[must_use]
pub const fn kind(kind: TarKind) -> &'static str {
    match kind {
        TarKind::File => "file",
        TarKind::HardLink => "hard-link",
        TarKind::Symlink => "link",
        TarKind::CharDevice => "char-device",
        TarKind::BlockDevice => "block-device",
        TarKind::Directory => "dir",
        TarKind::Fifo => "fifo",
        TarKind::Other(_) => "other",
    }
}

/// Differences of two JSON documents, leaf by leaf, without the members named. One difference of mere bytes when their
/// values are equal.
fn documents(place: &str, left: &[u8], right: &[u8], without: &[&str]) -> Vec<Change> {
    if left == right {
        return Vec::new();
    }
    let leaves = |bytes: &[u8]| {
        let mut value: Value = serde_json::from_slice(bytes).unwrap_or(Value::Null);
        if let Some(members) = value.as_object_mut() {
            members.retain(|key, _| !without.contains(&key.as_str()));
        }
        let mut out = BTreeMap::new();
        flatten(place, &value, &mut out);
        out
    };
    let (a, b) = (leaves(left), leaves(right));
    let mut places: Vec<&String> = a.keys().chain(b.keys()).collect();
    places.sort();
    places.dedup();
    let differs = places.into_iter().filter(|place| a.get(*place) != b.get(*place));
    let changes: Vec<Change> =
        differs.map(|place| change(place.clone(), a.get(place).cloned(), b.get(place).cloned())).collect();
    if changes.is_empty() && without.is_empty() {
        return vec![change(format!("{place}: white space or order of members"), None, None)];
    }
    changes
}

fn flatten(place: &str, value: &Value, out: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (key, member) in members {
                flatten(&format!("{place}.{key}"), member, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (at, item) in items.iter().enumerate() {
                flatten(&format!("{place}[{at}]"), item, out);
            }
        }
        leaf => {
            out.insert(place.to_owned(), leaf.to_string());
        }
    }
}

fn change(place: impl Into<String>, left: Option<String>, right: Option<String>) -> Change {
    Change { place: place.into(), left, right }
}

/// The differences of two sets of plans, with the digests of all contents.
///
/// # Errors
/// [`Error::Layer`] when a file cannot be read; those of viewing a plan.
pub fn of_plans(left: &Planned, right: &Planned) -> Result<Vec<Change>, Error> {
    let views = |planned: &Planned| -> Result<Vec<PlanView>, Error> {
        planned.plans.iter().map(|plan| Ok(PlanView::of(&with_digests(plan)?)?)).collect()
    };
    let (a, b) = (views(left)?, views(right)?);
    if let ([x], [y]) = (a.as_slice(), b.as_slice()) {
        return Ok(plan::diff(x, y));
    }
    let mut changes = Vec::new();
    let mut platforms: Vec<&String> = a.iter().chain(&b).map(|view| &view.platform).collect();
    platforms.sort();
    platforms.dedup();
    for platform in platforms {
        let of = |views: &[PlanView]| views.iter().find(|view| view.platform == *platform).cloned();
        match (of(&a), of(&b)) {
            (Some(x), Some(y)) => changes.extend(plan::diff(&x, &y).into_iter().map(|mut change| {
                change.place = format!("{platform}: {}", change.place);
                change
            })),
            (x, y) => changes.push(change("platforms", x.map(|v| v.platform), y.map(|v| v.platform))),
        }
    }
    Ok(changes)
}

/// The plan with the digest of every file, which planning leaves to packing.
fn with_digests(plan: &Plan) -> Result<Plan, Error> {
    let mut plan = plan.clone();
    for entry in plan.layers.iter_mut().flat_map(|layer| &mut layer.entries) {
        if let EntryKind::File(content) = &mut entry.kind
            && content.digest.is_none()
        {
            content.digest = Some(hash(&*content.source, entry.path.clone())?);
        }
    }
    Ok(plan)
}

fn hash(source: &dyn BlobSource, path: crate::oci::ImagePath) -> Result<Digest, Error> {
    let mut reader = source.open(0).map_err(|source| crate::layer::Error::Open { path: path.clone(), source })?;
    let mut sink = DigestWriter::new(std::io::sink(), Algorithm::Sha256);
    std::io::copy(&mut reader, &mut sink).map_err(|source| crate::layer::Error::Read { path, source })?;
    Ok(sink.finish().1)
}
