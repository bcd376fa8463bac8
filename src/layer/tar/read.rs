//! A streaming reader. It allocates only for what it has read, whatever the headers claim.

use std::io::{self, ErrorKind, Read};

use super::assemble::{Assembled, Extra, RealSize, assemble, unsigned};
use super::fields::Block;
use super::sparse::{Map, SparseFormat};
use super::{BLOCK, Ending, Error, Problem, TarEntry, padding, pax, sparse};
use crate::limits;

/// Reads the entries of an archive one after the other: old Unix, ustar, pax and GNU archives, with every kind of entry
/// that they define, sparse files included.
pub struct TarReader<R> {
    input: R,
    /// Bytes read from `input`.
    offset: u64,
    /// Stored bytes of the current entry that nobody has read yet, and their padding.
    left: u64,
    padding: usize,
    holes: Option<Holes>,
    /// Offset of the current entry's first header.
    entry_offset: u64,
    entries: u64,
    ending: Option<Ending>,
}

/// Where the data of a sparse file stands, and how far it has been read.
struct Holes {
    segments: Vec<(u64, u64)>,
    next: usize,
    position: u64,
    size: u64,
}

impl Holes {
    /// Length of what comes next, and whether it is data.
    fn piece(&mut self) -> (u64, bool) {
        while let Some((start, length)) = self.segments.get(self.next) {
            if self.position < *start {
                return (start - self.position, false);
            }
            if self.position < start + length {
                return (start + length - self.position, true);
            }
            self.next += 1;
        }
        (self.size - self.position, false)
    }
}

impl<R: Read> TarReader<R> {
    /// Reads the archive in `input`, which should be buffered if its reads are costly.
    pub const fn new(input: R) -> Self {
        Self { input, offset: 0, left: 0, padding: 0, holes: None, entry_offset: 0, entries: 0, ending: None }
    }

    /// The next entry, or `None` at the end of the archive, when everything behind it has been read too. What was not
    /// read of the current content is skipped.
    ///
    /// # Errors
    /// [`Error`], after which the reader gives nothing useful.
    pub fn next_entry(&mut self) -> Result<Option<TarEntry>, Error> {
        if self.ending.is_some() {
            return Ok(None);
        }
        self.skip_content()?;
        self.entry_offset = self.offset;
        let mut extra = Extra::default();
        loop {
            let offset = self.offset;
            let Some(bytes) = self.header_block(extra.count > 0)? else {
                return Ok(None);
            };
            let block = Block(&bytes);
            if block.checksum().ok_or(Error::Checksum { offset })? {
                extra.note(Problem::SignedChecksum);
            }
            match block.type_flag() {
                b'x' | b'X' | b'g' | b'L' | b'K' => self.extra_header(&block, offset, &mut extra)?,
                _ => return self.entry(&block, extra).map(Some),
            }
        }
    }

    /// The content of the entry that [`next_entry`](Self::next_entry) gave last; the holes of a sparse file are zeros.
    pub const fn content(&mut self) -> Content<'_, R> {
        Content { reader: self }
    }

    /// How many bytes of the archive have been read: right after [`next_entry`](Self::next_entry), where the stored content
    /// of the entry begins.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.offset
    }

    /// How the archive ended, once [`next_entry`](Self::next_entry) has given `None`.
    #[must_use]
    pub const fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// The stream below, for example to learn its digest.
    pub fn into_inner(self) -> R {
        self.input
    }

    /// The next block that is a header, or `None` at the end.
    fn header_block(&mut self, within_entry: bool) -> Result<Option<[u8; BLOCK]>, Error> {
        let mut zero_blocks = 0;
        while zero_blocks < 2 {
            match self.block()? {
                Some(bytes) if Block(&bytes).is_zero() => zero_blocks += 1,
                Some(bytes) if zero_blocks == 0 => return Ok(Some(bytes)),
                // A lone block of zeros ends the archive too, as GNU tar has it; what follows is no entry.
                Some(_) => {
                    self.end(zero_blocks, BLOCK as u64, true)?;
                    return Ok(None);
                }
                None => break,
            }
        }
        if within_entry {
            return Err(Error::Truncated { offset: self.entry_offset });
        }
        self.end(zero_blocks, 0, false)?;
        Ok(None)
    }

    /// Reads what stands behind the end.
    fn end(&mut self, zero_blocks: u8, mut trailing: u64, mut trailing_data: bool) -> Result<(), Error> {
        let mut buffer = [0; 8192];
        loop {
            let read = self.some(&mut buffer).map_err(Error::Read)?;
            if read == 0 {
                break;
            }
            trailing += read as u64;
            trailing_data |= buffer[..read].iter().any(|byte| *byte != 0);
        }
        self.ending = Some(Ending { zero_blocks, trailing, trailing_data });
        Ok(())
    }

    /// One of the headers that say more about the entry behind them.
    fn extra_header(&mut self, block: &Block<'_>, offset: u64, extra: &mut Extra) -> Result<(), Error> {
        extra.count += 1;
        let (flag, size) = (block.type_flag(), unsigned(block.size(), offset, "size")?);
        let (what, value, limit) = match flag {
            _ if extra.count > limits::MAX_TAR_EXTRA_HEADERS => {
                ("headers in front of an entry", extra.count as u64, limits::MAX_TAR_EXTRA_HEADERS as u64)
            }
            b'L' | b'K' => ("a long name", size, limits::MAX_TAR_LONG_NAME_BYTES),
            _ => ("a pax header", size, limits::MAX_TAR_PAX_BYTES),
        };
        if value > limit {
            return Err(Error::Limit { offset, what, limit });
        }
        let body = self.body(size)?;
        let name = || body.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        let repeated = match flag {
            b'L' => extra.long_name.replace(name()).is_some(),
            b'K' => extra.long_link.replace(name()).is_some(),
            b'g' => {
                if pax::parse(&body, offset)?.records.keys().any(|key| key != b"comment") {
                    extra.note(Problem::GlobalRecords);
                }
                false
            }
            _ => extra.pax.replace(pax::parse(&body, offset)?).is_some(),
        };
        if repeated {
            extra.note(Problem::RepeatedHeader);
        }
        Ok(())
    }

    /// Gives the entry of this header and makes its content readable.
    fn entry(&mut self, block: &Block<'_>, extra: Extra) -> Result<TarEntry, Error> {
        let offset = self.entry_offset;
        self.entries += 1;
        if self.entries > limits::MAX_TAR_ENTRIES {
            return Err(Error::Limit { offset, what: "entries", limit: limits::MAX_TAR_ENTRIES });
        }
        let Assembled { mut entry, map } = assemble(block, extra, offset)?;
        self.left = entry.size;
        self.padding = padding(entry.size);
        self.holes = None;
        if let Some((map, real_size)) = map {
            let (map, size) = self.complete_map(block, map, real_size)?;
            if size > limits::MAX_LAYER_BYTES {
                return Err(Error::Limit { offset, what: "a sparse file", limit: limits::MAX_LAYER_BYTES });
            }
            let sparse = map.finish(size, self.left)?;
            self.holes = Some(Holes { segments: sparse.segments.clone(), next: 0, position: 0, size });
            entry.size = size;
            entry.sparse = Some(sparse);
        }
        Ok(entry)
    }

    /// Reads the part of a sparse map that does not stand in pax records.
    fn complete_map(&mut self, block: &Block<'_>, map: Map, real_size: RealSize) -> Result<(Map, u64), Error> {
        let offset = self.entry_offset;
        match (map.format, real_size) {
            (_, RealSize::OldGnu) => {
                // The blocks of the map stand between the header and the data, outside of its size.
                sparse::old_gnu(block.0, offset, || self.block()?.ok_or(Error::Truncated { offset }))
            }
            (SparseFormat::Pax10, RealSize::Known(size)) => {
                let map = sparse::pax_1_0(offset, || {
                    let left = self.left.checked_sub(BLOCK as u64);
                    self.left = left.ok_or(Error::Sparse { offset, reason: "it is longer than the data" })?;
                    self.block()?.ok_or(Error::Truncated { offset })
                })?;
                Ok((map, size))
            }
            (_, RealSize::Known(size)) => Ok((map, size)),
        }
    }

    /// One read, repeated while signals interrupt it.
    fn some(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.input.read(into) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(read) => {
                    self.offset += read as u64;
                    return Ok(read);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// A block, or `None` when the stream has ended before it.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, Error> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.some(&mut block[filled..]).map_err(Error::Read)? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(Error::Truncated { offset: self.entry_offset }),
                read => filled += read,
            }
        }
        Ok(Some(block))
    }

    /// The body of a header that names or describes, without its padding. `size` is within a bound.
    fn body(&mut self, size: u64) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        let whole = size + padding(size) as u64;
        while (body.len() as u64) < whole {
            let block = self.block()?.ok_or(Error::Truncated { offset: self.entry_offset })?;
            body.extend_from_slice(&block);
        }
        body.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        Ok(body)
    }

    /// Reads stored bytes of the current entry.
    fn stored(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        if most == 0 {
            return Ok(0);
        }
        let read = self.some(&mut into[..most])?;
        if read == 0 {
            let truncated = Error::Truncated { offset: self.entry_offset };
            return Err(io::Error::new(ErrorKind::UnexpectedEof, truncated));
        }
        self.left -= read as u64;
        Ok(read)
    }

    /// Skips what is left of the current entry.
    fn skip_content(&mut self) -> Result<(), Error> {
        let mut left = self.left + self.padding as u64;
        (self.left, self.padding, self.holes) = (0, 0, None);
        let mut buffer = [0; 8192];
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            match self.some(&mut buffer[..most]).map_err(Error::Read)? {
                0 => return Err(Error::Truncated { offset: self.entry_offset }),
                read => left -= read as u64,
            }
        }
        Ok(())
    }
}

/// The content of an entry. Ends with `UnexpectedEof`, with an [`Error`] inside, when the archive is truncated.
pub struct Content<'a, R> {
    reader: &'a mut TarReader<R>,
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(mut holes) = self.reader.holes.take() else {
            return self.reader.stored(into);
        };
        let (length, data) = holes.piece();
        let most = usize::try_from(length).unwrap_or(usize::MAX).min(into.len());
        let read = if data {
            self.reader.stored(&mut into[..most])
        } else {
            into[..most].fill(0);
            Ok(most)
        };
        holes.position += *read.as_ref().unwrap_or(&0) as u64;
        self.reader.holes = Some(holes);
        read
    }
}
