//! Exchanges for people who look for what goes wrong: one block each, no body, no secret.
//!
//! *Invariant:* a header's value is shown only when its name is known to be harmless; everything else is named alone.

use std::fmt::Write as _;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use url::Url;

use super::client::Request;
use crate::limits;
use crate::oci::{RedactedUrl, Secret};

/// Names whose values are shown as they are.
const SHOWN: [&str; 32] = [
    "accept",
    "accept-ranges",
    "age",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "docker-content-digest",
    "docker-distribution-api-version",
    "etag",
    "if-match",
    "if-none-match",
    "oci-chunk-min-length",
    "oci-filters-applied",
    "oci-subject",
    "oci-tag",
    "range",
    "ratelimit-limit",
    "ratelimit-remaining",
    "retry-after",
    "server",
    "transfer-encoding",
    "user-agent",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
];

/// How an exchange ended, and after which time.
pub(super) struct Ended<'a> {
    pub(super) number: u64,
    pub(super) proxy: Option<&'a RedactedUrl>,
    pub(super) took: Duration,
    pub(super) outcome: Result<&'a reqwest::Response, String>,
}

/// The block.
pub(super) fn block(request: &Request, url: &Url, authorization: Option<&Secret>, ended: &Ended<'_>) -> String {
    let mut out = format!("[{}] {} {}", ended.number, request.method, RedactedUrl::new(url.clone()));
    // Writing to a string cannot fail.
    if let Some(proxy) = ended.proxy {
        let _ = write!(out, " by way of {proxy}");
    }
    out.push('\n');
    headers(&mut out, '>', url, &request.headers);
    if let Some(value) = authorization {
        let scheme = value.expose().split(' ').next().unwrap_or_default();
        let scheme = if ["Basic", "Bearer"].contains(&scheme) { scheme } else { "?" };
        let _ = writeln!(out, "  > authorization: {scheme} [redacted]");
    }
    if !request.body.is_empty() {
        let _ = writeln!(out, "  > {} bytes", request.body.len());
    }
    let milliseconds = ended.took.as_millis();
    match &ended.outcome {
        Ok(response) => {
            let _ = writeln!(out, "  < {} after {milliseconds} ms", response.status());
            headers(&mut out, '<', url, response.headers());
        }
        Err(error) => {
            let _ = writeln!(out, "  < no answer after {milliseconds} ms: {error}");
        }
    }
    out.pop();
    out
}

fn headers(out: &mut String, direction: char, base: &Url, headers: &HeaderMap) {
    for (name, value) in headers.iter().take(limits::MAX_TRACED_HEADERS) {
        let _ = writeln!(out, "  {direction} {name}: {}", shown(name.as_str(), value, base));
    }
}

fn shown(name: &str, value: &HeaderValue, base: &Url) -> String {
    const HIDDEN: &str = "[redacted]";
    let Ok(text) = value.to_str() else { return HIDDEN.to_owned() };
    if name == "location" || name == "link" {
        // Links of storage are signed: their queries are keys.
        let target = text.split(['<', '>']).find(|part| !part.is_empty()).unwrap_or_default();
        return base.join(target).map_or_else(|_| HIDDEN.to_owned(), |url| RedactedUrl::new(url).to_string());
    }
    if !SHOWN.contains(&name) || value.is_sensitive() {
        return HIDDEN.to_owned();
    }
    crate::diag::printable(text).chars().take(limits::MAX_WARNING_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::Method;

    #[test]
    fn what_is_not_known_to_be_harmless_is_named_alone() {
        let url = Url::parse("https://u:secret@r.example/v2/a?digest=sha256:x&sig=secret").unwrap();
        let mut request = Request::new(Method::PUT, url.clone());
        for (name, value) in [
            ("content-type", "a/b"),
            ("cookie", "secret"),
            ("x-amz-security-token", "secret"),
            ("location", "https://store.example/x?X-Amz-Signature=secret"),
        ] {
            request.headers.insert(name, value.parse().unwrap());
        }
        let secret = Secret::new("Bearer secret".to_owned());
        let proxy = RedactedUrl::new(Url::parse("http://p:secret@proxy.example:3128").unwrap());
        let ended = Ended {
            number: 3,
            proxy: Some(&proxy),
            took: Duration::from_millis(5),
            outcome: Err("the connection was closed".to_owned()),
        };
        let text = block(&request, &url, Some(&secret), &ended);
        assert!(!text.contains("secret"), "{text}");
        for part in [
            "[3] PUT https://r.example/v2/a?digest=sha256:x&sig=REDACTED by way of http://proxy.example:3128/",
            "> content-type: a/b",
            "> cookie: [redacted]",
            "> authorization: Bearer [redacted]",
            "location: https://store.example/x?X-Amz-Signature=REDACTED",
            "< no answer after 5 ms: the connection was closed",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert!(SHOWN.is_sorted());
    }
}
