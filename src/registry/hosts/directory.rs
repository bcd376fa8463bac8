//! Directories of hosts: `certs.d` of docker and podman, and containerd's with a `hosts.toml`. Below each stands one directory
//! for a host, named `host`, `host:port`, or `_default`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::ConfigError;
use super::hosts_toml::HostsToml;
use crate::limits;
use crate::net::{HostTls, Identity};

/// What one directory says of its host.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    /// Certificates alone.
    Certificates(HostTls),
    /// A `hosts.toml`; what is wrong with it is told when the host is spoken to.
    Hosts(Result<HostsToml, ConfigError>),
}

/// Where containerd looks for a host without a directory of its own.
pub(super) const DEFAULT: &str = "_default";

/// Reads one such directory. One that is not there or may not be read says nothing.
pub(super) fn scan(directory: &Path, found: &mut BTreeMap<String, Entry>) {
    let Ok(children) = fs::read_dir(directory) else { return };
    let mut names: Vec<PathBuf> = children.filter_map(Result::ok).map(|child| child.path()).collect();
    names.sort();
    for path in names.into_iter().take(limits::MAX_HOST_DIRECTORIES) {
        let Some(name) = path.file_name().and_then(|name| name.to_str()).map(host_of) else { continue };
        // Who comes first counts: directories are scanned from the most personal to the most general.
        if !found.contains_key(&name)
            && let Some(entry) = read(&path, &name)
        {
            found.insert(name, entry);
        }
    }
}

/// `host_5000_` is how containerd writes `host:5000` where a colon cannot stand in a name.
fn host_of(name: &str) -> String {
    match name.strip_suffix('_').and_then(|name| name.rsplit_once('_')) {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => format!("{host}:{port}"),
        _ => name.to_owned(),
    }
}

fn read(directory: &Path, host: &str) -> Option<Entry> {
    let file = directory.join("hosts.toml");
    match read_file(&file) {
        Ok(bytes) => Some(Entry::Hosts(HostsToml::parse(&bytes, directory))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => certificates(directory, host),
        Err(error) => {
            Some(Entry::Hosts(Err(ConfigError { path: file.display().to_string(), reason: error.to_string() })))
        }
    }
}

fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = fs::File::open(path)?.take(limits::MAX_HOSTS_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if read as u64 > limits::MAX_HOSTS_FILE_BYTES {
        return Err(std::io::Error::other(format!("it is longer than {} bytes", limits::MAX_HOSTS_FILE_BYTES)));
    }
    Ok(bytes)
}

/// `*.crt` are authorities, `X.cert` with `X.key` a certificate of ours (docker, "Verify repository client with certificates").
fn certificates(directory: &Path, host: &str) -> Option<Entry> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(directory).ok()?.filter_map(Result::ok).map(|file| file.path()).collect();
    files.sort();
    let with =
        |ending: &'static str| files.iter().filter(move |file| file.extension().is_some_and(|e| e == ending)).cloned();
    let authorities: Vec<PathBuf> = with("crt").collect();
    let identities: Vec<Identity> =
        with("cert").map(|certificate| Identity { key: certificate.with_extension("key"), certificate }).collect();
    let empty = authorities.is_empty() && identities.is_empty();
    (!empty).then(|| Entry::Certificates(HostTls { host: host.to_owned(), authorities, identities, insecure: false }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_directories() {
        for (name, want) in
            [("h_5000_", "h:5000"), ("h:5000", "h:5000"), ("a_b", "a_b"), ("_default", "_default"), ("h__", "h__")]
        {
            assert_eq!(host_of(name), want);
        }
    }

    #[test]
    fn the_first_directory_counts() {
        let (own, general) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let put = |root: &Path, path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put(own.path(), "r:5000/ca.crt", "");
        put(own.path(), "r:5000/client.cert", "");
        put(own.path(), "empty/readme", "");
        put(general.path(), "r:5000/hosts.toml", "server = 'https://other'");
        put(general.path(), "s/hosts.toml", "server = ");
        let mut found = BTreeMap::new();
        for directory in [own.path(), general.path(), Path::new("/absent")] {
            scan(directory, &mut found);
        }
        assert_eq!(found.keys().collect::<Vec<_>>(), ["r:5000", "s"]);
        let Entry::Certificates(tls) = &found["r:5000"] else { panic!("{found:?}") };
        assert_eq!((tls.authorities.len(), tls.identities[0].key.file_name().unwrap()), (1, "client.key".as_ref()));
        assert!(matches!(&found["s"], Entry::Hosts(Err(_))));
    }
}
