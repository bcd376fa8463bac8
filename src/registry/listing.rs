//! Lists: tags and referrers, page by page.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use url::Url;

use super::auth::Wants;
use super::host::{Call, Host};
use super::manifest;
use super::{Error, error::printable};
use crate::limits;
use crate::net::{Method, Response, StatusCode, header, resolve_link};
use crate::observe::Event;
use crate::oci::{Descriptor, Digest, ImageIndex, ManifestView, RawManifest, RedactedUrl, Tag, media_type};

/// Tags asked for per page; what Amazon ECR takes at most.
const TAGS_PER_PAGE: &str = "1000";

#[derive(Deserialize)]
struct TagPage {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

/// All tags, sorted; `None` when the repository does not exist.
pub(super) async fn tags(host: &Host, repository: &str) -> Result<Option<Vec<Tag>>, Error> {
    let mut url = host.url(repository, "tags/list")?;
    url.query_pairs_mut().append_pair("n", TAGS_PER_PAGE);
    let mut found = BTreeSet::new();
    let mut pages = Pages::new(url);
    while let Some(url) = pages.next.take() {
        let call = Call::new(Method::GET, url.clone(), Wants::pull(repository));
        let good = [StatusCode::OK, StatusCode::NOT_FOUND];
        let (response, bytes) = host.document(&call, &good, limits::MAX_TAG_PAGE_BYTES).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let page: TagPage = serde_json::from_slice(&bytes).map_err(|e| pages.fail(&url, printable(&e.to_string())))?;
        for text in page.tags.unwrap_or_default() {
            match text.parse::<Tag>() {
                Ok(tag) => {
                    found.insert(tag);
                }
                Err(error) => {
                    let text = format!("a tag of `{}/{repository}` is left out: {error}", host.name);
                    host.client.observer().event(Event::Message { text: &text });
                }
            }
        }
        pages.turn(host, &url, &response, found.len())?;
    }
    Ok(Some(found.into_iter().collect()))
}

/// Manifests that refer to `digest`, sorted by digest: by the API, or where the registry lacks it by the tag that
/// stands in for it (distribution-spec, "Referrers Tag Schema").
pub(super) async fn referrers(host: &Host, repository: &str, digest: &Digest) -> Result<Vec<Descriptor>, Error> {
    if let Some(found) = by_api(host, repository, digest).await? {
        return Ok(found);
    }
    let Some(manifest) = manifest::get_named(host, repository, &fallback_tag(digest), Wants::pull(repository)).await?
    else {
        return Ok(Vec::new());
    };
    match manifest.view() {
        Ok(ManifestView::Index(index)) => Ok(sorted(index.manifests)),
        // Somebody uses the tag for something else.
        _ => Ok(Vec::new()),
    }
}

/// Adds a manifest to the tag that lists what refers to `subject`, for a registry that does not keep such lists itself
/// (distribution-spec, "Pushing Manifests with Subject"). Two writers at a time may lose one entry, as the spec says.
pub(super) async fn add_referrer(
    host: &Host,
    repository: &str,
    subject: &Digest,
    manifest: &RawManifest,
) -> Result<(), Error> {
    let Some(entry) = crate::store::referrer(manifest, subject) else { return Ok(()) };
    let tag = fallback_tag(subject);
    let mut index = match manifest::get_named(host, repository, &tag, Wants::push(repository)).await? {
        None => ImageIndex {
            schema_version: 2,
            media_type: Some(media_type::OCI_INDEX.to_owned()),
            artifact_type: None,
            manifests: Vec::new(),
            subject: None,
            annotations: BTreeMap::new(),
            other: serde_json::Map::new(),
        },
        Some(old) => match old.view() {
            Ok(ManifestView::Index(index)) => index,
            // Somebody uses the tag for something else, which is not ours to replace.
            _ => return Ok(()),
        },
    };
    if index.manifests.iter().any(|known| known.digest == entry.digest) {
        return Ok(());
    }
    index.manifests.push(entry);
    let url = || host.url(repository, &format!("manifests/{tag}"));
    let document =
        |source| url().map_or_else(|error| error, |url| Error::Document { url: RedactedUrl::new(url), source });
    let raw = RawManifest::from_index(&index).map_err(document)?;
    manifest::put(host, repository, &tag, &raw).await.map(drop)
}

/// `None` when the registry does not have the API: only the answer tells, never the `OCI-Subject` of a push.
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

/// Turns pages and sees to it that they end.
struct Pages {
    next: Option<Url>,
    seen: BTreeSet<String>,
}

impl Pages {
    fn new(first: Url) -> Self {
        Self { next: Some(first), seen: BTreeSet::new() }
    }

    fn fail(&self, url: &Url, reason: String) -> Error {
        Error::List { url: RedactedUrl::new(url.clone()), reason }
    }

    fn turn(&mut self, host: &Host, url: &Url, response: &Response, entries: usize) -> Result<(), Error> {
        self.seen.insert(url.to_string());
        if entries > limits::MAX_LIST_ENTRIES {
            return Err(self.fail(url, format!("it has more than {} entries", limits::MAX_LIST_ENTRIES)));
        }
        let Some(link) = response.header(header::LINK.as_str()).and_then(next_link) else { return Ok(()) };
        let next = resolve_link(response.url(), link)?;
        if !host.is_own(&next) {
            return Err(self.fail(url, "its next page is on another host".to_owned()));
        }
        if self.seen.contains(next.as_str()) || self.seen.len() >= limits::MAX_PAGES {
            return Err(self.fail(url, "its pages do not end".to_owned()));
        }
        self.next = Some(next);
        Ok(())
    }
}

/// The target of `<…>; rel="next"` (RFC 8288); other relations are passed over.
fn next_link(header: &str) -> Option<&str> {
    let mut rest = header;
    loop {
        let (target, after) = rest.trim_start_matches([' ', ',']).strip_prefix('<')?.split_once('>')?;
        let end = after.find(", <").or_else(|| after.find(",<")).unwrap_or(after.len());
        let (parameters, more) = after.split_at(end);
        let is_next = parameters.split(';').any(|p| {
            let p = p.trim();
            p.get(..4).is_some_and(|name| name.eq_ignore_ascii_case("rel=")) && p[4..].trim_matches('"') == "next"
        });
        if is_next {
            return Some(target);
        }
        rest = more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_headers() {
        for (header, want) in [
            ("</v2/a/tags/list?n=1&last=x>; rel=\"next\"", Some("/v2/a/tags/list?n=1&last=x")),
            ("<a>;rel=next", Some("a")),
            ("<a>; Rel=\"next\"", Some("a")),
            ("<a>; rel=\"prev\", <b>; rel=\"next\"", Some("b")),
            ("<a>; rel=\"prev\"", None),
            ("<a>", None),
            ("a; rel=next", None),
            ("<a; rel=next", None),
            ("", None),
            ("<a>; é", None),
        ] {
            assert_eq!(next_link(header), want, "{header}");
        }
    }

    #[test]
    fn fallback_tags_fit_into_a_tag() {
        let digest: Digest = format!("sha512:{}", "a".repeat(128)).parse().unwrap();
        assert_eq!(fallback_tag(&digest), format!("sha512-{}", "a".repeat(64)));
        assert!(fallback_tag(&digest).parse::<Tag>().is_ok());
    }
}
