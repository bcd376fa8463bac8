//! Many strings at once, faster than byte by byte: of the searched bytes only groups of four at even distances are looked at,
//! and compared with the groups that stand in the strings. The distance is such that any occurrence contains one of them.

/// Bytes of a group.
const GROUP: usize = 4;
/// Shortest string that can be found.
pub(super) const SHORTEST: usize = GROUP;
/// Largest distance from one group looked at to the next: strings of 7 bytes or more allow it. Beyond it the reading of the
/// file costs more than the search.
const MAX_STEP: usize = 4;
/// Size of the set of hashes, as a power of two: 16 KiB stay in the first cache of a CPU.
const SET_LOG: u32 = 17;
/// Size of the table behind the set, as a power of two.
const TABLE_LOG: u32 = 12;
/// How far behind its beginning a string is tried for groups that it shares with fewer others.
const FARTHEST: usize = 24;

/// A group of one string.
#[derive(Debug, Clone, Copy)]
struct Sample {
    group: u32,
    /// Index of the string.
    string: u32,
    /// Where the group stands in the string.
    offset: usize,
}

/// Groups of all strings.
#[derive(Debug)]
pub(super) struct Samples {
    /// One bit for each hash of a group.
    set: Box<[u64; 1 << (SET_LOG - 6)]>,
    /// For each leading part of a hash the samples that have it: from this index to the next one.
    table: Vec<u32>,
    samples: Vec<Sample>,
    /// Distance from one group looked at to the next.
    step: usize,
}

/// Multiplicative hashing (Knuth, TAOCP 6.4): the high bits depend on all of the group.
const fn hash(group: u32) -> u32 {
    group.wrapping_mul(0x9e37_79b1)
}

fn group_at(text: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(text.get(at..at.checked_add(GROUP)?)?.try_into().ok()?))
}

impl Samples {
    /// Of strings of at least [`SHORTEST`] bytes; shorter ones are left out.
    pub fn new(strings: &[(usize, &[u8])]) -> Self {
        let usable = || strings.iter().filter(|(_, text)| text.len() >= SHORTEST);
        let shortest = usable().map(|(_, text)| text.len()).min().unwrap_or(SHORTEST);
        let step = (shortest + 1 - GROUP).min(MAX_STEP);
        let mut samples: Vec<Sample> = Vec::new();
        let mut uses = std::collections::BTreeMap::<u32, usize>::new();
        for &(string, text) in usable() {
            let groups = |base: usize| (base..base + step).filter_map(|at| Some((at, group_at(text, at)?)));
            let shared = |base: &usize| groups(*base).map(|(_, group)| uses.get(&group).copied().unwrap_or(0)).sum();
            let base = (0..=(text.len() + 1 - GROUP - step).min(FARTHEST)).min_by_key(|base| -> usize { shared(base) });
            for (offset, group) in groups(base.unwrap_or(0)) {
                *uses.entry(group).or_default() += 1;
                samples.push(Sample { group, string: u32::try_from(string).unwrap_or(u32::MAX), offset });
            }
        }
        // Of two occurrences of one string that hold the same group, the first holds it farther behind.
        samples.sort_by_key(|s| (hash(s.group) >> (32 - TABLE_LOG), s.group, s.string, std::cmp::Reverse(s.offset)));
        let mut set = Box::new([0u64; 1 << (SET_LOG - 6)]);
        for sample in &samples {
            let bit = hash(sample.group) >> (32 - SET_LOG);
            set[(bit >> 6) as usize] |= 1 << (bit & 63);
        }
        let before = |part: u32| samples.partition_point(|sample| hash(sample.group) >> (32 - TABLE_LOG) < part);
        let table = (0..=1u32 << TABLE_LOG).map(|part| u32::try_from(before(part)).unwrap_or(u32::MAX)).collect();
        Self { set, table, samples, step }
    }

    /// Calls `found` with each string and each place where it may begin: those that begin in `own` are all among them, and
    /// the places of one string come in order.
    pub fn each(&self, bytes: &[u8], own: &std::ops::Range<usize>, mut found: impl FnMut(usize, usize)) {
        if self.samples.is_empty() {
            return;
        }
        // The group of a string that begins with the last own byte may begin behind all that is in front of it.
        let reach = own.end.saturating_add(FARTHEST + MAX_STEP + GROUP).min(bytes.len());
        let Some(part) = bytes.get(own.start..reach) else { return };
        for (index, raw) in part.windows(GROUP).step_by(self.step).enumerate() {
            let Ok(raw) = raw.try_into() else { continue };
            let group = u32::from_le_bytes(raw);
            let bit = hash(group) >> (32 - SET_LOG);
            if self.set[(bit >> 6) as usize] & (1 << (bit & 63)) == 0 {
                continue;
            }
            let at = own.start + index * self.step;
            for sample in self.with(group).iter().filter(|sample| sample.group == group) {
                let begin = at.checked_sub(sample.offset).filter(|begin| own.contains(begin));
                begin.into_iter().for_each(|begin| found(sample.string as usize, begin));
            }
        }
    }

    /// The samples among which those of a group are.
    fn with(&self, group: u32) -> &[Sample] {
        let part = (hash(group) >> (32 - TABLE_LOG)) as usize;
        match (self.table.get(part), self.table.get(part + 1)) {
            (Some(&from), Some(&to)) => self.samples.get(from as usize..to as usize).unwrap_or_default(),
            _ => &[],
        }
    }
}
