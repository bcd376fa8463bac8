//! Owners of files: `cargo bench --bench packages`, for this machine and for the root that `CORACLE_DEBIAN_ROOT` names.

use std::path::PathBuf;

use coracle::oci::ImagePath;
use coracle::rootfs::DirRoot;
use coracle::rootfs::packages::Packages;
use divan::Bencher;

fn main() {
    divan::main();
}

/// `/`, or the other root where one is given.
#[derive(Debug, Clone, Copy)]
enum Of {
    Machine,
    DebianRoot,
}

fn root(of: Of) -> DirRoot {
    let other = std::env::var_os("CORACLE_DEBIAN_ROOT").filter(|_| matches!(of, Of::DebianRoot));
    DirRoot::open(&other.map_or_else(|| PathBuf::from("/"), PathBuf::from)).expect("a root")
}

#[divan::bench(args = [Of::Machine, Of::DebianRoot])]
fn read(bencher: Bencher, of: Of) {
    let root = root(of);
    bencher.bench(|| Packages::read(&root).expect("a readable root"));
}

#[divan::bench(args = [Of::Machine, Of::DebianRoot])]
fn owner(bencher: Bencher, of: Of) {
    let (packages, _) = Packages::read(&root(of)).expect("a readable root");
    let path = ImagePath::parse("usr/lib/x86_64-linux-gnu/libc.so.6").expect("a valid path");
    bencher.bench(|| packages.owner(divan::black_box(&path)).is_some());
}

#[divan::bench(args = [Of::Machine, Of::DebianRoot])]
fn metadata(bencher: Bencher, of: Of) {
    let root = root(of);
    let (packages, _) = Packages::read(&root).expect("a readable root");
    let names = ["libc.so.6", "libm.so.6", "libz.so.1.2.13", "libssl.so.3", "libcrypto.so.3", "libstdc++.so.6.0.30"];
    let path = |name: &str| ImagePath::parse(format!("usr/lib/x86_64-linux-gnu/{name}")).expect("a valid path");
    let copied = names.map(path);
    bencher.bench(|| packages.metadata(&root, &copied).expect("a readable root"));
}
