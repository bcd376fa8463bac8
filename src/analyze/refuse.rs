//! Why a file is no program that an image could run, and what to do about it.

use crate::diag::{Code, Diagnostic, Evidence, Severity, escape};
use crate::elf::{self, Bytes, ElfFacts, FileKind, Language, Libc, Machine, Name, ObjectType};

use super::codes;

fn refuse(code: Code, name: &str, message: impl Into<String>, hint: impl Into<String>) -> Diagnostic {
    Diagnostic::new(code, Severity::Error, name, message).with_hint(hint)
}

/// For everything that is not ELF.
pub(super) fn kind(name: &str, bytes: &dyn Bytes, kind: &FileKind) -> Diagnostic {
    let start = bytes.read_at(0, usize::try_from(bytes.len()).map_or(16, |len| len.min(16)));
    let first = Evidence::new("first bytes", escape(&start.unwrap_or_default()));
    let not = |code, hint: &str| {
        refuse(code, name, format!("the file is {kind}, not a Linux program (ELF)"), hint)
            .with_evidence([first.clone()])
    };
    match kind {
        FileKind::Elf | FileKind::Unreadable => refuse(
            codes::UNREADABLE,
            name,
            "the beginning of the file cannot be read",
            "look for errors of the disk or network file system",
        ),
        FileKind::Empty => refuse(
            codes::EMPTY,
            name,
            "the file is empty",
            "the build that should have made it was stopped or failed; run it again",
        ),
        FileKind::Script { interpreter } => refuse(
            codes::SCRIPT,
            name,
            format!("the file is a script for `{interpreter}`, not a Linux program (ELF)"),
            "name the compiled program that the script starts; or pack the interpreter, `root:/PATH`, with the script: \
             `--add SCRIPT:DST --cmd DST`",
        )
        .with_evidence([Evidence::new("#!", interpreter.to_string())]),
        FileKind::Wasm { .. } => {
            not(codes::WASM, "compile for a Linux target, or use a runtime for WebAssembly images")
        }
        FileKind::Pe => {
            not(codes::PE, "compile for Linux, for example with `GOOS=linux` or `--target x86_64-unknown-linux-musl`")
        }
        FileKind::MachO { .. } => not(
            codes::MACH_O,
            "compile for Linux, for example with `GOOS=linux CGO_ENABLED=0 go build` or `cargo build --target x86_64-unknown-linux-musl`",
        ),
        FileKind::JavaClass | FileKind::Zip { jar: true } => {
            not(codes::JAVA, "it needs a Java runtime; a native image (GraalVM `--static --libc=musl`) runs without")
        }
        FileKind::Archive { debian_package: false } => not(codes::ARCHIVE, "name the program that is linked from it"),
        FileKind::Archive { debian_package: true } | FileKind::RpmPackage => {
            not(codes::PACKED, "unpack it and name the program inside")
        }
        FileKind::Compressed { .. } | FileKind::Zip { jar: false } | FileKind::Tar => {
            not(codes::PACKED, "unpack it and name the program inside")
        }
        FileKind::Text => not(codes::TEXT, "name the compiled program; text files go into an image with `--add`"),
        FileKind::Bitcode | FileKind::Zeros | FileKind::Unknown => {
            not(codes::UNKNOWN, "name the compiled program; other files go into an image with `--add`")
        }
    }
}

/// For ELF files whose headers are broken.
pub(super) fn headers(name: &str, error: &elf::Error) -> Diagnostic {
    use elf::Error as E;
    let (code, hint) = match error {
        E::NotElf | E::Unreadable { .. } => (codes::UNREADABLE, "look for errors of the disk or network file system"),
        E::Truncated { .. } => {
            (codes::TRUNCATED, "the file was cut short, by a download or a full disk perhaps; copy or build it again")
        }
        E::ClassByte(_) | E::EndianByte(_) | E::WrongEndian { .. } | E::SwappedFields { .. } | E::WrongClass { .. } => {
            (codes::IMPOSSIBLE_HEADER, "no linker writes this header; the file is damaged, copy or build it again")
        }
        E::ProgramHeaderSize { .. } | E::TooManyProgramHeaders(_) | E::SegmentSize { .. } => {
            (codes::PROGRAM_HEADERS, "Linux would not load this file; it is damaged, copy or build it again")
        }
        E::DynamicName { .. } | E::DynamicSize(_) | E::SymbolTableSize(_) => {
            (codes::DYNAMIC_SECTION, "the loader would stop at this; the file is damaged, copy or build it again")
        }
    };
    refuse(code, name, error.to_string(), hint)
}

/// For ELF files that are no executables.
pub(super) fn object_type(name: &str, facts: &ElfFacts) -> Option<Diagnostic> {
    let refusal = match facts.object_type {
        ObjectType::Executable | ObjectType::Shared => return None,
        ObjectType::Relocatable => refuse(
            codes::RELOCATABLE,
            name,
            "the file is a relocatable object (`.o` or a kernel module), not a linked program",
            "link it, and name the result",
        ),
        ObjectType::Core => refuse(
            codes::CORE,
            name,
            "the file is a core dump of a process, not a program",
            "name the program that wrote it",
        ),
        ObjectType::Other(code) => refuse(
            codes::OBJECT_TYPE,
            name,
            format!("the file is an ELF file of type {code}, which Linux does not run"),
            "name a program of type `ET_EXEC` or `ET_DYN`",
        ),
    };
    Some(refusal.with_evidence([Evidence::new("e_type", facts.object_type.to_string())]))
}

/// For programs of other systems.
pub(super) fn other_system(name: &str, system: &str, evidence: Evidence) -> Diagnostic {
    refuse(
        codes::OTHER_SYSTEM,
        name,
        format!("the binary is for another operating system: {system}"),
        "compile for Linux, for example with `GOOS=linux` or a `-linux-musl` target",
    )
    .with_evidence([evidence])
}

/// For CPUs and ABIs without a name in images.
pub(super) fn no_platform(name: &str, abi: &str, facts: &ElfFacts) -> Diagnostic {
    refuse(
        codes::NO_PLATFORM,
        name,
        format!("there is no image platform for {abi}"),
        "compile for a CPU that container runtimes exist for, such as amd64, arm64 or riscv64",
    )
    .with_evidence([
        Evidence::new("e_machine", format!("{} ({})", facts.machine, facts.machine.code())),
        Evidence::new("e_flags", format!("{:#010x}", facts.flags)),
    ])
}

/// For shared libraries.
pub(super) fn shared_library(name: &str, facts: &ElfFacts) -> Diagnostic {
    let soname = facts.dynamic.as_ref().and_then(|d| d.soname.as_ref());
    refuse(
        codes::SHARED_LIBRARY,
        name,
        "the file is a shared library, not a program",
        "name the program that uses it; with `--with lib:NAME` or `--with file:PATH` a library comes with what it needs, \
         with `--add` alone",
    )
    .with_evidence([
        Evidence::new("DF_1_PIE", "absent"),
        Evidence::new("PT_INTERP", "absent"),
        Evidence::new("DT_SONAME", soname.map_or_else(|| "absent".to_owned(), Name::to_string)),
    ])
}

/// For executables that cannot start.
pub(super) fn no_entry(name: &str, facts: &ElfFacts) -> Option<Diagnostic> {
    let message = if facts.loaded_segments == 0 {
        "the program has nothing to load"
    } else if facts.entry == 0 {
        "the program has no entry point"
    } else if !facts.entry_is_loaded {
        "the entry point of the program lies outside of what is loaded"
    } else {
        return None;
    };
    let hint = "files of debug data look like this; name the program itself, or link it again";
    Some(refuse(codes::NO_ENTRY, name, message, hint).with_evidence([
        Evidence::new("e_entry", format!("{:#x}", facts.entry)),
        Evidence::new("PT_LOAD", format!("{} segments", facts.loaded_segments)),
    ]))
}

/// For programs that need libraries and name nobody who would load them.
pub(super) fn no_interpreter(name: &str, facts: &ElfFacts) -> Diagnostic {
    let quoted: Vec<String> = facts.needed().iter().map(|library| format!("`{library}`")).collect();
    let libraries = match quoted.len() {
        1 => format!("the library {}", quoted[0]),
        _ => format!("the libraries {}", quoted.join(", ")),
    };
    refuse(
        codes::NO_INTERPRETER,
        name,
        format!("the program needs {libraries} but names no interpreter that would load them"),
        "link it again as a static or as a dynamic program",
    )
    .with_evidence(facts.needed().iter().map(|library| Evidence::new("DT_NEEDED", library.to_string())))
}

/// How to build the program statically with the toolchain that made it.
#[must_use]
pub fn static_advice(facts: &ElfFacts) -> String {
    let triple = rust_target(facts.machine);
    match (facts.toolchain.language, facts.toolchain.libc) {
        (Some(Language::Go), _) if facts.needed().is_empty() => {
            "build it without `-buildmode=pie`, which makes the Go linker ask for an interpreter".to_owned()
        }
        (Some(Language::Go), _) => "build it with `CGO_ENABLED=0 go build`".to_owned(),
        (Some(Language::Rust), _) => match triple {
            Some(triple) => {
                format!("build it with `rustup target add {triple}` and `cargo build --release --target {triple}`")
            }
            None => "build it with `RUSTFLAGS='-C target-feature=+crt-static'`".to_owned(),
        },
        (Some(Language::Zig), _) => "build it with `-target` for a `-linux-musl` system".to_owned(),
        (None, Some(Libc::Musl)) => "link it with `-static`".to_owned(),
        (None, _) => {
            "link it statically: `cc -static`, or `musl-gcc -static` for a small C library; in Go `CGO_ENABLED=0`, in Rust a `-linux-musl` target".to_owned()
        }
    }
}

const fn rust_target(machine: Machine) -> Option<&'static str> {
    Some(match machine {
        Machine::X86_64 => "x86_64-unknown-linux-musl",
        Machine::X86 => "i686-unknown-linux-musl",
        Machine::Aarch64 => "aarch64-unknown-linux-musl",
        Machine::Arm => "armv7-unknown-linux-musleabihf",
        Machine::RiscV => "riscv64gc-unknown-linux-musl",
        _ => return None,
    })
}
