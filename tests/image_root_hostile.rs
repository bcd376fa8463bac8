//! Layers that are damaged or made to harm: each is refused by its cause, within bounds, and nothing is left behind.

#[path = "support/archives.rs"]
mod archives;
#[path = "support/images.rs"]
mod images;
#[path = "support/stacks.rs"]
mod stacks;

use std::error::Error as _;
use std::path::Path;

use archives::{Header, pax, plain, record, records};
use coracle::blob::{Blob, BytesSource, Layer};
use coracle::image::{Error, ImageRoot, RootLimits};
use coracle::observe::{Event, Observer, Silent};
use coracle::oci::{Descriptor, DiffId, Digest, ImagePath, media_type};
use coracle::rootfs::{Root, RootError, resolve};
use coracle::store::{LayoutStore, Store};
use stacks::{described, dir, file, hard, layer, link, special, tar};

fn open_with(layers: &[Layer], limits: RootLimits) -> Result<ImageRoot, Error> {
    ImageRoot::open(layers, "test", &std::env::temp_dir(), limits, &Silent)
}

fn cause(opened: Result<ImageRoot, Error>) -> String {
    let error = opened.expect_err("it is refused");
    error.source().unwrap().to_string()
}

fn refused(entries: &[Vec<u8>], want: &str) {
    let cause = cause(open_with(&[layer(&tar(entries), 0)], RootLimits::default()));
    assert!(cause.contains(want), "`{cause}` is not `{want}`");
}

#[test]
fn names_that_no_image_has() {
    refused(&[file("../x", "")], "leads out of the image");
    refused(&[file("a/../../x", "")], "leads out of the image");
    refused(&[file("/..", "")], "leads out of the image");
    refused(&[hard("x", "../y")], "is no path of the image");
    refused(&[file("x", ""), hard("x", "x")], "is the link itself");
    refused(&[file("", "")], "has no name");
    refused(&[pax(b'x', record("path", "a\0b").as_bytes()), file("x", "")], "NUL byte");
    refused(&[records(b'x', &[("path", &"n/".repeat(2100))]), file("x", "")], "too long");
    refused(&[file("d/.wh.", "")], "hides no file");
    refused(&[file("d/.wh...", "")], "hides no file");
    refused(&[file("./", "")], "entry for `/` is not a directory");
    refused(&[Header::new(b'9', "odd", 0).block()], "type flag `9`");
    refused(&[link("l", "")], "without a target");
}

#[test]
fn blobs_that_are_not_what_they_say() {
    let good = tar(&[file("a", "a")]);
    let gzip = images::gzip(&good);
    let promised = |descriptor: Descriptor, bytes: &[u8]| Layer {
        blob: Blob::new(descriptor, std::sync::Arc::new(BytesSource::new(bytes.to_vec()))),
        diff_id: DiffId(Digest::of(&good)),
    };
    let of = |bytes: &[u8]| Descriptor::of(media_type::OCI_LAYER_GZIP, bytes);
    let check = |layer: Layer, want: &str| {
        let cause = cause(open_with(&[layer], RootLimits::default()));
        assert!(cause.contains(want), "`{cause}` is not `{want}`");
    };
    let other = images::gzip(&tar(&[file("b", "b")]));
    check(promised(Descriptor { size: other.len() as u64, ..of(&gzip) }, &other), "its bytes have digest");
    check(promised(of(&gzip), &gzip[..gzip.len() - 1]), "other than the");
    check(promised(of(&gzip), &[&gzip[..], b"x"].concat()), "other than the");
    check(promised(of(b"plain"), b"plain"), "compressed stream is damaged");
    check(promised(of(&good), &good), "compressed stream is damaged");
    check(promised(of(&images::gzip(b"no tar")), &images::gzip(b"no tar")), "sound tar");
    check(promised(Descriptor::of("application/x-strange", &gzip), &gzip), "application/x-strange");
    assert!(open_with(&[promised(of(&gzip), &gzip)], RootLimits::default()).is_ok());
}

#[test]
fn bombs_and_endless_layers_end_at_the_bounds() {
    // A ratio that no deflate stream has.
    let zeros = zstd::encode_all(std::io::Read::take(std::io::repeat(0), 200 << 20), 1).unwrap();
    assert!(zeros.len() < 64 << 10);
    let blob = Blob::from_bytes(media_type::OCI_LAYER_ZSTD, zeros);
    let bomb = Layer { blob, diff_id: DiffId(Digest::of(b"")) };
    assert!(cause(open_with(&[bomb], RootLimits::default())).contains("unpacks to more than"));
    // The bound is one of all layers together.
    let bulky = tar(&[file("bulky", &"x".repeat(300 << 10))]);
    let limits = RootLimits { unpacked_bytes: 500 << 10, ..RootLimits::default() };
    assert!(open_with(&[layer(&bulky, 0)], limits).is_ok());
    for turn in 0..3 {
        let cause = cause(open_with(&[layer(&bulky, 0), layer(&bulky, turn)], limits));
        assert!(cause.contains("more than 512000 bytes of unpacked layers"), "{cause}");
    }
    let few = RootLimits { nodes: 1000, ..RootLimits::default() };
    let many = |count: usize| tar(&(0..count).map(|i| file(format!("f{i}"), "")).collect::<Vec<_>>());
    assert!(open_with(&[layer(&many(1000), 0)], few).is_ok());
    assert!(cause(open_with(&[layer(&many(1001), 0)], few)).contains("1000 files and directories"));
    // Directories that are only implied count, as does what is hidden or replaced.
    let deep = tar(&[records(b'x', &[("path", &"d/".repeat(1100))]), file("x", "")]);
    assert!(cause(open_with(&[layer(&deep, 0)], few)).contains("1000 files and directories"));
    let (some, hidden) = (many(600), tar(&[file(".wh..wh..opq", "")]));
    let again = cause(open_with(&[layer(&some, 0), layer(&hidden, 0), layer(&some, 0)], few));
    assert!(again.contains("1000 files and directories"), "{again}");
    let short = RootLimits { text_bytes: 3000, ..RootLimits::default() };
    let named = tar(&[file("x".repeat(90), ""), link("y", "z".repeat(90))]);
    assert!(open_with(&[layer(&named, 0)], short).is_ok());
    let long = tar(&[records(b'x', &[("linkpath", &"t".repeat(3000))]), link("y", "z")]);
    assert!(cause(open_with(&[layer(&long, 0)], short)).contains("3000 bytes of names"));
    let map = tar(&(0..90).map(|i| stacks::sparse(&format!("s{i}"))).collect::<Vec<_>>());
    assert!(cause(open_with(&[layer(&map, 0)], short)).contains("3000 bytes of names"));
}

#[test]
fn hostile_trees_stay_inside_of_the_image() {
    let secret = tempfile::tempdir().unwrap();
    std::fs::write(secret.path().join("secret"), "secret").unwrap();
    let outside = secret.path().join("secret").display().to_string();
    let entries = [
        dir("d/", 0o755),
        link("d/up", "../../../../../../.."),
        link("d/host", &outside),
        link("d/loop", "loop"),
        link("d/a", "b/x"),
        link("d/b", "a/x"),
        file("/etc/passwd", "of the image"),
        file(&outside, "of the image"),
        special(b'6', "d/fifo"),
        special(b'3', "d/null"),
        special(b'4', "d/disk"),
    ];
    let over = [file("d/up/d/written", "inside"), hard("d/linked", "d/host"), file("d/host", "not through the link")];
    let root = open_with(&[layer(&tar(&entries), 1), layer(&tar(&over), 2)], RootLimits::default()).unwrap();
    let all = described(&root);
    assert_eq!(all["/d/written"], "file 0644 inside");
    assert_eq!(all["/d/host"], "file 0644 not through the link");
    assert_eq!((&*all["/d/fifo"], &*all["/d/null"], &*all["/d/disk"]), ("special", "special", "special"));
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "secret");
    let content = |path: &str| {
        let found = resolve(&root, path.as_bytes()).unwrap().unwrap();
        coracle::rootfs::read_whole(&root, &found.path, 100).unwrap()
    };
    for path in ["/d/up/etc/passwd", "/../../etc/passwd", "/d/linked", &outside] {
        assert_eq!(content(path), b"of the image", "{path}");
    }
    for path in ["/d/loop", "/d/a", "/d/b/c"] {
        assert!(matches!(resolve(&root, path.as_bytes()), Err(RootError::TooManyLinks(_))), "{path}");
    }
}

#[tokio::test]
async fn a_plain_layer_of_this_machine_is_read_in_place() {
    let directory = tempfile::tempdir().unwrap();
    let plain = layer(&tar(&[file("a", &"a".repeat(9000)), file("b", "b")]), 1);
    let store = LayoutStore::create(&directory.path().join("layout")).unwrap();
    store.put_blob(&plain.blob).await.unwrap();
    let stored = Layer { blob: store.get_blob(plain.blob.descriptor()).await.unwrap(), diff_id: plain.diff_id.clone() };
    let nowhere = Path::new("/nonexistent/directory");
    let open =
        |layer: &Layer| ImageRoot::open(std::slice::from_ref(layer), "test", nowhere, RootLimits::default(), &Silent);
    // Without a directory for temporary files there is no other way.
    let root = open(&stored).unwrap();
    assert_eq!(described(&root).len(), 3);
    let gzip = cause(open(&layer(&tar(&[file("a", "a")]), 0)));
    assert!(gzip.contains("`/nonexistent/directory`"), "{gzip}");
    // Cut short after it was verified: content is missing, and that is said.
    let (path, start) = stored.blob.place().unwrap();
    assert_eq!(start, 0);
    let opened = root.open(&ImagePath::parse("a").unwrap()).unwrap();
    std::fs::File::options().write(true).open(path).unwrap().set_len(2000).unwrap();
    assert!(opened.read_at(0, 9000).is_none() && opened.read_at(0, 1000).is_some());
    let mut stream = root.stream(&ImagePath::parse("a").unwrap(), 0).unwrap();
    let error = std::io::copy(&mut stream, &mut std::io::sink()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    // Changed before: it is not what its digest says.
    let path = path.to_owned();
    let mut bytes = tar(&[file("a", &"a".repeat(9000)), file("b", "b")]);
    bytes[600] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(cause(open(&stored)).contains("its bytes have digest"));
    // Something else than a file in its place.
    std::fs::remove_file(&path).unwrap();
    assert!(cause(open(&stored)).contains("cannot be read"));
    assert!(store.get_blob(plain.blob.descriptor()).await.is_err());
}

/// Stops the work after some events.
struct Stopping(std::sync::atomic::AtomicUsize);

impl Observer for Stopping {
    fn event(&self, _: Event<'_>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    fn cancelled(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::Relaxed) > 2
    }
}

#[test]
fn stopping_ends_it_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let noise: String =
        (0..400_000u32).map(|i| char::from(b'a' + (i.wrapping_mul(2_654_435_761) >> 27) as u8 % 26)).collect();
    let layers = [layer(&tar(&[plain("noise", noise.as_bytes())]), 1)];
    let open =
        |observer: &dyn Observer| ImageRoot::open(&layers, "test", directory.path(), RootLimits::default(), observer);
    let stopped = open(&Stopping(0.into()));
    assert!(matches!(stopped, Err(Error::Cancelled)), "{stopped:?}");
    let root = open(&Silent).unwrap();
    // Temporary files have no name, neither after an error nor in use.
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    assert_eq!(root.open(&ImagePath::parse("noise").unwrap()).unwrap().len(), 400_000);
}
