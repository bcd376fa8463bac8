//! Places of images as people write them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{Error, Pointer};
use crate::oci::Reference;

/// Where an image is or goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// `oci:DIR[:TAG|@DIGEST]`: an OCI layout directory.
    Layout {
        /// The directory.
        directory: PathBuf,
        /// Which image; without it the only one, or the one tagged `latest`.
        pointer: Option<Pointer>,
    },
    /// `archive:FILE`: an archive that every tool loads.
    Archive(PathBuf),
    /// `docker-daemon:[REF]`: the local docker daemon.
    Daemon(Option<Reference>),
    /// A registry reference.
    Registry(Reference),
}

impl FromStr for Location {
    type Err = Error;

    /// A directory whose last component has a colon is written with a slash at its end (`oci:a:b/`), because what
    /// follows the last colon would be its tag. An image called `oci` or `archive` in Docker's library is written with
    /// its host.
    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |reason| Error::Location { text: text.to_owned(), reason };
        if let Some(rest) = text.strip_prefix("oci:") {
            return layout(rest).map_err(|e| e.unwrap_or_else(|| refuse("the directory is missing after `oci:`")));
        }
        if let Some(file) = text.strip_prefix("archive:") {
            return match file {
                "" => Err(refuse("the file is missing after `archive:`")),
                file => Ok(Self::Archive(PathBuf::from(file))),
            };
        }
        if let Some(reference) = text.strip_prefix("docker-daemon:") {
            return match reference {
                "" => Ok(Self::Daemon(None)),
                reference => Ok(Self::Daemon(Some(reference.parse()?))),
            };
        }
        for (prefix, reason) in [
            ("docker://", "a registry reference stands without `docker://`"),
            ("oci-archive:", "archives of either kind are `archive:FILE`"),
            ("docker-archive:", "archives of either kind are `archive:FILE`"),
            ("containers-storage:", "write `archive:FILE` and load it with `podman load`"),
            ("dir:", "write `oci:DIR`"),
        ] {
            if text.starts_with(prefix) {
                return Err(refuse(reason));
            }
        }
        Ok(Self::Registry(text.parse()?))
    }
}

/// `DIR[:TAG|@DIGEST]`; `Err(None)` when there is no directory.
fn layout(text: &str) -> Result<Location, Option<Error>> {
    let name_start = text.rfind('/').map_or(0, |at| at + 1);
    let (directory, pointer) = if let Some(at) = text[name_start..].find('@').map(|at| name_start + at) {
        let digest = text[at + 1..].parse().map_err(|e| Some(Error::Oci(e)))?;
        (&text[..at], Some(Pointer::Digest(digest)))
    } else if let Some(at) = text[name_start..].rfind(':').map(|at| name_start + at) {
        let tag = text[at + 1..].parse().map_err(|e| Some(Error::Oci(e)))?;
        (&text[..at], Some(Pointer::Tag(tag)))
    } else {
        (text, None)
    };
    if directory.is_empty() {
        return Err(None);
    }
    Ok(Location::Layout { directory: PathBuf::from(directory), pointer })
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &Path| path.display().to_string();
        match self {
            Self::Layout { directory, pointer: None } => write!(f, "oci:{}", shown(directory)),
            Self::Layout { directory, pointer: Some(Pointer::Tag(tag)) } => write!(f, "oci:{}:{tag}", shown(directory)),
            Self::Layout { directory, pointer: Some(Pointer::Digest(digest)) } => {
                write!(f, "oci:{}@{digest}", shown(directory))
            }
            Self::Archive(file) => write!(f, "archive:{}", shown(file)),
            Self::Daemon(None) => f.write_str("docker-daemon:"),
            Self::Daemon(Some(reference)) => write!(f, "docker-daemon:{reference}"),
            Self::Registry(reference) => reference.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, want) in [
            ("oci:out", Ok("oci:out")),
            ("oci:./a/b:v1", Ok("oci:./a/b:v1")),
            ("oci:a:b/", Ok("oci:a:b/")),
            (&format!("oci:/x/y@{digest}"), Ok(&*format!("oci:/x/y@{digest}"))),
            ("archive:x.tar", Ok("archive:x.tar")),
            ("docker-daemon:", Ok("docker-daemon:")),
            ("docker-daemon:app:v1", Ok("docker-daemon:docker.io/library/app:v1")),
            ("r.io/app:v1", Ok("r.io/app:v1")),
            ("oci:", Err("directory is missing")),
            ("oci::v1", Err("directory is missing")),
            ("oci:out:", Err("empty")),
            ("oci:out@sha256:12", Err("wrong length")),
            ("archive:", Err("file is missing")),
            ("docker://r.io/x", Err("without `docker://`")),
            ("docker-archive:x.tar", Err("archive:FILE")),
            ("docker-daemon:UPPER/..", Err("not an image reference")),
        ] {
            match (text.parse::<Location>(), want) {
                (Ok(got), Ok(want)) => {
                    assert_eq!(got.to_string(), want);
                    assert_eq!(got.to_string().parse::<Location>().unwrap(), got, "it reads back");
                }
                (Err(got), Err(want)) => assert!(got.to_string().contains(want), "{text}: {got}"),
                (got, want) => panic!("{text}: got {got:?}, want {want:?}"),
            }
        }
    }
}
