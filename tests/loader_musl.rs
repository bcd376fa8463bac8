//! The rules of musl's loader, each as a program made for it, judged by the musl of this machine.

#[path = "support/loader_cases.rs"]
mod cases;
#[path = "support/peers.rs"]
mod peers;
#[path = "support/loader_told.rs"]
mod told;

use std::io::Write;
use std::path::Path;

use cases::Bench;
use told::Told;

const LOADER: &str = "/lib/ld-musl-x86_64.so.1";

/// Whether musl and its compiler are here.
fn can_judge() -> bool {
    if peers::find("musl-gcc").is_none() {
        return false;
    }
    let can = cfg!(target_arch = "x86_64") && Path::new(LOADER).exists();
    if !can {
        let _ = writeln!(std::io::stdout(), "skipped: this machine has no musl for x86-64");
    }
    can
}

/// The simulation and the loader agree, also in the order.
fn agree(bench: &Bench, program: &str) -> Option<Told> {
    let ours = bench.ours(program, &[]);
    let Some(oracle) = bench.oracle(program, Some(LOADER)) else {
        let _ = writeln!(std::io::stdout(), "skipped: only root can enter a root");
        return None;
    };
    assert_eq!(ours, oracle);
    Some(ours)
}

fn has(told: &Told, end: &str) -> bool {
    told.mapped.iter().any(|path| path.ends_with(end))
}

#[test]
fn rpath_and_runpath_are_inherited() {
    if !can_judge() {
        return;
    }
    for tags in ["-Wl,--enable-new-dtags", "-Wl,--disable-new-dtags"] {
        let bench = Bench::new("musl-gcc");
        bench.library("d/libb.so", &[]);
        bench.library("e/liba.so", &["-Ld", "-lb"]);
        bench.program("prog", &["-Le", "-la", "-Wl,-rpath,$ORIGIN/d:$ORIGIN/e", tags]);
        let told = agree(&bench, "prog").unwrap();
        assert!(told.missing.is_empty() && has(&told, "d/libb.so"), "{told:?}");
        // Past a library with a path of its own too.
        bench.library("e/libm2.so", &["-Ld", "-lb", "-Wl,-rpath,$ORIGIN/none", tags]);
        bench.program("past", &["-Le", "-lm2", "-Wl,-rpath,$ORIGIN/d:$ORIGIN/e", tags]);
        let told = agree(&bench, "past").unwrap();
        assert!(told.missing.is_empty() && has(&told, "d/libb.so"), "{told:?}");
    }
}

#[test]
fn a_soname_is_no_name() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("musl-gcc");
    bench.library("s/libx.so", &["-Wl,-soname,liby.so"]);
    bench.library("s/libneedsy.so", &["-Ls", "-lx"]);
    bench.library("t/libx.so", &[]);
    bench.program("prog", &["-Lt", "-lx", "-Ls", "-lneedsy", "-Wl,-rpath,$ORIGIN/s"]);
    let told = agree(&bench, "prog").unwrap();
    assert!(told.missing.contains("liby.so") && has(&told, "s/libx.so"), "{told:?}");
}

#[test]
fn one_inode_is_one_object() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("musl-gcc");
    bench.library("d/libone.so", &[]);
    std::fs::hard_link(bench.at("d/libone.so"), bench.at("d/libtwo.so")).unwrap();
    bench.link("d/libthree.so", "libone.so");
    bench.program("prog", &["-Ld", "-lone", "-ltwo", "-lthree", "-Wl,-rpath,$ORIGIN/d"]);
    let told = agree(&bench, "prog").unwrap();
    assert_eq!(told.mapped.iter().filter(|p| p.contains("/d/lib")).count(), 1, "{told:?}");
}

#[test]
fn a_dollar_that_is_not_origin_voids_the_path() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("musl-gcc");
    bench.library("d/liba.so", &[]);
    bench.program("good", &["-Ld", "-la", "-Wl,-rpath,${ORIGIN}/d"]);
    assert!(agree(&bench, "good").unwrap().missing.is_empty());
    bench.program("void", &["-Ld", "-la", "-Wl,-rpath,$ORIGIN/d:/usr/$LIB"]);
    assert!(agree(&bench, "void").unwrap().missing.contains("liba.so"));
}

#[test]
fn the_loader_is_libc() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("musl-gcc");
    // Names that stand for the loader itself, even where files of that name are.
    for name in ["libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2"] {
        bench.library(&format!("d/{name}"), &[]);
    }
    bench.library("d/libcrypt.so.1", &[]);
    bench.program(
        "prog",
        &[
            "d/libc.so.6",
            "d/libm.so.6",
            "-Ld",
            "-l:libpthread.so.0",
            "-l:libdl.so.2",
            "-l:libcrypt.so.1",
            "-Wl,-rpath,$ORIGIN/d",
        ],
    );
    let told = agree(&bench, "prog").unwrap();
    assert!(has(&told, "d/libcrypt.so.1") && !has(&told, "d/libm.so.6") && !has(&told, "d/libdl.so.2"), "{told:?}");
}

#[test]
fn versions_and_filters_do_not_count() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("musl-gcc");
    bench.file("v1.map", b"V1 { global: one; local: *; };\n");
    bench.file("v2.map", b"V1 { global: one; local: *; };\nV2 { global: two; } V1;\n");
    let source = "int one(void) { return 1; }\nint two(void) { return 2; }\n";
    bench.library_of("new/libv.so", source, &["-Wl,--version-script,v2.map", "-Wl,-soname,libv.so"]);
    bench.library_of(
        "old/libv.so",
        source,
        &["-Wl,--version-script,v1.map", "-Wl,-soname,libv.so", "-Wl,-F,libgone.so"],
    );
    bench.program("prog", &["-Lnew", "-lv", "-Wl,-rpath,$ORIGIN/old"]);
    let told = agree(&bench, "prog").unwrap();
    assert!(told.versions.is_empty() && told.missing.is_empty(), "{told:?}");
}

#[test]
fn garbage_ends_the_search_for_it() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("musl-gcc");
    bench.library("good/liba.so", &[]);
    bench.file("text/liba.so", b"/* GNU ld script */ INPUT(libb.so)\n");
    bench.link("loop/liba.so", "liba.so");
    for bad in ["text", "loop"] {
        let program = bad.to_uppercase();
        bench.program(&program, &["-Lgood", "-la", &format!("-Wl,-rpath,$ORIGIN/{bad}:$ORIGIN/good")]);
        let told = agree(&bench, &program).unwrap();
        assert!(told.fatal && !has(&told, "good/liba.so"), "{bad}: {told:?}");
    }
}

#[test]
fn the_path_file_replaces_the_defaults() {
    if !can_judge() {
        return;
    }
    let bench = Bench::rooted("musl-gcc", &[LOADER]);
    bench.library("opt/libx.so", &["-Wl,-soname,libx.so"]);
    bench.library("usr/local/lib/libx.so", &["-Wl,-soname,libx.so"]);
    bench.program("bin/prog", &["opt/libx.so"]);
    let Some(told) = agree(&bench, "bin/prog") else { return };
    assert_eq!(told.mapped, ["/usr/local/lib/libx.so"]);
    bench.file("etc/ld-musl-x86_64.path", b"/nowhere:/opt\n/usr/lib\n");
    assert_eq!(agree(&bench, "bin/prog").unwrap().mapped, ["/opt/libx.so"]);
    bench.file("etc/ld-musl-x86_64.path", b"");
    assert!(agree(&bench, "bin/prog").unwrap().missing.contains("libx.so"));
}

#[test]
fn what_does_not_fit_its_buffer_is_not_tried() {
    if !can_judge() {
        return;
    }
    let bench = Bench::new("musl-gcc");
    // A directory and a name have 512 bytes together, with a slash and the NUL.
    let deep = vec!["d".repeat(200); 2].join("/");
    for (len, found) in [(60, true), (200, false)] {
        let directory = format!("{deep}/{}", "e".repeat(len));
        bench.library(&format!("{directory}/liba.so"), &[]);
        let rpath = format!("-Wl,-rpath,$ORIGIN/{directory}");
        bench.program("prog", &[&format!("-L{directory}"), "-la", &rpath]);
        let told = agree(&bench, "prog").unwrap();
        assert_eq!(told.missing.is_empty(), found, "{told:?}");
    }
}
