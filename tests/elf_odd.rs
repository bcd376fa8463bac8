//! Files that are no programs, and ELF files that are broken on purpose: each has its own finding, none a panic, and
//! none makes the reader ask for more than its bounds.

#[path = "support/elf.rs"]
mod maker;

use std::borrow::Cow;
use std::cell::Cell;
use std::path::Path;

use coracle::analyze::analyze_program;
use coracle::elf::{self, Bytes, ElfFacts, SectionTable};
use coracle::limits;
use coracle::rootfs::{self, HostFile};
use maker::{ElfMaker, Machine};

#[test]
fn kinds_of_files() {
    let tar = [&[b'n'; 257][..], b"ustar\x0000"].concat();
    let jar = [&b"PK\x03\x04"[..], &[0; 26], b"META-INF/"].concat();
    for (bytes, code, word) in [
        (&b""[..], "B001", "empty"),
        (b"#!/bin/sh\necho\n", "B002", "script for `/bin/sh`"),
        (b"#! /usr/bin/env python3", "B002", "script for `/usr/bin/env`"),
        (b"#!", "B002", "script for ``"),
        (b"\0asm\x01\0\0\0", "B003", "WebAssembly module"),
        (b"\0asm\x0d\0\x01\0", "B003", "WebAssembly component"),
        (b"MZ\x90\0", "B004", "PE"),
        (b"\xfe\xed\xfa\xce", "B005", "Mach-O"),
        (b"\xcf\xfa\xed\xfe\x07\0\0\x01", "B005", "Mach-O"),
        (b"\xca\xfe\xba\xbe\0\0\0\x02", "B005", "universal"),
        (b"\xbe\xba\xfe\xca\x02\0\0\0", "B005", "universal"),
        (b"\xca\xfe\xba\xbe\0\0\0\x41", "B006", "Java class"),
        (&jar, "B006", "Java archive"),
        (b"!<arch>\nx.o/", "B007", "`ar` archive"),
        (b"!<thin>\n", "B007", "`ar` archive"),
        (b"!<arch>\ndebian-binary   ", "B008", "Debian package"),
        (b"\xed\xab\xee\xdb\x03", "B008", "RPM"),
        (b"\x1f\x8b\x08", "B008", "gzip"),
        (b"\xfd7zXZ\0", "B008", "xz"),
        (b"\x28\xb5\x2f\xfd\x04", "B008", "zstd"),
        (b"BZh91AY", "B008", "bzip2"),
        (b"PK\x03\x04rest", "B008", "zip"),
        (&tar, "B008", "tar"),
        (b"hello: world\n", "B009", "text"),
        ("grüße ä".as_bytes(), "B009", "text"),
        (b"BC\xc0\xde", "B010", "bitcode"),
        (&[0; 4096], "B010", "zero bytes"),
        (b"\x01\x02\x03\xff", "B010", "not known"),
        (b"\x7fELF", "B020", "ELF header needs 16 bytes of a file that has 4"),
    ] {
        let analysis = analyze_program("some/file", &bytes);
        let [finding] = analysis.diagnostics.as_slice() else { panic!("{bytes:?}: {:?}", analysis.diagnostics) };
        assert_eq!(finding.code.0, code, "{bytes:?}");
        assert!(finding.message.contains(word), "{}", finding.message);
        assert!(finding.hint.is_some() && analysis.is_refused() && analysis.requirements.is_empty());
    }
}

#[test]
fn only_regular_files_are_opened() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    let refused = |path: &Path| HostFile::open(path).unwrap_err().to_string();
    for (path, what) in [
        (dir.path(), "a directory"),
        (&fifo, "a FIFO"),
        (&dir.path().join("socket"), "a socket"),
        (Path::new("/dev/null"), "a device"),
    ] {
        assert_eq!(refused(path), format!("`{}` is {what}, not a regular file", path.display()));
    }
    assert!(matches!(HostFile::open(&dir.path().join("absent")), Err(rootfs::Error::Open { .. })));

    let bytes = ElfMaker::new(Machine::RiscV64).build();
    let path = dir.path().join("program");
    std::fs::write(&path, &bytes).unwrap();
    std::os::unix::fs::symlink("program", dir.path().join("link")).unwrap();
    let file = HostFile::open(&dir.path().join("link")).unwrap();
    assert_eq!(analyze_program("x", &file), analyze_program("x", &bytes));
    assert!(file.read_at(bytes.len() as u64 - 1, 2).is_none() && file.read_at(u64::MAX, 1).is_none());

    // Cut short after it was opened: what is gone cannot be read, and that is said.
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    assert_eq!(analyze_program("x", &file).diagnostics[0].code.0, "B011");
}

/// Counts what the reader asks for.
struct Counting<'a> {
    bytes: &'a [u8],
    /// Length that is claimed; what lies beyond the bytes reads as zeros.
    len: u64,
    largest: Cell<usize>,
    total: Cell<u64>,
}

impl<'a> Counting<'a> {
    fn new(bytes: &'a [u8], len: u64) -> Self {
        Self { bytes, len, largest: Cell::new(0), total: Cell::new(0) }
    }
}

impl Bytes for Counting<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, len: usize) -> Option<Cow<'_, [u8]>> {
        if offset.checked_add(len as u64)? > self.len {
            return None;
        }
        self.largest.set(self.largest.get().max(len));
        self.total.set(self.total.get() + len as u64);
        let mut window = vec![0; len];
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.bytes.len());
        let there = &self.bytes[start..self.bytes.len().min(start.saturating_add(len))];
        window[..there.len()].copy_from_slice(there);
        Some(Cow::Owned(window))
    }
}

/// Everything that one file may make the reader read: the search, and each part's own bound.
const TOTAL: u64 = limits::MAX_ELF_SCAN_BYTES * 2 + (8 << 20);

#[test]
fn a_terabyte_is_not_read() {
    // The first segment is said to be as large as the file: p_filesz and p_memsz stand at 64 + 32.
    let mut bytes = ElfMaker::new(Machine::Amd64).note("GNU", 1, &[0; 16]).build();
    let size = 1u64 << 40;
    bytes[96..104].copy_from_slice(&size.to_le_bytes());
    bytes[104..112].copy_from_slice(&size.to_le_bytes());
    let file = Counting::new(&bytes, size);
    assert!(!analyze_program("x", &file).is_refused());
    assert!(file.largest.get() <= limits::ELF_SCAN_WINDOW_BYTES, "{}", file.largest.get());
    assert!(file.total.get() <= TOTAL, "{}", file.total.get());
}

fn code(bytes: &[u8]) -> &'static str {
    let file = Counting::new(bytes, bytes.len() as u64);
    let analysis = analyze_program("x", &file);
    assert!(file.total.get() <= TOTAL, "{}", file.total.get());
    analysis.diagnostics.first().map_or("", |finding| finding.code.0)
}

fn patch(bytes: &[u8], at: usize, with: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    out[at..at + with.len()].copy_from_slice(with);
    out
}

#[test]
fn broken_headers() {
    let good = ElfMaker::new(Machine::Amd64).build();
    let max = u64::MAX.to_le_bytes();
    // Offsets of the 64-bit header: 4 class, 5 byte order, 16 type, 18 machine, 24 entry, 32 e_phoff, 54 e_phentsize,
    // 56 e_phnum; of its first program header at 64: 72 p_offset, 80 p_vaddr, 96 p_filesz, 104 p_memsz.
    for (at, with, want) in [
        (4, &[0][..], "B021"),
        (4, &[3], "B021"),
        (5, &[0], "B021"),
        (5, &[2], "B021"),
        (18, &[22, 0], "B021"),
        (18, &[2, 0], ""),
        (24, &[0; 8], "B034"),
        (24, &max, "B034"),
        (32, &max, "B020"),
        (32, &[0xff, 0xff, 0, 0], "B020"),
        (54, &[55, 0], "B022"),
        (54, &[0, 0], "B022"),
        (56, &[0xff, 0xff], "B022"),
        (56, &[0, 0], "B034"),
        (56, &[100, 0], "B020"),
        (64, &[0; 4], "B034"),
        (72, &max, "B020"),
        (80, &max, "B034"),
        (96, &max, "B022"),
        (104, &[0; 8], "B022"),
    ] {
        // e_machine 2 is no machine that is known, which is no broken header.
        let want = if want.is_empty() { "B041" } else { want };
        assert_eq!(code(&patch(&good, at, with)), want, "{with:?} at {at}");
    }
    // 32-bit x86 that says it is 64-bit; every length of a valid file.
    assert_eq!(code(&patch(&good, 18, &[3, 0])), "B021");
    for len in 1..good.len() {
        let want = if len < 4 { "B010" } else { "B020" };
        assert!(len < 4 || code(&good[..len]) == want, "{len}");
    }
}

#[test]
fn wrong_byte_order_is_explained() {
    let message = |machine, with: &[u8], at| {
        let bytes = patch(&ElfMaker::new(machine).build(), at, with);
        ElfFacts::parse(&bytes).unwrap_err().to_string()
    };
    assert_eq!(
        message(Machine::Amd64, &[2], 5),
        "the header says big-endian, but its fields make sense only as little-endian (x86-64)"
    );
    assert_eq!(
        message(Machine::S390x, &[1], 5),
        "the header says little-endian, but its fields make sense only as big-endian (s390)"
    );
    // Fields and identification agree, but such programs do not exist.
    assert_eq!(
        message(Machine::Ppc64, &[0, 62], 18),
        "the header says big-endian, but x86-64 programs on Linux are little-endian"
    );
}

/// Offset of the dynamic section: the last program header's `p_offset`.
fn dynamic_at(bytes: &[u8]) -> usize {
    let count = usize::from(bytes[56]);
    let at = 64 + (count - 1) * 56;
    assert_eq!(bytes[at..at + 4], [2, 0, 0, 0]);
    u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize
}

#[test]
fn broken_dynamic_sections() {
    let good = ElfMaker::new(Machine::Amd64).static_pie(true).interp("/i").needed("libc.so.6").build();
    let at = dynamic_at(&good);
    // Entries: DT_NEEDED, DT_STRTAB, DT_STRSZ, DT_FLAGS_1, DT_NULL, 16 bytes each, the value in the second half.
    let max = u64::MAX.to_le_bytes();
    assert_eq!(code(&good), "");
    for (entry, with) in [(0, &max), (1, &max), (2, &[0; 8]), (2, &[2, 0, 0, 0, 0, 0, 0, 0])] {
        assert_eq!(code(&patch(&good, at + entry * 16 + 8, with)), "B023", "entry {entry}");
    }
    // The end mark is gone: the section ends with its segment.
    assert_eq!(code(&patch(&good, at + 4 * 16, &[0x17])), "");
    // Its address is mapped by nothing: as if there were none.
    let header = 64 + (usize::from(good[56]) - 1) * 56;
    assert_eq!(code(&patch(&good, header + 16, &max)), "");
    assert_eq!(ElfFacts::parse(&patch(&good, header + 16, &max)).unwrap().dynamic, None);
}

#[test]
fn too_many_names_and_entries() {
    // A thousand names of 4000 bytes are more than any program has.
    let mut maker = ElfMaker::new(Machine::Amd64).static_pie(true);
    let long = "x".repeat(4000);
    for _ in 0..1000 {
        maker = maker.needed(&long);
    }
    assert_eq!(code(&maker.build()), "B023");
    let mut maker = ElfMaker::new(Machine::Amd64).static_pie(true);
    for _ in 0..5000 {
        maker = maker.needed("a");
    }
    assert_eq!(code(&maker.build()), "B023");
    assert_eq!(code(&ElfMaker::new(Machine::Amd64).needed(&"y".repeat(4097)).build()), "B023");
    assert_eq!(code(&ElfMaker::new(Machine::Amd64).needed(&"y".repeat(4096)).build()), "B051");
}

#[test]
fn sections_never_matter() {
    let good = ElfMaker::new(Machine::Amd64).section(".comment", 1, b"GCC\0").build();
    // 40 e_shoff, 58 e_shentsize, 60 e_shnum, 62 e_shstrndx.
    for (at, with) in
        [(40, &[0xff; 8][..]), (40, &[0xff, 0xff, 0, 0]), (58, &[1, 0]), (60, &[0xff, 0xff]), (62, &[9, 9])]
    {
        let bytes = patch(&good, at, with);
        let analysis = analyze_program("x", &bytes);
        assert_eq!(analysis.diagnostics.iter().map(|d| d.code.0).collect::<Vec<_>>(), ["B063"], "{with:?} at {at}");
        assert_eq!(analysis.facts.as_ref().unwrap().sections, SectionTable::Broken);
        assert_eq!(analysis.into_program().unwrap().platform.to_string(), "linux/amd64");
    }
    // Every section header in turn is set to nonsense: facts that matter stay the same.
    let table = u32::from_le_bytes(good[40..44].try_into().unwrap()) as usize;
    let fine = ElfFacts::parse(&good).unwrap();
    for at in table..good.len() {
        let got = ElfFacts::parse(&patch(&good, at, &[0xff])).unwrap();
        assert_eq!((got.linkage, got.entry, got.loaded_segments), (fine.linkage, fine.entry, fine.loaded_segments));
    }
}

#[test]
fn notes_that_do_not_fit_are_left_out() {
    let good = ElfMaker::new(Machine::Amd64).note("GNU", 3, &[1; 20]).note("GNU", 1, &[0; 16]).build();
    let at = memchr::memmem::find(&good, b"GNU\0").unwrap() - 12;
    for size in [0u32, 1, 3, u32::MAX, u32::MAX - 3, 0x7fff_ffff] {
        for field in [0, 4] {
            let bytes = patch(&good, at + field, &size.to_le_bytes());
            assert_eq!(ElfFacts::parse(&bytes).unwrap().entry, ElfFacts::parse(&good).unwrap().entry);
        }
    }
    // Properties whose sizes lead nowhere.
    for size in [0u32, 3, u32::MAX] {
        let content = [0xc000_8002u32.to_le_bytes(), size.to_le_bytes(), [7, 0, 0, 0], [0; 4]].concat();
        let maker = ElfMaker::new(Machine::Amd64).note("GNU", 5, &content);
        let level = ElfFacts::parse(&maker.build()).unwrap().notes.properties.x86_isa_needed;
        assert_eq!(level, None, "{size}");
    }
    let mut many = ElfMaker::new(Machine::Amd64);
    for _ in 0..limits::MAX_NOTES {
        many = many.note("X", 1, b"");
    }
    assert_eq!(ElfFacts::parse(&many.note("GNU", 3, &[1]).build()).unwrap().notes.build_id, None);
}

#[test]
fn broken_arm_attributes() {
    let good = ElfMaker::new(Machine::ArmV6).build();
    let at = memchr::memmem::find(&good, b"aeabi\0").unwrap();
    let end = at + 6 + 9;
    for place in at - 5..end {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let analysis = analyze_program("x", &patch(&good, place, &[byte]));
            assert!(analysis.platform.unwrap().to_string().starts_with("linux/arm/v"), "{byte} at {place}");
        }
    }
}

#[test]
fn broken_go_build_information() {
    let mut info = b"\xff Go buildinf:\x08\x02".to_vec();
    info.resize(32, 0);
    let parse = |tail: &[u8], flags: u8| {
        let mut info = info.clone();
        info[15] = flags;
        info.extend_from_slice(tail);
        let maker = ElfMaker::new(Machine::Amd64).section(".go.buildinfo", 1, &info);
        ElfFacts::parse(&maker.build()).unwrap().toolchain.go.map(|go| go.version)
    };
    assert_eq!(parse(b"\x04go1x", 2).as_deref(), Some("go1x"));
    assert_eq!(parse(b"\x00", 2), None);
    assert_eq!(parse(&[0xff; 16], 2), None);
    assert_eq!(parse(&[0xff, 0xff, 0xff, 0x7f], 2), None);
    // Pointers to nothing, as before Go 1.18.
    assert_eq!(parse(&[0xff; 16], 0), None);
}

/// Every byte of small files, changed in several ways, and many random files: no panic, bounded reading.
#[test]
fn mutations() {
    let makers = [
        ElfMaker::new(Machine::Amd64)
            .static_pie(true)
            .interp("/i")
            .needed("a")
            .needed("b")
            .soname("c")
            .note("GNU", 5, &[7; 16]),
        ElfMaker::new(Machine::ArmV7).note("GNU", 1, &[0; 16]).section(".comment", 1, b"rustc version 1\0"),
        ElfMaker::new(Machine::Mips64).static_pie(true).needed("a"),
    ];
    for bytes in makers.iter().map(ElfMaker::build) {
        for at in 0..bytes.len() {
            for with in [0, 1, 0x7f, 0x80, 0xff, bytes[at] ^ 1, bytes[at].wrapping_add(1)] {
                code(&patch(&bytes, at, &[with]));
            }
            code(&patch(&bytes[..at.next_multiple_of(8).min(bytes.len())], 0, &[]));
        }
    }
    // A generator of its own, so that a failure can be repeated.
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let base = makers[0].build();
    for _ in 0..20_000 {
        let mut bytes = base.clone();
        for _ in 0..1 + next() % 8 {
            let at = usize::try_from(next()).unwrap() % bytes.len();
            bytes[at] = next().to_le_bytes()[0];
        }
        code(&bytes);
    }
}

#[test]
fn errors_name_the_place() {
    let good = ElfMaker::new(Machine::Arm64).payload(&[0; 512]).build();
    let size = good.len() as u64;
    assert_eq!(
        ElfFacts::parse(&good[..300].to_vec()),
        Err(elf::Error::Truncated { part: "a loaded segment", needed: size, size: 300 })
    );
    assert_eq!(ElfFacts::parse(&b"no".to_vec()), Err(elf::Error::NotElf));
}
