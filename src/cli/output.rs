//! stdout and stderr: the only file that writes to them.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::failure::{Blame, Failure};
use super::settings::Terminal;
use crate::diag::{Diagnostic, Severity};

/// Where results and findings go.
#[derive(Debug, Clone)]
pub struct Output {
    terminal: Terminal,
    quiet: bool,
}

impl Output {
    /// Output as the terminal allows it.
    pub const fn new(terminal: Terminal, quiet: bool) -> Self {
        Self { terminal, quiet }
    }

    /// Writes data to stdout.
    ///
    /// # Errors
    /// A [`Failure`] of the environment when stdout cannot be written, or that its reader has gone.
    pub fn data(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::reader_gone()),
            Err(error) => Err(Failure::environment("cannot write to the standard output").caused_by(error.to_string())),
        }
    }

    /// Writes one line of data.
    ///
    /// # Errors
    /// As [`Output::data`].
    pub fn line(&self, text: impl AsRef<str>) -> Result<(), Failure> {
        self.data(&format!("{}\n", text.as_ref()))
    }

    /// Writes a value as indented JSON.
    ///
    /// # Errors
    /// As [`Output::data`], and for a value that is not JSON (a defect).
    pub fn json(&self, value: &serde_json::Value) -> Result<(), Failure> {
        self.data(&format!("{value:#}\n"))
    }

    /// Tells the person something that is neither result nor finding; silent under `--quiet`.
    pub fn say(&self, text: impl AsRef<str>) {
        if !self.quiet {
            self.stderr(text.as_ref());
        }
    }

    /// Shows findings; errors even under `--quiet`.
    pub fn findings(&self, findings: &[Diagnostic]) {
        for finding in findings {
            if self.quiet && finding.severity != Severity::Error {
                continue;
            }
            self.stderr(&self.styled_finding(finding));
            self.annotate(finding.severity, &format!("[{}] {}: {}", finding.code, finding.subject, finding.message));
        }
    }

    /// Shows a failure.
    pub fn failure(&self, failure: &Failure) {
        if failure.blame() == Blame::ReaderGone || failure.message().is_empty() {
            return;
        }
        if !failure.findings().is_empty() {
            return self.findings(failure.findings());
        }
        let mut text = format!("{} {}", self.paint("error:", "1;31"), failure.message());
        for line in failure.own_lines() {
            let _ = write!(text, "\n{line}");
        }
        for cause in failure.causes() {
            let _ = write!(text, "\n{} {cause}", self.paint("caused by:", "31"));
        }
        if let Some(hint) = failure.hint_text() {
            let _ = write!(text, "\n\n{} {hint}", self.paint("hint:", "1;36"));
        }
        self.stderr(&text);
        let mut flat = failure.message().to_owned();
        for cause in failure.causes() {
            flat = format!("{flat}: {cause}");
        }
        self.annotate(Severity::Error, &flat);
    }

    fn styled_finding(&self, finding: &Diagnostic) -> String {
        let text = finding.to_string();
        let head = format!("{}[{}]:", finding.severity, finding.code);
        let colour = match finding.severity {
            Severity::Error => "1;31",
            Severity::Warning => "1;33",
            Severity::Note => "1;36",
        };
        match text.strip_prefix(&head) {
            Some(rest) => format!("{}{rest}", self.paint(&head, colour)),
            None => text,
        }
    }

    fn paint(&self, text: &str, colour: &str) -> String {
        if self.terminal.colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A workflow command of GitHub Actions, so that the finding stands at the run's summary.
    fn annotate(&self, severity: Severity, message: &str) {
        if !self.terminal.github_actions {
            return;
        }
        let level = match severity {
            Severity::Note => "notice",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        let escaped = message.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
        self.stderr(&format!("::{level} title=coracle::{escaped}"));
    }

    #[expect(clippy::unused_self, reason = "all writing goes through a value, so that none happens before settings")]
    fn stderr(&self, text: &str) {
        // Nothing can be told when stderr itself is gone.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}
