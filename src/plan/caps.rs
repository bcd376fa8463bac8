//! File capabilities (capabilities(7), `linux/capability.h`).

use std::fmt;

use super::Error;
use super::add::absolute;
use crate::oci::ImagePath;

/// Names by number, as in `linux/capability.h` of Linux 5.9 and later.
const NAMES: [&str; 41] = [
    "cap_chown",
    "cap_dac_override",
    "cap_dac_read_search",
    "cap_fowner",
    "cap_fsetid",
    "cap_kill",
    "cap_setgid",
    "cap_setuid",
    "cap_setpcap",
    "cap_linux_immutable",
    "cap_net_bind_service",
    "cap_net_broadcast",
    "cap_net_admin",
    "cap_net_raw",
    "cap_ipc_lock",
    "cap_ipc_owner",
    "cap_sys_module",
    "cap_sys_rawio",
    "cap_sys_chroot",
    "cap_sys_ptrace",
    "cap_sys_pacct",
    "cap_sys_admin",
    "cap_sys_boot",
    "cap_sys_nice",
    "cap_sys_resource",
    "cap_sys_time",
    "cap_sys_tty_config",
    "cap_mknod",
    "cap_lease",
    "cap_audit_write",
    "cap_audit_control",
    "cap_setfcap",
    "cap_mac_override",
    "cap_mac_admin",
    "cap_syslog",
    "cap_wake_alarm",
    "cap_block_suspend",
    "cap_audit_read",
    "cap_perfmon",
    "cap_bpf",
    "cap_checkpoint_restore",
];

/// `VFS_CAP_REVISION_2`: no root uid of a namespace, so the bytes mean the same on every machine.
const REVISION_2: u32 = 0x0200_0000;
/// `VFS_CAP_REVISION_1`, with 32 capabilities only.
const REVISION_1: u32 = 0x0100_0000;
/// `VFS_CAP_REVISION_3`, which ends with the root uid of a namespace.
const REVISION_3: u32 = 0x0300_0000;
/// `VFS_CAP_FLAGS_EFFECTIVE`.
const EFFECTIVE: u32 = 1;

/// The capabilities of one file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities {
    permitted: u64,
    inheritable: u64,
    effective: bool,
}

impl Capabilities {
    /// Parses `name[,name…]+flags` (or with `=`), where flags are of `e`, `i` and `p`, as `setcap` writes it.
    ///
    /// # Errors
    /// [`Error::Capability`] and [`Error::UnknownCapability`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |reason| Error::Capability { text: text.to_owned(), reason };
        let (names, flags) = text
            .split_once(['+', '='])
            .ok_or_else(|| refuse("expected `name+flags` as in `cap_net_bind_service+ep`"))?;
        if flags.is_empty() || !flags.bytes().all(|b| b"eip".contains(&b)) {
            return Err(refuse("the flags are letters of `e`, `i` and `p`"));
        }
        let mut bits = 0;
        for name in names.split(',') {
            bits |= 1_u64 << number(name)?;
        }
        let has = |flag| flags.contains(flag);
        if !has('p') && !has('i') {
            return Err(refuse("`e` alone gives nothing; write `ep`"));
        }
        let given = |flag| if has(flag) { bits } else { 0 };
        Ok(Self { permitted: given('p'), inheritable: given('i'), effective: has('e') })
    }

    /// The value of `security.capability`: `struct vfs_cap_data`, revision 2, 20 bytes, little endian.
    #[must_use]
    pub fn to_xattr(self) -> Vec<u8> {
        let low = |bits: u64| (bits & 0xffff_ffff) as u32;
        let high = |bits: u64| (bits >> 32) as u32;
        let words = [
            REVISION_2 | if self.effective { EFFECTIVE } else { 0 },
            low(self.permitted),
            low(self.inheritable),
            high(self.permitted),
            high(self.inheritable),
        ];
        words.into_iter().flat_map(u32::to_le_bytes).collect()
    }
}

impl Capabilities {
    /// Reads a value of `security.capability` of any revision. The root uid of revision 3 is left out. `None` when it is none.
    #[must_use]
    pub fn from_xattr(raw: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_le_bytes(raw.get(4 * at..4 * at + 4)?.try_into().ok()?));
        let head = word(0)?;
        let wide = match (head & 0xff00_0000, raw.len()) {
            (REVISION_1, 12) => false,
            (REVISION_2, 20) | (REVISION_3, 24) => true,
            _ => return None,
        };
        let bits = |low: usize, high: usize| {
            let high = if wide { word(high)? } else { 0 };
            Some(u64::from(high) << 32 | u64::from(word(low)?))
        };
        Some(Self { permitted: bits(1, 3)?, inheritable: bits(2, 4)?, effective: head & EFFECTIVE != 0 })
    }
}

/// As `getcap` shows it: the names by their flags, those of one kind together.
impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let e = if self.effective { "e" } else { "" };
        let kinds = [
            (self.permitted & self.inheritable, "ip"),
            (self.permitted & !self.inheritable, "p"),
            (self.inheritable & !self.permitted, "i"),
        ];
        let mut space = "";
        for (bits, flags) in kinds.into_iter().filter(|(bits, _)| *bits != 0) {
            let name = |number: usize| NAMES.get(number).map_or_else(|| number.to_string(), |name| (*name).to_owned());
            let names: Vec<String> = (0..64).filter(|number| bits >> number & 1 == 1).map(name).collect();
            write!(f, "{space}{}={e}{flags}", names.join(","))?;
            space = " ";
        }
        Ok(())
    }
}

fn number(name: &str) -> Result<usize, Error> {
    let lower = name.to_ascii_lowercase();
    if let Some(number) = NAMES.iter().position(|known| *known == lower) {
        return Ok(number);
    }
    let full = if lower.starts_with("cap_") { lower } else { format!("cap_{lower}") };
    let nearest = NAMES.iter().min_by_key(|known| strsim::damerau_levenshtein(known, &full)).copied();
    let nearest = nearest.filter(|known| strsim::damerau_levenshtein(known, &full) <= 3);
    Err(Error::UnknownCapability { name: name.to_owned(), nearest })
}

/// File capabilities for one path of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileCap {
    /// Which file.
    pub path: ImagePath,
    /// Which capabilities.
    pub capabilities: Capabilities,
}

impl FileCap {
    /// Parses `PATH=name[,name…]+flags`; the path ends at the first `=`.
    ///
    /// # Errors
    /// [`Error::Capability`], [`Error::UnknownCapability`] and [`Error::Path`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (path, capabilities) = text.split_once('=').ok_or_else(|| Error::Capability {
            text: text.to_owned(),
            reason: "expected `PATH=name+flags` as in `/app/web=cap_net_bind_service+ep`",
        })?;
        Self::new(path, capabilities)
    }

    /// From the path and the text of the capabilities.
    ///
    /// # Errors
    /// As [`FileCap::parse`].
    pub fn new(path: &str, capabilities: &str) -> Result<Self, Error> {
        let capabilities = Capabilities::parse(capabilities)?;
        Ok(Self { path: absolute("file that gets capabilities", path.as_bytes())?, capabilities })
    }
}
