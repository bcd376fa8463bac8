//! Programs and libraries made with the C compiler, the answer of the root's own loader, and ours, in one form.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use coracle::analyze::loader::{Closure, Refusal, Target, check_versions};
use coracle::rootfs::{DirRoot, Root};

/// What a loader maps for a program, in the order in which it does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// Real paths inside the root, without the program and without the loader itself.
    pub mapped: Vec<String>,
    /// Names that were not found; those that are optional are left out.
    pub missing: BTreeSet<String>,
    /// Versions that are demanded and not provided.
    pub versions: BTreeSet<String>,
    /// It gives up at a file.
    pub fatal: bool,
}

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
        ours(&root, &self.name(program), hwcaps, None).unwrap()
    }

    /// What the loader itself says when it is told to list instead of to start. `None` when the root cannot be entered.
    pub fn oracle(&self, program: &str, loader: Option<&str>) -> Option<Told> {
        let name = self.name(program);
        let mut words: Vec<String> = Vec::new();
        if self.rooted {
            let launcher = launcher(self)?;
            words.extend([launcher, self.root().display().to_string()]);
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

/// A static program that enters a root and starts what it is told to: `chroot` itself would be traced instead.
fn launcher(bench: &Bench) -> Option<String> {
    let out = bench.at("launcher");
    if !out.exists() {
        let source = "#define _GNU_SOURCE\n#include <unistd.h>\nint main(int c, char **v) {\n\
            (void)c;\n  if (chroot(v[1]) || chdir(\"/\")) return 125;\n  execv(v[2], v + 2);\n  return 126;\n}\n";
        let file = bench.at("launcher.c");
        std::fs::write(&file, source).unwrap();
        let made = Command::new("cc").args(["-static", "-o"]).arg(&out).arg(&file).output().ok()?;
        std::fs::remove_file(file).ok()?;
        if !made.status.success() {
            return None;
        }
    }
    Some(out.display().to_string())
}

/// Reads what `LD_TRACE_LOADED_OBJECTS=1` prints (glibc's format, or musl's), with the paths that `root` has.
pub fn parse(text: &str, root: &Path, gave_up: bool) -> Told {
    let mut told = Told::default();
    for line in text.lines() {
        let line = line.trim_start();
        if let Some(rest) = line.strip_prefix("Error loading shared library ") {
            // musl: what is not an absence has its own words.
            let name = rest.split(": ").next().unwrap();
            if rest.contains("Exec format error") || rest.contains("Symbolic link loop") {
                told.fatal = true;
            } else {
                told.missing.insert(name.to_owned());
            }
        } else if line.contains("version `") && line.contains("' not found") {
            told.versions.insert(line.split('`').nth(1).unwrap().split('\'').next().unwrap().to_owned());
        } else if let Some(name) = line.strip_suffix(" => not found") {
            told.missing.insert(name.to_owned());
        } else if let Some((name, _)) = line.rsplit_once(" (0x") {
            let path = name.rsplit(" => ").next().unwrap();
            if name.contains("linux-vdso") || name.contains("linux-gate") {
                continue;
            }
            let real = real(root, path);
            let is_loader = |p: &str| p.contains("/ld-linux") || p.contains("/ld-musl") || p.ends_with("-musl/libc.so");
            let is_loader = is_loader(path) || is_loader(&real);
            if !is_loader && !told.mapped.contains(&real) {
                told.mapped.push(real);
            }
        }
    }
    told.fatal |= gave_up && told.missing.is_empty();
    told
}

/// A path inside a root without links, by our own resolution for a root that cannot be entered, else by the kernel's.
fn real(root: &Path, path: &str) -> String {
    let open = DirRoot::open(root).unwrap();
    let resolved = coracle::rootfs::resolve(&open, path.as_bytes()).unwrap();
    let resolved = resolved.unwrap_or_else(|| panic!("the loader maps `{path}`, which is not there"));
    if root == Path::new("/") {
        assert_eq!(Path::new(path).canonicalize().unwrap(), Path::new(&resolved.path.to_string()));
    }
    resolved.path.to_string()
}

/// What the simulation says of a path of any root.
pub fn ours(root: &dyn Root, path: &str, hwcaps: &[&str], interpreter: Option<&[u8]>) -> Result<Told, Refusal> {
    let target = Target::new(root).with_hwcaps(hwcaps);
    Ok(told(&target.closure(path.as_bytes(), interpreter).unwrap()?))
}

/// A closure in the form in which a loader tells it.
pub fn told(closure: &Closure) -> Told {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let libraries = closure.loaded.iter().skip(1);
    let libraries = libraries.filter(|l| l.found != coracle::analyze::loader::Found::Interpreter);
    let needed = || closure.missing.iter().filter(|m| !m.optional);
    Told {
        mapped: libraries.map(|l| l.resolved.path.to_string()).collect(),
        missing: needed().filter(|m| m.garbage().is_none()).map(|m| text(&m.name)).collect(),
        versions: check_versions(closure).iter().map(|p| text(&p.version)).collect(),
        fatal: needed().any(|m| m.garbage().is_some()),
    }
}
