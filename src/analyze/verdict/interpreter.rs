//! Programs for which there is no closure at all.

use std::collections::BTreeSet;

use super::{Judgement, Remedy, codes, elsewhere};
use crate::analyze::loader::{Refusal, Windows};
use crate::diag::{Diagnostic, Evidence, Severity, escape};
use crate::elf::{LoaderView, Machine};
use crate::limits;
use crate::rootfs::{Root, RootError, resolve};

/// Directories in which loaders lie.
const LOADER_PLACES: [&[u8]; 6] = [b"/lib64", b"/lib", b"/usr/lib64", b"/usr/lib", b"/lib32", b"/libx32"];

/// The finding about a program of a root that has no closure; `path` is its path in the root.
///
/// # Errors
/// [`RootError`] when the root cannot be read.
pub fn refusal(program: &str, root: &dyn Root, path: &[u8], refusal: &Refusal) -> Result<Judgement, RootError> {
    let mut out = Judgement::default();
    let view = match resolve(root, path)? {
        Some(found) => match root.open(&found.path) {
            Ok(file) => LoaderView::parse(&Windows::new(&*file)).ok(),
            Err(error) if error.hides() => None,
            Err(RootError::NotRegular(_)) => None,
            Err(error) => return Err(error),
        },
        None => None,
    };
    let (code, interpreter) = match refusal {
        Refusal::InterpreterAbsent(name) => (codes::NO_INTERPRETER, Some(name)),
        Refusal::InterpreterUnusable(name) => (codes::BAD_INTERPRETER, Some(name)),
        _ => (codes::NOT_LOADABLE, None),
    };
    let mut finding = Diagnostic::new(code, Severity::Error, program, refusal.to_string());
    let named = view.as_ref().and_then(|view| view.interpreter.as_ref()).map(|name| name.as_bytes().to_vec());
    let (Some(shown), Some(view), Some(interpreter)) = (interpreter, &view, named) else {
        out.say(finding.with_hint("name a program that the loader of the root can load"));
        return Ok(out);
    };
    finding.evidence.push(Evidence::new("PT_INTERP", shown.clone()));
    let abi = crate::analyze::loader::Object::from(view.clone()).abi;
    let own = Machine::from_code(abi.machine);
    if code == codes::BAD_INTERPRETER {
        let other = elsewhere::abi_of(root, &interpreter)?;
        let other =
            other.map(|abi| format!("{}-bit {}", if abi.is_64 { 64 } else { 32 }, Machine::from_code(abi.machine)));
        finding.evidence.extend(other.map(|other| Evidence::new("it is", other)));
        out.say(finding.with_hint(format!("use a root for {own}: the kernel starts no loader of another machine")));
        return Ok(out);
    }
    let last = interpreter.rsplit(|b| *b == b'/').next().unwrap_or_default();
    let lying = elsewhere::find(root, None, abi, &BTreeSet::from([last]))?;
    if let Some(target) = lying.get(last).and_then(|lying| lying.usable.first()) {
        let remedy = Remedy::Link { link: interpreter.clone(), target: target.clone() };
        finding.evidence.push(Evidence::new("found", escape(target)));
        out.say(finding.with_hint(format!("link it with `{remedy}`")));
        out.offer(remedy);
        return Ok(out);
    }
    let loaders = loaders(root)?;
    finding.evidence.extend(loaders.iter().map(|path| Evidence::new("loader of the root", escape(path))));
    out.say(finding.with_hint(hint(&interpreter, &loaders, own)));
    Ok(out)
}

fn hint(interpreter: &[u8], loaders: &[Vec<u8>], own: Machine) -> String {
    let is_musl = |path: &[u8]| memchr::memmem::find(path, b"/ld-musl-").is_some();
    let (musl, root_musl) = (is_musl(interpreter), loaders.iter().any(|path| is_musl(path)));
    let root_glibc = loaders.iter().any(|path| !is_musl(path));
    if interpreter.starts_with(b"/nix/") || interpreter.starts_with(b"/gnu/store/") {
        return "the program is linked for a store of Nix or Guix: name a root that has it, or set another interpreter with `patchelf`".to_owned();
    }
    match (musl, root_musl, root_glibc) {
        (true, false, true) => "the program is linked with musl, the root has glibc: use a root with musl (Alpine), or link for glibc".to_owned(),
        (false, true, false) => "the program is linked with glibc, the root has musl: use a root with glibc (Debian, Fedora), or link with musl".to_owned(),
        _ => format!("use a root for {own} that has it (`--root`): it comes with the C library"),
    }
}

/// The loaders that a root has, by the names that C libraries give them.
fn loaders(root: &dyn Root) -> Result<Vec<Vec<u8>>, RootError> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for place in LOADER_PLACES {
        let Ok(Some(directory)) = resolve(root, place) else { continue };
        let Ok(names) = root.read_dir(&directory.path) else { continue };
        for name in names {
            let is_loader =
                name.starts_with(b"ld-linux") || name.starts_with(b"ld-musl-") || name.starts_with(b"ld64.so");
            if is_loader && seen.insert(name.clone()) && found.len() < limits::MAX_EVIDENCE {
                found.push([place, b"/", &name].concat());
            }
        }
    }
    Ok(found)
}
