//! Small images for registries, made in memory.

use std::io::Write;

use coracle::blob::Blob;
use coracle::oci::{Descriptor, Digest, Platform, RawManifest, Tag, media_type};
use coracle::store::{Pointer, Put, Store};

/// A small image: config, two layers, manifest. Deterministic, and different for each `seed`.
pub struct Sample {
    pub blobs: Vec<Blob>,
    pub manifest: RawManifest,
}

/// Makes one whose layers hold `layer_bytes` of noise each.
pub fn sample(seed: u8, layer_bytes: usize) -> Sample {
    let layers: Vec<(Digest, Blob)> = [0u8, 1]
        .iter()
        .map(|n| {
            let mut state = u32::from(seed) * 31 + u32::from(*n) + 1;
            let noise = std::iter::repeat_with(|| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_be_bytes()[0]
            });
            let mut tar = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_ustar();
            header.set_size(layer_bytes as u64);
            header.set_mode(0o644);
            let content: Vec<u8> = noise.take(layer_bytes).collect();
            tar.append_data(&mut header, format!("file-{n}"), &content[..]).unwrap();
            let tar = tar.into_inner().unwrap();
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(&tar).unwrap();
            (Digest::of(&tar), Blob::from_bytes(media_type::OCI_LAYER_GZIP, gzip.finish().unwrap()))
        })
        .collect();
    let (diff_ids, layers): (Vec<Digest>, Vec<Blob>) = layers.into_iter().unzip();
    let diff_ids: Vec<String> = diff_ids.iter().map(|digest| format!("\"{digest}\"")).collect();
    let platform: Platform = "linux/amd64".parse().unwrap();
    let config = format!(
        r#"{{"architecture":"{}","config":{{}},"os":"{}","rootfs":{{"diff_ids":[{}],"type":"layers"}}}}"#,
        platform.architecture,
        platform.os,
        diff_ids.join(",")
    );
    let config = Blob::from_bytes(media_type::OCI_CONFIG, config.into_bytes());
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": config.descriptor(),
        "layers": layers.iter().map(|l| l.descriptor().clone()).collect::<Vec<Descriptor>>(),
    });
    let manifest = RawManifest::new(media_type::OCI_MANIFEST, serde_json::to_vec(&manifest).unwrap()).unwrap();
    Sample { blobs: layers.into_iter().chain([config]).collect(), manifest }
}

/// Pushes blobs, manifest and tag, and tells what each put did.
pub async fn push(to: &dyn Store, sample: &Sample, tag: &str) -> Vec<Put> {
    let mut puts = Vec::new();
    for blob in &sample.blobs {
        puts.push(to.put_blob(blob).await.unwrap());
    }
    puts.push(to.put_manifest(&sample.manifest).await.unwrap());
    puts.push(to.tag(&tag.parse().unwrap(), &sample.manifest).await.unwrap());
    puts
}

/// Pulls everything and compares it.
pub async fn pull_and_compare(from: &dyn Store, sample: &Sample, tag: &str) {
    let tag: Tag = tag.parse().unwrap();
    let manifest = from.get_manifest(&Pointer::Tag(tag)).await.unwrap();
    assert_eq!(manifest, sample.manifest);
    for blob in &sample.blobs {
        let got = from.get_blob(blob.descriptor()).await.unwrap();
        let (mut want, mut have) = (Vec::new(), Vec::new());
        std::io::Read::read_to_end(&mut blob.open(0).unwrap(), &mut want).unwrap();
        std::io::Read::read_to_end(&mut got.open(0).unwrap(), &mut have).unwrap();
        assert!(want == have, "{} came back different", blob.descriptor().digest);
    }
}
