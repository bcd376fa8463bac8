//! Where credentials of registries are looked for, and the telling of it.
//!
//! The order is: flags, auth files (named, docker's, podman's, kaniko's), what CI systems hand out, nobody. The first
//! that knows a registry counts; one that does not know it never ends the search.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::args::Network;
use super::failure::{Blame, Failure};
use super::settings::{Variables, unreadable};
use crate::oci::Secret;
use crate::registry::{
    AbsentSource, Asked, Credential, CredentialChain, CredentialError, CredentialHelper, CredentialSource,
    DockerConfig, Fixed, Found, ProcessHelper,
};

/// How long a credential helper may take; those of clouds ask a server.
const HELPER_TIMEOUT: Duration = Duration::from_secs(30);

/// Names under which an auth file lies in a directory: docker's, that of a mounted Kubernetes secret, the older one of both.
const FILES: [&str; 3] = ["config.json", ".dockerconfigjson", ".dockercfg"];

/// Where kaniko's images keep theirs; pods that moved on from it still mount it there.
const KANIKO: &str = "/kaniko/.docker";

type Source = Arc<dyn CredentialSource>;

/// Where the credentials of this run come from.
///
/// # Errors
/// A failure that names the flag, variable or file that cannot be used.
pub fn source(variables: &Variables, network: &Network) -> Result<Source, Failure> {
    let chain = CredentialChain::new(sources(variables, network)?);
    Ok(if network.explain_auth { Arc::new(Explained { chain, told: Mutex::default() }) } else { Arc::new(chain) })
}

fn sources(variables: &Variables, network: &Network) -> Result<Vec<Source>, Failure> {
    let mut all = vec![flags(variables, network)?];
    let helper = helper(variables);
    if let Some(file) = &network.authfile {
        all.push(read(file, true, &helper)?.unwrap_or_else(|| absent(file)));
    }
    if let Some(text) = variables.text("DOCKER_AUTH_CONFIG") {
        let config = DockerConfig::parse("DOCKER_AUTH_CONFIG", text.as_bytes());
        all.push(Arc::new(
            config.map_err(|error| Failure::of(Blame::Input, &error))?.with_helpers(Arc::clone(&helper)),
        ));
    } else {
        all.push(Arc::new(AbsentSource::new("`DOCKER_AUTH_CONFIG`", "not set")));
    }
    for (place, is_named) in places(variables) {
        all.push(read(&place, is_named, &helper)?.unwrap_or_else(|| absent(&place)));
    }
    all.extend(of_ci(variables));
    Ok(all)
}

fn absent(place: &Path) -> Source {
    Arc::new(AbsentSource::new(&format!("`{}`", place.display()), "not there"))
}

/// `--username` with `--password-file` or `CORACLE_PASSWORD`. Like every flag they can stand in variables.
fn flags(variables: &Variables, network: &Network) -> Result<Source, Failure> {
    let Some(user) = &network.username else {
        return Ok(Arc::new(AbsentSource::new("`--username`", "not given")));
    };
    let (host, user) = match user.split_once('=') {
        Some((host, user)) => (Some(host), user),
        None => (None, user.as_str()),
    };
    let secret = match (&network.password_file, variables.text("CORACLE_PASSWORD")) {
        (Some(file), _) => password(file)?,
        (None, Some(text)) => Secret::new(text.to_owned()),
        (None, None) => {
            return Err(Failure::input("`--username` needs a password").hint(
                "name a file that holds it with `--password-file FILE` (`-` is standard input), or set `CORACLE_PASSWORD`",
            ));
        }
    };
    Ok(Arc::new(Fixed::new(host, basic(user, secret), "`--username`")))
}

fn basic(user: &str, password: Secret) -> Credential {
    Credential::Basic { username: user.to_owned(), password }
}

/// A password from a file, `-` from standard input, without the end of its line.
pub fn password(file: &Path) -> Result<Secret, Failure> {
    let bytes = match file.to_str() {
        Some("-") => io::read_to_string(io::stdin().lock()),
        _ => std::fs::read_to_string(file),
    };
    let text = bytes.map_err(|error| unreadable(file, &error))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Secret::new(text.strip_suffix('\r').unwrap_or(text).to_owned()))
}

/// Runs helpers that auth files name.
fn helper(variables: &Variables) -> Arc<dyn CredentialHelper> {
    Arc::new(process_helper(variables))
}

/// Helpers of `PATH`, with the environment of this process.
pub fn process_helper(variables: &Variables) -> ProcessHelper {
    ProcessHelper {
        directories: variables.get("PATH").map(|path| std::env::split_paths(path).collect()).unwrap_or_default(),
        variables: variables.all().map(|(name, value)| (name.clone(), value.clone())).collect(),
        timeout: HELPER_TIMEOUT,
    }
}

/// Auth files and directories of such, in order, with whether the user names them by more than `$HOME`.
fn places(variables: &Variables) -> Vec<(PathBuf, bool)> {
    let home = variables.path("HOME");
    let config = variables.path("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
    [
        (variables.path("REGISTRY_AUTH_FILE"), true),
        (variables.path("DOCKER_CONFIG"), true),
        (home.map(|home| home.join(".docker")), false),
        (variables.path("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json")), false),
        (config.map(|dir| dir.join("containers/auth.json")), false),
        (Some(PathBuf::from(KANIKO)), false),
    ]
    .into_iter()
    .filter_map(|(place, is_named)| Some((place?, is_named)))
    .collect()
}

/// Reads an auth file, or the one that a directory holds; `None` when there is none, which never ends the search.
fn read(place: &Path, is_named: bool, helper: &Arc<dyn CredentialHelper>) -> Result<Option<Source>, Failure> {
    let files = if place.is_dir() { FILES.map(|name| place.join(name)).to_vec() } else { vec![place.to_owned()] };
    for path in files {
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => continue,
            // Under an arbitrary user id `$HOME` is somebody else's: whether there is a file cannot even be told.
            Err(error)
                if error.kind() == io::ErrorKind::PermissionDenied
                    && std::fs::symlink_metadata(&path).is_err()
                    && !is_named =>
            {
                continue;
            }
            Err(error) => return Err(unreadable(&path, &error)),
        };
        let origin = path.display().to_string();
        let parsed = if path.ends_with(".dockercfg") {
            DockerConfig::parse_entries(&origin, &bytes)
        } else {
            DockerConfig::parse(&origin, &bytes)
        };
        let config = parsed.map_err(|error| Failure::of(Blame::Input, &error))?;
        return Ok(Some(Arc::new(config.with_helpers(Arc::clone(helper)))));
    }
    Ok(None)
}

/// What CI systems give a job for their own registries, and for no other.
fn of_ci(variables: &Variables) -> Vec<Source> {
    let github = match (variables.text("GITHUB_ACTIONS"), variables.text("GITHUB_TOKEN")) {
        (Some("true"), Some(token)) => {
            let user = variables.text("GITHUB_ACTOR").unwrap_or("github-actions");
            fixed("ghcr.io", user, token, "`GITHUB_TOKEN`")
        }
        _ => Arc::new(AbsentSource::new("`GITHUB_TOKEN`", "not set, or not in GitHub Actions")),
    };
    let names = ["CI_REGISTRY", "CI_REGISTRY_USER", "CI_REGISTRY_PASSWORD"].map(|name| variables.text(name));
    let gitlab = match names {
        [Some(host), Some(user), Some(password)] => fixed(host, user, password, "`CI_REGISTRY_USER`"),
        _ => Arc::new(AbsentSource::new("`CI_REGISTRY_USER`", "not set")) as Source,
    };
    vec![github, gitlab]
}

fn fixed(host: &str, user: &str, secret: &str, origin: &str) -> Source {
    Arc::new(Fixed::new(Some(host), basic(user, Secret::new(secret.to_owned())), origin))
}

/// Tells on standard error, once for each registry, what each source said.
struct Explained {
    chain: CredentialChain,
    told: Mutex<BTreeSet<String>>,
}

#[async_trait]
impl CredentialSource for Explained {
    async fn find(&self, host: &str, repository: &str) -> Result<Option<Found>, CredentialError> {
        let first = self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned());
        if first {
            let text = explanation(host, &self.chain.explain(host, repository).await);
            // Nobody who reads standard error any more is no reason to stop.
            let _ = std::io::stderr().lock().write_all(text.as_bytes());
        }
        self.chain.find(host, repository).await
    }

    fn name(&self) -> String {
        self.chain.name()
    }
}

/// The search as lines.
fn explanation(host: &str, asked: &[(String, Asked)]) -> String {
    let mut out = format!("credential for {host}:\n");
    for (name, asked) in asked {
        let verdict = match asked {
            Asked::Answered(origin) if origin == name => "this one".to_owned(),
            Asked::Answered(origin) => format!("this one: {origin}"),
            Asked::Nothing => "has none for this registry".to_owned(),
            Asked::Absent(reason) => reason.clone(),
            Asked::Failed(error) => format!("failed: {error}"),
        };
        out.push_str(&format!("  {name}: {verdict}\n"));
    }
    if !asked.iter().any(|(_, asked)| matches!(asked, Asked::Answered(_) | Asked::Failed(_))) {
        out.push_str("  none: the registry is asked without\n");
    }
    out
}
