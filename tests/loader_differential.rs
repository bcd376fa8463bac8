//! Every program and library of a tree: the files that we say its loader maps are those that the loader says.
//!
//! The tree is this machine's `/usr`, by a sample that `CORACLE_DIFFERENTIAL=all` makes the whole. With
//! `CORACLE_DEBIAN_ROOT` (`scripts/debian-root.sh` makes one) it is all of that root too, whose own loader runs in it.

#[path = "support/loader_hwcaps.rs"]
mod hwcaps;
#[path = "support/loader_told.rs"]
mod told;

use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use coracle::analyze::loader::Target;
use coracle::rootfs::DirRoot;

use hwcaps::active_hwcaps;
use told::{Told, launcher, parse};

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
/// Files of this machine that are compared by default, spread evenly over all.
const SAMPLE: usize = 400;

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Whether the file is a 64-bit x86 program or library with a dynamic section.
fn is_dynamic(path: &Path) -> bool {
    let mut head = [0; 4096];
    let Ok(mut file) = std::fs::File::open(path) else { return false };
    let Ok(len) = file.read(&mut head) else { return false };
    let head = &head[..len];
    if len < 64 || !head.starts_with(b"\x7fELF\x02\x01") || head[18..20] != [62, 0] || !matches!(head[16], 2 | 3) {
        return false;
    }
    let count = usize::from(u16::from_le_bytes([head[56], head[57]]));
    let table = u64::from_le_bytes(head[32..40].try_into().unwrap());
    let Ok(table) = usize::try_from(table) else { return false };
    let kind = |i: usize| head.get(table + i * 56..table + i * 56 + 4);
    (0..count).any(|i| kind(i) == Some(&[2, 0, 0, 0]))
}

/// All such files below some directories of a root, as paths inside it, sorted.
fn files(root: &Path, tops: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for top in tops {
        let walk = walkdir::WalkDir::new(root.join(top)).into_iter().filter_map(Result::ok);
        for entry in walk.filter(|e| e.file_type().is_file() && is_dynamic(e.path())) {
            let inside = entry.path().strip_prefix(root).unwrap();
            if let Some(text) = std::str::from_utf8(inside.as_os_str().as_bytes()).ok().filter(|t| !t.contains('\n')) {
                found.push(format!("/{text}"));
            }
        }
    }
    found.sort();
    found
}

/// The loader's answer for every file, by one shell in the root. `None` when the root cannot be entered.
fn oracle(root: &Path, files: &[String], launcher: Option<&Path>) -> Option<Vec<(String, bool)>> {
    // As `ldd` does: the loader lists and never starts the file.
    let script = format!(
        "while read -r file; do LD_TRACE_LOADED_OBJECTS=1 {LOADER} \"$file\" 2>&1; echo \"== $?\"; done 2>/dev/null"
    );
    let mut command = launcher.map_or_else(|| Command::new("/bin/sh"), Command::new);
    if launcher.is_some() {
        command.arg(root).arg("/bin/sh");
    }
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("list");
    std::fs::write(&list, files.join("\n") + "\n").unwrap();
    command.args(["-c", &script]).env_clear().env("PATH", "/usr/bin:/bin").stdin(std::fs::File::open(list).unwrap());
    let output = command.stderr(Stdio::null()).output().unwrap();
    if output.status.code() == Some(125) {
        return None;
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut answers = Vec::new();
    let mut one = String::new();
    for line in text.lines() {
        if let Some(status) = line.strip_prefix("== ") {
            answers.push((std::mem::take(&mut one), status == "127"));
        } else {
            one.push_str(line);
            one.push('\n');
        }
    }
    assert_eq!(answers.len(), files.len(), "the shell did not come to the end");
    Some(answers)
}

/// Compares all files of a root; gives the number of equal answers.
fn compare(root: &Path, files: &[String], launcher: Option<&Path>) -> Option<usize> {
    let answers = oracle(root, files, launcher)?;
    let tree = DirRoot::open(root).unwrap();
    let levels = active_hwcaps(&root.join(LOADER.trim_start_matches('/')));
    let levels: Vec<&str> = levels.iter().map(String::as_str).collect();
    let target = Target::new(&tree).with_hwcaps(&levels);
    let mut different = Vec::new();
    let begun = std::time::Instant::now();
    let mut closures = Vec::new();
    for file in files {
        closures.push(target.closure(file.as_bytes(), Some(LOADER.as_bytes())).unwrap());
    }
    let spent = begun.elapsed();
    for ((file, closure), (text, gave_up)) in files.iter().zip(closures).zip(answers) {
        let theirs = parse(&text, root, gave_up);
        let mut ours = match closure {
            Ok(closure) => told::told(&closure),
            // What cannot be loaded at all.
            Err(_) => Told { fatal: true, ..Told::default() },
        };
        // The list of one that gives up is empty, and versions are told only when asked for.
        ours.versions.clear();
        if theirs.fatal && ours.fatal {
            ours = theirs.clone();
        }
        if ours != theirs {
            different.push(format!("{file}\n  ours:   {ours:?}\n  theirs: {theirs:?}"));
        }
    }
    say(&format!("{}: {} files, {} differ, {spent:.2?}", root.display(), files.len(), different.len()));
    assert!(
        different.is_empty(),
        "{} of {} differ:\n{}",
        different.len(),
        files.len(),
        different[..different.len().min(20)].join("\n")
    );
    Some(files.len())
}

#[test]
fn this_machine() {
    let root = Path::new("/");
    if !cfg!(target_arch = "x86_64") || !Path::new(LOADER).exists() || !Path::new("/bin/sh").exists() {
        say("skipped: this machine has no glibc for x86-64");
        return;
    }
    let all = files(root, &["usr/bin", "usr/sbin", "usr/lib/x86_64-linux-gnu"]);
    let whole = std::env::var_os("CORACLE_DIFFERENTIAL").is_some_and(|value| value == "all");
    let step = if whole { 1 } else { all.len().div_ceil(SAMPLE).max(1) };
    let some: Vec<String> = all.into_iter().step_by(step).filter(|f| speaks_glibc(root, f)).collect();
    assert!(some.len() > 20, "only {} files were found", some.len());
    compare(root, &some, None);
}

#[test]
fn a_debian_root() {
    let Some(root) = std::env::var_os("CORACLE_DEBIAN_ROOT").map(PathBuf::from) else {
        say("skipped: CORACLE_DEBIAN_ROOT names no root (scripts/debian-root.sh makes one)");
        return;
    };
    let root = root.canonicalize().unwrap();
    let all = files(&root, &["usr", "opt"]);
    let all: Vec<String> = all.into_iter().filter(|f| speaks_glibc(&root, f)).collect();
    let directory = tempfile::tempdir().unwrap();
    let launcher = launcher(directory.path()).expect("a static launcher cannot be linked");
    if compare(&root, &all, Some(&launcher)).is_none() {
        say("skipped: only root can enter a root");
    }
}

/// Whether the file names glibc's interpreter, or none.
fn speaks_glibc(root: &Path, file: &str) -> bool {
    let bytes = coracle::rootfs::HostFile::open(&root.join(file.trim_start_matches('/'))).unwrap();
    let view = coracle::elf::LoaderView::parse(&bytes);
    view.map_or(true, |v| v.interpreter.is_none_or(|i| i.as_bytes() == LOADER.as_bytes()))
}
