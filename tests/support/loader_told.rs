//! The answer of a root's own loader, and ours, in one form.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use coracle::analyze::loader::{Closure, Found, check_versions};
use coracle::rootfs::DirRoot;

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

/// A static program that enters a root and starts what it is told to: `chroot` itself would be traced instead.
pub fn launcher(directory: &Path) -> Option<PathBuf> {
    let out = directory.join("launcher");
    if !out.exists() {
        let source = "#define _GNU_SOURCE\n#include <unistd.h>\nint main(int c, char **v) {\n\
            (void)c;\n  if (chroot(v[1]) || chdir(\"/\")) return 125;\n  execv(v[2], v + 2);\n  return 126;\n}\n";
        let file = directory.join("launcher.c");
        std::fs::write(&file, source).unwrap();
        let made = Command::new("cc").args(["-static", "-o"]).arg(&out).arg(&file).output().ok()?;
        std::fs::remove_file(file).ok()?;
        if !made.status.success() {
            return None;
        }
    }
    Some(out)
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
            let names = ["/ld-linux", "/ld64.so.", "/ld-musl"];
            let is_loader = |p: &str| names.iter().any(|name| p.contains(name)) || p.ends_with("-musl/libc.so");
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
        assert_eq!(root.join(path).canonicalize().unwrap(), Path::new(&resolved.path.to_string()));
    }
    resolved.path.to_string()
}

/// A closure in the form in which a loader tells it.
pub fn told(closure: &Closure) -> Told {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let libraries = closure.loaded.iter().skip(1);
    let libraries = libraries.filter(|l| l.found != Found::Interpreter);
    let needed = || closure.missing.iter().filter(|m| !m.optional);
    Told {
        mapped: libraries.map(|l| l.resolved.path.to_string()).collect(),
        missing: needed().filter(|m| m.garbage().is_none()).map(|m| text(&m.name)).collect(),
        versions: check_versions(closure).iter().map(|p| text(&p.version)).collect(),
        fatal: needed().any(|m| m.garbage().is_some()),
    }
}
