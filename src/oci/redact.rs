//! Types that cannot be displayed by accident.

use std::fmt;

use serde::Deserialize;
use url::Url;

/// A secret: neither `Debug` nor `Display` shows it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself; the name makes each use easy to find in review.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A URL for people: without user info and with the values of its query redacted, except the harmless `digest`,
/// `mount`, `from`, `n`, `last`, `ns`, `tag`, `artifactType`, `scope` and `service` (signed storage URLs carry credentials in their query).
#[derive(Clone, PartialEq, Eq)]
pub struct RedactedUrl(Box<Url>);

impl RedactedUrl {
    /// Wraps a URL.
    #[must_use]
    pub fn new(url: Url) -> Self {
        Self(Box::new(url))
    }

    /// The URL with everything in it, for the transport only.
    #[must_use]
    pub fn expose(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: &[&str] =
            &["digest", "mount", "from", "n", "last", "ns", "tag", "artifactType", "scope", "service"];
        let mut url = self.0.clone();
        // Both fail only on URLs that cannot have user info, which then show none.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
        let query = url.query().map(|query| {
            let show = |pair: &str| {
                let (key, _) = pair.split_once('=').unwrap_or((pair, ""));
                if pair.is_empty() || SHOWN.contains(&key) { pair.to_owned() } else { format!("{key}=REDACTED") }
            };
            query.split('&').map(show).collect::<Vec<_>>().join("&")
        });
        url.set_query(query.as_deref());
        write!(f, "{url}")
    }
}

impl fmt::Debug for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text for people in which URLs of any form may stand, without their user info.
#[must_use]
pub fn without_user_info(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, authority) = rest.split_at(at + "://".len());
        out.push_str(before);
        let end = authority.find(['/', '?', '#', '`', '"', '\'', '<', '>']).unwrap_or(authority.len());
        match authority[..end].rfind('@') {
            Some(at) => {
                out.push_str("[redacted]");
                rest = &authority[at..];
            }
            None => rest = authority,
        }
    }
    out + rest
}

/// An error with its causes in one line, without what stands before the host of a URL.
#[must_use]
pub fn in_one_line(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    without_user_info(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_info_of_any_text() {
        for (text, want) in [
            ("no URL", "no URL"),
            ("`http://u:p@h/x` is none", "`http://[redacted]@h/x` is none"),
            ("https://u:p@ss w@h:5000", "https://[redacted]@h:5000"),
            ("http://h/x@y and oci://t@z", "http://h/x@y and oci://[redacted]@z"),
            ("http://h http://", "http://h http://"),
            ("ü://é@ö", "ü://[redacted]@ö"),
        ] {
            assert_eq!(without_user_info(text), want);
        }
    }

    #[test]
    fn never_shows_a_secret() {
        let url = Url::parse("https://user:hunter2@r.example/v2/x?X-Amz-Signature=abc&digest=sha256:1#f").unwrap();
        let text = format!("{} {:?}", RedactedUrl::new(url.clone()), RedactedUrl::new(url));
        assert!(!text.contains("hunter2") && !text.contains("abc") && !text.contains("user"), "{text}");
        assert!(text.contains("digest=sha256"), "{text}");
        let secret = Secret::new("hunter2".into());
        assert!(!format!("{secret} {secret:?}").contains("hunter2"));
    }
}
