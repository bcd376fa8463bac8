//! What a file grants to whoever starts it. None of it gets into an image; `--file-cap` gives capabilities on purpose.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::super::Error;
use crate::plan::Capabilities;
use crate::rootfs::walk::CAPABILITY_XATTR;
use crate::rootfs::{Node, Root, resolve};

/// What a file grants to whoever starts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Privileges {
    /// Permission bits in four octal digits.
    pub mode: String,
    /// It runs as its owner.
    pub setuid: bool,
    /// It runs as its group.
    pub setgid: bool,
    /// File capabilities, as `getcap` shows them; `null` when there are none, or when they may not be read.
    pub capabilities: Option<String>,
}

impl Privileges {
    fn new(mode: u32, attribute: Option<&[u8]>) -> Self {
        let unknown = || "of a format that is not known".to_owned();
        Self {
            mode: format!("{:04o}", mode & 0o7777),
            setuid: mode & 0o4000 != 0,
            // Without the right to execute for the group, the bit once meant mandatory locks (inode(7)).
            setgid: mode & 0o2010 == 0o2010,
            capabilities: attribute
                .map(|raw| Capabilities::from_xattr(raw).map_or_else(unknown, |capabilities| capabilities.to_string())),
        }
    }

    /// Of a file of this machine; links are followed.
    pub(super) fn of_host(path: &Path) -> Result<Self, Error> {
        let metadata = std::fs::metadata(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let attribute = xattr::get(path, CAPABILITY_XATTR).ok().flatten();
        Ok(Self::new(metadata.mode(), attribute.as_deref()))
    }

    /// Of a file of a root; links are followed.
    pub(super) fn of_root(root: &dyn Root, path: &[u8]) -> Result<Option<Self>, Error> {
        let Some(found) = resolve(root, path)? else { return Ok(None) };
        let Node::File { mode, .. } = found.node else { return Ok(None) };
        Ok(Some(Self::new(mode, root.capabilities(&found.path).as_deref())))
    }
}
