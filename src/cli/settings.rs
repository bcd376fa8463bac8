//! The one place that reads the environment. Everything below gets values.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use super::args::{Cache, Common, Network};
use super::blame;
use super::failure::Failure;
use crate::net;
use crate::pipeline::Environment;

/// What standard error can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terminal {
    /// Escape sequences for colours are welcome.
    pub colours: bool,
    /// Someone watches: bars instead of lines.
    pub interactive: bool,
    /// Findings are annotated as GitHub Actions reads them.
    pub github_actions: bool,
}

/// The environment as it was when the program started.
#[derive(Debug, Clone, Default)]
pub struct Variables(BTreeMap<OsString, OsString>);

impl Variables {
    /// Reads the environment.
    pub fn capture() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// Variables as given.
    #[cfg(test)]
    pub fn of(variables: &[(&str, &str)]) -> Self {
        Self(variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect())
    }

    /// A variable; an empty one counts as not set, because CI systems pass unset values on as empty ones.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(OsStr::to_str)
    }

    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }

    /// All variables, sorted.
    pub(super) fn all(&self) -> impl Iterator<Item = (&OsString, &OsString)> {
        self.0.iter()
    }

    /// What standard error can show: colours on a terminal without `NO_COLOR`, bars there unless in `CI`.
    pub fn terminal(&self) -> Terminal {
        let is_terminal = std::io::stderr().is_terminal() && self.text("TERM") != Some("dumb");
        Terminal {
            colours: is_terminal && self.get("NO_COLOR").is_none(),
            interactive: is_terminal && self.get("CI").is_none(),
            github_actions: self.text("GITHUB_ACTIONS") == Some("true"),
        }
    }

    /// `SOURCE_DATE_EPOCH` in seconds, or 0 (reproducible-builds.org, "SOURCE_DATE_EPOCH specification").
    ///
    /// # Errors
    /// A failure when it is set to something else than a number.
    pub fn created(&self) -> Result<u64, Failure> {
        let Some(value) = self.get("SOURCE_DATE_EPOCH") else { return Ok(0) };
        // The largest second of the year 9999: beyond it no RFC 3339 time exists.
        const LAST_SECOND: u64 = 253_402_300_799;
        value.to_str().and_then(|text| text.parse().ok()).filter(|seconds| *seconds <= LAST_SECOND).ok_or_else(|| {
            Failure::input(format!("`SOURCE_DATE_EPOCH` cannot be `{}`", value.display()))
                .hint("it is a count of seconds since 1970-01-01, for example from `git log -1 --pretty=%ct`")
        })
    }

    /// The directory of the cache when no flag names one.
    pub fn cache_dir(&self) -> Option<PathBuf> {
        let base = self.path("XDG_CACHE_HOME").filter(|path| path.is_absolute());
        base.or_else(|| self.path("HOME").map(|home| home.join(".cache"))).map(|base| base.join("coracle"))
    }

    /// Where temporary files go.
    pub fn temp_dir(&self) -> PathBuf {
        self.path("TMPDIR").unwrap_or_else(|| PathBuf::from("/tmp"))
    }

    /// What the pipeline is told of the surroundings. Without `network` no file that only registries need is read.
    ///
    /// # Errors
    /// A failure that names the file or variable that cannot be used.
    pub fn pipeline_environment(
        &self,
        cache: Option<&Cache>,
        network: Option<&Network>,
        common: &Common,
    ) -> Result<Environment, Failure> {
        let cache_dir = cache.and_then(|cache| {
            let named = cache.cache_dir.clone().or_else(|| self.cache_dir());
            named.filter(|_| !cache.no_cache)
        });
        let mut environment = Environment {
            cache_dir,
            threads: common.threads.map_or(0, usize::from),
            docker_socket: self.docker_socket(),
            ..Environment::new(self.temp_dir())
        };
        if let Some(network) = network {
            environment.network = self.network(network)?;
            environment.http.trace = network.trace_http;
            let timeouts = &mut environment.http.timeouts;
            let seconds = |count: u32| std::time::Duration::from_secs(u64::from(count));
            timeouts.idle = network.idle_timeout.map_or(timeouts.idle, |count| seconds(count.into()));
            timeouts.connect = network.connect_timeout.map_or(timeouts.connect, |count| seconds(count.into()));
            timeouts.total = network.total_timeout.map(seconds);
            environment.hosts = super::hosts::load(self, network)?;
            environment.credentials = super::credentials::source(self, network)?;
        }
        Ok(environment)
    }

    fn network(&self, flags: &Network) -> Result<net::Environment, Failure> {
        let either = |upper: &str, lower: &str| self.text(lower).or_else(|| self.text(upper));
        // `HTTP_PROXY` in upper case can be set by a request in CGI programs; coracle is none.
        let proxies = net::Proxies::new(
            either("HTTP_PROXY", "http_proxy"),
            either("HTTPS_PROXY", "https_proxy"),
            either("NO_PROXY", "no_proxy"),
        );
        let read = |path: &PathBuf| {
            let pem = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
            Ok(net::Authority { origin: path.display().to_string(), pem })
        };
        let files = flags.ca.iter().cloned().chain(self.path("SSL_CERT_FILE"));
        Ok(net::Environment {
            proxies: proxies.map_err(|error| blame::of_network(&error))?,
            extra_ca: files.map(|path| read(&path)).collect::<Result<_, Failure>>()?,
            insecure_hosts: flags.insecure.clone(),
            plain_http_hosts: flags.plain_http.clone(),
            https_hosts: Vec::new(),
            tls: Vec::new(),
        })
    }

    /// The socket that `DOCKER_HOST` names, or the usual one. With a daemon at another kind of address the path is one
    /// where nothing is, which only who loads into the daemon comes to know.
    fn docker_socket(&self) -> PathBuf {
        let host = self.text("DOCKER_HOST").unwrap_or("unix:///var/run/docker.sock");
        PathBuf::from(host.strip_prefix("unix://").unwrap_or(host))
    }
}

pub fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::input(format!("cannot read `{}`", path.display()))
        .caused_by(error.to_string())
        .hint("check the path, and that the current user may read it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_date_epoch_is_a_count_of_seconds() {
        let created = |value: &str| Variables::of(&[("SOURCE_DATE_EPOCH", value)]).created();
        assert_eq!(created("1700000000").unwrap(), 1_700_000_000);
        assert_eq!(created("").unwrap(), 0);
        assert!(created("-1").is_err() && created("yesterday").is_err() && created("253402300800").is_err());
    }
}
