//! Undefined dynamic symbols beside what `readelf` says.

#[path = "support/peers.rs"]
mod peers;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use coracle::elf::{self, FileKind, Name};
use coracle::rootfs::HostFile;

/// The undefined symbols that `readelf` prints for each of the files, in their order.
fn told(peer: &Path, files: &[PathBuf]) -> Vec<BTreeSet<Vec<u8>>> {
    let output = Command::new(peer).args(["-W", "--dyn-syms"]).args(files).env("LC_ALL", "C").output().unwrap();
    let mut all = Vec::new();
    for line in output.stdout.split(|&b| b == b'\n') {
        if line.starts_with(b"File: ") {
            all.push(BTreeSet::new());
        }
        // Number, value, size, type, binding, visibility, section, name; versions stand behind the name.
        let fields: Vec<&[u8]> = line.split(|&b| b == b' ').filter(|field| !field.is_empty()).collect();
        let undefined = fields.get(6) == Some(&&b"UND"[..]) && fields.get(4) != Some(&&b"LOCAL"[..]);
        let name = fields.get(7).filter(|_| undefined).and_then(|name| name.split(|&b| b == b'@').next());
        if let (Some(symbols), Some(name)) = (all.last_mut(), name.filter(|name| !name.is_empty())) {
            symbols.insert(name.to_vec());
        }
    }
    all
}

fn is_elf(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_file())
        && HostFile::open(path).is_ok_and(|file| elf::classify(&file) == FileKind::Elf)
}

/// Up to `most` ELF files below the directories, evenly chosen.
fn elf_files(dirs: &[&str], most: usize) -> Vec<PathBuf> {
    let walk = dirs.iter().flat_map(|dir| walkdir::WalkDir::new(dir).sort_by_file_name().into_iter().flatten());
    let named = |path: &Path| path.extension().is_none() || path.to_string_lossy().contains(".so");
    let files: Vec<PathBuf> = walk.map(walkdir::DirEntry::into_path).filter(|path| named(path)).collect();
    let files: Vec<PathBuf> = files.into_iter().filter(|path| is_elf(path)).collect();
    let step = files.len() / most + 1;
    files.into_iter().step_by(step).collect()
}

#[test]
fn files_of_this_machine_are_what_readelf_says() {
    let Some(peer) = peers::find("readelf") else { return };
    let files = elf_files(&["/usr/bin", "/usr/lib"], 400);
    let mut count = 0;
    for files in files.chunks(50) {
        let told = told(&peer, files);
        // One file prints no heading.
        if files.len() == 1 {
            continue;
        }
        assert_eq!(told.len(), files.len());
        for (file, want) in files.iter().zip(told) {
            let got = elf::imports(&HostFile::open(file).unwrap()).unwrap();
            assert!(got.is_sorted_by(|a, b| a < b));
            let got: BTreeSet<Vec<u8>> = got.iter().map(Name::as_bytes).map(<[u8]>::to_vec).collect();
            assert_eq!(got, want, "{}", file.display());
            count += want.len();
        }
    }
    assert!(files.len() < 50 || count > 1000, "{count} symbols in {} files", files.len());
}
