//! What `--with FEATURE` stands for when no rule asked for it, and `--with file:`, `lib:`, `program:`.

use super::Selector;
use crate::analyze::rules::{Generated, Want, Wanted};
use crate::analyze::{Confidence, Level};
use crate::diag::Evidence;

/// Features that can be asked for without a rule that holds, sorted.
pub const FEATURES: [&str; 11] =
    ["certs", "gconv", "hosts", "locale", "magic", "mime", "services", "shell", "terminfo", "tzdata", "users"];

/// The want of a selector that no rule met; `None` for a feature that has no meaning of its own. `libraries` are the
/// directories of the root's libraries.
pub(super) fn want(selector: &Selector, libraries: &[Vec<u8>]) -> Option<Wanted> {
    let (rule, want, about) = match selector {
        Selector::File(path) => ("user:with", Want::AnyOf(vec![path.clone().into_bytes()]), ""),
        Selector::Library(name) => ("user:with", Want::Library(vec![name.clone().into_bytes()]), "loaded at run time"),
        Selector::Program(name) => ("user:with", Want::Program(vec![name.clone().into_bytes()]), "executed"),
        Selector::Link { .. } => return None,
        Selector::Feature { name, .. } => ("user:with", of_feature(name, libraries)?, ""),
    };
    Some(Wanted {
        rule: rule.to_owned(),
        needed_by: 0,
        level: Level::Required,
        confidence: Confidence::Asserted,
        evidence: vec![Evidence::new("--with", selector.to_string())],
        want,
        feature: None,
        about: about.to_owned(),
    })
}

fn of_feature(name: &str, libraries: &[Vec<u8>]) -> Option<Want> {
    let paths = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
    Some(match name {
        "certs" => Want::Generated(Generated::CaBundle { paths: Vec::new() }),
        "tzdata" => Want::Generated(Generated::Zoneinfo { paths: paths(&["/usr/share/zoneinfo"]) }),
        "hosts" => Want::Generated(Generated::Nsswitch),
        "users" => Want::Generated(Generated::Passwd),
        "shell" => Want::Program(paths(&["/bin/sh"])),
        "services" => Want::AnyOf(paths(&["/etc/services"])),
        "locale" => Want::Generated(Generated::Locale { paths: paths(&["/usr/lib/locale"]) }),
        "gconv" => {
            let directory = |directory: &Vec<u8>| [directory.as_slice(), b"/gconv"].concat();
            Want::Generated(Generated::Gconv { paths: libraries.iter().map(directory).collect() })
        }
        "terminfo" => {
            Want::Tree { paths: paths(&["/usr/share/terminfo", "/lib/terminfo", "/etc/terminfo"]), only: Vec::new() }
        }
        "magic" => Want::AllOf(paths(&["/usr/share/misc/magic.mgc", "/usr/lib/file/magic.mgc"])),
        "mime" => Want::AllOf(paths(&["/usr/share/mime/globs2", "/etc/mime.types"])),
        _ => return None,
    })
}
