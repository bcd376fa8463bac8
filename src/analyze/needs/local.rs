//! What is local to the machine, when the root is its own `/`.

use super::NeedsRequest;
use crate::oci::ImagePath;
use crate::rootfs::RootError;

/// Where administrators and scripts of packages write.
const LOCAL: [&[u8]; 2] = [b"etc/", b"var/"];

/// Whether what lies at `path`, links resolved, may go into an image: of the machine's own `/`, what administrators and
/// scripts wrote may not, nor what they changed of a package's configuration.
pub(super) fn may_copy(request: &NeedsRequest, path: &ImagePath) -> Result<bool, RootError> {
    if !request.host || !LOCAL.iter().any(|directory| path.as_bytes().starts_with(directory)) {
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
