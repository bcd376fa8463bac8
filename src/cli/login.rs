//! `coracle login` and `coracle logout`.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::{Common, Network};
use super::credentials::{password, process_helper};
use super::failure::{Blame, Failure};
use super::output::Output;
use super::settings::{Variables, unreadable};
use super::{blame, work};
use crate::oci::{Reference, Secret};
use crate::pipeline;
use crate::registry::{AuthFile, Credential, Fixed, server};

/// Arguments of `coracle login`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    coracle login registry.example:5000 --username ci --password-file ./password\n  \
    echo \"$TOKEN\" | coracle login ghcr.io --username acme --password-stdin\n  \
    coracle login registry.example --username ci --password-file ./password --authfile ./auth.json")]
pub struct LoginArgs {
    /// The registry
    #[arg(value_name = "HOST[:PORT]")]
    pub host: String,
    /// Read the password from standard input
    #[arg(long, conflicts_with = "password_file")]
    pub password_stdin: bool,
    /// Do not ask the registry whether it accepts the user
    #[arg(long)]
    pub no_check: bool,
    #[command(flatten)]
    pub network: Network,
    #[command(flatten)]
    pub common: Common,
}

/// Arguments of `coracle logout`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    coracle logout ghcr.io\n  \
    coracle logout registry.example --authfile ./auth.json")]
pub struct LogoutArgs {
    /// The registry
    #[arg(value_name = "HOST[:PORT]")]
    pub host: String,
    /// Change this file [default: `$REGISTRY_AUTH_FILE`, `$DOCKER_CONFIG/config.json`, `~/.docker/config.json`]
    #[arg(long, value_name = "FILE")]
    pub authfile: Option<PathBuf>,
    /// Print nothing to stderr but errors
    #[arg(long, short)]
    pub quiet: bool,
}

/// Asks the registry, then keeps user and password where docker and podman read them.
pub fn login(args: &LoginArgs, variables: &Variables, output: &Output) -> Result<(), Failure> {
    let reference = host(&args.host)?;
    let Some(user) = &args.network.username else {
        return Err(Failure::input("a login needs a user").hint("name it with `--username USER`"));
    };
    let secret = match (&args.network.password_file, args.password_stdin) {
        (Some(file), _) => password(file)?,
        (None, true) => password(Path::new("-"))?,
        (None, false) => {
            return Err(Failure::input("a login needs a password")
                .hint("pipe it in with `--password-stdin`, or name a file with `--password-file`; a flag would show it to others"));
        }
    };
    if secret.expose().is_empty() {
        return Err(Failure::input("the password is empty"));
    }
    if !args.no_check {
        check(args, &reference, user, &secret, variables)?;
    }
    let path = file(args.network.authfile.as_ref(), variables)?;
    let mut auths = read(&path)?;
    let kept = if let Some(helper) = auths.helper(&args.host) {
        let stored = process_helper(variables).store(helper, server(&args.host), user, &secret);
        stored.map_err(|error| Failure::of(Blame::Environment, &error))?;
        format!("the credential helper `{helper}` of `{}`", path.display())
    } else {
        auths.keep(&args.host, user, &secret).map_err(|error| Failure::of(Blame::Input, &error))?;
        write(&path, &auths.to_bytes())?;
        format!("`{}`", path.display())
    };
    output.say(format!("logged in to {} as {user}; kept by {kept}", args.host));
    Ok(())
}

/// Removes what login has kept.
pub fn logout(args: &LogoutArgs, variables: &Variables, output: &Output) -> Result<(), Failure> {
    host(&args.host)?;
    let path = file(args.authfile.as_ref(), variables)?;
    let mut auths = read(&path)?;
    let mut found = auths.forget(&args.host);
    if found {
        write(&path, &auths.to_bytes())?;
    }
    if let Some(helper) = auths.helper(&args.host) {
        let erased = process_helper(variables).erase(helper, server(&args.host));
        erased.map_err(|error| Failure::of(Blame::Environment, &error))?;
        found = true;
    }
    let words = if found { "logged out of" } else { "there was no login for" };
    output.say(format!("{words} {} in `{}`", args.host, path.display()));
    Ok(())
}

/// A registry by its name alone.
fn host(text: &str) -> Result<Reference, Failure> {
    let fail = || Failure::input(format!("`{text}` is not the name of a registry"));
    if text.contains(['/', '@']) {
        return Err(fail().hint("write its host alone, for example `ghcr.io` or `registry.example:5000`"));
    }
    format!("{text}/x").parse().map_err(|error: crate::oci::Error| fail().caused_by(error.to_string()))
}

fn check(
    args: &LoginArgs,
    reference: &Reference,
    user: &str,
    secret: &Secret,
    variables: &Variables,
) -> Result<(), Failure> {
    // The user of these flags is the one that is asked about, and its password may have been read from standard input.
    let network = Network { username: None, password_file: None, ..args.network.clone() };
    let mut environment = variables.pipeline_environment(None, Some(&network), &args.common)?;
    let credential = Credential::Basic { username: user.to_owned(), password: secret.clone() };
    environment.credentials = Arc::new(Fixed::new(None, credential, "the login"));
    work::run(&args.common, variables, async |observer| {
        let registry = environment.registry(&observer).map_err(|error| blame::of_pipeline(&error))?;
        let accepted = registry.check(reference).await;
        accepted.map_err(|error| blame::of_pipeline(&pipeline::Error::Registry(error)))
    })
}

/// The file that is changed: the one named, else docker's, which podman reads too.
fn file(named: Option<&PathBuf>, variables: &Variables) -> Result<PathBuf, Failure> {
    let docker = variables.path("DOCKER_CONFIG").or_else(|| variables.path("HOME").map(|home| home.join(".docker")));
    let found = named.cloned().or_else(|| variables.path("REGISTRY_AUTH_FILE"));
    found.or_else(|| docker.map(|directory| directory.join("config.json"))).ok_or_else(|| {
        Failure::input("there is no place to keep a login").hint("set `HOME`, or name a file with `--authfile FILE`")
    })
}

fn read(path: &Path) -> Result<AuthFile, Failure> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(unreadable(path, &error)),
    };
    AuthFile::parse(&path.display().to_string(), bytes.as_deref()).map_err(|error| Failure::of(Blame::Input, &error))
}

/// Writes aside and renames, readable by its owner alone; a link stays one.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let fail = |error: std::io::Error| {
        Failure::environment(format!("cannot write `{}`", path.display())).caused_by(error.to_string())
    };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(fail)?;
    let mut file = tempfile::Builder::new()
        .prefix(".coracle-auth-")
        .permissions(std::fs::Permissions::from_mode(0o600))
        .tempfile_in(directory)
        .map_err(fail)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(fail)?;
    file.persist(&path).map_err(|error| fail(error.error))?;
    Ok(())
}
