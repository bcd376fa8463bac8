//! Places as people write them on the command line. What stands on this machine is never taken for a name in a registry:
//! the wrong guess would ask a registry of the internet for it.

use std::path::Path;

use super::failure::Failure;
use super::what::PREFIXES;
use super::{blame, what};
use crate::oci::{Error, Reference};
use crate::store::{self, Location};

/// The value of a flag that wants a name in a registry.
///
/// # Errors
/// [`Error`]: also for a place of this machine.
pub fn reference(text: &str) -> Result<Reference, Error> {
    if PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
        let reason = "it is a place of this machine, which `--output` or `coracle pull` writes to";
        return Err(Error::Reference { text: text.to_owned(), reason });
    }
    text.parse()
}

/// The value of `--name`.
///
/// # Errors
/// Why it is none.
pub fn image_name(text: &str) -> Result<String, &'static str> {
    if text.contains([':', '@']) {
        return Err("a name has neither tag nor digest; tags are set with `--tag REF`");
    }
    Ok(text.to_owned())
}

/// Where an image is read from.
///
/// # Errors
/// A failure that says how a file or directory of this machine is named.
pub fn source(text: &str) -> Result<Location, Failure> {
    if what::is_path(text) {
        let failure = Failure::input(format!("`{text}` is a path of this machine, not the name of an image"));
        return Err(failure.hint(if Path::new(text).is_dir() {
            format!("write `oci:{text}` if it is an OCI layout")
        } else {
            format!("write `archive:{text}` for an archive, `oci:DIR` for an OCI layout")
        }));
    }
    text.parse().map_err(|error| {
        let failure = blame::of_store(&error);
        // A registry may be called `root`, but this is no image of it.
        match text.strip_prefix("root:") {
            Some(inside) => failure.hint(format!("a program of the root has an absolute path: write `root:/{inside}`")),
            None => failure,
        }
    })
}

/// Where an image is written to.
///
/// # Errors
/// A failure that names the kinds of places, when the text begins with none of them.
pub fn output(text: &str) -> Result<Location, Failure> {
    match text.parse::<Location>() {
        Ok(Location::Registry(_)) => {}
        Err(store::Error::Oci(_)) if !PREFIXES.iter().any(|prefix| text.starts_with(prefix)) => {}
        other => return other.map_err(|error| blame::of_store(&error)),
    }
    let failure = Failure::input(format!("`{text}` does not say what kind of output it is"));
    Err(failure.hint("write `oci:DIR`, `archive:FILE` or `docker-daemon:`; names in a registry are pushed to, with `--tag REF --push` or `coracle push`"))
}
