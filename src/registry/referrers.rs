//! What refers to a manifest: by the API, or where a registry lacks it by the tag that stands in for it (distribution-spec,
//! "Referrers Tag Schema").
//!
//! Which of the two it is, only the answer to a question tells: there are registries that confirm a subject (`OCI-Subject`) and
//! list nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::Error;
use super::auth::Wants;
use super::host::{Call, Host};
use super::listing::Pages;
use super::manifest;
use crate::limits;
use crate::net::{Method, StatusCode, header};
use crate::oci::{Descriptor, Digest, ImageIndex, ManifestView, RawManifest, RedactedUrl, json, media_type};

/// How often an entry is written that others have overwritten.
const ATTEMPTS: u32 = 12;

/// Between writing a list and looking at it once more: longer than another writer takes from reading to writing.
const SETTLE: Duration = Duration::from_millis(120);

/// Manifests that refer to `digest`, sorted by digest.
pub(super) async fn list(host: &Host, repository: &str, digest: &Digest) -> Result<Vec<Descriptor>, Error> {
    if let Some(found) = by_api(host, repository, digest).await? {
        return Ok(found);
    }
    let found = fallback(host, repository, digest, Wants::pull(repository)).await?;
    Ok(found.map(|index| sorted(index.manifests)).unwrap_or_default())
}

/// Sees to it that a manifest that has been pushed is listed with its subject. `confirmed` tells whether the registry answered
/// the push with `OCI-Subject`.
pub(super) async fn attach(
    host: &Host,
    repository: &str,
    subject: &Digest,
    manifest: &RawManifest,
    confirmed: bool,
) -> Result<(), Error> {
    match by_api(host, repository, subject).await? {
        Some(listed) if confirmed || listed.iter().any(|known| known.digest == *manifest.digest()) => Ok(()),
        _ => add_to_fallback(host, repository, subject, manifest).await,
    }
}

/// Adds an entry to the list under the fallback tag. Registries replace a tag whatever stood there, so of two writers at a time
/// one would lose its entry: each looks again after a while, and writes once more what is gone. Writers of one process wait for
/// each other.
async fn add_to_fallback(host: &Host, repository: &str, subject: &Digest, manifest: &RawManifest) -> Result<(), Error> {
    let Some(entry) = crate::store::referrer(manifest, subject) else { return Ok(()) };
    let tag = fallback_tag(subject);
    let _alone = host.attaching.lock().await;
    for attempt in 0..ATTEMPTS {
        let old = manifest::get_named(host, repository, &tag, Wants::push(repository)).await?;
        let document = |source| match host.url(repository, &format!("manifests/{tag}")) {
            Ok(url) => Error::Document { url: RedactedUrl::new(url), source },
            Err(error) => error,
        };
        match with_entry(old.as_ref(), &entry).map_err(document)? {
            Changed::New(list) => drop(manifest::put(host, repository, &tag, &list).await?),
            Changed::Foreign => return Ok(()),
            Changed::Known if attempt == 0 => return Ok(()),
            Changed::Known => {}
        }
        // Spread, so that writers who met once do not meet again.
        tokio::time::sleep(host.policy.spread(SETTLE)).await;
        let now = fallback(host, repository, subject, Wants::push(repository)).await?;
        if now.is_some_and(|index| index.manifests.iter().any(|known| known.digest == entry.digest)) {
            return Ok(());
        }
    }
    let url = host.url(repository, &format!("manifests/{tag}"))?;
    let reason = format!("other writers replaced it {ATTEMPTS} times while an entry was added");
    Err(Error::List { url: RedactedUrl::new(url), reason })
}

/// What becomes of a list.
enum Changed {
    /// It has the entry.
    Known,
    /// Somebody uses the tag for something else, which is not ours to replace.
    Foreign,
    /// The list with the entry.
    New(RawManifest),
}

/// Worked on as JSON, so that entries of other tools stay with all their members.
fn with_entry(old: Option<&RawManifest>, entry: &Descriptor) -> Result<Changed, crate::oci::Error> {
    const WHAT: &str = "list of referrers";
    let refuse = |error: serde_json::Error| crate::oci::Error::Document { what: WHAT, reason: error.to_string() };
    let mut document = match old {
        None => json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [] }),
        Some(old) if index_of(old).is_some() => serde_json::from_slice(old.bytes()).map_err(refuse)?,
        Some(_) => return Ok(Changed::Foreign),
    };
    let Some(Value::Array(manifests)) = document.get_mut("manifests") else { return Ok(Changed::Foreign) };
    let digest = entry.digest.to_string();
    if manifests.iter().any(|known| known.get("digest").and_then(Value::as_str) == Some(digest.as_str())) {
        return Ok(Changed::Known);
    }
    manifests.push(serde_json::to_value(entry).map_err(refuse)?);
    RawManifest::new(media_type::OCI_INDEX, json::canonical(WHAT, &document)?).map(Changed::New)
}

async fn fallback(host: &Host, repository: &str, subject: &Digest, wants: Wants) -> Result<Option<ImageIndex>, Error> {
    let manifest = manifest::get_named(host, repository, &fallback_tag(subject), wants).await?;
    Ok(manifest.as_ref().and_then(index_of))
}

fn index_of(manifest: &RawManifest) -> Option<ImageIndex> {
    match manifest.view() {
        Ok(ManifestView::Index(index)) => Some(index),
        _ => None,
    }
}

/// `None` when the registry does not have the API.
async fn by_api(host: &Host, repository: &str, digest: &Digest) -> Result<Option<Vec<Descriptor>>, Error> {
    let mut pages = Pages::new(host.url(repository, &format!("referrers/{digest}"))?);
    let mut found = Vec::new();
    while let Some(url) = pages.next.take() {
        let mut call = Call::new(Method::GET, url.clone(), Wants::pull(repository));
        call.request.headers.insert(header::ACCEPT, header::HeaderValue::from_static(media_type::OCI_INDEX));
        let absent = [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED, StatusCode::NOT_IMPLEMENTED];
        let good = [&[StatusCode::OK][..], &absent[..]].concat();
        let (response, bytes) = host.document(&call, &good, limits::MAX_MANIFEST_BYTES).await?;
        if absent.contains(&response.status()) {
            return Ok(None);
        }
        let kind = response.header(header::CONTENT_TYPE.as_str()).map(media_type::essence).unwrap_or_default();
        let index = match ImageIndex::parse(&bytes) {
            Ok(index) => index,
            // A web page or another API stands there.
            Err(_) if kind != media_type::OCI_INDEX => return Ok(None),
            Err(source) => return Err(Error::Document { url: RedactedUrl::new(url), source }),
        };
        found.extend(index.manifests);
        pages.turn(host, &url, &response, found.len())?;
    }
    Ok(Some(sorted(found)))
}

/// One entry per digest.
fn sorted(list: Vec<Descriptor>) -> Vec<Descriptor> {
    let by_digest: BTreeMap<Digest, Descriptor> = list.into_iter().map(|d| (d.digest.clone(), d)).collect();
    by_digest.into_values().collect()
}

/// `<algorithm>-<hex>`, cut to 32 and 64 characters.
fn fallback_tag(digest: &Digest) -> String {
    let hex = digest.hex();
    format!("{}-{}", digest.algorithm().name(), &hex[..hex.len().min(64)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Tag;

    #[test]
    fn fallback_tags_fit_into_a_tag() {
        let digest: Digest = format!("sha512:{}", "a".repeat(128)).parse().unwrap();
        assert_eq!(fallback_tag(&digest), format!("sha512-{}", "a".repeat(64)));
        assert!(fallback_tag(&digest).parse::<Tag>().is_ok());
    }
}
