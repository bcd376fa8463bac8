//! Which hosts stand for a registry: mirrors and rewrites of `registries.conf`, containerd's `hosts.toml`, the certificates
//! of `certs.d`. Reading goes by all of them; what is pushed goes to the registry that the user named, unless a `hosts.toml`
//! says in words that another host takes pushes.

mod directory;
mod hosts_toml;
mod registries_conf;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use url::Url;

use self::directory::Entry;
pub use self::hosts_toml::HostsToml;
pub use self::registries_conf::RegistriesConf;
use super::Error;
use super::host::{HUB, Place};
use crate::net::HostTls;

/// What is wrong with a file about hosts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is not valid: {reason}")]
pub struct ConfigError {
    /// The file.
    pub path: String,
    /// What is wrong.
    pub reason: String,
}

/// What files of this machine say about the hosts of registries.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    conf: RegistriesConf,
    entries: BTreeMap<String, Entry>,
}

/// One place that may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) place: Place,
    pub(super) repository: String,
    /// Whether it is asked for names with a digest, and for tags.
    pub(super) digests: bool,
    pub(super) tags: bool,
}

/// Where an image is read from: the mirrors in order, then the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) mirrors: Vec<Endpoint>,
    pub(super) main: Endpoint,
}

impl Endpoint {
    fn of(place: Place, repository: &str) -> Self {
        Self { place, repository: repository.to_owned(), digests: true, tags: true }
    }

    /// Of `host/repository`, as `registries.conf` writes it.
    fn named(name: &str, insecure: bool) -> Result<Self, Error> {
        match name.split_once('/') {
            Some((host, repository)) if !host.is_empty() && !repository.is_empty() => {
                Ok(Self::of(Place { insecure, ..Place::named(host) }, repository))
            }
            _ => Err(Error::Host(name.to_owned())),
        }
    }
}

impl Hosts {
    /// From `registries.conf` and directories of hosts, those that count more first. Directories that are not there or may
    /// not be read say nothing.
    #[must_use]
    pub fn new(conf: RegistriesConf, directories: &[PathBuf]) -> Self {
        let mut entries = BTreeMap::new();
        for directory in directories {
            directory::scan(directory, &mut entries);
        }
        Self { conf, entries }
    }

    /// The TLS of the hosts that these files speak of, for [`crate::net::Environment::tls`].
    #[must_use]
    pub fn tls(&self) -> Vec<HostTls> {
        let mut all: Vec<HostTls> = Vec::new();
        for (name, entry) in &self.entries {
            match entry {
                Entry::Certificates(tls) => all.push(HostTls { host: address(name).to_owned(), ..tls.clone() }),
                Entry::Hosts(Ok(file)) => all.extend(file.server.iter().chain(&file.hosts).filter_map(tls_of)),
                Entry::Hosts(Err(_)) => {}
            }
        }
        for place in self.conf.insecure() {
            let host = address(place);
            match all.iter_mut().find(|tls| tls.host == host) {
                Some(tls) => tls.insecure = true,
                None => all.push(HostTls { host: host.to_owned(), insecure: true, ..HostTls::default() }),
            }
        }
        all
    }

    /// Where `registry/repository` is read from.
    pub(super) fn reading(&self, registry: &str, repository: &str) -> Result<Route, Error> {
        let name = format!("{registry}/{repository}");
        let Some(found) = self.conf.find(&name) else { return self.route_of_hosts(registry, repository) };
        if found.rule.blocked {
            return Err(Error::Blocked { name, origin: found.rule.origin.clone() });
        }
        let mirrors = found.rule.mirrors.iter().map(|mirror| {
            let endpoint = Endpoint::named(&found.at(mirror, &name), mirror.insecure)?;
            Ok(Endpoint { digests: mirror.digests, tags: mirror.tags, ..endpoint })
        });
        let mirrors: Vec<Endpoint> = mirrors.collect::<Result<_, Error>>()?;
        let main = Endpoint::named(&found.location(&name), found.rule.insecure)?;
        if mirrors.is_empty() && main.place.name == registry {
            // Nothing but `insecure` is said: the directory of the host may know more.
            let mut route = self.route_of_hosts(registry, &main.repository)?;
            route.main.place.insecure |= found.rule.insecure;
            return Ok(route);
        }
        Ok(Route { mirrors, main })
    }

    /// Where `registry/repository` is written.
    pub(super) fn writing(&self, registry: &str, repository: &str) -> Result<Endpoint, Error> {
        let mut place = match self.file(registry)? {
            Some(file) => match file.hosts.iter().find(|host| host.push) {
                Some(host) => place_of(host, registry),
                None => file.server.as_ref().map_or_else(|| Place::named(registry), |own| place_of(own, registry)),
            },
            None => Place::named(registry),
        };
        place.insecure |= self.conf.find(&format!("{registry}/{repository}")).is_some_and(|found| found.rule.insecure);
        Ok(Endpoint::of(place, repository))
    }

    fn route_of_hosts(&self, registry: &str, repository: &str) -> Result<Route, Error> {
        let Some(file) = self.file(registry)? else {
            return Ok(Route { mirrors: Vec::new(), main: Endpoint::of(Place::named(registry), repository) });
        };
        let mirrors = file.hosts.iter().filter(|host| host.pull || host.resolve);
        let mirrors = mirrors.map(|host| Endpoint {
            digests: host.pull,
            tags: host.resolve,
            ..Endpoint::of(place_of(host, registry), repository)
        });
        let main = file.server.as_ref().map_or_else(|| Place::named(registry), |own| place_of(own, registry));
        Ok(Route { mirrors: mirrors.collect(), main: Endpoint::of(main, repository) })
    }

    fn file(&self, registry: &str) -> Result<Option<&HostsToml>, Error> {
        let entry = self.entries.get(registry).or_else(|| {
            let default = self.entries.get(directory::DEFAULT)?;
            matches!(default, Entry::Hosts(_)).then_some(default)
        });
        match entry {
            Some(Entry::Hosts(Ok(file))) => Ok(Some(file)),
            Some(Entry::Hosts(Err(error))) => Err(Error::HostsFile(error.clone())),
            Some(Entry::Certificates(_)) | None => Ok(None),
        }
    }
}

/// Where a registry really is, by the name that references and configurations use.
fn address(name: &str) -> &str {
    if name == HUB.0 { HUB.1 } else { name }
}

/// A host of a `hosts.toml` that stands for `registry`. One that is not that registry itself is told whose content is meant, by
/// `ns=` (distribution-spec, "Registry Proxying").
fn place_of(entry: &hosts_toml::Entry, registry: &str) -> Place {
    let host = authority(&entry.base);
    let itself = host == address(registry);
    Place {
        name: if itself { registry.to_owned() } else { host },
        base: Some(entry.base.clone()),
        namespace: (!itself).then(|| registry.to_owned()),
        insecure: false,
    }
}

fn tls_of(entry: &hosts_toml::Entry) -> Option<HostTls> {
    let tls = HostTls {
        host: authority(&entry.base),
        authorities: entry.authorities.clone(),
        identities: entry.identities.clone(),
        insecure: entry.insecure,
    };
    let plain = tls.authorities.is_empty() && tls.identities.is_empty() && !tls.insecure;
    (!plain).then_some(tls)
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// A parser's words without the picture of the line.
fn one_line(error: &toml::de::Error) -> String {
    let text = error.to_string();
    let place = text.lines().next().filter(|line| line.starts_with("TOML parse error"));
    let place = place.and_then(|line| line.strip_prefix("TOML parse error at ")).map(|place| format!("{place}: "));
    format!("{}{}", place.unwrap_or_default(), error.message().lines().collect::<Vec<_>>().join(", "))
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.place.name, self.repository)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(text: &str) -> Hosts {
        Hosts { conf: RegistriesConf::parse(text.as_bytes(), "r.conf").unwrap(), entries: BTreeMap::new() }
    }

    fn with_file(mut hosts: Hosts, name: &str, text: &str) -> Hosts {
        let file = HostsToml::parse(text.as_bytes(), std::path::Path::new("/d"));
        hosts.entries.insert(name.to_owned(), Entry::Hosts(file));
        hosts
    }

    fn told(route: &Route) -> Vec<String> {
        route.mirrors.iter().chain([&route.main]).map(ToString::to_string).collect()
    }

    #[test]
    fn reading_goes_by_mirrors_and_writing_does_not() {
        let hosts = conf(
            "[[registry]]\nprefix = 'docker.io'\nlocation = 'cache.example/hub'\n[[registry.mirror]]\nlocation = \
             'm.example:5000/x'\npull-from-mirror = 'digest-only'\n[[registry]]\nlocation = 'bad.example/evil'\nblocked = true\n",
        );
        let route = hosts.reading("docker.io", "library/app").unwrap();
        assert_eq!(told(&route), ["m.example:5000/x/library/app", "cache.example/hub/library/app"]);
        assert!(route.mirrors[0].digests && !route.mirrors[0].tags);
        assert_eq!(hosts.writing("docker.io", "library/app").unwrap().to_string(), "docker.io/library/app");
        assert!(matches!(hosts.reading("bad.example", "evil/app"), Err(Error::Blocked { .. })));
        assert!(hosts.reading("bad.example", "good").is_ok() && hosts.writing("bad.example", "evil").is_ok());
    }

    #[test]
    fn hosts_of_containerd() {
        let text = "server = 'https://registry-1.docker.io'\n[host.'http://m:5000']\ncapabilities = ['pull']\n";
        let hosts = with_file(conf(""), "docker.io", text);
        let route = hosts.reading("docker.io", "library/app").unwrap();
        assert_eq!(told(&route), ["m:5000/library/app", "docker.io/library/app"]);
        assert_eq!(route.mirrors[0].place.namespace.as_deref(), Some("docker.io"));
        assert_eq!(route.main.place.namespace, None);
        assert_eq!(hosts.writing("docker.io", "a").unwrap().to_string(), "docker.io/a");
        let hosts = with_file(hosts, "_default", "[host.'https://p']\ncapabilities = ['push']\nskip_verify = true\n");
        assert_eq!(hosts.writing("r.example", "a").unwrap().to_string(), "p/a");
        assert_eq!(told(&hosts.reading("r.example", "a").unwrap()), ["r.example/a"]);
        assert_eq!(hosts.tls(), [HostTls { host: "p".to_owned(), insecure: true, ..HostTls::default() }]);
        let hosts = with_file(hosts, "broken.example", "server = ");
        assert!(matches!(hosts.reading("broken.example", "a"), Err(Error::HostsFile(_))));
        assert!(matches!(hosts.writing("broken.example", "a"), Err(Error::HostsFile(_))));
    }
}
