//! Programs that are executed: scripts lead to their interpreters, these to what they need themselves.

use super::meet::Met;
use super::placed::slashed;
use super::walk::{Walk, is_executable, program_at};
use super::{Confidence, Level, Outcome, Requirement, Subject};
use crate::analyze::Reason;
use crate::diag::{Evidence, escape};
use crate::elf::{ElfFacts, FileKind, classify};
use crate::limits;
use crate::oci::ImagePath;
use crate::rootfs::{Resolved, RootError};

/// An interpreter that is a script itself has one in turn; the kernel follows so many (`BINPRM_MAX_RECURSION`).
const MAX_INTERPRETERS: usize = 4;

/// A file to execute, and how many scripts it is the interpreter of.
type Step = (Resolved, usize);

impl Walk<'_> {
    /// A program that is executed, or the interpreter of a script. Scripts may name each other: each is followed once.
    pub(super) fn execute(&mut self, found: &Resolved, reason: &Reason) -> Result<(), RootError> {
        let mut open: Vec<Step> = vec![(found.clone(), 0)];
        while let Some((found, depth)) = open.pop() {
            if depth > MAX_INTERPRETERS || self.executed.contains(&found.path) {
                continue;
            }
            if self.executed.len() >= limits::MAX_EXECUTED_FILES {
                self.cut_off(
                    &format!("/{}", escape(found.path.as_bytes())),
                    "more files are executed than are followed",
                );
                return Ok(());
            }
            self.executed.insert(found.path.clone());
            let file = self.root().open(&found.path)?;
            match classify(&*file) {
                FileKind::Elf => {
                    if let Ok(facts) = ElfFacts::parse(&*file)
                        && is_executable(&facts)
                    {
                        self.start(&program_at(found.path.clone(), facts))?;
                    }
                }
                FileKind::Script { .. } => {
                    let len = usize::try_from(file.len().min(limits::MAX_SHEBANG_BYTES)).unwrap_or(0);
                    if let Some(start) = file.read_at(0, len) {
                        self.shebang(&start, reason, (&found, depth), &mut open)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes the interpreter of a script: the program of `#!`, and what `env` would look for.
    fn shebang(
        &mut self,
        start: &[u8],
        reason: &Reason,
        (script, depth): (&Resolved, usize),
        open: &mut Vec<Step>,
    ) -> Result<(), RootError> {
        let line = start.strip_prefix(b"#!").unwrap_or_default();
        let line = line.split(|b| *b == b'\n').next().unwrap_or_default();
        let mut words = line.split(|b| *b == b' ' || *b == b'\t').filter(|word| !word.is_empty());
        let Some(interpreter) = words.next() else { return Ok(()) };
        let mut reason = reason.clone();
        reason.rule = "kernel/shebang".to_owned();
        reason.confidence = Confidence::Declared;
        reason.evidence = vec![Evidence::new("#!", escape(line))];
        let before = open.len();
        if interpreter.ends_with(b"/env")
            && let Some(name) = words.find(|word| !word.starts_with(b"-") && !word.contains(&b'='))
        {
            if let Some(Met::Program(_, program)) = self.program(&[name.to_vec()])? {
                self.files.take_resolved(self.root(), &program, &reason)?;
                // `env` executes it anew.
                open.push((program, 0));
            } else {
                self.no_interpreter(name, &script.path, &reason);
            }
        }
        if let Some((_, found)) = self.file(interpreter)? {
            self.files.take_resolved(self.root(), &found, &reason)?;
            // Below what `env` executes, which comes first.
            open.insert(before, (found, depth + 1));
        } else {
            self.no_interpreter(interpreter, &script.path, &reason);
        }
        Ok(())
    }

    /// Tells a script's interpreter that the root does not have.
    fn no_interpreter(&mut self, name: &[u8], script: &ImagePath, reason: &Reason) {
        let mut reason = reason.clone();
        reason.needed_by = escape(&slashed(script));
        let mut missing = Requirement::included(Subject::Executable(escape(name)), Level::Required, reason);
        missing.outcome = Outcome::Missing;
        self.tell(missing);
    }
}
