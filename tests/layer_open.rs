//! Opening layers that others compressed.

#[path = "support/entries.rs"]
mod entries;

use std::io::{Cursor, Read, Write};

use coracle::layer::{Error, LayerReader};
use coracle::oci::Digest;
use coracle::oci::media_type::Compression;
use entries::program_like;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("writes");
    encoder.finish().expect("ends")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("compresses")
}

fn open(compression: Compression, bytes: &[u8]) -> Result<LayerReader, Error> {
    LayerReader::open(compression, Box::new(Cursor::new(bytes.to_vec())))
}

#[test]
fn reads_every_member_and_frame() {
    let (one, two) = (program_like(1, 300_000), program_like(2, 5));
    let whole = [one.as_slice(), &two].concat();
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    for (compression, bytes) in [
        (Compression::None, whole.clone()),
        (Compression::Gzip, gzip(&whole)),
        (Compression::Gzip, [gzip(&one), gzip(&two)].concat()),
        (Compression::Zstd, [zstd(&one), zstd(&two)].concat()),
        (Compression::Zstd, [&skippable[..], &zstd(&one), &skippable, &zstd(&two), &skippable].concat()),
    ] {
        let (diff_id, size) = open(compression, &bytes).expect("opens").finish().expect("reads");
        assert_eq!((diff_id.0, size), (Digest::of(&whole), whole.len() as u64), "{compression:?}");

        // The same when somebody reads a part before.
        let mut reader = open(compression, &bytes).expect("opens");
        let mut part = vec![0; 70_001];
        reader.read_exact(&mut part).expect("reads");
        assert!(part == whole[..part.len()]);
        assert_eq!(reader.finish().expect("reads").0.0, Digest::of(&whole), "{compression:?}");
    }
}

#[test]
fn damage_is_an_error() {
    let bytes = program_like(3, 300_000);
    let (gz, zst) = (gzip(&bytes), zstd(&bytes));
    let mut wrong_crc = gz.clone();
    let last = wrong_crc.len() - 5;
    wrong_crc[last] ^= 1;
    for (compression, bytes) in [
        (Compression::Gzip, gz[..gz.len() - 1].to_vec()),
        (Compression::Gzip, gz[..gz.len() / 2].to_vec()),
        (Compression::Gzip, wrong_crc),
        (Compression::Gzip, zst.clone()),
        (Compression::Gzip, Vec::new()),
        (Compression::Gzip, [gz.as_slice(), b"tail"].concat()),
        (Compression::Zstd, zst[..zst.len() - 1].to_vec()),
        (Compression::Zstd, gz),
        (Compression::Zstd, [zst.as_slice(), b"tail"].concat()),
    ] {
        let error = open(compression, &bytes).expect("opens").finish().expect_err("damaged");
        assert!(matches!(error, Error::Decode { .. }), "{error}");
    }
}

#[test]
fn a_frame_with_a_huge_window_is_refused() {
    // A frame header that asks for a window of 2^31 bytes, without a content size (RFC 8878, 3.1.1.1.2).
    let frame = |window_descriptor: u8| [0x28, 0xb5, 0x2f, 0xfd, 0, window_descriptor, 1, 0, 0];
    let log = |log: u8| (log - 10) << 3;
    let error = open(Compression::Zstd, &frame(log(31))).expect("opens").finish().expect_err("too large");
    assert!(matches!(error, Error::Decode { codec: "zstd", .. }), "{error}");
    let (_, size) = open(Compression::Zstd, &frame(log(27))).expect("opens").finish().expect("an empty frame");
    assert_eq!(size, 0);
}
