//! Names of images and programs, from file names.

/// Words that end a file name and tell what the file was made for. A name is cut only when an architecture is among them.
const ARCHITECTURES: &[&str] = &[
    "amd64",
    "x86_64",
    "x64",
    "x86",
    "arm64",
    "aarch64",
    "arm",
    "armv5",
    "armv6",
    "armv7",
    "armv7l",
    "armhf",
    "armel",
    "386",
    "i386",
    "i586",
    "i686",
    "riscv64",
    "riscv64gc",
    "ppc64le",
    "powerpc64le",
    "s390x",
    "loong64",
    "loongarch64",
];
/// Words that may follow an architecture: systems, vendors, C libraries and variants.
const BEHIND: &[&str] = &[
    "linux",
    "unknown",
    "pc",
    "alpine",
    "gnu",
    "musl",
    "gnueabihf",
    "gnueabi",
    "musleabihf",
    "musleabi",
    "gnuabi64",
    "v1",
    "v2",
    "v3",
    "v4",
    "v5",
    "v6",
    "v7",
    "v8",
    "5",
    "6",
    "7",
    "8",
    "static",
];

/// The file name without what it says about a platform: `app-linux-arm64`, `app_amd64` and `app.x86_64` are all `app`.
#[must_use]
pub fn without_platform(file_name: &str) -> &str {
    let mut rest = file_name;
    while let Some((before, word)) = last_word(rest) {
        if ARCHITECTURES.contains(&word) {
            return before.strip_suffix("linux").map_or(before, |name| match name.strip_suffix(SEPARATORS) {
                Some(name) if !name.is_empty() => name,
                _ => before,
            });
        }
        if !BEHIND.contains(&word) {
            break;
        }
        rest = before;
    }
    file_name
}

/// What stands between the words of a file name.
const SEPARATORS: [char; 3] = ['-', '_', '.'];

/// The name split before its last word; `x86_64` is one word. `None` when nothing would stand before it.
fn last_word(text: &str) -> Option<(&str, &str)> {
    let at = match text.strip_suffix("x86_64") {
        Some(before) if before.ends_with(SEPARATORS) => before.len() - 1,
        _ => text.rfind(SEPARATORS)?,
    };
    (at > 0).then(|| (&text[..at], &text[at + 1..]))
}

/// The name as a component of a repository and a directory: lower case, everything else that neither takes as `-`.
#[must_use]
pub fn as_component(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            'a'..='z' | '0'..='9' => out.push(c),
            'A'..='Z' => out.push(c.to_ascii_lowercase()),
            _ if out.is_empty() || out.ends_with(['-', '.', '_']) => {}
            '.' | '_' => out.push(c),
            _ => out.push('-'),
        }
    }
    let trimmed = out.trim_end_matches(['-', '.', '_']);
    if trimmed.is_empty() { "image".to_owned() } else { trimmed.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_cut_off() {
        for (name, want) in [
            ("app", "app"),
            ("app-amd64", "app"),
            ("app_linux_arm64", "app"),
            ("app-linux-arm-v7", "app"),
            ("app.x86_64", "app"),
            ("app-x86_64-unknown-linux-musl", "app"),
            ("app-armv7-unknown-linux-gnueabihf", "app"),
            ("my-app-v2-linux-amd64", "my-app-v2"),
            ("app_linux_amd64_v1", "app"),
            ("amd64", "amd64"),
            ("linux-amd64", "linux"),
            ("app-static", "app-static"),
            ("app-v2", "app-v2"),
            ("app-linux", "app-linux"),
            ("x86_64", "x86_64"),
            ("my_tool", "my_tool"),
        ] {
            assert_eq!(without_platform(name), want, "{name}");
        }
    }

    #[test]
    fn components_are_those_of_repositories() {
        for (name, want) in [("App", "app"), ("my tool!", "my-tool"), ("--", "image"), ("a..b", "a.b"), ("é", "image")]
        {
            assert_eq!(as_component(name), want, "{name}");
            assert!(format!("r.example/{want}").parse::<crate::oci::Reference>().is_ok());
        }
    }
}
