//! What one host wants of TLS beside the rest: its own authorities, a certificate of ours, or no verification.

use std::path::PathBuf;

use url::Url;

/// TLS for one host. The files are read when the host is first spoken to, so that one which is broken or not ours to read
/// harms nobody else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostTls {
    /// `name` or `name:port`; without a port, 443.
    pub host: String,
    /// PEM files with certificate authorities, beside all others.
    pub authorities: Vec<PathBuf>,
    /// Certificates with which we show who we are; the first is taken.
    pub identities: Vec<Identity>,
    /// Whether any certificate of the host is taken.
    pub insecure: bool,
}

/// A certificate of ours and its key, both PEM. They may be one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, with those that lead from it to an authority.
    pub certificate: PathBuf,
    /// Its private key, not encrypted.
    pub key: PathBuf,
}

impl HostTls {
    /// Whether the URL is of this host.
    #[must_use]
    pub fn covers(&self, url: &Url) -> bool {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return false };
        let (name, own) = match self.host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, port.parse().ok()),
            _ => (self.host.as_str(), Some(443)),
        };
        name.eq_ignore_ascii_case(host) && own == Some(port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_its_name_and_port() {
        for (host, url, want) in [
            ("r.example", "https://r.example/v2/", true),
            ("R.example", "https://r.EXAMPLE:443/", true),
            ("r.example", "https://r.example:5000/", false),
            ("r.example:5000", "https://r.example:5000/", true),
            ("r.example:5000", "https://r.example/", false),
            ("[::1]:5000", "https://[::1]:5000/", true),
            ("[::1]", "https://[::1]/", true),
            ("example", "https://r.example/", false),
        ] {
            let tls = HostTls { host: host.to_owned(), ..HostTls::default() };
            assert_eq!(tls.covers(&Url::parse(url).unwrap()), want, "{host} {url}");
        }
    }
}
