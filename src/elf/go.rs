//! Go build information (`runtime/debug.BuildInfo`), found with or without section headers.

use std::collections::BTreeMap;

use serde::Serialize;

use super::header::Layout;
use super::sections::Sections;
use super::segments::{Segments, variables_first};
use crate::limits::MAX_GO_BUILD_INFO_BYTES;

const MAGIC: &[u8] = b"\xff Go buildinf:";
/// The magic is aligned to this.
const ALIGN: u64 = 16;
/// Fixed part in front of the strings.
const HEADER: usize = 32;

/// What the Go linker wrote about a build.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, schemars::JsonSchema)]
pub struct GoBuild {
    /// Version of the toolchain, for example `go1.26.8`.
    pub version: String,
    /// Import path of the main package.
    pub path: Option<String>,
    /// Main module.
    pub main: Option<GoModule>,
    /// Modules that were linked, in the order of the file (sorted by the toolchain).
    pub dependencies: Vec<GoModule>,
    /// Settings, for example `GOARCH`, `CGO_ENABLED`, `vcs.revision`.
    pub settings: BTreeMap<String, String>,
}

/// One module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct GoModule {
    /// Module path.
    pub path: String,
    /// Version, `(devel)` for a work tree.
    pub version: String,
    /// `h1:` hash of the content, where there is one.
    pub sum: Option<String>,
}

pub(super) fn parse(segments: &Segments<'_>, sections: &Sections<'_>, layout: Layout) -> Option<GoBuild> {
    let offset = match sections.named(b".go.buildinfo") {
        Some(section) => section.offset,
        None => segments.search(&[MAGIC], variables_first).into_iter().flatten().find(|at| at % ALIGN == 0)?,
    };
    let bytes = segments.bytes();
    let head = bytes.read_at(offset, HEADER)?;
    if !head.starts_with(MAGIC) {
        return None;
    }
    let (version, modules) = match head.get(15)? {
        flags if flags & 2 != 0 => {
            let mut at = offset.checked_add(HEADER as u64)?;
            (inline(segments, &mut at)?, inline(segments, &mut at).unwrap_or_default())
        }
        // Before Go 1.18: two pointers to string headers.
        _ => (pointed(segments, layout, &head, 0)?, pointed(segments, layout, &head, 1).unwrap_or_default()),
    };
    if version.is_empty() {
        return None;
    }
    let mut build = GoBuild { version, ..GoBuild::default() };
    modules.lines().for_each(|line| take(line, &mut build));
    Some(build)
}

/// A string with its length before it, as an unsigned LEB128 number.
fn inline(segments: &Segments<'_>, at: &mut u64) -> Option<String> {
    let head = super::bytes::up_to(segments.bytes(), *at, 10);
    let (mut len, mut used) = (0u64, 0usize);
    loop {
        let byte = *head.get(used)?;
        len |= u64::from(byte & 0x7f).checked_shl(7 * u32::try_from(used).ok()?)?;
        used += 1;
        if byte & 0x80 == 0 {
            break;
        }
    }
    if len > MAX_GO_BUILD_INFO_BYTES {
        return None;
    }
    let start = at.checked_add(used as u64)?;
    *at = start.checked_add(len)?;
    let raw = segments.bytes().read_at(start, usize::try_from(len).ok()?)?;
    Some(text(&raw))
}

fn pointed(segments: &Segments<'_>, layout: Layout, head: &[u8], index: usize) -> Option<String> {
    let width = layout.width();
    let string = layout.word(head, 16 + index * width)?;
    let raw = segments.read(string, 2 * width)?;
    let (data, len) = (layout.word(&raw, 0)?, layout.word(&raw, width)?);
    if len > MAX_GO_BUILD_INFO_BYTES {
        return None;
    }
    Some(text(&segments.read(data, usize::try_from(len).ok()?)?))
}

/// The module text stands between two marks of 16 bytes; the version does not.
fn text(raw: &[u8]) -> String {
    let inner = match raw.len().checked_sub(17) {
        Some(end) if raw.len() >= 33 && raw[end] == b'\n' => &raw[16..=end],
        _ => raw,
    };
    String::from_utf8_lossy(inner).into_owned()
}

fn take(line: &str, build: &mut GoBuild) {
    let fields: Vec<&str> = line.split('\t').collect();
    let module = || {
        Some(GoModule {
            path: (*fields.get(1)?).to_owned(),
            version: fields.get(2).map(|v| (*v).to_owned()).unwrap_or_default(),
            sum: fields.get(3).filter(|sum| !sum.is_empty()).map(|sum| (*sum).to_owned()),
        })
    };
    match fields.first().copied() {
        Some("path") => build.path = fields.get(1).map(|path| (*path).to_owned()),
        Some("mod") => build.main = module(),
        Some("dep") => build.dependencies.extend(module()),
        // A replacement stands on the line behind what it replaces, and is what was linked.
        Some("=>") => {
            if let (Some(last), Some(module)) = (build.dependencies.last_mut(), module()) {
                *last = module;
            }
        }
        Some("build") => {
            if let Some((key, value)) = fields.get(1).and_then(|setting| setting.split_once('=')) {
                build.settings.insert(unquote(key).to_owned(), unquote(value).to_owned());
            }
        }
        _ => {}
    }
}

/// Keys and values with spaces stand in quotes.
fn unquote(text: &str) -> &str {
    text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text)
}
