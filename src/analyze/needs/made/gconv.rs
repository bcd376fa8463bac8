//! Converters between character sets: glibc's list of them, and the modules of the sets that are wanted.

use std::collections::BTreeSet;

use super::super::meet::Taken;
use super::super::walk::Walk;
use crate::analyze::Reason;
use crate::diag::escape;
use crate::limits;
use crate::rootfs::{Resolved, Root, RootError, read_whole};

/// The list as `iconvconfig` compiles it, as it is written, and its parts.
const LISTS: [&[u8]; 2] = [b"gconv-modules.cache", b"gconv-modules"];
const PARTS: &[u8] = b"gconv-modules.d";

/// A directory of converters and what is wanted of it.
pub(in crate::analyze::needs) struct Converters {
    directory: Vec<u8>,
    top: Resolved,
    /// File names of modules; `None` for all.
    modules: Option<BTreeSet<Vec<u8>>>,
}

/// `None` when there are no converters, or none for a set that is named.
pub(super) fn find(walk: &Walk<'_>, at: usize, paths: &[Vec<u8>]) -> Result<Option<Converters>, RootError> {
    if walk.live[at].closure.is_none() {
        // A static program loads them with a loader of its own, if it finds the library of its very version.
        return Ok(None);
    }
    for path in paths {
        let Some(top) = walk.directory(path)? else { continue };
        let text = lists(walk, path)?;
        let wanted = super::values(walk, "gconv");
        let modules = if wanted.is_empty() { None } else { modules_of(&text, &wanted) };
        if modules.is_none() && !wanted.is_empty() {
            return Ok(None);
        }
        return Ok(Some(Converters { directory: path.clone(), top, modules }));
    }
    Ok(None)
}

/// The text of all lists.
fn lists(walk: &Walk<'_>, directory: &[u8]) -> Result<Vec<u8>, RootError> {
    let root = walk.root();
    let mut paths = vec![[directory, b"/gconv-modules"].concat()];
    if let Some(parts) = walk.directory(&[directory, b"/", PARTS].concat())? {
        for name in names(root, &parts)? {
            paths.push([directory, b"/", PARTS, b"/", &name].concat());
        }
    }
    let mut text = Vec::new();
    for path in paths {
        // As glibc does, what is no list or may not be read is passed over.
        let Some((_, found)) = walk.file(&path)? else { continue };
        match read_whole(root, &found.path, limits::MAX_GCONV_LIST_BYTES.saturating_sub(text.len() as u64)) {
            Ok(list) => text.extend(list),
            Err(RootError::TooLarge { .. } | RootError::NotRegular(_)) => {}
            Err(error) if error.hides() => {}
            Err(error) => return Err(error),
        }
        text.push(b'\n');
        if text.len() as u64 >= limits::MAX_GCONV_LIST_BYTES {
            break;
        }
    }
    Ok(text)
}

/// The names in a directory; none when it may not be read.
fn names(root: &dyn Root, directory: &Resolved) -> Result<Vec<Vec<u8>>, RootError> {
    match root.read_dir(&directory.path) {
        Err(error) if error.hides() => Ok(Vec::new()),
        other => other,
    }
}

/// The modules for some sets: `alias FROM// TO//` and `module FROM// INTERNAL MODULE COST` lines (glibc iconv/gconv_conf.c).
/// `None` when a set has no module.
fn modules_of(text: &[u8], wanted: &[&str]) -> Option<BTreeSet<Vec<u8>>> {
    let set = |name: &str| {
        let name = name.trim_end_matches('/').to_ascii_uppercase();
        format!("{name}//").into_bytes()
    };
    let lines: Vec<Vec<&[u8]>> = text
        .split(|b| *b == b'\n')
        .map(|line| line.split(|b| *b == b'#').next().unwrap_or_default())
        .map(|line| line.split(|b| b.is_ascii_whitespace()).filter(|word| !word.is_empty()).collect())
        .collect();
    let mut out = BTreeSet::new();
    for name in wanted {
        let mut asked = set(name);
        if let Some(to) = lines.iter().find_map(|line| match line[..] {
            [b"alias", from, to, ..] if from == asked => Some(to.to_vec()),
            _ => None,
        }) {
            asked = to;
        }
        let modules: Vec<Vec<u8>> = lines
            .iter()
            .filter_map(|line| match line[..] {
                [b"module", from, to, module, ..] if from == asked || to == asked => Some([module, b".so"].concat()),
                _ => None,
            })
            .collect();
        if modules.is_empty() {
            return None;
        }
        out.extend(modules);
    }
    Some(out)
}

pub(super) fn take(
    walk: &mut Walk<'_>,
    at: usize,
    converters: &Converters,
    reason: &Reason,
) -> Result<Taken, RootError> {
    let root = walk.root();
    let mut out = Taken { files: vec![escape(&converters.directory)], size: 0 };
    let before = walk.files.size();
    let join = |name: &[u8]| [converters.directory.as_slice(), b"/", name].concat();
    let mut lists: Vec<Vec<u8>> = LISTS.map(join).to_vec();
    if let Some(parts) = walk.directory(&join(PARTS))? {
        let below = |name: Vec<u8>| [join(PARTS).as_slice(), b"/", &name].concat();
        lists.extend(names(root, &parts)?.into_iter().map(below));
    }
    for list in lists {
        if let Some((_, found)) = walk.file(&list)? {
            walk.files.take_resolved(root, &found, reason)?;
        }
    }
    for name in names(root, &converters.top)? {
        let wanted = converters.modules.as_ref().is_none_or(|modules| modules.contains(&name));
        if !name.ends_with(b".so") || !wanted {
            continue;
        }
        let path = join(&name);
        let Some((_, found)) = walk.file(&path)? else { continue };
        walk.files.take_resolved(root, &found, reason)?;
        // A converter has libraries of its own beside it.
        walk.dlopen(at, 0, &path, reason, "a converter between character sets")?;
    }
    out.size = walk.files.size() - before;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_of_sets_and_their_aliases() {
        let text = b"# comment\nalias ISO8859-1// ISO-8859-1//\nmodule\tISO-8859-1//\tINTERNAL\tISO8859-1\t1\n\
            module INTERNAL ISO-8859-1// ISO8859-1 1\nmodule SJIS// INTERNAL SJIS 1\n";
        let names = |wanted: &[&str]| modules_of(text, wanted).map(|set| set.into_iter().collect::<Vec<_>>());
        assert_eq!(names(&["iso8859-1"]), Some(vec![b"ISO8859-1.so".to_vec()]));
        assert_eq!(names(&["SJIS", "ISO-8859-1"]).unwrap().len(), 2);
        assert_eq!(names(&["KOI8-R"]), None);
    }
}
