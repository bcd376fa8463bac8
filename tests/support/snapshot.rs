//! Committed files that a test's outcome must equal.

use std::path::Path;

/// Compares `actual` with the file at `path` (from the package's root). With `CORACLE_BLESS=1` in the environment the
/// file is written instead, to be looked at and committed.
pub fn check(path: &str, actual: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("CORACLE_BLESS").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    if expected == actual {
        return;
    }
    let line = expected.lines().zip(actual.lines()).take_while(|(a, b)| a == b).count();
    panic!(
        "`{path}` differs from line {}:\n  committed: {}\n  now:       {}\nCORACLE_BLESS=1 rewrites it",
        line + 1,
        expected.lines().nth(line).unwrap_or("(end of file)"),
        actual.lines().nth(line).unwrap_or("(end of file)"),
    );
}
