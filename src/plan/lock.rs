//! `coracle.lock`: what the programs of each platform need, in a form to commit and to compare.
//!
//! ```text
//! coracle lock 1
//! base docker.io/library/debian:12-slim sha256:…
//! platform linux/amd64
//! with certs
//! included required proven library:libc.so.6 rule=loader/needed by=program
//! offered optional derived file:/etc/host.conf rule=names/hosts by=program
//! ```
//!
//! Lines are sorted. Neither sizes, versions nor evidence stand there, so that a security update of a library changes nothing,
//! but a new need does. What a string alone hints at stands there only when it is included.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::text::{unword, word};
use crate::analyze::needs::Choice;
use crate::analyze::{Confidence, Level, Outcome, Requirement, Subject};
use crate::limits;
use crate::oci::{Digest, Platform};

/// The first line.
const HEADER: &str = "coracle lock 1";
/// What a line of a platform begins with.
const FIRST_WORDS: [&str; 7] = ["with", "without", "included", "offered", "at-run-time", "missing", "left-out"];

/// The needs of each platform, and the base.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// Name and digest of the base.
    base: Option<(String, Digest)>,
    platforms: BTreeMap<String, BTreeSet<String>>,
}

/// Not the text of a lock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not valid: {reason}")]
pub struct LockError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Lock {
    /// Adds what the programs of a platform need, and what the user decided about it. `sole` is the place in the image of a
    /// program that is there alone: it stands as `program`, so that the image's name changes nothing.
    pub fn add(&mut self, platform: &Platform, choice: &Choice, requirements: &[Requirement], sole: Option<&str>) {
        let lines = self.platforms.entry(platform.to_string()).or_default();
        lines.extend(choice.with.iter().map(|selector| format!("with {}", word(&selector.to_string()))));
        lines.extend(choice.without.iter().map(|selector| format!("without {}", word(&selector.to_string()))));
        let told = |need: &&Requirement| {
            need.subject != Subject::Program
                && (need.reason.confidence != Confidence::Hinted || need.outcome == Outcome::Included)
        };
        lines.extend(requirements.iter().filter(told).map(|need| line(need, sole)));
    }

    /// Remembers the content of a base by its name.
    pub fn set_base(&mut self, name: &str, digest: Digest) {
        self.base = Some((name.to_owned(), digest));
    }

    /// The content that a base of this name has.
    #[must_use]
    pub fn base(&self, name: &str) -> Option<&Digest> {
        self.base.as_ref().filter(|(own, _)| own == name).map(|(_, digest)| digest)
    }

    /// The text form.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = format!("{HEADER}\n");
        if let Some(line) = self.base_line() {
            out.push_str(&format!("{line}\n"));
        }
        for (platform, lines) in &self.platforms {
            out.push_str(&format!("platform {}\n", word(platform)));
            for line in lines {
                out.push_str(line);
                out.push('\n');
            }
        }
        out
    }

    fn base_line(&self) -> Option<String> {
        self.base.as_ref().map(|(name, digest)| format!("base {} {digest}", word(name)))
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// [`LockError`] with the line.
    pub fn parse(text: &[u8]) -> Result<Self, LockError> {
        let at = |line, reason| LockError { line, reason };
        if text.len() > limits::MAX_LOCK_BYTES {
            return Err(at(1, "the file is too large for a lock"));
        }
        let text = std::str::from_utf8(text).map_err(|_| at(1, "it is not UTF-8"))?;
        // Git may have given it the line ends of another system.
        let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
        if lines.next().is_none_or(|(_, line)| line != HEADER) {
            return Err(at(1, "expected `coracle lock 1`"));
        }
        let mut lock = Self::default();
        let mut current = None;
        for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
            if let Some(base) = line.strip_prefix("base ") {
                let parts = base.split_once(' ').and_then(|(name, digest)| Some((unword(name)?, digest.parse().ok()?)));
                let parts = parts.ok_or_else(|| at(number, "expected a name and a digest"))?;
                if current.is_some() || lock.base.replace(parts).is_some() {
                    return Err(at(number, "a base stands once, before all platforms"));
                }
                continue;
            }
            if let Some(platform) = line.strip_prefix("platform ") {
                let platform: Platform = platform.parse().map_err(|_| at(number, "expected a platform"))?;
                let platform = platform.to_string();
                if lock.platforms.insert(platform.clone(), BTreeSet::new()).is_some() {
                    return Err(at(number, "the platform stands there twice"));
                }
                current = Some(platform);
                continue;
            }
            let first = line.split(' ').next().unwrap_or_default();
            if !FIRST_WORDS.contains(&first) {
                return Err(at(number, "the first word is not known"));
            }
            let lines = current.as_ref().and_then(|platform| lock.platforms.get_mut(platform));
            let lines = lines.ok_or_else(|| at(number, "it stands before any platform"))?;
            lines.insert(line.to_owned());
        }
        Ok(lock)
    }

    /// How `now` differs from this lock. Platforms that `now` does not have are not compared: a build may be of one alone.
    #[must_use]
    pub fn difference(&self, now: &Self) -> Option<LockDifference> {
        let none = BTreeSet::new();
        let mut platforms = Vec::new();
        for (platform, lines) in &now.platforms {
            let locked = self.platforms.get(platform).unwrap_or(&none);
            let added: Vec<String> = lines.difference(locked).cloned().collect();
            let removed: Vec<String> = locked.difference(lines).cloned().collect();
            if !added.is_empty() || !removed.is_empty() || !self.platforms.contains_key(platform) {
                platforms.push(PlatformDifference { platform: platform.clone(), removed, added });
            }
        }
        let base = (self.base != now.base).then(|| (self.base_line(), now.base_line()));
        (base.is_some() || !platforms.is_empty()).then_some(LockDifference { base, platforms })
    }

    /// This lock with the platforms of `now` in the place of its own.
    #[must_use]
    pub fn updated(mut self, now: &Self) -> Self {
        self.base.clone_from(&now.base);
        self.platforms.extend(now.platforms.clone());
        self
    }
}

/// How needs differ from those that are locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockDifference {
    /// The lines about the base, where they differ.
    pub base: Option<(Option<String>, Option<String>)>,
    /// Platforms that differ, sorted.
    pub platforms: Vec<PlatformDifference>,
}

/// How the needs of one platform differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformDifference {
    /// `os/arch[/variant]`.
    pub platform: String,
    /// Lines that are in the lock alone.
    pub removed: Vec<String>,
    /// Lines that are not in the lock.
    pub added: Vec<String>,
}

/// One line each: the platform, then `- …` and `+ …`.
impl fmt::Display for LockDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gap = "";
        if let Some((old, new)) = &self.base {
            let lines = old.iter().map(|line| format!("- {line}")).chain(new.iter().map(|line| format!("+ {line}")));
            f.write_str(&lines.collect::<Vec<_>>().join("\n"))?;
            gap = "\n";
        }
        for one in &self.platforms {
            write!(f, "{gap}{}", one.platform)?;
            gap = "\n";
            if one.removed.is_empty() && one.added.is_empty() {
                f.write_str("\n+ no need at all, but the lock does not have the platform")?;
            }
            one.removed.iter().try_for_each(|line| write!(f, "\n- {line}"))?;
            one.added.iter().try_for_each(|line| write!(f, "\n+ {line}"))?;
        }
        Ok(())
    }
}

fn line(need: &Requirement, sole: Option<&str>) -> String {
    let outcome = match need.outcome {
        Outcome::Included => "included",
        Outcome::Offered(_) => "offered",
        Outcome::AtRunTime => "at-run-time",
        Outcome::Missing => "missing",
        Outcome::LeftOut => "left-out",
    };
    let level = match need.level {
        Level::Required => "required",
        Level::Recommended => "recommended",
        Level::Optional => "optional",
    };
    let (confidence, subject) = (need.reason.confidence.name(), word(&subject(&need.subject)));
    let by = need.reason.needed_by.as_str();
    let (rule, by) = (word(&need.reason.rule), word(if Some(by) == sole { "program" } else { by }));
    format!("{outcome} {level} {confidence} {subject} rule={rule} by={by}")
}

fn subject(subject: &Subject) -> String {
    let (kind, text) = match subject {
        Subject::Program => return "program".to_owned(),
        Subject::Certificates => return "certificates".to_owned(),
        Subject::TimeZones => return "time-zones".to_owned(),
        Subject::Accounts => return "accounts".to_owned(),
        Subject::NameService => return "name-service".to_owned(),
        Subject::File(text) => ("file", text),
        Subject::Library(text) => ("library", text),
        Subject::Interpreter(text) => ("interpreter", text),
        Subject::WritableDirectory(text) => ("writable", text),
        Subject::Tree(text) => ("tree", text),
        Subject::Executable(text) => ("executable", text),
        Subject::Link(text) => ("link", text),
    };
    format!("{kind}:{text}")
}
