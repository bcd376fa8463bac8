//! A small root of a real system: the loader and C library of this machine, and what a test adds.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory that stands for the `/` of a system.
pub struct Sysroot {
    pub path: PathBuf,
}

impl Sysroot {
    /// A root with what the programs need of this machine.
    pub fn of(path: PathBuf, programs: &[&Path]) -> Self {
        let root = Self { path };
        for program in programs {
            let listed = Command::new("ldd").arg(program).output().unwrap();
            for file in
                String::from_utf8(listed.stdout).unwrap().split_whitespace().filter(|word| word.starts_with('/'))
            {
                if Path::new(file).starts_with(root.path.parent().unwrap()) {
                    continue;
                }
                root.copy(Path::new(file), file);
            }
        }
        root
    }

    fn at(&self, path: &str) -> PathBuf {
        let to = self.path.join(path.trim_start_matches('/'));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        to
    }

    pub fn copy(&self, from: &Path, to: &str) {
        let to = self.at(to);
        if !to.exists() {
            std::fs::copy(from, to).unwrap();
        }
    }

    pub fn file(&self, path: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.at(path), text).unwrap();
    }

    pub fn script(&self, path: &str, text: &str) {
        self.file(path, text);
        std::fs::set_permissions(self.at(path), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub fn link(&self, path: &str, target: &str) {
        symlink(target, self.at(path)).unwrap();
    }
}

/// Compiles C, for a program or with `-shared` among the words for a library.
pub fn cc(directory: &Path, name: &str, code: &str, words: &[&str]) -> PathBuf {
    let (source, output) = (directory.join(format!("{}.c", name.replace('/', "_"))), directory.join(name));
    std::fs::write(&source, code).unwrap();
    std::fs::create_dir_all(output.parent().unwrap()).unwrap();
    let done = Command::new("cc").arg("-o").arg(&output).arg(&source).args(words).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    output
}
