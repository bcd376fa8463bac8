//! What the analyzer makes or chooses itself: name service, accounts, certificates, time zones, locales, converters.

mod certs;
mod gconv;
mod locale;
mod zones;

use super::meet::Taken;
use super::walk::Walk;
use super::{Reason, Selector};
use crate::analyze::rules::Generated;
use crate::oci::ImagePath;
use crate::rootfs::RootError;

/// What will be made.
pub(in crate::analyze::needs) enum Made {
    Nsswitch,
    Accounts,
    Certificates(certs::Bundle),
    Zones(zones::Zones),
    Locales(Vec<locale::Locale>),
    Converters(gconv::Converters),
}

/// Hosts, users and groups from files and DNS, as distroless has it: the modules for both are part of glibc since 2.34.
const NSSWITCH: &str = "passwd: files\ngroup: files\nhosts: files dns\n";

/// What can be made of a want with this root; `None` when nothing can.
pub(super) fn find(walk: &mut Walk<'_>, at: usize, generated: &Generated) -> Result<Option<Made>, RootError> {
    Ok(match generated {
        Generated::Nsswitch => Some(Made::Nsswitch),
        Generated::Passwd => Some(Made::Accounts),
        Generated::CaBundle { paths } => Some(Made::Certificates(certs::find(walk, paths)?)),
        Generated::Zoneinfo { paths } => Some(Made::Zones(zones::find(walk, paths)?)),
        Generated::Locale { paths } => locale::find(walk, paths)?.map(Made::Locales),
        Generated::Gconv { paths } => gconv::find(walk, at, paths)?.map(Made::Converters),
    })
}

/// Makes it.
pub(super) fn take(walk: &mut Walk<'_>, at: usize, made: &Made, reason: &Reason) -> Result<Taken, RootError> {
    match made {
        Made::Nsswitch => {
            let taken = generate(walk, b"/etc/nsswitch.conf", NSSWITCH.as_bytes().to_vec(), reason);
            modules(walk, at, reason)?;
            Ok(taken)
        }
        Made::Accounts => {
            walk.needs.accounts.get_or_insert_with(|| reason.clone());
            Ok(Taken { files: vec!["/etc/passwd".to_owned(), "/etc/group".to_owned()], size: 0 })
        }
        Made::Certificates(bundle) => certs::take(walk, bundle, reason),
        Made::Zones(zones) => zones::take(walk, zones, reason),
        Made::Locales(locales) => locale::take(walk, locales, reason),
        Made::Converters(converters) => gconv::take(walk, at, converters, reason),
    }
}

/// Names of what the root has, for one who asked for something else.
pub(super) fn there(walk: &Walk<'_>, generated: &Generated) -> Result<Vec<String>, RootError> {
    match generated {
        Generated::Locale { paths } => locale::there(walk, paths),
        _ => Ok(Vec::new()),
    }
}

/// A file with content of our own.
fn generate(walk: &mut Walk<'_>, path: &[u8], bytes: Vec<u8>, reason: &Reason) -> Taken {
    let size = bytes.len() as u64;
    if let Ok(at) = ImagePath::parse(path) {
        walk.files.generate(at, bytes, reason.clone());
    }
    Taken { files: vec![crate::diag::escape(path)], size }
}

/// glibc before 2.34 has the modules of `files` and `dns` in libraries of their own.
fn modules(walk: &mut Walk<'_>, at: usize, reason: &Reason) -> Result<(), RootError> {
    let version = walk.live[at].closure.as_ref().and_then(|closure| closure.profile.version.clone());
    let old = version.and_then(|version| minor(&version)).is_some_and(|minor| minor < 34);
    if !old {
        return Ok(());
    }
    for name in [&b"libnss_files.so.2"[..], b"libnss_dns.so.2"] {
        walk.dlopen(at, 0, name, reason, "a source of nsswitch.conf")?;
    }
    Ok(())
}

/// The second number of a glibc version such as `2.36`.
fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("2.")?.split('.').next()?.parse().ok()
}

/// The values that `--with NAME=VALUE` names.
fn values<'a>(walk: &'a Walk<'_>, name: &str) -> Vec<&'a str> {
    let value = |selector: &'a Selector| match selector {
        Selector::Feature { name: own, value: Some(value) } if own == name => Some(value.as_str()),
        _ => None,
    };
    walk.choice().with.iter().filter_map(value).collect()
}
