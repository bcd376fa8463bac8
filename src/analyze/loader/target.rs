//! From a path of a root to its closure: the interpreter, the profile of its loader, the walk.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::remembered::RememberedRoot;
use super::search::Objects;
use super::walk::{self, Ground, Start};
use super::{Abi, Candidate, Closure, Dlopen, LdCache, Object, ParsedObjects, Profile};
use crate::limits;
use crate::rootfs::{Node, Resolved, Root, RootError, read_whole, resolve};

/// Why there is no closure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Nothing stands at the path.
    #[error("nothing is there")]
    Absent,
    /// It is no ELF object.
    #[error("it is no object that can be loaded: {0}")]
    NotAnObject(String),
    /// It names no interpreter, so no loader walks its needs.
    #[error("it names no interpreter")]
    Static,
    /// The interpreter is not in the root.
    #[error("its interpreter `{0}` is not in the root")]
    InterpreterAbsent(String),
    /// The interpreter is no object of the program's own class and machine.
    #[error("its interpreter `{0}` cannot be loaded")]
    InterpreterUnusable(String),
}

/// A root with everything that closures of its programs share: parsed objects and profiles of its loaders.
pub struct Target<'a> {
    root: RememberedRoot<'a>,
    objects: ParsedObjects<'a>,
    profiles: Mutex<HashMap<Vec<u8>, Arc<Profile>>>,
    active_hwcaps: Vec<Vec<u8>>,
    traces: bool,
    library_path: Vec<Vec<u8>>,
    preload: bool,
}

impl<'a> Target<'a> {
    /// Nothing is read yet; closures are those of a baseline processor.
    #[must_use]
    pub fn new(root: &'a dyn Root) -> Self {
        Self {
            root: RememberedRoot::new(root),
            objects: ParsedObjects::new(root),
            profiles: Mutex::default(),
            active_hwcaps: Vec::new(),
            traces: false,
            library_path: Vec::new(),
            preload: true,
        }
    }

    /// Sets `LD_LIBRARY_PATH` (`ld.so(8)`): directories split by colons or semicolons; an empty one is the working
    /// directory, which is taken to be `/`.
    #[must_use]
    pub fn with_library_path(mut self, path: &[u8]) -> Self {
        let directory = |d: &[u8]| if d.is_empty() { b"/".to_vec() } else { d.to_vec() };
        let all = path.split(|b| *b == b':' || *b == b';').map(directory);
        self.library_path = if path.is_empty() { Vec::new() } else { all.collect() };
        self
    }

    /// Ignores `/etc/ld.so.preload`, which belongs to a machine and not to a program.
    #[must_use]
    pub const fn without_preload(mut self) -> Self {
        self.preload = false;
        self
    }

    /// Keeps every search of a closure step by step ([`Closure::searches`]), not only those that fail.
    #[must_use]
    pub const fn with_traces(mut self) -> Self {
        self.traces = true;
        self
    }

    /// Simulates a processor that has these glibc-hwcaps levels, the best first.
    #[must_use]
    pub fn with_hwcaps(mut self, levels: &[&str]) -> Self {
        self.active_hwcaps = levels.iter().map(|l| l.as_bytes().to_vec()).collect();
        self
    }

    /// The closure of the program or library at `path`. A library is walked as its own loader would when asked to list
    /// it; `interpreter` stands in for the `PT_INTERP` that it does not have.
    ///
    /// # Errors
    /// [`RootError`] when the root cannot be read; the inner error when there is no closure.
    pub fn closure(&self, path: &[u8], interpreter: Option<&[u8]>) -> Result<Result<Closure, Refusal>, RootError> {
        self.walk(path, interpreter, self.traces)
    }

    /// The same closure with the searches that `name` has to do with ([`Closure::searches_for`]), step by step.
    ///
    /// # Errors
    /// As [`Self::closure`].
    pub fn explain(
        &self,
        path: &[u8],
        interpreter: Option<&[u8]>,
        name: &[u8],
    ) -> Result<Result<Closure, Refusal>, RootError> {
        let mut found = self.walk(path, interpreter, true)?;
        if let Ok(closure) = &mut found {
            closure.keep_searches_for(name);
        }
        Ok(found)
    }

    fn walk(
        &self,
        path: &[u8],
        interpreter: Option<&[u8]>,
        traces: bool,
    ) -> Result<Result<Closure, Refusal>, RootError> {
        let Some(program) = resolve(&self.root, path)? else { return Ok(Err(Refusal::Absent)) };
        let object = match self.object(&program)? {
            Ok(object) => object,
            Err(reason) => return Ok(Err(Refusal::NotAnObject(reason))),
        };
        let Some(interpreter) = object.interpreter.clone().or_else(|| interpreter.map(<[u8]>::to_vec)) else {
            return Ok(Err(Refusal::Static));
        };
        let shown = crate::diag::escape(&interpreter);
        let resolved = match resolve(&self.root, &interpreter) {
            Ok(Some(resolved)) => resolved,
            Ok(None) => return Ok(Err(Refusal::InterpreterAbsent(shown))),
            Err(RootError::TooManyLinks(_) | RootError::PathTooLong) => {
                return Ok(Err(Refusal::InterpreterUnusable(shown)));
            }
            Err(error) if error.hides() => return Ok(Err(Refusal::InterpreterUnusable(shown))),
            Err(error) => return Err(error),
        };
        let Ok(loader) = self.object(&resolved)? else { return Ok(Err(Refusal::InterpreterUnusable(shown))) };
        if loader.abi != object.abi {
            return Ok(Err(Refusal::InterpreterUnusable(shown)));
        }
        let profile = self.profile(&interpreter, &resolved, object.abi)?;
        let path = [b"/", program.path.as_bytes()].concat();
        let program = Start { path, resolved: program, object };
        let interpreter = Start { path: interpreter, resolved, object: loader };
        walk::closure(&self.ground(profile, traces), program, interpreter).map(Ok)
    }

    /// What `dlopen(name)` by the object `by` of a closure maps further: by the search paths of the caller and the
    /// program, the cache and the default directories, unless an object of that name is loaded already. A name with a slash
    /// is a path, and one that is relative starts at `/`. The closure must be of this target.
    ///
    /// # Errors
    /// [`RootError`] when the root cannot be read.
    pub fn dlopen(&self, closure: &Closure, by: usize, name: &[u8]) -> Result<Dlopen, RootError> {
        walk::dlopen(&self.ground(Arc::clone(&closure.profile), self.traces), closure, by, name)
    }

    fn ground(&self, profile: Arc<Profile>, traces: bool) -> Ground<'_> {
        Ground { root: &self.root, objects: &self.objects, profile, traces }
    }

    fn object(&self, at: &Resolved) -> Result<Result<Arc<Object>, String>, RootError> {
        if !matches!(at.node, Node::File { .. }) {
            return Ok(Err("not a regular file".to_owned()));
        }
        Ok(match &*self.objects.read(&at.path)? {
            Candidate::Object(object) => Ok(Arc::clone(object)),
            Candidate::Absent => Err("it cannot be read".to_owned()),
            Candidate::Garbage { reason, .. } => Err(reason.clone()),
        })
    }

    /// The profile of the loader at `interpreter`, read once.
    ///
    /// # Errors
    /// [`RootError`] when its files cannot be read.
    pub fn profile(&self, interpreter: &[u8], resolved: &Resolved, abi: Abi) -> Result<Arc<Profile>, RootError> {
        if let Some(known) = self.profiles.lock().unwrap_or_else(PoisonError::into_inner).get(interpreter) {
            return Ok(Arc::clone(known));
        }
        let bytes = read_whole(&self.root, &resolved.path, limits::MAX_LOADER_BYTES)?;
        let mut profile =
            if is_musl(interpreter, &bytes) { self.musl(interpreter, &bytes)? } else { self.glibc(abi, &bytes)? };
        profile.library_path.clone_from(&self.library_path);
        let profile = Arc::new(profile);
        let mut profiles = self.profiles.lock().unwrap_or_else(PoisonError::into_inner);
        profiles.insert(interpreter.to_vec(), Arc::clone(&profile));
        Ok(profile)
    }

    fn glibc(&self, abi: Abi, loader: &[u8]) -> Result<Profile, RootError> {
        let mut profile = Profile::glibc(abi, loader);
        // A cache that does not parse counts for the loader as none.
        profile.cache =
            self.optional(b"/etc/ld.so.cache")?.and_then(|bytes| LdCache::parse(&bytes, abi.big_endian).ok());
        if self.preload
            && let Some(preload) = self.optional(b"/etc/ld.so.preload")?
        {
            profile.preload = preload_names(&preload);
        }
        profile.active_hwcaps.clone_from(&self.active_hwcaps);
        Ok(profile)
    }

    fn musl(&self, interpreter: &[u8], loader: &[u8]) -> Result<Profile, RootError> {
        Ok(Profile::musl(loader, self.optional(&path_file(interpreter))?.as_deref()))
    }

    /// A file that the loader reads when it can: one that it cannot open is none for it.
    fn optional(&self, path: &[u8]) -> Result<Option<Vec<u8>>, RootError> {
        let read = resolve(&self.root, path).and_then(|resolved| match resolved {
            Some(Resolved { path, node: Node::File { .. }, .. }) => {
                read_whole(&self.root, &path, limits::MAX_LOADER_CONFIG_BYTES).map(Some)
            }
            _ => Ok(None),
        });
        match read {
            Err(error) if error.hides() => Ok(None),
            Err(RootError::TooManyLinks(_) | RootError::PathTooLong | RootError::NotRegular(_)) => Ok(None),
            other => other,
        }
    }
}

/// musl's path file stands beside its loader: `/usr/lib/ld-musl-ARCH.so.1` gives `/usr/etc/ld-musl-ARCH.path`.
#[must_use]
pub fn path_file(interpreter: &[u8]) -> Vec<u8> {
    let name = interpreter.rsplit(|b| *b == b'/').next().unwrap_or_default();
    let stem = name.split(|b| *b == b'.').next().unwrap_or_default();
    // The prefix is what stands before the last two parts.
    let cut = |path: &[u8]| path.iter().rposition(|b| *b == b'/').unwrap_or(0);
    let directory = &interpreter[..cut(interpreter)];
    [&directory[..cut(directory)], b"/etc/", stem, b".path"].concat()
}

/// musl's loader is told by its name, which its own build fixes, or by what it says of itself.
fn is_musl(interpreter: &[u8], loader: &[u8]) -> bool {
    let name = interpreter.rsplit(|b| *b == b'/').next().unwrap_or_default();
    name.starts_with(b"ld-musl-") || memchr::memmem::find(loader, b"musl libc (").is_some()
}

/// Names in `/etc/ld.so.preload`: separated by white space or colons, `#` begins a comment.
fn preload_names(text: &[u8]) -> Vec<Vec<u8>> {
    let line = |line: &[u8]| line.split(|b| *b == b'#').next().unwrap_or_default().to_vec();
    let lines = text.split(|b| *b == b'\n').map(line);
    let names = lines.flat_map(|l| {
        l.split(|b| b.is_ascii_whitespace() || *b == b':')
            .filter(|n| !n.is_empty())
            .map(<[u8]>::to_vec)
            .collect::<Vec<_>>()
    });
    names.collect()
}
