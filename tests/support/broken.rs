//! A maker of broken images: each case breaks one thing of a good image and names the code that has to find it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use coracle::oci::{Digest, media_type};
use serde_json::{Value, json};

/// A layer before it is stored.
pub struct Draft {
    pub tar: Vec<u8>,
    pub stored: Vec<u8>,
    pub media_type: &'static str,
}

/// Blobs by their name in the layout.
pub type Blobs = BTreeMap<String, Vec<u8>>;

/// One way to break an image. What is not given is as in the good image.
pub struct Case {
    pub code: &'static str,
    pub name: &'static str,
    pub layers: fn() -> Vec<Draft>,
    pub config: fn(&mut Value),
    pub manifest: fn(&mut Value),
    /// Makes an index around the manifest's descriptor and may add blobs.
    pub index: Option<fn(&Value, &mut Blobs) -> Value>,
    /// Changes the root's descriptor in `index.json`.
    pub root: fn(&mut Value),
    /// Changes stored blobs; given the manifest.
    pub blobs: fn(&mut Blobs, &Value),
}

/// The good image, as a case.
pub const GOOD: Case = Case {
    code: "",
    name: "good",
    layers: good_layers,
    config: |_| {},
    manifest: |_| {},
    index: None,
    root: |_| {},
    blobs: |_, _| {},
};

/// A raw USTAR entry: nothing about it is checked.
pub fn entry(path: &[u8], kind: u8, mode: u32, link: &[u8], content: &[u8]) -> Vec<u8> {
    custom(path, kind, mode, link, content, |_| {})
}

fn custom(path: &[u8], kind: u8, mode: u32, link: &[u8], content: &[u8], edit: fn(&mut tar::Header)) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..path.len()].copy_from_slice(path);
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link);
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    edit(&mut header);
    header.set_cksum();
    let mut out = header.as_bytes().to_vec();
    out.extend_from_slice(content);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

pub fn directory(path: &str) -> Vec<u8> {
    entry(path.as_bytes(), b'5', 0o755, b"", b"")
}

pub fn file(path: &str, mode: u32) -> Vec<u8> {
    entry(path.as_bytes(), b'0', mode, b"", b"#!")
}

/// Entries and the end of an archive.
pub fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut tar = entries.concat();
    tar.resize(tar.len() + 1024, 0);
    tar
}

pub fn gzip(tar: Vec<u8>) -> Draft {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&tar).unwrap();
    Draft { stored: encoder.finish().unwrap(), tar, media_type: media_type::OCI_LAYER_GZIP }
}

fn base() -> Draft {
    gzip(archive(&[directory("etc/"), file("etc/passwd", 0o644)]))
}

/// A lower layer with accounts.
fn accounts() -> Draft {
    let passwd = b"root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n";
    gzip(archive(&[directory("etc/"), entry(b"etc/passwd", b'0', 0o644, b"", passwd)]))
}

fn app() -> Draft {
    gzip(archive(&[directory("app/"), file("app/hello", 0o555)]))
}

fn good_layers() -> Vec<Draft> {
    vec![base(), app()]
}

/// The good image's upper layer with more entries behind its own.
fn with(entries: &[Vec<u8>]) -> Vec<Draft> {
    let mut all = vec![directory("app/"), file("app/hello", 0o555)];
    all.extend_from_slice(entries);
    vec![base(), gzip(archive(&all))]
}

/// The upper layer as given.
fn upper(draft: Draft) -> Vec<Draft> {
    vec![base(), draft]
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::of(bytes).to_string(), "size": bytes.len()})
}

fn name(digest: &Value) -> String {
    digest.as_str().unwrap().trim_start_matches("sha256:").to_owned()
}

/// Writes the layout of a case, with the image tagged `v1`.
pub fn write(case: &Case, directory: &Path) {
    let mut blobs = Blobs::new();
    let mut keep = |media_type: &str, bytes: Vec<u8>| {
        let descriptor = descriptor(media_type, &bytes);
        blobs.insert(name(&descriptor["digest"]), bytes);
        descriptor
    };
    let layers = (case.layers)();
    let diff_ids: Vec<String> = layers.iter().map(|layer| Digest::of(&layer.tar).to_string()).collect();
    let mut config = json!({
        "architecture": "amd64", "os": "linux", "created": "1970-01-01T00:00:00Z",
        "config": {"Entrypoint": ["/app/hello"], "User": "65532:65532", "Env": ["PATH=/bin"], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": layers.iter().map(|_| json!({"created_by": "x"})).chain([json!({"empty_layer": true})]).collect::<Vec<_>>(),
    });
    (case.config)(&mut config);
    let config = keep(media_type::OCI_CONFIG, serde_json::to_vec(&config).unwrap());
    let layers: Vec<Value> = layers.into_iter().map(|layer| keep(layer.media_type, layer.stored)).collect();
    let mut manifest =
        json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": layers});
    (case.manifest)(&mut manifest);
    let mut root = keep(media_type::OCI_MANIFEST, serde_json::to_vec(&manifest).unwrap());
    if let Some(index) = case.index {
        let index = serde_json::to_vec(&index(&root, &mut blobs)).unwrap();
        root = descriptor(media_type::OCI_INDEX, &index);
        blobs.insert(name(&root["digest"]), index);
    }
    (case.blobs)(&mut blobs, &manifest);
    root["annotations"] = json!({"org.opencontainers.image.ref.name": "v1"});
    (case.root)(&mut root);
    let store = directory.join("blobs/sha256");
    std::fs::create_dir_all(&store).unwrap();
    for (name, bytes) in blobs {
        std::fs::write(store.join(name), bytes).unwrap();
    }
    std::fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let index = json!({"schemaVersion": 2, "manifests": [root]});
    std::fs::write(directory.join("index.json"), serde_json::to_vec(&index).unwrap()).unwrap();
}

/// A descriptor with a platform.
fn on(descriptor: &Value, architecture: &str) -> Value {
    let mut descriptor = descriptor.clone();
    descriptor["platform"] = json!({"os": "linux", "architecture": architecture});
    descriptor
}

/// An index of these entries.
pub fn index(manifests: &[Value]) -> Value {
    json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests})
}

fn nested(image: &Value, blobs: &mut Blobs) -> Value {
    let mut inner = index(&[on(image, "amd64")]);
    for _ in 0..5 {
        let bytes = serde_json::to_vec(&inner).unwrap();
        let outer = descriptor(media_type::OCI_INDEX, &bytes);
        blobs.insert(name(&outer["digest"]), bytes);
        inner = index(&[outer]);
    }
    inner
}

fn bomb() -> Draft {
    let tar = vec![0; 90 << 20];
    let stored = zstd::encode_all(tar.as_slice(), 1).unwrap();
    Draft { tar, stored, media_type: media_type::OCI_LAYER_ZSTD }
}

fn truncated() -> Draft {
    let mut draft = app();
    draft.stored.truncate(draft.stored.len() / 2);
    draft
}

fn flip(blobs: &mut Blobs, manifest: &Value) {
    let layer = blobs.get_mut(&name(&manifest["layers"][1]["digest"])).unwrap();
    let middle = layer.len() / 2;
    layer[middle] ^= 1;
}

/// Every way to break the image.
pub fn cases() -> Vec<Case> {
    let mut all = documents();
    all.extend(configs());
    all.extend(commands());
    all.extend(layers());
    all.extend(paths());
    all.extend(whiteouts_and_kinds());
    all
}

fn documents() -> Vec<Case> {
    vec![
        Case {
            code: "V001",
            name: "a layer is gone",
            blobs: |blobs, manifest| drop(blobs.remove(&name(&manifest["layers"][0]["digest"]))),
            ..GOOD
        },
        Case { code: "V002", name: "a bit of a layer flipped", blobs: flip, ..GOOD },
        Case {
            code: "V003",
            name: "a descriptor with another size",
            manifest: |m| m["layers"][0]["size"] = json!(m["layers"][0]["size"].as_u64().unwrap() + 1),
            ..GOOD
        },
        Case { code: "V003", name: "a manifest with another size", root: |root| root["size"] = json!(1), ..GOOD },
        Case { code: "V004", name: "diff IDs swapped", config: swap, ..GOOD },
        Case { code: "V005", name: "a config that is none", config: |c| *c = json!([]), ..GOOD },
        Case {
            code: "V005",
            name: "a manifest without config",
            manifest: |m| drop(m.as_object_mut().unwrap().remove("config")),
            ..GOOD
        },
        Case {
            code: "V006",
            name: "a schema 1 manifest",
            root: |root| root["mediaType"] = json!(media_type::DOCKER_SCHEMA1),
            ..GOOD
        },
        Case { code: "V007", name: "schema version 1", manifest: |m| m["schemaVersion"] = json!(1), ..GOOD },
        Case {
            code: "V008",
            name: "no media type",
            manifest: |m| drop(m.as_object_mut().unwrap().remove("mediaType")),
            ..GOOD
        },
        Case {
            code: "V009",
            name: "a media type of its own",
            manifest: |m| m["mediaType"] = json!(media_type::OCI_INDEX),
            ..GOOD
        },
        Case {
            code: "V010",
            name: "a Docker layer in an OCI manifest",
            manifest: |m| m["layers"][0]["mediaType"] = json!(media_type::DOCKER_LAYER_GZIP),
            ..GOOD
        },
        Case {
            code: "V011",
            name: "a layer of an unknown type",
            manifest: |m| m["layers"][0]["mediaType"] = json!("application/octet-stream"),
            ..GOOD
        },
        Case {
            code: "V015",
            name: "the index says arm64",
            index: Some(|image, _| index(&[on(image, "arm64")])),
            ..GOOD
        },
        Case {
            code: "V016",
            name: "two images for one platform",
            index: Some(|image, _| index(&[on(image, "amd64"), on(image, "amd64")])),
            ..GOOD
        },
        Case { code: "V017", name: "no platform", index: Some(|image, _| index(std::slice::from_ref(image))), ..GOOD },
        Case { code: "V018", name: "indexes in indexes", index: Some(nested), ..GOOD },
    ]
}

fn swap(config: &mut Value) {
    config["rootfs"]["diff_ids"].as_array_mut().unwrap().reverse();
}

fn configs() -> Vec<Case> {
    vec![
        Case {
            code: "V012",
            name: "a diff ID too few",
            config: |c| drop(c["rootfs"]["diff_ids"].as_array_mut().unwrap().pop()),
            ..GOOD
        },
        Case {
            code: "V013",
            name: "a step too few",
            config: |c| drop(c["history"].as_array_mut().unwrap().remove(0)),
            ..GOOD
        },
        Case {
            code: "V014",
            name: "another kind of root",
            config: |c| c["rootfs"]["type"] = json!("snapshot"),
            ..GOOD
        },
        Case { code: "V019", name: "no architecture", config: |c| c["architecture"] = json!(""), ..GOOD },
        Case { code: "V020", name: "created yesterday", config: |c| c["created"] = json!("yesterday"), ..GOOD },
        Case {
            code: "V021",
            name: "a user by name",
            layers: || vec![accounts(), app()],
            config: |c| c["config"]["User"] = json!("nonroot"),
            ..GOOD
        },
        Case { code: "V027", name: "an unknown user", config: |c| c["config"]["User"] = json!("nonroot"), ..GOOD },
        Case {
            code: "V027",
            name: "an unknown group",
            layers: || vec![accounts(), app()],
            config: |c| c["config"]["User"] = json!("nonroot:wheel"),
            ..GOOD
        },
        Case {
            code: "V027",
            name: "accounts behind a whiteout",
            layers: || vec![accounts(), app(), gzip(archive(&[file("etc/.wh.passwd", 0o644)]))],
            config: |c| c["config"]["User"] = json!("nonroot"),
            ..GOOD
        },
        Case {
            code: "V024",
            name: "an entrypoint of root alone, for a user by number",
            layers: || upper(gzip(archive(&[directory("app/"), file("app/hello", 0o700)]))),
            ..GOOD
        },
    ]
}

fn commands() -> Vec<Case> {
    vec![
        Case { code: "V022", name: "no command", config: |c| c["config"]["Entrypoint"] = json!(null), ..GOOD },
        Case {
            code: "V023",
            name: "an entrypoint elsewhere",
            config: |c| c["config"]["Entrypoint"] = json!(["/app/none"]),
            ..GOOD
        },
        Case { code: "V023", name: "not along PATH", config: |c| c["config"]["Entrypoint"] = json!(["hello"]), ..GOOD },
        Case {
            code: "V024",
            name: "an entrypoint that is a directory",
            config: |c| c["config"]["Entrypoint"] = json!(["/app"]),
            ..GOOD
        },
        Case {
            code: "V024",
            name: "an entrypoint without the execute bit",
            layers: || upper(gzip(archive(&[directory("app/"), file("app/hello", 0o444)]))),
            ..GOOD
        },
        Case {
            code: "V024",
            name: "a directory that only root may search",
            layers: || {
                let closed = entry(b"app/", b'5', 0o700, b"", b"");
                upper(gzip(archive(&[closed, file("app/hello", 0o555)])))
            },
            ..GOOD
        },
        Case {
            code: "V025",
            name: "a relative working directory",
            config: |c| c["config"]["WorkingDir"] = json!("app"),
            ..GOOD
        },
        Case {
            code: "V026",
            name: "a variable without value",
            config: |c| c["config"]["Env"] = json!(["PATH"]),
            ..GOOD
        },
        Case { code: "V026", name: "a variable twice", config: |c| c["config"]["Env"] = json!(["A=1", "A=2"]), ..GOOD },
    ]
}

fn layers() -> Vec<Case> {
    vec![
        Case { code: "V030", name: "half a gzip stream", layers: || upper(truncated()), ..GOOD },
        Case {
            code: "V031",
            name: "a tar that should be gzip",
            layers: || upper(Draft { stored: app().tar, ..app() }),
            ..GOOD
        },
        Case { code: "V032", name: "a zstd bomb", layers: || upper(bomb()), ..GOOD },
        Case { code: "V033", name: "no tar", layers: || upper(gzip(b"not a tar".repeat(200))), ..GOOD },
        Case { code: "V033", name: "half a tar", layers: || upper(gzip(app().tar[..1024 + 100].to_vec())), ..GOOD },
        Case {
            code: "V034",
            name: "bytes behind the end",
            layers: || upper(gzip([app().tar, b"x".repeat(512)].concat())),
            ..GOOD
        },
        Case {
            code: "V035",
            name: "no end",
            layers: || upper(gzip([directory("app/"), file("app/hello", 0o555)].concat())),
            ..GOOD
        },
        Case { code: "V060", name: "not sorted", layers: || with(&[file("app/a", 0o444)]), ..GOOD },
        Case {
            code: "V061",
            name: "another time",
            layers: || with(&[custom(b"app/t", b'0', 0o444, b"", b"", |h| h.set_mtime(1))]),
            ..GOOD
        },
        Case {
            code: "V057",
            name: "an owner by name",
            layers: || with(&[custom(b"app/o", b'0', 0o444, b"", b"", |h| h.set_username("root").unwrap())]),
            ..GOOD
        },
    ]
}

fn paths() -> Vec<Case> {
    vec![
        Case { code: "V040", name: "an absolute path", layers: || with(&[file("/z", 0o444)]), ..GOOD },
        Case { code: "V041", name: "a path upwards", layers: || with(&[file("app/../../z", 0o444)]), ..GOOD },
        Case { code: "V042", name: "an empty path", layers: || with(&[file("", 0o444)]), ..GOOD },
        Case { code: "V043", name: "a path twice", layers: || with(&[file("app/hello", 0o555)]), ..GOOD },
        Case {
            code: "V043",
            name: "a path twice, written otherwise",
            layers: || with(&[file("./app//hello", 0o555)]),
            ..GOOD
        },
        Case { code: "V044", name: "below a file", layers: || with(&[file("app/hello/x", 0o444)]), ..GOOD },
        Case {
            code: "V044",
            name: "through a symbolic link",
            layers: || with(&[entry(b"app/l", b'2', 0o777, b"/etc", b""), file("app/l/x", 0o444)]),
            ..GOOD
        },
        Case { code: "V045", name: "an implied directory", layers: || with(&[file("opt/x", 0o444)]), ..GOOD },
        Case {
            code: "V046",
            name: "a hard link to nothing",
            layers: || with(&[entry(b"app/l", b'1', 0o444, b"app/none", b"")]),
            ..GOOD
        },
        Case {
            code: "V046",
            name: "a hard link outside",
            layers: || with(&[entry(b"app/l", b'1', 0o444, b"../../etc/shadow", b"")]),
            ..GOOD
        },
        Case { code: "V047", name: "a device", layers: || with(&[entry(b"app/null", b'3', 0o666, b"", b"")]), ..GOOD },
        Case { code: "V048", name: "a pipe", layers: || with(&[entry(b"app/p", b'6', 0o644, b"", b"")]), ..GOOD },
        Case { code: "V049", name: "setuid", layers: || with(&[file("app/su", 0o4555)]), ..GOOD },
    ]
}

fn whiteouts_and_kinds() -> Vec<Case> {
    vec![
        Case {
            code: "V050",
            name: "a whiteout in the lowest layer",
            layers: || vec![gzip(archive(&[file(".wh.x", 0o644)])), app()],
            ..GOOD
        },
        Case {
            code: "V050",
            name: "an opaque directory in the lowest layer",
            layers: || vec![gzip(archive(&[directory("etc/"), file("etc/.wh..wh..opq", 0o644)])), app()],
            ..GOOD
        },
        Case { code: "V051", name: "a whiteout of nothing", layers: || with(&[file("etc/.wh.none", 0o644)]), ..GOOD },
        Case { code: "V052", name: "a whiteout without name", layers: || with(&[file("etc/.wh.", 0o644)]), ..GOOD },
        Case {
            code: "V053",
            name: "a symbolic link without target",
            layers: || with(&[entry(b"app/l", b'2', 0o777, b"", b"")]),
            ..GOOD
        },
        Case {
            code: "V054",
            name: "a directory with content",
            layers: || with(&[custom(b"app/s/", b'5', 0o755, b"", b"", |h| h.set_size(512))]),
            ..GOOD
        },
        Case {
            code: "V055",
            name: "an unknown type",
            layers: || with(&[entry(b"app/v", b'V', 0o644, b"", b"")]),
            ..GOOD
        },
        Case { code: "V056", name: "a file for everyone", layers: || with(&[file("app/w", 0o666)]), ..GOOD },
        Case {
            code: "V056",
            name: "a directory for everyone",
            layers: || with(&[entry(b"app/w/", b'5', 0o777, b"", b"")]),
            ..GOOD
        },
        Case {
            code: "V023",
            name: "a whiteout over the entrypoint",
            layers: || vec![base(), app(), gzip(archive(&[file("app/.wh.hello", 0o644)]))],
            ..GOOD
        },
        Case {
            code: "V023",
            name: "an opaque directory over the entrypoint",
            layers: || vec![base(), app(), gzip(archive(&[directory("app/"), file("app/.wh..wh..opq", 0o644)]))],
            ..GOOD
        },
    ]
}
