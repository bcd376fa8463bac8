//! The readers of dpkg's database.
#![cfg_attr(fuzzing, no_main)]

use coracle::oci::ImagePath;
use coracle::rootfs::MemoryRoot;
use coracle::rootfs::packages::{Metadata, Packages, dpkg, parse_alternatives};

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));

/// The input is up to four files, parted by NUL: status, a package's list, its checksums, diversions. No input makes a reader
/// panic; what a package is said to own is in its list, and the stanzas that are written are read again as they were.
pub fn run(data: &[u8]) {
    let mut parts = data.splitn(4, |b| *b == 0);
    let mut part = || parts.next().unwrap_or_default();
    let (status, list, sums, diversions) = (part(), part(), part(), part());
    assert!(dpkg::parse_list(list).all(|path| !path.is_empty()));
    assert!(dpkg::parse_md5sums(sums).all(|(sum, path)| sum.len() == 32 && !path.is_empty()));
    assert!(dpkg::parse_conffiles(status).all(|(path, sum)| !path.is_empty() && sum.len() == 32));
    assert!(parse_alternatives(b"name", data).len() <= data.len());
    let parsed = dpkg::parse_status(status);
    let path = |text: &str| ImagePath::parse(text).unwrap();
    let mut root = MemoryRoot::new();
    root.add_file(&path("var/lib/dpkg/status"), status, 0o644);
    root.add_file(&path("var/lib/dpkg/diversions"), diversions, 0o644);
    for package in &parsed.packages {
        for (suffix, bytes) in [("list", list), ("md5sums", sums)] {
            root.add_file(&path(&format!("var/lib/dpkg/info/{}.{suffix}", package.name)), bytes, 0o644);
        }
    }
    let (packages, _) = Packages::read(&root).unwrap();
    assert_eq!(packages.all().len(), parsed.packages.len());
    let copied: Vec<ImagePath> = dpkg::parse_list(list).filter_map(|p| ImagePath::parse(p).ok()).collect();
    let found = packages.metadata(&root, &copied).unwrap().files;
    for (file, metadata) in found {
        let Metadata::Generated(bytes) = metadata else { continue };
        if !file.as_bytes().ends_with(b".md5sums") {
            let again = dpkg::parse_status(&bytes);
            assert_eq!((again.packages.len(), again.skipped), (1, 0), "{file}");
            assert_eq!(dpkg::without_state(&bytes), bytes);
        }
    }
}
