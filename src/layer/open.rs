//! Reading a layer: the decompressed tar, with its diff ID.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use zstd::stream::read::Decoder;

use super::Error;
use crate::limits;
use crate::oci::media_type::Compression;
use crate::oci::{Algorithm, DiffId, Hasher};

/// Size of the buffers before a decoder and behind it.
const BUFFER: usize = 64 << 10;

/// The uncompressed tar of a layer. Reading computes the diff ID; whatever the layer was compressed with, all members
/// (gzip) or frames (zstd, skippable ones too) are read, as container runtimes do.
pub struct LayerReader {
    input: Box<dyn BufRead + Send>,
    codec: &'static str,
    hasher: Hasher,
    size: u64,
}

impl LayerReader {
    /// Reads the compressed bytes in `source`.
    ///
    /// # Errors
    /// [`Error::Decode`] when no decoder can be made. Damaged bytes show when they are read.
    pub fn open(compression: Compression, source: Box<dyn Read + Send>) -> Result<Self, Error> {
        let source = BufReader::with_capacity(BUFFER, source);
        let (codec, decoder): (_, Box<dyn Read + Send>) = match compression {
            Compression::None => ("tar", Box::new(source)),
            Compression::Gzip => ("gzip", Box::new(MultiGzDecoder::new(source))),
            Compression::Zstd => {
                let fail = |source| Error::Decode { codec: "zstd", source };
                let mut decoder = Decoder::with_buffer(source).map_err(fail)?;
                decoder.window_log_max(limits::MAX_ZSTD_WINDOW_LOG).map_err(fail)?;
                ("zstd", Box::new(decoder))
            }
        };
        let input = Box::new(BufReader::with_capacity(BUFFER, decoder));
        Ok(Self { input, codec, hasher: Hasher::new(Algorithm::Sha256), size: 0 })
    }

    /// Reads the rest, and gives the diff ID and the size of the tar in bytes.
    ///
    /// # Errors
    /// [`Error::Decode`] or [`Error::TooLarge`].
    pub fn finish(mut self) -> Result<(DiffId, u64), Error> {
        loop {
            let length = self.input.fill_buf().map_err(|source| Error::Decode { codec: self.codec, source })?.len();
            if length == 0 {
                return Ok((DiffId(self.hasher.finish()), self.size));
            }
            self.count(length)?;
        }
    }

    /// Counts and hashes the first `length` bytes of the buffer.
    fn count(&mut self, length: usize) -> Result<(), Error> {
        let bytes = self.input.fill_buf().map_err(|source| Error::Decode { codec: self.codec, source })?;
        self.hasher.update(&bytes[..length]);
        self.size += length as u64;
        self.input.consume(length);
        if self.size > limits::MAX_LAYER_BYTES {
            return Err(Error::TooLarge { limit: limits::MAX_LAYER_BYTES });
        }
        Ok(())
    }
}

impl Read for LayerReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = self.input.fill_buf()?;
        let length = available.len().min(into.len());
        into[..length].copy_from_slice(&available[..length]);
        self.count(length).map_err(io::Error::other)?;
        Ok(length)
    }
}
