//! Dynamic symbols, found as the loader finds them: through `DT_SYMTAB` and the loaded segments. Nothing in the dynamic
//! section says how many there are; the hash tables do.

use goblin::elf::dynamic as d;

use super::header::{Header, Layout};
use super::segments::Segments;
use super::{Bytes, Class, Error, Machine, Name, dynamic, header};
use crate::limits::{MAX_DYNAMIC_SYMBOLS, MAX_GNU_HASH_BUCKETS, MAX_SYMBOL_NAME_BYTES, MAX_SYMBOL_NAMES_TOTAL_BYTES};

/// `DT_MIPS_SYMTABNO` (MIPS supplement of the gABI): the number of symbols itself.
const DT_MIPS_SYMTABNO: u64 = 0x7000_0011;
/// `EM_ALPHA`, whose `DT_HASH` has 8-byte numbers, as that of 64-bit s390 (binutils, `sizeof_hash_entry`).
const ALPHA: [u16; 2] = [41, 0x9026];
/// The bits of `DT_VERSYM` that number a version; the uppermost hides a definition (LSB, "Symbol Version Table").
const VERSION_INDEX: u16 = 0x7fff;
/// Symbols read at once.
const SYMBOLS_AT_ONCE: u64 = 2048;
/// Bytes of the string table read at once.
const NAMES_WINDOW: u64 = 4 * MAX_SYMBOL_NAME_BYTES as u64;

/// Names of the undefined dynamic symbols (global and weak), sorted, each once. Empty for a file without dynamic section.
///
/// # Errors
/// As [`super::ElfFacts::parse`]; [`Error::SymbolTableSize`] when there are more than any linker makes.
pub fn imports(bytes: &dyn Bytes) -> Result<Vec<Name>, Error> {
    let header = header::parse(bytes)?;
    let segments = Segments::parse(bytes, &header)?;
    let Some(entries) = dynamic::entries(&segments, header.layout)? else { return Ok(Vec::new()) };
    let Some(table) = Table::find(&segments, &header, &entries) else { return Ok(Vec::new()) };
    table.names_of(&segments, Side::Undefined, |_| true)
}

/// What a file takes of others, and whether it gives them one function.
pub(super) struct DynamicSymbols {
    /// Names of the undefined symbols, sorted.
    pub imports: Vec<Name>,
    /// Whether the function is defined.
    pub defines: bool,
}

/// `None` for a file without dynamic symbols.
pub(super) fn dynamic_symbols(
    segments: &Segments<'_>,
    header: &Header,
    function: &[u8],
) -> Result<Option<DynamicSymbols>, Error> {
    let Some(entries) = dynamic::entries(segments, header.layout)? else { return Ok(None) };
    let Some(table) = Table::find(segments, header, &entries) else { return Ok(None) };
    let imports = table.names_of(segments, Side::Undefined, |_| true)?;
    // A file that imports it does not define it, and its other symbols need not be read.
    let is_it = |name: &Name| name.as_bytes() == function;
    let defines = !imports.iter().any(is_it) && table.names_of(segments, Side::Defined, |_| true)?.iter().any(is_it);
    Ok(Some(DynamicSymbols { imports, defines }))
}

/// Names of the undefined dynamic symbols that are bound to one version of one library, sorted, each once.
///
/// # Errors
/// As [`imports`].
pub fn imports_of_version(bytes: &dyn Bytes, library: &[u8], version: &[u8]) -> Result<Vec<Name>, Error> {
    let header = header::parse(bytes)?;
    let segments = Segments::parse(bytes, &header)?;
    let (Some(parsed), Some(entries)) =
        (dynamic::parse(&segments, header.layout)?, dynamic::entries(&segments, header.layout)?)
    else {
        return Ok(Vec::new());
    };
    let is_it = |v: &&super::NeededVersion| v.library.as_bytes() == library && v.version.as_bytes() == version;
    let indexes: Vec<u16> = parsed.versions.needed.iter().filter(is_it).map(|v| v.index & VERSION_INDEX).collect();
    let versions = entries.iter().rev().find(|entry| entry.0 == d::DT_VERSYM).map(|entry| entry.1);
    let (Some(table), Some(versions)) = (Table::find(&segments, &header, &entries), versions) else {
        return Ok(Vec::new());
    };
    // The loop over the symbols checks the number of them; a table of versions that is longer is not read.
    let len = usize::try_from(table.count.min(MAX_DYNAMIC_SYMBOLS) * 2).unwrap_or(0);
    let Some(versions) = segments.read(versions, len) else { return Ok(Vec::new()) };
    let bound = |symbol: usize| {
        header.layout.u16(&versions, 2 * symbol).is_some_and(|index| indexes.contains(&(index & VERSION_INDEX)))
    };
    table.names_of(&segments, Side::Undefined, bound)
}

/// Who must define a symbol.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// Another object.
    Undefined,
    /// The file itself.
    Defined,
}

/// Where symbols and their names stand.
struct Table {
    layout: Layout,
    symbols: u64,
    count: u64,
    strings: u64,
    strings_size: u64,
}

impl Table {
    fn find(segments: &Segments<'_>, header: &Header, entries: &[(u64, u64)]) -> Option<Self> {
        // Of several entries of one tag the loader takes the last.
        let value = |tag: u64| entries.iter().rev().find(|entry| entry.0 == tag).map(|entry| entry.1);
        let (symbols, strings, strings_size) = (value(d::DT_SYMTAB)?, value(d::DT_STRTAB)?, value(d::DT_STRSZ)?);
        let layout = header.layout;
        let count = value(DT_MIPS_SYMTABNO)
            .filter(|_| header.machine == Machine::Mips)
            .or_else(|| sysv_count(segments, header, value(d::DT_HASH)?))
            .or_else(|| gnu_count(segments, layout, value(d::DT_GNU_HASH)?))
            .or_else(|| Some(gap_behind(entries, symbols)? / symbol_size(layout)))?;
        Some(Self { layout, symbols, count, strings, strings_size })
    }

    /// Names of the symbols of one side whose numbers are wanted, sorted, each once.
    fn names_of(
        &self,
        segments: &Segments<'_>,
        side: Side,
        wanted: impl Fn(usize) -> bool,
    ) -> Result<Vec<Name>, Error> {
        let mut offsets = self.offsets(segments, side, wanted)?;
        offsets.sort_unstable();
        offsets.dedup();
        let mut names = self.names(segments, &offsets)?;
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// Offsets of the names. A table that is longer than its segment ends there.
    fn offsets(&self, segments: &Segments<'_>, side: Side, wanted: impl Fn(usize) -> bool) -> Result<Vec<u32>, Error> {
        let size = symbol_size(self.layout);
        let Some((mut at, left)) = segments.locate(self.symbols) else { return Ok(Vec::new()) };
        let mut left = self.count.min(left / size);
        if left > MAX_DYNAMIC_SYMBOLS {
            return Err(Error::SymbolTableSize(MAX_DYNAMIC_SYMBOLS));
        }
        let mut offsets = Vec::new();
        let mut first = 0;
        while left > 0 {
            let now = left.min(SYMBOLS_AT_ONCE);
            let bytes = usize::try_from(now * size).ok().and_then(|len| segments.bytes().read_at(at, len));
            let Some(bytes) = bytes else { break };
            let step = usize::try_from(size).unwrap_or(usize::MAX);
            let symbols = bytes.chunks_exact(step).enumerate();
            let name = |(at, raw): (usize, &[u8])| global_name(self.layout, raw, side).filter(|_| wanted(first + at));
            offsets.extend(symbols.filter_map(name));
            first += bytes.len() / step;
            at += now * size;
            left -= now;
        }
        Ok(offsets)
    }

    /// The names at sorted offsets, in one pass over the string table.
    fn names(&self, segments: &Segments<'_>, offsets: &[u32]) -> Result<Vec<Name>, Error> {
        let Some((start, left)) = segments.locate(self.strings) else { return Ok(Vec::new()) };
        let size = left.min(self.strings_size);
        let (mut window, mut window_at) = (std::borrow::Cow::Borrowed(&[][..]), 0u64);
        let mut budget = MAX_SYMBOL_NAMES_TOTAL_BYTES;
        let mut names = Vec::new();
        for offset in offsets.iter().map(|&offset| u64::from(offset)).take_while(|&offset| offset < size) {
            let inside = |window: &[u8], window_at: u64| {
                let rest = window.get(usize::try_from(offset - window_at).ok()?..)?;
                Some(rest.get(..memchr::memchr(0, rest)?)?.to_vec())
            };
            let mut name = inside(&window, window_at);
            if name.is_none() {
                let len = usize::try_from(NAMES_WINDOW.min(size - offset)).unwrap_or(0);
                window = segments.bytes().read_at(start + offset, len).unwrap_or_default();
                window_at = offset;
                name = inside(&window, window_at);
            }
            let Some(name) = name.filter(|name| !name.is_empty() && name.len() <= MAX_SYMBOL_NAME_BYTES) else {
                continue;
            };
            budget = budget
                .checked_sub(name.len() + size_of::<Name>())
                .ok_or(Error::SymbolTableSize(MAX_DYNAMIC_SYMBOLS))?;
            names.push(Name::new(name));
        }
        Ok(names)
    }
}

const fn symbol_size(layout: Layout) -> u64 {
    match layout.class {
        Class::Elf32 => 16,
        Class::Elf64 => 24,
    }
}

/// `st_name` of a symbol that is not local. Those that other objects must define are of section `SHN_UNDEF`.
fn global_name(layout: Layout, raw: &[u8], side: Side) -> Option<u32> {
    let (info, section) = match layout.class {
        Class::Elf32 => (12, 14),
        Class::Elf64 => (4, 6),
    };
    let local = raw.get(info)? >> 4 == 0;
    let undefined = layout.u16(raw, section)? == 0;
    (!local && undefined == (side == Side::Undefined)).then_some(layout.u32(raw, 0)?).filter(|&name| name != 0)
}

/// `nchain` of `DT_HASH` (gABI, "Hash Table") is the number of symbols.
fn sysv_count(segments: &Segments<'_>, header: &Header, at: u64) -> Option<u64> {
    let machine = header.machine.code();
    let wide = header.layout.class == Class::Elf64 && (header.machine == Machine::S390 || ALPHA.contains(&machine));
    let width = if wide { 8 } else { 4 };
    let raw = segments.read(at, 2 * width)?;
    if wide { header.layout.u64(&raw, 8) } else { header.layout.u32(&raw, 4).map(u64::from) }
}

/// The last chain of `DT_GNU_HASH` ends with the last symbol. `None` for a table without any hashed symbol, whose first
/// number says nothing with GNU ld.
fn gnu_count(segments: &Segments<'_>, layout: Layout, at: u64) -> Option<u64> {
    let head = segments.read(at, 16)?;
    let (buckets, first, bloom) = (layout.u32(&head, 0)?, layout.u32(&head, 4)?, layout.u32(&head, 8)?);
    if u64::from(buckets) > MAX_GNU_HASH_BUCKETS {
        return None;
    }
    let buckets_at = at.checked_add(16)?.checked_add(u64::from(bloom) * layout.width() as u64)?;
    let raw = segments.read(buckets_at, usize::try_from(buckets).ok()?.checked_mul(4)?)?;
    let last = (0..raw.len()).step_by(4).filter_map(|at| layout.u32(&raw, at)).max()?;
    let index = last.checked_sub(first).filter(|_| last > 0)?;
    let chains = buckets_at.checked_add(4 * u64::from(buckets))?;
    let (start, left) = segments.locate(chains.checked_add(4 * u64::from(index))?)?;
    let end = start + left.min(4 * MAX_DYNAMIC_SYMBOLS);
    let (mut at, mut count) = (start, u64::from(last));
    while at < end {
        let len = usize::try_from((end - at).min(4 * SYMBOLS_AT_ONCE)).ok()?;
        let raw = segments.bytes().read_at(at, len)?;
        for word in (0..len).step_by(4) {
            count += 1;
            if layout.u32(&raw, word)? & 1 == 1 {
                return Some(count);
            }
        }
        at += len as u64;
    }
    None
}

/// Bytes up to the next table: the symbols cannot be more than fit there.
fn gap_behind(entries: &[(u64, u64)], symbols: u64) -> Option<u64> {
    const TABLES: [u64; 12] = [
        d::DT_STRTAB,
        d::DT_HASH,
        d::DT_GNU_HASH,
        d::DT_VERSYM,
        d::DT_VERNEED,
        d::DT_VERDEF,
        d::DT_RELA,
        d::DT_REL,
        d::DT_JMPREL,
        d::DT_INIT,
        d::DT_INIT_ARRAY,
        d::DT_PLTGOT,
    ];
    entries
        .iter()
        .filter(|(tag, _)| TABLES.contains(tag))
        .filter_map(|(_, at)| at.checked_sub(symbols).filter(|&gap| gap > 0))
        .min()
}
