//! Images of real programs, static and dynamic, made by the command line, run for real: under runc, as uid 65532, without any
//! capability, on a root that cannot be written. Foreign architectures run under qemu's user emulation.

mod support {
    pub mod cli;
    pub mod peers;
    pub mod programs;
    pub mod runc;
}

use std::path::{Path, PathBuf};
use std::process::Command;

use support::cli::Workbench;
use support::peers;
use support::programs::{compile, source as program};
use support::runc::{Ran, Runner};

fn c(bench: &Workbench, compiler: &str) -> Option<PathBuf> {
    let output = bench.join("report-c");
    let mut command = Command::new(compiler);
    command.args(["-static", "-O1", "-o"]).arg(&output).arg(program("report.c"));
    compile(&format!("a static C program with {compiler}"), &mut command, &output)
}

fn go(bench: &Workbench, arch: &str) -> Option<PathBuf> {
    let go = peers::find("go")?;
    let output = bench.join("report-go");
    let mut command = Command::new(go);
    command.args(["build", "-trimpath", "-o"]).arg(&output).arg(program("report.go"));
    command.env("CGO_ENABLED", "0").env("GOOS", "linux").env("GOARCH", arch).env("GOFLAGS", "-buildvcs=false");
    compile(&format!("a Go program for {arch}"), &mut command, &output)
}

fn rust(bench: &Workbench, target: Option<&str>) -> Option<PathBuf> {
    let output = bench.join("report-rust");
    let mut command = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.args(["-C", "target-feature=+crt-static", "-O", "--edition", "2021", "-o"]).arg(&output);
    command.args(target.map(|t| format!("--target={t}"))).arg(program("report.rs"));
    compile("a static Rust program", &mut command, &output)
}

/// Builds the image of `made` and runs it.
fn run(bench: &Workbench, runner: &Runner, made: &Path, flags: &[&str], emulator: Option<&Path>) -> Ran {
    let layout = bench.join("image");
    let output = format!("oci:{}", layout.display());
    let mut words = vec!["build", made.to_str().unwrap(), "--name", "report", "--tag", "localhost/report:v1"];
    words.extend(["--output", &output]);
    words.extend(flags);
    bench.run(&words).succeeds();
    bench.run(["validate", &output]).succeeds();
    runner.run(&layout, "v1", bench.path(), emulator)
}

#[track_caller]
fn reports(ran: &Ran, user: &str) {
    let want = format!("/app/report {user} root=read-only\n");
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (7, want.as_str(), ""));
}

const NONROOT: &str = "uid=65532 gid=65532";

#[test]
fn a_static_c_program() {
    let bench = Workbench::new();
    let Some(runner) = Runner::find() else { return };
    let Some(made) = c(&bench, "cc") else { return };
    reports(&run(&bench, &runner, &made, &[], None), NONROOT);
}

#[test]
fn a_musl_c_program() {
    let bench = Workbench::new();
    let (Some(runner), Some(_)) = (Runner::find(), peers::find("musl-gcc")) else { return };
    let Some(made) = c(&bench, "musl-gcc") else { return };
    reports(&run(&bench, &runner, &made, &[], None), NONROOT);
}

#[test]
fn a_static_pie_rust_program() {
    let bench = Workbench::new();
    let Some(runner) = Runner::find() else { return };
    let Some(made) = rust(&bench, None) else { return };
    reports(&run(&bench, &runner, &made, &[], None), NONROOT);
}

#[test]
fn a_go_program() {
    let bench = Workbench::new();
    let Some(runner) = Runner::find() else { return };
    let Some(made) = go(&bench, "amd64") else { return };
    reports(&run(&bench, &runner, &made, &[], None), NONROOT);
}

#[test]
fn under_the_user_that_is_asked_for_and_the_arbitrary_ones_of_openshift() {
    let Some(runner) = Runner::find() else { return };
    let bench = Workbench::new();
    let Some(made) = c(&bench, "cc") else { return };
    reports(&run(&bench, &runner, &made, &["--user", "1234:77"], None), "uid=1234 gid=77");
    let bench = Workbench::new();
    let Some(made) = c(&bench, "cc") else { return };
    reports(&run(&bench, &runner, &made, &["--openshift"], None), "uid=65532 gid=0");
}

#[test]
fn foreign_go_programs_under_emulation() {
    let Some(runner) = Runner::find() else { return };
    let arches =
        [("arm64", "aarch64"), ("riscv64", "riscv64"), ("ppc64le", "ppc64le"), ("s390x", "s390x"), ("arm", "arm")];
    for (arch, emulated) in arches {
        let bench = Workbench::new();
        let Some(emulator) = peers::find(&format!("qemu-{emulated}-static")) else { return };
        let Some(made) = go(&bench, arch) else { return };
        reports(&run(&bench, &runner, &made, &[], Some(&emulator)), NONROOT);
    }
}

#[test]
fn a_foreign_c_program_under_emulation() {
    let Some(runner) = Runner::find() else { return };
    let bench = Workbench::new();
    let Some(emulator) = peers::find("qemu-aarch64-static") else { return };
    let Some(compiler) = peers::find("aarch64-linux-gnu-gcc") else { return };
    let Some(made) = c(&bench, compiler.to_str().unwrap()) else { return };
    reports(&run(&bench, &runner, &made, &[], Some(&emulator)), NONROOT);
}

#[test]
fn a_dynamic_program_without_its_root_is_refused() {
    let bench = Workbench::new();
    let output = bench.join("dynamic");
    let mut command = Command::new("cc");
    command.args(["-o"]).arg(&output).arg(program("report.c"));
    let Some(made) = compile("a dynamic C program", &mut command, &output) else { return };
    std::fs::create_dir(bench.join("empty")).unwrap();
    let run = bench.run(["build", made.to_str().unwrap(), "--root", "empty"]);
    assert_eq!(run.code(), Some(1));
    assert!(run.stderr().contains("/ld-"), "{}", run.stderr());
    assert!(!bench.join("coracle-out").exists(), "a refused build left an output");
}

/// `report.c` as a dynamic program of `compiler`, with a library of its own that only `$ORIGIN/../lib` names.
fn dynamic(bench: &Workbench, compiler: &str) -> Option<PathBuf> {
    bench.file("src/own.c", "int own(void) { return 0; }\n");
    std::fs::create_dir_all(bench.join("dist/bin")).unwrap();
    std::fs::create_dir_all(bench.join("dist/lib")).unwrap();
    let (library, output) = (bench.join("dist/lib/libown.so.1"), bench.join("dist/bin/report"));
    let mut command = Command::new(compiler);
    command.args(["-shared", "-fPIC", "-Wl,-soname,libown.so.1", "-o"]).arg(&library).arg(bench.join("src/own.c"));
    compile(&format!("a library with {compiler}"), &mut command, &library)?;
    let mut command = Command::new(compiler);
    command.args(["-O1", "-Wl,--no-as-needed", "-Wl,-rpath,$ORIGIN/../lib", "-o"]).arg(&output);
    command.arg(program("report.c")).arg(&library).arg("-lm");
    compile(&format!("a dynamic program with {compiler}"), &mut command, &output)
}

#[test]
fn a_dynamic_c_program_with_a_library_beside_it() {
    let bench = Workbench::new();
    let Some(runner) = Runner::find() else { return };
    let Some(made) = dynamic(&bench, "cc") else { return };
    reports(&run(&bench, &runner, &made, &[], None), NONROOT);
}

/// A program that loads a library that lies beside it, and a library that loads it.
#[test]
fn plugins_beside_a_program_are_where_it_looks_for_them() {
    let Some(runner) = Runner::find() else { return };
    let bench = Workbench::new();
    std::fs::create_dir_all(bench.join("dist/lib")).unwrap();
    let link = |source: &str, output: &str, flags: &[&str]| {
        let (source, output) = (bench.file(format!("{}.c", output.replace('/', "-")), source), bench.join(output));
        let mut command = Command::new("cc");
        command.arg("-o").arg(&output).arg(&source).args(flags);
        compile(&format!("{}", output.display()), &mut command, &output)
    };
    let below = "int below(void) { return 42; }\n";
    let Some(below) = link(below, "dist/lib/libbelow.so", &["-shared", "-fPIC", "-Wl,-soname,libbelow.so"]) else {
        return;
    };
    let plugin = "int below(void); int plugin(void) { return below(); }\n";
    let shared = ["-shared", "-fPIC", "-Wl,-rpath,$ORIGIN", below.to_str().unwrap()];
    link(plugin, "dist/lib/libplugin.so", &shared).unwrap();
    let code = "#include <dlfcn.h>\n#include <stdio.h>\n\
        int main(void) { void *h = dlopen(\"libplugin.so\", RTLD_NOW);\n\
        if (!h) { puts(dlerror()); return 1; }\n\
        printf(\"%d\\n\", ((int (*)(void))dlsym(h, \"plugin\"))()); return 0; }\n";
    let made = link(code, "dist/report", &["-Wl,-rpath,$ORIGIN/lib"]).unwrap();

    let unsaid = bench.run(["plan", made.to_str().unwrap()]);
    assert!(unsaid.stderr().contains("also one that a string alone names"), "{}", unsaid.stderr());
    let shown = bench.run(["inspect", made.to_str().unwrap(), "--with", "lib:libplugin.so"]).succeeds();
    let row = shown.lines().find(|line| line.contains("req libplugin.so")).unwrap();
    assert!(row.contains("loads libraries at run time"), "{row}");
    let ran = run(&bench, &runner, &made, &["--with", "lib:libplugin.so"], None);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "42\n", ""));
}

#[test]
fn coracle_packs_itself() {
    let bench = Workbench::new();
    let Some(runner) = Runner::find() else { return };
    let own = Path::new(env!("CARGO_BIN_EXE_coracle"));
    let ran = run(&bench, &runner, own, &["--cmd", "--version"], None);
    let want = format!("coracle {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, want.as_str(), ""));
}

#[test]
fn a_dynamic_musl_program_with_a_library_beside_it() {
    let bench = Workbench::new();
    let (Some(runner), Some(_)) = (Runner::find(), peers::find("musl-gcc")) else { return };
    let Some(made) = dynamic(&bench, "musl-gcc") else { return };
    reports(&run(&bench, &runner, &made, &[], None), NONROOT);
}

#[test]
fn a_dynamic_program_of_another_root() {
    let bench = Workbench::new();
    let Some(runner) = Runner::find() else { return };
    let Some(made) = dynamic(&bench, "cc") else { return };
    // A root with nothing but what the loader needs, taken from this machine.
    let root = bench.join("sysroot");
    let listed = Command::new("ldd").arg(&made).output().unwrap();
    for path in String::from_utf8(listed.stdout).unwrap().split_whitespace().filter(|word| word.starts_with('/')) {
        if path.contains("libown") {
            continue;
        }
        let to = root.join(path.trim_start_matches('/'));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(path, &to).unwrap();
    }
    let flag = root.to_str().unwrap().to_owned();
    reports(&run(&bench, &runner, &made, &["--root", &flag], None), NONROOT);
    // The same without libc is refused.
    let libc = walk(&root).into_iter().find(|path| path.ends_with("libc.so.6")).unwrap();
    std::fs::remove_file(libc).unwrap();
    let refused = bench.run(["build", made.to_str().unwrap(), "--root", &flag]);
    assert_eq!(refused.code(), Some(1), "{}", refused.stderr());
    assert!(refused.stderr().contains("`libc.so.6`"), "{}", refused.stderr());
}

fn walk(directory: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { out.extend(walk(&path)) } else { out.push(path) }
    }
    out
}
