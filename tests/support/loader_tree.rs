//! Every program and library of a tree beside the tree's own loader.

use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use coracle::analyze::loader::{Closure, Refusal, Target};
use coracle::rootfs::{DirRoot, resolve};

use crate::told::{self, Told, parse};

/// A kind of objects, and the loader of its programs.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// The name in `PT_INTERP`.
    pub loader: &'static str,
    /// `EI_CLASS`, `EI_DATA`, `e_machine`.
    head: (u8, u8, u16),
    /// The emulator of Debian's qemu-user-static; empty for this machine's own kind.
    emulator: &'static str,
}

impl Kind {
    /// Whose loader it is.
    pub fn is_musl(self) -> bool {
        self.loader.contains("/ld-musl-")
    }

    /// This machine's own kind.
    pub const NATIVE: Self = Self { loader: "/lib64/ld-linux-x86-64.so.2", head: (2, 1, 62), emulator: "" };

    /// All that tests know.
    const ALL: [Self; 9] = [
        Self::NATIVE,
        Self { loader: "/lib/ld-linux-aarch64.so.1", head: (2, 1, 183), emulator: "qemu-aarch64-static" },
        Self { loader: "/lib/ld-linux-armhf.so.3", head: (1, 1, 40), emulator: "qemu-arm-static" },
        Self { loader: "/lib64/ld64.so.2", head: (2, 1, 21), emulator: "qemu-ppc64le-static" },
        Self { loader: "/lib/ld-linux-riscv64-lp64d.so.1", head: (2, 1, 243), emulator: "qemu-riscv64-static" },
        Self { loader: "/lib/ld64.so.1", head: (2, 2, 22), emulator: "qemu-s390x-static" },
        Self { loader: "/lib/ld-linux.so.2", head: (1, 1, 3), emulator: "qemu-i386-static" },
        Self { loader: "/lib/ld-musl-x86_64.so.1", head: (2, 1, 62), emulator: "" },
        Self { loader: "/lib/ld-musl-aarch64.so.1", head: (2, 1, 183), emulator: "qemu-aarch64-static" },
    ];

    /// The kinds whose loaders a root has.
    pub fn of(root: &Path) -> Vec<Self> {
        let tree = DirRoot::open(root).unwrap();
        let there = |kind: &Self| matches!(resolve(&tree, kind.loader.as_bytes()), Ok(Some(_)));
        Self::ALL.into_iter().filter(there).collect()
    }
}

/// A root, one kind of its objects, and how its loader is run.
pub struct Tree {
    root: PathBuf,
    kind: Kind,
    asker: PathBuf,
    emulator: Option<PathBuf>,
    /// Holds the asker.
    _directory: tempfile::TempDir,
}

impl Tree {
    /// `find` gives the path of an emulator. `None` when that is absent, or no static program can be linked.
    pub fn new(root: &Path, kind: Kind, find: fn(&str) -> Option<PathBuf>) -> Option<Self> {
        let emulator = if kind.emulator.is_empty() { None } else { Some(find(kind.emulator)?) };
        let directory = tempfile::tempdir().unwrap();
        let (asker, source) = (directory.path().join("asker"), directory.path().join("asker.c"));
        std::fs::write(&source, include_str!("loader_asker.c")).unwrap();
        let made = Command::new("cc").args(["-static", "-o"]).arg(&asker).arg(&source).output().ok()?;
        let root = root.canonicalize().unwrap();
        made.status.success().then_some(Self { root, kind, asker, emulator, _directory: directory })
    }

    /// All files of this kind below some directories, as paths inside the root, sorted.
    pub fn files(&self, tops: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        // A directory that is a link since the merge of /usr holds the same files again.
        let tops = tops.iter().map(|top| self.root.join(top)).filter(|top| !top.is_symlink());
        for top in tops {
            let walk = walkdir::WalkDir::new(top).into_iter().filter_map(Result::ok);
            for entry in walk.filter(|e| e.file_type().is_file() && self.is_dynamic(e.path())) {
                let inside = entry.path().strip_prefix(&self.root).unwrap();
                if let Some(text) =
                    std::str::from_utf8(inside.as_os_str().as_bytes()).ok().filter(|t| !t.contains('\n'))
                {
                    found.push(format!("/{text}"));
                }
            }
        }
        found.sort();
        found.retain(|file| self.speaks(file));
        found
    }

    /// Whether the file is a program or library of the kind, with a dynamic segment.
    fn is_dynamic(&self, path: &Path) -> bool {
        let mut bytes = Vec::new();
        let Ok(file) = std::fs::File::open(path) else { return false };
        if file.take(4096).read_to_end(&mut bytes).is_err() || bytes.len() < 64 || !bytes.starts_with(b"\x7fELF") {
            return false;
        }
        let (class, order, machine) = self.kind.head;
        let number = |at: usize, len: usize| {
            let bytes = bytes.get(at..at + len).unwrap_or_default();
            let shift = |sum: usize, byte: &u8| (sum << 8) | usize::from(*byte);
            if order == 1 { bytes.iter().rev().fold(0, shift) } else { bytes.iter().fold(0, shift) }
        };
        if (bytes[4], bytes[5]) != (class, order)
            || number(18, 2) != usize::from(machine)
            || !matches!(number(16, 2), 2 | 3)
        {
            return false;
        }
        let (table, size, count) =
            if class == 2 { (number(32, 8), 56, number(56, 2)) } else { (number(28, 4), 32, number(44, 2)) };
        (0..count).any(|i| number(table + i * size, 4) == 2)
    }

    /// Whether the file names this kind's interpreter, or none.
    fn speaks(&self, file: &str) -> bool {
        let bytes = coracle::rootfs::HostFile::open(&self.root.join(file.trim_start_matches('/'))).unwrap();
        let view = coracle::elf::LoaderView::parse(&bytes);
        view.map_or(true, |v| v.interpreter.is_none_or(|i| i.as_bytes() == self.kind.loader.as_bytes()))
    }

    /// What the loader says about each line, and its exit status. `None` when the root cannot be entered.
    fn ask(&self, lines: &[String], words: &[&str], environment: &[(&str, &str)]) -> Option<Vec<(String, i32)>> {
        let directory = tempfile::tempdir().unwrap();
        let list = directory.path().join("list");
        std::fs::write(&list, lines.join("\n") + "\n").unwrap();
        let mut command = Command::new(&self.asker);
        command
            .arg(&self.root)
            .arg(self.emulator.as_deref().unwrap_or(Path::new("")))
            .arg(self.kind.loader)
            .args(words);
        command.env_clear().envs(environment.iter().copied()).stdin(std::fs::File::open(list).unwrap());
        let output = command.stderr(Stdio::null()).output().unwrap();
        if output.status.code() == Some(125) {
            return None;
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let mut answers = Vec::new();
        let mut one = String::new();
        for line in text.lines() {
            if let Some(status) = line.strip_prefix("== ") {
                answers.push((std::mem::take(&mut one), status.parse().unwrap()));
            } else {
                one.push_str(line);
                one.push('\n');
            }
        }
        assert_eq!(answers.len(), lines.len(), "not every file was asked about");
        Some(answers)
    }

    /// The glibc-hwcaps levels that the loader searches on this processor, or the emulated one; the best first.
    fn hwcaps(&self) -> Option<Vec<String>> {
        if self.kind.is_musl() {
            return Some(Vec::new());
        }
        let (text, _) = self.ask(&["--help".to_owned()], &[], &[])?.pop()?;
        Some(crate::hwcaps::searched(&text))
    }

    /// What the loader maps for each file. `None` when the root cannot be entered.
    fn oracle(&self, files: &[String]) -> Option<Vec<Told>> {
        // As `ldd` does: the loader lists and never starts the file.
        let answers = if self.kind.is_musl() {
            self.ask(files, &["--list"], &[])?
        } else {
            self.ask(files, &[], &[("LD_TRACE_LOADED_OBJECTS", "1")])?
        };
        let told = answers.into_iter().map(|(text, status)| {
            assert!(status < 126 || status == 127 || status >= 128, "the loader does not start: {text}");
            // musl also relocates what it lists, which fails for a plug-in without its program.
            parse(&text, &self.root, status == 127 && !text.contains("Error relocating "))
        });
        Some(told.collect())
    }

    /// Compares all files of the root; gives their number. `None` when the root cannot be entered.
    pub fn compare(&self, files: &[String]) -> Option<usize> {
        let theirs = self.oracle(files)?;
        let levels = self.hwcaps()?;
        let levels: Vec<&str> = levels.iter().map(String::as_str).collect();
        let tree = DirRoot::open(&self.root).unwrap();
        let target = Target::new(&tree).with_hwcaps(&levels);
        let begun = std::time::Instant::now();
        let one = |file: &String| target.closure(file.as_bytes(), Some(self.kind.loader.as_bytes())).unwrap();
        let closures: Vec<_> = files.iter().map(one).collect();
        let spent = begun.elapsed();
        let mapped: usize = theirs.iter().map(|t| t.mapped.len()).sum();
        let missing = theirs.iter().filter(|t| !t.missing.is_empty()).count();
        let fatal = theirs.iter().filter(|t| t.fatal).count();
        let pairs = files.iter().zip(closures).zip(theirs);
        let different: Vec<String> = pairs.filter_map(|((file, ours), theirs)| differ(file, ours, &theirs)).collect();
        say(&format!(
            "{} ({}): {} files, {} differ, {spent:.2?}; {mapped} libraries mapped, {missing} files lack one, {fatal} end it",
            self.root.display(),
            self.kind.loader,
            files.len(),
            different.len()
        ));
        let shown = different[..different.len().min(20)].join("\n");
        assert!(different.is_empty(), "{} of {} differ:\n{shown}", different.len(), files.len());
        Some(files.len())
    }
}

/// Both answers for one file, when they are not the same.
fn differ(file: &str, ours: Result<Closure, Refusal>, theirs: &Told) -> Option<String> {
    let mut ours = match ours {
        Ok(closure) => told::told(&closure),
        // What cannot be loaded at all.
        Err(_) => Told { fatal: true, ..Told::default() },
    };
    // Versions are told only when asked for, and the list of a loader that gives up is empty.
    ours.versions.clear();
    if theirs.fatal && ours.fatal || ours == *theirs {
        return None;
    }
    Some(format!("{file}\n  ours:   {ours:?}\n  theirs: {theirs:?}"))
}

/// A line for whoever reads the figures.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
