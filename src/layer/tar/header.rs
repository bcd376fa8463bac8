//! Headers as coracle writes them (POSIX.1-2001, `pax`, "ustar Interchange Format" and "pax Extended Header").
//!
//! Rules, so that one entry has one encoding:
//! - ustar with numeric owners, empty user and group names, and device numbers 0.
//! - Names are raw bytes, without leading `/` or `./`; a directory ends in `/`, the root is `./`.
//! - The `prefix` field is never used: a name longer than 100 bytes goes into a pax `path` record.
//! - A pax record stands only where its field cannot hold the value: `path`, `linkpath`, `size`, `uid`, `gid`, `mtime`,
//!   and `SCHILY.xattr.<name>` for extended attributes; `hdrcharset=BINARY` when such a name is not UTF-8. The field
//!   itself then holds 0, or the first 100 bytes of the name.
//! - Records are sorted by key. Their own header is named `PaxHeaders/<file name>`, with mode 0644, owner 0:0 and time 0.

use std::collections::BTreeMap;

use tar::{EntryType, Header};

use super::pax;
use crate::diag;
use crate::layer::Error;
use crate::plan::{Entry, EntryKind};

/// Size of a tar block in bytes.
pub const BLOCK: usize = 512;

/// The end of an archive: two blocks of zeros, and no padding to a blocking factor.
pub const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// Length of the `name` and `linkname` fields.
const NAME_FIELD: usize = 100;
/// Largest value of `uid` and `gid` (seven octal digits).
const MAX_ID: u64 = 0o7_777_777;
/// Largest value of `size` and `mtime` (eleven octal digits).
const MAX_LONG: u64 = 0o77_777_777_777;

/// Bytes of zeros after a content of `size` bytes.
#[must_use]
pub const fn padding(size: u64) -> usize {
    let rest = (size % BLOCK as u64) as usize;
    if rest == 0 { 0 } else { BLOCK - rest }
}

/// Everything that stands before the content of `entry`: a pax header with its records, if there is need of one, and the
/// ustar header. `mtime` is in seconds since the epoch. The length is a multiple of [`BLOCK`].
///
/// # Errors
/// [`Error::LinkTarget`] and [`Error::XattrName`] for what no header can carry.
pub fn encode(entry: &Entry, mtime: u64) -> Result<Vec<u8>, Error> {
    let (entry_type, size, target): (_, _, &[u8]) = match &entry.kind {
        EntryKind::Directory => (EntryType::Directory, 0, b""),
        EntryKind::File(content) => (EntryType::Regular, content.size, b""),
        EntryKind::Symlink(target) => (EntryType::Symlink, 0, check_target(entry, target)?),
    };
    let name = archive_name(entry, entry_type);
    let mut header = Header::new_ustar();
    header.set_entry_type(entry_type);
    header.set_mode(entry.mode & 0o7777);
    let mut records = xattr_records(entry)?;
    let ustar = header.as_ustar_mut().expect("a ustar header"); // invariant: `new_ustar` sets the magic
    text_field(&mut ustar.name, &name, "path", &mut records);
    text_field(&mut ustar.linkname, target, "linkpath", &mut records);
    ustar.set_device_major(0);
    ustar.set_device_minor(0);
    header.set_uid(number_field(entry.uid, MAX_ID, "uid", &mut records));
    header.set_gid(number_field(entry.gid, MAX_ID, "gid", &mut records));
    header.set_size(number_field(size, MAX_LONG, "size", &mut records));
    header.set_mtime(number_field(mtime, MAX_LONG, "mtime", &mut records));
    header.set_cksum();

    let mut out = Vec::with_capacity(BLOCK);
    if !records.is_empty() {
        write_pax(&mut out, entry, &records);
    }
    out.extend_from_slice(header.as_bytes());
    Ok(out)
}

/// Appends the pax header and its records, padded to a block.
fn write_pax(out: &mut Vec<u8>, entry: &Entry, records: &BTreeMap<Vec<u8>, Vec<u8>>) {
    let body = pax::encode(records);
    let mut name = b"PaxHeaders/".to_vec();
    name.extend_from_slice(entry.path.file_name());
    name.truncate(NAME_FIELD);
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::XHeader);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(body.len() as u64);
    let ustar = header.as_ustar_mut().expect("a ustar header"); // invariant: `new_ustar` sets the magic
    ustar.name[..name.len()].copy_from_slice(&name);
    ustar.set_device_major(0);
    ustar.set_device_minor(0);
    header.set_cksum();
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(&body);
    out.resize(out.len() + padding(body.len() as u64), 0);
}

/// The name as it stands in the archive.
fn archive_name(entry: &Entry, entry_type: EntryType) -> Vec<u8> {
    if entry.path.is_root() {
        return b"./".to_vec();
    }
    let mut name = entry.path.as_bytes().to_vec();
    if entry_type == EntryType::Directory {
        name.push(b'/');
    }
    name
}

fn check_target<'a>(entry: &Entry, target: &'a [u8]) -> Result<&'a [u8], Error> {
    let refuse = |reason| Error::LinkTarget { path: entry.path.clone(), reason };
    match target {
        [] => Err(refuse("is empty")),
        _ if target.contains(&0) => Err(refuse("has a NUL byte")),
        _ if target.len() > crate::limits::MAX_PATH_BYTES => Err(refuse("is longer than 4096 bytes")),
        _ => Ok(target),
    }
}

fn xattr_records(entry: &Entry) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Error> {
    let mut records = BTreeMap::new();
    for (name, value) in &entry.xattrs {
        if name.is_empty() || name.contains(['=', '\0', '\n']) {
            return Err(Error::XattrName { path: entry.path.clone(), name: diag::escape(name.as_bytes()) });
        }
        records.insert([pax::XATTR, name.as_bytes()].concat(), value.clone());
    }
    Ok(records)
}

/// Puts `value` into `field`, and into a record when it does not fit.
fn text_field(field: &mut [u8; NAME_FIELD], value: &[u8], key: &str, records: &mut BTreeMap<Vec<u8>, Vec<u8>>) {
    let shown = value.len().min(NAME_FIELD);
    field[..shown].copy_from_slice(&value[..shown]);
    if value.len() > NAME_FIELD {
        records.insert(key.as_bytes().to_vec(), value.to_vec());
        if std::str::from_utf8(value).is_err() {
            records.insert(b"hdrcharset".to_vec(), b"BINARY".to_vec());
        }
    }
}

/// What the field holds for `value`: the value, or 0 with a record when it does not fit.
fn number_field(value: u64, max: u64, key: &str, records: &mut BTreeMap<Vec<u8>, Vec<u8>>) -> u64 {
    if value <= max {
        return value;
    }
    records.insert(key.as_bytes().to_vec(), value.to_string().into_bytes());
    0
}
