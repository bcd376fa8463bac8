//! `coracle.lock`: where it lies, reading and writing it.

use std::path::{Path, PathBuf};

use super::args;
use super::failure::Failure;
use super::report;
use crate::limits;
use crate::pipeline::Locked;
use crate::plan::Lock;

/// The name of the file.
pub const FILE_NAME: &str = "coracle.lock";

/// The lock's file: the one that is named, else that in `directory` if it is there or to be written.
pub fn file(args: &args::Lock, directory: &Path) -> Option<PathBuf> {
    let default = directory.join(FILE_NAME);
    match &args.lock {
        Some(named) => Some(named.clone()),
        None if args.update_lock || default.is_file() => Some(default),
        None => None,
    }
}

/// Reads a lock.
///
/// # Errors
/// A failure that names the file, and the line.
pub fn read(file: &Path) -> Result<Locked, Failure> {
    let fail = |cause: String| Failure::input(format!("cannot use the lock `{}`", file.display())).caused_by(cause);
    let metadata = std::fs::metadata(file)
        .map_err(|error| fail(error.to_string()).hint("check the path; `--update-lock` writes a new one"))?;
    if !metadata.is_file() || metadata.len() > limits::MAX_LOCK_BYTES as u64 {
        return Err(fail(format!("it is no regular file of at most {} bytes", limits::MAX_LOCK_BYTES)));
    }
    let text = std::fs::read(file).map_err(|error| fail(error.to_string()))?;
    let lock = Lock::parse(&text).map_err(|error| {
        fail(error.to_string()).hint("mend the line, or remove the file and write it anew with `--update-lock`")
    })?;
    Ok(Locked { file: file.to_owned(), lock })
}

/// Writes a lock; platforms that `now` does not have stay as the file has them. An equal file is left alone.
///
/// # Errors
/// A failure that names the file.
pub fn update(file: &Path, now: &Lock) -> Result<(), Failure> {
    let old = if file.exists() { read(file)?.lock } else { Lock::default() };
    let new = old.clone().updated(now);
    if new == old && file.exists() {
        return Ok(());
    }
    // The hint of other reports speaks of the image; whoever wants a lock has to put it somewhere.
    report::write(file, new.to_text().as_bytes())
        .map_err(|failure| failure.hint("name a place that can be written to with `--lock FILE`"))
}
