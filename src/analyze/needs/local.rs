//! What is local to the machine, when the root is its own `/`.

use super::NeedsRequest;
use crate::oci::ImagePath;
use crate::rootfs::{Node, RootError};

/// Where administrators, scripts of packages and programs that run write.
const LOCAL: [&[u8]; 4] = [b"etc", b"run", b"tmp", b"var"];

/// Where every runtime mounts something of its own: never a part of an image, whatever the root.
const VOLATILE: [&[u8]; 3] = [b"dev", b"proc", b"sys"];

/// Whether what lies at `path`, links resolved, may go into an image: of the machine's own `/`, what administrators and
/// scripts wrote may not, nor what they changed of a package's configuration.
pub(super) fn may_copy(request: &NeedsRequest, path: &ImagePath) -> Result<bool, RootError> {
    if is_volatile(path) {
        return Ok(false);
    }
    if !request.host || !LOCAL.contains(&top(path)) {
        return Ok(true);
    }
    let Some(packages) = request.packages.as_ref().filter(|packages| packages.is_known(path)) else {
        return Ok(false);
    };
    match packages.is_changed(&*request.root, path) {
        Ok(changed) => Ok(!changed),
        Err(error) if error.hides() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a package brought a path; only of the machine's own root is it asked.
pub(super) fn is_of_a_package(request: &NeedsRequest, path: &ImagePath) -> bool {
    !request.host || request.packages.as_ref().is_some_and(|packages| packages.is_known(path))
}

/// Whether a link of the machine's own `/` was made there.
pub(super) fn is_local(request: &NeedsRequest, path: &ImagePath) -> bool {
    LOCAL.contains(&top(path)) && !is_of_a_package(request, path)
}

/// Whether not everyone may read a file, as keys and passwords are kept. In an image everyone could: so a directory does not
/// bring it along, and who names it hears of it.
pub(super) const fn is_private(node: &Node) -> bool {
    matches!(node, Node::File { mode, .. } if *mode & 0o004 == 0)
}

/// Whether a path lies where the kernel makes up what is there.
pub(super) fn is_volatile(path: &ImagePath) -> bool {
    VOLATILE.contains(&top(path))
}

fn top(path: &ImagePath) -> &[u8] {
    path.as_bytes().split(|b| *b == b'/').next().unwrap_or_default()
}
