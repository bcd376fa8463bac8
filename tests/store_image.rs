//! Assembled images and indexes: their bytes, and what another implementation reads in them.

#[path = "support/images.rs"]
mod images;

use coracle::image::{Error, Image, Index};
use coracle::oci::{Annotations, ImageConfig, Platform};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn config_of(image: &Image) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut image.config().open(0).unwrap(), &mut bytes).unwrap();
    bytes
}

#[test]
fn the_bytes_are_these() {
    let image = Image::assemble(&images::plan("arm64", &[]), Vec::new()).unwrap();
    assert_eq!(
        text(&config_of(&image)),
        r#"{"architecture":"arm64","author":"coracle","config":{"Entrypoint":["/app/hello"],"Env":["PATH=/usr/local/bin:/usr/bin:/bin"],"User":"65532:65532","WorkingDir":"/"},"created":"1970-01-01T00:00:00Z","os":"linux","rootfs":{"diff_ids":[],"type":"layers"}}"#
    );
    let config = image.config().descriptor();
    assert_eq!(
        text(image.manifest().bytes()),
        format!(
            r#"{{"annotations":{{"org.opencontainers.image.title":"hello"}},"config":{{"digest":"{}","mediaType":"application/vnd.oci.image.config.v1+json","size":{}}},"layers":[],"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}}"#,
            config.digest, config.size
        )
    );
}

#[test]
fn another_implementation_reads_the_same() {
    let image = images::image("amd64", "x");
    let manifest = oci_spec::image::ImageManifest::from_reader(image.manifest().bytes()).unwrap();
    assert_eq!(manifest.schema_version(), 2);
    assert_eq!(manifest.media_type().as_ref().unwrap().to_string(), image.manifest().media_type());
    assert_eq!(manifest.config().digest().to_string(), image.config().descriptor().digest.to_string());
    let sizes: Vec<u64> = manifest.layers().iter().map(oci_spec::image::Descriptor::size).collect();
    assert_eq!(sizes, image.layers().iter().map(|l| l.blob.descriptor().size).collect::<Vec<_>>());

    let bytes = config_of(&image);
    let config = oci_spec::image::ImageConfiguration::from_reader(bytes.as_slice()).unwrap();
    let diff_ids: Vec<String> = image.layers().iter().map(|l| l.diff_id.to_string()).collect();
    assert_eq!(config.rootfs().diff_ids(), &diff_ids);
    assert_eq!(config.created().as_deref(), Some("1970-01-01T00:00:00Z"));
    let history = config.history().as_ref().unwrap();
    let comments: Vec<_> = history.iter().map(|h| h.comment().clone().unwrap()).collect();
    assert_eq!(comments, ["base", "app"]);
    assert!(history.iter().all(|h| h.created_by().as_deref() == Some("coracle build")));
    assert_eq!(ImageConfig::parse(&bytes).unwrap().to_bytes().unwrap(), bytes, "the encoding is a fixed point");
}

#[test]
fn an_index_is_sorted_by_platform() {
    let arm = |variant: &str| {
        let mut plan = images::plan("arm", &[]);
        plan.platform = Platform::linux("arm").with_variant(variant);
        Image::assemble(&plan, Vec::new()).unwrap()
    };
    let make = |images| Index::assemble(images, Annotations::new()).unwrap();
    let forwards = make(vec![images::image("amd64", ""), arm("v6"), arm("v7"), images::image("arm64", "")]);
    let backwards = make(vec![images::image("arm64", ""), arm("v7"), arm("v6"), images::image("amd64", "")]);
    assert_eq!(forwards.manifest(), backwards.manifest());
    let index = oci_spec::image::ImageIndex::from_reader(forwards.manifest().bytes()).unwrap();
    let platforms: Vec<String> = index
        .manifests()
        .iter()
        .map(|d| d.platform().as_ref().unwrap())
        .map(|p| format!("{}/{}/{}", p.os(), p.architecture(), p.variant().as_deref().unwrap_or("-")))
        .collect();
    assert_eq!(platforms, ["linux/amd64/-", "linux/arm/v6", "linux/arm/v7", "linux/arm64/-"]);
}

#[test]
fn what_does_not_agree_is_refused() {
    let two = vec![images::image("amd64", "1"), images::image("amd64", "2")];
    assert!(matches!(Index::assemble(two, Annotations::new()), Err(Error::DuplicatePlatform(_))));
    assert!(matches!(Index::assemble(Vec::new(), Annotations::new()), Err(Error::EmptyIndex)));
    let missing = Image::assemble(&images::plan("amd64", &["app"]), Vec::new());
    assert!(matches!(missing, Err(Error::LayerCount { planned: 1, given: 0, .. })));
    let image = images::image("amd64", "");
    let config = ImageConfig::parse(&config_of(&image)).unwrap();
    let swapped = image.layers().iter().rev().cloned().collect();
    assert!(matches!(Image::from_parts(&config, swapped, Annotations::new()), Err(Error::DiffIds(_))));
}
