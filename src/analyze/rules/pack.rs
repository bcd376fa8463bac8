//! The YAML of a rule pack. `docs/rules.md` describes it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::PackError;
use crate::analyze::{Confidence, Level};
use crate::limits;

/// The format that is read.
pub(super) const FORMAT: u32 = 1;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PackFile {
    pub format: u32,
    pub version: u32,
    #[serde(rename = "about")]
    _about: String,
    #[serde(default)]
    pub captures: BTreeMap<String, CaptureFile>,
    pub rules: Vec<RuleFile>,
}

/// A text that stands behind a mark.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaptureFile {
    /// The mark.
    pub after: String,
    /// The character that ends the text; a NUL ends it in any case.
    pub until: Option<char>,
    /// Globs of which the text must match one; none takes all.
    #[serde(default)]
    pub like: Vec<String>,
    /// Globs of which it must match none.
    #[serde(default)]
    pub except: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleFile {
    pub id: String,
    pub about: String,
    pub libc: Option<LibcFile>,
    pub linkage: Option<LinkageFile>,
    /// Alternatives: one must hold on a member.
    pub when: Vec<ConditionFile>,
    /// None may hold on that member.
    #[serde(default)]
    pub unless: Vec<ConditionFile>,
    /// Alternatives: one must hold on some member.
    #[serde(default)]
    pub closure: Vec<ConditionFile>,
    /// None may hold on any member.
    #[serde(default)]
    pub closure_unless: Vec<ConditionFile>,
    /// A variable: its values are taken one after the other, each with needs of its own.
    pub each: Option<String>,
    /// Its wants are left out where another rule names the same path.
    #[serde(default)]
    pub fallback: bool,
    pub needs: Vec<NeedFile>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ConditionFile {
    pub of: Of,
    pub language: Option<LanguageFile>,
    pub imports: Vec<String>,
    pub soname: Vec<String>,
    pub except_soname: Vec<String>,
    pub strings: Vec<String>,
    pub all_strings: Vec<String>,
    pub captures: Vec<String>,
    pub paths: BTreeMap<String, GlobsFile>,
    pub libraries: BTreeMap<String, GlobsFile>,
    pub notes: Option<PriorityFile>,
}

/// Which members a condition looks at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Of {
    /// All but the C library.
    #[default]
    Own,
    /// The program.
    Program,
    /// All but the program and the C library.
    Library,
    /// The C library, its loader and their companions.
    Libc,
    /// All.
    Any,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GlobsFile {
    pub like: Vec<String>,
    #[serde(default)]
    pub except: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NeedFile {
    pub file: Option<Vec<String>>,
    pub files: Option<Vec<String>>,
    pub tree: Option<Vec<String>>,
    #[serde(default)]
    pub only: Vec<String>,
    pub library: Option<Vec<String>>,
    pub program: Option<Vec<String>>,
    pub generated: Option<GeneratedFile>,
    #[serde(default)]
    pub at: Vec<String>,
    pub at_run_time: Option<Vec<String>>,
    pub writable: Option<Vec<String>>,
    pub level: LevelFile,
    pub confidence: ConfidenceFile,
    pub feature: Option<String>,
    pub about: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum GeneratedFile {
    Nsswitch,
    Passwd,
    CaBundle,
    Zoneinfo,
    Locale,
    Gconv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum LibcFile {
    Glibc,
    Musl,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum LinkageFile {
    Static,
    Dynamic,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum LanguageFile {
    Go,
    Rust,
    Zig,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum PriorityFile {
    Required,
    Recommended,
    Suggested,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum LevelFile {
    Required,
    Recommended,
    Optional,
}

impl From<LevelFile> for Level {
    fn from(level: LevelFile) -> Self {
        match level {
            LevelFile::Required => Self::Required,
            LevelFile::Recommended => Self::Recommended,
            LevelFile::Optional => Self::Optional,
        }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ConfidenceFile {
    Declared,
    Derived,
    Hinted,
}

impl From<ConfidenceFile> for Confidence {
    fn from(confidence: ConfidenceFile) -> Self {
        match confidence {
            ConfidenceFile::Declared => Self::Declared,
            ConfidenceFile::Derived => Self::Derived,
            ConfidenceFile::Hinted => Self::Hinted,
        }
    }
}

/// Reads a pack.
pub(super) fn read(pack: &str, text: &str) -> Result<PackFile, PackError> {
    let limit = limits::MAX_RULE_PACK_BYTES;
    if text.len() > limit {
        return Err(PackError::TooLarge { pack: pack.to_owned(), size: text.len(), limit });
    }
    let file: PackFile = serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
        let error = error.without_snippet();
        let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
        let shown = error.to_string();
        let place = format!(" at line {line}, column {column}");
        let reason = shown.strip_suffix(&place).unwrap_or(&shown).to_owned();
        PackError::Syntax { pack: pack.to_owned(), line, column, reason }
    })?;
    if file.format != FORMAT {
        return Err(PackError::Format { pack: pack.to_owned(), format: file.format, known: FORMAT });
    }
    Ok(file)
}

/// Bounds of a hostile pack: depth, nodes, and what aliases grow to.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: limits::MAX_RULE_PACK_DEPTH,
            flow_nesting_limit: limits::MAX_RULE_PACK_DEPTH,
            max_nodes: limits::MAX_RULE_PACK_NODES,
            max_events: 4 * limits::MAX_RULE_PACK_NODES,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: limits::MAX_RULE_PACK_NODES,
        },
        strict_booleans: true,
        with_snippet: false,
    }
}
