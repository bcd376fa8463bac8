//! What the loader of a machine with glibc says about the processor.

use std::path::Path;
use std::process::Command;

/// The glibc-hwcaps levels that a loader searches on this processor, the best first.
#[allow(dead_code)]
pub fn active_hwcaps(loader: &Path) -> Vec<String> {
    let output = Command::new(loader).arg("--help").output().unwrap();
    searched(&String::from_utf8_lossy(&output.stdout))
}

/// The levels that a loader's `--help` calls searched.
pub fn searched(text: &str) -> Vec<String> {
    let section = text.split("Subdirectories of glibc-hwcaps").nth(1).unwrap_or_default();
    let lines = section.lines().skip(1).take_while(|l| l.starts_with("  ")).filter(|l| l.contains("searched"));
    lines.filter_map(|l| l.split_whitespace().next()).map(str::to_owned).collect()
}
