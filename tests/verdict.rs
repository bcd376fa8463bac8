//! Findings about closures: what we say cannot work, the loader of this machine refuses, in its own words; what we say
//! mends it, makes the program start.

#[path = "support/loader_cases.rs"]
mod cases;
#[path = "support/loader_hwcaps.rs"]
mod hwcaps;
#[path = "support/loader_told.rs"]
mod told;

use std::io::Write;
use std::path::Path;

use cases::Bench;
use coracle::analyze::loader::{Closure, Target};
use coracle::analyze::verdict::{Judgement, Question, Remedy, refusal, verdict};
use coracle::diag::{Diagnostic, Severity};
use coracle::rootfs::DirRoot;

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
const LIBC: &str = "/lib/x86_64-linux-gnu/libc.so.6";
const MUSL: &str = "/lib/ld-musl-x86_64.so.1";

fn skipped(why: &str) {
    let _ = writeln!(std::io::stdout(), "skipped: {why}");
}

fn can_judge() -> bool {
    let can = cfg!(target_arch = "x86_64") && Path::new(LOADER).exists() && Path::new(LIBC).exists();
    if !can {
        skipped("this machine has no glibc for x86-64 in Debian's places");
    }
    can
}

fn rooted() -> Bench {
    Bench::rooted("cc", &[LOADER, LIBC])
}

fn root_of(bench: &Bench, program: &str) -> DirRoot {
    let inside = bench.name(program) == format!("/{program}");
    DirRoot::open(if inside { Path::new("/").join(bench.root()) } else { "/".into() }.as_path()).unwrap()
}

fn judge_at(bench: &Bench, program: &str, level: u8) -> (Judgement, Closure) {
    let root = root_of(bench, program);
    let closure = Target::new(&root).closure(bench.name(program).as_bytes(), None).unwrap().unwrap();
    let judgement = verdict(&Question { program, root: &root, closure: &closure, level }).unwrap();
    (judgement, closure)
}

fn judge(bench: &Bench, program: &str) -> Judgement {
    judge_at(bench, program, 1).0
}

fn codes(judgement: &Judgement) -> Vec<&str> {
    judgement.diagnostics.iter().map(|d| d.code.0).collect()
}

fn errors(judgement: &Judgement) -> Vec<&str> {
    let errors = judgement.diagnostics.iter().filter(|d| d.severity == Severity::Error);
    errors.map(|d| d.code.0).collect()
}

fn one<'a>(judgement: &'a Judgement, code: &str) -> &'a Diagnostic {
    let found: Vec<_> = judgement.diagnostics.iter().filter(|d| d.code.0 == code).collect();
    assert_eq!(found.len(), 1, "{code}: {judgement:#?}");
    found[0]
}

/// The finding as a person reads it holds all of these.
fn says(finding: &Diagnostic, words: &[&str]) {
    let text = finding.to_string();
    for word in words {
        assert!(text.contains(word), "`{word}` is not in:\n{text}");
    }
}

/// The loader refuses with these words; `None` when it cannot be asked.
fn refused(bench: &Bench, program: &str, words: &[&str]) -> Option<()> {
    let Some((status, said)) = bench.run(program, &[]) else {
        skipped("only root can enter a root");
        return None;
    };
    assert!(status != 0 && words.iter().all(|word| said.contains(word)), "{program}: {status} {said}");
    Some(())
}

fn starts(bench: &Bench, program: &str) {
    assert_eq!(bench.run(program, &[]), Some((0, String::new())), "{program}");
}

#[test]
fn a_missing_library() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("cc");
    bench.library("stub/libgone.so", &["-Wl,-soname,libgone.so.1"]);
    bench.library("d/liba.so", &["stub/libgone.so"]);
    bench.program("prog", &["-Ld", "-la", "stub/libgone.so", "-Wl,-rpath,$ORIGIN/d"]);
    refused(&bench, "prog", &["libgone.so.1: cannot open shared object file: No such file or directory"]).unwrap();
    let judgement = judge(&bench, "prog");
    assert_eq!(errors(&judgement), ["L001"]);
    let (a, tried) = (bench.name("d/liba.so"), bench.name("d/libgone.so.1"));
    let prog = bench.name("prog");
    says(
        one(&judgement, "L001"),
        &["`libgone.so.1`", &format!("{tried}: absent"), &format!("needed by: {a} < {prog}")],
    );
    // What is there is no finding.
    bench.program("good", &["-lm"]);
    starts(&bench, "good");
    assert_eq!(errors(&judge(&bench, "good")), [""; 0]);
}

#[test]
fn a_library_that_lies_elsewhere() {
    if !can_judge() {
        return;
    }
    let bench = rooted();
    let place = "usr/lib/x86_64-linux-gnu";
    bench.library(&format!("{place}/blas/libblas.so.3"), &["-Wl,-soname,libblas.so.3"]);
    bench.library("opt/copy/libblas.so.3", &["-Wl,-soname,libblas.so.3"]);
    bench.program("bin/prog", &["opt/copy/libblas.so.3"]);
    // The link of the alternatives leads to where nothing was set up.
    bench.link(&format!("{place}/libblas.so.3"), "/etc/alternatives/libblas.so.3-x86_64-linux-gnu");
    if refused(&bench, "bin/prog", &["libblas.so.3: cannot open shared object file"]).is_none() {
        return;
    }
    let judgement = judge(&bench, "bin/prog");
    assert_eq!(errors(&judgement), ["L002"]);
    let flag = format!("--with link:/{place}/libblas.so.3=/{place}/blas/libblas.so.3");
    let dead = "a link to `/etc/alternatives/libblas.so.3-x86_64-linux-gnu`, which is not there";
    says(one(&judgement, "L002"), &[&flag, dead, "found: /opt/copy/libblas.so.3"]);
    assert_eq!(judgement.remedies.iter().map(ToString::to_string).collect::<Vec<_>>(), [flag]);
    // What we say mends it.
    let Remedy::Link { link, target } = &judgement.remedies[0] else { panic!("{judgement:?}") };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    std::fs::remove_file(bench.at(&text(link))).unwrap();
    bench.link(&text(link), &text(target));
    starts(&bench, "bin/prog");
    assert_eq!(errors(&judge(&bench, "bin/prog")), [""; 0]);
}

#[test]
fn a_library_of_another_version() {
    if !can_judge() {
        return;
    }
    let bench = rooted();
    bench.library("usr/lib/libssl.so.3", &["-Wl,-soname,libssl.so.3"]);
    bench.library("stub/libssl.so", &["-Wl,-soname,libssl.so.1.1"]);
    bench.program("bin/prog", &["stub/libssl.so"]);
    std::fs::remove_dir_all(bench.at("stub")).unwrap();
    if refused(&bench, "bin/prog", &["libssl.so.1.1: cannot open shared object file"]).is_none() {
        return;
    }
    says(one(&judge(&bench, "bin/prog"), "L001"), &["of another version: /usr/lib/libssl.so.3"]);
}

/// A file like the one at `from`, with some bytes set.
fn patched(bench: &Bench, from: &str, to: &str, bytes: &[(usize, u8)]) {
    let mut file = std::fs::read(bench.at(from)).unwrap();
    for (at, byte) in bytes {
        file[*at] = *byte;
    }
    bench.file(to, &file);
}

#[test]
fn a_library_of_another_machine() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("cc");
    bench.library("good/libodd.so", &[]);
    patched(&bench, "good/libodd.so", "arm/libodd.so", &[(18, 183)]);
    patched(&bench, "good/libodd.so", "small/libodd.so", &[(4, 1)]);
    for (place, words, kind) in [
        ("arm", "libodd.so: cannot open shared object file", "64-bit aarch64"),
        ("small", "libodd.so: wrong ELF class: ELFCLASS32", "32-bit x86-64"),
    ] {
        bench.program(&format!("on-{place}"), &["-Lgood", "-lodd", &format!("-Wl,-rpath,$ORIGIN/{place}")]);
        refused(&bench, &format!("on-{place}"), &[words]).unwrap();
        let judgement = judge(&bench, &format!("on-{place}"));
        assert_eq!(errors(&judgement), ["L003"]);
        says(one(&judgement, "L003"), &[kind, &bench.name(&format!("{place}/libodd.so"))]);
    }
}

#[test]
fn a_library_for_better_processors_only() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("cc");
    bench.library("d/glibc-hwcaps/x86-64-v2/libfast.so", &[]);
    bench.library("d/glibc-hwcaps/x86-64-v3/libfast.so", &[]);
    bench.library("stub/libfast.so", &[]);
    bench.program("prog", &["-Lstub", "-lfast", "-Wl,-rpath,$ORIGIN/d"]);
    // The loader as on a processor of the baseline.
    let (status, said) = bench.run("prog", &[LOADER, "--glibc-hwcaps-mask", "none"]).unwrap();
    assert!(status != 0 && said.contains("libfast.so: cannot open shared object file"), "{said}");
    let judgement = judge(&bench, "prog");
    assert_eq!(errors(&judgement), ["L004"]);
    says(one(&judgement, "L004"), &["from level `x86-64-v2` on", &bench.name("d/glibc-hwcaps/x86-64-v2/libfast.so")]);
    if !hwcaps::active_hwcaps(Path::new(LOADER)).is_empty() {
        starts(&bench, "prog");
    }
    // With the baseline beside them they are a note.
    bench.library("d/libfast.so", &[]);
    let judgement = judge(&bench, "prog");
    assert_eq!(errors(&judgement), [""; 0]);
    says(one(&judgement, "L052"), &["2 variants"]);
}

#[test]
fn a_file_at_which_the_loader_gives_up() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("cc");
    bench.library("good/libbad.so", &[]);
    bench.file(
        "text/libbad.so",
        b"/* GNU ld script: use the shared library, but some functions */ INPUT(libother.so)\n",
    );
    bench.file("short/libbad.so", b"\x7fELF");
    bench.program("pie/libbad.so", &["-pie"]);
    for (place, words, ours) in [
        ("text", "text/libbad.so: invalid ELF header", "script for the linker"),
        ("short", "short/libbad.so: file too short", "replace or remove"),
        ("pie", "cannot dynamically load position-independent executable", "position-independent executable"),
    ] {
        let program = format!("on-{place}");
        bench.program(&program, &["-Lgood", "-lbad", &format!("-Wl,-rpath,$ORIGIN/{place}:$ORIGIN/good")]);
        refused(&bench, &program, &[words]).unwrap();
        let judgement = judge(&bench, &program);
        assert_eq!(errors(&judgement), ["L005"]);
        says(one(&judgement, "L005"), &[&bench.name(&format!("{place}/libbad.so")), ours]);
    }
}

#[test]
fn a_version_that_is_too_new() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("cc");
    bench.file("v.map", b"GLIBC_9.9 { global: brand_new; };\nGLIBC_9.10 { global: newer_still; } GLIBC_9.9;\n");
    let source = "int brand_new(void) { return 0; }\nint newer_still(void) { return 0; }\n";
    bench.library_of("stub/libc.so.6", source, &["-Wl,--version-script,v.map", "-Wl,-soname,libc.so.6"]);
    let code = "int brand_new(void); int newer_still(void);\nint main(void) { return brand_new() + newer_still(); }\n";
    bench.compile("prog", code, &["stub/libc.so.6"]);
    refused(&bench, "prog", &["version `GLIBC_9.10' not found (required by", "version `GLIBC_9.9' not found"]).unwrap();
    let judgement = judge(&bench, "prog");
    assert_eq!(errors(&judgement), ["L020"]);
    let finding = one(&judgement, "L020");
    let wants = format!("`{}` wants version `GLIBC_9.10` of `libc.so.6`", bench.name("prog"));
    says(
        finding,
        &[
            &wants,
            "symbols of GLIBC_9.10: newer_still",
            "version not found: GLIBC_9.9",
            "use a root with glibc 9.10 or newer",
        ],
    );
    // What the root has is what its libc says of itself, in its own words.
    let libc = String::from_utf8_lossy(&std::process::Command::new(LIBC).output().unwrap().stdout).into_owned();
    let own = libc.split("release version ").nth(1).unwrap().trim_end_matches('.').split(['.', '\n']).take(2);
    let own = format!("GLIBC_{}", own.collect::<Vec<_>>().join("."));
    says(finding, &[&format!("ends at `{own}`")]);
}

#[test]
fn a_version_of_another_build() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("cc");
    bench.file("v1.map", b"V1 { global: one; local: *; };\n");
    bench.file("v2.map", b"V1 { global: one; local: *; };\nEXTRA { global: two; } V1;\n");
    let source = "int one(void) { return 1; }\nint two(void) { return 2; }\n";
    bench.library_of("new/libv.so", source, &["-Wl,--version-script,v2.map", "-Wl,-soname,libv.so"]);
    bench.library_of("old/libv.so", source, &["-Wl,--version-script,v1.map", "-Wl,-soname,libv.so"]);
    let code = "int one(void); int two(void);\nint main(void) { return one() + two() == 3 ? 0 : 1; }\n";
    bench.compile("prog", code, &["-Lnew", "-lv", "-Wl,-rpath,$ORIGIN/old"]);
    refused(&bench, "prog", &["version `EXTRA' not found (required by"]).unwrap();
    let judgement = judge(&bench, "prog");
    assert_eq!(errors(&judgement), ["L020"]);
    says(
        one(&judgement, "L020"),
        &["symbols of EXTRA: two", &format!("`{}` does not define", bench.name("old/libv.so"))],
    );
    // No loaded library has the name: the program's list has lost it.
    bench.compile("new-one", code, &["-Lnew", "-lv", "-Wl,-rpath,$ORIGIN/new"]);
    starts(&bench, "new-one");
    assert_eq!(errors(&judge(&bench, "new-one")), [""; 0]);
}

#[test]
fn an_interpreter_that_is_absent() {
    if !can_judge() {
        return;
    }
    let refused_as = |bench: &Bench, program: &str| {
        let root = root_of(bench, program);
        let path = bench.name(program);
        let why = Target::new(&root).closure(path.as_bytes(), None).unwrap().unwrap_err();
        refusal(program, &root, path.as_bytes(), &why).unwrap()
    };
    // A root whose loader lies elsewhere: the link mends it.
    let bench = Bench::rooted("cc", &[LIBC]);
    std::fs::copy(LOADER, bench.at("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")).unwrap();
    bench.program("bin/prog", &[]);
    let Some((status, _)) = bench.run("bin/prog", &[]) else { return skipped("only root can enter a root") };
    assert_eq!(status, 126, "it cannot be started");
    let judgement = refused_as(&bench, "bin/prog");
    let flag = format!("--with link:{LOADER}=/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2");
    says(one(&judgement, "L010"), &[&flag, LOADER]);
    bench.link(LOADER, "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2");
    starts(&bench, "bin/prog");
    // Roots of the other C library, and of a store.
    let bench = rooted();
    bench.program("bin/on-musl", &[&format!("-Wl,-dynamic-linker,{MUSL}")]);
    assert_eq!(bench.run("bin/on-musl", &[]).unwrap().0, 126);
    says(one(&refused_as(&bench, "bin/on-musl"), "L010"), &["use a root with musl", LOADER]);
    bench.program("bin/nix", &["-Wl,-dynamic-linker,/nix/store/abc-glibc/lib/ld-linux-x86-64.so.9"]);
    says(one(&refused_as(&bench, "bin/nix"), "L010"), &["a store of Nix"]);
    let bench = Bench::rooted("cc", &[]);
    bench.file("lib/ld-musl-x86_64.so.1", b"");
    bench.program("bin/prog", &[]);
    assert_eq!(bench.run("bin/prog", &[]).unwrap().0, 126);
    says(one(&refused_as(&bench, "bin/prog"), "L010"), &["use a root with glibc"]);
    // A loader for another machine.
    let bench = rooted();
    bench.program("bin/prog", &[]);
    patched(&bench, LOADER, "lib64/other", &[(18, 183)]);
    std::fs::rename(bench.at("lib64/other"), bench.at(LOADER)).unwrap();
    assert_ne!(bench.run("bin/prog", &[]).unwrap().0, 0);
    says(one(&refused_as(&bench, "bin/prog"), "L011"), &["64-bit aarch64", "a root for x86-64"]);
    bench.file("bin/text", b"text");
    assert_eq!(codes(&refused_as(&bench, "bin/text")), ["L012"]);
}

#[test]
fn two_c_libraries() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("cc");
    bench.library("stub/libc.musl-x86_64.so.1", &["-Wl,-soname,libc.musl-x86_64.so.1"]);
    bench.library("d/libalpine.so", &["stub/libc.musl-x86_64.so.1"]);
    bench.program("prog", &["-Ld", "-lalpine", "-Wl,-rpath,$ORIGIN/d"]);
    refused(&bench, "prog", &["libc.musl-x86_64.so.1: cannot open shared object file"]).unwrap();
    let judgement = judge(&bench, "prog");
    assert_eq!(errors(&judgement), ["L001", "L021"]);
    says(one(&judgement, "L021"), &["d/libalpine.so` is made for musl", "DT_NEEDED: libc.musl-x86_64.so.1"]);
    if !Path::new(MUSL).exists() || std::process::Command::new("musl-gcc").arg("--version").output().is_err() {
        return skipped("this machine has no musl for x86-64");
    }
    // The other way round: musl takes the name for itself and then lacks what only glibc has.
    let other = Bench::new("musl-gcc");
    let source = "const char *gnu_get_libc_version(void);\nconst char *f(void) { return gnu_get_libc_version(); }\n";
    bench.library_of("d/libdebian.so", source, &["-lc", "-Wl,-soname,libdebian.so"]);
    std::fs::copy(bench.at("d/libdebian.so"), other.at("d/libdebian.so")).unwrap();
    other.program("prog", &["d/libdebian.so", "-Wl,-rpath,$ORIGIN/d"]);
    refused(&other, "prog", &["gnu_get_libc_version: symbol not found"]).unwrap();
    let judgement = judge(&other, "prog");
    says(one(&judgement, "L021"), &["d/libdebian.so` is made for glibc", "that of musl"]);
    assert_eq!(errors(&judgement), [""; 0]);
}

#[test]
fn a_level_of_the_processor() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("cc");
    bench.library("d/libfast.so", &["-Wl,-z,x86-64-v4"]);
    bench.program("prog", &["-Ld", "-lfast", "-Wl,-rpath,$ORIGIN/d"]);
    for (level, code, severity) in
        [(1, "L022", Severity::Error), (3, "L022", Severity::Error), (4, "L023", Severity::Note)]
    {
        let judgement = judge_at(&bench, "prog", level).0;
        let finding = one(&judgement, code);
        assert_eq!(finding.severity, severity, "{level}");
        says(finding, &["d/libfast.so` needs a CPU of level x86-64-v4"]);
    }
    if hwcaps::active_hwcaps(Path::new(LOADER)).iter().any(|level| level == "x86-64-v4") {
        starts(&bench, "prog");
    } else {
        refused(&bench, "prog", &["CPU ISA level is lower than required"]).unwrap();
    }
}

#[test]
fn a_newer_kernel() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("cc");
    let note = "const struct { int s[3]; char n[4]; int d[4]; } tag\n\
        __attribute__((section(\".note.ABI-tag\"), aligned(4))) = { { 4, 16, 1 }, \"GNU\", { 0, 99, 1, 0 } };\n";
    bench.library_of("d/libnew.so", note, &[]);
    bench.program("prog", &["-Ld", "-lnew", "-Wl,-rpath,$ORIGIN/d"]);
    says(one(&judge(&bench, "prog"), "L024"), &["d/libnew.so` asks for Linux 99.1.0 or newer"]);
    // The usual one is no word worth.
    bench.program("plain", &[]);
    assert!(!codes(&judge(&bench, "plain")).contains(&"L024"));
}

#[test]
fn relocations_that_an_older_loader_passes_over() {
    if !can_judge() {
        return;
    }
    // A table of pointers, which are relative relocations. Read through a pointer, so that the compiler computes nothing.
    let source = "static int a, b; static int *table[] = { &a, &b }; int *const *volatile at = (int *const *)table;\n\
        int f(void) { return at[1] == &b ? 0 : 3; }\n";
    let packed = ["-Wl,-z,pack-relative-relocs"];
    // This glibc defines the version that marks them, so nothing is said.
    let bench = Bench::new("cc");
    bench.library_of("d/libpacked.so", source, &packed);
    bench.program("prog", &["-Ld", "-lpacked", "-Wl,-rpath,$ORIGIN/d"]);
    assert!(!codes(&judge(&bench, "prog")).contains(&"L025"));
    if !Path::new(MUSL).exists() || std::process::Command::new("musl-gcc").arg("--version").output().is_err() {
        return skipped("this machine has no musl for x86-64");
    }
    let bench = Bench::new("musl-gcc");
    bench.library_of("d/libpacked.so", source, &packed);
    bench.library_of("d/libplain.so", source, &[]);
    for (name, library, crashes) in [("prog", "packed", true), ("plain", "plain", false)] {
        let source = "int f(void); int main(void) { return f(); }\n";
        bench.compile(name, source, &["-Ld", &format!("-l{library}"), "-Wl,-rpath,$ORIGIN/d"]);
        let (judgement, closure) = judge_at(&bench, name, 1);
        let version = closure.profile.version.clone().expect("musl tells its version");
        let old = version.as_str() < "1.2.4";
        let found = codes(&judgement).contains(&"L025");
        assert_eq!(found, crashes && old, "{name} with musl {version}");
        assert_eq!(bench.run(name, &[]).unwrap().0 != 0, found, "{name} with musl {version}");
        if found {
            says(one(&judgement, "L025"), &["d/libpacked.so", "musl applies since 1.2.4", &version]);
        }
    }
}

#[test]
fn risks_of_search_paths() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("cc");
    bench.library("d/liba.so", &["-Wl,-rpath,/home/someone/build/lib", "-Wl,--disable-new-dtags"]);
    std::fs::create_dir_all(bench.at("open")).unwrap();
    std::fs::set_permissions(bench.at("open"), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    for (name, rpath, code) in [
        ("relative", "$ORIGIN/d:lib", "L040"),
        ("empty", "$ORIGIN/d::/nowhere", "L040"),
        ("shared", "$ORIGIN/d:/var/tmp/lib", "L041"),
        ("writable", "$ORIGIN/d:$ORIGIN/open", "L041"),
    ] {
        bench.program(name, &["-Ld", "-la", &format!("-Wl,-rpath,{rpath}")]);
        let judgement = judge(&bench, name);
        assert_eq!(errors(&judgement), [""; 0]);
        says(one(&judgement, code), &[&bench.name(name), rpath]);
        says(one(&judgement, "L042"), &["d/liba.so", "DT_RPATH: /home/someone/build/lib"]);
    }
    // An empty element is the working directory: the loader takes what lies there.
    bench.library("w/liba.so", &[]);
    bench.program("taken", &["-Ld", "-la", "-Wl,-rpath,/nowhere::/none"]);
    let mut command = std::process::Command::new(bench.at("taken"));
    assert!(command.current_dir(bench.at("w")).status().unwrap().success());
    bench.program("tidy", &["-Lw", "-la", "-Wl,-rpath,$ORIGIN/w"]);
    assert!(!codes(&judge(&bench, "tidy")).iter().any(|code| code.starts_with("L04")));
}

#[test]
fn what_weakens_the_process() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("cc");
    let text = "int x;\n__asm__(\".text\\n.globl at\\nat: .quad x\\n\");\n";
    bench.library_of("d/libtext.so", text, &["-Wl,-z,notext"]);
    bench.library("d/libstack.so", &["-Wl,-z,execstack"]);
    bench.program("prog", &["-Ld", "-ltext", "-lstack", "-Wl,-rpath,$ORIGIN/d"]);
    let judgement = judge(&bench, "prog");
    says(one(&judgement, "L043"), &["DT_TEXTREL: ", "d/libtext.so"]);
    says(one(&judgement, "L044"), &["d/libstack.so"]);
    let root = root_of(&bench, "prog");
    let closure = judge_at(&bench, "prog", 1).1;
    let hardening = coracle::analyze::hardening::hardening_of(&root, &closure).unwrap();
    assert_eq!(hardening.no_text_relocations.broken_by, Some(bench.name("d/libtext.so")));
    assert_eq!(hardening.no_execute_stack.broken_by, Some(bench.name("d/libstack.so")));
    // The kernel's own word: the process has an executable stack.
    let code = "#include <stdio.h>\nint main(void) { FILE *f = fopen(\"/proc/self/maps\", \"r\");\n\
        for (int c; (c = getc(f)) != EOF;) putchar(c); return 0; }\n";
    bench.compile("maps", code, &["-Ld", "-lstack", "-Wl,-rpath,$ORIGIN/d"]);
    let (_, maps) = bench.run("maps", &[]).unwrap();
    let stack = maps.lines().find(|line| line.ends_with("[stack]")).unwrap();
    assert!(stack.contains("rwx"), "{stack}");
}

#[test]
fn what_the_search_leaves_to_say() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("cc");
    bench.library("d/liba.so", &[]);
    bench.library_of("d/libwatch.so", "unsigned la_version(unsigned v) { return v; }\n", &[]);
    bench.program(
        "prog",
        &["-Ld", "-la", "-Wl,-rpath,$ORIGIN/$PLATFORM:$ORIGIN/d", "-Wl,--audit,$ORIGIN/d/libwatch.so:libgone.so"],
    );
    let (status, said) = bench.run("prog", &[]).unwrap();
    assert!(status == 0 && said.contains("libgone.so' cannot be loaded as audit interface"), "{said}");
    let judgement = judge(&bench, "prog");
    let audits: Vec<_> = judgement.diagnostics.iter().filter(|d| d.code.0 == "L030").collect();
    assert_eq!(audits.len(), 2);
    says(audits[0], &["watches the loader, with libraries of its own", &bench.name("d/libwatch.so")]);
    says(audits[1], &["`libgone.so` is to watch the loader, but is missing"]);
    says(one(&judgement, "L051"), &["$PLATFORM", "found elsewhere: liba.so"]);
    assert_eq!(errors(&judgement), [""; 0]);
}
