//! Why a `coracle.yaml` cannot be used.

use std::path::PathBuf;

/// Errors of reading a config file. Every variant names the file, and the place in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read `{}`", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// Larger than [`crate::limits::MAX_CONFIG_FILE_BYTES`].
    #[error("`{}` has {size} bytes, more than the limit of {limit}", file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// The bound in bytes.
        limit: u64,
    },
    /// Not YAML, or a value of the wrong type.
    #[error("`{}` line {line}, column {column}: {reason}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// The parser's own words.
        reason: String,
    },
    /// A key that does not exist.
    #[error("`{}` line {line}, column {column}: unknown key `{key}`; {hint}", file.display())]
    UnknownKey {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// The key, escaped.
        key: String,
        /// The nearest key, or all of them.
        hint: String,
    },
    /// A text that names no need.
    #[error("`{}`, `{key}`: {reason}", file.display())]
    Need {
        /// The file.
        file: PathBuf,
        /// Where in the file, for example `with[0]`.
        key: String,
        /// Why not.
        reason: crate::analyze::needs::SelectorError,
    },
    /// A value that the planner does not take.
    #[error("`{}`, `{key}`: {reason}", file.display())]
    Value {
        /// The file.
        file: PathBuf,
        /// Where in the file, for example `add[0].mode`.
        key: String,
        /// What is wrong with it. Part of the message, and so no source of the error.
        reason: Box<crate::plan::Error>,
    },
    /// A value that is not a reference or platform.
    #[error("`{}`, `{key}`: {reason}", file.display())]
    Name {
        /// The file.
        file: PathBuf,
        /// Where in the file.
        key: String,
        /// What is wrong with it.
        reason: crate::oci::Error,
    },
    /// A path that leaves the file's directory. A config file is not trusted more than its directory; a flag is.
    #[error("`{}`, `{key}`: `{path}` {reason}; a config file names only what lies in its own directory", file.display())]
    Outside {
        /// The file.
        file: PathBuf,
        /// Where in the file.
        key: String,
        /// The path as written, escaped.
        path: String,
        /// How it leaves.
        reason: &'static str,
    },
    /// A program or addition that is not described fully or twice.
    #[error("`{}`, `{key}`: {reason}", file.display())]
    Incomplete {
        /// The file.
        file: PathBuf,
        /// Where in the file.
        key: String,
        /// What is missing.
        reason: &'static str,
    },
    /// An output that only a flag can name.
    #[error("`{}`, `{key}`: `{output}` is neither `oci:DIR` nor `archive:FILE`; other outputs are named by `--output`", file.display())]
    Output {
        /// The file.
        file: PathBuf,
        /// Where in the file.
        key: String,
        /// The output as written, escaped.
        output: String,
    },
}
