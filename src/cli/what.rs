//! Telling a program's path from the name of an image.

use std::path::Path;

/// What the names of places of this machine begin with.
pub const PREFIXES: [&str; 3] = ["oci:", "archive:", "docker-daemon:"];

/// Whether a text is a path of this machine: it says so by its first letter, or something is there. `oci:` and the other
/// prefixes of places are never paths.
pub fn is_path(text: &str) -> bool {
    let prefixed = PREFIXES.iter().any(|prefix| text.starts_with(prefix));
    !prefixed && (text.starts_with(['.', '/']) || Path::new(text).exists())
}

/// Whether a text names a program: a path of this machine, or `root:` and a path of the root.
pub fn is_program(text: &str) -> bool {
    text.starts_with("root:/") || is_path(text)
}
