//! Locales: those that the user names, else `C.utf8`.

use super::super::meet::Taken;
use super::super::trees::Wish;
use super::super::walk::Walk;
use crate::analyze::Reason;
use crate::diag::escape;
use crate::rootfs::{Resolved, RootError};

/// A locale by the path of its directory.
pub(in crate::analyze::needs) struct Locale {
    path: Vec<u8>,
    directory: Resolved,
}

/// `None` when one that is named is not there.
pub(super) fn find(walk: &Walk<'_>, paths: &[Vec<u8>]) -> Result<Option<Vec<Locale>>, RootError> {
    let mut names = super::values(walk, "locale");
    if names.is_empty() {
        names.push("C.utf8");
    }
    let mut out = Vec::new();
    for name in names {
        let mut found = None;
        for directory in paths {
            for spelled in spellings(name) {
                let path = [directory.as_slice(), b"/", spelled.as_bytes()].concat();
                if found.is_none() {
                    found = walk.directory(&path)?.map(|directory| Locale { path, directory });
                }
            }
        }
        let Some(found) = found else { return Ok(None) };
        out.push(found);
    }
    Ok(Some(out))
}

/// The locales of the root; those of an archive are named by the archive.
pub(super) fn there(walk: &Walk<'_>, paths: &[Vec<u8>]) -> Result<Vec<String>, RootError> {
    let mut out = Vec::new();
    for path in paths {
        let Some(directory) = walk.directory(path)? else { continue };
        match walk.root().read_dir(&directory.path) {
            Ok(names) => out.extend(names.iter().map(|name| escape(name))),
            Err(error) if error.hides() => {}
            Err(error) => return Err(error),
        }
    }
    out.sort();
    Ok(out)
}

/// A name as users write it and as glibc names directories (`_nl_normalize_codeset`: lower case, without punctuation).
fn spellings(name: &str) -> Vec<String> {
    let mut out = vec![name.to_owned()];
    if let Some((language, rest)) = name.split_once('.') {
        let (codeset, modifier) = rest.split_once('@').map_or((rest, None), |(codeset, at)| (codeset, Some(at)));
        let plain: String = codeset.chars().filter(char::is_ascii_alphanumeric).collect();
        let modifier = modifier.map(|at| format!("@{at}")).unwrap_or_default();
        out.push(format!("{language}.{}{modifier}", plain.to_ascii_lowercase()));
    }
    out
}

pub(super) fn take(walk: &mut Walk<'_>, locales: &[Locale], reason: &Reason) -> Result<Taken, RootError> {
    let mut out = Taken::default();
    for locale in locales {
        let wish = Wish { only: None, except: &[] };
        let taken = walk.tree(&locale.directory, &wish, reason)?;
        out.files.push(escape(&locale.path));
        out.size += taken.size;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_as_glibc_does() {
        assert_eq!(spellings("de_DE.UTF-8"), ["de_DE.UTF-8", "de_DE.utf8"]);
        assert_eq!(spellings("ca_ES.ISO-8859-15@euro")[1], "ca_ES.iso885915@euro");
        assert_eq!(spellings("C"), ["C"]);
    }
}
