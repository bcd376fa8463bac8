//! What kind of loader a root has and what it was built with, read from the loader's own bytes.

use goblin::elf::header as h;

use super::{Abi, LdCache};

/// Whose rules apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Libc {
    /// The GNU C library.
    Glibc,
    /// musl.
    Musl,
}

/// Everything about a root's loader that decides where it looks.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Whose rules.
    pub libc: Libc,
    /// Version, for example `2.36`, where the bytes tell it.
    pub version: Option<String>,
    /// Default directories in order, without trailing slash.
    pub default_directories: Vec<Vec<u8>>,
    /// What `$LIB` stands for; `None` for musl.
    pub lib_token: Option<Vec<u8>>,
    /// glibc-hwcaps subdirectories that the simulated processor has, the best first; empty for the baseline.
    pub active_hwcaps: Vec<Vec<u8>>,
    /// All subdirectories that a processor of this machine may have, the best first.
    pub known_hwcaps: Vec<&'static str>,
    /// ABI value of this machine in the cache.
    pub cache_flags: Option<u32>,
    /// The cache, when there is a valid one.
    pub cache: Option<LdCache>,
    /// Names from `/etc/ld.so.preload`.
    pub preload: Vec<Vec<u8>>,
    /// `LD_LIBRARY_PATH` of the image's environment.
    pub library_path: Vec<Vec<u8>>,
}

impl Profile {
    /// The profile of a glibc loader from its bytes.
    #[must_use]
    pub fn glibc(abi: Abi, loader: &[u8]) -> Self {
        let default_directories = system_directories(loader);
        let lib_token = lib_token(&default_directories);
        Self {
            libc: Libc::Glibc,
            version: after(loader, b"stable release version ").or_else(|| after(loader, b"GNU C Library version ")),
            default_directories,
            lib_token: Some(lib_token),
            active_hwcaps: Vec::new(),
            known_hwcaps: known_hwcaps(abi),
            cache_flags: cache_flags(abi, header_flags(abi, loader)),
            cache: None,
            preload: Vec::new(),
            library_path: Vec::new(),
        }
    }

    /// The profile of a musl loader from its bytes; `path_file` is the content of `/etc/ld-musl-ARCH.path` when there is one.
    #[must_use]
    pub fn musl(loader: &[u8], path_file: Option<&[u8]>) -> Self {
        let text = path_file.unwrap_or(b"/lib:/usr/local/lib:/usr/lib");
        let directory = |d: &[u8]| (!d.is_empty()).then(|| trim_slash(d).to_vec());
        Self {
            libc: Libc::Musl,
            version: musl_version(loader),
            default_directories: text.split(|b| *b == b':' || *b == b'\n').filter_map(directory).collect(),
            lib_token: None,
            active_hwcaps: Vec::new(),
            known_hwcaps: Vec::new(),
            cache_flags: None,
            cache: None,
            preload: Vec::new(),
            library_path: Vec::new(),
        }
    }
}

/// musl keeps its version as a string of its own, for the words that its loader says without arguments.
fn musl_version(loader: &[u8]) -> Option<String> {
    let is_version = |text: &&[u8]| {
        (5..12).contains(&text.len())
            && text.split(|b| *b == b'.').count() == 3
            && text.split(|b| *b == b'.').all(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit))
    };
    memchr::memmem::find(loader, b"musl libc (")?;
    loader.split(|b| *b == 0).find(is_version).map(|text| String::from_utf8_lossy(text).into_owned())
}

/// A path without its trailing slashes; the root stays `/`.
pub(super) fn trim_slash(path: &[u8]) -> &[u8] {
    let mut path = path;
    while path.len() > 1 && path.ends_with(b"/") {
        path = &path[..path.len() - 1];
    }
    path
}

/// glibc keeps `SYSTEM_DIRS` as consecutive strings, each with a trailing slash; the longest such run that names a
/// `/usr/lib…` directory is it. Without one: `/lib`, `/usr/lib`, as the sources' own default.
fn system_directories(loader: &[u8]) -> Vec<Vec<u8>> {
    let mut best: Vec<Vec<u8>> = Vec::new();
    let mut run: Vec<Vec<u8>> = Vec::new();
    // The empty string ends a run that reaches to the end.
    for string in loader.split(|b| *b == 0).chain([&b""[..]]) {
        let directory = string.len() > 2
            && string.len() < 256
            && string.starts_with(b"/")
            && string.ends_with(b"/")
            && string.iter().all(|b| (0x21..0x7f).contains(b) && !b"$%:".contains(b));
        if directory {
            run.push(trim_slash(string).to_vec());
            continue;
        }
        if run.len() > best.len() && run.iter().any(|d| d.windows(4).any(|w| w == b"/lib")) {
            best = std::mem::take(&mut run);
        }
        run.clear();
    }
    if best.is_empty() { vec![b"/lib".to_vec(), b"/usr/lib".to_vec()] } else { best }
}

/// `$LIB` is the first default directory without its leading slash and `usr/`.
fn lib_token(directories: &[Vec<u8>]) -> Vec<u8> {
    let first = directories.first().map_or(&b"lib"[..], |d| &d[1..]);
    first.strip_prefix(b"usr/").unwrap_or(first).to_vec()
}

/// The version number behind a phrase.
fn after(bytes: &[u8], phrase: &[u8]) -> Option<String> {
    let at = bytes.windows(phrase.len()).position(|w| w == phrase)? + phrase.len();
    let version: String =
        bytes[at..].iter().take(16).take_while(|b| b.is_ascii_digit() || **b == b'.').map(|b| char::from(*b)).collect();
    let version = version.trim_end_matches('.').to_owned();
    (!version.is_empty()).then_some(version)
}

/// `e_flags` of the loader, which tell its float ABI.
fn header_flags(abi: Abi, loader: &[u8]) -> u32 {
    let at = if abi.is_64 { 48 } else { 36 };
    let word = loader.get(at..at + 4).and_then(|word| <[u8; 4]>::try_from(word).ok()).unwrap_or_default();
    if abi.big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
}

/// `_DL_CACHE_DEFAULT_ID` of each ABI (sysdeps/*/dl-cache.h, sysdeps/generic/ldconfig.h).
fn cache_flags(abi: Abi, header_flags: u32) -> Option<u32> {
    let set = |bits: u32| header_flags & bits == bits;
    Some(match (abi.machine, abi.is_64) {
        (h::EM_X86_64, true) => 0x303,
        (h::EM_X86_64, false) => 0x803,
        (h::EM_AARCH64, true) => 0xa03,
        // Hard float, or soft.
        (h::EM_ARM, _) => {
            if set(0x400) {
                0x903
            } else {
                0xb03
            }
        }
        (h::EM_PPC64, _) => 0x503,
        (h::EM_S390, true) => 0x403,
        (h::EM_SPARCV9, true) => 0x103,
        // Floats in registers as doubles, or in none.
        (h::EM_RISCV, _) => {
            if set(0x4) {
                0x1003
            } else {
                0xf03
            }
        }
        (h::EM_LOONGARCH, true) => {
            if set(0x3) {
                0x1203
            } else {
                0x1103
            }
        }
        (h::EM_MIPS, is_64) => match (is_64, set(0x20), set(0x400)) {
            (true, _, false) => 0x703,
            (true, _, true) => 0xe03,
            // n32, or o32; each with the old or the new NaN.
            (false, true, false) => 0x603,
            (false, true, true) => 0xd03,
            (false, false, false) => 0x3,
            (false, false, true) => 0xc03,
        },
        (h::EM_386 | h::EM_PPC | h::EM_SPARC, _) | (h::EM_S390, false) => 0x3,
        _ => return None,
    })
}

fn known_hwcaps(abi: Abi) -> Vec<&'static str> {
    match (abi.machine, abi.is_64, abi.big_endian) {
        (62, true, _) => vec!["x86-64-v4", "x86-64-v3", "x86-64-v2"],
        (21, true, false) => vec!["power10", "power9"],
        (22, true, _) => vec!["z17", "z16", "z15", "z14", "z13"],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_directories_from_the_loader() {
        let abi = Abi { is_64: true, big_endian: false, machine: 62 };
        let bytes = b"junk\0/x/\0more\0/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0/lib/\0/usr/lib/\0\
            GNU C Library (Debian GLIBC) stable release version 2.36.\n\0";
        let profile = Profile::glibc(abi, bytes);
        let shown: Vec<_> =
            profile.default_directories.iter().map(|d| String::from_utf8_lossy(d).into_owned()).collect();
        assert_eq!(shown, ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib", "/usr/lib"]);
        assert_eq!(profile.lib_token.unwrap(), b"lib/x86_64-linux-gnu");
        assert_eq!(profile.version.as_deref(), Some("2.36"));
    }
}
