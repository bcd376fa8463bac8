//! Links that a peer sends: `Location`, `Link` and realms.

use url::Url;

use super::Error;
use crate::oci::RedactedUrl;

/// Scheme, host and port: the unit within which credentials may travel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of a URL.
    #[must_use]
    pub fn of(url: &Url) -> Self {
        Self {
            scheme: url.scheme().to_owned(),
            host: url.host_str().unwrap_or_default().to_ascii_lowercase(),
            port: url.port_or_known_default().unwrap_or(0),
        }
    }
}

/// Resolves a link against the URL of the answer it stood in. A link from `https` to `http` of the same host is raised
/// to `https`, because registries behind a TLS proxy often do not know that they are; to another host it is refused.
///
/// # Errors
/// [`Error::Link`] when it is no `http` or `https` URL, [`Error::Downgrade`] when it leaves `https` for another host.
pub fn resolve_link(base: &Url, link: &str) -> Result<Url, Error> {
    let fail = |reason| Error::Link { url: RedactedUrl::new(base.clone()), reason };
    let mut url = base.join(link).map_err(|_| fail("it is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(fail("its scheme is neither http nor https"));
    }
    if url.host().is_none() {
        return Err(fail("it has no host"));
    }
    // User info in a link would become credentials that nobody gave.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    if base.scheme() == "https" && url.scheme() == "http" {
        if url.host() != base.host() {
            return Err(Error::Downgrade { from: RedactedUrl::new(base.clone()), to: RedactedUrl::new(url) });
        }
        let port = url.port().or_else(|| base.port());
        // invariant: both are special schemes with a host, for which neither call can fail
        let _ = url.set_scheme("https");
        let _ = url.set_port(port);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let base = "https://r.example:5000/v2/app/blobs/uploads/";
        for (base, link, want) in [
            (
                base,
                "/v2/app/blobs/uploads/1?_state=a%2Fb",
                "https://r.example:5000/v2/app/blobs/uploads/1?_state=a%2Fb",
            ),
            (base, "1?x=y", "https://r.example:5000/v2/app/blobs/uploads/1?x=y"),
            (base, "?x=y", "https://r.example:5000/v2/app/blobs/uploads/?x=y"),
            (base, "//s.example/x", "https://s.example/x"),
            (base, "https://s.example/x#f", "https://s.example/x"),
            (base, "https://u:p@s.example/x", "https://s.example/x"),
            (base, "http://r.example/x", "https://r.example:5000/x"),
            (base, "http://r.example:5000/x", "https://r.example:5000/x"),
            ("https://r.example/v2/", "http://r.example/x", "https://r.example/x"),
            ("http://r.example/v2/", "http://s.example/x", "http://s.example/x"),
            (base, "http://s.example/x", "would leave https"),
            (base, "file:///etc/passwd", "neither http nor https"),
            (base, "http://[::1", "not a URL"),
        ] {
            match resolve_link(&Url::parse(base).unwrap(), link) {
                Ok(url) => assert_eq!(url.as_str(), want, "{link}"),
                Err(error) => assert!(error.to_string().contains(want), "{link}: {error}"),
            }
        }
    }
}
