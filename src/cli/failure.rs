//! What leaves the program when something is wrong: a message, its causes, the next step, and an exit code.

use std::error::Error as StdError;
use std::fmt;

use crate::diag::{Diagnostic, printable};
use crate::oci::without_user_info;

/// Whose turn it is; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The user's input, or a check that says no: exit code 1.
    Input,
    /// The environment: a disk, a network, a registry, or a defect of coracle: exit code 2.
    Environment,
    /// SIGINT or SIGTERM: exit code 130.
    Interrupted,
    /// Whoever read stdout has gone: nobody to tell, exit code 0.
    ReaderGone,
}

impl Blame {
    /// The exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Input => 1,
            Self::Environment => 2,
            Self::Interrupted => 130,
            Self::ReaderGone => 0,
        }
    }
}

/// A failure ready to be shown. Its texts quote foreign names, so control characters in them are escaped, and passwords
/// in URLs left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    blame: Blame,
    message: Box<str>,
    lines: Vec<String>,
    causes: Vec<String>,
    hint: Option<Box<str>>,
    findings: Vec<Diagnostic>,
}

impl Failure {
    /// The user's input is wrong.
    pub fn input(message: impl Into<String>) -> Self {
        let message = shown(&message.into()).into();
        Self { blame: Blame::Input, message, lines: Vec::new(), causes: Vec::new(), hint: None, findings: Vec::new() }
    }

    /// Files that no image can be made of; the findings say it all.
    pub fn refused(findings: Vec<Diagnostic>) -> Self {
        Self { findings, ..Self::input("no image can be made of it") }
    }

    /// A check has said no, and its result stands on stdout already: nothing more to tell.
    pub fn said_no() -> Self {
        Self::input("")
    }

    /// The environment is.
    pub fn environment(message: impl Into<String>) -> Self {
        Self { blame: Blame::Environment, ..Self::input(message) }
    }

    /// The user stopped it.
    pub fn interrupted() -> Self {
        Self { blame: Blame::Interrupted, ..Self::input("interrupted; nothing was left behind") }
    }

    /// The reader of stdout has gone.
    pub fn reader_gone() -> Self {
        Self { blame: Blame::ReaderGone, ..Self::input("nobody reads the standard output") }
    }

    /// An error with its chain of sources. A source that only repeats what stands before it is left out.
    pub fn of(blame: Blame, error: &(dyn StdError + 'static)) -> Self {
        let mut failure = Self { blame, ..Self::input(error.to_string()) };
        let mut source = error.source();
        let mut last = failure.message.to_string();
        while let Some(cause) = source {
            let text = shown(&cause.to_string());
            if !last.ends_with(&text) {
                failure.causes.push(text.clone());
                last = text;
            }
            source = cause.source();
        }
        failure
    }

    /// Sets lines that stand below the message as they are, for example a difference.
    #[must_use]
    pub fn lines(mut self, lines: Vec<String>) -> Self {
        self.lines = lines.iter().map(|line| printable(line)).collect();
        self
    }

    /// Lines that stand below the message.
    pub fn own_lines(&self) -> &[String] {
        &self.lines
    }

    /// Adds a cause at the end of the chain.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(shown(&cause.into()));
        self
    }

    /// Sets the hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(shown(&hint.into()).into());
        self
    }

    /// Whether there is a hint.
    pub const fn has_hint(&self) -> bool {
        self.hint.is_some()
    }

    /// Whose turn it is.
    pub const fn blame(&self) -> Blame {
        self.blame
    }

    /// The message alone.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The causes, the outermost first.
    pub fn causes(&self) -> &[String] {
        &self.causes
    }

    /// Findings that are shown in the place of the message.
    pub fn findings(&self) -> &[Diagnostic] {
        &self.findings
    }

    /// The next step.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

fn shown(text: &str) -> String {
    printable(&without_user_info(text))
}

/// As it is shown, without colours.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        self.lines.iter().try_for_each(|line| write!(f, "\n{line}"))?;
        for cause in &self.causes {
            write!(f, "\ncaused by: {cause}")?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl StdError for Failure {}
