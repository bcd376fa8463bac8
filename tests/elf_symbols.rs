//! Undefined dynamic symbols: of real files beside what `readelf` says, and of files that are broken on purpose.

#[path = "support/elf.rs"]
mod maker;
#[path = "support/peers.rs"]
mod peers;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use coracle::elf::{self, FileKind, Name};
use coracle::limits;
use coracle::rootfs::HostFile;
use maker::{ElfMaker, Hash, Machine};

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

fn names(bytes: &[u8]) -> Vec<String> {
    elf::imports(&bytes).unwrap().iter().map(ToString::to_string).collect()
}

fn maker(machine: Machine, hash: Hash) -> ElfMaker {
    let maker = ElfMaker::new(machine).object_type(3).soname("libself.so").hash(hash);
    maker.symbol("own", true).symbol("getpwnam", false).symbol("dlopen", false).symbol("other", true)
}

#[test]
fn every_machine_and_hash_table() {
    for machine in Machine::ALL {
        for hash in [Hash::SysV, Hash::Gnu, Hash::Absent] {
            assert_eq!(names(&maker(machine, hash).build()), ["dlopen", "getpwnam"], "{machine:?} {hash:?}");
            let only =
                ElfMaker::new(machine).hash(hash).symbol("puts", false).symbol("puts", false).symbol("exit", false);
            assert_eq!(names(&only.build()), ["exit", "puts"], "{machine:?} {hash:?}");
        }
        assert_eq!(names(&ElfMaker::new(machine).build()), Vec::<String>::new());
    }
}

/// readelf finds the symbols of files without section headers too, when it is told to.
#[test]
fn made_files_are_what_readelf_says() {
    let Some(peer) = peers::find("readelf") else { return };
    let dir = tempfile::tempdir().unwrap();
    for (machine, hash) in [
        (Machine::Mips, Hash::SysV),
        (Machine::Ppc64, Hash::SysV),
        (Machine::S390x, Hash::SysV),
        (Machine::Mips, Hash::Gnu),
        (Machine::Arm64, Hash::Gnu),
    ] {
        let path = dir.path().join("file");
        std::fs::write(&path, maker(machine, hash).build()).unwrap();
        let output = Command::new(&peer).args(["-W", "-D", "-s"]).arg(&path).env("LC_ALL", "C").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let undefined = |line: &&str| line.contains(" UND ");
        let mut told: Vec<&str> =
            text.lines().filter(undefined).filter_map(|line| line.split(" UND ").nth(1)).collect();
        told.retain(|name| !name.trim().is_empty());
        told.sort_unstable();
        assert_eq!(told, ["dlopen", "getpwnam"], "{machine:?} {hash:?}: {text}");
    }
}

#[test]
fn section_headers_never_matter() {
    let good =
        maker(Machine::Amd64, Hash::Gnu).section(".dynsym", 11, b"nonsense").section(".hash", 5, &[0xff; 64]).build();
    assert_eq!(names(&good), ["dlopen", "getpwnam"]);
    // e_shoff, e_shentsize and e_shnum with e_shstrndx.
    for (at, with) in [(40, &[0xff; 8][..]), (40, &[0; 8]), (58, &[1, 0]), (60, &[0xff; 4])] {
        let mut bytes = good.clone();
        bytes[at..at + with.len()].copy_from_slice(with);
        assert_eq!(names(&bytes), ["dlopen", "getpwnam"]);
    }
    let Some(file) = elf_files(&["/usr/lib"], 1).pop() else { return };
    let mut bytes = std::fs::read(file).unwrap();
    let whole = names(&bytes);
    bytes[40..48].fill(0xff);
    bytes[58..64].fill(0xff);
    assert_eq!(names(&bytes), whole);
}

/// Tables that claim too much, lead nowhere or never end.
#[test]
fn hostile_tables() {
    // A chain without end, to the end of the segment.
    let mut bytes = maker(Machine::Amd64, Hash::Gnu).payload(&[2; 4096]).build();
    let chain = memchr::memmem::find(&bytes, &[2, 0, 0, 0, 3, 0, 0, 0]).unwrap();
    bytes[chain + 4] = 2;
    assert_eq!(names(&bytes), ["dlopen", "getpwnam"], "up to the string table");
    // More buckets, and a larger filter, than the file has bytes.
    for (field, value) in [(0, u32::MAX), (0, 1 << 20), (8, u32::MAX), (4, u32::MAX)] {
        let mut bytes = maker(Machine::Amd64, Hash::Gnu).build();
        let at = chain - 28 + field;
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        assert_eq!(names(&bytes), ["dlopen", "getpwnam"], "{field}");
    }
    // A DT_HASH that claims more than there is: what lies behind is no symbol with a name.
    let mut bytes = maker(Machine::Mips, Hash::SysV).build();
    let at = memchr::memmem::find(&bytes, &[0, 0, 0, 1, 0, 0, 0, 5]).unwrap();
    bytes[at + 4..at + 8].fill(0xff);
    assert!(["dlopen", "getpwnam"].iter().all(|name| names(&bytes).iter().any(|got| got == name)));
    // More symbols than any linker makes: said, after no more than a look at the count.
    let mut bytes = maker(Machine::Amd64, Hash::SysV).build();
    let at = memchr::memmem::find(&bytes, &[1, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0]).unwrap();
    bytes[at + 4..at + 8].fill(0xff);
    let file = Sparse { bytes, len: 1 << 40 };
    assert!(matches!(elf::imports(&file), Err(elf::Error::SymbolTableSize(limits::MAX_DYNAMIC_SYMBOLS))));
    // Every name is the same long string's end: they are not kept without bound.
    let long = "x".repeat(limits::MAX_SYMBOL_NAME_BYTES + 1);
    assert_eq!(names(&ElfMaker::new(Machine::Amd64).symbol(&long, false).symbol("a", false).build()), ["a"]);
    for len in 0..bytes_of(Machine::Ppc64).len() {
        let _ = elf::imports(&bytes_of(Machine::Ppc64)[..len].as_ref());
    }
}

fn bytes_of(machine: Machine) -> Vec<u8> {
    maker(machine, Hash::Gnu).build()
}

/// A file whose only segment is said to reach over a terabyte of zeros.
struct Sparse {
    bytes: Vec<u8>,
    len: u64,
}

impl elf::Bytes for Sparse {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, len: usize) -> Option<std::borrow::Cow<'_, [u8]>> {
        let mut bytes = self.bytes.clone();
        // p_filesz and p_memsz of the first program header of a 64-bit file.
        bytes[96..104].copy_from_slice(&self.len.to_le_bytes());
        bytes[104..112].copy_from_slice(&self.len.to_le_bytes());
        let start = usize::try_from(offset).ok()?.min(bytes.len());
        let mut window = bytes[start..bytes.len().min(start + len)].to_vec();
        window.resize(len, 0);
        (offset.checked_add(len as u64)? <= self.len).then_some(window.into())
    }
}

/// Every byte changed in several ways: no panic, and names that stand in the file.
#[test]
fn mutations() {
    for (machine, hash) in [(Machine::Mips, Hash::SysV), (Machine::Amd64, Hash::Gnu), (Machine::S390x, Hash::Absent)] {
        let good = maker(machine, hash).build();
        for at in 0..good.len() {
            for with in [0, 1, 0x7f, 0x80, 0xff, good[at] ^ 1, good[at].wrapping_add(1)] {
                let mut bytes = good.clone();
                bytes[at] = with;
                for name in elf::imports(&bytes).unwrap_or_default() {
                    assert!(memchr::memmem::find(&bytes, name.as_bytes()).is_some());
                }
            }
        }
    }
}
