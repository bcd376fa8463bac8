//! Layouts and memory: the contracts of `Store`, through its public methods.

#[path = "support/images.rs"]
mod images;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use coracle::blob::{Blob, BytesSource, SealedFile};
use coracle::image::Index;
use coracle::oci::{Annotations, Descriptor, Digest, ImageManifest, RawManifest, Reference, Tag, media_type};
use coracle::store::{
    CopyOptions, Error, LayoutStore, MemoryStore, Pointer, Put, Referrers, Store, copy, put_image, put_index,
};

/// Every file below a directory with its size.
fn files(directory: &Path) -> BTreeMap<String, u64> {
    let entries = walkdir::WalkDir::new(directory).into_iter().map(Result::unwrap).filter(|e| e.file_type().is_file());
    entries
        .map(|e| {
            let name = e.path().strip_prefix(directory).unwrap().display().to_string();
            (name, e.metadata().unwrap().len())
        })
        .collect()
}

fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

fn tagged(text: &str) -> CopyOptions {
    CopyOptions { tags: vec![tag(text)], ..CopyOptions::default() }
}

async fn stores() -> (tempfile::TempDir, Vec<Box<dyn Store>>) {
    let dir = tempfile::tempdir().unwrap();
    let layout = LayoutStore::create(&dir.path().join("layout")).unwrap();
    (dir, vec![Box::new(layout), Box::new(MemoryStore::new())])
}

#[tokio::test]
async fn every_store_keeps_the_contracts() {
    let (_dir, stores) = stores().await;
    for store in stores {
        let place = store.location();
        let image = images::image("amd64", "x");
        let done = put_image(store.as_ref(), &image, &tagged("v1")).await.unwrap();
        assert_eq!((done.written, done.spared), (3, 0), "{place}");
        let again = put_image(store.as_ref(), &image, &tagged("v1")).await.unwrap();
        assert_eq!((again.written, again.spared), (0, 3), "{place}");
        assert_eq!(store.put_manifest(image.manifest()).await.unwrap(), Put::Existed, "{place}");
        assert_eq!(store.tag(&tag("v1"), image.manifest()).await.unwrap(), Put::Existed, "{place}");

        for blob in image.blobs() {
            let d = blob.descriptor();
            assert_eq!(store.has_blob(&d.digest).await.unwrap(), Some(d.size));
            let mut bytes = Vec::new();
            std::io::copy(&mut store.get_blob(d).await.unwrap().open(0).unwrap(), &mut bytes).unwrap();
            assert_eq!(Digest::of(&bytes), d.digest, "{place}");
        }
        for pointer in [Pointer::Tag(tag("v1")), Pointer::Digest(image.manifest().digest().clone())] {
            assert_eq!(&store.get_manifest(&pointer).await.unwrap(), image.manifest());
            assert_eq!(store.has_manifest(&pointer).await.unwrap().unwrap().digest, *image.manifest().digest());
        }

        let other = images::image("amd64", "y");
        let early = store.tag(&tag("v1"), other.manifest()).await;
        assert!(matches!(early, Err(Error::NotFound { .. })), "{place}: no tag on what is not there");
        put_image(store.as_ref(), &other, &tagged("v1")).await.unwrap();
        assert_eq!(&store.get_manifest(&Pointer::Tag(tag("v1"))).await.unwrap(), other.manifest(), "the tag moved");
        store.tag(&tag("a"), other.manifest()).await.unwrap();
        assert_eq!(store.tags().await.unwrap(), [tag("a"), tag("v1")], "{place}");

        let missing = Pointer::Tag(tag("none"));
        assert_eq!(store.has_manifest(&missing).await.unwrap(), None);
        assert!(matches!(store.get_manifest(&missing).await, Err(Error::NotFound { .. })));
        assert_eq!(store.has_blob(&Digest::of(b"none")).await.unwrap(), None);
        let absent = store.get_blob(&Descriptor::of("x", b"none")).await;
        assert!(matches!(absent, Err(Error::NotFound { .. })), "{place}");
    }
}

#[tokio::test]
async fn content_under_a_wrong_digest_is_never_seen() {
    let (dir, stores) = stores().await;
    let before = files(dir.path());
    for store in stores {
        for size in [4, 200_000] {
            let promised = vec![b'a'; size];
            let mut given = promised.clone();
            given[size / 2] = b'b';
            let descriptor = Descriptor::of(media_type::OCI_LAYER, &promised);
            let lie = |bytes: Vec<u8>| Blob::new(descriptor.clone(), Arc::new(BytesSource::new(bytes)));
            let put = store.put_blob(&lie(given.clone())).await;
            assert!(matches!(put, Err(Error::DigestMismatch { .. })), "{put:?}");
            given.push(0);
            let put = store.put_blob(&lie(given)).await;
            assert!(matches!(put, Err(Error::SizeMismatch { .. })), "{put:?}");
            let put = store.put_blob(&lie(promised[1..].to_vec())).await;
            assert!(matches!(put, Err(Error::SizeMismatch { .. })), "{put:?}");
            assert_eq!(store.has_blob(&descriptor.digest).await.unwrap(), None);
        }
        let lie = RawManifest::with_digest(media_type::OCI_MANIFEST, b"{}".to_vec(), Digest::of(b"other")).unwrap();
        assert!(matches!(store.put_manifest(&lie).await, Err(Error::DigestMismatch { .. })));
    }
    assert_eq!(files(dir.path()), before, "nothing was left behind");
}

#[tokio::test]
async fn an_index_takes_over_its_images() {
    let dir = tempfile::tempdir().unwrap();
    let store = LayoutStore::create(dir.path()).unwrap();
    let pair = vec![images::image("arm64", ""), images::image("amd64", "")];
    put_image(&store, &pair[0], &CopyOptions::default()).await.unwrap();
    assert_eq!(store.roots().unwrap(), [pair[0].manifest().descriptor()], "an image without tag is a root");
    let index = Index::assemble(pair.clone(), Annotations::new()).unwrap();
    put_index(&store, &index, &CopyOptions::default()).await.unwrap();
    assert_eq!(store.roots().unwrap(), [index.manifest().descriptor()]);
    for image in &pair {
        let found = store.get_manifest(&Pointer::Digest(image.manifest().digest().clone())).await.unwrap();
        assert_eq!(&found, image.manifest(), "a child is found by its digest");
        assert_eq!(store.put_manifest(image.manifest()).await.unwrap(), Put::Existed);
    }
    store.tag(&tag("v1"), index.manifest()).await.unwrap();
    let roots = store.roots().unwrap();
    assert_eq!(roots.len(), 1);
    assert_eq!(roots[0].annotations["org.opencontainers.image.ref.name"], "v1");
    assert!(!roots[0].annotations.contains_key("io.containerd.image.name"));
}

#[tokio::test]
async fn full_names_are_written_for_containerd() {
    let dir = tempfile::tempdir().unwrap();
    let name: Reference = "localhost:5000/team/app".parse().unwrap();
    let store = LayoutStore::create(dir.path()).unwrap().with_name(&name);
    put_image(&store, &images::image("amd64", ""), &tagged("v1")).await.unwrap();
    let root = store.roots().unwrap().remove(0);
    assert_eq!(root.annotations["io.containerd.image.name"], "localhost:5000/team/app:v1");
}

#[tokio::test]
async fn reading_creates_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let layout = dir.path().join("layout");
    put_image(&LayoutStore::create(&layout).unwrap(), &images::image("amd64", ""), &tagged("v1")).await.unwrap();
    let before = files(dir.path());
    let store = LayoutStore::open(&layout).unwrap();
    copy(&store, &Pointer::Tag(tag("v1")), &MemoryStore::new(), &CopyOptions::default()).await.unwrap();
    store.referrers(&Digest::of(b"x")).await.unwrap();
    assert_eq!(files(dir.path()), before);

    let absent = dir.path().join("absent");
    assert!(matches!(LayoutStore::open(&absent), Err(Error::NotALayout { .. })));
    assert!(!absent.exists());
    std::fs::create_dir(&absent).unwrap();
    std::fs::write(absent.join("notes.txt"), "mine").unwrap();
    assert!(matches!(LayoutStore::create(&absent), Err(Error::NotALayout { .. })), "a directory in use is left alone");
    assert_eq!(files(&absent).len(), 1);
    std::fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    assert!(LayoutStore::open(&layout).unwrap_err().to_string().contains("version"));
}

#[tokio::test]
async fn sealed_files_are_linked_and_others_are_not() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().unwrap();
    let store = LayoutStore::create(&dir.path().join("layout")).unwrap();
    let content = |digest: &Digest| std::fs::metadata(store.directory().join("blobs/sha256").join(digest.hex()));
    let file = tempfile::NamedTempFile::new_in(dir.path()).unwrap();
    std::fs::write(file.path(), b"sealed").unwrap();
    let (inode, descriptor) = (file.as_file().metadata().unwrap().ino(), Descriptor::of("x", b"sealed"));
    let blob = Blob::new(descriptor.clone(), Arc::new(SealedFile::new(file.into_temp_path())));
    store.put_blob(&blob).await.unwrap();
    assert_eq!(content(&descriptor.digest).unwrap().ino(), inode);
    drop(blob);
    assert_eq!(content(&descriptor.digest).unwrap().nlink(), 1, "the temporary name is gone, the blob stays");

    let mine = dir.path().join("mine");
    std::fs::write(&mine, b"mine").unwrap();
    let descriptor = Descriptor::of("x", b"mine");
    store.put_blob(&Blob::from_file(descriptor.clone(), &mine)).await.unwrap();
    assert_eq!(std::fs::metadata(&mine).unwrap().nlink(), 1);
    let truncated = store.directory().join("blobs/sha256").join(descriptor.digest.hex());
    std::fs::write(&truncated, b"").unwrap();
    let put = store.put_blob(&Blob::from_file(descriptor.clone(), &mine)).await.unwrap();
    assert_eq!(put, Put::Written, "a truncated blob is written anew");
    assert_eq!(std::fs::read(&truncated).unwrap(), b"mine");
}

#[tokio::test]
async fn a_stored_blob_that_rotted_is_noticed_while_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = LayoutStore::create(dir.path()).unwrap();
    let image = images::image("amd64", "");
    put_image(&store, &image, &tagged("v1")).await.unwrap();
    let layer = image.layers()[0].blob.descriptor();
    let path = dir.path().join("blobs/sha256").join(layer.digest.hex());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[10] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let target = MemoryStore::new();
    let copied = copy(&store, &Pointer::Tag(tag("v1")), &target, &tagged("v1")).await;
    assert!(matches!(copied, Err(Error::DigestMismatch { .. })), "{copied:?}");
    assert_eq!(target.tags().await.unwrap(), [], "no tag, since the copy is not whole");
}

#[tokio::test]
async fn platforms_are_selected_while_copying() {
    let dir = tempfile::tempdir().unwrap();
    let from = LayoutStore::create(dir.path()).unwrap();
    let all = ["amd64", "arm64", "s390x"].map(|a| images::image(a, "")).to_vec();
    let index = Index::assemble(all.clone(), Annotations::new()).unwrap();
    put_index(&from, &index, &tagged("v1")).await.unwrap();
    let pointer = Pointer::Tag(tag("v1"));
    let options = |platforms: &[&str]| CopyOptions {
        platforms: platforms.iter().map(|p| p.parse().unwrap()).collect(),
        ..tagged("v1")
    };

    let to = MemoryStore::new();
    let one = copy(&from, &pointer, &to, &options(&["linux/aarch64"])).await.unwrap();
    assert_eq!(&one.manifest, all[1].manifest(), "one platform gives a plain manifest");
    assert_eq!(one.written, 3);

    let to = MemoryStore::new();
    let two = copy(&from, &pointer, &to, &options(&["linux/amd64", "linux/s390x"])).await.unwrap();
    let smaller = Index::assemble(vec![all[0].clone(), all[2].clone()], Annotations::new()).unwrap();
    assert_eq!(&two.manifest, smaller.manifest());
    assert!(to.get_manifest(&Pointer::Digest(all[1].manifest().digest().clone())).await.is_err());

    let same = copy(&from, &pointer, &MemoryStore::new(), &options(&[])).await.unwrap();
    assert_eq!(&same.manifest, index.manifest());
    let none = copy(&from, &pointer, &MemoryStore::new(), &options(&["linux/riscv64"])).await.unwrap_err();
    assert!(none.hint().unwrap().contains("linux/s390x"), "{none}");
}

#[tokio::test]
async fn referrers_are_found_and_copied() {
    let dir = tempfile::tempdir().unwrap();
    let from = LayoutStore::create(dir.path()).unwrap();
    let image = images::image("amd64", "");
    put_image(&from, &image, &tagged("v1")).await.unwrap();
    let refer = |to: &RawManifest, kind: &str| {
        RawManifest::from_image(&ImageManifest {
            schema_version: 2,
            media_type: Some(media_type::OCI_MANIFEST.to_owned()),
            artifact_type: Some(kind.to_owned()),
            config: Descriptor::of(media_type::OCI_EMPTY, b"{}"),
            layers: vec![Descriptor::of(media_type::OCI_EMPTY, b"{}")],
            subject: Some(to.descriptor()),
            annotations: Annotations::from([("k".to_owned(), kind.to_owned())]),
            other: serde_json::Map::new(),
        })
        .unwrap()
    };
    from.put_blob(&Blob::from_bytes(media_type::OCI_EMPTY, b"{}".to_vec())).await.unwrap();
    let sbom = refer(image.manifest(), "application/sbom");
    let signature = refer(&sbom, "application/signature");
    from.put_manifest(&sbom).await.unwrap();
    from.put_manifest(&signature).await.unwrap();

    let found = from.referrers(image.manifest().digest()).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].artifact_type.as_deref(), &found[0].digest), (Some("application/sbom"), sbom.digest()));
    assert_eq!(found[0].annotations["k"], "application/sbom");

    let to = MemoryStore::new();
    let options = CopyOptions { referrers: Referrers::All, ..tagged("v1") };
    copy(&from, &Pointer::Tag(tag("v1")), &to, &options).await.unwrap();
    assert_eq!(to.referrers(image.manifest().digest()).await.unwrap(), found);
    assert_eq!(to.referrers(sbom.digest()).await.unwrap().len(), 1, "the signature of the SBOM came along");
}
