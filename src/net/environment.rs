//! What the surroundings say about reaching hosts, as values: nothing here reads a variable or a file.

use url::{Host, Url};

use super::{Error, HostTls};
use crate::oci::RedactedUrl;

/// A bundle of certificate authorities to trust beside the built-in ones.
#[derive(Debug, Clone)]
pub struct Authority {
    /// Where it came from, for error messages (a path, a variable's name).
    pub origin: String,
    /// PEM text with one or more certificates.
    pub pem: Vec<u8>,
}

/// Everything about the surroundings that the transport must be told. Hosts are `name` or `name:port`, as in a
/// reference; without a port every port of that name is meant.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// Proxies.
    pub proxies: Proxies,
    /// Extra certificate authorities.
    pub extra_ca: Vec<Authority>,
    /// Hosts whose TLS certificate is not verified.
    pub insecure_hosts: Vec<String>,
    /// Hosts spoken to by plain HTTP, beside the loopback ones.
    pub plain_http_hosts: Vec<String>,
    /// Loopback hosts that speak HTTPS all the same.
    pub https_hosts: Vec<String>,
    /// Hosts with TLS of their own; of several for one host the first counts.
    pub tls: Vec<HostTls>,
}

impl Environment {
    /// `http` or `https` for a host as written in a reference. Loopback hosts are plain unless listed in
    /// `https_hosts`, as Docker has it.
    #[must_use]
    pub fn scheme(&self, host: &str) -> &'static str {
        if listed(&self.plain_http_hosts, host) || (is_loopback(host) && !listed(&self.https_hosts, host)) {
            "http"
        } else {
            "https"
        }
    }

    /// Whether the certificate of the host is taken unseen.
    #[must_use]
    pub fn is_insecure(&self, host: &str) -> bool {
        listed(&self.insecure_hosts, host)
    }
}

/// Splits `host[:port]`; brackets of an IPv6 host stay.
fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    }
}

fn listed(list: &[String], host: &str) -> bool {
    let (name, _) = split_port(host);
    list.iter().any(|entry| entry.eq_ignore_ascii_case(host) || entry.eq_ignore_ascii_case(name))
}

fn is_loopback(host: &str) -> bool {
    let (name, _) = split_port(host);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Proxies and the hosts that are reached without one.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    http: Option<RedactedUrl>,
    https: Option<RedactedUrl>,
    bypass: Vec<String>,
}

impl Proxies {
    /// From the texts that `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` usually hold; empty texts count as absent. The
    /// proxy's user and password stand in its URL.
    ///
    /// # Errors
    /// [`Error::ProxyUrl`] when a text is no `http` or `https` URL.
    pub fn new(http: Option<&str>, https: Option<&str>, no_proxy: Option<&str>) -> Result<Self, Error> {
        let bypass = no_proxy.unwrap_or_default().split([',', ' ']).map(str::trim).filter(|e| !e.is_empty());
        Ok(Self {
            http: parse_proxy("http", http)?,
            https: parse_proxy("https", https)?,
            bypass: bypass.map(str::to_ascii_lowercase).collect(),
        })
    }

    /// The proxy for a URL. Loopback hosts are always reached directly.
    #[must_use]
    pub fn for_url(&self, url: &Url) -> Option<&RedactedUrl> {
        let proxy = if url.scheme() == "https" { self.https.as_ref() } else { self.http.as_ref() }?;
        let host = url.host()?;
        let direct = match &host {
            Host::Domain(name) => name.eq_ignore_ascii_case("localhost"),
            Host::Ipv4(v4) => v4.is_loopback(),
            Host::Ipv6(v6) => v6.is_loopback(),
        };
        let bypassed = direct || self.bypass.iter().any(|entry| bypasses(entry, &host, url.port_or_known_default()));
        (!bypassed).then_some(proxy)
    }
}

fn parse_proxy(variable: &'static str, text: Option<&str>) -> Result<Option<RedactedUrl>, Error> {
    let Some(text) = text.map(str::trim).filter(|t| !t.is_empty()) else { return Ok(None) };
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    match Url::parse(&full) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.host().is_some() => Ok(Some(RedactedUrl::new(url))),
        _ => Err(Error::ProxyUrl { protocol: variable }),
    }
}

/// One entry of `NO_PROXY`: `*`, `name`, `.suffix`, `*.suffix`, an address, an address block, each with an optional port.
fn bypasses(entry: &str, host: &Host<&str>, port: Option<u16>) -> bool {
    if entry == "*" {
        return true;
    }
    // The colons of an IPv6 address or block begin no port.
    let bare_v6 = entry.contains('/') || entry.parse::<std::net::Ipv6Addr>().is_ok();
    let (name, wanted) = if bare_v6 { (entry, None) } else { split_port(entry) };
    if wanted.is_some_and(|wanted| wanted.parse().ok() != port) {
        return false;
    }
    match host {
        Host::Domain(domain) => {
            let suffix = name.trim_start_matches('*').trim_start_matches('.');
            let domain = domain.to_ascii_lowercase();
            !suffix.is_empty()
                && (domain == suffix || domain.strip_suffix(suffix).is_some_and(|before| before.ends_with('.')))
        }
        Host::Ipv4(v4) => in_block(name, u128::from(v4.to_bits()), 32),
        Host::Ipv6(v6) => in_block(name.trim_start_matches('[').trim_end_matches(']'), v6.to_bits(), 128),
    }
}

fn in_block(block: &str, address: u128, width: u32) -> bool {
    let (base, length) = block.split_once('/').unwrap_or((block, ""));
    let base = match base.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(v4)) if width == 32 => u128::from(v4.to_bits()),
        Ok(std::net::IpAddr::V6(v6)) if width == 128 => v6.to_bits(),
        _ => return false,
    };
    let length = if length.is_empty() { Some(width) } else { length.parse().ok().filter(|n| *n <= width) };
    length.is_some_and(|n| (base ^ address).checked_shr(width - n).unwrap_or(0) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_plain_unless_told() {
        let env = Environment {
            plain_http_hosts: vec!["r.example:5000".into(), "all.example".into()],
            https_hosts: vec!["localhost:5443".into()],
            ..Environment::default()
        };
        for (host, want) in [
            ("localhost", "http"),
            ("localhost:5000", "http"),
            ("localhost:5443", "https"),
            ("127.0.0.1:1", "http"),
            ("[::1]:1", "http"),
            ("[::1]", "http"),
            ("r.example:5000", "http"),
            ("r.example:5001", "https"),
            ("all.example:9", "http"),
            ("localhost.example", "https"),
            ("ghcr.io", "https"),
        ] {
            assert_eq!(env.scheme(host), want, "{host}");
        }
    }

    #[test]
    fn no_proxy_table() {
        let check = |no_proxy: &str, url: &str, proxied: bool| {
            let proxies =
                Proxies::new(Some("p.example:3128"), Some("http://u:s@p.example:3128"), Some(no_proxy)).unwrap();
            let got = proxies.for_url(&Url::parse(url).unwrap()).is_some();
            assert_eq!(got, proxied, "{no_proxy} {url}");
            assert!(!format!("{proxies:?}").contains("u:s"), "a proxy's password shows");
        };
        for (no_proxy, url, proxied) in [
            ("", "https://r.example/", true),
            ("*", "https://r.example/", false),
            ("example", "https://r.example/", false),
            (".example", "https://r.example/", false),
            ("*.example", "https://r.example/", false),
            ("ample", "https://r.example/", true),
            ("r.example:443", "https://r.example/", false),
            ("r.example:444", "https://r.example/", true),
            ("10.0.0.0/8", "http://10.1.2.3/", false),
            ("10.0.0.0/8", "http://11.1.2.3/", true),
            ("0.0.0.0/0", "http://11.1.2.3/", false),
            ("10.0.0.0/99", "http://10.0.0.0/", true),
            ("fd00::/8", "http://[fd12::1]/", false),
            ("fd12::1", "http://[fd12::1]/", false),
            ("", "http://127.0.0.1:5000/", false),
            ("", "http://localhost/", false),
            ("a.example, r.example", "http://r.example/", false),
        ] {
            check(no_proxy, url, proxied);
        }
        assert!(Proxies::new(Some("socks5://x"), None, None).is_err());
        assert!(Proxies::new(Some("http://"), None, None).is_err());
    }
}
