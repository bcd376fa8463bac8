//! The same plan and bytes give the same digests from two processes that differ in everything that must not matter:
//! time zone, locale, umask, working directory, threads, temporary directory, age of the files, and the order in which a
//! directory was filled.

mod support {
    pub mod cli;
    pub mod elf;
}

use std::path::Path;
use std::process::Command;

use support::cli::Workbench;
use support::elf::{ElfMaker, Machine};

/// What of a build must not show.
struct Surroundings {
    zone: &'static str,
    locale: &'static str,
    umask: &'static str,
    threads: &'static str,
    reversed: bool,
}

const ONE: Surroundings =
    Surroundings { zone: "Pacific/Kiritimati", locale: "C", umask: "000", threads: "1", reversed: false };
const OTHER: Surroundings =
    Surroundings { zone: "America/Adak", locale: "tr_TR.UTF-8", umask: "077", threads: "5", reversed: true };

/// Makes the inputs in a fresh directory and builds; gives what was printed.
fn build(surroundings: &Surroundings, arguments: &str) -> String {
    let bench = Workbench::new();
    let sizes = [(Machine::Amd64, 3 << 20), (Machine::Arm64, 10_000), (Machine::S390x, 10_000)];
    for (machine, size) in sizes {
        let tail: Vec<u8> = (0..size as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let program = [ElfMaker::new(machine).build(), tail].concat();
        bench.file(format!("in/app-linux-{}", machine.platform().rsplit('/').next().unwrap()), program);
    }
    let mut names: Vec<String> = (0..40).map(|i| format!("in/data/d{}/f{i}", i % 7)).collect();
    if surroundings.reversed {
        names.reverse();
    }
    for name in names {
        bench.file(&name, name.as_bytes());
    }
    std::os::unix::fs::symlink("d1/f1", bench.join("in/data/link")).unwrap();
    let elsewhere = if surroundings.reversed { "in" } else { "." };
    let to_inputs = if surroundings.reversed { "." } else { "in" };
    let program = env!("CARGO_BIN_EXE_coracle");
    let line = format!(
        "umask {}; cd {elsewhere}; exec {program} build {arguments} --threads {} --output oci:$OUT --no-cache",
        surroundings.umask, surroundings.threads
    )
    .replace("IN/", &format!("{to_inputs}/"));
    let output = Command::new("sh")
        .args(["-c", &line])
        .current_dir(bench.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("OUT", bench.join("out"))
        .env("TZ", surroundings.zone)
        .env("LC_ALL", surroundings.locale)
        .env("TMPDIR", bench.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
    let place = bench.join("out");
    bench.run(["validate", &format!("oci:{}", place.display())]).succeeds();
    digests(&place, &output.stdout)
}

/// All blobs by name, and the digest that was printed.
fn digests(layout: &Path, stdout: &[u8]) -> String {
    let mut blobs: Vec<String> = std::fs::read_dir(layout.join("blobs/sha256"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    blobs.sort();
    let printed = String::from_utf8_lossy(stdout);
    let digests: Vec<&str> = printed.lines().filter_map(|l| l.split_once('@')).map(|(_, digest)| digest).collect();
    assert!(!digests.is_empty(), "no digest in `{printed}`");
    format!("{digests:?}\n{}", blobs.join("\n"))
}

#[track_caller]
fn same(arguments: &str) {
    assert_eq!(build(&ONE, arguments), build(&OTHER, arguments), "{arguments}");
}

#[test]
fn one_platform_with_added_files() {
    same(
        "IN/app-linux-amd64 --add IN/data:/usr/share/data --writable /var/lib/app --label b=2 --label a=1 --env Z=1 --env A=2",
    );
}

#[test]
fn several_platforms() {
    same("IN/app-linux-s390x IN/app-linux-amd64 IN/app-linux-arm64 --tag localhost/app:v1");
}

#[test]
fn zstd_layers() {
    same("IN/app-linux-amd64 --compression zstd --add IN/data:/data");
}

#[test]
fn other_bytes_give_another_digest() {
    let with = |label: &str| build(&ONE, &format!("IN/app-linux-arm64 --label {label}"));
    assert_ne!(with("a=1"), with("a=2"));
}
