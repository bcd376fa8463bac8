//! The bundle of certificates: the user's, the root's, those of its package, or those that Mozilla publishes.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::local;
use super::super::meet::Taken;
use super::super::placed::slashed;
use super::super::walk::Walk;
use crate::analyze::Reason;
use crate::diag::{Evidence, escape};
use crate::limits;
use crate::oci::ImagePath;
use crate::rootfs::{Node, Resolved, RootError, read_whole};

/// Where the image has it: the path of Debian, Alpine and distroless, which nearly every library knows.
const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";

/// Where distributions keep theirs (Debian and Alpine, Fedora, openSUSE, RHEL, Alpine's link).
const KNOWN: [&[u8]; 5] = [
    b"/etc/ssl/certs/ca-certificates.crt",
    b"/etc/pki/tls/certs/ca-bundle.crt",
    b"/etc/ssl/ca-bundle.pem",
    b"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    b"/etc/ssl/cert.pem",
];

/// Where packages have single certificates, from which a script makes the bundle.
const SINGLE: &[u8] = b"/usr/share/ca-certificates";

/// A bundle, and where programs look for it.
pub(in crate::analyze::needs) struct Bundle {
    source: Source,
    paths: Vec<Vec<u8>>,
}

enum Source {
    User(Vec<u8>),
    Root(Vec<u8>, Resolved),
    Singles(Vec<Resolved>),
    Mozilla,
}

pub(super) fn find(walk: &Walk<'_>, paths: &[Vec<u8>]) -> Result<Bundle, RootError> {
    Ok(Bundle { source: source(walk, paths)?, paths: paths.to_vec() })
}

/// The machine's own bundle may have authorities that only the machine trusts: there, only what packages brought counts.
fn source(walk: &Walk<'_>, paths: &[Vec<u8>]) -> Result<Source, RootError> {
    if let Some(bytes) = &walk.choice().ca_bundle {
        return Ok(Source::User(bytes.clone()));
    }
    if !walk.request.host {
        for path in paths.iter().map(Vec::as_slice).chain(KNOWN) {
            if let Some((path, found)) = walk.file(path)?
                && matches!(found.node, Node::File { size, .. } if size > 0 && size <= limits::MAX_CA_BUNDLE_BYTES)
            {
                return Ok(Source::Root(path, found));
            }
        }
    }
    let singles = singles(walk)?;
    Ok(if singles.is_empty() { Source::Mozilla } else { Source::Singles(singles) })
}

/// The certificates of packages, sorted by path; on the machine's own root only those that a package owns.
fn singles(walk: &Walk<'_>) -> Result<Vec<Resolved>, RootError> {
    let Some(top) = walk.directory(SINGLE)? else { return Ok(Vec::new()) };
    let root = walk.root();
    let (mut out, mut open) = (Vec::new(), vec![top.path]);
    while let Some(directory) = open.pop() {
        let names = match root.read_dir(&directory) {
            Ok(names) => names,
            Err(error) if error.hides() => continue,
            Err(error) => return Err(error),
        };
        for name in names {
            if out.len() >= limits::MAX_CERTIFICATES {
                break;
            }
            let Ok(path) = directory.join(&name) else { continue };
            match root.node(&path)? {
                Some(Node::Directory { .. }) => open.push(path),
                Some(node @ Node::File { .. })
                    if name.ends_with(b".crt") && local::is_of_a_package(walk.request, &path) =>
                {
                    out.push(Resolved { path, node, links: Vec::new() });
                }
                _ => {}
            }
        }
    }
    out.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(out)
}

pub(super) fn take(walk: &mut Walk<'_>, bundle: &Bundle, reason: &Reason) -> Result<Taken, RootError> {
    let to = ImagePath::parse(BUNDLE).map_err(|_| RootError::PathTooLong)?;
    let mut reason = reason.clone();
    reason.evidence.push(Evidence::new("certificates", told(&bundle.source)));
    let root = walk.root();
    let mut size = 0;
    match &bundle.source {
        Source::User(bytes) => {
            size = bytes.len() as u64;
            walk.files.generate(to.clone(), bytes.clone(), reason.clone());
        }
        Source::Root(_, found) => {
            size = super::super::resolved_size(found);
            walk.files.copy(to.clone(), found, &reason);
        }
        Source::Singles(singles) => {
            let mut bytes = Vec::new();
            for single in singles {
                let room = limits::MAX_CA_BUNDLE_BYTES.saturating_sub(bytes.len() as u64);
                match read_whole(root, &single.path, room) {
                    Ok(single) => bytes.extend(single),
                    // No certificate is as large as that.
                    Err(RootError::TooLarge { .. } | RootError::NotRegular(_)) => continue,
                    Err(error) if error.hides() => continue,
                    Err(error) => return Err(error),
                }
                if bytes.last() != Some(&b'\n') {
                    bytes.push(b'\n');
                }
            }
            size += bytes.len() as u64;
            walk.files.generate(to.clone(), bytes, reason.clone());
        }
        Source::Mozilla => {
            let bytes = mozilla();
            size += bytes.len() as u64;
            walk.files.generate(to.clone(), bytes, reason.clone());
        }
    }
    walk.needs.env.entry("SSL_CERT_FILE".to_owned()).or_insert_with(|| format!("/{BUNDLE}"));
    link(walk, bundle, &to, &reason);
    Ok(Taken { files: vec![format!("/{BUNDLE}")], size })
}

/// Programs that look elsewhere find a link there.
fn link(walk: &mut Walk<'_>, bundle: &Bundle, to: &ImagePath, reason: &Reason) {
    for path in &bundle.paths {
        let Ok(at) = ImagePath::parse(path) else { continue };
        if local::is_volatile(&at) {
            continue;
        }
        // A directory above that is a link in the root would be one in the image, and may lead to the bundle itself.
        let real = crate::rootfs::resolve(walk.root(), path).ok().flatten();
        if at == *to || real.is_some_and(|real| real.path == *to) || walk.files.contains(&at) {
            continue;
        }
        walk.files.link(at, &slashed(to), reason.clone());
    }
}

fn told(source: &Source) -> String {
    match source {
        Source::User(_) => "--ca-bundle".to_owned(),
        Source::Root(path, _) => escape(path),
        Source::Singles(singles) => format!("{} files of {}", singles.len(), escape(SINGLE)),
        Source::Mozilla => "Mozilla's, as the crate webpki-root-certs has them".to_owned(),
    }
}

/// Mozilla's authorities as PEM (RFC 7468: 64 characters a line).
fn mozilla() -> Vec<u8> {
    let mut text = String::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let encoded = STANDARD.encode(certificate.as_ref());
        for line in encoded.as_bytes().chunks(64) {
            let _ = writeln!(text, "{}", String::from_utf8_lossy(line));
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text.into_bytes()
}
