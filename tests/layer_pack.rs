//! Packing layers: round trips, and bytes that depend on nothing but the plan and the files.

#[path = "support/entries.rs"]
mod entries;

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use coracle::blob::{self, BlobSource, FileSource};
use coracle::layer::{Error, PackOptions, Packed, pack, pack_to_dir};
use coracle::observe::{Event, Observer, Silent};
use coracle::oci::{Digest, media_type};
use coracle::plan::{EncoderId, EntryKind, FileContent, LayerPlan};
use entries::{directory, entry, file, file_from, layer, program_like, symlink};

const ENCODERS: [EncoderId; 3] = [EncoderId::Gz1, EncoderId::Zst1, EncoderId::Tar];

fn packed(plan: &LayerPlan, encoder: EncoderId, threads: usize) -> (Packed, Vec<u8>) {
    let mut out = Vec::new();
    let packed = pack(plan, 0, encoder, &PackOptions { threads }, &Silent, &mut out).expect("packs");
    (packed, out)
}

fn failure(plan: &LayerPlan) -> Error {
    pack(plan, 0, EncoderId::Gz1, &PackOptions::default(), &Silent, &mut io::sink()).expect_err("must fail")
}

fn decompress(encoder: EncoderId, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match encoder {
        // `GzDecoder` reads one member only, so this also shows that there is no second one.
        EncoderId::Gz1 => flate2::read::GzDecoder::new(bytes).read_to_end(&mut out).map(drop),
        EncoderId::Zst1 => zstd::stream::copy_decode(bytes, &mut out),
        EncoderId::Tar => out.write_all(bytes),
    }
    .expect("a valid stream");
    out
}

fn several_blocks() -> LayerPlan {
    layer(vec![
        directory("app"),
        file("app/server", program_like(7, (3 << 20) + 12_345)),
        file("app/zeros", vec![0; 1 << 20]),
        file("app/empty", Vec::new()),
        symlink("app/current", "server"),
        directory("etc"),
        file("etc/passwd", *b"nonroot:x:65532:65532:nonroot:/:/sbin/nologin\n"),
    ])
}

#[test]
fn every_encoder_gives_the_same_tar_and_true_digests() {
    let plan = several_blocks();
    let (reference, tar) = packed(&plan, EncoderId::Tar, 1);
    assert_eq!(reference.diff_id.0, reference.descriptor.digest);
    for encoder in ENCODERS {
        let (packed, bytes) = packed(&plan, encoder, 2);
        assert!(decompress(encoder, &bytes) == tar, "{encoder}: another tar");
        assert_eq!(packed.descriptor.digest, Digest::of(&bytes), "{encoder}");
        assert_eq!(packed.descriptor.size, bytes.len() as u64, "{encoder}");
        assert_eq!(packed.diff_id.0, Digest::of(&tar), "{encoder}");
        assert_eq!(packed.tar_size, tar.len() as u64, "{encoder}");
        let files: Vec<String> = packed.files.iter().map(|(path, _, size)| format!("{path} {size}")).collect();
        assert_eq!(files, ["/app/empty 0", "/app/server 3158073", "/app/zeros 1048576", "/etc/passwd 46"]);
        let server = program_like(7, (3 << 20) + 12_345);
        assert_eq!(packed.files[1].1, Digest::of(&server), "{encoder}");
    }
    assert_eq!(packed(&plan, EncoderId::Gz1, 1).0.descriptor.media_type, media_type::OCI_LAYER_GZIP);
    assert_eq!(packed(&plan, EncoderId::Zst1, 1).0.descriptor.media_type, media_type::OCI_LAYER_ZSTD);
    assert_eq!(reference.descriptor.media_type, media_type::OCI_LAYER);
}

#[test]
fn bytes_do_not_depend_on_threads_or_chance() {
    let plan = several_blocks();
    for encoder in ENCODERS {
        let (_, first) = packed(&plan, encoder, 1);
        for threads in [1, 2, 3, 8, 8, 0] {
            assert!(packed(&plan, encoder, threads).1 == first, "{encoder} with {threads} threads");
        }
    }
}

/// A source that gives its bytes in pieces of odd sizes.
#[derive(Debug)]
struct Dribble(Vec<u8>, AtomicU64);

impl BlobSource for Dribble {
    fn open(&self, _: u64) -> Result<Box<dyn Read + Send>, blob::Error> {
        let step = self.1.fetch_add(1, Ordering::Relaxed) % 7 + 1;
        Ok(Box::new(Pieces { bytes: self.0.clone(), at: 0, step: step as usize * 1009 }))
    }
}

struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    step: usize,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let now = self.step.min(into.len()).min(self.bytes.len() - self.at);
        into[..now].copy_from_slice(&self.bytes[self.at..self.at + now]);
        self.at += now;
        Ok(now)
    }
}

#[test]
fn bytes_do_not_depend_on_how_the_source_reads() {
    let bytes = program_like(3, 2 << 20);
    let whole = layer(vec![file("a", bytes.clone())]);
    let pieces = layer(vec![file_from("a", bytes.len() as u64, Dribble(bytes, AtomicU64::new(0)))]);
    for encoder in ENCODERS {
        let first = packed(&whole, encoder, 1).1;
        assert!(packed(&pieces, encoder, 2).1 == first, "{encoder}");
        assert!(packed(&pieces, encoder, 3).1 == first, "{encoder}");
    }
}

#[test]
fn blocks_end_anywhere() {
    // Contents that end just before, at and behind a block boundary, header and end blocks included.
    for size in [0usize, 1, 511, 512, (1 << 20) - 1536, (1 << 20) - 1535, (1 << 20) - 512, 1 << 20, (2 << 20) - 1536] {
        let bytes = program_like(size as u64, size);
        let plan = layer(vec![file("a", bytes.clone())]);
        for encoder in ENCODERS {
            let tar = decompress(encoder, &packed(&plan, encoder, 2).1);
            assert_eq!(tar.len(), 512 + size.next_multiple_of(512) + 1024, "{encoder} {size}");
            assert!(tar[512..512 + size] == bytes, "{encoder} {size}");
        }
    }
}

#[test]
fn refuses_a_layer_that_breaks_its_promises() {
    let plain = |entries| LayerPlan { name: "app".to_owned(), entries };
    for (entries, want) in [
        (vec![directory("b"), directory("a")], "the layer's entry `/a` is not in order: it comes after `/b`"),
        (vec![directory("a"), file("a", [])], "the layer has two entries for `/a`"),
        (
            vec![file("a", []), file("a/b/c", [])],
            "the layer's entry `/a/b/c` lies below `/a`, which is not a directory",
        ),
        (
            vec![symlink("a", "b"), file("a/c", [])],
            "the layer's entry `/a/c` lies below `/a`, which is not a directory",
        ),
        (vec![file("", [])], "the root of the layer is not a directory"),
        (vec![symlink("a", "")], "the target of the symbolic link `/a` is empty"),
        (vec![symlink("a", "b\0c")], "the target of the symbolic link `/a` has a NUL byte"),
    ] {
        assert_eq!(failure(&plain(entries)).to_string(), want);
    }
    let mut odd = file("a", []);
    odd.xattrs.insert("user.a=b".to_owned(), Vec::new());
    let want = "the extended attribute `user.a=b` of `/a` has a name that a tar archive cannot hold";
    assert_eq!(failure(&plain(vec![odd])).to_string(), want);
}

#[test]
fn notices_a_file_that_is_replaced_by_another_of_its_size() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("program");
    std::fs::write(&path, program_like(1, 10_000)).expect("writes");
    let plan = layer(vec![file_from("a", 10_000, FileSource::new(&path))]);
    // As an update of a package does it between the look and the packing.
    std::fs::write(dir.path().join("new"), program_like(2, 10_000)).expect("writes");
    std::fs::rename(dir.path().join("new"), &path).expect("renames");
    assert!(matches!(failure(&plan), Error::Replaced { .. }));
    let plan = layer(vec![file_from("a", 10_000, FileSource::new(&path))]);
    let file = std::fs::OpenOptions::new().write(true).open(&path).expect("opens");
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).expect("sets the time");
    assert!(matches!(failure(&plan), Error::Replaced { .. }));
}

#[test]
fn notices_a_file_that_changes() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("program");
    std::fs::write(&path, program_like(1, 10_000)).expect("writes");
    for claimed in [9_999, 10_001, 0] {
        let plan = layer(vec![file_from("a", claimed, FileSource::new(&path))]);
        assert!(matches!(failure(&plan), Error::Changed { expected, .. } if expected == claimed));
    }
    let gone = layer(vec![file_from("a", 5, FileSource::new(&dir.path().join("gone")))]);
    assert!(matches!(failure(&gone), Error::Open { .. }));

    let mut content = FileContent::generated(b"planned".to_vec());
    content.source = Arc::new(blob::BytesSource::new(b"another".to_vec()));
    let error = failure(&layer(vec![entry("a", EntryKind::File(content))]));
    assert!(matches!(&error, Error::Content { expected, .. } if *expected == Digest::of(b"planned")), "{error}");
}

/// Says stop after some bytes have been packed, and counts them.
struct StopAfter(u64, AtomicU64);

impl Observer for StopAfter {
    fn event(&self, event: Event<'_>) {
        if let Event::Advance { bytes, .. } = event {
            self.1.fetch_add(bytes, Ordering::SeqCst);
        }
    }

    fn cancelled(&self) -> bool {
        self.1.load(Ordering::SeqCst) >= self.0
    }
}

#[test]
fn stops_when_asked_and_reports_every_byte() {
    let plan = layer(vec![file("a", vec![7; 20 << 20])]);
    let options = PackOptions { threads: 2 };
    let observer = StopAfter(2 << 20, AtomicU64::new(0));
    let error = pack(&plan, 0, EncoderId::Gz1, &options, &observer, &mut io::sink()).expect_err("stops");
    assert!(matches!(error, Error::Cancelled), "{error}");
    assert!(observer.1.load(Ordering::SeqCst) < 10 << 20, "it went on");

    let patient = StopAfter(u64::MAX, AtomicU64::new(0));
    let packed = pack(&plan, 0, EncoderId::Gz1, &options, &patient, &mut io::sink()).expect("packs");
    assert_eq!(patient.1.load(Ordering::SeqCst), packed.tar_size);
}

/// A sink that is full after some bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.0 {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.0 -= bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_sink_ends_the_work() {
    let plan = several_blocks();
    for encoder in ENCODERS {
        for room in [0, 5, 500_000] {
            let error =
                pack(&plan, 0, encoder, &PackOptions { threads: 3 }, &Silent, &mut Full(room)).expect_err("full");
            assert!(matches!(&error, Error::Write(e) if e.kind() == io::ErrorKind::StorageFull), "{encoder}: {error}");
        }
    }
}

#[test]
fn spooled_layers_live_as_long_as_their_blob() {
    let dir = tempfile::tempdir().expect("a directory");
    let plan = several_blocks();
    let files = || std::fs::read_dir(dir.path()).expect("lists").count();
    let (packed, blob) =
        pack_to_dir(&plan, 0, EncoderId::Gz1, &PackOptions::default(), &Silent, dir.path()).expect("packs");
    assert_eq!(blob.descriptor(), &packed.descriptor);
    for offset in [0, 1000] {
        let mut bytes = Vec::new();
        blob.open(offset).expect("opens").read_to_end(&mut bytes).expect("reads");
        assert_eq!(bytes.len() as u64, packed.descriptor.size - offset);
    }
    let copy = blob.clone();
    drop(blob);
    assert_eq!(files(), 1);
    drop(copy);
    assert_eq!(files(), 0, "the file stays behind");

    let broken = layer(vec![file_from("a", 7, blob::BytesSource::new(b"short".to_vec()))]);
    pack_to_dir(&broken, 0, EncoderId::Gz1, &PackOptions::default(), &Silent, dir.path()).expect_err("must fail");
    assert_eq!(files(), 0, "a failure leaves its file behind");
    let nowhere = dir.path().join("nowhere");
    let error = pack_to_dir(&plan, 0, EncoderId::Gz1, &PackOptions::default(), &Silent, &nowhere).expect_err("fails");
    assert_eq!(error.to_string(), format!("cannot write the layer to `{}`", nowhere.display()));
}
