//! Facts of ELF files that the tests make: every machine, linkage, note and mark.

#[path = "support/elf.rs"]
mod maker;

use coracle::analyze::analyze_program;
use coracle::diag::Severity;
use coracle::elf::{Class, ElfFacts, Endian, FloatAbi, Language, Libc, Linkage, Relro, SectionTable};
use maker::{ElfMaker, Machine};

fn facts(maker: &ElfMaker) -> ElfFacts {
    ElfFacts::parse(&maker.build()).unwrap()
}

/// The platform and the codes of the findings.
fn judged(maker: &ElfMaker) -> (String, Vec<&'static str>) {
    let analysis = analyze_program("bin/x", &maker.build());
    let platform = analysis.platform.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
    (platform, analysis.diagnostics.iter().map(|finding| finding.code.0).collect())
}

fn check(maker: &ElfMaker, platform: &str, codes: &[&str]) {
    let got = judged(maker);
    assert_eq!((got.0.as_str(), got.1.as_slice()), (platform, codes), "{maker:?}");
}

#[test]
fn every_machine() {
    for machine in Machine::ALL {
        let (code, wide, little, flags, platform) = machine.row();
        for (pie, linkage) in [(false, Linkage::Static), (true, Linkage::StaticPie)] {
            let maker = ElfMaker::new(machine).static_pie(pie);
            let got = facts(&maker);
            assert_eq!(got.machine.code(), code);
            assert_eq!(got.class, if wide { Class::Elf64 } else { Class::Elf32 });
            assert_eq!(got.endian, if little { Endian::Little } else { Endian::Big });
            assert_eq!((got.flags, got.linkage, got.hardening.pie), (flags, linkage, pie));
            assert_eq!((got.hardening.relro, got.hardening.nx), (Relro::None, Some(true)));
            assert!(got.entry_is_loaded && got.stripped && !got.debug_data);
            check(&maker, platform, &[]);
        }
    }
}

#[test]
fn requirements_of_a_static_program() {
    let analysis = analyze_program("target/x", &ElfMaker::new(Machine::Arm64).build());
    let json = serde_json::to_string(&analysis.requirements).unwrap();
    assert!(!json.contains("target/x"), "the path of the building machine is in a reason: {json}");
    assert!(json.contains(r#"{"source":"PT_INTERP","value":"absent"}"#), "{json}");
    let program = analysis.into_program().unwrap();
    assert_eq!((program.platform.to_string().as_str(), program.requirements.len()), ("linux/arm64", 1));
}

#[test]
fn linkage() {
    let base = || ElfMaker::new(Machine::Amd64);
    let interp = "/lib64/ld-linux-x86-64.so.2";
    for (maker, linkage, codes) in [
        (base(), Linkage::Static, &[][..]),
        (base().static_pie(true), Linkage::StaticPie, &[]),
        // No DF_1_PIE, as linkers before binutils 2.26 had it, but an entry and no library's name.
        (base().object_type(3), Linkage::StaticPie, &[]),
        (base().interp(interp).needed("libc.so.6"), Linkage::Dynamic, &[]),
        (base().static_pie(true).interp(interp).needed("libc.so.6"), Linkage::DynamicPie, &[]),
        (base().static_pie(true).interp(interp), Linkage::DynamicPie, &[]),
        (base().object_type(3).interp(interp).needed("libc.so.6"), Linkage::DynamicPie, &[]),
        (base().static_pie(true).needed("libc.so.6"), Linkage::DynamicPie, &["B051"]),
        (base().needed("libc.so.6"), Linkage::Dynamic, &["B051"]),
        (base().object_type(3).soname("libx.so.1"), Linkage::SharedLibrary, &["B032"]),
        (base().object_type(3).needed("libc.so.6"), Linkage::SharedLibrary, &["B032"]),
        (base().object_type(1), Linkage::None, &["B030"]),
        (base().object_type(4), Linkage::None, &["B031"]),
        (base().object_type(0xfe00), Linkage::None, &["B033"]),
    ] {
        assert_eq!(facts(&maker).linkage, linkage, "{maker:?}");
        assert_eq!(judged(&maker).1, codes, "{maker:?}");
    }
}

#[test]
fn needs_without_an_interpreter_are_refused() {
    let maker = ElfMaker::new(Machine::Amd64).static_pie(true).needed("libssl.so.3").needed("lib\u{1}odd.so");
    let analysis = analyze_program("./server", &maker.build());
    assert_eq!(
        analysis.diagnostics[0].to_string(),
        "error[B051]: `./server`: the program needs the libraries `libssl.so.3`, `lib\\x01odd.so` but names no interpreter \
         that would load them\n  DT_NEEDED: libssl.so.3\n  DT_NEEDED: lib\\x01odd.so\n  \
         hint: link it again as a static or as a dynamic program"
    );
    assert!(analysis.is_refused() && analysis.requirements.is_empty());
    assert_eq!(analysis.into_program().unwrap_err()[0].severity, Severity::Error);
}

#[test]
fn notes() {
    let base = ElfMaker::new(Machine::S390x);
    let tag = [0u32, 3, 2, 0].map(|word| base.u32(word)).concat();
    let got = facts(&base.note("GNU", 1, &tag).note("GNU", 3, &[0x0a, 0xff]).note("FDO", 0xcafe_1a7e, b"{\"a\":1}\0"));
    assert_eq!(got.notes.build_id.as_deref(), Some("0aff"));
    assert_eq!(got.notes.abi_tag.map(|tag| (tag.os, tag.kernel)), Some((0, [3, 2, 0])));
    assert_eq!(got.notes.package.unwrap().as_bytes(), b"{\"a\":1}");
    assert_eq!(got.toolchain.libc, Some(Libc::Glibc));
}

/// A property note of one property with a 32-bit value; the note segment of the maker has 4-byte alignment, as
/// GNU ld wrote before 2018, while the property itself is padded to 8 bytes.
fn property(maker: ElfMaker, kind: u32, value: u32) -> ElfMaker {
    let content = [maker.u32(kind), maker.u32(4), maker.u32(value), [0; 4]].concat();
    maker.note("GNU", 5, &content)
}

#[test]
fn x86_levels() {
    for (bits, platform, codes) in [
        (0, "linux/amd64", &[][..]),
        (1, "linux/amd64", &[]),
        (3, "linux/amd64/v2", &["B061"]),
        (7, "linux/amd64/v3", &["B061"]),
        (8, "linux/amd64/v4", &["B061"]),
        (0xf0, "linux/amd64", &[]),
    ] {
        check(&property(ElfMaker::new(Machine::Amd64), 0xc000_8002, bits), platform, codes);
    }
    let cet = facts(&property(ElfMaker::new(Machine::Amd64), 0xc000_0002, 3)).notes.properties;
    assert!(cet.ibt && cet.shadow_stack && !cet.bti);
    let bti = facts(&property(ElfMaker::new(Machine::Arm64), 0xc000_0000, 1)).notes.properties;
    assert!(bti.bti && !bti.pac && !bti.ibt);
}

#[test]
fn other_systems() {
    let base = || ElfMaker::new(Machine::Amd64);
    let hurd = [1u32.to_le_bytes(), [0; 4], [0; 4], [0; 4]].concat();
    for (maker, system) in [
        (base().os_abi(9), "FreeBSD"),
        (base().os_abi(2), "NetBSD"),
        (base().os_abi(12), "OpenBSD"),
        (base().os_abi(6), "Solaris"),
        (base().os_abi(255), "no system at all (standalone)"),
        (base().note("FreeBSD", 1, &[0; 4]), "FreeBSD"),
        (base().note("NetBSD", 1, &[0; 4]), "NetBSD"),
        (base().note("OpenBSD", 1, &[0; 4]), "OpenBSD"),
        (base().note("GNU", 1, &hurd), "GNU Hurd"),
        (base().interp("/libexec/ld-elf.so.1"), "FreeBSD"),
        (base().interp("/usr/libexec/ld.elf_so"), "NetBSD"),
        (base().interp("/usr/libexec/ld.so"), "OpenBSD"),
        (base().interp("/lib/amd64/ld.so.1"), "Solaris or illumos"),
        (base().interp("/system/bin/linker64"), "Android"),
        (go(base(), "build\tGOOS=dragonfly\n", true), "dragonfly"),
    ] {
        let analysis = analyze_program("x", &maker.build());
        let finding = &analysis.diagnostics[0];
        assert_eq!(finding.code.0, "B040");
        assert_eq!(finding.message, format!("the binary is for another operating system: {system}"));
        assert!(!finding.evidence.is_empty() && analysis.platform.is_none());
    }
    check(&base().os_abi(3), "linux/amd64", &[]);
}

#[test]
fn abis_without_a_platform() {
    // e_machine stands at 18, e_flags of a 32-bit file at 36, of a 64-bit one at 48.
    let patched = |machine: Machine, changes: &[(usize, u8)]| {
        let mut bytes = ElfMaker::new(machine).build();
        changes.iter().for_each(|&(at, byte)| bytes[at] = byte);
        let analysis = analyze_program("x", &bytes);
        (analysis.diagnostics[0].code.0, analysis.diagnostics[0].message.clone())
    };
    for (machine, changes, abi) in [
        (Machine::I386, &[(18, 62)][..], "x32 (32-bit addresses on x86-64)"),
        (Machine::I386, &[(18, 183)], "32-bit little-endian aarch64"),
        (Machine::I386, &[(18, 243)], "32-bit little-endian riscv"),
        (Machine::Ppc64le, &[(48, 1)], "64-bit little-endian ppc64"),
        (Machine::Mipsle, &[(36, 0x20)], "32-bit little-endian mips"),
        (Machine::Ppc64, &[(19, 43)], "64-bit big-endian sparcv9"),
        (Machine::Amd64, &[(18, 247)], "64-bit little-endian bpf"),
        (Machine::Amd64, &[(18, 0xe0), (19, 0x27)], "64-bit little-endian machine-10208"),
    ] {
        assert_eq!(patched(machine, changes), ("B041", format!("there is no image platform for {abi}")));
    }
}

#[test]
fn arm_versions() {
    let got = facts(&ElfMaker::new(Machine::ArmV7)).arm.unwrap();
    assert_eq!((got.cpu_arch, got.vfp_args, got.float_abi), (Some(10), true, Some(FloatAbi::Hard)));
    let got = facts(&ElfMaker::new(Machine::ArmV5)).arm.unwrap();
    assert_eq!((got.cpu_arch, got.vfp_args, got.float_abi), (Some(4), false, Some(FloatAbi::Soft)));

    // Without attributes the float ABI decides, and is said to: the section headers are cut off and unnamed.
    let bare = |machine, flags: [u8; 4]| {
        let mut bytes = ElfMaker::new(machine).build();
        bytes[32..36].fill(0);
        bytes[48..50].fill(0);
        bytes[36..40].copy_from_slice(&flags);
        let analysis = analyze_program("x", &bytes);
        (analysis.platform.unwrap().to_string(), analysis.diagnostics.iter().map(|d| d.code.0).collect::<Vec<_>>())
    };
    assert_eq!(bare(Machine::ArmV6, [0, 2, 0, 5]), ("linux/arm/v5".to_owned(), vec!["B060"]));
    assert_eq!(bare(Machine::ArmV6, [0, 4, 0, 5]), ("linux/arm/v7".to_owned(), vec!["B060"]));
    assert_eq!(bare(Machine::ArmV6, [0, 0, 0, 5]), ("linux/arm/v7".to_owned(), vec!["B060"]));

    // Linked C code may need more than the Go code around it.
    check(&go(ElfMaker::new(Machine::ArmV7), "build\tGOARM=5\n", true), "linux/arm/v7", &[]);
    check(&go(ElfMaker::new(Machine::ArmV5), "build\tGOARM=6,softfloat\n", true), "linux/arm/v6", &[]);
}

/// Go build information, in a section or only in the loaded data.
fn go(maker: ElfMaker, settings: &str, section: bool) -> ElfMaker {
    let modules = format!(
        "path\texample.com/x/cmd\nmod\texample.com/x\tv1.2.3\th1:abc=\ndep\ta.org/b\tv0.1.0\th1:old=\n\
         =>\tc.org/d\tv0.2.0\th1:new=\ndep\te.org/f\tv2.0.0\th1:f=\nbuild\tCGO_ENABLED=0\n{settings}"
    );
    let mut info = b"\xff Go buildinf:\x08\x02".to_vec();
    info.resize(32, 0);
    for text in [b"go1.26.8".to_vec(), [&[0x30; 16][..], modules.as_bytes(), &[0xf9; 16]].concat()] {
        assert!(text.len() < 1 << 14);
        info.extend(if text.len() < 128 {
            vec![text.len() as u8]
        } else {
            vec![(text.len() & 0x7f) as u8 | 0x80, (text.len() >> 7) as u8]
        });
        info.extend(text);
    }
    if section { maker.section(".go.buildinfo", 1, &info) } else { maker.payload(&info) }
}

#[test]
fn go_build_information() {
    let maker = go(ElfMaker::new(Machine::Amd64), "build\t-ldflags=\"-s -w\"\nbuild\tGOAMD64=v3\n", true);
    check(&maker, "linux/amd64/v3", &["B061"]);
    let toolchain = facts(&maker).toolchain;
    assert_eq!((toolchain.language, toolchain.version.as_deref()), (Some(Language::Go), Some("go1.26.8")));
    let build = toolchain.go.unwrap();
    assert_eq!(build.path.as_deref(), Some("example.com/x/cmd"));
    assert_eq!(build.main.map(|m| (m.path, m.version)), Some(("example.com/x".to_owned(), "v1.2.3".to_owned())));
    let modules: Vec<_> = build.dependencies.iter().map(|m| (m.path.as_str(), m.sum.as_deref())).collect();
    assert_eq!(modules, [("c.org/d", Some("h1:new=")), ("e.org/f", Some("h1:f="))]);
    assert_eq!(build.settings["-ldflags"], "-s -w");
}

#[test]
fn marks_of_toolchains() {
    let base = || ElfMaker::new(Machine::Amd64);
    let rust = b"called `Option::unwrap()` on a `None` value";
    let tag = [0u8; 16];
    for (maker, language, libc, nss) in [
        (base(), None, None, false),
        (base().payload(rust).payload(b"No error information\0"), Some(Language::Rust), Some(Libc::Musl), false),
        (base().payload(b"glibc-ld.so.cache1.1\0"), None, Some(Libc::Glibc), false),
        (base().note("GNU", 1, &tag), None, Some(Libc::Glibc), false),
        (base().note("GNU", 1, &tag).payload(b"libnss_%s.so%s\0"), None, Some(Libc::Glibc), true),
        (base().payload(b"attempt to unwrap error: "), Some(Language::Zig), None, false),
        (base().note("Go", 4, b"a/b/c"), Some(Language::Go), None, false),
        (base().interp("/lib/ld-musl-x86_64.so.1"), None, Some(Libc::Musl), false),
    ] {
        let got = facts(&maker).toolchain;
        assert_eq!((got.language, got.libc, got.nss), (language, libc, nss), "{maker:?}");
    }
    // A mark across two windows of the search, and one that both ends of the constants are too far from.
    let far = |before: usize, behind: usize| {
        facts(&base().payload(&vec![b'x'; before]).payload(rust).payload(&vec![b'x'; behind])).toolchain.language
    };
    for distance in (64 << 10) - 300..(64 << 10) - 100 {
        assert_eq!(far(distance, 0), Some(Language::Rust), "{distance}");
    }
    assert_eq!((far(20 << 20, 0), far(0, 20 << 20)), (Some(Language::Rust), Some(Language::Rust)));
    assert_eq!(far(10 << 20, 10 << 20), None);
}

#[test]
fn static_glibc_with_name_service() {
    let maker = ElfMaker::new(Machine::Amd64).note("GNU", 1, &[0; 16]).payload(b"libnss_%s.so%s\0");
    check(&maker, "linux/amd64", &["B062"]);
    let program = analyze_program("x", &maker.build()).into_program().unwrap();
    let subjects = serde_json::to_value(&program.requirements).unwrap();
    assert_eq!(subjects[1]["subject"]["value"], "/etc/nsswitch.conf");
    assert_eq!(subjects[1]["reason"]["rule"], "static-glibc-nss");
}

#[test]
fn protections() {
    // The first segment's flags stand at 64 + 4, the stack's 56 bytes further.
    let mut bytes = ElfMaker::new(Machine::Amd64).build();
    bytes[68] = 7;
    bytes[68 + 56] = 7;
    let analysis = analyze_program("x", &bytes);
    assert_eq!(analysis.diagnostics.iter().map(|d| d.code.0).collect::<Vec<_>>(), ["B064", "B066"]);
    assert!(!analysis.is_refused());
    let hardening = analysis.facts.unwrap().hardening;
    assert_eq!((hardening.nx, hardening.writable_executable_segments), (Some(false), 1));
}

#[test]
fn symbols_and_sections() {
    let base = || ElfMaker::new(Machine::Ppc64);
    let got =
        facts(&base().section(".symtab", 2, &[0; 24]).section(".debug_info", 1, b"x").section(".dep-v0", 1, b"z"));
    assert!(!got.stripped && got.debug_data && got.toolchain.rust_audit_data);
    assert_eq!(got.sections, SectionTable::Present);
    assert_eq!(facts(&base()).sections, SectionTable::Absent);
}
