//! What a program needs at run time, and how sure that is.

use serde::Serialize;

use crate::diag::Evidence;

/// How much the program needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
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
    /// A directory with all that lies in it.
    Tree(String),
    /// Another program that is executed.
    Executable(String),
    /// Certificates of the authorities that the program trusts.
    Certificates,
    /// Time zones.
    TimeZones,
    /// Names of users and groups.
    Accounts,
    /// Where names of hosts and users are looked up.
    NameService,
    /// A link that a package's script would have made.
    Link(String),
}

impl Subject {
    /// What it is, for people: a path or a few words.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Program => "the program",
            Self::File(text)
            | Self::Library(text)
            | Self::Interpreter(text)
            | Self::WritableDirectory(text)
            | Self::Tree(text)
            | Self::Executable(text)
            | Self::Link(text) => text,
            Self::Certificates => "CA bundle",
            Self::TimeZones => "time zones",
            Self::Accounts => "passwd and group",
            Self::NameService => "nsswitch.conf",
        }
    }
}

/// What became of a need.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "state", content = "detail")]
pub enum Outcome {
    /// It is in the image.
    Included,
    /// It is not: this flag includes it.
    Offered(String),
    /// The container runtime provides it.
    AtRunTime,
    /// It would be included, but the root does not have it.
    Missing,
    /// The user left it out.
    LeftOut,
}

impl Outcome {
    /// The word shown to people.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Included => "included",
            Self::Offered(_) => "offered",
            Self::AtRunTime => "at run time",
            Self::Missing => "missing",
            Self::LeftOut => "left out",
        }
    }
}

/// One thing the program needs at run time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
pub struct Requirement {
    /// What.
    pub subject: Subject,
    /// How much.
    pub level: Level,
    /// Why.
    pub reason: Reason,
    /// What became of it.
    pub outcome: Outcome,
    /// What it is for, in a few words; empty when the subject says it.
    pub about: String,
    /// Paths of the image that meet it.
    pub files: Vec<String>,
    /// Bytes of these files, with those of the files that they need.
    pub size: u64,
}

impl Requirement {
    /// A need that is met.
    #[must_use]
    pub const fn included(subject: Subject, level: Level, reason: Reason) -> Self {
        Self { subject, level, reason, outcome: Outcome::Included, about: String::new(), files: Vec::new(), size: 0 }
    }
}
