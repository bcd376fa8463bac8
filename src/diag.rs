//! Diagnostics: findings for the person. A strange binary is a diagnostic, not an error.

use std::fmt;

use serde::Serialize;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// The image may not do what was meant.
    Warning,
    /// The image cannot be made or cannot run.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// A stable code: a letter for the area and three digits. Codes are never reused. All of them stand in `docs/diagnostics.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Code(pub &'static str);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// One piece of evidence: what was looked at and what stood there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
pub struct Evidence {
    /// Where, for example `PT_INTERP`, `DT_NEEDED`, `string at 0x41f0`, `flag --add`.
    pub source: String,
    /// What was found there, escaped for display.
    pub value: String,
}

impl Evidence {
    /// Evidence from a place and what stood there.
    pub fn new(source: impl Into<String>, value: impl Into<String>) -> Self {
        Self { source: source.into(), value: value.into() }
    }
}

/// A finding with its evidence and the next step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Diagnostic {
    /// Stable code.
    pub code: Code,
    /// Weight.
    pub severity: Severity,
    /// What it is about: a path as the user wrote it, or a path of the image.
    pub subject: String,
    /// One sentence, lower case, no final full stop.
    pub message: String,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
    /// The next step, where there is one.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// A finding without evidence or hint.
    pub fn new(code: Code, severity: Severity, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, severity, subject: subject.into(), message: message.into(), evidence: Vec::new(), hint: None }
    }

    /// Adds evidence.
    #[must_use]
    pub fn with_evidence(mut self, evidence: impl IntoIterator<Item = Evidence>) -> Self {
        self.evidence.extend(evidence);
        self
    }

    /// Sets the hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (subject, message) = (printable(&self.subject), printable(&self.message));
        write!(f, "{}[{}]: `{subject}`: {message}", self.severity, self.code)?;
        for evidence in &self.evidence {
            write!(f, "\n  {}: {}", printable(&evidence.source), printable(&evidence.value))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {}", printable(hint))?;
        }
        Ok(())
    }
}

/// Foreign text for people: control characters, with which a terminal can be steered, are escaped.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// Bytes for people: printable ASCII as it is, everything else as `\xNN` (and `\\` for the backslash).
#[must_use]
pub fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            0x20..=0x7e => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out
}
