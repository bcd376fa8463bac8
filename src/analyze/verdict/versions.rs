//! Symbol versions that the chosen libraries do not have.

use std::collections::BTreeMap;

use super::{Judgement, Question, chain, codes, member};
use crate::analyze::loader::{Closure, Windows, check_versions};
use crate::diag::{Diagnostic, Evidence, Severity, escape};
use crate::elf::imports_of_version;
use crate::limits;
use crate::rootfs::RootError;

/// Who asks, the library chosen, and its name as recorded.
type Pair = (usize, Option<usize>, Vec<u8>);

/// One finding for each object and library, which names all versions.
pub(super) fn problems(question: &Question<'_>, out: &mut Judgement) -> Result<(), RootError> {
    let closure = question.closure;
    let mut groups: BTreeMap<Pair, Vec<Vec<u8>>> = BTreeMap::new();
    for problem in check_versions(closure) {
        groups.entry((problem.by, problem.library, problem.name)).or_default().push(problem.version);
    }
    for ((by, library, name), mut versions) in groups {
        versions.sort_by_key(|version| split(version).map(|(family, number)| (family.to_vec(), number)));
        // The last is the newest: what provides it provides the others.
        let Some(version) = versions.last() else { continue };
        let wants = format!("`{}` wants version `{}` of `{}`", member(closure, by), escape(version), escape(&name));
        let provider = library.map(|index| member(closure, index));
        let newest = library.and_then(|index| newest(closure, index, version));
        let message = match (&provider, &newest) {
            (None, _) => format!("{wants}, but no loaded library has that name"),
            (Some(path), Some(newest)) => format!("{wants}, but `{path}` ends at `{}`", escape(newest)),
            (Some(path), None) => format!("{wants}, which `{path}` does not define"),
        };
        let mut finding = Diagnostic::new(codes::VERSION, Severity::Error, question.program, message);
        finding.evidence.push(Evidence::new("wanted by", chain(closure, by)));
        let shown = versions.iter().rev().take(limits::MAX_EVIDENCE);
        finding.evidence.extend(shown.map(|version| Evidence::new("version not found", escape(version))));
        let symbols = symbols(question, by, &name, version)?;
        if !symbols.is_empty() {
            let shown: Vec<_> = symbols.iter().take(limits::MAX_EVIDENCE).map(String::as_str).collect();
            finding.evidence.push(Evidence::new(format!("symbols of {}", escape(version)), shown.join(", ")));
        }
        if let (Some(path), Some(newest)) = (&provider, &newest) {
            finding.evidence.push(Evidence::new("newest provided", format!("{} in {path}", escape(newest))));
        }
        out.say(finding.with_hint(hint(version, newest.as_deref())));
    }
    Ok(())
}

/// The symbols of the object that are bound to the version.
fn symbols(question: &Question<'_>, by: usize, library: &[u8], version: &[u8]) -> Result<Vec<String>, RootError> {
    let Some(loaded) = question.closure.loaded.get(by) else { return Ok(Vec::new()) };
    let file = match question.root.open(&loaded.resolved.path) {
        Ok(file) => file,
        Err(error) if error.hides() => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let names = imports_of_version(&Windows::new(&*file), library, version).unwrap_or_default();
    Ok(names.iter().map(ToString::to_string).collect())
}

/// `GLIBC_2.34` as `GLIBC` and its numbers; `None` for a name that is not made so.
fn split(version: &[u8]) -> Option<(&[u8], Vec<u64>)> {
    let at = version.iter().rposition(|b| *b == b'_')?;
    let numbers = version.get(at + 1..)?.split(|b| *b == b'.');
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<u64>().ok();
    Some((version.get(..at)?, numbers.map(number).collect::<Option<Vec<_>>>()?))
}

/// The newest version of the same family that a library defines.
fn newest(closure: &Closure, library: usize, version: &[u8]) -> Option<Vec<u8>> {
    let (family, wanted) = split(version)?;
    let defined = closure.loaded.get(library)?.object.defined_versions.as_ref()?;
    let of_family = defined.iter().filter_map(|defined| {
        let (own, number) = split(defined)?;
        (own == family).then_some((number, defined))
    });
    // A library that goes further and lacks one in between is another build, not an older one.
    of_family.max().filter(|(number, _)| *number < wanted).map(|(_, defined)| defined.clone())
}

fn hint(version: &[u8], newest: Option<&[u8]>) -> String {
    let text = escape(version);
    if version.starts_with(b"GLIBC_PRIVATE") {
        return "the libraries of two builds of glibc are mixed: take all of them from one root".to_owned();
    }
    if version == b"GLIBC_ABI_DT_RELR" {
        return "use a root with glibc 2.36 or newer, or link without `-z pack-relative-relocs`".to_owned();
    }
    let number =
        |version: &[u8]| split(version).map(|(_, n)| n.iter().map(u64::to_string).collect::<Vec<_>>().join("."));
    let (wanted, own) = (number(version), newest.and_then(number));
    match (version.starts_with(b"GLIBC_"), wanted, own) {
        (true, Some(wanted), Some(own)) => format!(
            "use a root with glibc {wanted} or newer (`--root`), or build where glibc is {own} or older, or link with musl"
        ),
        (false, Some(_), Some(_)) => {
            format!("use a root whose library has `{text}` (`--root`), or build against the library of this root")
        }
        _ => format!(
            "the library is of another build than the one that was linked with: one that defines `{text}` is needed"
        ),
    }
}
