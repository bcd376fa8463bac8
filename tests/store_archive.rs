//! Archives: their bytes, what they refuse, and what reads back; other tools load them in `store_peers.rs`.

#[path = "support/images.rs"]
mod images;

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::Path;

use coracle::blob::{Blob, Layer};
use coracle::image::{Image, Index};
use coracle::oci::{Annotations, Descriptor, Digest, media_type};
use coracle::store::{
    Archive, ArchiveOptions, ArchiveStore, CopyOptions, Error, MemoryStore, Pointer, Store, copy, put_image, put_index,
};

fn named(names: &[&str]) -> ArchiveOptions {
    ArchiveOptions { names: names.iter().map(|n| n.parse().unwrap()).collect(), ..ArchiveOptions::default() }
}

async fn prepare(image: &Image, options: &ArchiveOptions) -> Archive {
    let store = MemoryStore::new();
    put_image(&store, image, &CopyOptions::default()).await.unwrap();
    Archive::prepare(&store, &Pointer::Digest(image.manifest().digest().clone()), options).await.unwrap()
}

fn bytes(archive: &Archive) -> Vec<u8> {
    let mut out = Vec::new();
    archive.write_to(&mut out, Path::new("memory")).unwrap();
    out
}

/// Members in order with their content; headers must be what a deterministic USTAR writer gives.
fn members(tar: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(Cursor::new(tar));
    let mut found = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header();
        assert!(header.as_ustar().is_some());
        assert_eq!((header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap()), (0, 0, 0));
        assert_eq!((header.username().unwrap(), header.groupname().unwrap()), (Some(""), Some("")));
        let name = entry.path().unwrap().display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        found.push((name, content));
    }
    found
}

#[tokio::test]
async fn one_archive_for_every_tool() {
    let image = images::image("amd64", "");
    let archive = prepare(&image, &named(&["localhost:5000/team/app:v1", "alpine"])).await;
    let tar = bytes(&archive);
    assert_eq!(tar, bytes(&archive), "equal bytes, any number of times");
    let members = members(&tar);
    let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.is_sorted(), "{names:?}");
    let content: BTreeMap<&str, &[u8]> = members.iter().map(|(n, c)| (n.as_str(), c.as_slice())).collect();
    assert_eq!(content["oci-layout"], br#"{"imageLayoutVersion":"1.0.0"}"#);
    let path = |d: &Descriptor| format!("blobs/sha256/{}", d.digest.hex());
    for blob in image.blobs().map(Blob::descriptor).chain([&image.manifest().descriptor()]) {
        assert_eq!(Digest::of(content[path(blob).as_str()]), blob.digest);
    }
    let docker: serde_json::Value = serde_json::from_slice(content["manifest.json"]).unwrap();
    assert_eq!(docker[0]["RepoTags"][0], "localhost:5000/team/app:v1");
    assert_eq!(docker[0]["RepoTags"][1], "docker.io/library/alpine:latest");
    assert_eq!(docker[0]["Config"], path(image.config().descriptor()));
    assert_eq!(docker[0]["Layers"][1], path(image.layers()[1].blob.descriptor()));
    let index = oci_spec::image::ImageIndex::from_reader(content["index.json"]).unwrap();
    let annotation = |at: usize, key: &str| index.manifests()[at].annotations().as_ref().unwrap()[key].clone();
    assert_eq!(index.manifests().len(), 2, "the descriptor is repeated for each name");
    assert_eq!(annotation(0, "io.containerd.image.name"), "localhost:5000/team/app:v1");
    assert_eq!(annotation(0, "org.opencontainers.image.ref.name"), "v1");
    assert_eq!(annotation(1, "org.opencontainers.image.ref.name"), "latest");
}

#[tokio::test]
async fn what_is_written_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image.tar");
    let pair = ["amd64", "arm64"].map(|a| images::image(a, "")).to_vec();
    let index = Index::assemble(pair.clone(), Annotations::new()).unwrap();
    let store = MemoryStore::new();
    put_index(&store, &index, &CopyOptions::default()).await.unwrap();
    let pointer = Pointer::Digest(index.manifest().digest().clone());
    let archive = Archive::prepare(&store, &pointer, &named(&["r.io/x:v1"])).await.unwrap();
    assert_eq!(archive.docker_config(), Some(pair[0].config().descriptor()), "manifest.json names the amd64 image");
    archive.write_file(&path).await.unwrap();

    let read = ArchiveStore::open(&path).await.unwrap();
    assert_eq!(read.tags().await.unwrap(), ["v1".parse().unwrap()]);
    assert_eq!(read.default_pointer().unwrap(), pointer);
    let back = MemoryStore::new();
    let copied = copy(&read, &Pointer::Tag("v1".parse().unwrap()), &back, &CopyOptions::default()).await.unwrap();
    assert_eq!(&copied.manifest, index.manifest());
    let again = Archive::prepare(&back, &pointer, &named(&["r.io/x:v1"])).await.unwrap();
    assert_eq!(bytes(&again), std::fs::read(&path).unwrap());

    let refused = read.put_blob(&Blob::from_bytes("x", vec![1])).await;
    assert!(matches!(refused, Err(Error::Unsupported { .. })));
    let arm = ArchiveOptions { platforms: vec!["linux/arm64".parse().unwrap()], ..named(&["r.io/x:v1"]) };
    let arm = Archive::prepare(&read, &pointer, &arm).await.unwrap();
    assert_eq!(arm.root(), pair[1].manifest());
}

#[tokio::test]
async fn zstd_is_refused_with_the_way_out() {
    let plan = images::plan("amd64", &["app"]);
    let tar = images::tar(&[("app/", ""), ("app/hello", "x")]);
    let blob = Blob::from_bytes(media_type::OCI_LAYER_ZSTD, zstd::encode_all(tar.as_slice(), 1).unwrap());
    let layer = Layer { blob, diff_id: coracle::oci::DiffId(Digest::of(&tar)) };
    let image = Image::assemble(&plan, vec![layer]).unwrap();
    let store = MemoryStore::new();
    put_image(&store, &image, &CopyOptions::default()).await.unwrap();
    let pointer = Pointer::Digest(image.manifest().digest().clone());
    let Err(error) = Archive::prepare(&store, &pointer, &named(&[])).await else { panic!("zstd was taken") };
    assert!(matches!(error, Error::ZstdNotLoadable(_)), "{error}");
    assert!(error.hint().unwrap().contains("gzip"));
}

/// What docker before 25 saves: no layout, layers uncompressed, equal layers linked.
fn classic_save(files: &[(&str, &[u8])], links: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *content).unwrap();
    }
    for (name, target) in links {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, name, target).unwrap();
    }
    builder.into_inner().unwrap()
}

#[tokio::test]
async fn classic_docker_save_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("saved.tar");
    let layer = images::tar(&[("app/", ""), ("app/hello", "x")]);
    let diff = Digest::of(&layer);
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{diff}","{diff}"]}},"container_config":{{"Tty":false}}}}"#
    );
    let manifest = br#"[{"Config":"c.json","RepoTags":["app:v1"],"Layers":["one/layer.tar","two/layer.tar"]},
        {"Config":"c.json","RepoTags":["other:v1"],"Layers":["one/layer.tar"]}]"#;
    let files: &[(&str, &[u8])] =
        &[("c.json", config.as_bytes()), ("one/layer.tar", &layer), ("manifest.json", manifest)];
    std::fs::write(&path, classic_save(files, &[("two/layer.tar", "../one/layer.tar")])).unwrap();
    let store = ArchiveStore::open(&path).await.unwrap();
    let roots = store.roots();
    assert_eq!(roots.len(), 2);
    assert_eq!(roots[0].annotations["io.containerd.image.name"], "docker.io/library/app:v1");
    let ambiguous = store.get_manifest(&Pointer::Tag("v1".parse().unwrap())).await;
    assert!(matches!(ambiguous, Err(Error::Ambiguous { count: 2, .. })), "{ambiguous:?}");
    assert!(matches!(store.default_pointer(), Err(Error::Ambiguous { .. })));
    let pointer = Pointer::Digest(roots[0].digest.clone());
    let to = MemoryStore::new();
    let copied = copy(&store, &pointer, &to, &CopyOptions::default()).await.unwrap();
    assert_eq!(copied.written, 2, "the config, and the layer once");
    assert_eq!(to.has_blob(&diff).await.unwrap(), Some(layer.len() as u64));
}

#[tokio::test]
async fn what_is_no_archive_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let whole = bytes(&prepare(&images::image("amd64", ""), &named(&["r.io/x:v1"])).await);
    let half = whole[..3 * 512 + 10].to_vec();
    let only = |name: &str, content: &[u8]| classic_save(&[(name, content)], &[]);
    for (content, want) in [
        (images::gzip(&whole), "gzip"),
        (b"not a tar at all".repeat(100), "not a tar"),
        (half, "middle of a member"),
        (only("x", b"y"), "neither `index.json` nor `manifest.json`"),
        (only("index.json", b"{}"), "no `oci-layout`"),
        (only("manifest.json", b"{}"), "not valid"),
        (only("manifest.json", br#"[{"Config":"../../etc/passwd","Layers":[]}]"#), "is not in archive:"),
    ] {
        let path = dir.path().join("x.tar");
        std::fs::write(&path, content).unwrap();
        let error = ArchiveStore::open(&path).await.map(|s| s.location()).unwrap_err();
        assert!(error.to_string().contains(want), "{want}: {error}");
    }
    assert!(matches!(ArchiveStore::open(dir.path()).await, Err(Error::NotAnArchive { .. })), "a directory");
}

#[tokio::test]
async fn a_source_that_lies_leaves_no_archive() {
    let dir = tempfile::tempdir().unwrap();
    let layout = coracle::store::LayoutStore::create(&dir.path().join("layout")).unwrap();
    let image = images::image("amd64", "");
    put_image(&layout, &image, &CopyOptions::default()).await.unwrap();
    let digest = &image.layers()[0].blob.descriptor().digest;
    let rotten = layout.directory().join("blobs/sha256").join(digest.hex());
    let pointer = Pointer::Digest(image.manifest().digest().clone());
    let archive = Archive::prepare(&layout, &pointer, &named(&[])).await.unwrap();
    let good = std::fs::read(&rotten).unwrap();
    let mut other = good.clone();
    other[12] ^= 1;
    for content in [other, good[1..].to_vec()] {
        std::fs::write(&rotten, content).unwrap();
        let target = dir.path().join("out.tar");
        let error = archive.write_file(&target).await.unwrap_err();
        assert!(matches!(error, Error::DigestMismatch { .. } | Error::SizeMismatch { .. }), "{error:?}");
        assert!(!target.exists());
    }
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["layout"], "no temporary file stays behind");
}
