//! Makes minimal valid ELF files for every machine, class and byte order. The same calls give the same bytes.
//!
//! ```text
//! ELF header │ program headers │ code │ interpreter │ notes │ dynamic section │ names │ payload │ sections
//! └──────────────────── one loaded segment (read, execute) ────────────────────────────┘
//! ```
//!
//! The code of amd64, arm64, 386, arm and riscv64 programs ends the process with status 0.

const BASE: u64 = 0x40_0000;

/// What the file is for: the names of `GOARCH`, with the version for 32-bit ARM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    Amd64,
    I386,
    Arm64,
    ArmV5,
    ArmV6,
    ArmV7,
    RiscV64,
    Ppc64,
    Ppc64le,
    S390x,
    Loong64,
    Mips,
    Mipsle,
    Mips64,
    Mips64le,
}

impl Machine {
    pub const ALL: [Self; 15] = [
        Self::Amd64,
        Self::I386,
        Self::Arm64,
        Self::ArmV5,
        Self::ArmV6,
        Self::ArmV7,
        Self::RiscV64,
        Self::Ppc64,
        Self::Ppc64le,
        Self::S390x,
        Self::Loong64,
        Self::Mips,
        Self::Mipsle,
        Self::Mips64,
        Self::Mips64le,
    ];

    /// `e_machine`, 64-bit, little-endian, `e_flags`, platform.
    pub const fn row(self) -> (u16, bool, bool, u32, &'static str) {
        match self {
            Self::Amd64 => (62, true, true, 0, "linux/amd64"),
            Self::I386 => (3, false, true, 0, "linux/386"),
            Self::Arm64 => (183, true, true, 0, "linux/arm64"),
            Self::ArmV5 => (40, false, true, 0x0500_0200, "linux/arm/v5"),
            Self::ArmV6 => (40, false, true, 0x0500_0400, "linux/arm/v6"),
            Self::ArmV7 => (40, false, true, 0x0500_0400, "linux/arm/v7"),
            Self::RiscV64 => (243, true, true, 5, "linux/riscv64"),
            Self::Ppc64 => (21, true, false, 1, "linux/ppc64"),
            Self::Ppc64le => (21, true, true, 2, "linux/ppc64le"),
            Self::S390x => (22, true, false, 0, "linux/s390x"),
            Self::Loong64 => (258, true, true, 0x43, "linux/loong64"),
            Self::Mips => (8, false, false, 0x5000_1000, "linux/mips"),
            Self::Mipsle => (8, false, true, 0x5000_1000, "linux/mipsle"),
            Self::Mips64 => (8, true, false, 0x6000_0000, "linux/mips64"),
            Self::Mips64le => (8, true, true, 0x6000_0000, "linux/mips64le"),
        }
    }

    pub const fn platform(self) -> &'static str {
        self.row().4
    }

    /// Ends the process with status 0 where that is known, else it is a place for the entry to point to.
    const fn code(self) -> &'static [u8] {
        match self {
            // xor edi,edi; mov eax,60; syscall
            Self::Amd64 => &[0x31, 0xff, 0xb8, 0x3c, 0, 0, 0, 0x0f, 0x05, 0x90, 0x90, 0x90],
            // xor ebx,ebx; mov eax,1; int 0x80
            Self::I386 => &[0x31, 0xdb, 0xb8, 1, 0, 0, 0, 0xcd, 0x80, 0x90, 0x90, 0x90],
            // mov x0,#0; mov x8,#93; svc #0
            Self::Arm64 => &[0x00, 0x00, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4],
            // mov r0,#0; mov r7,#1; svc #0
            Self::ArmV5 | Self::ArmV6 | Self::ArmV7 => &[0, 0, 0xa0, 0xe3, 1, 0x70, 0xa0, 0xe3, 0, 0, 0, 0xef],
            // li a0,0; li a7,93; ecall
            Self::RiscV64 => &[0x13, 0x05, 0, 0, 0x93, 0x08, 0xd0, 0x05, 0x73, 0, 0, 0],
            _ => &[0; 12],
        }
    }

    /// `Tag_CPU_arch` of the build attributes.
    const fn arm_cpu_arch(self) -> Option<u8> {
        match self {
            Self::ArmV5 => Some(4),
            Self::ArmV6 => Some(6),
            Self::ArmV7 => Some(10),
            _ => None,
        }
    }
}

/// By which table the number of dynamic symbols is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// `DT_HASH`.
    SysV,
    /// `DT_GNU_HASH`.
    Gnu,
    /// None: up to the string table.
    Absent,
}

/// A file in the making.
#[derive(Debug, Clone)]
pub struct ElfMaker {
    machine: Machine,
    object_type: u16,
    os_abi: u8,
    pie_flag: bool,
    interp: Option<String>,
    needed: Vec<String>,
    soname: Option<String>,
    paths: Vec<(u64, String)>,
    notes: Vec<(String, u32, Vec<u8>)>,
    payload: Vec<u8>,
    sections: Vec<(String, u32, Vec<u8>)>,
    symbols: Vec<(String, bool)>,
    hash: Hash,
}

impl ElfMaker {
    /// A static executable at a fixed address.
    pub fn new(machine: Machine) -> Self {
        Self {
            machine,
            object_type: 2,
            os_abi: 0,
            pie_flag: false,
            interp: None,
            needed: Vec::new(),
            soname: None,
            paths: Vec::new(),
            notes: Vec::new(),
            payload: Vec::new(),
            sections: Vec::new(),
            symbols: Vec::new(),
            hash: Hash::SysV,
        }
    }

    /// Position-independent: `ET_DYN` with `DF_1_PIE`. With an interpreter it is a dynamic one.
    pub fn static_pie(mut self, yes: bool) -> Self {
        self.object_type = if yes { 3 } else { 2 };
        self.pie_flag = yes;
        self
    }

    /// Any `e_type`.
    pub fn object_type(mut self, code: u16) -> Self {
        self.object_type = code;
        self
    }

    /// `EI_OSABI`.
    pub fn os_abi(mut self, code: u8) -> Self {
        self.os_abi = code;
        self
    }

    /// `PT_INTERP`.
    pub fn interp(mut self, path: &str) -> Self {
        self.interp = Some(path.to_owned());
        self
    }

    /// One more `DT_NEEDED`.
    pub fn needed(mut self, name: &str) -> Self {
        self.needed.push(name.to_owned());
        self
    }

    /// `DT_SONAME`.
    pub fn soname(mut self, name: &str) -> Self {
        self.soname = Some(name.to_owned());
        self
    }

    /// `DT_RPATH`; it counts where another name makes a dynamic section.
    #[allow(dead_code)]
    pub fn rpath(mut self, path: &str) -> Self {
        self.paths.push((15, path.to_owned()));
        self
    }

    /// One more dynamic symbol: a global function.
    pub fn symbol(mut self, name: &str, defined: bool) -> Self {
        self.symbols.push((name.to_owned(), defined));
        self
    }

    /// The hash table of the dynamic symbols.
    pub fn hash(mut self, hash: Hash) -> Self {
        self.hash = hash;
        self
    }

    /// One more note.
    pub fn note(mut self, owner: &str, kind: u32, content: &[u8]) -> Self {
        self.notes.push((owner.to_owned(), kind, content.to_vec()));
        self
    }

    /// Loaded bytes that only make the file what it is in size and digest (or hold a string to be found).
    pub fn payload(mut self, bytes: &[u8]) -> Self {
        self.payload.extend_from_slice(bytes);
        self
    }

    /// A section (not loaded) of any kind, with section headers to find it.
    pub fn section(mut self, name: &str, kind: u32, content: &[u8]) -> Self {
        self.sections.push((name.to_owned(), kind, content.to_vec()));
        self
    }

    /// A 32-bit number in the byte order of the machine.
    pub fn u32(&self, value: u32) -> [u8; 4] {
        if self.machine.row().2 { value.to_le_bytes() } else { value.to_be_bytes() }
    }

    fn word(&self, value: u64) -> Vec<u8> {
        let (_, wide, little, ..) = self.machine.row();
        match (wide, little) {
            (true, true) => value.to_le_bytes().to_vec(),
            (true, false) => value.to_be_bytes().to_vec(),
            (false, true) => u32::try_from(value).unwrap().to_le_bytes().to_vec(),
            (false, false) => u32::try_from(value).unwrap().to_be_bytes().to_vec(),
        }
    }

    fn half(&self, value: u16) -> [u8; 2] {
        if self.machine.row().2 { value.to_le_bytes() } else { value.to_be_bytes() }
    }

    /// The bytes.
    pub fn build(&self) -> Vec<u8> {
        let wide = self.machine.row().1;
        let (header_size, segment_size) = if wide { (64, 56) } else { (52, 32) };
        let has_dynamic = self.pie_flag || !self.needed.is_empty() || self.soname.is_some() || !self.symbols.is_empty();
        let count =
            2 + usize::from(self.interp.is_some()) + usize::from(!self.notes.is_empty()) + usize::from(has_dynamic);
        let base = if self.object_type == 2 { BASE } else { 0 };

        // Content behind the program headers, with the place of each part.
        let mut body = Vec::new();
        let start = header_size + count * segment_size;
        let mut append = |content: &[u8]| {
            body.resize(body.len().next_multiple_of(16), 0);
            let at = body.len();
            body.extend_from_slice(content);
            (at, content.len())
        };
        let start = start.next_multiple_of(16);
        let code = append(self.machine.code());
        let interp = self.interp.as_ref().map(|path| append(format!("{path}\0").as_bytes()));
        let notes = (!self.notes.is_empty()).then(|| append(&self.note_bytes()));
        let (mut names, mut offsets) = self.names();
        if !self.symbols.is_empty() {
            let symbols = append(&self.symbol_bytes(&mut names, base + start as u64));
            offsets.extend([(6, base + (start + symbols.0) as u64), (11, if wide { 24 } else { 16 })]);
        }
        let names_at = append(&names);
        let tag = match self.hash {
            Hash::SysV => Some(4),
            Hash::Gnu => Some(0x6fff_fef5),
            Hash::Absent => None,
        };
        if let Some(tag) = tag.filter(|_| !self.symbols.is_empty()) {
            let hash = append(&self.hash_bytes());
            offsets.push((tag, base + (start + hash.0) as u64));
        }
        let dynamic = has_dynamic
            .then(|| append(&self.dynamic_bytes(base + (start + names_at.0) as u64, names.len() as u64, &offsets)));
        append(&self.payload);

        let loaded = start + body.len();
        let place = |(at, len): (usize, usize)| ((start + at) as u64, len as u64);
        let mut table = vec![self.segment(1, 5, (0, loaded as u64), base, 0x1000)];
        // Not executable stack.
        table.push(self.segment(0x6474_e551, 6, (0, 0), 0, 16));
        table.extend(interp.map(|part| self.segment(3, 4, place(part), base, 1)));
        table.extend(notes.map(|part| self.segment(4, 4, place(part), base, 4)));
        table.extend(dynamic.map(|part| self.segment(2, 6, place(part), base, 8)));

        let (tail, section_offset, sections) = self.section_bytes(loaded);
        let mut out = self.header(base + place(code).0, header_size, segment_size, count, (section_offset, sections));
        table.iter().for_each(|segment| out.extend_from_slice(segment));
        out.resize(start, 0);
        out.extend_from_slice(&body);
        out.extend_from_slice(&tail);
        out
    }

    fn header(&self, entry: u64, size: usize, segment: usize, count: usize, sections: (u64, u16)) -> Vec<u8> {
        let (machine, wide, little, flags, _) = self.machine.row();
        let mut out = b"\x7fELF".to_vec();
        out.extend([if wide { 2 } else { 1 }, if little { 1 } else { 2 }, 1, self.os_abi]);
        out.resize(16, 0);
        out.extend(self.half(self.object_type));
        out.extend(self.half(machine));
        out.extend(self.u32(1));
        out.extend(self.word(entry));
        out.extend(self.word(size as u64));
        out.extend(self.word(sections.0));
        out.extend(self.u32(flags));
        for value in [size as u16, segment as u16, count as u16, if wide { 64 } else { 40 }, sections.1] {
            out.extend(self.half(value));
        }
        out.extend(self.half(sections.1.saturating_sub(1)));
        out
    }

    fn segment(&self, kind: u32, flags: u32, (offset, len): (u64, u64), base: u64, align: u64) -> Vec<u8> {
        let wide = self.machine.row().1;
        let mut out = self.u32(kind).to_vec();
        if wide {
            out.extend(self.u32(flags));
        }
        for value in [offset, base + offset, base + offset, len, len] {
            out.extend(self.word(value));
        }
        if !wide {
            out.extend(self.u32(flags));
        }
        out.extend(self.word(align));
        out
    }

    fn note_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (owner, kind, content) in &self.notes {
            out.extend(self.u32(owner.len() as u32 + 1));
            out.extend(self.u32(content.len() as u32));
            out.extend(self.u32(*kind));
            out.extend_from_slice(owner.as_bytes());
            out.push(0);
            out.resize(out.len().next_multiple_of(4), 0);
            out.extend_from_slice(content);
            out.resize(out.len().next_multiple_of(4), 0);
        }
        out
    }

    /// The dynamic string table, and `(tag, offset)` of each name.
    fn names(&self) -> (Vec<u8>, Vec<(u64, u64)>) {
        let mut table = vec![0];
        let mut offsets = Vec::new();
        let tagged = self.needed.iter().map(|name| (1, name)).chain(self.soname.iter().map(|name| (14, name)));
        for (tag, name) in tagged.chain(self.paths.iter().map(|(tag, path)| (*tag, path))) {
            offsets.push((tag, table.len() as u64));
            table.extend_from_slice(name.as_bytes());
            table.push(0);
        }
        (table, offsets)
    }

    /// The undefined symbols, then the others, as a GNU hash table wants them. Adds their names to the string table.
    fn symbol_bytes(&self, names: &mut Vec<u8>, code: u64) -> Vec<u8> {
        let wide = self.machine.row().1;
        let mut out = vec![0; if wide { 24 } else { 16 }];
        let (defined, undefined): (Vec<_>, Vec<_>) = self.symbols.iter().partition(|symbol| symbol.1);
        for (name, defined) in undefined.into_iter().chain(defined) {
            let at = self.u32(names.len() as u32);
            names.extend_from_slice(name.as_bytes());
            names.push(0);
            // STB_GLOBAL, STT_FUNC; the first section, which need not be there.
            let kind = [&[0x12, 0][..], &self.half(u16::from(*defined))].concat();
            let place = [self.word(if *defined { code } else { 0 }), self.word(0)].concat();
            let (second, third) = if wide { (kind, place) } else { (place, kind) };
            out.extend([&at[..], &second, &third].concat());
        }
        out
    }

    /// One bucket with all symbols that are hashed.
    fn hash_bytes(&self) -> Vec<u8> {
        let (all, defined) = (self.symbols.len() as u32, self.symbols.iter().filter(|symbol| symbol.1).count() as u32);
        let words: Vec<u32> = if self.hash == Hash::SysV {
            let chain = (1..=all).map(|next| if next == all { 0 } else { next + 1 });
            // Buckets of 64-bit s390 are twice as wide.
            let numbers = [1, all + 1, 1, 0].into_iter().chain(chain);
            if self.machine == Machine::S390x {
                numbers.flat_map(|number| [0, number]).collect()
            } else {
                numbers.collect()
            }
        } else {
            let first = if defined == 0 { 1 } else { all + 1 - defined };
            let bloom = if self.machine.row().1 { 2 } else { 1 };
            let head = [1, first, 1, 0].into_iter().chain(std::iter::repeat_n(u32::MAX, bloom));
            let chain = (1..=defined).map(|place| 2 | u32::from(place == defined));
            head.chain([if defined == 0 { 0 } else { first }]).chain(chain).collect()
        };
        words.into_iter().flat_map(|word| self.u32(word)).collect()
    }

    fn dynamic_bytes(&self, names: u64, size: u64, offsets: &[(u64, u64)]) -> Vec<u8> {
        let mut entries = offsets.to_vec();
        entries.extend([(5, names), (10, size)]);
        if self.pie_flag {
            entries.push((0x6fff_fffb, 0x0800_0001));
        }
        entries.push((0, 0));
        entries.into_iter().flat_map(|(tag, value)| [self.word(tag), self.word(value)].concat()).collect()
    }

    /// Content and headers of the sections, the offset of the headers, and their number.
    fn section_bytes(&self, at: usize) -> (Vec<u8>, u64, u16) {
        let mut all = self.sections.clone();
        if let Some(arch) = self.machine.arm_cpu_arch() {
            all.push((".ARM.attributes".to_owned(), 0x7000_0003, self.arm_attributes(arch)));
        }
        if all.is_empty() {
            return (Vec::new(), 0, 0);
        }
        let mut names = vec![0];
        let mut name_offsets = Vec::new();
        for name in all.iter().map(|s| s.0.as_str()).chain([".shstrtab"]) {
            name_offsets.push(names.len() as u32);
            names.extend_from_slice(name.as_bytes());
            names.push(0);
        }
        all.push((".shstrtab".to_owned(), 3, names));
        let mut tail = vec![0; at.next_multiple_of(16) - at];
        let mut headers = self.section_header(0, 0, 0, 0);
        for ((_, kind, content), name) in all.iter().zip(name_offsets) {
            headers.extend(self.section_header(name, *kind, (at + tail.len()) as u64, content.len() as u64));
            tail.extend_from_slice(content);
            tail.resize(tail.len().next_multiple_of(16), 0);
        }
        tail.resize((at + tail.len()).next_multiple_of(16) - at, 0);
        let offset = (at + tail.len()) as u64;
        tail.extend(headers);
        (tail, offset, all.len() as u16 + 1)
    }

    fn section_header(&self, name: u32, kind: u32, offset: u64, size: u64) -> Vec<u8> {
        let mut out = [self.u32(name), self.u32(kind)].concat();
        for value in [0, 0, offset, size] {
            out.extend(self.word(value));
        }
        out.extend([self.u32(0), self.u32(0)].concat());
        out.extend(self.word(1));
        out.extend(self.word(0));
        out
    }

    /// `aeabi` attributes of the whole file: CPU architecture, and arguments in VFP registers for v6 and v7.
    fn arm_attributes(&self, arch: u8) -> Vec<u8> {
        let attributes = [6, arch, 28, u8::from(arch >= 6)];
        let scope = [&[1][..], &self.u32(5 + attributes.len() as u32), &attributes].concat();
        let vendor = [b"aeabi\0".as_slice(), &scope].concat();
        [&b"A"[..], &self.u32(4 + vendor.len() as u32), &vendor].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::{ElfMaker, Hash, Machine};

    /// Every part asked for stands in the file, and the same calls give the same bytes.
    #[test]
    fn maker_is_deterministic() {
        for machine in Machine::ALL {
            let make = |hash| {
                ElfMaker::new(machine)
                    .symbol("imported", false)
                    .symbol("exported", true)
                    .hash(hash)
                    .static_pie(true)
                    .os_abi(3)
                    .interp("/lib/ld-test.so.1")
                    .needed("libone.so.1")
                    .soname("libself.so.2")
                    .note("Owner", 7, b"content of the note")
                    .payload(b"payload bytes")
                    .section(".comment", 1, b"maker\0")
                    .object_type(3)
                    .build()
            };
            let bytes = make(Hash::SysV);
            assert_eq!(bytes, make(Hash::SysV));
            assert!(make(Hash::Gnu) != bytes && make(Hash::Absent) != bytes);
            for part in [
                "/lib/ld-test.so.1\0",
                "libone.so.1\0",
                "libself.so.2\0",
                "content of the note",
                "maker\0",
                "imported\0exported\0",
            ] {
                assert!(memchr::memmem::find(&bytes, part.as_bytes()).is_some(), "{part} in {}", machine.platform());
            }
            assert!(ElfMaker::new(machine).build().len() < 1024);
        }
    }
}
