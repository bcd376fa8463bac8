//! What lies under an image: the files of its base, and what the base's config says.

use std::fmt;
use std::sync::Arc;

use super::users::{NONROOT, User};
use super::{Error, findings};
use crate::diag::{Diagnostic, Severity};
use crate::limits;
use crate::oci::{ContainerConfig, Digest, ImagePath};
use crate::rootfs::{Node, Root, RootError, read_whole, resolve, resolve_new};

/// The base of an image.
#[derive(Clone)]
pub struct Base {
    /// Its files.
    pub files: Arc<dyn Root>,
    /// Its config, whose settings stay where the user does not say otherwise.
    pub config: ContainerConfig,
    /// Which image it is.
    pub image: BaseImage,
}

/// Which image a base is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseImage {
    /// Its full name in a registry, where it has one.
    pub name: Option<String>,
    /// The digest of the manifest for the image's platform.
    pub digest: Digest,
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Base").field("config", &self.config).field("image", &self.image).finish_non_exhaustive()
    }
}

/// What becomes of an entry on a base.
pub(super) enum Fate {
    /// It lies at this path.
    Here(ImagePath),
    /// It takes the place of something of the base.
    Replaces(ImagePath),
    /// The base has the directory, which stays as it is.
    There,
}

/// Where an entry lands: links of the base are followed in its directories. `mine` says that the attributes of a
/// directory matter.
pub(super) fn fate(
    files: &dyn Root,
    path: &ImagePath,
    directory: bool,
    mine: bool,
    origin: &str,
) -> Result<Fate, Error> {
    let refuse = |path: ImagePath, reason| Error::OnBase { path, origin: origin.to_owned(), reason };
    let at = match resolve_new(files, path) {
        Ok(at) => at,
        Err(RootError::NotADirectory(above)) => return Err(refuse(above, "is a file of the base")),
        Err(error) => return Err(Error::BaseRead(error)),
    };
    let there = files.node(&at).map_err(Error::BaseRead)?;
    match (there, directory) {
        (None, _) => Ok(Fate::Here(at)),
        (Some(Node::Directory { .. }), true) => Ok(if mine { Fate::Here(at) } else { Fate::There }),
        (Some(Node::Directory { .. }), false) => Err(refuse(at, "is a directory of the base")),
        (Some(Node::Symlink(_)), true) => {
            let leads = resolve(files, at.as_bytes()).map_err(Error::BaseRead)?;
            match leads {
                Some(leads) if matches!(leads.node, Node::Directory { .. }) => {
                    Ok(if mine { Fate::Here(leads.path) } else { Fate::There })
                }
                _ => Err(refuse(at, "is a link of the base that leads to no directory")),
            }
        }
        (Some(_), true) => Err(refuse(at, "is a file of the base")),
        (Some(_), false) => Ok(Fate::Replaces(at)),
    }
}

/// Whether the base has something at a path, links followed.
pub(super) fn has(files: &dyn Root, path: &ImagePath) -> bool {
    matches!(resolve(files, path.as_bytes()), Ok(Some(_)))
}

/// Whether the base has a regular file at the path itself.
pub(super) fn has_file(files: &dyn Root, path: &ImagePath) -> bool {
    matches!(files.node(path), Ok(Some(Node::File { .. })))
}

/// Whether the base has a directory at the path itself.
pub(super) fn has_directory(files: &dyn Root, path: &ImagePath) -> bool {
    matches!(files.node(path), Ok(Some(Node::Directory { .. })))
}

/// Whether everyone may write to a directory of the base.
pub(super) fn is_open_to_all(files: &dyn Root, path: &ImagePath) -> bool {
    let found = resolve(files, path.as_bytes());
    matches!(found, Ok(Some(found)) if matches!(found.node, Node::Directory { mode } if mode & 0o002 != 0))
}

/// Whether the base has a file there that can be executed.
pub(super) fn is_executable(files: &dyn Root, path: &ImagePath) -> bool {
    let found = resolve(files, path.as_bytes());
    matches!(found, Ok(Some(found)) if matches!(found.node, Node::File { mode, .. } if mode & 0o111 != 0))
}

/// Who the base runs as, with the numbers that its account files give. `None` for root, and for a name that they do not
/// have, which is told.
pub(super) fn user(base: &Base, told: &mut Vec<Diagnostic>) -> Option<(String, User)> {
    let text = base.config.user.clone().filter(|text| !text.is_empty())?;
    let (name, group) = text.split_once(':').map_or((text.as_str(), None), |(name, group)| (name, Some(group)));
    let passwd = lines(&*base.files, b"etc/passwd");
    let account = passwd.iter().find(|fields| fields.first().is_some_and(|own| own == name));
    let number = |fields: &Vec<String>, at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok());
    let uid = name.parse::<u64>().ok().or_else(|| account.and_then(|fields| number(fields, 2)));
    let Some(uid) = uid else {
        let message = format!("the base runs as `{text}`, which its `/etc/passwd` does not have");
        let finding = Diagnostic::new(findings::BASE_USER, Severity::Warning, text, message);
        told.push(finding.with_hint(format!("the program runs as {NONROOT}; say otherwise with `--user UID:GID`")));
        return None;
    };
    let groups = lines(&*base.files, b"etc/group");
    let by_name = |group: &str| {
        let found = groups.iter().find(|fields| fields.first().is_some_and(|own| own == group));
        found.and_then(|fields| number(fields, 2))
    };
    let gid = match group {
        Some(group) => group.parse().ok().or_else(|| by_name(group)),
        None => account.and_then(|fields| number(fields, 3)),
    };
    (uid != 0).then(|| (text.clone(), User { uid, gid: gid.unwrap_or(0) }))
}

/// The fields of an account file (passwd(5), group(5)); none when there is none.
fn lines(files: &dyn Root, path: &[u8]) -> Vec<Vec<String>> {
    let Ok(Some(found)) = resolve(files, path) else { return Vec::new() };
    let bytes = read_whole(files, &found.path, limits::MAX_ACCOUNT_FILE_BYTES).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.lines().map(|line| line.split(':').map(str::to_owned).collect()).collect()
}
