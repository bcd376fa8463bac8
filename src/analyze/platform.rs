//! From machine, flags and attributes to the platform names of images.

use crate::diag::{Diagnostic, Evidence, Severity};
use crate::elf::{Class, ElfFacts, Endian, FloatAbi, Machine};
use crate::oci::Platform;

use super::codes;

/// `EF_MIPS_ABI2`: 64-bit registers with 32-bit addresses (n32).
const MIPS_N32: u32 = 0x20;
/// Bits of `e_flags` that number the ABI of 64-bit PowerPC.
const PPC64_ABI: u32 = 3;

/// A platform, what it rests on, and what is worth saying about it.
pub(super) struct Judged {
    pub platform: Platform,
    pub evidence: Vec<Evidence>,
    pub findings: Vec<Diagnostic>,
}

/// Names the platform, with the names of `GOARCH` for which Go, and so every container runtime, exists. `Err` tells for
/// which ABI there is no name.
pub(super) fn judge(name: &str, facts: &ElfFacts) -> Result<Judged, String> {
    let plain = |architecture: &str| Judged {
        platform: Platform::linux(architecture),
        evidence: vec![
            Evidence::new("e_machine", format!("{} ({})", facts.machine, facts.machine.code())),
            Evidence::new("e_ident", format!("{}, {}", facts.class, facts.endian)),
        ],
        findings: Vec::new(),
    };
    let abi = facts.flags & PPC64_ABI;
    Ok(match (facts.machine, facts.class, facts.endian) {
        (Machine::X86_64, Class::Elf64, _) => amd64(name, facts, plain("amd64")),
        (Machine::X86_64, Class::Elf32, _) => return Err("x32 (32-bit addresses on x86-64)".to_owned()),
        (Machine::X86, ..) => plain("386"),
        (Machine::Aarch64, Class::Elf64, Endian::Little) => plain("arm64"),
        (Machine::Arm, _, Endian::Little) => arm(name, facts, plain("arm")),
        (Machine::RiscV, Class::Elf64, _) => plain("riscv64"),
        (Machine::Ppc64, _, Endian::Little) if abi != 1 => plain("ppc64le"),
        (Machine::Ppc64, _, Endian::Big) => plain("ppc64"),
        (Machine::S390, Class::Elf64, _) => plain("s390x"),
        (Machine::LoongArch, Class::Elf64, _) => plain("loong64"),
        (Machine::Mips, Class::Elf64, Endian::Little) => plain("mips64le"),
        (Machine::Mips, Class::Elf64, Endian::Big) => plain("mips64"),
        (Machine::Mips, Class::Elf32, Endian::Little) if facts.flags & MIPS_N32 == 0 => plain("mipsle"),
        (Machine::Mips, Class::Elf32, Endian::Big) if facts.flags & MIPS_N32 == 0 => plain("mips"),
        (machine, class, endian) => return Err(format!("{class} {endian} {machine}")),
    })
}

/// The x86-64 level: what the file declares or what the Go toolchain was told, whichever is higher.
fn amd64(name: &str, facts: &ElfFacts, mut judged: Judged) -> Judged {
    let declared = facts.notes.properties.x86_isa_needed;
    let go = go_setting(facts, "GOAMD64").and_then(|value| value.strip_prefix('v')?.parse::<u8>().ok());
    judged.evidence.extend(declared.map(|level| Evidence::new("GNU_PROPERTY_X86_ISA_1_NEEDED", format!("v{level}"))));
    judged.evidence.extend(go.map(|level| Evidence::new("Go build setting GOAMD64", format!("v{level}"))));
    let level = declared.max(go).filter(|level| (2..=4).contains(level));
    if let Some(level) = level {
        let variant = format!("v{level}");
        judged.findings.push(
            Diagnostic::new(
                codes::X86_LEVEL,
                Severity::Note,
                name,
                format!("the program needs a CPU of level x86-64-{variant}, so its platform is `linux/amd64/{variant}`"),
            )
            .with_evidence(judged.evidence.iter().skip(2).cloned())
            .with_hint("runtimes that do not know the level of their CPU pick `linux/amd64` only; build for level v1 if they matter"),
        );
        judged.platform = judged.platform.with_variant(&variant);
    }
    judged
}

/// The version of the ARM architecture: the highest of what the linked objects and the Go toolchain declare.
fn arm(name: &str, facts: &ElfFacts, mut judged: Judged) -> Judged {
    let attributes = facts.arm.as_ref();
    let declared = attributes.and_then(|arm| arm.version());
    let go = go_setting(facts, "GOARM").and_then(|value| value.split(',').next()?.parse::<u8>().ok());
    let go = go.filter(|version| (5..=7).contains(version));
    if let (Some(arm), Some(_)) = (attributes.and_then(|a| a.cpu_arch), declared) {
        judged.evidence.push(Evidence::new(".ARM.attributes Tag_CPU_arch", arm.to_string()));
    }
    judged.evidence.extend(go.map(|version| Evidence::new("Go build setting GOARM", version.to_string())));
    let version = declared.max(go).unwrap_or_else(|| {
        // Too high is safe where too low is not: a host picks what its CPU can run.
        let (version, basis) = match attributes.and_then(|arm| arm.float_abi) {
            Some(FloatAbi::Soft) => (5, "soft-float, as Debian's armel"),
            Some(FloatAbi::Hard) => (7, "hard-float, as Debian's armhf"),
            None => (7, "no float ABI"),
        };
        judged.evidence.push(Evidence::new("e_flags", format!("{:#010x} ({basis})", facts.flags)));
        judged.findings.push(
            Diagnostic::new(
                codes::ARM_VERSION_GUESSED,
                Severity::Warning,
                name,
                format!("the file does not say which ARM version it needs; taken for `linux/arm/v{version}`"),
            )
            .with_evidence(judged.evidence.last().cloned())
            .with_hint("keep the section `.ARM.attributes` when stripping, so that the version is known"),
        );
        version
    });
    judged.platform = judged.platform.with_variant(&format!("v{version}"));
    judged
}

fn go_setting<'a>(facts: &'a ElfFacts, key: &str) -> Option<&'a str> {
    facts.toolchain.go.as_ref()?.settings.get(key).map(String::as_str)
}

/// The other system that a file is made for, and how that is known.
pub(super) fn other_system(facts: &ElfFacts) -> Option<(String, Evidence)> {
    if let Some(system) = facts.os_abi.other_system() {
        return Some((system.to_owned(), Evidence::new("EI_OSABI", facts.os_abi.0.to_string())));
    }
    if let Some(system) = &facts.notes.system {
        return Some((system.to_string(), Evidence::new("PT_NOTE", format!("owner `{system}`"))));
    }
    if let Some(tag) = facts.notes.abi_tag.filter(|tag| tag.os != 0) {
        let system = match tag.os {
            1 => "GNU Hurd",
            2 => "Solaris",
            3 => "the FreeBSD kernel",
            _ => "a system that is not known",
        };
        return Some((system.to_owned(), Evidence::new("NT_GNU_ABI_TAG", format!("system {}", tag.os))));
    }
    if let Some(os) = go_setting(facts, "GOOS").filter(|&os| os != "linux") {
        return Some((os.to_owned(), Evidence::new("Go build setting GOOS", os)));
    }
    let interpreter = facts.interpreter.as_ref()?;
    let system = match interpreter.as_bytes() {
        b"/libexec/ld-elf.so.1" | b"/libexec/ld-elf32.so.1" => "FreeBSD",
        b"/usr/libexec/ld-elf.so.2" => "DragonFly BSD",
        b"/libexec/ld.elf_so" | b"/usr/libexec/ld.elf_so" => "NetBSD",
        b"/usr/libexec/ld.so" => "OpenBSD",
        b"/usr/lib/ld.so.1"
        | b"/usr/lib/64/ld.so.1"
        | b"/usr/lib/amd64/ld.so.1"
        | b"/lib/64/ld.so.1"
        | b"/lib/amd64/ld.so.1" => "Solaris or illumos",
        b"/lib/ld-x86-64.so.1" | b"/lib/ld.so" => "GNU Hurd",
        b"/system/bin/linker" | b"/system/bin/linker64" => "Android",
        b"/boot/system/runtime_loader" => "Haiku",
        _ => return None,
    };
    Some((system.to_owned(), Evidence::new("PT_INTERP", interpreter.to_string())))
}
