//! Findings about needs.

use super::{Choice, Outcome, Requirement, Selector, Subject, features, reasons};
use crate::analyze::{Confidence, Level};
use crate::diag::{Code, Diagnostic, Evidence, Severity, escape};

/// A required need is not in the root.
const MISSING: Code = Code("N004");
/// A required need was left out.
const LEFT_OUT: Code = Code("N005");
/// No feature has this name.
const UNKNOWN_FEATURE: Code = Code("N006");
/// Nothing was left out by this name.
const UNUSED: Code = Code("N007");
/// What the user asked for is not in the root.
const ABSENT: Code = Code("N008");
/// What is not included, with the flags that include it.
pub(super) const OFFERED: Code = Code("N009");
/// A library that is loaded at run time cannot be loaded.
const UNLOADABLE: Code = Code("N010");

/// A file that is there is local to the machine.
const LOCAL: Code = Code("N011");
/// More is needed than the bounds allow.
const CUT_OFF: Code = Code("N012");
/// Links of directories lead to nothing in the image.
const DANGLING: Code = Code("N013");
/// A file that not everyone may read.
const PRIVATE: Code = Code("N014");

/// Most lines about what is not included.
const SHOWN: usize = 20;

/// Required needs that are not met, and all that is offered; `program` is the first of the image.
pub(super) fn of_requirements(requirements: &[Requirement], choice: &Choice, program: &str) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    for requirement in requirements.iter().filter(|r| r.level == Level::Required) {
        let severity = if choice.strict { Severity::Error } else { Severity::Warning };
        let subject = requirement.subject.text();
        let about = |message: String| match requirement.about.as_str() {
            "" => message,
            about => format!("{message} ({about})"),
        };
        let evidence = || requirement.reason.evidence.iter().cloned();
        match requirement.outcome {
            // The verdict has said it, with every place that was tried.
            Outcome::Missing if requirement.reason.rule == reasons::NEEDED => {}
            Outcome::Missing if requirement.reason.confidence == Confidence::Asserted => {
                let finding = Diagnostic::new(ABSENT, Severity::Error, subject, "it cannot be taken from the root");
                out.push(finding.with_evidence(evidence()).with_hint(absent_hint(&requirement.subject)));
            }
            Outcome::Missing => {
                let message =
                    about(format!("`{}` needs it, and the root does not have it", requirement.reason.needed_by));
                out.push(Diagnostic::new(MISSING, severity, subject, message).with_evidence(evidence()).with_hint(
                    "install its package in the root, add it with `--add SRC:DST`, or leave it out with `--without`",
                ));
            }
            Outcome::LeftOut => {
                let message = about(format!("`{}` needs it, but it was left out", requirement.reason.needed_by));
                out.push(Diagnostic::new(LEFT_OUT, severity, subject, message));
            }
            _ => {}
        }
    }
    out.extend(offered(requirements, program));
    out
}

/// What helps when something that was asked for by name is not in the root.
fn absent_hint(subject: &Subject) -> &'static str {
    match subject {
        Subject::Library(_) => {
            "`coracle explain` shows where the loader looks for it; name it by its path, `--with lib:/PATH`, or add it \
             with `--add SRC:DST`"
        }
        _ => "check the name; install its package in the root, or add it from elsewhere with `--add SRC:DST`",
    }
}

/// A file that was written or changed on the machine itself.
pub(super) fn local(path: &[u8]) -> Diagnostic {
    let message = "it is no file of a package, or was changed on this machine, and so stays out of the image";
    Diagnostic::new(LOCAL, Severity::Note, escape(path), message).with_hint(
        "add it with `--add SRC:DST` where the image is to have it as it is here, or take a root with `--root`",
    )
}

/// One finding about everything that a flag would include.
fn offered(requirements: &[Requirement], program: &str) -> Option<Diagnostic> {
    let all: Vec<(&Requirement, &str)> = requirements
        .iter()
        .filter_map(|requirement| match &requirement.outcome {
            Outcome::Offered(flag) => Some((requirement, flag.as_str())),
            _ => None,
        })
        .collect();
    // Hints are often wrong: they are counted, and `inspect` lists them.
    let (hints, mut all): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|(requirement, _)| requirement.reason.confidence == Confidence::Hinted);
    if hints.is_empty() && all.is_empty() {
        return None;
    }
    all.sort_by_key(|(requirement, flag)| (requirement.level, *flag));
    all.dedup_by_key(|(_, flag)| *flag);
    let line = |(requirement, flag): &(&Requirement, &str)| {
        let about = match requirement.about.as_str() {
            "" => requirement.subject.text().to_owned(),
            about => format!("{} ({about})", requirement.subject.text()),
        };
        Evidence::new(flag.to_string(), about)
    };
    let mut evidence: Vec<Evidence> = all.iter().take(SHOWN).map(line).collect();
    if all.len() > SHOWN {
        evidence.push(Evidence::new("and", format!("{} more", all.len() - SHOWN)));
    }
    let hint = match hints.len() {
        0 => "`coracle inspect` lists all needs with their evidence".to_owned(),
        1 => "`coracle inspect --all` lists all needs, also one that a string alone names".to_owned(),
        many => format!("`coracle inspect --all` lists all needs, also {many} that strings alone name"),
    };
    let message = match all.is_empty() {
        true => "what only strings name is not included, for example plugins that are loaded at run time",
        false => "some needs are not included; each line begins with the flag that includes it",
    };
    Some(Diagnostic::new(OFFERED, Severity::Note, program, message).with_evidence(evidence).with_hint(hint))
}

pub(super) fn unknown_feature(selector: &Selector) -> Diagnostic {
    let known = features::FEATURES.map(|name| format!("`{name}`")).join(", ");
    let near = match selector {
        Selector::Feature { name, .. } => nearest(name),
        _ => None,
    };
    let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    Diagnostic::new(UNKNOWN_FEATURE, Severity::Error, selector.to_string(), "no need of the programs has this name")
        .with_hint(format!(
            "{near}features that can always be asked for are {known}; `coracle inspect` shows those of a program"
        ))
}

/// The feature that was meant by a name that is none: one edit of three letters is a slip, more is another word.
fn nearest(name: &str) -> Option<&'static str> {
    let distance = |known: &&&str| strsim::damerau_levenshtein(known, name);
    let nearest = features::FEATURES.iter().min_by_key(distance)?;
    (distance(&nearest) <= nearest.len().div_ceil(3)).then_some(*nearest)
}

pub(super) fn unused(selector: &Selector) -> Diagnostic {
    let finding =
        Diagnostic::new(UNUSED, Severity::Warning, selector.to_string(), "nothing was left out: no need has this name");
    match selector {
        Selector::Library(_) => finding.with_hint("what the loader maps when the program starts cannot be left out"),
        _ => finding.with_hint("`coracle inspect --all` lists the needs of a program"),
    }
}

/// A library that comes in for `dlopen` and needs something that the root does not have.
pub(super) fn unloadable(library: &[u8], by: &str, missing: &[Vec<u8>]) -> Diagnostic {
    let evidence = missing.iter().map(|name| Evidence::new("not in the root", escape(name)));
    let message = format!("`{by}` may load it at run time, which would fail");
    Diagnostic::new(UNLOADABLE, Severity::Note, escape(library), message).with_evidence(evidence)
}

/// What is needed goes on beyond a bound; the rest is not in the image.
pub(super) fn cut_off(subject: &str, message: &str, choice: &Choice) -> Diagnostic {
    let severity = if choice.strict { Severity::Error } else { Severity::Warning };
    Diagnostic::new(CUT_OFF, severity, subject, format!("{message}, and what is beyond is not in the image"))
        .with_hint("name what the program uses of it with `--with file:PATH`, and leave out the rest with `--without`")
}

/// Files of a directory that no package brought to this machine.
pub(super) fn local_in(directory: &str, left_out: &[String]) -> Diagnostic {
    let message = "what belongs to this machine itself is not taken from its directory";
    let finding = Diagnostic::new(LOCAL, Severity::Note, directory, message).with_evidence(some("left out", left_out));
    finding.with_hint("add a file that the image must have with `--add SRC:DST`")
}

/// Files of a directory that not everyone may read.
pub(super) fn private_in(directory: &str, left_out: &[String]) -> Diagnostic {
    let message = "files that not everyone may read in the root stay out: in the image everyone could";
    let finding = Diagnostic::new(PRIVATE, Severity::Warning, directory, message);
    finding
        .with_evidence(some("left out", left_out))
        .with_hint("name one that the program must have with `--with file:PATH`; better mount secrets when it runs")
}

/// A file that not everyone may read, taken because it was named or is needed.
pub(super) fn private(path: &[u8]) -> Diagnostic {
    let message = "not everyone may read it in the root, and everyone may in the image";
    Diagnostic::new(PRIVATE, Severity::Warning, escape(path), message).with_hint(
        "an image is no place for secrets: leave it out with `--without`, and mount it when the program runs",
    )
}

/// Links that lead to directories which are not in the image.
pub(super) fn dangling(links: &[String]) -> Option<Diagnostic> {
    let first = links.first()?;
    let message = "symbolic links lead to directories that are not in the image";
    let finding = Diagnostic::new(DANGLING, Severity::Note, first, message).with_evidence(some("link", links));
    Some(finding.with_hint("include a directory that the program uses with `--with file:DIRECTORY`"))
}

/// The first of many, and how many there are beyond.
fn some(what: &'static str, all: &[String]) -> Vec<Evidence> {
    let mut out: Vec<Evidence> = all.iter().take(SHOWN).map(|one| Evidence::new(what, one.clone())).collect();
    if all.len() > SHOWN {
        out.push(Evidence::new("and", format!("{} more", all.len() - SHOWN)));
    }
    out
}
