//! Facts of programs that real toolchains make, beside what `readelf` says of the same files.

#[path = "support/elf.rs"]
mod maker;
#[path = "support/peers.rs"]
mod peers;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use coracle::analyze::{Analysis, analyze_program};
use coracle::elf::{Class, ElfFacts, Endian, FileKind, Language, Libc, Linkage, ObjectType};
use coracle::rootfs::HostFile;
use maker::{ElfMaker, Machine};

fn skip(what: &str) {
    let _ = writeln!(std::io::stdout(), "skipped: {what}");
}

fn analyze(path: &Path) -> Analysis {
    analyze_program("program", &HostFile::open(path).unwrap())
}

fn codes(analysis: &Analysis) -> Vec<&'static str> {
    analysis.diagnostics.iter().map(|finding| finding.code.0).collect()
}

fn platform(analysis: &Analysis) -> String {
    analysis.platform.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string)
}

/// Whether the command ends well; what it prints is of no interest.
fn works(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// What `readelf` prints about one file, as lines.
fn readelf(peer: &Path, file: &Path) -> Vec<String> {
    let output = Command::new(peer).args(["-hldnW"]).arg(file).env("LC_ALL", "C").output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().map(|line| line.trim().to_owned()).collect()
}

/// The text behind the first `mark`, up to `end` or the end of the line.
fn after<'a>(lines: &'a [String], mark: &str, end: char) -> Vec<&'a str> {
    lines
        .iter()
        .filter_map(|line| line.split_once(mark))
        .map(|(_, rest)| rest.split(end).next().unwrap().trim())
        .collect()
}

/// Compares facts with `readelf`, field by field.
fn compare(peer: &Path, file: &Path) {
    let facts = ElfFacts::parse(&HostFile::open(file).unwrap()).unwrap();
    let lines = readelf(peer, file);
    let one = |mark: &str| after(&lines, mark, '\n').first().map(ToString::to_string).unwrap_or_default();
    let name = file.display();
    assert_eq!(one("Class:"), if facts.class == Class::Elf64 { "ELF64" } else { "ELF32" }, "{name}");
    assert_eq!(one("Data:").contains("little endian"), facts.endian == Endian::Little, "{name}");
    let kind = match facts.object_type {
        ObjectType::Executable => "EXEC",
        ObjectType::Shared => "DYN",
        // Notes of object files stand in sections only, which are not looked at for that.
        ObjectType::Relocatable => return,
        other => panic!("{name}: {other}"),
    };
    assert!(one("Type:").starts_with(kind), "{name}");
    assert_eq!(one("Entry point address:"), format!("{:#x}", facts.entry), "{name}");
    let flags = one("Flags:");
    assert_eq!(flags.split(',').next(), Some(format!("{:#x}", facts.flags).as_str()), "{name}: {flags}");
    let loads = lines.iter().filter(|line| line.starts_with("LOAD ")).count();
    assert_eq!(loads, facts.loaded_segments, "{name}");
    let interpreter = facts.interpreter.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(after(&lines, "[Requesting program interpreter: ", ']'), interpreter, "{name}");
    let needed: Vec<String> = facts.needed().iter().map(ToString::to_string).collect();
    assert_eq!(after(&lines, "Shared library: [", ']'), needed, "{name}");
    let dynamic = facts.dynamic.clone().unwrap_or_default();
    let soname = dynamic.soname.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(after(&lines, "Library soname: [", ']'), soname, "{name}");
    let flags_1 = one("(FLAGS_1)");
    assert_eq!(flags_1.split(' ').any(|flag| flag == "PIE"), dynamic.is_pie(), "{name}: {flags_1}");
    let now = flags_1.split(' ').any(|flag| flag == "NOW")
        || lines
            .iter()
            .any(|line| line.contains("(BIND_NOW)") || (line.contains("(FLAGS)") && line.contains("BIND_NOW")));
    assert_eq!(now, dynamic.bind_now, "{name}");
    let build_id: Vec<String> = facts.notes.build_id.clone().into_iter().collect();
    let mut told = after(&lines, "Build ID: ", '\n');
    // The same note is told for the section and for the segment.
    told.dedup();
    assert_eq!(told, build_id, "{name}");
    let mut kernels = after(&lines, "OS: Linux, ABI: ", '\n');
    kernels.dedup();
    let tag = facts.notes.abi_tag.filter(|tag| tag.os == 0);
    let kernel: Vec<String> = tag.map(|tag| tag.kernel.map(|n| n.to_string()).join(".")).into_iter().collect();
    assert_eq!(kernels, kernel, "{name}");
}

#[test]
fn made_files_are_what_readelf_says() {
    let Some(peer) = peers::find("readelf") else { return };
    let dir = tempfile::tempdir().unwrap();
    for machine in Machine::ALL {
        let base = || ElfMaker::new(machine);
        let tag = [0u32, 4, 15, 0].map(|word| base().u32(word)).concat();
        for (i, maker) in [
            base(),
            base().static_pie(true).note("GNU", 3, &[0xab; 20]).section(".comment", 1, b"x\0"),
            base().static_pie(true).interp("/lib/ld.so.1").needed("liba.so.1").needed("libb.so.2").note("GNU", 1, &tag),
            base().object_type(3).soname("libself.so.1"),
        ]
        .iter()
        .enumerate()
        {
            let path = dir.path().join(format!("{machine:?}-{i}"));
            std::fs::write(&path, maker.build()).unwrap();
            compare(&peer, &path);
        }
    }
}

#[test]
fn programs_of_this_machine_are_what_readelf_says() {
    let Some(peer) = peers::find("readelf") else { return };
    let mut files: Vec<PathBuf> = ["/usr/bin", "/usr/sbin", "/usr/lib"]
        .iter()
        .filter_map(|dir| std::fs::read_dir(dir).ok())
        .flat_map(|entries| entries.map(|entry| entry.unwrap().path()))
        .filter(|path| path.is_file())
        .filter(|path| HostFile::open(path).is_ok_and(|file| coracle::elf::classify(&file) == FileKind::Elf))
        .collect();
    files.sort();
    let step = files.len() / 40 + 1;
    files.iter().step_by(step).for_each(|file| compare(&peer, file));
}

const C: &str = "#include <stdio.h>\nint main(void) { perror(\"x\"); return 0; }\n";
const C_LOOKUP: &str = "#include <netdb.h>\n#include <stdio.h>\nint main(void) { perror(\"x\"); return gethostbyname(\"localhost\") == 0; }\n";

/// Compiler, flags, source, platform, linkage, C library, findings.
type CCase<'a> = (&'a str, &'a [&'a str], &'a Path, &'a str, Linkage, Option<Libc>, &'a [&'a str]);

#[test]
fn c_programs() {
    let dir = tempfile::tempdir().unwrap();
    let source = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (plain, lookup) = (source("plain.c", C), source("lookup.c", C_LOOKUP));
    let readelf = peers::find("readelf");
    let cases: &[CCase<'_>] = &[
        ("cc", &["-static", "-no-pie"], &plain, "linux/amd64", Linkage::Static, Some(Libc::Glibc), &[]),
        ("cc", &["-static-pie"], &plain, "linux/amd64", Linkage::StaticPie, Some(Libc::Glibc), &[]),
        ("cc", &["-static", "-s"], &lookup, "linux/amd64", Linkage::Static, Some(Libc::Glibc), &["B062"]),
        ("cc", &["-pie", "-fPIE"], &plain, "linux/amd64", Linkage::DynamicPie, Some(Libc::Glibc), &[]),
        ("cc", &["-no-pie"], &plain, "linux/amd64", Linkage::Dynamic, Some(Libc::Glibc), &[]),
        ("cc", &["-shared", "-fPIC"], &plain, "linux/amd64", Linkage::SharedLibrary, None, &["B032"]),
        ("cc", &["-static", "-z", "execstack"], &plain, "linux/amd64", Linkage::Static, Some(Libc::Glibc), &["B066"]),
        ("musl-gcc", &["-static"], &plain, "linux/amd64", Linkage::Static, Some(Libc::Musl), &[]),
        ("musl-gcc", &["-static", "-s"], &lookup, "linux/amd64", Linkage::Static, Some(Libc::Musl), &[]),
        ("musl-gcc", &[], &plain, "linux/amd64", Linkage::DynamicPie, Some(Libc::Musl), &[]),
        ("aarch64-linux-gnu-gcc", &["-static"], &plain, "linux/arm64", Linkage::Static, Some(Libc::Glibc), &[]),
        ("aarch64-linux-gnu-gcc", &[], &plain, "linux/arm64", Linkage::DynamicPie, Some(Libc::Glibc), &[]),
    ];
    for (compiler, flags, source, want, linkage, libc, findings) in cases {
        let native = *want == "linux/amd64";
        if native && std::env::consts::ARCH != "x86_64" {
            skip("native C programs are compared on x86-64 only");
            continue;
        }
        let Some(path) = peers::find(compiler) else { continue };
        let out = dir.path().join("out");
        if !works(Command::new(&path).args(*flags).arg("-o").arg(&out).arg(source)) {
            skip(&format!("{compiler} {} cannot link here", flags.join(" ")));
            continue;
        }
        let analysis = analyze(&out);
        let facts = analysis.facts.as_ref().unwrap();
        assert_eq!((platform(&analysis).as_str(), facts.linkage), (*want, *linkage), "{compiler} {flags:?}");
        assert_eq!(facts.toolchain.libc, *libc, "{compiler} {flags:?}");
        assert_eq!(codes(&analysis), *findings, "{compiler} {flags:?}");
        if let Some(readelf) = &readelf {
            compare(readelf, &out);
        }
        std::fs::remove_file(out).unwrap();
    }
}

#[test]
fn rust_programs() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("main.rs");
    std::fs::write(&source, "fn main() { println!(\"{:?}\", std::env::args().next()); }").unwrap();
    let Some(rustc) = peers::find("rustc") else { return };
    let target = "x86_64-unknown-linux-musl";
    let out = dir.path().join("out");
    for (args, linkage) in [
        (&["--target", target][..], Linkage::StaticPie),
        (&["--target", target, "-C", "relocation-model=static", "-C", "strip=symbols"], Linkage::Static),
    ] {
        if !works(Command::new(&rustc).args(args).arg("-o").arg(&out).arg(&source)) {
            skip(&format!("rustc cannot build for {target} here"));
            return;
        }
        let analysis = analyze(&out);
        let facts = analysis.facts.as_ref().unwrap();
        assert_eq!((platform(&analysis).as_str(), facts.linkage, codes(&analysis)), ("linux/amd64", linkage, vec![]));
        assert_eq!((facts.toolchain.language, facts.toolchain.libc), (Some(Language::Rust), Some(Libc::Musl)));
        assert!(facts.toolchain.version.as_ref().is_some_and(|version| version.starts_with("1.")), "{facts:?}");
    }
    // Without `.comment` and symbols the panic messages remain.
    let Some(strip) = peers::find("strip") else { return };
    assert!(works(Command::new(strip).args(["-R", ".comment"]).arg(&out)));
    let toolchain = analyze(&out).facts.unwrap().toolchain;
    assert_eq!((toolchain.language, toolchain.version), (Some(Language::Rust), None));
}

const GO: &str = "package main\n\nfunc main() { println(\"hello\") }\n";

/// `GOARCH`, one more setting, platform. The first three are always built; a port that was never built on a machine
/// takes the Go toolchain some ten seconds.
const PORTS: &[(&str, &str, &str)] = &[
    ("amd64", "", "linux/amd64"),
    ("amd64", "GOAMD64=v3", "linux/amd64/v3"),
    ("arm", "GOARM=6", "linux/arm/v6"),
    ("arm64", "", "linux/arm64"),
    ("arm", "GOARM=5", "linux/arm/v5"),
    ("arm", "GOARM=7", "linux/arm/v7"),
    ("riscv64", "", "linux/riscv64"),
    ("ppc64le", "", "linux/ppc64le"),
    ("s390x", "", "linux/s390x"),
    ("386", "", "linux/386"),
    ("loong64", "", "linux/loong64"),
    ("mips64le", "", "linux/mips64le"),
];

#[test]
fn go_programs() {
    let Some(go) = peers::find("go") else { return };
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("main.go"), GO).unwrap();
    std::fs::write(dir.path().join("go.mod"), "module example.com/hello\n\ngo 1.20\n").unwrap();
    let all = std::env::var("CORACLE_PEERS").is_ok_and(|tiers| tiers.split([',', ' ']).any(|tier| tier == "base"));
    if !all {
        skip("most Go ports, which are built when CORACLE_PEERS lists base");
    }
    let readelf = peers::find("readelf");
    for (arch, setting, want) in &PORTS[..if all { PORTS.len() } else { 3 }] {
        let out = dir.path().join("out");
        let mut command = Command::new(&go);
        command.args(["build", "-trimpath", "-o"]).arg(&out).arg(".").current_dir(&dir);
        command.envs([("GOOS", "linux"), ("GOARCH", arch), ("CGO_ENABLED", "0"), ("GOFLAGS", ""), ("GOWORK", "off")]);
        command.envs([("GOPROXY", "off"), ("GOTOOLCHAIN", "local")]);
        command.envs(setting.split_once('='));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

        let check = |path: &Path| {
            let analysis = analyze(path);
            let facts = analysis.facts.as_ref().unwrap();
            assert_eq!((platform(&analysis).as_str(), facts.linkage), (*want, Linkage::Static));
            assert_eq!(codes(&analysis), if *want == "linux/amd64/v3" { &["B061"][..] } else { &[] });
            let build = facts.toolchain.go.as_ref().unwrap();
            assert!(build.version.starts_with("go1."), "{build:?}");
            assert_eq!((build.path.as_deref(), build.settings["GOARCH"].as_str()), (Some("example.com/hello"), *arch));
        };
        check(&out);
        if let Some(readelf) = &readelf {
            compare(readelf, &out);
        }
        // Without section headers: e_shoff, e_shnum and e_shstrndx are set to zero.
        let mut bytes = std::fs::read(&out).unwrap();
        let (offset, counts) = if bytes[4] == 2 { (40..48, 60..64) } else { (32..36, 48..52) };
        bytes[offset].fill(0);
        bytes[counts].fill(0);
        let bare = dir.path().join("bare");
        std::fs::write(&bare, bytes).unwrap();
        check(&bare);
    }
}
