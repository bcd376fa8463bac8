//! containerd's `hosts.toml` (containerd, docs/hosts.md): which hosts stand for a registry, and for what.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::Url;

use super::ConfigError;
use crate::limits;
use crate::net::Identity;

/// One file. Its answers are those of [`super::Hosts`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostsToml {
    /// The registry itself, where the file says how it is reached.
    pub(super) server: Option<Entry>,
    /// Those that are asked before it, in the order of the file.
    pub(super) hosts: Vec<Entry>,
}

/// One host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The URL before `/<repository>`; ends with `/`.
    pub(super) base: Url,
    /// Gives blobs and manifests by digest.
    pub(super) pull: bool,
    /// Finds digests of tags.
    pub(super) resolve: bool,
    /// Takes pushes; only where the file says so in words.
    pub(super) push: bool,
    pub(super) authorities: Vec<PathBuf>,
    pub(super) identities: Vec<Identity>,
    pub(super) insecure: bool,
}

#[derive(Deserialize, Default)]
struct File {
    server: Option<String>,
    /// Kept in the order of the file, which is the order of attempts.
    host: Option<toml::Spanned<std::collections::BTreeMap<toml::Spanned<String>, Table>>>,
    #[serde(flatten)]
    own: Table,
}

#[derive(Deserialize, Default, Clone)]
struct Table {
    capabilities: Option<Vec<String>>,
    ca: Option<OneOrMany>,
    client: Option<toml::Value>,
    skip_verify: Option<bool>,
    override_path: Option<bool>,
}

#[derive(Deserialize, Clone)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl HostsToml {
    /// Reads a file in `directory`, against which its relative paths stand.
    ///
    /// # Errors
    /// [`ConfigError`] when it is no TOML, or an address in it is none.
    pub fn parse(bytes: &[u8], directory: &Path) -> Result<Self, ConfigError> {
        let refuse = |reason: String| ConfigError { path: directory.join("hosts.toml").display().to_string(), reason };
        let text = std::str::from_utf8(bytes).map_err(|e| refuse(e.to_string()))?;
        let file: File = toml::from_str(text).map_err(|e| refuse(super::one_line(&e)))?;
        let server = match &file.server {
            Some(server) => Some(entry(server, &file.own, directory).map_err(refuse)?),
            None => None,
        };
        let mut tables: Vec<_> = file.host.map(toml::Spanned::into_inner).unwrap_or_default().into_iter().collect();
        tables.sort_by_key(|(name, _)| name.span().start);
        if tables.len() > limits::MAX_MIRRORS {
            return Err(refuse(format!("it has more than {} hosts", limits::MAX_MIRRORS)));
        }
        let hosts = tables.iter().map(|(name, table)| entry(name.get_ref(), table, directory).map_err(refuse));
        Ok(Self { server, hosts: hosts.collect::<Result<_, _>>()? })
    }
}

fn entry(address: &str, table: &Table, directory: &Path) -> Result<Entry, String> {
    let full = if address.contains("://") { address.to_owned() } else { format!("https://{address}") };
    let mut base = Url::parse(&full).map_err(|error| format!("`{address}` is no address: {error}"))?;
    if !matches!(base.scheme(), "http" | "https") || base.host().is_none() || !base.username().is_empty() {
        return Err(format!("`{address}` is no http or https address"));
    }
    let path = base.path().trim_end_matches('/').to_owned();
    let own = table.override_path == Some(true) || path.ends_with("/v2");
    base.set_path(&if own { format!("{path}/") } else { format!("{path}/v2/") });
    base.set_query(None);
    base.set_fragment(None);
    let can = |what: &str, unsaid: bool| {
        table.capabilities.as_ref().map_or(unsaid, |list| list.iter().any(|one| one.eq_ignore_ascii_case(what)))
    };
    let authorities = match &table.ca {
        None => Vec::new(),
        Some(OneOrMany::One(one)) => vec![directory.join(one)],
        Some(OneOrMany::Many(many)) => many.iter().map(|one| directory.join(one)).collect(),
    };
    Ok(Entry {
        base,
        pull: can("pull", true),
        resolve: can("resolve", true),
        push: can("push", false),
        authorities,
        identities: table.client.as_ref().map_or(Ok(Vec::new()), |client| identities(client, directory))?,
        insecure: table.skip_verify == Some(true),
    })
}

/// `"file"`, `["file", …]`, or `[["certificate", "key"], …]`; of one file certificate and key are the same.
fn identities(client: &toml::Value, directory: &Path) -> Result<Vec<Identity>, String> {
    let one = |file: &str| Identity { certificate: directory.join(file), key: directory.join(file) };
    let pair = |value: &toml::Value| match value {
        toml::Value::String(file) => Some(one(file)),
        toml::Value::Array(pair) => match pair.as_slice() {
            [certificate, key] => {
                let key = key.as_str()?;
                let certificate = directory.join(certificate.as_str()?);
                Some(Identity {
                    key: if key.is_empty() { certificate.clone() } else { directory.join(key) },
                    certificate,
                })
            }
            _ => None,
        },
        _ => None,
    };
    let refuse = || "`client` is a file, or a list of pairs of certificate and key".to_owned();
    match client {
        toml::Value::Array(many) => many.iter().map(|value| pair(value).ok_or_else(refuse)).collect(),
        value => pair(value).map(|identity| vec![identity]).ok_or_else(refuse),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<HostsToml, ConfigError> {
        HostsToml::parse(text.as_bytes(), Path::new("/d"))
    }

    #[test]
    fn hosts_keep_their_order_and_their_tls() {
        let file = parse(
            "server = 'https://r.example'\nca = 'own.pem'\n[host.'http://z:5000']\ncapabilities = ['pull']\n\
             [host.'a.example/mirror']\ncapabilities = ['pull', 'resolve', 'push']\nca = ['one.pem', '/two.pem']\n\
             client = [['c.pem', 'c.key'], ['both.pem', '']]\nskip_verify = true\n[host.'https://b/v2/deep']\noverride_path = true\n\
             [host.'https://b'.header]\nx = 'y'\n",
        )
        .unwrap();
        let bases: Vec<&str> = file.hosts.iter().map(|host| host.base.as_str()).collect();
        let want = ["http://z:5000/v2/", "https://a.example/mirror/v2/", "https://b/v2/deep/", "https://b/v2/"];
        assert_eq!(bases, want);
        assert!(file.hosts[0].pull && !file.hosts[0].resolve && !file.hosts[0].push);
        assert!(file.hosts[1].push && file.hosts[1].insecure && !file.hosts[2].push);
        assert_eq!(file.hosts[1].authorities, [PathBuf::from("/d/one.pem"), PathBuf::from("/two.pem")]);
        let both = PathBuf::from("/d/both.pem");
        assert_eq!(file.hosts[1].identities[1], Identity { certificate: both.clone(), key: both });
        assert_eq!(file.server.unwrap().authorities, [PathBuf::from("/d/own.pem")]);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "server = 'ftp://x'",
            "server = 'https://'",
            "[host.'https://u:p@x']",
            "server = 3",
            "client = 3\nserver='x'",
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with("`/d/hosts.toml` is not valid: "), "{error}");
            assert!(!error.contains("u:p@x/"), "{error}");
        }
        assert_eq!(parse("").unwrap(), HostsToml { server: None, hosts: Vec::new() });
    }
}
