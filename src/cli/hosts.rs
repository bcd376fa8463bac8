//! Finds the files that say how single registries are reached (docs/hosts.md).

use std::io::Read;
use std::path::{Path, PathBuf};

use super::args::Network;
use super::failure::Failure;
use super::settings::{Variables, unreadable};
use crate::limits;
use crate::registry::{Hosts, RegistriesConf};

/// Reads them all: those that flags name, else those of the user, else those of the machine.
///
/// # Errors
/// A failure for a file that is named and cannot be read, and for one that is not valid.
pub fn load(variables: &Variables, flags: &Network) -> Result<Hosts, Failure> {
    let named = flags.registries_conf.clone().or_else(|| variables.path("CONTAINERS_REGISTRIES_CONF"));
    let conf = match &named {
        Some(path) => parse(path, read(path)?.ok_or_else(|| absent(path))?)?,
        None if flags.no_host_files => RegistriesConf::default(),
        None => usual(variables)?,
    };
    let mut directories = flags.hosts_dir.clone();
    for directory in &directories {
        std::fs::read_dir(directory).map_err(|error| unreadable(directory, &error))?;
    }
    if !flags.no_host_files {
        let own = config_home(variables).into_iter();
        let bases = own.chain([PathBuf::from("/etc")]);
        let below = |base: PathBuf| ["containers", "docker", "containerd"].map(|tool| base.join(tool).join("certs.d"));
        directories.extend(bases.flat_map(below));
    }
    Ok(Hosts::new(conf, &directories))
}

/// `registries.conf` of the user or else of the machine, then what stands in the directories beside both.
fn usual(variables: &Variables) -> Result<RegistriesConf, Failure> {
    let homes: Vec<PathBuf> = config_home(variables).into_iter().chain([PathBuf::from("/etc")]).collect();
    let mut conf = RegistriesConf::default();
    for home in &homes {
        let path = home.join("containers/registries.conf");
        if let Some(bytes) = read_usual(&path)? {
            conf = parse(&path, bytes)?;
            break;
        }
    }
    // The machine's first: the user's go before them.
    for home in homes.iter().rev() {
        let Ok(children) = std::fs::read_dir(home.join("containers/registries.conf.d")) else { continue };
        let mut files: Vec<PathBuf> = children.filter_map(Result::ok).map(|child| child.path()).collect();
        files.retain(|file| file.extension().is_some_and(|ending| ending == "conf"));
        files.sort();
        for path in files {
            if let Some(bytes) = read_usual(&path)? {
                conf = conf.overridden_by(parse(&path, bytes)?);
            }
        }
    }
    Ok(conf)
}

fn config_home(variables: &Variables) -> Option<PathBuf> {
    let own = variables.path("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    own.or_else(|| variables.path("HOME").map(|home| home.join(".config")))
}

/// As [`read`], of a file that nobody named: one of somebody else, as in a home that came with `sudo`, says nothing.
fn read_usual(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    match std::fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Ok(None),
        _ => read(path),
    }
}

/// `None` when there is no such file.
fn read(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, &error)),
    };
    let mut bytes = Vec::new();
    file.take(limits::MAX_HOSTS_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > limits::MAX_HOSTS_FILE_BYTES {
        let message = format!("`{}` is longer than {} bytes", path.display(), limits::MAX_HOSTS_FILE_BYTES);
        return Err(Failure::input(message));
    }
    Ok(Some(bytes))
}

fn absent(path: &Path) -> Failure {
    unreadable(path, &std::io::Error::from(std::io::ErrorKind::NotFound))
}

fn parse(path: &Path, bytes: Vec<u8>) -> Result<RegistriesConf, Failure> {
    RegistriesConf::parse(&bytes, &path.display().to_string()).map_err(|error| {
        Failure::input(error.to_string())
            .hint("correct it, name another with `--registries-conf`, or do without such files: `--no-host-files`")
    })
}
