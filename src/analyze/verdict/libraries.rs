//! Libraries that the loader does not get, and what else its search leaves to say.

use std::collections::BTreeSet;

use super::elsewhere::{self, Lying};
use super::{Judgement, Question, Remedy, chain, codes, member};
use crate::analyze::loader::{Attempt, Found, Missing, Profile, Verdict};
use crate::diag::{Code, Diagnostic, Evidence, Severity, escape};
use crate::elf::Machine;
use crate::limits;
use crate::oci::ImagePath;
use crate::rootfs::{Node, RootError, resolve};

/// Every needed library that is missing, and why.
pub(super) fn missing(question: &Question<'_>, out: &mut Judgement) -> Result<(), RootError> {
    let closure = question.closure;
    let missing: Vec<&Missing> = closure.missing.iter().filter(|m| !m.optional).collect();
    if closure.cut_off {
        let message = format!("the walk over its libraries is cut off behind {} objects", closure.loaded.len());
        let hint = "no real program is like that: look at what it needs with `readelf -d`";
        out.say(Diagnostic::new(codes::CUT_OFF, Severity::Warning, question.program, message).with_hint(hint));
    }
    let Some(abi) = closure.loaded.first().map(|program| program.object.abi).filter(|_| !missing.is_empty()) else {
        return Ok(());
    };
    let names: BTreeSet<&[u8]> = missing.iter().map(|m| m.name.as_slice()).filter(|n| !n.contains(&b'/')).collect();
    let lying = elsewhere::find(question.root, Some(&closure.profile), abi, &names)?;
    let mut told = BTreeSet::new();
    for absent in missing {
        // One finding for a name: whoever else asks for it is evidence.
        if told.insert(&absent.name) {
            one(question, absent, lying.get(&absent.name), out)?;
        }
    }
    Ok(())
}

fn one(question: &Question<'_>, absent: &Missing, lying: Option<&Lying>, out: &mut Judgement) -> Result<(), RootError> {
    let askers = question.closure.missing.iter().filter(|m| m.name == absent.name && !m.optional);
    let case = Case {
        question,
        absent,
        name: escape(&absent.name),
        needed_by: askers
            .take(limits::MAX_EVIDENCE)
            .map(|m| Evidence::new("needed by", chain(question.closure, m.by)))
            .collect(),
    };
    let finding = match case.garbage() {
        Some(finding) => finding,
        None => match case.only_for_level()? {
            Some(finding) => finding,
            None => match lying.and_then(|lying| case.elsewhere(lying, out)) {
                Some(finding) => finding,
                None => match case.other_machine()? {
                    Some(finding) => finding,
                    None => case.nowhere(lying),
                },
            },
        },
    };
    out.say(finding);
    Ok(())
}

/// One missing library; each reason, the most telling first.
struct Case<'a> {
    question: &'a Question<'a>,
    absent: &'a Missing,
    name: String,
    needed_by: Vec<Evidence>,
}

impl Case<'_> {
    fn finding(&self, code: Code, message: String) -> Diagnostic {
        Diagnostic::new(code, Severity::Error, self.question.program, message).with_evidence(self.needed_by.clone())
    }

    /// A file ends the search.
    fn garbage(&self) -> Option<Diagnostic> {
        let (message, hint) = garbage_words(self.question, &self.name, self.absent.garbage()?);
        let finding = self.finding(codes::GARBAGE, message);
        Some(finding.with_evidence(tried(self.question, self.absent)).with_hint(hint))
    }

    /// Better processors have it.
    fn only_for_level(&self) -> Result<Option<Diagnostic>, RootError> {
        let levels = levels(self.question, self.absent)?;
        let Some((level, path)) = levels.first() else { return Ok(None) };
        let message = format!("`{}` is there only for better processors, from level `{level}` on", self.name);
        let evidence = levels.iter().map(|(level, path)| Evidence::new(*level, escape(path)));
        let path = escape(path);
        let hint = format!("add the library for the baseline to the root; `{path}` alone serves some machines");
        Ok(Some(self.finding(codes::ONLY_FOR_LEVEL, message).with_evidence(evidence).with_hint(hint)))
    }

    /// It lies where the loader does not look.
    fn elsewhere(&self, lying: &Lying, out: &mut Judgement) -> Option<Diagnostic> {
        let target = lying.usable.first()?;
        let message = format!("`{}` is not where the loader looks; it is found at `{}`", self.name, escape(target));
        let found = lying.usable.iter().map(|path| Evidence::new("found", escape(path)));
        let tried = tried(self.question, self.absent);
        let finding = self.finding(codes::ELSEWHERE, message).with_evidence(found).with_evidence(tried);
        let Some(remedy) = link(self.question, self.absent, target) else {
            return Some(finding.with_hint("link or copy it to one of the directories that were tried"));
        };
        let hint = format!("link it with `{remedy}`, as the alternatives or a script of its package would");
        out.offer(remedy);
        Some(finding.with_hint(hint))
    }

    /// Other machines have it.
    fn other_machine(&self) -> Result<Option<Diagnostic>, RootError> {
        let mut evidence = Vec::new();
        let other = self.absent.attempts.iter().filter(|a| a.verdict == Verdict::OtherAbi);
        for attempt in other.take(limits::MAX_EVIDENCE) {
            let kind = kind(self.question, attempt)?;
            evidence.push(Evidence::new("skipped", format!("{}: {kind}", escape(&attempt.path))));
        }
        if evidence.is_empty() {
            return Ok(None);
        }
        let message = format!("`{}` is there only for another class of machine", self.name);
        let own = self.question.closure.loaded.first().map(|program| Machine::from_code(program.object.abi.machine));
        let own = own.map_or_else(String::new, |machine| format!(" for {machine}"));
        let hint = format!("add the library{own} to the root: the loader passes over all others");
        Ok(Some(self.finding(codes::OTHER_MACHINE, message).with_evidence(evidence).with_hint(hint)))
    }

    /// The root does not have it.
    fn nowhere(&self, lying: Option<&Lying>) -> Diagnostic {
        let finding = self.finding(codes::MISSING, format!("`{}` is not in the root", self.name));
        let mut finding = finding.with_evidence(tried(self.question, self.absent));
        let versions = lying.map(|lying| lying.versions.as_slice()).unwrap_or_default();
        finding.evidence.extend(versions.iter().map(|path| Evidence::new("of another version", escape(path))));
        let others = lying.map(|lying| lying.others.as_slice()).unwrap_or_default();
        finding.evidence.extend(others.iter().map(|path| Evidence::new("for another machine", escape(path))));
        finding.with_hint(if self.absent.undecidable {
            "a search path depends on the processor (`$PLATFORM`): name the library's directory itself when linking"
        } else if self.absent.attempts.is_empty() {
            "the loader has no place to look for it: a search path or a cache is needed"
        } else {
            "add the package that has it to the root, or name a root that has it with `--root`"
        })
    }
}

/// What was tried, with a dead link told as such.
fn tried(question: &Question<'_>, absent: &Missing) -> Vec<Evidence> {
    let mut out = Vec::new();
    for attempt in absent.attempts.iter().take(limits::MAX_EVIDENCE) {
        let verdict = match &attempt.verdict {
            Verdict::Loaded => "loaded".to_owned(),
            Verdict::Absent => dead_link(question, &attempt.path).unwrap_or_else(|| "absent".to_owned()),
            Verdict::Unreadable => "not readable".to_owned(),
            Verdict::Loop => "a loop of links".to_owned(),
            Verdict::OtherAbi => "for another machine".to_owned(),
            Verdict::Garbage(reason) => reason.clone(),
        };
        out.push(Evidence::new("tried", format!("{}: {verdict}", escape(&attempt.path))));
    }
    let more = absent.attempts.len().saturating_sub(limits::MAX_EVIDENCE);
    if more > 0 {
        out.push(Evidence::new("tried", format!("{more} more")));
    }
    out
}

fn dead_link(question: &Question<'_>, path: &[u8]) -> Option<String> {
    let at = path.iter().rposition(|b| *b == b'/')?;
    let directory = resolve(question.root, path.get(..at)?).ok()??;
    let path = directory.path.join(path.get(at + 1..)?).ok()?;
    match question.root.node(&path) {
        Ok(Some(Node::Symlink(target))) => Some(format!("a link to `{}`, which is not there", escape(&target))),
        _ => None,
    }
}

fn garbage_words(question: &Question<'_>, name: &str, garbage: &Attempt) -> (String, String) {
    let path = escape(&garbage.path);
    let reason = match &garbage.verdict {
        Verdict::Garbage(reason) => reason.as_str(),
        _ => "it cannot be loaded",
    };
    let message = format!("the loader gives up at `{path}`, where it looks for `{name}`: {reason}");
    let resolved = resolve(question.root, &garbage.path).ok().flatten();
    let file = resolved.and_then(|found| question.root.open(&found.path).ok());
    let head = file.and_then(|file| {
        let len = usize::try_from(file.len()).unwrap_or(usize::MAX).min(limits::FILE_KIND_BYTES);
        Some(file.read_at(0, len)?.into_owned())
    });
    let has = |word: &[u8]| head.as_ref().is_some_and(|head| memchr::memmem::find(head, word).is_some());
    let hint = if has(b"GNU ld script") || has(b"INPUT") || has(b"GROUP") {
        "the file is a script for the linker, from a package for development: keep it out of the loader's directories"
    } else {
        "replace or remove the file: the loader looks no further"
    };
    (message, hint.to_owned())
}

/// Class and machine of a file that was skipped.
fn kind(question: &Question<'_>, attempt: &Attempt) -> Result<String, RootError> {
    Ok(match elsewhere::abi_of(question.root, &attempt.path)? {
        Some(abi) => format!("{}-bit {}", if abi.is_64 { 64 } else { 32 }, Machine::from_code(abi.machine)),
        None => "of another class".to_owned(),
    })
}

/// Files of the name in glibc-hwcaps subdirectories of the directories tried, and of the cache, the lowest level first.
fn levels<'a>(question: &Question<'a>, absent: &Missing) -> Result<Vec<(&'a str, Vec<u8>)>, RootError> {
    let profile: &'a Profile = &question.closure.profile;
    let abi = question.closure.loaded.first().map(|program| program.object.abi);
    let mut found = Vec::new();
    for level in profile.known_hwcaps.iter().rev().copied() {
        let directories =
            absent.attempts.iter().filter_map(|a| Some(&a.path[..a.path.iter().rposition(|b| *b == b'/')?]));
        let beside = directories.map(|d| [d, b"/glibc-hwcaps/", level.as_bytes(), b"/", &absent.name].concat());
        let cached = profile.cache.iter().zip(profile.cache_flags).flat_map(|(cache, flags)| {
            cache.lookup(&absent.name, flags).filter(|entry| entry.hwcaps.as_deref() == Some(level.as_bytes()))
        });
        for path in beside.chain(cached.map(|entry| entry.path.clone())) {
            let known = found.iter().any(|(_, known)| *known == path);
            if let Some(abi) = abi.filter(|_| !known && found.len() < limits::MAX_EVIDENCE)
                && elsewhere::is_usable(question.root, abi, &path)?
            {
                found.push((level, path));
            }
        }
    }
    Ok(found)
}

/// The link that would make the loader find `target`: in the directory tried that is nearest to it.
fn link(question: &Question<'_>, absent: &Missing, target: &[u8]) -> Option<Remedy> {
    let common = |path: &[u8]| path.iter().zip(target).take_while(|(a, b)| a == b).count();
    let free = absent.attempts.iter().filter(|a| a.verdict == Verdict::Absent).map(|a| a.path.clone());
    let name = &absent.name;
    let defaults = question.closure.profile.default_directories.iter().map(|d| [d.as_slice(), b"/", name].concat());
    let mut places: Vec<Vec<u8>> = free.collect();
    if places.is_empty() {
        places.extend(defaults);
    }
    // Of equals the first: it is searched first.
    let nearest = places.iter().map(|path| common(path)).max()?;
    let link = places.into_iter().find(|path| common(path) == nearest)?;
    Some(Remedy::Link { link, target: target.to_vec() })
}

/// Libraries of the closure of which there are variants for better processors: the image has none of them.
pub(super) fn variants(question: &Question<'_>, out: &mut Judgement) -> Result<(), RootError> {
    let closure = question.closure;
    if !closure.profile.active_hwcaps.is_empty() {
        return Ok(());
    }
    let mut evidence = Vec::new();
    let mut count = 0;
    for loaded in
        closure.loaded.iter().filter(|l| !matches!(l.found, Found::Program | Found::Interpreter | Found::Direct))
    {
        let Some(at) = loaded.path.iter().rposition(|b| *b == b'/') else { continue };
        let (directory, name) = loaded.path.split_at(at);
        let base = [directory, b"/glibc-hwcaps"].concat();
        // Most directories have none: one look instead of one for each level.
        if !is_there(question, &base)? {
            continue;
        }
        for level in &closure.profile.known_hwcaps {
            let path = [&base, b"/".as_slice(), level.as_bytes(), name].concat();
            if is_there(question, &path)? {
                count += 1;
                if evidence.len() < limits::MAX_EVIDENCE {
                    evidence.push(Evidence::new(*level, escape(&path)));
                }
            }
        }
    }
    if count > 0 {
        let message = format!("{count} variants of libraries for better processors are left out");
        out.say(Diagnostic::new(codes::VARIANTS, Severity::Note, question.program, message).with_evidence(evidence));
    }
    Ok(())
}

fn is_there(question: &Question<'_>, path: &[u8]) -> Result<bool, RootError> {
    match resolve(question.root, path) {
        Ok(found) => Ok(found.is_some()),
        Err(RootError::TooManyLinks(_) | RootError::PathTooLong) => Ok(false),
        Err(error) if error.hides() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Libraries that watch the loader.
pub(super) fn watchers(question: &Question<'_>, out: &mut Judgement) {
    for audit in &question.closure.audits {
        let name = escape(&audit.name);
        let (message, found) = match &audit.outcome {
            Ok(closure) if closure.missing.iter().all(|missing| missing.optional) => (
                format!("`{name}` watches the loader, with libraries of its own"),
                closure.loaded.first().map(|loaded| loaded.resolved.path.clone()),
            ),
            Ok(_) => {
                (format!("`{name}` is to watch the loader, but its own libraries are missing: it is left out"), None)
            }
            Err(_) => {
                (format!("`{name}` is to watch the loader, but is missing: the loader says so and goes on"), None)
            }
        };
        let evidence = [
            Some(Evidence::new("DT_AUDIT", name)),
            found.map(|path: ImagePath| Evidence::new("found", path.to_string())),
        ];
        let finding = Diagnostic::new(codes::AUDIT, Severity::Note, question.program, message);
        out.say(finding.with_evidence(evidence.into_iter().flatten()));
    }
}

/// Names that another processor may find elsewhere.
pub(super) fn undecidable(question: &Question<'_>, out: &mut Judgement) {
    let closure = question.closure;
    let mut askers: Vec<usize> = closure.undecidable.iter().map(|u| u.by).collect();
    askers.sort_unstable();
    askers.dedup();
    for by in askers {
        let message = format!(
            "`{}` looks for libraries in a directory that depends on the processor (`$PLATFORM`); what lies there is not in the image",
            member(closure, by)
        );
        let names = closure.undecidable.iter().filter(|u| u.by == by).take(limits::MAX_EVIDENCE);
        let names = names.map(|u| Evidence::new("found elsewhere", escape(&u.name)));
        let object = closure.loaded.get(by).map(|loaded| &loaded.object);
        let path = object.and_then(|o| o.runpath.as_ref().or(o.rpath.as_ref()));
        let path = path.map(|path| Evidence::new("search path", escape(path)));
        let finding = Diagnostic::new(codes::UNDECIDABLE, Severity::Warning, question.program, message);
        out.say(finding.with_evidence(path.into_iter().chain(names)).with_hint("link with the directory itself"));
    }
}
