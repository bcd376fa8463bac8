//! What `build` tells about an image: on stdout and in the files that flags name.

use std::fs::{Metadata, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::build::Args;
use super::failure::Failure;
use crate::pipeline::{ImageSummary, Outcome, Request};
use crate::store::{Destination, destination};

/// All references, one per line.
pub fn references(outcome: &Outcome) -> String {
    outcome.places.iter().flat_map(|place| &place.references).map(|reference| format!("{reference}\n")).collect()
}

/// The whole outcome.
pub fn json(outcome: &Outcome) -> Value {
    let milliseconds = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    json!({
        "name": outcome.name,
        "digest": outcome.root.digest(),
        "mediaType": outcome.root.media_type(),
        "size": outcome.root.bytes().len(),
        "images": outcome.images.iter().map(image).collect::<Vec<_>>(),
        "places": outcome.places.iter().map(|place| json!({
            "location": place.location.to_string(),
            "references": place.references,
            "blobsWritten": place.written,
            "blobsSpared": place.spared,
            "bytesWritten": place.bytes,
        })).collect::<Vec<_>>(),
        "diagnostics": outcome.diagnostics,
        "milliseconds": {
            "plan": milliseconds(outcome.timing.plan),
            "pack": milliseconds(outcome.timing.pack),
            "deliver": milliseconds(outcome.timing.deliver),
        },
    })
}

fn image(image: &ImageSummary) -> Value {
    json!({
        "platform": image.platform.to_string(),
        "manifest": image.manifest,
        "config": image.config,
        "layers": image.layers,
        "storedBytes": image.stored_bytes(),
        "contentBytes": image.content_bytes,
        "paths": image.paths,
    })
}

/// Sees to it, before anything is done, that no file that flags name takes the place of one that is read.
///
/// # Errors
/// A failure that names the file.
pub fn keep_apart(args: &Args, request: &Request) -> Result<(), Failure> {
    let identity = |path: &Path| std::fs::metadata(path).ok().filter(Metadata::is_file).map(|m| (m.dev(), m.ino()));
    let programs = request.programs.iter().map(|program| &program.path);
    let read: Vec<&PathBuf> = programs.chain(request.adds.iter().map(|add| &add.src)).collect();
    for path in [&args.digest_file, &args.image_refs, &args.metadata_file].into_iter().flatten() {
        let written = identity(path);
        if let Some(source) = read.iter().find(|source| written.is_some() && identity(source) == written) {
            let (path, source) = (path.display(), source.display());
            return Err(Failure::input(format!(
                "`{path}` would be written over `{source}`, which goes into the image"
            ))
            .hint("write to another file"));
        }
    }
    Ok(())
}

/// Writes the files that flags name, each whole or not at all.
///
/// # Errors
/// A failure that names the file.
pub fn files(args: &Args, outcome: &Outcome) -> Result<(), Failure> {
    if let Some(path) = &args.digest_file {
        write(path, format!("{}\n", outcome.root.digest()).as_bytes())?;
    }
    if let Some(path) = &args.image_refs {
        write(path, references(outcome).as_bytes())?;
    }
    if let Some(path) = &args.metadata_file {
        write(path, format!("{:#}\n", metadata(outcome)).as_bytes())?;
    }
    Ok(())
}

/// The members that `docker buildx build --metadata-file` writes. An index has no config of its own.
fn metadata(outcome: &Outcome) -> Value {
    let root = &outcome.root;
    let names: Vec<&str> = outcome
        .places
        .iter()
        .flat_map(|place| &place.references)
        .filter(|reference| !reference.starts_with("oci:") && !reference.starts_with("archive:"))
        .map(|reference| reference.split('@').next().unwrap_or(reference))
        .collect();
    let mut members = json!({
        "containerimage.digest": root.digest(),
        "containerimage.descriptor": root.descriptor(),
        "image.name": names.join(","),
    });
    if let [image] = outcome.images.as_slice() {
        members["containerimage.config.digest"] = json!(image.config.digest);
        members["containerimage.descriptor"] = json!(image.manifest);
    }
    members
}

/// Replaces a file in one step; a device or pipe is written to.
///
/// # Errors
/// A failure that names the file.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let attempt = || -> std::io::Result<()> {
        let place = match destination(path)? {
            Destination::Existing(mut file) => return file.write_all(bytes),
            Destination::Replace(place) => place,
        };
        let directory = place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().prefix(".coracle-").tempfile_in(directory)?;
        file.write_all(bytes)?;
        file.as_file().set_permissions(Permissions::from_mode(0o644))?;
        file.persist(&place).map_err(|e| e.error)?;
        Ok(())
    };
    attempt().map_err(|error| {
        Failure::environment(format!("cannot write `{}`", path.display()))
            .caused_by(error.to_string())
            .hint("the image itself is where it belongs")
    })
}
