//! Search paths by which a stranger could slip a library in, or that were right on the build machine only.

use super::{Judgement, Question, codes, member};
use crate::analyze::loader::{Libc, Loaded};
use crate::diag::{Code, Diagnostic, Evidence, Severity, escape};
use crate::rootfs::{Node, RootError, resolve};

/// Directories that everyone may write to (Filesystem Hierarchy Standard 3.0, sections 3.18 and 5.15; tmpfs of Linux).
const SHARED: [&[u8]; 3] = [b"/tmp", b"/var/tmp", b"/dev/shm"];
/// Where builds happen, and nothing is installed.
const BUILDS: [&[u8]; 10] = [
    b"/home",
    b"/root",
    b"/build",
    b"/builddir",
    b"/builds",
    b"/workspace",
    b"/Users",
    b"/usr/src",
    b"/github",
    b"/mnt",
];

/// One finding for each object and kind of risk.
pub(super) fn risks(question: &Question<'_>, out: &mut Judgement) -> Result<(), RootError> {
    for (index, loaded) in question.closure.loaded.iter().enumerate() {
        let (tag, path) = match (&loaded.object.runpath, &loaded.object.rpath) {
            (Some(path), _) => ("DT_RUNPATH", path),
            (None, Some(path)) => ("DT_RPATH", path),
            (None, None) => continue,
        };
        let mut seen: Vec<Code> = Vec::new();
        for element in elements(path, question.closure.libc) {
            let Some((code, severity, what, hint)) = risk(question, loaded, element)? else { continue };
            if seen.contains(&code) {
                continue;
            }
            seen.push(code);
            let message = format!("`{}` looks for libraries in {what}", member(question.closure, index));
            let finding = Diagnostic::new(code, severity, question.program, message);
            out.say(finding.with_evidence([Evidence::new(tag, escape(path))]).with_hint(hint));
        }
    }
    Ok(())
}

/// musl passes over empty elements and knows line ends as separators.
fn elements(path: &[u8], libc: Libc) -> Vec<&[u8]> {
    match libc {
        Libc::Glibc if path.is_empty() => Vec::new(),
        Libc::Glibc => path.split(|b| *b == b':').collect(),
        Libc::Musl => path.split(|b| *b == b':' || *b == b'\n').filter(|element| !element.is_empty()).collect(),
    }
}

type Risk = (Code, Severity, String, &'static str);

fn risk(question: &Question<'_>, loaded: &Loaded, element: &[u8]) -> Result<Option<Risk>, RootError> {
    let shown = escape(element);
    if element.first() != Some(&b'/') && element.first() != Some(&b'$') {
        let what = if element.is_empty() {
            "its working directory (an empty element)".to_owned()
        } else {
            format!("`{shown}` of its working directory")
        };
        let hint =
            "link with absolute directories or `$ORIGIN` only: whoever chooses the working directory chooses the code";
        return Ok(Some((codes::WORKING_DIRECTORY, Severity::Warning, what, hint)));
    }
    let below = |tops: &[&[u8]]| {
        tops.iter().any(|top| element.strip_prefix(*top).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/")))
    };
    if below(&SHARED) || is_world_writable(question, loaded, element)? {
        let hint = "remove the directory from the search path: every user could put a library there";
        return Ok(Some((
            codes::WORLD_WRITABLE,
            Severity::Warning,
            format!("`{shown}`, which all may write to"),
            hint,
        )));
    }
    if below(&BUILDS) {
        let hint =
            "the directory belongs to the machine of the build; link with `$ORIGIN`, or install to where it will run";
        return Ok(Some((codes::BUILD_PATH, Severity::Note, format!("`{shown}`, a directory of builds"), hint)));
    }
    Ok(None)
}

fn is_world_writable(question: &Question<'_>, loaded: &Loaded, element: &[u8]) -> Result<bool, RootError> {
    let directory = loaded.path.iter().rposition(|b| *b == b'/').map_or(&b""[..], |at| &loaded.path[..at]);
    let rest = [&b"$ORIGIN"[..], b"${ORIGIN}"].into_iter().find_map(|token| element.strip_prefix(token));
    let path = rest.map_or_else(|| element.to_vec(), |rest| [directory, rest].concat());
    if path.contains(&b'$') {
        return Ok(false);
    }
    match resolve(question.root, &path) {
        Ok(Some(found)) => Ok(matches!(found.node, Node::Directory { mode } if mode & 0o002 != 0)),
        Ok(None) | Err(RootError::TooManyLinks(_) | RootError::PathTooLong) => Ok(false),
        Err(error) if error.hides() => Ok(false),
        Err(error) => Err(error),
    }
}
