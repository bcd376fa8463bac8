//! What the user decides about needs: `--with`, `--without`, `--strict`.

use std::fmt;
use std::str::FromStr;

/// Which needs go into the image beyond those that do by themselves, and which stay out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// Needs to include.
    pub with: Vec<Selector>,
    /// Needs to leave out, required ones too.
    pub without: Vec<Selector>,
    /// Whether a required need that cannot be met, or that is left out, is an error.
    pub strict: bool,
    /// Certificates (PEM) that take the place of the root's.
    pub ca_bundle: Option<Vec<u8>>,
}

/// Names needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    /// All needs of a feature, for example `certs`, `tzdata`, `locale=de_DE.UTF-8`.
    Feature {
        /// Name of the feature.
        name: String,
        /// What of it.
        value: Option<String>,
    },
    /// A file or directory of the root.
    File(String),
    /// A library by the name that `dlopen` would be given.
    Library(String),
    /// A program by its path or name, with all that it needs.
    Program(String),
    /// A link that a package's script would have made.
    Link {
        /// Where the link lies.
        link: String,
        /// Where it leads.
        target: String,
    },
}

impl Selector {
    /// Whether it names this feature, or this value of it.
    #[must_use]
    pub fn is_feature(&self, feature: &str) -> bool {
        match self {
            Self::Feature { name, value: None } => name == feature,
            Self::Feature { name, value: Some(value) } => {
                feature.split_once('=').map_or(name == feature, |(own, of)| own == name && of == value)
            }
            _ => false,
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Feature { name, value: None } => f.write_str(name),
            Self::Feature { name, value: Some(value) } => write!(f, "{name}={value}"),
            Self::File(path) => write!(f, "file:{path}"),
            Self::Library(name) => write!(f, "lib:{name}"),
            Self::Program(name) => write!(f, "program:{name}"),
            Self::Link { link, target } => write!(f, "link:{link}={target}"),
        }
    }
}

/// Not a selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` does not name a need: {reason}")]
pub struct SelectorError {
    /// The refused text.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let refuse = |reason| Err(SelectorError { text: text.to_owned(), reason });
        let absolute = |path: &str| path.starts_with('/') && path.len() > 1;
        match text.split_once(':') {
            Some(("file", path)) if absolute(path) => Ok(Self::File(path.to_owned())),
            Some(("file", _)) => refuse("expected `file:` and an absolute path of the root"),
            Some(("lib", name)) if !name.is_empty() => Ok(Self::Library(name.to_owned())),
            Some(("lib", _)) => refuse("expected `lib:` and a library's name, for example `lib:libfoo.so.1`"),
            Some(("program", name)) if absolute(name) || !name.is_empty() && !name.contains('/') => {
                Ok(Self::Program(name.to_owned()))
            }
            Some(("program", _)) => refuse("expected `program:` and an absolute path of the root, or a name"),
            Some(("link", rest)) => match rest.split_once('=') {
                Some((link, target)) if absolute(link) && !target.is_empty() => {
                    Ok(Self::Link { link: link.to_owned(), target: target.to_owned() })
                }
                _ => refuse("expected `link:/path/of/the/link=target`"),
            },
            _ => feature(text),
        }
    }
}

fn feature(text: &str) -> Result<Selector, SelectorError> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let known = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !known || value.is_some_and(str::is_empty) {
        let reason =
            "expected a feature such as `certs` or `locale=de_DE.UTF-8`, or `file:`, `lib:`, `program:`, `link:`";
        return Err(SelectorError { text: text.to_owned(), reason });
    }
    Ok(Selector::Feature { name: name.to_owned(), value: value.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_selector_reads_back() {
        for text in [
            "certs",
            "locale=de_DE.UTF-8",
            "file:/etc/services",
            "lib:libidn2.so.0",
            "program:/bin/sh",
            "program:sh",
            "link:/usr/lib/libblas.so.3=/usr/lib/blas/libblas.so.3",
        ] {
            assert_eq!(text.parse::<Selector>().unwrap().to_string(), text);
        }
        for text in
            ["", "Certs", "locale=", "file:etc", "file:", "file:/", "lib:", "program:a/b", "link:/a", "link:a=b"]
        {
            assert!(text.parse::<Selector>().is_err(), "{text}");
        }
    }
}
