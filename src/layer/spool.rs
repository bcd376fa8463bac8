//! Packing into a temporary file, which lives as long as the blob that reads it.

use std::path::Path;
use std::sync::Arc;

use super::{Error, PackOptions, Packed, pack};
use crate::blob::{Blob, SealedFile};
use crate::observe::Observer;
use crate::plan::{EncoderId, LayerPlan};

/// Packs a layer into a temporary file in `dir`. The file is removed when the last copy of the blob is dropped, or at once
/// after an error.
///
/// # Errors
/// As [`pack`]; [`Error::Spool`] names the file when the disk is full or `dir` cannot be written.
pub fn pack_to_dir(
    layer: &LayerPlan,
    created: u64,
    encoder: EncoderId,
    options: &PackOptions,
    observer: &dyn Observer,
    dir: &Path,
) -> Result<(Packed, Blob), Error> {
    let spool = |path: &Path, source| Error::Spool { path: path.to_owned(), source };
    let mut file =
        tempfile::Builder::new().prefix(".coracle-layer-").tempfile_in(dir).map_err(|source| spool(dir, source))?;
    let packed = pack(layer, created, encoder, options, observer, file.as_file_mut()).map_err(|error| match error {
        Error::Write(source) => spool(file.path(), source),
        other => other,
    })?;
    let source = SealedFile::new(file.into_temp_path());
    let blob = Blob::new(packed.descriptor.clone(), Arc::new(source));
    Ok((packed, blob))
}
