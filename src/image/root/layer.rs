//! Reading one layer: unpacked, kept, verified.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use super::file::Archive;
use super::spool::{Spool, Tee};
use super::{Fault, ImageRoot};
use crate::blob::{Blob, Layer};
use crate::image::stream::{self, Shared, Tally};
use crate::layer::tar::{self, TarReader};
use crate::observe::{Event, Observer};
use crate::oci::{DiffId, media_type};
use crate::rootfs::HostFile;

/// Size of the buffer behind the decoder.
const BUFFER: usize = 128 << 10;

impl ImageRoot {
    /// Adds a layer that may unpack to `left` bytes; gives how many it did.
    pub(super) fn add_layer(
        &mut self,
        layer: &Layer,
        temp_dir: &Path,
        left: u64,
        observer: &dyn Observer,
    ) -> Result<u64, Fault> {
        let descriptor = layer.blob.descriptor();
        let compression = media_type::layer_compression(&descriptor.media_type)
            .ok_or_else(|| Fault::MediaType(descriptor.media_type.clone()))?;
        let in_place = if compression == media_type::Compression::None { local(&layer.blob)? } else { None };
        let source: Box<dyn Read + Send> = match &in_place {
            Some(archive) => Box::new(beginning(archive).map_err(Fault::Read)?.take(descriptor.size)),
            None => layer.blob.open(0).map_err(Fault::Open)?,
        };
        let id = descriptor.digest.to_string();
        observer.event(Event::Begin { id: &id, verb: "reading", total: Some(descriptor.size) });
        let (stored, unpacked) = (Shared::new(descriptor.digest.algorithm()), Shared::new(layer.diff_id.0.algorithm()));
        let watched = Some((observer, id.clone()));
        let mut source = Tally { inner: source, shared: stored.clone(), limit: descriptor.size, observer: watched };
        let bound = stream::bound(descriptor.size);
        let spool = Spool::new(in_place.is_none().then_some(temp_dir))?;
        let (read, spool) = {
            let inner = stream::unpack(compression, &mut source).map_err(Fault::Decode)?;
            let tally = Tally { inner, shared: unpacked.clone(), limit: bound.min(left), observer: None };
            let tee = Tee { inner: tally, spool };
            let mut reader = TarReader::new(BufReader::with_capacity(BUFFER, tee));
            let read = self.apply(&mut reader);
            (read, reader.into_inner().into_inner().spool)
        };
        // The rest of the blob, for its digest. Behind a bomb there is nothing to learn.
        if !unpacked.lock().over {
            io::copy(&mut source, &mut io::sink()).ok();
        }
        if observer.cancelled() {
            return Err(Fault::Cancelled);
        }
        let kept = spool.finish(temp_dir)?;
        if unpacked.lock().over {
            return Err(if bound <= left {
                Fault::Unpacked { limit: bound }
            } else {
                Fault::TooMany { what: "bytes of unpacked layers", limit: self.limits.unpacked_bytes }
            });
        }
        verify_stored(&stored, layer)?;
        read?;
        verify_unpacked(&unpacked, &layer.diff_id)?;
        // invariant: there is one of the two
        self.archives.extend(in_place.or(kept));
        observer.event(Event::End { id: &id, note: "" });
        let bytes = unpacked.lock().bytes;
        Ok(bytes)
    }

    fn apply<R: Read>(&mut self, reader: &mut TarReader<R>) -> Result<(), Fault> {
        while let Some(entry) = reader.next_entry().map_err(of_tar)? {
            let offset = reader.position();
            self.entry(&entry, offset)?;
        }
        Ok(())
    }
}

fn of_tar(error: tar::Error) -> Fault {
    match error {
        tar::Error::Read(source) => Fault::Decode(source),
        other => Fault::Tar(other),
    }
}

/// The file of this machine that holds a blob as it is.
fn local(blob: &Blob) -> Result<Option<Archive>, Fault> {
    let Some((path, start)) = blob.place() else { return Ok(None) };
    let open = HostFile::open(path).map_err(|error| Fault::Read(io::Error::other(error)))?;
    Ok(Some(Archive { file: Arc::new(open.into_file()), start }))
}

fn beginning(archive: &Archive) -> io::Result<File> {
    let mut file = archive.file.try_clone()?;
    file.seek(SeekFrom::Start(archive.start))?;
    Ok(file)
}

fn verify_stored(stored: &Shared, layer: &Layer) -> Result<(), Fault> {
    let descriptor = layer.blob.descriptor();
    let (bytes, failed, over) = {
        let mut passed = stored.lock();
        (passed.bytes, passed.failed.take(), passed.over)
    };
    if let Some(error) = failed {
        return Err(Fault::Read(error));
    }
    if over || bytes != descriptor.size {
        return Err(Fault::Size(descriptor.size));
    }
    match stored.digest() {
        Some(actual) if actual != descriptor.digest => Err(Fault::Digest(actual)),
        _ => Ok(()),
    }
}

fn verify_unpacked(unpacked: &Shared, diff_id: &DiffId) -> Result<(), Fault> {
    match unpacked.digest() {
        Some(actual) if actual != diff_id.0 => Err(Fault::DiffId { expected: diff_id.0.clone(), actual }),
        _ => Ok(()),
    }
}
