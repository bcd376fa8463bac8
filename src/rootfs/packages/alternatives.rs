//! The links of update-alternatives(1): no package owns them, but the machine's package manager made them.

use std::collections::BTreeMap;

use crate::limits;

/// Where the second link of each chain is: `/usr/bin/editor` leads to `/etc/alternatives/editor`, and that to the file.
const CHOSEN: &[u8] = b"etc/alternatives/";

/// The links of a group, without leading slash: those that programs use, and those in `/etc/alternatives`. From the bytes
/// of `/var/lib/dpkg/alternatives/NAME`: the mode, the link, then name and link of each slave up to an empty line.
#[must_use]
pub fn parse_alternatives(name: &[u8], bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut lines = bytes.split(|b| *b == b'\n');
    if !matches!(lines.next(), Some(b"auto" | b"manual")) {
        return found;
    }
    let mut name = name;
    while let Some(link) = lines.next().and_then(|line| line.strip_prefix(b"/")) {
        let good = !link.is_empty() && link.len() <= limits::MAX_PATH_BYTES && !name.contains(&b'/');
        if good && found.len() < limits::MAX_ALTERNATIVE_LINKS {
            found.extend([link.to_vec(), [CHOSEN, name].concat()]);
        }
        match lines.next() {
            None | Some(b"") => break,
            Some(slave) => name = slave,
        }
    }
    found
}

/// All links by their path, with the name of their group.
pub(super) type Alternatives = BTreeMap<Vec<u8>, String>;
