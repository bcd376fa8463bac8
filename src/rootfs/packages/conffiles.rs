//! Configuration files of packages that the administrator changed.

use super::super::{Root, RootError, read_whole};
use super::package::Manager;
use super::stanza;
use super::{Packages, dpkg, md5};
use crate::limits;
use crate::oci::ImagePath;

impl Packages {
    /// Whether the file at `path` is a configuration file of a package of dpkg and no longer what the package brought
    /// (`Conffiles` of the status file). One that is too large to be compared counts as changed.
    ///
    /// # Errors
    /// [`RootError`] when the file cannot be read.
    pub fn is_changed(&self, root: &dyn Root, path: &ImagePath) -> Result<bool, RootError> {
        let real = self.aliases.real(path.as_bytes());
        for package in self.owners(path).into_iter().filter(|package| package.manager == Manager::Dpkg) {
            let stanza = self.text.get(package.record.clone()).unwrap_or_default();
            let fields = stanza::fields(stanza);
            let Some(field) = fields.iter().find(|field| field.name.eq_ignore_ascii_case(b"Conffiles")) else {
                continue;
            };
            let place = |listed| self.aliases.real(self.diversions.place(listed, &package.name));
            let Some((_, sum)) = dpkg::parse_conffiles(field.lines).find(|(listed, _)| place(listed) == real) else {
                continue;
            };
            return match read_whole(root, path, limits::MAX_CONFFILE_BYTES) {
                Ok(bytes) => Ok(md5::hex(&bytes).as_bytes() != sum),
                Err(RootError::TooLarge { .. }) => Ok(true),
                Err(error) => Err(error),
            };
        }
        Ok(false)
    }
}
