//! A program that is not where it was looked for: what the root and this machine have instead.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;

use super::args::Needs;
use super::failure::Failure;
use super::{blame, what};
use crate::pipeline::{Error, Request};
use crate::rootfs::{DirRoot, Node, Root, resolve};

/// Where programs are looked for by a bare name.
const BIN: [&str; 4] = ["/usr/bin", "/bin", "/usr/sbin", "/usr/local/bin"];

/// The failure of an error about the programs of a request, with the root named.
pub fn of_program(error: &Error, request: &Request, needs: &Needs) -> Failure {
    let named = needs.root.as_deref().unwrap_or(OsStr::new("/"));
    match error {
        Error::Absent(path) => {
            let failure = Failure::input(format!("the root `{}` has no `{}`", named.display(), path.display()));
            match path.file_name().and_then(OsStr::to_str).and_then(|name| in_roots(request, &candidates(name))) {
                Some(found) => failure.hint(format!("it has `root:{found}`")),
                None if path.is_file() => failure.hint(format!(
                    "`root:PATH` is a path inside `--root`; that of this machine is `{}`",
                    path.display()
                )),
                None => failure.hint("`root:PATH` is a path inside `--root`; check it, and which root is meant"),
            }
        }
        Error::Read { path, source } if source.kind() == ErrorKind::NotFound => {
            let failure = blame::of_pipeline(error);
            let mut places: Vec<String> = path.is_absolute().then(|| path.display().to_string()).into_iter().collect();
            if let (1, Some(name)) = (path.components().count(), path.to_str()) {
                places.extend(candidates(name));
            }
            match in_roots(request, &places) {
                Some(found) => failure.hint(format!(
                    "the root `{}` has it: `root:{found}`; a path without `root:` is one of this machine",
                    named.display()
                )),
                None => failure,
            }
        }
        error => blame::of_pipeline(error),
    }
}

/// Programs that a word without a slash may mean, which is taken for an image otherwise; with the flags' root first.
pub fn of_word(word: &str, needs: &Needs) -> Option<String> {
    if word.contains(['/', ':', '@']) || what::is_program(word) {
        return None;
    }
    let places = candidates(word);
    if let Some(root) = needs.root.as_deref().filter(|root| Path::new(root).is_dir()) {
        let root = DirRoot::open(Path::new(root)).ok()?;
        return in_root(&root, &places).map(|found| format!("root:{found}"));
    }
    places.into_iter().find(|place| Path::new(place).is_file())
}

fn candidates(name: &str) -> Vec<String> {
    BIN.iter().map(|directory| format!("{directory}/{name}")).collect()
}

/// The first of the paths at which a root of the request has a file; without a root named, `/` is it.
fn in_roots(request: &Request, places: &[String]) -> Option<String> {
    if request.roots.is_empty() {
        return in_root(&DirRoot::open(Path::new("/")).ok()?, places);
    }
    request.roots.iter().find_map(|root| in_root(&*root.root, places))
}

fn in_root(root: &dyn Root, places: &[String]) -> Option<String> {
    // A root that cannot be read has nothing to offer; the error at hand says so.
    let has = |place: &&String| {
        resolve(root, place.as_bytes()).ok().flatten().is_some_and(|found| matches!(found.node, Node::File { .. }))
    };
    places.iter().find(has).cloned()
}
