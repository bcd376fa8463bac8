//! `/etc/ld.so.conf` as `ldconfig` reads it (elf/ldconfig.c, `parse_conf`): the loader itself never does.

use crate::limits;
use crate::oci::ImagePath;
use crate::rootfs::{Node, Root, RootError, read_whole, resolve};

/// A directory that the configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfDirectory {
    /// The directory, without trailing slashes.
    pub path: Vec<u8>,
    /// The file that names it.
    pub file: Vec<u8>,
    /// Its line, from 1.
    pub line: usize,
}

/// The directories that a root's `/etc/ld.so.conf` names, included files too, in order.
///
/// # Errors
/// [`RootError`] when a file cannot be read; one that is absent is empty.
pub fn directories(root: &dyn Root) -> Result<Vec<ConfDirectory>, RootError> {
    let mut reader = Reader { root, out: Vec::new(), files: limits::MAX_LD_CONF_ITEMS };
    reader.file(b"/etc/ld.so.conf", 0)?;
    Ok(reader.out)
}

struct Reader<'a> {
    root: &'a dyn Root,
    out: Vec<ConfDirectory>,
    /// Files that may still be read.
    files: usize,
}

impl Reader<'_> {
    fn file(&mut self, path: &[u8], depth: usize) -> Result<(), RootError> {
        let Some(left) = self.files.checked_sub(1).filter(|_| depth <= limits::MAX_LD_CONF_DEPTH) else {
            return Ok(());
        };
        self.files = left;
        let found = match resolve(self.root, path) {
            Ok(Some(found)) if matches!(found.node, Node::File { .. }) => found,
            Ok(_) | Err(RootError::TooManyLinks(_) | RootError::PathTooLong) => return Ok(()),
            Err(error) if error.hides() => return Ok(()),
            Err(error) => return Err(error),
        };
        let text = match read_whole(self.root, &found.path, limits::MAX_LD_CONF_BYTES) {
            Ok(text) => text,
            Err(error) if error.hides() => return Ok(()),
            Err(error) => return Err(error),
        };
        for (at, line) in text.split(|b| *b == b'\n').enumerate() {
            let line = line.split(|b| *b == b'#').next().unwrap_or_default().trim_ascii();
            let blank = |b: &u8| *b == b' ' || *b == b'\t';
            match line.strip_prefix(b"include").filter(|rest| rest.first().is_some_and(blank)) {
                Some(patterns) => {
                    for pattern in patterns.split(blank).filter(|pattern| !pattern.is_empty()) {
                        for included in self.matching(path, pattern)? {
                            self.file(&included, depth + 1)?;
                        }
                    }
                }
                None => self.directory(path, at + 1, line),
            }
        }
        Ok(())
    }

    fn directory(&mut self, file: &[u8], line: usize, text: &[u8]) {
        let hwcap = text.strip_prefix(b"hwcap").is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_whitespace));
        // A kind of library may follow: `/lib=libc6`.
        let path = text.split(|b| *b == b'=').next().unwrap_or_default().trim_ascii_end();
        let mut path = path;
        while path.len() > 1 && path.ends_with(b"/") {
            path = &path[..path.len() - 1];
        }
        if path.starts_with(b"/") && !hwcap && self.out.len() < limits::MAX_LD_CONF_ITEMS {
            self.out.push(ConfDirectory { path: path.to_vec(), file: file.to_vec(), line });
        }
    }

    /// The files that a pattern of `file` names, sorted; one that is relative starts at the file's directory.
    fn matching(&self, file: &[u8], pattern: &[u8]) -> Result<Vec<Vec<u8>>, RootError> {
        let directory = &file[..file.iter().rposition(|b| *b == b'/').unwrap_or(0)];
        let full = if pattern.starts_with(b"/") { pattern.to_vec() } else { [directory, b"/", pattern].concat() };
        let mut found: Vec<Vec<u8>> = vec![Vec::new()];
        for part in full.split(|b| *b == b'/').filter(|part| !part.is_empty()) {
            let mut next = Vec::new();
            for base in found {
                if !part.iter().any(|b| b"*?[\\".contains(b)) {
                    next.push([&base, b"/".as_slice(), part].concat());
                    continue;
                }
                for name in self.names(&base)? {
                    // As in a shell, a pattern does not match hidden names by itself.
                    let hidden = name.starts_with(b".") && !part.starts_with(b".");
                    if !hidden && glob(part, &name) && next.len() < limits::MAX_LD_CONF_ITEMS {
                        next.push([&base, b"/".as_slice(), &name].concat());
                    }
                }
            }
            found = next;
        }
        Ok(found)
    }

    fn names(&self, directory: &[u8]) -> Result<Vec<Vec<u8>>, RootError> {
        let path = match resolve(self.root, directory) {
            Ok(Some(found)) if matches!(found.node, Node::Directory { .. }) => found.path,
            Ok(_) | Err(RootError::TooManyLinks(_) | RootError::PathTooLong) => return Ok(Vec::new()),
            Err(error) if error.hides() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        list(self.root, &path)
    }
}

fn list(root: &dyn Root, path: &ImagePath) -> Result<Vec<Vec<u8>>, RootError> {
    match root.read_dir(path) {
        Err(error) if error.hides() => Ok(Vec::new()),
        names => names,
    }
}

/// Whether a name matches a pattern of `glob(7)`: `*`, `?`, `[a-z]`, `[!a-z]`, and `\` before one of them.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut pattern, mut name) = (pattern, name);
    // Where the last star stands, and from where it was tried.
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        let step = match pattern.split_first() {
            Some((b'*', rest)) => {
                star = Some((rest, name));
                pattern = rest;
                continue;
            }
            Some(_) => name.split_first().and_then(|(byte, _)| one(pattern, *byte)),
            None if name.is_empty() => return true,
            None => None,
        };
        match (step, star) {
            (Some(rest), _) => (pattern, name) = (rest, &name[1..]),
            (None, Some((behind, from))) if !from.is_empty() => {
                star = Some((behind, &from[1..]));
                (pattern, name) = (behind, &from[1..]);
            }
            _ => return false,
        }
    }
}

/// Matches one byte with the front of a pattern that is no star; gives what is left of the pattern.
fn one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    let (first, rest) = pattern.split_first()?;
    match first {
        b'?' => Some(rest),
        b'\\' if !rest.is_empty() => (rest[0] == byte).then(|| &rest[1..]),
        b'[' => {
            let negated = matches!(rest.first(), Some(b'!' | b'^'));
            let body = if negated { &rest[1..] } else { rest };
            // The first one may be a bracket itself.
            let end = 1 + body.iter().skip(1).position(|b| *b == b']')?;
            let (set, behind) = (&body[..end], &body[end + 1..]);
            let mut inside = false;
            let mut at = 0;
            while at < set.len() {
                match set.get(at + 1..at + 3) {
                    Some([b'-', to]) => {
                        inside |= (set[at]..=*to).contains(&byte);
                        at += 3;
                    }
                    _ => {
                        inside |= set[at] == byte;
                        at += 1;
                    }
                }
            }
            (inside != negated).then_some(behind)
        }
        first => (*first == byte).then_some(rest),
    }
}
