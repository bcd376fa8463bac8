//! Canonical JSON: the one encoder of everything that coracle digests.
//!
//! Members sorted by the bytes of their UTF-8 key, no white space, integers only, strings escaped as RFC 8785
//! section 3.2.2.2 prescribes. Two values that are equal have one encoding, on every machine.

use serde::Serialize;
use serde_json::Value;

use super::Error;

/// Encodes `value` canonically.
///
/// # Errors
/// [`Error::Document`] when the value cannot be JSON or holds a number that is not an integer.
pub fn canonical<T: Serialize>(what: &'static str, value: &T) -> Result<Vec<u8>, Error> {
    let value = serde_json::to_value(value).map_err(|e| Error::Document { what, reason: e.to_string() })?;
    let mut out = Vec::with_capacity(1024);
    write_value(what, &value, &mut out)?;
    Ok(out)
}

fn write_value(what: &'static str, value: &Value, out: &mut Vec<u8>) -> Result<(), Error> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(n) if n.is_f64() => {
            let reason = format!("number `{n}` is not an integer");
            return Err(Error::Document { what, reason });
        }
        Value::Number(n) => out.extend_from_slice(n.to_string().as_bytes()),
        Value::String(s) => write_string(s, out),
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_value(what, item, out)?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            // Sorted here and not by trust in the map's own order: a feature of serde_json flips that order.
            let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
            sorted.sort_by_key(|(key, _)| key.as_bytes());
            out.push(b'{');
            for (i, (key, member)) in sorted.into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_string(key, out);
                out.push(b':');
                write_value(what, member, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x09 => out.extend_from_slice(b"\\t"),
            0x0a => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            0x0d => out.extend_from_slice(b"\\r"),
            0..=0x1f => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// The first place where two JSON documents differ, as a path with both values; `None` when they are equal.
///
/// What golden tests and `coracle diff` print instead of two hashes.
#[must_use]
pub fn first_difference(left: &Value, right: &Value) -> Option<String> {
    differ("$", left, right)
}

fn differ(path: &str, left: &Value, right: &Value) -> Option<String> {
    match (left, right) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            keys.into_iter().find_map(|key| {
                let path = format!("{path}.{key}");
                match (a.get(key), b.get(key)) {
                    (Some(x), Some(y)) => differ(&path, x, y),
                    (Some(x), None) => Some(format!("{path}: {x} on the left, absent on the right")),
                    (None, Some(y)) => Some(format!("{path}: absent on the left, {y} on the right")),
                    (None, None) => None,
                }
            })
        }
        (Value::Array(a), Value::Array(b)) => (0..a.len().max(b.len())).find_map(|i| {
            let path = format!("{path}[{i}]");
            match (a.get(i), b.get(i)) {
                (Some(x), Some(y)) => differ(&path, x, y),
                (Some(x), None) => Some(format!("{path}: {x} on the left, absent on the right")),
                (None, Some(y)) => Some(format!("{path}: absent on the left, {y} on the right")),
                (None, None) => None,
            }
        }),
        _ if left == right => None,
        _ => Some(format!("{path}: {left} on the left, {right} on the right")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sorts_and_escapes() {
        let value = json!({"b": [1, true, null], "a": "q\"\\\n\u{1}é", "B": {}});
        let bytes = canonical("test", &value).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), "{\"B\":{},\"a\":\"q\\\"\\\\\\n\\u0001é\",\"b\":[1,true,null]}");
    }

    #[test]
    fn refuses_fractions() {
        assert!(canonical("test", &json!({"x": 1.5})).is_err());
    }

    #[test]
    fn names_the_first_difference() {
        let a = json!({"layers": [{"size": 1}], "x": 1});
        let b = json!({"layers": [{"size": 2}], "x": 2});
        assert_eq!(first_difference(&a, &b).unwrap(), "$.layers[0].size: 1 on the left, 2 on the right");
        assert_eq!(first_difference(&a, &a), None);
    }
}
