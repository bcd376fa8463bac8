//! The bytes of layers never change: golden digests for each frozen encoder.

#[path = "support/entries.rs"]
mod entries;
#[path = "support/golden.rs"]
mod golden;

use coracle::layer::{PackOptions, pack};
use coracle::observe::Silent;
use coracle::plan::{EncoderId, LayerPlan};
use entries::{directory, file, layer, program_like, symlink};
use serde_json::{Value, json};

/// One of everything that has an encoding of its own.
fn everything() -> LayerPlan {
    let long = "d".repeat(60) + "/" + &"f".repeat(60);
    let mut capable = file("app/capable", *b"#!/bin/false\n");
    capable
        .xattrs
        .insert("security.capability".to_owned(), vec![1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    capable.xattrs.insert("user.note".to_owned(), b"a\nb".to_vec());
    let mut openshift = file("app/openshift", *b"random uid\n");
    (openshift.uid, openshift.gid, openshift.mode) = (1_000_660_000, 0, 0o664);
    let mut sticky = directory("tmp");
    sticky.mode = 0o1777;
    layer(vec![
        directory("app"),
        capable,
        openshift,
        file("app/server", program_like(11, (2 << 20) + 777)),
        symlink("app/current", "server"),
        symlink("app/far", "../".repeat(40) + "target"),
        file("app/na\u{ef}ve", *b"utf-8\n"),
        file(b"app/raw\xff", *b"not utf-8\n"),
        file([b"app/raw\xff".as_slice(), &[b'x'; 100]].concat(), *b"long and not utf-8\n"),
        directory(&long[..60]),
        file(&long, Vec::new()),
        file("x".repeat(100), *b"just fits\n"),
        sticky,
    ])
}

fn packed(encoder: EncoderId, created: u64) -> (Value, Vec<u8>) {
    let mut out = Vec::new();
    let packed = pack(&everything(), created, encoder, &PackOptions { threads: 2 }, &Silent, &mut out).expect("packs");
    let summary = json!({
        "encoder": encoder.name(),
        "mediaType": packed.descriptor.media_type,
        "tarSize": packed.tar_size,
        "diffId": packed.diff_id.to_string(),
        "size": packed.descriptor.size,
        "digest": packed.descriptor.digest.to_string(),
    });
    (summary, out)
}

/// The tar with every header, so that a mismatch names the field; the digest only tells that there is one.
#[test]
fn tar_headers() {
    for (name, created) in [("layer-tar", 0), ("layer-tar-dated", 1_700_000_000)] {
        let (summary, tar) = packed(EncoderId::Tar, created);
        golden::check(name, &json!({ "1-tar": golden::tar_listing(&tar), "2-layer": summary }));
    }
}

/// When the diff ID is right and the digest is not, a codec has changed: then it needs a new encoder id.
#[test]
fn compressed_layers() {
    golden::check("layer-gz1", &packed(EncoderId::Gz1, 0).0);
    golden::check("layer-zst1", &packed(EncoderId::Zst1, 0).0);
}

#[test]
fn a_difference_names_the_field() {
    let (_, tar) = packed(EncoderId::Tar, 0);
    let mut changed = tar.clone();
    changed[512 + 100 + 6] = b'7';
    let difference = golden::first_difference("", &golden::tar_listing(&tar), &golden::tar_listing(&changed));
    assert_eq!(difference.expect("differs"), r#".headers[1].mode: committed "0000644", now "0000647""#);
    for (committed, actual, want) in [
        (json!({"a": [1, 2]}), json!({"a": [1]}), ".a: committed 2 elements, now 1"),
        (json!({"a": 1}), json!({}), ".a: committed 1, now absent"),
        (json!({}), json!({"b": 1}), ".b: new, 1"),
        (json!({"a": {"b": "x"}}), json!({"a": {"b": "y"}}), r#".a.b: committed "x", now "y""#),
    ] {
        assert_eq!(golden::first_difference("", &committed, &actual).expect("differs"), want);
    }
    assert_eq!(golden::first_difference("", &json!([1, {"a": 2}]), &json!([1, {"a": 2}])), None);
}
