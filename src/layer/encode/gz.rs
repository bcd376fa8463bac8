//! `gz1`: one gzip member (RFC 1952), deflated in blocks.
//!
//! Each block is deflated by a new state that knows the last 32 KiB before it, and ends in an empty stored block
//! (`Z_SYNC_FLUSH`), so that the pieces join at byte boundaries; the last one ends the stream. This costs about 0.01 % of
//! size against one stream.
//!
//! The state must be new and not merely reset: zlib-rs hashes up to one byte beyond what has been written to its window,
//! a reset leaves there what an earlier block wrote, and so the bytes would depend on which worker did which block.

use std::io;

use flate2::{Compress, Compression, FlushCompress, Status};

use crate::layer::Error;

/// Level of zlib-rs: 3 gives the size of umoci's and buildah's layers (0.386 of a large program) in a good half of the time
/// of 6; 5 is 3 % smaller and takes a quarter more time, which dominates everything else that a build does.
pub(super) const GZ1_LEVEL: u32 = 3;

/// Deflate, no flags, time 0, no extra flags, operating system unknown.
pub(super) const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// CRC-32 and size (modulo 2^32) of the tar, both little-endian.
pub(super) fn trailer(crc: u32, size: u64) -> [u8; 8] {
    let mut out = [0; 8];
    out[..4].copy_from_slice(&crc.to_le_bytes());
    out[4..].copy_from_slice(&size.to_le_bytes()[..4]);
    out
}

/// Deflates one block into `out` and gives the length.
pub(super) fn block(level: u32, dictionary: &[u8], data: &[u8], last: bool, out: &mut [u8]) -> Result<usize, Error> {
    let fail = |source| Error::Encode { codec: "gzip", source };
    let mut state = Compress::new(Compression::new(level), false);
    if !dictionary.is_empty() {
        state.set_dictionary(dictionary).map_err(|e| fail(e.into()))?;
    }
    let (flush, want) =
        if last { (FlushCompress::Finish, Status::StreamEnd) } else { (FlushCompress::Sync, Status::Ok) };
    let status = state.compress(data, out, flush).map_err(|e| fail(e.into()))?;
    let (read, written) = (state.total_in(), state.total_out());
    if status != want || read != data.len() as u64 || written >= out.len() as u64 {
        return Err(fail(io::Error::other("the block did not fit into its output")));
    }
    Ok(written as usize)
}
