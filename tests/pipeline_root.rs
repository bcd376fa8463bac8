//! Roots by name: directories, and images in every place that gives them, by platform.

#[path = "support/archives.rs"]
mod archives;
#[path = "support/images.rs"]
mod images;
#[path = "support/serve.rs"]
mod serve;
#[path = "support/stacks.rs"]
mod stacks;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use coracle::blob::Blob;
use coracle::image::{Image, Index};
use coracle::observe::silent;
use coracle::oci::{Annotations, Descriptor, ImageConfig, ImageManifest, Platform, RawManifest, media_type};
use coracle::pipeline::sysroot::Sysroot;
use coracle::pipeline::{Environment, Error, OpenRoot, RootSpec};
use coracle::rootfs::{read_whole, resolve};
use coracle::serve::Storage;
use coracle::store::{
    self, Archive, ArchiveOptions, CopyOptions, LayoutStore, MemoryStore, Pointer, Store, put_image, put_index,
};
use stacks::{described, dir, file, layer, tar};

fn spec(text: &str) -> RootSpec {
    RootSpec::parse(OsStr::new(text)).unwrap()
}

async fn open(text: &str, platform: Option<&str>) -> Result<OpenRoot, Error> {
    let environment = Environment::new(std::env::temp_dir());
    let platform = platform.map(|platform| platform.parse::<Platform>().unwrap());
    spec(text).open(platform.as_ref(), &environment, &silent()).await
}

fn content(root: &OpenRoot, path: &str) -> String {
    let found = resolve(&*root.root, path.as_bytes()).unwrap().unwrap_or_else(|| panic!("{path} is not there"));
    String::from_utf8(read_whole(&*root.root, &found.path, 1 << 20).unwrap()).unwrap()
}

/// An image of two layers, one compressed and one not, that tells its architecture.
fn image(architecture: &str) -> Image {
    let layers = vec![
        layer(&tar(&[dir("etc/", 0o755), file("etc/arch", architecture), file("etc/old", "old")]), 0),
        layer(&tar(&[file("etc/.wh.old", ""), file("etc/new", "new")]), 1),
    ];
    Image::assemble(&images::plan(architecture, &["a", "b"]), layers).unwrap()
}

fn tagged() -> CopyOptions {
    CopyOptions { tags: vec!["v1".parse().unwrap()], ..CopyOptions::default() }
}

#[test]
fn values_are_directories_unless_they_say_what_image_they_are() {
    let digest = format!("oci:out@sha256:{}", "a".repeat(64));
    for (text, want) in [
        ("/", "/"),
        ("sysroot", "sysroot"),
        ("./oci:x", "./oci:x"),
        ("r.io/app:v1", "r.io/app:v1"),
        ("image:debian:12", "image:docker.io/library/debian:12"),
        ("image:r.io/a/b", "image:r.io/a/b"),
        ("oci:out:v1", "oci:out:v1"),
        ("image:oci:out:v1", "oci:out:v1"),
        (&digest, &digest),
        ("archive:image.tar", "archive:image.tar"),
    ] {
        assert_eq!(spec(text).to_string(), want);
        let names_an_image = ["image:", "oci:", "archive:"].iter().any(|prefix| want.starts_with(prefix));
        assert_eq!(matches!(spec(text), RootSpec::Image(_)), names_an_image, "{text}");
        assert_eq!(spec(want), spec(text), "it reads back");
    }
    for (text, want) in [
        (&b""[..], "the name of the root is empty"),
        (b"image:", "not an image reference"),
        (b"image:UPPER", "not an image reference"),
        (b"oci:", "directory is missing"),
        (b"archive:", "file is missing"),
        (b"docker://debian", "without `docker://`"),
        (b"docker-archive:x.tar", "archive:FILE"),
        (b"docker-daemon:debian:12", "cannot be read from"),
        (b"image:docker-daemon:debian:12", "cannot be read from"),
        (b"oci:caf\xe9", "UTF-8"),
    ] {
        let error = RootSpec::parse(OsStr::from_bytes(text)).unwrap_err().to_string();
        assert!(error.contains(want), "{}: `{error}` is not `{want}`", String::from_utf8_lossy(text));
    }
    let bytes = RootSpec::parse(OsStr::from_bytes(b"caf\xe9")).unwrap();
    assert_eq!(bytes, RootSpec::Directory(Path::new(OsStr::from_bytes(b"caf\xe9")).to_owned()));
    assert_eq!(bytes.to_string(), "caf\\xe9");
}

#[tokio::test]
async fn directories_and_which_of_them_is_the_machine() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).display().to_string();
    std::fs::write(directory.path().join("file"), "content").unwrap();
    for (link, target) in [("host", "/"), ("self", "."), ("up", "../../../../../../../../..")] {
        std::os::unix::fs::symlink(target, directory.path().join(link)).unwrap();
    }
    for (text, is_host) in [
        ("/".to_owned(), true),
        ("//usr/..".to_owned(), true),
        (at("host"), true),
        (at("up"), true),
        (at("self"), false),
        ("/usr".to_owned(), false),
    ] {
        let root = open(&text, None).await.unwrap();
        assert_eq!((root.is_host, &root.shown, root.image), (is_host, &text, None));
    }
    assert_eq!(content(&open(&at("self"), None).await.unwrap(), "/file"), "content");
    for name in ["none", "file"] {
        let error = open(&at(name), None).await.unwrap_err();
        assert_eq!(error.to_string(), format!("cannot use `{}` as a root", at(name)));
        assert!(std::error::Error::source(&error).is_some());
    }
}

#[tokio::test]
async fn images_of_every_place_show_the_same_files() {
    let directory = tempfile::tempdir().unwrap();
    let image = image("amd64");
    let layout = directory.path().join("layout");
    put_image(&LayoutStore::create(&layout).unwrap(), &image, &tagged()).await.unwrap();
    let archive = directory.path().join("image.tar");
    let memory = MemoryStore::new();
    put_image(&memory, &image, &CopyOptions::default()).await.unwrap();
    let pointer = Pointer::Digest(image.manifest().digest().clone());
    let names = ArchiveOptions { names: vec!["localhost/app:v1".parse().unwrap()], ..ArchiveOptions::default() };
    Archive::prepare(&memory, &pointer, &names).await.unwrap().write_file(&archive).await.unwrap();
    let server = serve::start(serve::options(Storage::Memory));
    let reference = format!("{}/team/app:v1", server.addr());
    let environment = Environment::new(std::env::temp_dir());
    let repository = environment.registry(&silent()).unwrap().repository(&reference.parse().unwrap()).unwrap();
    put_image(&repository, &image, &tagged()).await.unwrap();

    let mut seen = Vec::new();
    for text in [
        format!("oci:{}", layout.display()),
        format!("oci:{}:v1", layout.display()),
        format!("oci:{}@{}", layout.display(), image.manifest().digest()),
        format!("archive:{}", archive.display()),
        format!("image:{reference}"),
        format!("image:{}/team/app@{}", server.addr(), image.manifest().digest()),
    ] {
        for platform in [None, Some("linux/amd64"), Some("linux/x86_64")] {
            let root = open(&text, platform).await.unwrap();
            assert_eq!((root.is_host, &root.shown), (false, &text));
            let about = root.image.clone().unwrap();
            assert_eq!((about.manifest, about.platform), (image.manifest().digest().clone(), Platform::linux("amd64")));
            assert_eq!(Sysroot::from(root.clone()).platform, Some(Platform::linux("amd64")));
            assert_eq!((&*content(&root, "/etc/arch"), &*content(&root, "etc/new")), ("amd64", "new"));
            assert_eq!(resolve(&*root.root, b"/etc/old").unwrap(), None);
            seen.push(described(&*root.root));
        }
        let other = open(&text, Some("linux/arm64")).await.unwrap_err();
        let Error::Store(store::Error::NoPlatform { available, .. }) = other else { panic!("{other}") };
        assert_eq!(available, [Platform::linux("amd64")]);
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
    assert!(open(&format!("oci:{}:none", layout.display()), None).await.is_err());
    assert!(open(&format!("image:{}/team/none", server.addr()), None).await.is_err());
    assert!(open(&format!("archive:{}", layout.display()), None).await.is_err());
}

#[tokio::test]
async fn an_index_gives_the_image_for_the_platform() {
    let directory = tempfile::tempdir().unwrap();
    let store = LayoutStore::create(directory.path()).unwrap();
    let text = format!("oci:{}:v1", directory.path().display());
    let pair = ["amd64", "arm64"].map(image).to_vec();
    put_index(&store, &Index::assemble(pair, Annotations::new()).unwrap(), &tagged()).await.unwrap();
    for architecture in ["amd64", "arm64"] {
        let root = open(&text, Some(&format!("linux/{architecture}"))).await.unwrap();
        assert_eq!(content(&root, "/etc/arch"), architecture);
        assert_eq!(root.image.unwrap().platform, Platform::linux(architecture));
    }
    let open_choice = open(&text, None).await.unwrap_err();
    assert_eq!(
        open_choice.to_string(),
        format!("`{text}` has images for `linux/amd64`, `linux/arm64`, and one of them has to be chosen")
    );
    let absent = open(&text, Some("linux/s390x")).await.unwrap_err();
    assert!(matches!(absent, Error::Store(store::Error::NoPlatform { available, .. }) if available.len() == 2));

    // One image and an attestation about it leave no choice.
    let only = image("amd64");
    let unknown = Platform { os: "unknown".to_owned(), architecture: "unknown".to_owned(), variant: None };
    let mut config = ImageConfig::parse(&read(only.config())).unwrap();
    config.platform = unknown.clone();
    let attestation = manifest_of(&store, &config.to_bytes().unwrap(), only.layers()[0].blob.descriptor()).await;
    put_image(&store, &only, &CopyOptions::default()).await.unwrap();
    let children = [
        Descriptor { platform: Some(Platform::linux("amd64")), ..only.manifest().descriptor() },
        Descriptor { platform: Some(unknown), ..attestation.descriptor() },
    ];
    let index = serde_json::json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": children});
    let index = RawManifest::new(media_type::OCI_INDEX, index.to_string().into_bytes()).unwrap();
    store.put_manifest(&index).await.unwrap();
    let root = open(&format!("oci:{}@{}", directory.path().display(), index.digest()), None).await.unwrap();
    assert_eq!(root.image.unwrap().manifest, *only.manifest().digest());
}

fn read(blob: &Blob) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut blob.open(0).unwrap(), &mut bytes).unwrap();
    bytes
}

/// Puts a manifest of one layer with this config.
async fn manifest_of(store: &LayoutStore, config: &[u8], layer: &Descriptor) -> RawManifest {
    let config = Blob::from_bytes(media_type::OCI_CONFIG, config.to_vec());
    store.put_blob(&config).await.unwrap();
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config.descriptor(), "layers": [layer],
    });
    let manifest = ImageManifest::parse(manifest.to_string().as_bytes()).unwrap();
    let raw = RawManifest::from_image(&manifest).unwrap();
    store.put_manifest(&raw).await.unwrap();
    raw
}

#[tokio::test]
async fn what_is_no_root_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let store = LayoutStore::create(directory.path()).unwrap();
    let image = image("amd64");
    put_image(&store, &image, &tagged()).await.unwrap();
    let at = |raw: &RawManifest| format!("oci:{}@{}", directory.path().display(), raw.digest());
    // A config of two diff IDs with a manifest of one layer.
    let one = manifest_of(&store, &read(image.config()), image.layers()[0].blob.descriptor()).await;
    let error = open(&at(&one), None).await.unwrap_err();
    assert_eq!(error.to_string(), format!("image `{}` has 1 layers, but its config names 2", one.digest()));
    // An artifact.
    let empty = Blob::from_bytes(media_type::OCI_EMPTY, b"{}".to_vec());
    store.put_blob(&empty).await.unwrap();
    let artifact = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "artifactType": "application/x",
        "config": empty.descriptor(), "layers": [empty.descriptor()],
    });
    let artifact = RawManifest::new(media_type::OCI_MANIFEST, artifact.to_string().into_bytes()).unwrap();
    store.put_manifest(&artifact).await.unwrap();
    for platform in [None, Some("linux/amd64")] {
        let error = open(&at(&artifact), platform).await.unwrap_err();
        assert!(matches!(&error, Error::RootNotAnImage(root) if *root == at(&artifact)), "{error}");
    }
    // A layer that is not what the config says: the layer and the cause are named.
    let mut config = ImageConfig::parse(&read(image.config())).unwrap();
    config.rootfs.diff_ids.pop();
    config.rootfs.diff_ids[0] = image.layers()[1].diff_id.clone();
    let other = manifest_of(&store, &config.to_bytes().unwrap(), image.layers()[0].blob.descriptor()).await;
    let error = open(&at(&other), None).await.unwrap_err();
    let layer = &image.layers()[0].blob.descriptor().digest;
    assert_eq!(error.to_string(), format!("layer `{layer}` cannot be part of a root"));
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("but the config of the image says"), "{cause}");
    // A damaged blob in the layout.
    let blob = directory.path().join("blobs/sha256").join(layer.hex());
    let mut bytes = std::fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(&blob, bytes).unwrap();
    let error = open(&format!("oci:{}:v1", directory.path().display()), None).await.unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("its bytes have digest"), "{error:?}");
}
