//! Searching an object for what the rules ask: `cargo bench --bench traits`.

use std::path::Path;

use coracle::analyze::rules::RuleSet;
use coracle::analyze::traits::{Needles, Traits};
use coracle::rootfs::HostFile;
use divan::Bencher;
use divan::counter::BytesCount;

fn main() {
    divan::main();
}

fn measure(bencher: Bencher, needles: &Needles) {
    // The cargo that builds this: a Rust program of some 40 MB.
    let file = HostFile::open(Path::new(env!("CARGO"))).expect("cargo is there");
    bencher.counter(BytesCount::new(file.metadata().len())).bench_local(|| Traits::read(&file, needles));
}

/// With the rules that are built in.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn rules(bencher: Bencher) {
    measure(bencher, RuleSet::builtin().needles());
}

/// With a number of paths, which are as long as those of real rules.
#[divan::bench(args = [0, 100, 1000], sample_count = 10, sample_size = 1)]
fn paths(bencher: Bencher, count: usize) {
    let texts = (0..count).map(|number| format!("/usr/share/{number}/data").into_bytes());
    measure(bencher, &Needles::new(texts.collect(), Vec::new()));
}

/// With one string that is too short to be sampled.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn shortest(bencher: Bencher) {
    measure(bencher, &Needles::new(vec![b"TZ=".to_vec()], Vec::new()));
}
