//! What is mapped after the start, and beside the program: `dlopen`, libraries that watch the loader, traces of searches.
//!
//! The judge is the memory map of a program that runs: which files the loader of this machine has mapped.

#[path = "support/loader_cases.rs"]
mod cases;
#[path = "support/peers.rs"]
mod peers;
#[path = "support/loader_told.rs"]
mod told;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use cases::Bench;
use coracle::analyze::loader::{Answer, Closure, Dlopen, Found, Target, Verdict};
use coracle::rootfs::DirRoot;
use peers::skipped;

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
const MUSL: &str = "/lib/ld-musl-x86_64.so.1";

/// Opens its arguments, says what failed, and prints its memory map. An argument `+NAME` is opened by a library.
const OPENS: &str = r#"
#include <dlfcn.h>
#include <stdio.h>
#pragma weak open_it
void *open_it(const char *);
int main(int c, char **v) {
  for (int i = 1; i < c; i++) {
    void *got = v[i][0] == '+' ? open_it(v[i] + 1) : dlopen(v[i], RTLD_LAZY);
    if (!got) printf("! %s\n", dlerror());
  }
  FILE *maps = fopen("/proc/self/maps", "r");
  for (int ch; (ch = getc(maps)) != EOF;) putchar(ch);
  return 0;
}
"#;
const CALLER: &str = "void *dlopen(const char *, int);\nvoid *open_it(const char *n) { return dlopen(n, 1); }\n";

fn can_judge(loader: &str) -> bool {
    let can = cfg!(target_arch = "x86_64") && Path::new(loader).exists();
    if !can {
        skipped(&format!("this machine has no {loader}"));
    }
    can
}

/// The files that the program has mapped when it is at its end, and what it could not open.
fn mapped(bench: &Bench, program: &str, words: &[&str]) -> (BTreeSet<String>, Vec<String>) {
    let output = Command::new(bench.at(program)).args(words).env_clear().current_dir("/").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let files = text.lines().filter_map(|line| line.split_whitespace().nth(5)).filter(|f| f.starts_with('/'));
    let failed = text.lines().filter_map(|line| line.strip_prefix("! ")).map(str::to_owned).collect();
    (files.map(str::to_owned).collect(), failed)
}

fn files(closure: &Closure) -> BTreeSet<String> {
    let audits = closure.audits.iter().filter_map(|audit| audit.outcome.as_ref().ok());
    let audits = audits.flat_map(|closure| &closure.loaded);
    closure.loaded.iter().chain(audits).map(|l| l.resolved.path.to_string()).collect()
}

fn closure(bench: &Bench, target: &Target<'_>, program: &str) -> Closure {
    target.closure(bench.name(program).as_bytes(), None).unwrap().unwrap()
}

/// Opens the names one after the other, as the program does, and compares the files; gives the last call.
fn agree(bench: &Bench, program: &str, names: &[&str]) -> Dlopen {
    let root = DirRoot::open(Path::new("/")).unwrap();
    let target = Target::new(&root);
    let (theirs, failed) = mapped(bench, program, names);
    let mut closure = closure(bench, &target, program);
    let mut failures = 0;
    let mut last = None;
    for name in names {
        let by = name.strip_prefix('+').map(|_| {
            let caller = |l: &coracle::analyze::loader::Loaded| l.path.ends_with(b"libcaller.so");
            closure.loaded.iter().position(caller).unwrap()
        });
        let call = target.dlopen(&closure, by.unwrap_or(0), name.trim_start_matches('+').as_bytes()).unwrap();
        if call.succeeds() {
            closure = call.closure.clone();
        } else {
            failures += 1;
        }
        last = Some(call);
    }
    assert_eq!(files(&closure), theirs, "{program} {names:?}: {failed:?}");
    assert_eq!(failures, failed.len(), "{program} {names:?}: {failed:?}");
    last.unwrap()
}

#[test]
fn dlopen_of_glibc() {
    if !can_judge(LOADER) {
        return;
    }
    let bench = Bench::new("cc");
    bench.library("inner/libinner.so", &[]);
    bench.library("plug/libplug.so", &["-Linner", "-linner"]);
    bench.library("own/libown.so", &["-Linner", "-linner", "-Wl,-rpath,$ORIGIN/../inner"]);
    bench.library("bad/libbad.so", &["-Linner", "-linner", "-Wl,-soname,libbad.so"]);
    bench.library("stub/libgone.so", &[]);
    bench.library("plug/libhalf.so", &["-Lstub", "-lgone", "-Linner", "-linner", "-Wl,-rpath,$ORIGIN/../inner"]);
    let plug = bench.name("plug/libplug.so");
    for (program, tags) in [("rpath", "-Wl,--disable-new-dtags"), ("runpath", "-Wl,--enable-new-dtags")] {
        bench.compile(program, OPENS, &["-Wl,-rpath,$ORIGIN/plug:$ORIGIN/inner", tags]);
        // By name: both kinds serve the caller. What the object needs is found by the program's RPATH only.
        let call = agree(&bench, program, &["libplug.so"]);
        assert_eq!(call.succeeds(), program == "rpath", "{:?}", call.missing);
        assert_eq!(agree(&bench, program, &[&plug]).succeeds(), program == "rpath");
        assert!(!agree(&bench, program, &["libown.so"]).succeeds());
        assert!(agree(&bench, program, &[&bench.name("own/libown.so")]).succeeds());
        // Opened before, the inner library is there by its name.
        assert!(agree(&bench, program, &[&bench.name("inner/libinner.so"), &plug]).closure.loaded.len() > 3);
        // Nothing of a call that fails stays mapped.
        assert!(!agree(&bench, program, &["libhalf.so"]).succeeds());
        // From the cache or a default directory, twice.
        let call = agree(&bench, program, &["libm.so.6", "libm.so.6"]);
        assert_eq!(call.before, call.closure.loaded.len());
        assert!(agree(&bench, program, &["$ORIGIN/own/libown.so"]).succeeds());
    }
}

#[test]
fn dlopen_by_a_library() {
    if !can_judge(LOADER) {
        return;
    }
    let bench = Bench::new("cc");
    bench.library("near/libnear.so", &[]);
    bench.library("far/libfar.so", &[]);
    bench.library_of("near/libcaller.so", CALLER, &["-Wl,-rpath,$ORIGIN", "-Wl,--enable-new-dtags"]);
    let words = ["-Lnear", "-lcaller", "-Wl,-rpath,$ORIGIN/near:$ORIGIN/far"];
    bench.compile("rpath", OPENS, &[&words[..], &["-Wl,--disable-new-dtags"]].concat());
    bench.compile("runpath", OPENS, &[&words[..], &["-Wl,--enable-new-dtags"]].concat());
    // Its own RUNPATH counts, and hides the program's RPATH; the program's RUNPATH is the program's alone.
    assert!(agree(&bench, "rpath", &["+libnear.so"]).succeeds());
    assert!(!agree(&bench, "rpath", &["+libfar.so"]).succeeds());
    assert!(agree(&bench, "rpath", &["libfar.so", "+libfar.so"]).succeeds());
    assert!(!agree(&bench, "runpath", &["+libfar.so"]).succeeds());
    assert!(agree(&bench, "runpath", &["+$ORIGIN/libnear.so"]).succeeds());
    // Without one of its own it has the program's RPATH.
    bench.library_of("near/libcaller.so", CALLER, &[]);
    assert!(agree(&bench, "rpath", &["+libfar.so"]).succeeds());
    assert!(!agree(&bench, "runpath", &["+libfar.so"]).succeeds());
}

#[test]
fn dlopen_of_musl() {
    if peers::find("musl-gcc").is_none() || !can_judge(MUSL) {
        return;
    }
    let bench = Bench::new("musl-gcc");
    bench.library("inner/libinner.so", &[]);
    bench.library("plug/libplug.so", &["-Linner", "-linner"]);
    bench.library("near/libnear.so", &[]);
    bench.library_of("near/libcaller.so", CALLER, &["-Wl,-rpath,$ORIGIN"]);
    bench.compile("prog", OPENS, &["-Wl,-rpath,$ORIGIN/plug:$ORIGIN/inner"]);
    bench.compile("caller", OPENS, &["near/libcaller.so", "-Wl,-rpath,$ORIGIN/plug:$ORIGIN/inner"]);
    assert!(agree(&bench, "prog", &["libplug.so"]).succeeds());
    assert!(agree(&bench, "prog", &[&bench.name("plug/libplug.so"), "libplug.so", "libc.so.6"]).succeeds());
    assert!(!agree(&bench, "prog", &["libnear.so"]).succeeds());
    // The program's paths count, whoever calls.
    bench.compile("caller", OPENS, &["-Lnear", "-lcaller", "-Wl,-rpath,$ORIGIN/near:$ORIGIN/plug:$ORIGIN/inner"]);
    assert!(agree(&bench, "caller", &["+libplug.so", "+libnear.so"]).succeeds());
    bench.library_of("near/libcaller.so", CALLER, &["-Wl,-rpath,$ORIGIN/../apart"]);
    bench.library("apart/libapart.so", &[]);
    assert!(!agree(&bench, "caller", &["+libapart.so"]).succeeds());
}

#[test]
fn libraries_that_watch_the_loader() {
    if !can_judge(LOADER) {
        return;
    }
    let bench = Bench::new("cc");
    let watch = "unsigned la_version(unsigned v) { return v; }\n";
    bench.library("deep/libdeep.so", &[]);
    bench.library_of("watch/libwatch.so", watch, &["-Ldeep", "-ldeep", "-Wl,-rpath,$ORIGIN/../deep"]);
    bench.library_of("watch/liblibc.so", watch, &["-lc", "-lm"]);
    let rpath = ["-Wl,-rpath,$ORIGIN/watch", "-Wl,--disable-new-dtags"];
    let runpath = ["-Wl,-rpath,$ORIGIN/watch", "-Wl,--enable-new-dtags"];
    for (program, words, loaded) in
        [("by-rpath", &rpath[..], true), ("by-runpath", &runpath, true), ("nowhere", &[], false)]
    {
        bench.compile(program, OPENS, &[words, &["-Wl,--audit,libwatch.so:libgone.so"]].concat());
        let found = agree(&bench, program, &["libm.so.6"]).closure;
        let [watch, gone] = &found.audits[..] else { panic!("{:?}", found.audits) };
        assert_eq!(watch.outcome.is_ok(), loaded, "{program}: {watch:?}");
        assert!(gone.outcome.is_err(), "{gone:?}");
        if let Ok(closure) = &watch.outcome {
            let own: Vec<_> = closure.loaded.iter().map(|l| l.resolved.path.to_string()).collect();
            assert_eq!(own, [bench.name("watch/libwatch.so"), bench.name("deep/libdeep.so")]);
            // They are no part of what the program itself sees.
            assert!(!found.loaded.iter().any(|l| l.path.ends_with(b"libdeep.so")));
        }
    }
    bench.compile("origin", OPENS, &["-Wl,--depaudit,$ORIGIN/watch/liblibc.so"]);
    let found = agree(&bench, "origin", &["libdl.so.2"]).closure;
    let own = found.audits[0].outcome.as_ref().unwrap();
    // A libc of its own, and the one loader that there is.
    assert!(own.loaded.iter().any(|l| l.path.ends_with(b"libc.so.6")) && own.missing.is_empty());
    assert_eq!(own.loaded.iter().filter(|l| l.found == Found::Interpreter).count(), 1);
}

#[test]
fn what_depends_on_the_processor_is_told() {
    if !can_judge(LOADER) {
        return;
    }
    let bench = Bench::new("cc");
    bench.library("d/liba.so", &[]);
    bench.program("found", &["-Ld", "-la", "-Wl,-rpath,$ORIGIN/$PLATFORM:$ORIGIN/d"]);
    bench.program("before", &["-Ld", "-la", "-Wl,-rpath,$ORIGIN/d:$ORIGIN/$PLATFORM"]);
    bench.program("lost", &["-Ld", "-la", "-Wl,-rpath,$ORIGIN/$PLATFORM"]);
    bench.library("stub/libp.so", &["-Wl,-soname,/opt/${PLATFORM}/libp.so"]);
    bench.program("name", &["stub/libp.so"]);
    let root = DirRoot::open(Path::new("/")).unwrap();
    let target = Target::new(&root);
    let told = |program| {
        let found = closure(&bench, &target, program);
        let missing = found.missing.iter().filter(|m| m.undecidable).map(|m| m.name.clone()).collect::<Vec<_>>();
        let named = |u: &coracle::analyze::loader::Undecidable| String::from_utf8_lossy(&u.name).into_owned();
        (found.undecidable.iter().map(named).collect::<Vec<_>>(), missing)
    };
    // libc is found behind the token too.
    assert_eq!(told("found"), (vec!["liba.so".to_owned(), "libc.so.6".to_owned()], vec![]));
    assert_eq!(told("before"), (vec!["libc.so.6".to_owned()], vec![]));
    assert_eq!(told("lost"), (vec!["libc.so.6".to_owned()], vec![b"liba.so".to_vec()]));
    assert_eq!(told("name"), (vec![], vec![b"/opt/${PLATFORM}/libp.so".to_vec()]));
}

#[test]
fn every_search_is_told_when_asked_for() {
    if !can_judge(LOADER) {
        return;
    }
    let bench = Bench::new("cc");
    bench.library("d/libb.so", &["-Wl,-soname,libb.so.1"]);
    std::fs::rename(bench.at("d/libb.so"), bench.at("d/libb.so.1")).unwrap();
    bench.library("d/liba.so", &["-l:libb.so.1", "-Ld", "-Wl,-rpath,$ORIGIN/none:$ORIGIN"]);
    bench.program("prog", &["-Ld", "-la", "-l:libb.so.1", "-lm", "-Wl,-rpath,$ORIGIN/d", "-Wl,--disable-new-dtags"]);
    let root = DirRoot::open(Path::new("/")).unwrap();
    let target = Target::new(&root);
    let name = bench.name("prog");
    assert!(closure(&bench, &target, "prog").searches.is_empty(), "nothing is kept that nobody asked for");
    let explained = target.explain(name.as_bytes(), None, b"libb.so.1").unwrap().unwrap();
    let [first, second] = &explained.searches[..] else { panic!("{:?}", explained.searches) };
    assert_eq!((first.by, first.steps.len()), (0, 1));
    assert!(matches!(&first.steps[0].rule, Found::Rpath { directory, .. } if *directory == bench.name("d").as_bytes()));
    assert!(matches!(first.answer, Answer::Loaded(_)) && first.steps[0].attempts[0].verdict == Verdict::Loaded);
    assert!(matches!(second.answer, Answer::Known(_)) && second.steps.is_empty() && second.by != 0);
    // Each step of a library that is found late; the loader's own words name the same files in the same order.
    let explained = target.explain(name.as_bytes(), None, b"libm.so.6").unwrap().unwrap();
    let tried: Vec<String> = explained.searches[0]
        .steps
        .iter()
        .flat_map(|s| &s.attempts)
        .map(|a| String::from_utf8_lossy(&a.path).into_owned())
        .collect();
    let output = Command::new(bench.at("prog")).env_clear().env("LD_DEBUG", "libs").current_dir("/").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let of_libm = text.split("find library=libm.so.6").nth(1).unwrap().split("find library=").next().unwrap();
    let theirs: Vec<&str> = of_libm.lines().filter_map(|l| l.split("trying file=").nth(1)).collect();
    let base = |paths: &[String]| paths.iter().filter(|p| !p.contains("/glibc-hwcaps/")).cloned().collect::<Vec<_>>();
    let theirs: Vec<String> = theirs.into_iter().map(str::to_owned).collect();
    // Of a directory that is not there, glibc tries no further file; its variants are for better processors.
    assert_eq!(base(&tried), base(&theirs).into_iter().filter(|p| !p.contains("/tls/")).collect::<Vec<_>>(), "{text}");
    assert_eq!(explained.searches[0].steps.last().unwrap().rule, Found::Cache);
}
