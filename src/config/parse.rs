//! From the bytes of a file to its keys.

use std::io::Read;
use std::path::Path;

use super::{Error, File};
use crate::{diag, limits};

/// Reads and parses a config file.
///
/// # Errors
/// [`Error::Read`], [`Error::TooLarge`], [`Error::Syntax`] and [`Error::UnknownKey`].
pub fn load(path: &Path) -> Result<File, Error> {
    let fail = |source| Error::Read { file: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(fail)?;
    let mut bytes = Vec::new();
    file.take(limits::MAX_CONFIG_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(fail)?;
    parse(&bytes, path)
}

/// Parses the bytes of a config file; `path` is for messages. An empty file has all defaults.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::Syntax`] and [`Error::UnknownKey`].
pub fn parse(bytes: &[u8], path: &Path) -> Result<File, Error> {
    if bytes.len() as u64 > limits::MAX_CONFIG_FILE_BYTES {
        return Err(Error::TooLarge {
            file: path.to_owned(),
            size: bytes.len() as u64,
            limit: limits::MAX_CONFIG_FILE_BYTES,
        });
    }
    let file: Option<File> =
        serde_saphyr::from_slice_with_options(bytes, options()).map_err(|error| explain(&error, path))?;
    Ok(file.unwrap_or_default())
}

/// Bounds of a hostile file: depth, nodes, anchors and what aliases grow to.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: limits::MAX_CONFIG_FILE_DEPTH,
            flow_nesting_limit: limits::MAX_CONFIG_FILE_DEPTH,
            max_nodes: limits::MAX_CONFIG_FILE_NODES,
            max_events: 4 * limits::MAX_CONFIG_FILE_NODES,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: limits::MAX_CONFIG_FILE_NODES,
        },
        strict_booleans: true,
        with_snippet: false,
    }
}

fn explain(error: &serde_saphyr::Error, path: &Path) -> Error {
    let error = error.without_snippet();
    let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
    let file = path.to_owned();
    if let serde_saphyr::Error::SerdeUnknownField { field, expected, .. } = error {
        return Error::UnknownKey {
            file,
            line,
            column,
            key: diag::escape(field.as_bytes()),
            hint: hint(field, expected),
        };
    }
    Error::Syntax { file, line, column, reason: reason(error, line, column) }
}

/// The parser's words, or plainer ones where it speaks of its own interface.
fn reason(error: &serde_saphyr::Error, line: u64, column: u64) -> String {
    use serde_saphyr::Error as E;
    match error {
        E::AliasError { error, .. } => reason(error, line, column),
        E::DuplicateMappingKey { key: Some(key), .. } => {
            format!("the key `{}` stands there twice", diag::escape(key.as_bytes()))
        }
        E::Budget { breach: serde_saphyr::budget::BudgetBreach::Documents { .. }, .. } => {
            "there is more than one document".to_owned()
        }
        E::Budget { .. } | E::AliasReplayLimitExceeded { .. } | E::AliasReplayStackDepthExceeded { .. } => {
            "it is deeper, or with its aliases longer, than a config file may be".to_owned()
        }
        E::InvalidBooleanStrict { .. } => "expected `true` or `false`".to_owned(),
        E::Unexpected { expected: "mapping start", .. } => "expected a table of `key: value`".to_owned(),
        E::Unexpected { expected: "sequence start", .. } => "expected a list".to_owned(),
        E::Unexpected { expected: "string scalar", .. } => "expected a text".to_owned(),
        E::InvalidScalar { ty: "u32", .. } => "expected a number from 0 to 4294967294".to_owned(),
        other => {
            let text = other.to_string();
            let place = format!(" at line {line}, column {column}");
            text.strip_suffix(&place).unwrap_or(&text).to_owned()
        }
    }
}

/// The nearest key when one is near enough to be a slip, else all keys.
fn hint(key: &str, expected: &[&str]) -> String {
    let distance = |known: &&&str| strsim::damerau_levenshtein(known, &key.to_ascii_lowercase().replace('-', "_"));
    let nearest = expected.iter().min_by_key(distance).filter(|known| distance(known) <= known.len().div_ceil(3));
    match nearest {
        Some(known) => format!("did you mean `{known}`?"),
        None => {
            format!("the keys here are {}", expected.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", "))
        }
    }
}
