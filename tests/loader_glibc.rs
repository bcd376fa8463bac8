//! The rules of glibc's loader, each as a program made for it, judged by the loader of this machine.
//!
//! `tests/loader_memory.rs` holds the rules that this loader cannot be made to show.

#[path = "support/loader_cases.rs"]
mod cases;
#[path = "support/loader_hwcaps.rs"]
mod hwcaps;
#[path = "support/loader_told.rs"]
mod told;

use std::io::Write;
use std::path::Path;

use cases::Bench;
use told::Told;

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
const LIBC: &str = "/lib/x86_64-linux-gnu/libc.so.6";

/// Whether the machine's loader is the one that the cases are written for.
fn can_judge() -> bool {
    let can = cfg!(target_arch = "x86_64") && Path::new(LOADER).exists() && Path::new(LIBC).exists();
    if !can {
        let _ = writeln!(std::io::stdout(), "skipped: this machine has no glibc for x86-64 in Debian's places");
    }
    can
}

/// The simulation and the loader agree, also in the order; gives what both say.
fn agree(bench: &Bench, program: &str) -> Option<Told> {
    agree_with(bench, program, &[])
}

fn agree_with(bench: &Bench, program: &str, hwcaps: &[&str]) -> Option<Told> {
    let ours = bench.ours(program, hwcaps);
    let Some(oracle) = bench.oracle(program, None) else {
        let _ = writeln!(std::io::stdout(), "skipped: only root can enter a root");
        return None;
    };
    if oracle.fatal {
        // It tells nothing about the rest.
        assert!(ours.fatal, "the loader gives up, we do not: {ours:?}");
    } else {
        assert_eq!(ours, oracle);
    }
    Some(ours)
}

/// Whether the closure has a file with this end.
fn has(told: &Told, end: &str) -> bool {
    told.mapped.iter().any(|path| path.ends_with(end))
}

/// A root of its own with the host's loader and libc.
fn rooted() -> Bench {
    Bench::rooted("cc", &[LOADER, LIBC])
}

#[test]
fn runpath_is_not_inherited() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("cc");
    bench.library("d/libb.so", &[]);
    bench.library("d/liba.so", &["-Ld", "-lb"]);
    bench.program("prog", &["-Ld", "-la", "-Wl,-rpath,$ORIGIN/d", "-Wl,--enable-new-dtags"]);
    let told = agree(&bench, "prog").unwrap();
    assert!(told.missing.contains("libb.so") && has(&told, "d/liba.so"), "{told:?}");
    // Loaded before for the program itself, it is there for the library too.
    bench.program("early", &["-Ld", "-lb", "-la", "-Wl,-rpath,$ORIGIN/d", "-Wl,--enable-new-dtags"]);
    let told = agree(&bench, "early").unwrap();
    assert!(told.missing.is_empty(), "{told:?}");
    // Loaded after in the program's own list: still before the library's list is walked.
    bench.program("late", &["-Ld", "-la", "-lb", "-Wl,-rpath,$ORIGIN/d", "-Wl,--enable-new-dtags"]);
    let told = agree(&bench, "late").unwrap();
    assert!(told.missing.is_empty(), "{told:?}");
}

#[test]
fn rpath_is_inherited() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("cc");
    bench.library("d/libc2.so", &[]);
    bench.library("d/libb.so", &["-Ld", "-lc2"]);
    bench.library("e/liba.so", &["-Ld", "-lb"]);
    let rpath = ["-Wl,-rpath,$ORIGIN/d:$ORIGIN/e", "-Wl,--disable-new-dtags"];
    bench.program("prog", &[&["-Le", "-la"][..], &rpath].concat());
    let told = agree(&bench, "prog").unwrap();
    assert!(told.missing.is_empty() && has(&told, "d/libc2.so"), "{told:?}");
    // A library in between that has a RUNPATH drops what it could inherit for itself only.
    bench.library("d/libm2.so", &["-Ld", "-lb", "-Wl,-rpath,$ORIGIN", "-Wl,--enable-new-dtags"]);
    bench.program("past", &[&["-Ld", "-lm2"][..], &rpath].concat());
    let told = agree(&bench, "past").unwrap();
    assert!(told.missing.is_empty() && has(&told, "d/libc2.so"), "{told:?}");
    // With a RUNPATH of its own the requester sees no RPATH at all.
    bench.library("d/libn.so", &["-Le", "-la", "-Wl,-rpath,/nowhere", "-Wl,--enable-new-dtags"]);
    bench.program("blocked", &[&["-Ld", "-ln"][..], &rpath].concat());
    let told = agree(&bench, "blocked").unwrap();
    assert!(told.missing.contains("liba.so"), "{told:?}");
}

#[test]
fn a_soname_is_a_name() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("cc");
    // The file is asked for by its path; a later request for its SONAME gets it, though no such file exists.
    bench.library("d/file.so", &["-Wl,-soname,libreal.so.1"]);
    bench.library("stub/libreal.so", &["-Wl,-soname,libreal.so.1"]);
    bench.library("d/liba.so", &["-Lstub", "-lreal"]);
    bench.library("plain/odd.so", &[]);
    std::fs::copy(bench.at("d/file.so"), bench.at("plain/libodd.so")).unwrap();
    // The linker records the SONAME: an object without one is recorded by its path.
    let by_path = bench.name("plain/odd.so");
    bench.program("prog", &[by_path.as_str(), "-Ld", "-la", "-Wl,-rpath,$ORIGIN/d"]);
    let told = agree(&bench, "prog").unwrap();
    assert!(told.missing.contains("libreal.so.1"), "{told:?}");
    // A file of another name that has the SONAME, asked for by its own name.
    bench.library("s/libx.so", &["-Wl,-soname,liby.so"]);
    bench.library("s/libneedsy.so", &["-Ls", "-lx"]);
    bench.library("t/libx.so", &[]);
    bench.program("reuse", &["-Lt", "-lx", "-Ls", "-lneedsy", "-Wl,-rpath,$ORIGIN/s", "-Wl,--disable-new-dtags"]);
    let told = agree(&bench, "reuse").unwrap();
    assert!(told.missing.is_empty() && has(&told, "s/libx.so"), "{told:?}");
}

#[test]
fn one_inode_is_one_object() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("cc");
    bench.library("d/libone.so", &[]);
    std::fs::hard_link(bench.at("d/libone.so"), bench.at("d/libtwo.so")).unwrap();
    bench.link("d/libthree.so", "libone.so");
    bench.program("prog", &["-Ld", "-lone", "-ltwo", "-lthree", "-Wl,-rpath,$ORIGIN/d"]);
    let told = agree(&bench, "prog").unwrap();
    assert_eq!(told.mapped.iter().filter(|p| p.contains("/d/lib")).count(), 1, "{told:?}");
}

#[test]
fn hwcaps_are_searched_first() {
    if !can_judge() {
        return;
    }
    let active = hwcaps::active_hwcaps(Path::new(LOADER));
    let levels: Vec<&str> = active.iter().map(String::as_str).collect();
    let Some(best) = levels.first() else {
        let _ = writeln!(std::io::stdout(), "skipped: this processor has no glibc-hwcaps level");
        return;
    };
    let bench = Bench::new("cc");
    bench.library("d/libboth.so", &[]);
    bench.library(&format!("d/glibc-hwcaps/{best}/libboth.so"), &[]);
    bench.library(&format!("d/glibc-hwcaps/{best}/libonly.so"), &[]);
    bench.library("stub/libonly.so", &[]);
    bench.library("d/glibc-hwcaps/x86-64-v9/libboth.so", &[]);
    bench.program("prog", &["-Ld", "-lboth", "-Lstub", "-lonly", "-Wl,-rpath,$ORIGIN/d"]);
    let told = agree_with(&bench, "prog", &levels).unwrap();
    assert!(has(&told, &format!("{best}/libboth.so")) && has(&told, &format!("{best}/libonly.so")), "{told:?}");
    // A baseline processor has the one and misses the other.
    let told = bench.ours("prog", &[]);
    assert!(has(&told, "d/libboth.so") && told.missing.contains("libonly.so"), "{told:?}");
}

#[test]
fn tokens_are_expanded() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("cc");
    bench.library("lib/x86_64-linux-gnu/libl.so", &[]);
    bench.program("token", &["-Llib/x86_64-linux-gnu", "-ll", "-Wl,-rpath,$ORIGIN/${LIB}"]);
    assert!(has(&agree(&bench, "token").unwrap(), "x86_64-linux-gnu/libl.so"));
    // A token in the name that is needed; the linker records the SONAME as it is.
    bench.library("d/libo.so", &["-Wl,-soname,$ORIGIN/d/libo.so"]);
    bench.program("needed", &["-Ld", "-lo"]);
    assert!(has(&agree(&bench, "needed").unwrap(), "/d/libo.so"));
    // What only looks like a token stands for itself.
    bench.library("$ORIGINAL/libq.so", &[]);
    bench.program("lookalike", &["-L$ORIGINAL", "-lq", &format!("-Wl,-rpath,{}/$ORIGINAL", bench.name(""))]);
    assert!(has(&agree(&bench, "lookalike").unwrap(), "$ORIGINAL/libq.so"));
}

#[test]
fn origin_of_links() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("cc");
    // A library found through a link: its directory is that of the link.
    bench.library("links/libb.so", &[]);
    bench.library("real/liba.so", &["-Llinks", "-lb", "-Wl,-rpath,$ORIGIN"]);
    bench.link("links/liba.so", "../real/liba.so");
    bench.program("prog", &["-Lreal", "-la", "-Wl,-rpath,$ORIGIN/links"]);
    let told = agree(&bench, "prog").unwrap();
    assert!(told.missing.is_empty() && has(&told, "links/libb.so"), "{told:?}");
    // A program started through a link: its directory is the real one.
    bench.library("bin/libp.so", &[]);
    bench.program("bin/prog", &["-Lbin", "-lp", "-Wl,-rpath,$ORIGIN"]);
    bench.link("elsewhere/prog", "../bin/prog");
    let told = agree(&bench, "elsewhere/prog").unwrap();
    assert!(told.missing.is_empty() && has(&told, "bin/libp.so"), "{told:?}");
    // A directory that is a link.
    bench.link("dir", "bin");
    let told = agree(&bench, "dir/prog").unwrap();
    assert!(has(&told, "bin/libp.so"), "{told:?}");
}

#[test]
fn nodeflib_skips_the_defaults() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("cc");
    // libm comes from the cache or from a default directory.
    bench.program("prog", &["-Wl,--no-as-needed", "-lm", "-Wl,-z,nodefaultlib"]);
    let told = agree(&bench, "prog").unwrap();
    assert!(told.missing.contains("libm.so.6") && told.missing.contains("libc.so.6"), "{told:?}");
    // It is a matter of the requester, not of the program.
    bench.library("d/liba.so", &["-lm"]);
    bench.program(
        "through",
        &["-Ld", "-la", "-Wl,-rpath,$ORIGIN/d", "-nodefaultlibs", "-nostartfiles", "-Wl,-z,nodefaultlib"],
    );
    let told = agree(&bench, "through").unwrap();
    assert!(told.missing.is_empty() && has(&told, "libm.so.6"), "{told:?}");
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
fn what_is_not_for_this_machine_is_skipped() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("cc");
    bench.library("good/liba.so", &[]);
    // AArch64 by its machine; 32-bit by its class, and nothing behind the class is looked at.
    patched(&bench, "good/liba.so", "arm/liba.so", &[(18, 183)]);
    patched(&bench, "good/liba.so", "small/liba.so", &[(4, 1)]);
    bench.program("prog", &["-Lgood", "-la", "-Wl,-rpath,$ORIGIN/arm:$ORIGIN/small:$ORIGIN/none:$ORIGIN/good"]);
    let told = agree(&bench, "prog").unwrap();
    assert!(has(&told, "good/liba.so") && !told.fatal, "{told:?}");
    bench.program("none", &["-Lgood", "-la", "-Wl,-rpath,$ORIGIN/arm:$ORIGIN/small"]);
    let told = agree(&bench, "none").unwrap();
    assert!(told.missing.contains("liba.so") && !told.fatal, "{told:?}");
}

#[test]
fn garbage_ends_it() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("cc");
    bench.library("good/liba.so", &[]);
    bench.file("text/liba.so", b"/* GNU ld script */ INPUT(libb.so)\n");
    bench.file("short/liba.so", b"\x7fELF");
    bench.file("empty/liba.so", b"");
    std::fs::create_dir_all(bench.at("directory/liba.so")).unwrap();
    patched(&bench, "good/liba.so", "swapped/liba.so", &[(5, 2)]);
    patched(&bench, "good/liba.so", "object/liba.so", &[(16, 1)]);
    bench.program("executable/liba.so", &["-no-pie"]);
    bench.program("pie/liba.so", &["-pie"]);
    for bad in ["text", "short", "empty", "directory", "swapped", "object", "executable", "pie"] {
        let rpath = format!("-Wl,-rpath,$ORIGIN/{bad}:$ORIGIN/good");
        bench.program(bad.trim_end_matches('/').to_uppercase().as_str(), &["-Lgood", "-la", &rpath]);
        let told = agree(&bench, &bad.to_uppercase()).unwrap();
        assert!(told.fatal, "{bad}: {told:?}");
    }
}

#[test]
fn filters_come_first() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("cc");
    bench.library("d/libf.so", &[]);
    bench.library("d/libg.so", &[]);
    bench.library("d/liba.so", &["-Wl,-f,libf.so", "-Wl,-f,libgone.so", "-Wl,-rpath,$ORIGIN"]);
    bench.library("d/libb.so", &["-Wl,-F,libg.so", "-Wl,-rpath,$ORIGIN"]);
    let rpath = "-Wl,-rpath,$ORIGIN/d";
    let before = |told: &Told, first: &str, second: &str| {
        let at = |end: &str| told.mapped.iter().position(|p| p.ends_with(end)).unwrap();
        assert!(at(first) < at(second), "{told:?}");
    };
    let mut ours = bench_list(&bench, "aux", &["-Ld", "-la", rpath]);
    before(&ours, "d/libf.so", "d/liba.so");
    assert!(!ours.missing.contains("libgone.so"), "{ours:?}");
    ours = bench_list(&bench, "filter", &["-Ld", "-lb", rpath]);
    before(&ours, "d/libg.so", "d/libb.so");
    // What the program needs later anyway moves forward.
    ours = bench_list(&bench, "moved", &["-Ld", "-lb", "-lg", rpath]);
    before(&ours, "d/libg.so", "d/libb.so");
    // What stands earlier stays.
    ours = bench_list(&bench, "stays", &["-Ld", "-lg", "-la", "-lb", rpath]);
    before(&ours, "d/libg.so", "d/liba.so");
    bench.library("d/libh.so", &["-Wl,-F,libgone.so"]);
    ours = bench_list(&bench, "required", &["-Ld", "-lh", rpath]);
    assert!(ours.missing.contains("libgone.so"), "{ours:?}");
}

/// As [`agree`], without what the loader says of absent `DT_AUXILIARY` objects when it lists only: then it names them as
/// if they were needed.
fn bench_list(bench: &Bench, program: &str, words: &[&str]) -> Told {
    bench.program(program, words);
    let ours = bench.ours(program, &[]);
    let mut oracle = bench.oracle(program, None).unwrap();
    if !ours.missing.contains("libgone.so") {
        oracle.missing.remove("libgone.so");
    }
    assert_eq!(ours, oracle);
    ours
}

#[test]
fn versions_are_checked() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("cc");
    bench.file("v1.map", b"V1 { global: one; local: *; };\n");
    bench.file("v2.map", b"V1 { global: one; local: *; };\nV2 { global: two; } V1;\n");
    let source = "int one(void) { return 1; }\nint two(void) { return 2; }\n";
    bench.library_of("new/libv.so", source, &["-Wl,--version-script,v2.map", "-Wl,-soname,libv.so"]);
    bench.library_of("old/libv.so", source, &["-Wl,--version-script,v1.map", "-Wl,-soname,libv.so"]);
    bench.library_of("bare/libv.so", source, &["-Wl,-soname,libv.so"]);
    let code = "int one(void); int two(void);\nint main(void) { return one() + two() == 3 ? 0 : 1; }\n";
    for (name, lacks) in [("new", false), ("old", true), ("bare", false)] {
        let program = format!("with-{name}");
        bench.compile(&program, code, &["-Lnew", "-lv", &format!("-Wl,-rpath,$ORIGIN/{name}")]);
        let told = agree(&bench, &program).unwrap();
        assert_eq!(told.versions.contains("V2"), lacks, "{name}: {told:?}");
    }
    // A weak reference makes the linker mark the version as one that may be absent.
    let weak = "#pragma weak two\nint one(void); int two(void);\nint main(void) { return two ? one() : 0; }\n";
    bench.compile("weak", weak, &["-Lnew", "-lv", "-Wl,-rpath,$ORIGIN/old"]);
    agree(&bench, "weak").unwrap();
}

#[test]
fn links_stay_inside_the_root() {
    if !can_judge() {
        return;
    }
    let bench = rooted();
    bench.library("opt/real/libc1.so.1.0", &["-Wl,-soname,libc1.so.1"]);
    // Absolute targets start at the root, `..` stops there, and one link leads through the other.
    bench.link("opt/libc1.so.1.0", "/opt/real/../real/libc1.so.1.0");
    bench.link("usr/lib/libc1.so.1", "../../../../../opt/libc1.so.1.0");
    bench.link("usr/lib/loop.so", "loop.so");
    bench.program("bin/prog", &["opt/real/libc1.so.1.0"]);
    let Some(told) = agree(&bench, "bin/prog") else { return };
    assert!(told.mapped.contains(&"/opt/real/libc1.so.1.0".to_owned()), "{told:?}");
    // The interpreter behind an absolute link.
    std::fs::rename(bench.at(LOADER), bench.at("lib/x86_64-linux-gnu/ld.so")).unwrap();
    bench.link(LOADER, "/lib/x86_64-linux-gnu/ld.so");
    assert_eq!(agree(&bench, "bin/prog").unwrap(), told);
    // A loop ends the search in its directory only.
    bench.program("bin/loop", &["-Lopt/real", "-l:libc1.so.1.0", "-Wl,-rpath,/loops"]);
    bench.link("loops/libc1.so.1", "libc1.so.1");
    assert_eq!(agree(&bench, "bin/loop").unwrap().mapped, told.mapped);
}

#[test]
fn preloaded_libraries_come_first() {
    if !can_judge() {
        return;
    }
    let bench = rooted();
    bench.library("opt/libp.so", &["-Lusr/lib"]);
    bench.library("usr/lib/libq.so", &[]);
    bench.library("usr/lib/liba.so", &[]);
    bench.file("etc/ld.so.preload", b"# comment\n/opt/libp.so:libq.so\tlibgone.so # end\n");
    bench.program("bin/prog", &["-Lusr/lib", "-la"]);
    let Some(told) = agree(&bench, "bin/prog") else { return };
    assert_eq!(told.mapped[..3], ["/opt/libp.so", "/usr/lib/libq.so", "/usr/lib/liba.so"], "{told:?}");
    assert!(told.missing.is_empty(), "{told:?}");
}

/// Writes the root's `ld.so.cache` in the given format; `false` when there is no `ldconfig`.
fn ldconfig(bench: &Bench, format: &str) -> bool {
    let Some(peer) = ["/sbin/ldconfig", "/usr/sbin/ldconfig"].into_iter().find(|p| Path::new(p).exists()) else {
        let _ = writeln!(std::io::stdout(), "skipped: peer ldconfig absent");
        return false;
    };
    let output =
        std::process::Command::new(peer).arg("-X").args(["-c", format, "-r"]).arg(bench.root()).output().unwrap();
    if !output.status.success() {
        let _ = writeln!(std::io::stdout(), "skipped: {}", String::from_utf8_lossy(&output.stderr));
    }
    output.status.success()
}

#[test]
fn the_cache_decides() {
    if !can_judge() {
        return;
    }
    for format in ["new", "compat", "old"] {
        let bench = rooted();
        bench.library("opt/one/libx.so.1", &["-Wl,-soname,libx.so.1"]);
        bench.library("opt/two/libx.so.1", &["-Wl,-soname,libx.so.1"]);
        bench.file("etc/ld.so.conf", b"/opt/one\n");
        bench.program("bin/prog", &["opt/one/libx.so.1"]);
        let told = agree(&bench, "bin/prog");
        let Some(told) = told else { return };
        assert!(told.missing.contains("libx.so.1"), "ld.so.conf alone is not read: {told:?}");
        if !ldconfig(&bench, format) {
            return;
        }
        let told = agree(&bench, "bin/prog").unwrap();
        assert_eq!(told.mapped[0], "/opt/one/libx.so.1", "{format}");
        // A configuration that says otherwise by now changes nothing.
        bench.file("etc/ld.so.conf", b"/opt/two\n");
        assert_eq!(agree(&bench, "bin/prog").unwrap(), told, "{format}");
        // An entry whose file is gone: the default directories follow.
        std::fs::create_dir_all(bench.at("usr/lib/x")).unwrap();
        std::fs::rename(bench.at("opt/one/libx.so.1"), bench.at("usr/lib/libx.so.1")).unwrap();
        assert_eq!(agree(&bench, "bin/prog").unwrap().mapped[0], "/usr/lib/libx.so.1", "{format}");
        // A cache that is cut short counts as none, an entry that leads to garbage ends it.
        let cache = std::fs::read(bench.at("etc/ld.so.cache")).unwrap();
        bench.file("etc/ld.so.cache", &cache[..cache.len() / 3]);
        assert_eq!(agree(&bench, "bin/prog").unwrap().mapped[0], "/usr/lib/libx.so.1", "{format}");
        bench.file("etc/ld.so.cache", &cache);
        bench.file("opt/one/libx.so.1", b"garbage");
        assert!(agree(&bench, "bin/prog").unwrap().fatal, "{format}");
    }
}

#[test]
fn the_cache_knows_hwcaps() {
    if !can_judge() {
        return;
    }
    let active = hwcaps::active_hwcaps(Path::new(LOADER));
    let levels: Vec<&str> = active.iter().map(String::as_str).collect();
    let bench = rooted();
    for place in [
        "opt/one",
        "opt/one/glibc-hwcaps/x86-64-v2",
        "opt/one/glibc-hwcaps/x86-64-v3",
        "opt/one/glibc-hwcaps/x86-64-v4",
    ] {
        bench.library(&format!("{place}/libx.so.1"), &["-Wl,-soname,libx.so.1"]);
    }
    bench.file("etc/ld.so.conf", b"/opt/one\n");
    bench.program("bin/prog", &["opt/one/libx.so.1"]);
    if !ldconfig(&bench, "new") {
        return;
    }
    let Some(told) = agree_with(&bench, "bin/prog", &levels) else { return };
    let best =
        levels.first().map_or("/opt/one/libx.so.1".to_owned(), |l| format!("/opt/one/glibc-hwcaps/{l}/libx.so.1"));
    assert_eq!(told.mapped[0], best);
    assert_eq!(bench.ours("bin/prog", &[]).mapped[0], "/opt/one/libx.so.1");
    assert_eq!(bench.ours("bin/prog", &["x86-64-v2"]).mapped[0], "/opt/one/glibc-hwcaps/x86-64-v2/libx.so.1");
}

#[test]
fn nodeflib_and_the_cache() {
    if !can_judge() {
        return;
    }
    let bench = rooted();
    bench.library("opt/one/libx.so.1", &["-Wl,-soname,libx.so.1"]);
    bench.library("usr/lib/liby.so.1", &["-Wl,-soname,liby.so.1"]);
    bench.file("etc/ld.so.conf", b"/opt/one\n");
    bench.program("bin/prog", &["opt/one/libx.so.1", "usr/lib/liby.so.1", "-Wl,-z,nodefaultlib"]);
    if !ldconfig(&bench, "new") {
        return;
    }
    let Some(told) = agree(&bench, "bin/prog") else { return };
    // What the cache has outside of the default directories counts.
    assert!(told.mapped.contains(&"/opt/one/libx.so.1".to_owned()) && told.missing.contains("liby.so.1"), "{told:?}");
}

#[test]
fn empty_paths_have_no_directory() {
    if !can_judge() {
        return;
    }
    let bench = rooted();
    bench.library("usr/lib/libx.so.1", &["-Wl,-soname,libx.so.1"]);
    bench.library("libx.so.1", &["-Wl,-soname,libx.so.1"]);
    // An empty element is the working directory, which is the root here.
    bench.program("bin/prog", &["usr/lib/libx.so.1", "-Wl,-rpath,/nowhere::/other"]);
    let Some(told) = agree(&bench, "bin/prog") else { return };
    assert_eq!(told.mapped[0], "/libx.so.1", "{told:?}");
    bench.program("bin/slashes", &["usr/lib/libx.so.1", "-Wl,-rpath,/usr/lib///"]);
    assert_eq!(agree(&bench, "bin/slashes").unwrap().mapped[0], "/usr/lib/libx.so.1");
}

#[test]
fn odd_needs() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("cc");
    // The loader itself under a name that it does not know, by a link and by its path.
    bench.library("stub/libld.so", &[]);
    bench.link("d/libld.so", LOADER);
    bench.program("loader", &["-Lstub", "-lld", "-Wl,-rpath,$ORIGIN/d"]);
    agree(&bench, "loader").unwrap();
    bench.library("stub/path.so", &["-Wl,-soname,/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"]);
    bench.program("path", &["stub/path.so"]);
    agree(&bench, "path").unwrap();
    // A search path that is relative starts at the working directory, `/` here.
    bench.library("d/librel.so", &[]);
    let relative = format!("-Wl,-rpath,{}/d", bench.root().display().to_string().trim_start_matches('/'));
    bench.program("relative", &["-Ld", "-lrel", &relative]);
    assert!(has(&agree(&bench, "relative").unwrap(), "d/librel.so"));
    // A needed path that is relative, one with dots, and a name as long as none can be.
    let name = format!("-Wl,-soname,{}/d/./../d/librel.so", bench.root().display());
    bench.library("stub/dots.so", &[&name]);
    let long = format!("-Wl,-soname,{}", "n".repeat(300));
    bench.library("stub/long.so", &[&long]);
    bench.program("dots", &["stub/dots.so", "stub/long.so", "-Ld", "-lrel", "-Wl,-rpath,$ORIGIN/d"]);
    let told = agree(&bench, "dots").unwrap();
    assert_eq!(told.mapped.iter().filter(|p| p.ends_with("d/librel.so")).count(), 1, "{told:?}");
    // A library that needs the program that uses it by its SONAME, and one that needs itself.
    bench.library("d/libself.so", &["-Wl,-soname,libself.so"]);
    bench.library("again/libself.so", &["-Ld", "-lself", "-Wl,-soname,libself.so"]);
    bench.program("again.out", &["-Lagain", "-lself", "-Wl,-soname,libself.so", "-Wl,-rpath,$ORIGIN/again"]);
    agree(&bench, "again.out").unwrap();
    // A path beyond a file: nothing is there, and the search goes on.
    bench.file("file", b"text");
    bench.program("beyond", &["-Ld", "-lrel", "-Wl,-rpath,$ORIGIN/file:$ORIGIN/file/x:$ORIGIN/d"]);
    assert!(has(&agree(&bench, "beyond").unwrap(), "d/librel.so"));
    // A loop ends the search of its path, not the search.
    bench.link("loops/librel.so", "librel.so");
    bench.program("loop", &["-Ld", "-lrel", "-Wl,-rpath,$ORIGIN/loops:$ORIGIN/d"]);
    agree(&bench, "loop").unwrap();
}
