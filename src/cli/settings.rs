//! The one place that reads the environment. Everything below gets values.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, CommandFactory, FromArgMatches};

use super::args::{Cache, Common, Network};
use super::failure::{Blame, Failure};
use super::{Cli, blame, usage};
use crate::net;
use crate::pipeline::Environment;
use crate::registry::{CredentialChain, CredentialHelper, CredentialSource, DockerConfig, ProcessHelper};

/// How long a credential helper may take; those of clouds ask a server.
const HELPER_TIMEOUT: Duration = Duration::from_secs(30);

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

    /// A variable; an empty one counts as not set, because CI systems pass unset values on as empty ones.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(OsStr::to_str)
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
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
            environment.credentials = Arc::new(self.credentials()?);
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
        })
    }

    fn credentials(&self) -> Result<CredentialChain, Failure> {
        let helper: Arc<dyn CredentialHelper> = Arc::new(ProcessHelper {
            directories: self.get("PATH").map(|path| std::env::split_paths(path).collect()).unwrap_or_default(),
            variables: self.0.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            timeout: HELPER_TIMEOUT,
        });
        let mut sources: Vec<Arc<dyn CredentialSource>> = Vec::new();
        for path in self.auth_files() {
            let bytes = match std::fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    continue;
                }
                Err(error) => return Err(unreadable(&path, &error)),
            };
            let config = DockerConfig::parse(&path.display().to_string(), &bytes)
                .map_err(|error| Failure::of(Blame::Input, &error))?;
            sources.push(Arc::new(config.with_helpers(Arc::clone(&helper))));
        }
        Ok(CredentialChain::new(sources))
    }

    /// The socket that `DOCKER_HOST` names, or the usual one. With a daemon at another kind of address the path is one
    /// where nothing is, which only who loads into the daemon comes to know.
    fn docker_socket(&self) -> PathBuf {
        let host = self.text("DOCKER_HOST").unwrap_or("unix:///var/run/docker.sock");
        PathBuf::from(host.strip_prefix("unix://").unwrap_or(host))
    }

    /// Files with registry credentials, the first that knows a registry wins.
    pub fn auth_files(&self) -> Vec<PathBuf> {
        let home = self.path("HOME");
        let docker = self.path("DOCKER_CONFIG").or_else(|| home.as_ref().map(|home| home.join(".docker")));
        let config = self.path("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
        [
            self.path("REGISTRY_AUTH_FILE"),
            docker.map(|dir| dir.join("config.json")),
            self.path("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json")),
            config.map(|dir| dir.join("containers/auth.json")),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Why a command line gives no work to do.
#[derive(Debug)]
pub enum NoWork {
    /// Help or the version was asked for.
    Asked(String),
    /// There is no verb; the text is the help.
    NoVerb(String),
    /// It means nothing.
    Wrong(Failure),
}

/// Parses a command line, with `CORACLE_*` variables in the place of flags that are not given.
///
/// # Errors
/// [`NoWork`].
pub fn parse(argv: &[OsString], variables: &Variables) -> Result<Cli, NoWork> {
    let matches = Cli::command().try_get_matches_from(argv).map_err(|error| no_work(&error, argv, &[]))?;
    let (words, used) = with_variables(argv, &matches, variables).map_err(NoWork::Wrong)?;
    let parsed = Cli::command().try_get_matches_from(words).and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.map_err(|error| no_work(&error, argv, &used))
}

fn no_work(error: &clap::Error, argv: &[OsString], variables: &[FromVariable]) -> NoWork {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => NoWork::Asked(error.render().to_string()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => NoWork::NoVerb(error.render().to_string()),
        _ => NoWork::Wrong(usage::failure(error, argv, variables)),
    }
}

/// A flag that has its value from a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FromVariable {
    /// With its dashes.
    pub flag: String,
    /// The variable's name.
    pub variable: String,
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::input(format!("cannot read `{}`", path.display())).caused_by(error.to_string())
}

/// The name of the variable that stands in for a flag.
pub fn variable_of(flag: &str) -> String {
    format!("CORACLE_{}", flag.to_ascii_uppercase().replace('-', "_"))
}

/// The command line with flags from variables put behind the verb, and which flags those are.
fn with_variables(
    argv: &[OsString],
    matches: &ArgMatches,
    variables: &Variables,
) -> Result<(Vec<OsString>, Vec<FromVariable>), Failure> {
    let root = Cli::command();
    let Some((verb, given)) = matches.subcommand() else { return Ok((argv.to_vec(), Vec::new())) };
    let (Some(command), Some(at)) = (root.find_subcommand(verb), argv.iter().position(|word| word == verb)) else {
        return Ok((argv.to_vec(), Vec::new()));
    };
    let typed = |id: &clap::Id| given.value_source(id.as_str()) == Some(clap::parser::ValueSource::CommandLine);
    let mut words = argv[..=at].to_vec();
    let mut used = Vec::new();
    for argument in command.get_arguments() {
        let Some(flag) = argument.get_long() else { continue };
        let variable = variable_of(flag);
        let Some(value) = variables.get(&variable) else { continue };
        let excludes = |one: &Arg, other: &Arg| command.get_arg_conflicts_with(one).contains(&other);
        let overruled = command
            .get_arguments()
            .any(|other| typed(other.get_id()) && (excludes(argument, other) || excludes(other, argument)));
        if typed(argument.get_id()) || overruled {
            continue;
        }
        let mut push = |value: &OsStr| {
            let mut word = OsString::from(format!("--{flag}="));
            word.push(value);
            words.push(word);
        };
        match (argument.get_action(), value.to_str()) {
            (ArgAction::SetTrue, Some("1" | "true" | "yes" | "on")) => words.push(format!("--{flag}").into()),
            (ArgAction::SetTrue, Some("0" | "false" | "no" | "off")) => continue,
            (ArgAction::SetTrue, _) => {
                let failure = Failure::input(format!("`{variable}` cannot be `{}`", value.display()));
                return Err(failure.hint("allowed are `true` and `false`"));
            }
            (ArgAction::Append, Some(text)) => {
                text.lines().map(str::trim).filter(|line| !line.is_empty()).for_each(|line| push(line.as_ref()));
            }
            _ => push(value),
        }
        used.push(FromVariable { flag: format!("--{flag}"), variable });
    }
    words.extend_from_slice(&argv[at + 1..]);
    Ok((words, used))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Command;

    fn parse_with(argv: &[&str], variables: &[(&str, &str)]) -> Result<Cli, NoWork> {
        let variables = Variables(variables.iter().map(|(k, v)| (OsString::from(k), OsString::from(v))).collect());
        let argv: Vec<OsString> = argv.iter().map(OsString::from).collect();
        parse(&argv, &variables)
    }

    fn wrong(argv: &[&str], variables: &[(&str, &str)]) -> Failure {
        match parse_with(argv, variables).unwrap_err() {
            NoWork::Wrong(failure) => failure,
            other => panic!("{other:?}"),
        }
    }

    fn build(argv: &[&str], variables: &[(&str, &str)]) -> super::super::build::Args {
        match parse_with(argv, variables).unwrap().command {
            Command::Build(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_variable_stands_in_for_a_flag_and_a_flag_wins() {
        let variables =
            [("CORACLE_TAG", "r.example/a:1\nr.example/a:2"), ("CORACLE_PUSH", "true"), ("CORACLE_NAME", "")];
        let args = build(&["coracle", "build", "./x"], &variables);
        assert_eq!(args.names.tag.len(), 2);
        assert!(args.push);
        assert_eq!(args.image.name, None);
        let args = build(&["coracle", "build", "./x", "-t", "r.example/b:1"], &variables);
        assert_eq!(args.names.tag[0].to_string(), "r.example/b:1");
        assert_eq!(args.names.tag.len(), 1);
    }

    #[test]
    fn a_flag_overrules_the_variable_it_excludes() {
        let args = build(&["coracle", "build", "./x", "--no-cache"], &[("CORACLE_CACHE_DIR", "/c")]);
        assert!(args.cache.no_cache && args.cache.cache_dir.is_none());
    }

    #[test]
    fn a_wrong_variable_is_named() {
        let failure = wrong(&["coracle", "build", "./x"], &[("CORACLE_COMPRESSION", "gzp")]);
        assert_eq!(
            failure.to_string(),
            "error: `gzp` is not a value of `--compression`\n\
             caused by: `--compression` has its value from the variable `CORACLE_COMPRESSION`\n\n\
             hint: did you mean `gzip`? allowed are `gzip`, `zstd`, `none`"
        );
        let failure = wrong(&["coracle", "build", "./x"], &[("CORACLE_PUSH", "maybe")]);
        assert_eq!(
            failure.to_string(),
            "error: `CORACLE_PUSH` cannot be `maybe`\n\nhint: allowed are `true` and `false`"
        );
    }

    #[test]
    fn source_date_epoch_is_a_count_of_seconds() {
        let created = |value: &str| Variables(BTreeMap::from([("SOURCE_DATE_EPOCH".into(), value.into())])).created();
        assert_eq!(created("1700000000").unwrap(), 1_700_000_000);
        assert_eq!(created("").unwrap(), 0);
        assert!(created("-1").is_err() && created("yesterday").is_err() && created("253402300800").is_err());
    }
}
