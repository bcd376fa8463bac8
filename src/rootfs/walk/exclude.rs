//! Patterns for paths that stay out.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};

use super::Error;
use crate::limits;

/// Patterns of paths that stay out, matched against the path below the added directory.
///
/// As in `.gitignore`: `*` and `?` stop at `/`, `**` crosses it, `[…]` and `{a,b}` choose, `\` escapes. A pattern
/// without `/` matches a name at any depth, one with `/` (not at its end) the whole path, and one with `/` at its end
/// only directories. A directory that matches stays out with everything in it.
#[derive(Debug, Clone, Default)]
pub struct Excludes {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone)]
struct Pattern {
    matcher: GlobMatcher,
    directories_only: bool,
}

impl Excludes {
    /// Parses patterns.
    ///
    /// # Errors
    /// [`Error::Pattern`] and [`Error::TooManyPatterns`].
    pub fn parse<S: AsRef<str>>(patterns: &[S]) -> Result<Self, Error> {
        if patterns.len() > limits::MAX_EXCLUDES {
            return Err(Error::TooManyPatterns { count: patterns.len(), limit: limits::MAX_EXCLUDES });
        }
        let patterns = patterns.iter().map(|text| Pattern::parse(text.as_ref())).collect::<Result<_, _>>()?;
        Ok(Self { patterns })
    }

    /// The index of the first pattern that keeps `path` out.
    #[must_use]
    pub fn matching(&self, path: &[u8], directory: bool) -> Option<usize> {
        let path = Path::new(OsStr::from_bytes(path));
        self.patterns.iter().position(|p| (directory || !p.directories_only) && p.matcher.is_match(path))
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |reason: String| Error::Pattern { pattern: text.to_owned(), reason };
        if text.len() > limits::MAX_PATH_BYTES {
            return Err(refuse("it is longer than 4096 bytes".to_owned()));
        }
        let body = text.trim_end_matches('/');
        let glob = match body.strip_prefix('/') {
            Some(anchored) => anchored.to_owned(),
            None if body.contains('/') => body.to_owned(),
            None => format!("**/{body}"),
        };
        if body.trim_start_matches('/').is_empty() {
            return Err(refuse("it is empty".to_owned()));
        }
        let glob = GlobBuilder::new(&glob)
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map_err(|e| refuse(e.kind().to_string()))?;
        Ok(Self { matcher: glob.compile_matcher(), directories_only: text.len() > body.len() })
    }
}
