//! Packing a layer: `cargo bench --bench pack`. The frozen encoders are `Gzip(5)`, `Zstd(3)` and `Stored`.

use std::path::Path;
use std::sync::Arc;

use coracle::analyze::{Confidence, Reason};
use coracle::blob::{BlobSource, BytesSource, FileSource};
use coracle::layer::{Codec, PackOptions, pack_with};
use coracle::observe::Silent;
use coracle::oci::ImagePath;
use coracle::plan::{Entry, EntryKind, FileContent, LayerPlan};
use divan::Bencher;
use divan::counter::BytesCount;

const CODECS: &[Codec] = &[
    Codec::Stored,
    Codec::Gzip(1),
    Codec::Gzip(3),
    Codec::Gzip(4),
    Codec::Gzip(5),
    Codec::Gzip(6),
    Codec::Gzip(9),
    Codec::Zstd(1),
    Codec::Zstd(3),
    Codec::Zstd(6),
];

/// Compressing threads.
const THREADS: &[usize] = &[1, 2];

fn main() {
    divan::main();
}

fn file(path: &str, size: u64, source: Arc<dyn BlobSource>) -> Entry {
    Entry {
        path: ImagePath::parse(path).expect("a valid path"),
        kind: EntryKind::File(FileContent::external(size, source)),
        mode: 0o555,
        uid: 0,
        gid: 0,
        xattrs: std::collections::BTreeMap::new(),
        owner: None,
        reason: Reason::new("bench", "bench", Confidence::Asserted),
    }
}

fn measure(bencher: Bencher, entries: Vec<Entry>, codec: Codec, threads: usize) {
    let plan = LayerPlan { name: "bench".to_owned(), entries };
    let pack = || pack_with(&plan, 0, codec, &PackOptions { threads }, &Silent, &mut std::io::sink()).expect("packs");
    bencher.counter(BytesCount::new(pack().tar_size)).bench_local(pack);
}

/// The cargo that builds this: a Rust program of some 40 MB.
#[divan::bench(args = CODECS, consts = THREADS, sample_count = 5, sample_size = 1)]
fn program<const N: usize>(bencher: Bencher, codec: Codec) {
    let path = Path::new(env!("CARGO"));
    let size = path.metadata().expect("cargo is there").len();
    measure(bencher, vec![file("app/cargo", size, Arc::new(FileSource::new(path)))], codec, N);
}

/// Ten thousand files of 2 KiB: what a file costs beside its bytes.
#[divan::bench(args = [Codec::Stored, Codec::Gzip(5), Codec::Zstd(3)], consts = THREADS, sample_count = 5, sample_size = 1)]
fn small_files<const N: usize>(bencher: Bencher, codec: Codec) {
    let files = (0..10_000u32).map(|number| {
        let bytes: Vec<u8> =
            (0..512u32).flat_map(|word| word.wrapping_mul(word).wrapping_mul(number + 1).to_le_bytes()).collect();
        file(&format!("{number:05}"), 2048, Arc::new(BytesSource::new(bytes)))
    });
    measure(bencher, files.collect(), codec, N);
}
