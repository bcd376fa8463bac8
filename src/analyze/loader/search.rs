//! Opening candidates: what both loaders share.

use std::cell::Cell;
use std::sync::Arc;

use super::closure::{Attempt, Verdict};
use super::{Abi, Candidate, Libc, Object, Shape};
use crate::limits;
use crate::oci::ImagePath;
use crate::rootfs::{Node, Resolved, Root, RootError, resolve};

/// Reads candidates of a root as objects. An implementation may keep what it has parsed, so that closures of many
/// programs share it.
pub trait Objects {
    /// Reads the regular file at `path` (without links).
    ///
    /// # Errors
    /// [`RootError`] when the file cannot be read at all.
    fn read(&self, path: &ImagePath) -> Result<Arc<Candidate>, RootError>;
}

/// A candidate that can be loaded.
pub(super) struct Opened {
    /// The path that was opened, as the loader writes it.
    pub path: Vec<u8>,
    /// Where it leads.
    pub resolved: Resolved,
    /// What it is.
    pub object: Arc<Object>,
}

/// What became of one candidate.
pub(super) enum Outcome {
    /// It is loaded.
    Opened(Opened),
    /// The search goes on.
    Next,
    /// The search goes on behind this search path.
    NextPath,
    /// The loader gives up.
    Fatal,
}

/// A root with its objects and the ABI that is asked for.
pub(super) struct Opener<'a> {
    pub root: &'a dyn Root,
    pub objects: &'a dyn Objects,
    pub abi: Abi,
    pub libc: Libc,
    /// Paths that may still be tried.
    budget: Cell<usize>,
}

impl<'a> Opener<'a> {
    pub fn new(root: &'a dyn Root, objects: &'a dyn Objects, abi: Abi, libc: Libc) -> Self {
        Self { root, objects, abi, libc, budget: Cell::new(limits::MAX_LOADER_ATTEMPTS) }
    }

    /// Whether no path may be tried any more.
    pub fn exhausted(&self) -> bool {
        self.budget.get() == 0
    }

    /// Tries one path and records what became of it.
    pub fn try_path(&self, path: &[u8], attempts: &mut Vec<Attempt>) -> Result<Outcome, RootError> {
        let Some(left) = self.budget.get().checked_sub(1) else { return Ok(Outcome::Fatal) };
        self.budget.set(left);
        let (verdict, outcome) = self.judge(path)?;
        // One byte more shows why a longer one cannot be there.
        let told = path.len().min(limits::MAX_PATH_BYTES + 1);
        attempts.push(Attempt { path: path[..told].to_vec(), verdict });
        Ok(outcome)
    }

    /// Takes one dependency from the same budget: objects that all name each other cost time without any path.
    pub fn spend(&self) {
        self.budget.set(self.budget.get().saturating_sub(1));
    }

    fn judge(&self, path: &[u8]) -> Result<(Verdict, Outcome), RootError> {
        let resolved = match resolve(self.root, path) {
            Ok(Some(resolved)) => resolved,
            // musl ends its search at a loop (`path_open`).
            Err(RootError::TooManyLinks(_)) if self.libc == Libc::Musl => {
                return Ok((Verdict::Garbage("too many symbolic links".to_owned()), Outcome::Fatal));
            }
            // glibc tells a directory that is not there from a file that cannot be opened (`open_path`).
            Err(RootError::TooManyLinks(_)) if self.is_there(&directory_of(path)) => {
                return Ok((Verdict::Loop, Outcome::NextPath));
            }
            Ok(None) | Err(RootError::TooManyLinks(_) | RootError::PathTooLong) => {
                return Ok((Verdict::Absent, Outcome::Next));
            }
            Err(error) if error.hides() => return Ok((Verdict::Unreadable, Outcome::Next)),
            Err(error) => return Err(error),
        };
        if !matches!(resolved.node, Node::File { .. }) {
            // Reading a directory fails with EISDIR, a FIFO is never opened here: both end the loader's search.
            return Ok((Verdict::Garbage("not a regular file".to_owned()), Outcome::Fatal));
        }
        Ok(match &*self.objects.read(&resolved.path)? {
            Candidate::Absent => (Verdict::Unreadable, Outcome::Next),
            Candidate::Garbage { is_64: Some(is_64), .. } if *is_64 != self.abi.is_64 => {
                (Verdict::OtherAbi, Outcome::Next)
            }
            Candidate::Garbage { reason, .. } => (Verdict::Garbage(reason.clone()), Outcome::Fatal),
            // The order of these checks is that of `open_verify`: class, byte order, machine, type.
            Candidate::Object(object) if object.abi.is_64 != self.abi.is_64 => (Verdict::OtherAbi, Outcome::Next),
            Candidate::Object(object) if object.abi.big_endian != self.abi.big_endian => {
                (Verdict::Garbage("it is of the other byte order".to_owned()), Outcome::Fatal)
            }
            Candidate::Object(object) if object.abi.machine != self.abi.machine => (Verdict::OtherAbi, Outcome::Next),
            Candidate::Object(object) => match self.refuses(object.shape) {
                Some(reason) => (Verdict::Garbage(reason.to_owned()), Outcome::Fatal),
                None => {
                    let object = Arc::clone(object);
                    (Verdict::Loaded, Outcome::Opened(Opened { path: path.to_vec(), resolved, object }))
                }
            },
        })
    }

    fn is_there(&self, directory: &[u8]) -> bool {
        matches!(resolve(self.root, directory), Ok(Some(Resolved { node: Node::Directory { .. }, .. })))
    }

    fn refuses(&self, shape: Shape) -> Option<&'static str> {
        match (shape, self.libc) {
            (Shape::Unloadable, _) => Some("it has no dynamic section, or is no library"),
            (Shape::Executable, Libc::Glibc) => Some("it is an executable"),
            (Shape::PositionIndependentExecutable, Libc::Glibc) => Some("it is a position-independent executable"),
            (Shape::Library, _) | (_, Libc::Musl) => None,
        }
    }
}

/// `directory/name`.
pub(super) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = directory.to_vec();
    if path.last() != Some(&b'/') {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// The directory part of an absolute path, `/` at least.
pub(super) fn directory_of(path: &[u8]) -> Vec<u8> {
    match path.iter().rposition(|b| *b == b'/') {
        None | Some(0) => b"/".to_vec(),
        Some(at) => path[..at].to_vec(),
    }
}
