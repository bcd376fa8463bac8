//! pax records: `<length> <key>=<value>\n`, where the length counts the whole record, itself included.

use std::collections::BTreeMap;

/// Prefix of the keys that carry extended attributes.
pub(super) const XATTR: &[u8] = b"SCHILY.xattr.";

/// Encodes records in the order of their keys.
pub(super) fn encode(records: &BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<u8> {
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
