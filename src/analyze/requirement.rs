//! What a program needs at run time, and how sure that is.

use serde::Serialize;

use crate::diag::Evidence;

/// How much the program needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It does not start or does not do its job without.
    Required,
    /// It does part of its job without.
    Recommended,
    /// It does its job without.
    Optional,
}

/// How the need is known, the surest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// A rule of the loader or kernel demands it.
    Proven,
    /// The program says so itself (a note, a shebang).
    Declared,
    /// A symbol together with a library's own configuration.
    Derived,
    /// A string that names it.
    Hinted,
    /// The user said so.
    Asserted,
}

impl Confidence {
    /// The word shown to people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Declared => "declared",
            Self::Derived => "derived",
            Self::Hinted => "hinted",
            Self::Asserted => "asserted",
        }
    }
}

/// Why something is needed: a rule, who needs it, and the evidence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Reason {
    /// Stable name of the rule, for example `entrypoint`, `parent-directory`, `user:add`.
    pub rule: String,
    /// Who needs it: a path of the image, or the flag or configuration key of the user.
    pub needed_by: String,
    /// How it is known.
    pub confidence: Confidence,
    /// What it rests on; never a path of the building machine.
    pub evidence: Vec<Evidence>,
}

impl Reason {
    /// A reason without evidence.
    pub fn new(rule: impl Into<String>, needed_by: impl Into<String>, confidence: Confidence) -> Self {
        Self { rule: rule.into(), needed_by: needed_by.into(), confidence, evidence: Vec::new() }
    }
}

/// What is needed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "value")]
pub enum Subject {
    /// The program itself.
    Program,
    /// A file by its path in the image.
    File(String),
    /// A shared library by the name that is asked for.
    Library(String),
    /// The program interpreter (`PT_INTERP`).
    Interpreter(String),
    /// A directory the program's user can write to.
    WritableDirectory(String),
}

/// One thing the program needs at run time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Requirement {
    /// What.
    pub subject: Subject,
    /// How much.
    pub level: Level,
    /// Why.
    pub reason: Reason,
}
