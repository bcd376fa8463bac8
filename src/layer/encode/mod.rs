//! Frozen encoders.
//!
//! An encoder turns blocks of exactly [`BLOCK`] bytes (the last one may be shorter) into pieces of the compressed stream,
//! each block in one call and independently of which worker does it. So the bytes depend on nothing but the blocks: not on
//! the number of threads, and not on buffer sizes (which change what zlib-like encoders emit).

mod gz;
mod zst;

use crate::layer::Error;
use crate::oci::media_type;
use crate::plan::EncoderId;

/// Bytes of tar per block.
pub(super) const BLOCK: usize = 1 << 20;

/// Bytes of the previous block that an encoder may refer back to: the window of deflate (RFC 1951, section 2).
pub(super) const DICTIONARY: usize = 32 << 10;

/// Room for one compressed block: incompressible data grows by 5 bytes per stored deflate block, and by less in zstd.
pub(super) const OUTPUT: usize = BLOCK + (64 << 10);

/// A codec and its level. Only those of [`Codec::frozen`] have bytes that never change; others serve measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// Not compressed.
    Stored,
    /// One gzip member, level 1 to 9 of zlib-rs.
    Gzip(u32),
    /// Independent zstd frames of 1 MiB, level 1 to 22.
    Zstd(i32),
}

impl Codec {
    /// The codec that an encoder id stands for, for ever.
    #[must_use]
    pub const fn frozen(id: EncoderId) -> Self {
        match id {
            EncoderId::Gz1 => Self::Gzip(gz::GZ1_LEVEL),
            EncoderId::Zst1 => Self::Zstd(zst::ZST1_LEVEL),
            EncoderId::Tar => Self::Stored,
        }
    }

    /// The OCI media type of a layer of this codec.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Stored => media_type::OCI_LAYER,
            Self::Gzip(_) => media_type::OCI_LAYER_GZIP,
            Self::Zstd(_) => media_type::OCI_LAYER_ZSTD,
        }
    }

    /// What stands before the first block.
    pub(super) const fn prologue(self) -> &'static [u8] {
        match self {
            Self::Gzip(_) => &gz::HEADER,
            Self::Stored | Self::Zstd(_) => &[],
        }
    }

    /// What stands after the last block of a tar of `size` bytes.
    pub(super) fn epilogue(self, crc: u32, size: u64) -> Vec<u8> {
        match self {
            Self::Gzip(_) => gz::trailer(crc, size).to_vec(),
            Self::Stored | Self::Zstd(_) => Vec::new(),
        }
    }

    /// A worker's encoder.
    pub(super) fn encoder(self) -> Result<Encoder, Error> {
        Ok(match self {
            Self::Stored => Encoder::Stored,
            Self::Gzip(level) => Encoder::Gzip(level),
            Self::Zstd(level) => Encoder::Zstd(zst::Framer::new(level)?),
        })
    }
}

/// The state of one worker; what it encodes does not depend on what it encoded before.
pub(super) enum Encoder {
    Stored,
    Gzip(u32),
    Zstd(zst::Framer),
}

impl Encoder {
    /// Encodes one block. `None` means that the block goes out as it is.
    pub(super) fn block(
        &mut self,
        dictionary: &[u8],
        data: &[u8],
        last: bool,
        out: &mut [u8],
    ) -> Result<Option<usize>, Error> {
        match self {
            Self::Stored => Ok(None),
            Self::Gzip(level) => gz::block(*level, dictionary, data, last, out).map(Some),
            Self::Zstd(framer) => framer.block(data, out).map(Some),
        }
    }
}
