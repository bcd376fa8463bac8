//! `.ARM.attributes`: what 32-bit ARM code needs (ELF for the Arm Architecture, addenda32, "Build Attributes").

use serde::Serialize;

use super::header::{Header, Layout};
use super::sections::Sections;

/// `EF_ARM_ABI_FLOAT_SOFT`.
const FLOAT_SOFT: u32 = 0x200;
/// `EF_ARM_ABI_FLOAT_HARD`.
const FLOAT_HARD: u32 = 0x400;
/// `SHT_ARM_ATTRIBUTES`.
const SECTION_KIND: u32 = 0x7000_0003;
const TAG_FILE: u64 = 1;
const TAG_CPU_ARCH: u64 = 6;
const TAG_VFP_ARGS: u64 = 28;

/// How floating-point arguments are passed, from `e_flags`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FloatAbi {
    /// In integer registers.
    Soft,
    /// In floating-point registers.
    Hard,
}

/// What is known of 32-bit ARM code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, schemars::JsonSchema)]
pub struct ArmFacts {
    /// `Tag_CPU_arch` as the number in the file.
    pub cpu_arch: Option<u64>,
    /// `Tag_ABI_VFP_args`: floating-point arguments in VFP registers.
    pub vfp_args: bool,
    /// From `e_flags`.
    pub float_abi: Option<FloatAbi>,
}

impl ArmFacts {
    /// The architecture version that `Tag_CPU_arch` asks for, of the application profile: 5, 6, 7 or 8. Version 4 counts
    /// as 5, the oldest with a name in images; microcontroller profiles have no answer.
    #[must_use]
    pub const fn version(&self) -> Option<u8> {
        match self.cpu_arch {
            Some(0..=5) => Some(5),
            Some(6..=9) => Some(6),
            Some(10) => Some(7),
            Some(14 | 15 | 22) => Some(8),
            _ => None,
        }
    }
}

pub(super) fn parse(header: &Header, sections: &Sections<'_>) -> ArmFacts {
    let float_abi = match header.flags & (FLOAT_SOFT | FLOAT_HARD) {
        FLOAT_SOFT => Some(FloatAbi::Soft),
        FLOAT_HARD => Some(FloatAbi::Hard),
        _ => None,
    };
    let mut facts = ArmFacts { float_abi, ..ArmFacts::default() };
    let section = sections.named(b".ARM.attributes").or_else(|| sections.of_kind(SECTION_KIND));
    if let Some(raw) = section.and_then(|section| sections.content(section)) {
        attributes(&raw, header.layout, &mut facts);
    }
    facts
}

/// `A`, then per vendor: size, name, NUL, then per scope: tag, size, attributes.
fn attributes(raw: &[u8], layout: Layout, facts: &mut ArmFacts) -> Option<()> {
    let mut rest = raw.strip_prefix(b"A")?;
    while !rest.is_empty() {
        let size = usize::try_from(layout.u32(rest, 0)?).ok()?;
        let vendor = rest.get(4..size)?;
        rest = rest.get(size..)?;
        let end = vendor.iter().position(|&b| b == 0)?;
        if &vendor[..end] == b"aeabi" {
            scopes(&vendor[end + 1..], layout, facts);
        }
    }
    Some(())
}

fn scopes(mut rest: &[u8], layout: Layout, facts: &mut ArmFacts) -> Option<()> {
    while !rest.is_empty() {
        let mut head = rest;
        let tag = uleb(&mut head)?;
        let size = usize::try_from(layout.u32(head, 0)?).ok()?;
        let used = rest.len() - head.len() + 4;
        let mut body = rest.get(used..size)?;
        rest = rest.get(size..)?;
        while tag == TAG_FILE && !body.is_empty() {
            attribute(&mut body, facts)?;
        }
    }
    Some(())
}

fn attribute(rest: &mut &[u8], facts: &mut ArmFacts) -> Option<()> {
    let tag = uleb(rest)?;
    // CPU_raw_name, CPU_name, and above 32 every odd tag hold text; compatibility (32) holds both kinds.
    let text = matches!(tag, 4 | 5) || (tag > 32 && tag % 2 == 1);
    if !text {
        let value = uleb(rest)?;
        match tag {
            TAG_CPU_ARCH => facts.cpu_arch = Some(value),
            TAG_VFP_ARGS => facts.vfp_args = value == 1,
            _ => {}
        }
    }
    if text || tag == 32 {
        let end = rest.iter().position(|&b| b == 0)?;
        *rest = &rest[end + 1..];
    }
    Some(())
}

fn uleb(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..63).step_by(7) {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
