//! `zst1`: one zstd frame (RFC 8878) for each block.
//!
//! Frames carry their content size, and neither checksum nor dictionary id: the blob's digest already covers every byte.
//! Independent frames cost up to 2.4 % of size, and any of them can be made or read alone.

use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

use crate::layer::Error;

/// Level of zstd.
pub(super) const ZST1_LEVEL: i32 = 3;

/// Frames of one block each.
pub(in crate::layer) struct Framer {
    state: Compressor<'static>,
}

impl Framer {
    pub(super) fn new(level: i32) -> Result<Self, Error> {
        let fail = |source| Error::Encode { codec: "zstd", source };
        let mut state = Compressor::new(level).map_err(fail)?;
        for parameter in
            [CParameter::ContentSizeFlag(true), CParameter::ChecksumFlag(false), CParameter::DictIdFlag(false)]
        {
            state.set_parameter(parameter).map_err(fail)?;
        }
        Ok(Self { state })
    }

    pub(super) fn block(&mut self, data: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        self.state.compress_to_buffer(data, out).map_err(|source| Error::Encode { codec: "zstd", source })
    }
}
