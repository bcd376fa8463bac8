//! Small images made in memory, whole and correct.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::io::Write;

use coracle::blob::{Blob, Layer};
use coracle::image::Image;
use coracle::oci::{Annotations, ContainerConfig, DiffId, Digest, Platform, media_type};
use coracle::plan::{EncoderId, LayerPlan, Plan};
use coracle::store::{CopyOptions, LayoutStore, put_image};

/// A tar of (path, content): a path with a slash at its end is a directory.
pub fn tar(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in entries {
        let mut header = tar::Header::new_ustar();
        let directory = path.ends_with('/');
        header.set_entry_type(if directory { tar::EntryType::Directory } else { tar::EntryType::Regular });
        header.set_mode(if directory { 0o755 } else { 0o555 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A gzip layer of a tar.
pub fn layer(tar: &[u8]) -> Layer {
    let blob = Blob::from_bytes(media_type::OCI_LAYER_GZIP, gzip(tar));
    Layer { blob, diff_id: DiffId(Digest::of(tar)) }
}

/// The plan of an image that runs `/app/hello`, with layers of these names.
pub fn plan(architecture: &str, layers: &[&str]) -> Plan {
    let names = layers.iter().map(|name| LayerPlan { name: (*name).to_owned(), entries: Vec::new() });
    Plan {
        name: "hello".to_owned(),
        platform: Platform::linux(architecture),
        created: 0,
        encoder: EncoderId::Gz1,
        config: ContainerConfig {
            user: Some("65532:65532".to_owned()),
            env: vec!["PATH=/usr/local/bin:/usr/bin:/bin".to_owned()],
            entrypoint: Some(vec!["/app/hello".to_owned()]),
            working_dir: Some("/".to_owned()),
            ..ContainerConfig::default()
        },
        annotations: Annotations::from([("org.opencontainers.image.title".to_owned(), "hello".to_owned())]),
        layers: names.collect(),
    }
}

/// A correct image of two layers; `salt` makes its content unlike that of others.
pub fn image(architecture: &str, salt: &str) -> Image {
    let base = layer(&tar(&[("etc/", ""), ("etc/passwd", "root:x:0:0:root:/root:/sbin/nologin\n")]));
    let app = layer(&tar(&[("app/", ""), ("app/hello", &format!("#!{architecture} {salt}"))]));
    Image::assemble(&plan(architecture, &["base", "app"]), vec![base, app]).unwrap()
}

/// Writes a layout with an image of these layers, tagged `v1`; nobody checks here that they are right.
pub async fn layout(directory: &std::path::Path, layers: Vec<Layer>) {
    let names: Vec<String> = (0..layers.len()).map(|i| i.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let image = Image::assemble(&plan("amd64", &names), layers).unwrap();
    let options = CopyOptions { tags: vec!["v1".parse().unwrap()], ..CopyOptions::default() };
    put_image(&LayoutStore::create(directory).unwrap(), &image, &options).await.unwrap();
}
