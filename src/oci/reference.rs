//! Image references: `[host[:port]/]repository[:tag][@digest]`.
//!
//! The grammar is that of the distribution-spec ("Pulling manifests") with Docker's rules for short names: without a
//! host the registry is `docker.io`, and a single component there lives below `library/`. IPv6 hosts stand in brackets.

use std::fmt;
use std::str::FromStr;

use super::digest::shorten;
use super::{Digest, Error};
use crate::limits;

/// The registry of a reference that names no host.
const DEFAULT_REGISTRY: &str = "docker.io";

/// A tag: at most 128 characters of `[A-Za-z0-9_][A-Za-z0-9._-]*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    /// The tag `latest`.
    #[must_use]
    pub fn latest() -> Self {
        Self("latest".to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Tag {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |reason| Error::Tag { text: shorten(text), reason };
        match text.bytes().next() {
            None => return Err(refuse("it is empty")),
            Some(b'.' | b'-') => return Err(refuse("it starts with `.` or `-`")),
            Some(_) => {}
        }
        if text.len() > limits::MAX_TAG_BYTES {
            return Err(refuse("it is longer than 128 characters"));
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b)) {
            return Err(refuse("a character is none of letters, digits, `_`, `.`, `-`"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A place in a registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<Tag>,
    digest: Option<Digest>,
}

impl Reference {
    /// `host[:port]` as written, or `docker.io`.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository, for example `library/alpine`.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// `registry/repository`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The tag, if one is written.
    #[must_use]
    pub const fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    /// The digest, if one is written.
    #[must_use]
    pub const fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same repository under a tag, without digest.
    #[must_use]
    pub fn with_tag(&self, tag: Tag) -> Self {
        Self { tag: Some(tag), digest: None, ..self.clone() }
    }

    /// The same repository and tag, pinned to a digest.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }

    /// The same repository and tag, without digest.
    #[must_use]
    pub fn without_digest(&self) -> Self {
        Self { digest: None, ..self.clone() }
    }

    /// The tag, or `latest` when neither tag nor digest is written.
    #[must_use]
    pub fn tag_or_latest(&self) -> Option<Tag> {
        match (&self.tag, &self.digest) {
            (Some(tag), _) => Some(tag.clone()),
            (None, None) => Some(Tag::latest()),
            (None, Some(_)) => None,
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |reason| Error::Reference { text: shorten(text), reason };
        if text.is_empty() {
            return Err(refuse("it is empty"));
        }
        if text.contains("://") {
            return Err(refuse("it has a URL scheme; write `host/repository:tag` without it"));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse::<Digest>()?)),
            None => (text, None),
        };
        // A colon after the last slash begins the tag; earlier ones belong to the host's port.
        let name_start = rest.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match rest[name_start..].find(':') {
            Some(at) => (&rest[..name_start + at], Some(rest[name_start + at + 1..].parse::<Tag>()?)),
            None => (rest, None),
        };
        let (registry, repository) = split_registry(name).map_err(refuse)?;
        if repository.is_empty() {
            return Err(refuse("the repository is missing after the registry host"));
        }
        if repository.len() > limits::MAX_REPOSITORY_BYTES {
            return Err(refuse("the repository is longer than 255 characters"));
        }
        if !repository.split('/').all(is_component) {
            return Err(refuse(
                "each part of the repository is lower-case letters and digits, joined by `.`, `_`, `__` or dashes",
            ));
        }
        Ok(Self { registry, repository, tag, digest })
    }
}

/// Splits a name into registry and repository by Docker's rule: the first part is a host when it has a dot, a colon,
/// an upper-case letter, or is `localhost`.
fn split_registry(name: &str) -> Result<(String, String), &'static str> {
    let (first, rest) = name.split_once('/').map_or((name, None), |(first, rest)| (first, Some(rest)));
    let host_like = first == "localhost" || first.contains(['.', ':']) || first.bytes().any(|b| b.is_ascii_uppercase());
    match rest {
        Some(rest) if host_like => {
            check_host(first)?;
            let registry = match first {
                "index.docker.io" | "registry-1.docker.io" => DEFAULT_REGISTRY,
                other => other,
            };
            let library = registry == DEFAULT_REGISTRY && !rest.contains('/') && !rest.is_empty();
            let repository = if library { format!("library/{rest}") } else { rest.to_owned() };
            Ok((registry.to_owned(), repository))
        }
        Some(_) => Ok((DEFAULT_REGISTRY.to_owned(), name.to_owned())),
        None if first == "localhost" => Err("the repository is missing after the registry host"),
        None => Ok((DEFAULT_REGISTRY.to_owned(), format!("library/{name}"))),
    }
}

fn check_host(host: &str) -> Result<(), &'static str> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']').ok_or("the `[` of an IPv6 host is not closed")?;
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return Err("the host in brackets is not an IPv6 address");
            }
            match (after, after.strip_prefix(':')) {
                ("", _) => return Ok(()),
                (_, Some(port)) => ("v6", Some(port)),
                _ => return Err("only `:port` may follow the `]` of an IPv6 host"),
            }
        }
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    if port.is_some_and(|port| port.parse::<u16>().is_err() || port.starts_with('+')) {
        return Err("the port is not a number from 0 to 65535");
    }
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if name.split('.').all(label) { Ok(()) } else { Err("the registry host is not a host name") }
}

/// One path component: `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
fn is_component(part: &str) -> bool {
    let mut separators = 0usize;
    let mut previous = None;
    for byte in part.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' => separators = 0,
            b'-' if separators == 0 || previous == Some(b'-') => separators += 1,
            b'.' if separators == 0 => separators += 1,
            b'_' if separators == 0 || (separators == 1 && previous == Some(b'_')) => separators += 1,
            _ => return false,
        }
        if previous.is_none() && separators > 0 {
            return false;
        }
        previous = Some(byte);
    }
    previous.is_some() && separators == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, want: Result<&str, &str>) {
        match (text.parse::<Reference>(), want) {
            (Ok(got), Ok(want)) => assert_eq!(got.to_string(), want, "{text}"),
            (Err(got), Err(want)) => assert!(got.to_string().contains(want), "{text}: {got}"),
            (got, want) => panic!("{text}: got {got:?}, want {want:?}"),
        }
    }

    #[test]
    fn table() {
        let hex = "a".repeat(64);
        for (text, want) in [
            ("alpine", Ok("docker.io/library/alpine")),
            ("alpine:3", Ok("docker.io/library/alpine:3")),
            ("team/app", Ok("docker.io/team/app")),
            ("index.docker.io/alpine", Ok("docker.io/library/alpine")),
            ("localhost/app:v1", Ok("localhost/app:v1")),
            ("localhost:5000/a/b/c:v1", Ok("localhost:5000/a/b/c:v1")),
            ("[::1]:5000/x", Ok("[::1]:5000/x")),
            ("[::1]/x:t", Ok("[::1]/x:t")),
            ("ghcr.io/o/r_a__b.c--d:Tag_1.2-3", Ok("ghcr.io/o/r_a__b.c--d:Tag_1.2-3")),
            (&format!("r.io/x:t@sha256:{hex}"), Ok(&*format!("r.io/x:t@sha256:{hex}"))),
            ("", Err("empty")),
            ("r.io/", Err("repository is missing")),
            ("localhost:5000/", Err("repository is missing")),
            ("https://r.io/x", Err("URL scheme")),
            ("r.io/App", Err("lower-case")),
            ("r.io/a//b", Err("lower-case")),
            ("r.io/../b", Err("lower-case")),
            ("r.io/a___b", Err("lower-case")),
            ("r.io/a-", Err("lower-case")),
            ("r.io/a:", Err("empty")),
            ("r.io/a:-x", Err("starts with")),
            ("r.io:99999/a", Err("port")),
            ("[::g]/a", Err("IPv6")),
            ("-r.io/a", Err("host name")),
            ("r.io/a@sha256:12", Err("wrong length")),
        ] {
            check(text, want);
        }
        check(&format!("r.io/{}", "a".repeat(256)), Err("255"));
        check(&format!("r.io/a:{}", "a".repeat(129)), Err("128"));
    }
}
