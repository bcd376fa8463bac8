//! Archives made header by header, well or badly.

#![allow(dead_code, reason = "each test takes what it needs")]

/// A header block whose fields can be set to anything.
#[derive(Clone)]
pub struct Header(pub [u8; 512]);

impl Header {
    /// A ustar header of a type.
    pub fn new(type_flag: u8, name: &str, size: u64) -> Self {
        let mut header = Self([0; 512]);
        header.field(0, name.as_bytes());
        header.field(100, b"0000644\0").field(108, b"0000000\0").field(116, b"0000000\0");
        header.field(124, format!("{size:011o}\0").as_bytes()).field(136, b"00000000000\0");
        header.field(156, &[type_flag]).field(257, b"ustar\x0000");
        header
    }

    /// A header with old GNU magic.
    pub fn gnu(type_flag: u8, name: &str, size: u64) -> Self {
        let mut header = Self::new(type_flag, name, size);
        header.field(257, b"ustar  \0");
        header
    }

    pub fn field(&mut self, at: usize, bytes: &[u8]) -> &mut Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// The sum of the bytes, the checksum taken as spaces.
    fn sum(&self, value: impl Fn(u8) -> i64) -> i64 {
        (0..512).map(|at| if (148..156).contains(&at) { 32 } else { value(self.0[at]) }).sum()
    }

    /// The block with its checksum.
    pub fn block(&self) -> Vec<u8> {
        let sum = self.sum(i64::from);
        let mut header = self.clone();
        header.field(148, format!("{sum:06o}\0 ").as_bytes());
        header.0.to_vec()
    }

    /// The block with a checksum of signed bytes.
    pub fn signed_block(&self) -> Vec<u8> {
        let sum = self.sum(|byte| i64::from(byte.cast_signed()));
        let mut header = self.clone();
        header.field(148, format!("{sum:06o}\0 ").as_bytes());
        header.0.to_vec()
    }
}

/// A header and a padded body.
pub fn with_body(header: &Header, body: &[u8]) -> Vec<u8> {
    let mut out = header.block();
    out.extend_from_slice(body);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

/// A pax header (`x` or `g`) with this body.
pub fn pax(type_flag: u8, body: &[u8]) -> Vec<u8> {
    with_body(&Header::new(type_flag, "PaxHeaders/x", body.len() as u64), body)
}

/// A pax record.
pub fn record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let length = (rest..).find(|length| length.to_string().len() + rest == *length).expect("some length");
    format!("{length} {key}={value}\n")
}

/// A pax header with these records.
pub fn records(type_flag: u8, pairs: &[(&str, &str)]) -> Vec<u8> {
    let body: String = pairs.iter().map(|(key, value)| record(key, value)).collect();
    pax(type_flag, body.as_bytes())
}

/// A GNU long name (`L`) or link (`K`).
pub fn long(type_flag: u8, name: &str) -> Vec<u8> {
    let body = format!("{name}\0");
    with_body(&Header::gnu(type_flag, "././@LongLink", body.len() as u64), body.as_bytes())
}

/// A regular file.
pub fn plain(name: &str, content: &[u8]) -> Vec<u8> {
    with_body(&Header::new(b'0', name, content.len() as u64), content)
}

/// The parts and the end of an archive.
pub fn archive(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut out = parts.concat();
    out.resize(out.len() + 1024, 0);
    out
}
