//! pax records: `<length> <key>=<value>\n`, where the length counts the whole record, itself included.

use std::collections::BTreeMap;

use super::Error;
use super::fields::decimal;

/// Prefix of the keys that carry extended attributes.
pub(super) const XATTR: &[u8] = b"SCHILY.xattr.";

/// Records by key.
pub(super) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// Encodes records in the order of their keys.
pub(super) fn encode(records: &Records) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + digits(rest);
        // One more digit can push the length itself over a power of ten.
        if digits(length) != digits(rest) {
            length = rest + digits(length);
        }
        out.extend_from_slice(length.to_string().as_bytes());
        out.push(b' ');
        out.extend_from_slice(key);
        out.push(b'=');
        out.extend_from_slice(value);
        out.push(b'\n');
    }
    out
}

fn digits(number: usize) -> usize {
    number.to_string().len()
}

/// What one pax header says.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// The records; of repeated ones the last.
    pub(super) records: Records,
    /// Whether a record stands twice.
    pub(super) repeated: bool,
    /// The numbers of `GNU.sparse.offset` and `GNU.sparse.numbytes` in their order (sparse format 0.0 repeats them).
    pub(super) sparse: Vec<u64>,
}

/// Parses the body of the pax header at `offset`.
pub(super) fn parse(mut body: &[u8], offset: u64) -> Result<Parsed, Error> {
    let fail = |reason| Error::Pax { offset, reason };
    let mut parsed = Parsed::default();
    while !body.is_empty() {
        // Some writers pad with NULs inside of the size.
        if body.iter().all(|byte| *byte == 0) {
            break;
        }
        let space =
            body.iter().take(21).position(|byte| *byte == b' ').ok_or_else(|| fail("a record has no length"))?;
        let length = decimal(&body[..space]).ok_or_else(|| fail("a record has no length"))?;
        let length = usize::try_from(length).ok().filter(|length| (space + 1..=body.len()).contains(length));
        let (record, rest) = body.split_at(length.ok_or_else(|| fail("a record's length is wrong"))?);
        body = rest;
        let record =
            record[space + 1..].strip_suffix(b"\n").ok_or_else(|| fail("a record does not end in a newline"))?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(|| fail("a record has no `=`"))?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        if key.is_empty() {
            return Err(fail("a record has no key"));
        }
        if matches!(key, b"GNU.sparse.offset" | b"GNU.sparse.numbytes") {
            // The list must alternate, beginning with an offset.
            let is_offset = key == b"GNU.sparse.offset";
            if is_offset != parsed.sparse.len().is_multiple_of(2) {
                return Err(fail("the records of a sparse map are out of order"));
            }
            parsed.sparse.push(decimal(value).ok_or_else(|| fail("a sparse map has no number"))?);
        } else if parsed.records.insert(key.to_vec(), value.to_vec()).is_some() {
            parsed.repeated = true;
        }
    }
    Ok(parsed)
}
