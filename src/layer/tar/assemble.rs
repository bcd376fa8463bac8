//! An entry from its header and from what stood in front of it.

use std::collections::BTreeMap;

use super::fields::{Block, decimal, time};
use super::pax::{self, Parsed, Records};
use super::sparse::Map;
use super::{Error, Problem, TarEntry, TarKind, sparse};

/// What stands in front of an entry.
#[derive(Default)]
pub(super) struct Extra {
    /// Number of headers.
    pub(super) count: usize,
    pub(super) pax: Option<Parsed>,
    pub(super) long_name: Option<Vec<u8>>,
    pub(super) long_link: Option<Vec<u8>>,
    pub(super) problems: Vec<Problem>,
}

impl Extra {
    pub(super) fn note(&mut self, problem: Problem) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// A name: the pax record, else the GNU header, else the field. An empty record means the field (pax, "value").
    fn name(&mut self, record: Option<Vec<u8>>, long: Option<Vec<u8>>, field: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
        let record = record.filter(|record| !record.is_empty());
        if record.is_some() && long.is_some() {
            self.note(Problem::TwoNames);
        }
        if record.as_ref().is_some_and(|record| record.contains(&0)) {
            self.note(Problem::NulInName);
        }
        record.or(long).unwrap_or_else(field)
    }
}

/// An entry, the bytes stored for it, and the map of a sparse file as far as the headers have it.
pub(super) struct Assembled {
    /// `size` and `sparse` are not final for sparse files.
    pub(super) entry: TarEntry,
    pub(super) map: Option<(Map, RealSize)>,
}

/// Where the size with holes of a sparse file stands.
pub(super) enum RealSize {
    /// Here.
    Known(u64),
    /// In the header block, which is of type `S`.
    OldGnu,
}

/// Puts the entry together that begins at `offset`.
pub(super) fn assemble(block: &Block<'_>, mut extra: Extra, offset: u64) -> Result<Assembled, Error> {
    let mut pax = extra.pax.take().unwrap_or_default();
    if pax.repeated {
        extra.note(Problem::RepeatedRecord);
    }
    let map = match sparse::from_pax(&pax, offset)? {
        Some(map) => Some((map, RealSize::Known(sparse::real_size(&pax.records, offset)?))),
        None if block.type_flag() == b'S' => Some((Map::new(sparse::SparseFormat::OldGnu, offset), RealSize::OldGnu)),
        None => None,
    };
    let records = &mut pax.records;
    let (long_name, long_link) = (extra.long_name.take(), extra.long_link.take());
    let mut path = extra.name(records.remove(&b"path"[..]), long_name, || block.name());
    if let Some(name) = records.get(&b"GNU.sparse.name"[..]) {
        path.clone_from(name);
    }
    let link = extra.name(records.remove(&b"linkpath"[..]), long_link, || block.link().to_vec());
    let kind = kind(block, &path);
    let mut size = number(records, "size", block.size(), offset)?;
    if !kind.has_content() && size > 0 {
        extra.note(Problem::SizeWithoutContent);
        size = 0;
    }
    match kind {
        TarKind::Other(_) => extra.note(Problem::UnknownType),
        TarKind::File if path.ends_with(b"/") => extra.note(Problem::FileNamedAsDirectory),
        _ => {}
    }
    let (mtime, mtime_nanos) = mtime(records, block, offset)?;
    let mode = block.mode().and_then(|mode| u32::try_from(mode).ok());
    let entry = TarEntry {
        kind,
        size,
        mtime,
        mtime_nanos,
        uid: number(records, "uid", block.uid(), offset)?,
        gid: number(records, "gid", block.gid(), offset)?,
        mode: mode.ok_or(Error::Number { offset, field: "mode" })?,
        uname: records.remove(&b"uname"[..]).unwrap_or_else(|| block.uname().to_vec()),
        gname: records.remove(&b"gname"[..]).unwrap_or_else(|| block.gname().to_vec()),
        device: device(block, kind, offset)?,
        xattrs: take_xattrs(records),
        records: pax.records,
        sparse: None,
        dialect: block.dialect(),
        problems: extra.problems,
        path,
        link,
        offset,
    };
    Ok(Assembled { entry, map: map.filter(|_| kind == TarKind::File) })
}

fn kind(block: &Block<'_>, path: &[u8]) -> TarKind {
    match block.type_flag() {
        // Version 7 had no type for directories.
        0 if path.ends_with(b"/") => TarKind::Directory,
        0 | b'0' | b'7' | b'S' => TarKind::File,
        b'1' => TarKind::HardLink,
        b'2' => TarKind::Symlink,
        b'3' => TarKind::CharDevice,
        b'4' => TarKind::BlockDevice,
        b'5' => TarKind::Directory,
        b'6' => TarKind::Fifo,
        other => TarKind::Other(other),
    }
}

/// A field that must not be negative.
pub(super) fn unsigned(value: Option<i64>, offset: u64, field: &'static str) -> Result<u64, Error> {
    value.and_then(|value| u64::try_from(value).ok()).ok_or(Error::Number { offset, field })
}

/// A number from its pax record, or from its field where there is none.
fn number(records: &mut Records, key: &'static str, field: Option<i64>, offset: u64) -> Result<u64, Error> {
    match records.remove(key.as_bytes()).filter(|text| !text.is_empty()) {
        Some(text) => decimal(&text).ok_or(Error::Number { offset, field: key }),
        None => unsigned(field, offset, key),
    }
}

fn mtime(records: &mut Records, block: &Block<'_>, offset: u64) -> Result<(i64, u32), Error> {
    let time = match records.remove(&b"mtime"[..]).filter(|text| !text.is_empty()) {
        Some(text) => time(&text),
        None => block.mtime().map(|seconds| (seconds, 0)),
    };
    time.ok_or(Error::Number { offset, field: "mtime" })
}

fn device(block: &Block<'_>, kind: TarKind, offset: u64) -> Result<Option<(u64, u64)>, Error> {
    if !matches!(kind, TarKind::CharDevice | TarKind::BlockDevice) {
        return Ok(None);
    }
    let pair = block.device().and_then(|(major, minor)| Some((u64::try_from(major).ok()?, u64::try_from(minor).ok()?)));
    pair.map(Some).ok_or(Error::Number { offset, field: "devmajor" })
}

fn take_xattrs(records: &mut Records) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let keys: Vec<Vec<u8>> = records.keys().filter(|key| key.starts_with(pax::XATTR)).cloned().collect();
    let pairs = keys.into_iter().filter_map(|key| {
        let value = records.remove(&key)?;
        Some((key[pax::XATTR.len()..].to_vec(), value))
    });
    pairs.collect()
}
