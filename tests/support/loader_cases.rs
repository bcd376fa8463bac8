//! Programs and libraries made with the C compiler, to be judged by the root's own loader.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use coracle::analyze::loader::Target;
use coracle::rootfs::DirRoot;

use crate::told::{Told, launcher, parse, told};

/// A directory in which things are built: the host's files around it, or a root of its own.
pub struct Bench {
    directory: tempfile::TempDir,
    compiler: &'static str,
    /// Whether the directory itself is the root.
    rooted: bool,
}

impl Bench {
    /// A directory of the host's tree.
    pub fn new(compiler: &'static str) -> Self {
        Self { directory: tempfile::tempdir().unwrap(), compiler, rooted: false }
    }

    /// A root that holds the host's loader and libc, and nothing else.
    pub fn rooted(compiler: &'static str, files: &[&str]) -> Self {
        let bench = Self { rooted: true, ..Self::new(compiler) };
        for file in files {
            let to = bench.at(file);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(file, to).unwrap();
        }
        bench
    }

    /// The real path of the directory.
    pub fn root(&self) -> PathBuf {
        self.directory.path().canonicalize().unwrap()
    }

    /// A place in the directory, its directories made.
    pub fn at(&self, path: &str) -> PathBuf {
        let at = self.root().join(path.trim_start_matches('/'));
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        at
    }

    /// The place as a program would name it.
    pub fn name(&self, path: &str) -> String {
        if self.rooted { format!("/{}", path.trim_start_matches('/')) } else { self.at(path).display().to_string() }
    }

    /// Compiles one file of C.
    pub fn compile(&self, out: &str, source: &str, words: &[&str]) {
        let out = self.at(out);
        let file = out.with_extension("c");
        std::fs::write(&file, source).unwrap();
        let mut command = Command::new(self.compiler);
        command.args([
            "-O0",
            "-Wl,--no-as-needed",
            "-Wl,--allow-shlib-undefined",
            "-Wl,--unresolved-symbols=ignore-all",
        ]);
        command.arg("-o").arg(&out).arg(&file).current_dir(self.root());
        let output = command.args(words).output().unwrap();
        std::fs::remove_file(&file).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// A library; its function is named after it. `words` go to the compiler.
    pub fn library(&self, out: &str, words: &[&str]) {
        let stem: String = out.chars().filter(char::is_ascii_alphanumeric).collect();
        let words = [&["-shared", "-fPIC", "-nostdlib"], words].concat();
        self.compile(out, &format!("int f_{stem}(void) {{ return 1; }}\n"), &words);
    }

    /// A library of which `source` is the code.
    pub fn library_of(&self, out: &str, source: &str, words: &[&str]) {
        self.compile(out, source, &[&["-shared", "-fPIC", "-nostdlib"], words].concat());
    }

    /// A program.
    pub fn program(&self, out: &str, words: &[&str]) {
        self.compile(out, "int main(void) { return 0; }\n", words);
    }

    /// A symbolic link.
    pub fn link(&self, path: &str, target: &str) {
        std::os::unix::fs::symlink(target, self.at(path)).unwrap();
    }

    /// A file.
    pub fn file(&self, path: &str, bytes: &[u8]) {
        std::fs::write(self.at(path), bytes).unwrap();
    }

    /// What the simulation says.
    pub fn ours(&self, program: &str, hwcaps: &[&str]) -> Told {
        let root = DirRoot::open(if self.rooted { self.directory.path() } else { Path::new("/") }).unwrap();
        let target = Target::new(&root).with_hwcaps(hwcaps);
        told(&target.closure(self.name(program).as_bytes(), None).unwrap().unwrap())
    }

    /// Starts a program for real, with `words` before its name; gives its status and what it and its loader say. `None`
    /// when the root cannot be entered.
    pub fn run(&self, program: &str, words: &[&str]) -> Option<(i32, String)> {
        let mut all: Vec<String> = Vec::new();
        if self.rooted {
            all.extend([launcher(&self.root())?.display().to_string(), self.root().display().to_string()]);
        }
        all.extend(words.iter().map(|word| (*word).to_owned()));
        all.push(self.name(program));
        let mut command = Command::new(&all[0]);
        let output = command.args(&all[1..]).env_clear().stdin(Stdio::null()).current_dir("/").output().unwrap();
        let status = output.status.code().unwrap_or(-1);
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (!self.rooted || status != 125).then_some((status, said))
    }

    /// What the loader itself says when it is told to list instead of to start. `None` when the root cannot be entered.
    pub fn oracle(&self, program: &str, loader: Option<&str>) -> Option<Told> {
        let name = self.name(program);
        let mut words: Vec<String> = Vec::new();
        if self.rooted {
            let launcher = launcher(&self.root())?;
            words.extend([launcher.display().to_string(), self.root().display().to_string()]);
        }
        match loader {
            Some(loader) => words.extend([loader.to_owned(), "--list".to_owned(), name]),
            None => words.push(name),
        }
        let output = Command::new(&words[0])
            .args(&words[1..])
            .env_clear()
            .env("LD_TRACE_LOADED_OBJECTS", "1")
            .env("LD_WARN", "yes")
            .stdin(Stdio::null())
            .current_dir("/")
            .output()
            .unwrap();
        if self.rooted && output.status.code() == Some(125) {
            return None;
        }
        let text = [output.stdout, output.stderr].concat();
        let root = if self.rooted { self.root() } else { PathBuf::from("/") };
        // glibc 2.36 lists and then crashes when a library with versions is not found: that is not giving up.
        Some(parse(&String::from_utf8_lossy(&text), &root, output.status.code() == Some(127)))
    }
}
