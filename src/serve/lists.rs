//! The endpoints that list: tags, referrers, repositories.

use std::io::Read;
use std::sync::Arc;

use hyper::header::{CONTENT_TYPE, HeaderName, LINK};
use hyper::{Response, StatusCode};
use serde_json::json;

use crate::limits;
use crate::oci::{Descriptor, Digest, ImageIndex, json, media_type};

use super::Error;
use super::blocking::blocking;
use super::body::{self, ReplyBody, reply, set};
use super::handler::Registry;
use super::manifest::Document;
use super::name::Name;
use super::range::number;
use super::refusal::{Code, Refusal};
use super::route::{self, Query};
use super::storage::{Backend, Content, Listed, RepoIndex};

type Answer = Result<Response<ReplyBody>, Refusal>;

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

impl Registry {
    /// `GET` of the tags of a repository.
    pub(super) async fn list_tags(&self, query: &Query, name: Name) -> Answer {
        let backend = Arc::clone(&self.backend);
        let wanted = name.clone();
        let index = blocking(move || backend.index(&wanted)).await?;
        let index = index.ok_or_else(|| Refusal::unknown(Code::NameUnknown, &name))?;
        let (tags, next) = page(index.tags().keys().map(crate::oci::Tag::as_str), query)?;
        let mut response = json_reply("application/json", json!({ "name": name.as_str(), "tags": tags }).to_string());
        if let Some((n, last)) = next {
            set(&mut response, LINK, format_args!("</v2/{name}/tags/list?n={n}&last={last}>; rel=\"next\""));
        }
        Ok(response)
    }

    /// `GET` of all repositories: not part of the distribution-spec, but every registry has it.
    pub(super) async fn catalog(&self, query: &Query) -> Answer {
        let backend = Arc::clone(&self.backend);
        let names = blocking(move || backend.repositories()).await?;
        let (names, next) = page(names.iter().map(Name::as_str), query)?;
        let mut response = json_reply("application/json", json!({ "repositories": names }).to_string());
        if let Some((n, last)) = next {
            set(&mut response, LINK, format_args!("</v2/_catalog?n={n}&last={last}>; rel=\"next\""));
        }
        Ok(response)
    }

    /// `GET` of the manifests whose subject is `subject`. Never a 404 (distribution-spec, "Listing Referrers").
    pub(super) async fn referrers(&self, query: &Query, name: Name, subject: Digest) -> Answer {
        let filter = query.get("artifactType").map(str::to_owned);
        let last = query.get("last").map(route::digest).transpose()?;
        let (backend, repository, wanted, kind) =
            (Arc::clone(&self.backend), name.clone(), subject.clone(), filter.clone());
        let (manifests, next) = blocking(move || match backend.index(&repository)? {
            Some(index) => referrers(&*backend, &repository, &index, &wanted, kind.as_deref(), last.as_ref()),
            None => Ok((Vec::new(), None)),
        })
        .await?;
        let index = ImageIndex {
            schema_version: 2,
            media_type: Some(media_type::OCI_INDEX.to_owned()),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: std::collections::BTreeMap::new(),
            other: serde_json::Map::new(),
        };
        let bytes = json::canonical("referrers", &index)
            .map_err(|e| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, Code::ManifestInvalid, e.to_string()))?;
        let mut response = json_reply(media_type::OCI_INDEX, bytes);
        if let Some(kind) = &filter {
            set(&mut response, FILTERS_APPLIED, "artifactType");
            if let Some(last) = &next {
                let kind: String = url::form_urlencoded::byte_serialize(kind.as_bytes()).collect();
                let link = format!("</v2/{name}/referrers/{subject}?artifactType={kind}&last={last}>; rel=\"next\"");
                set(&mut response, LINK, link);
            }
        } else if let Some(last) = &next {
            set(&mut response, LINK, format_args!("</v2/{name}/referrers/{subject}?last={last}>; rel=\"next\""));
        }
        Ok(response)
    }
}

fn json_reply(media_type: &str, json: impl Into<bytes::Bytes>) -> Response<ReplyBody> {
    let mut response = reply(StatusCode::OK);
    set(&mut response, CONTENT_TYPE, media_type);
    *response.body_mut() = body::full(json);
    response
}

/// The items of a page, and `n` and `last` of the next one if there is one.
type Page<'a> = (Vec<&'a str>, Option<(usize, &'a str)>);

/// What comes after `last`, at most `n`.
fn page<'a>(all: impl Iterator<Item = &'a str>, query: &Query) -> Result<Page<'a>, Refusal> {
    let n = match query.get("n") {
        None => limits::SERVE_PAGE,
        Some(text) => {
            let n = number(text).ok_or_else(|| Refusal::bad(Code::Unsupported, "`n` is not a number"))?;
            usize::try_from(n).unwrap_or(usize::MAX).min(limits::SERVE_PAGE)
        }
    };
    let last = query.get("last").unwrap_or_default();
    let mut rest = all.filter(|item| *item > last);
    let items: Vec<&str> = rest.by_ref().take(n).collect();
    let next = items.last().copied().filter(|_| rest.next().is_some()).map(|last| (n, last));
    Ok((items, next))
}

/// One page of referrers after `last`, and the last of the page when there are more.
fn referrers(
    backend: &dyn Backend,
    name: &Name,
    index: &RepoIndex,
    subject: &Digest,
    kind: Option<&str>,
    last: Option<&Digest>,
) -> Result<(Vec<Descriptor>, Option<Digest>), Error> {
    let mut found: Vec<Descriptor> = Vec::new();
    let mut bytes = 0;
    let after = index.manifests().iter().filter(|(digest, _)| last.is_none_or(|last| *digest > last));
    for (digest, listed) in after.filter(|(_, listed)| listed.subject.as_ref() == Some(subject)) {
        let Some(descriptor) = descriptor(backend, name, digest, listed)? else { continue };
        if kind.is_some_and(|kind| descriptor.artifact_type.as_deref() != Some(kind)) {
            continue;
        }
        let size = json::canonical("referrer", &descriptor).map_or(0, |json| json.len() + 1);
        if bytes + size > limits::SERVE_REFERRERS_PAGE_BYTES && !found.is_empty() {
            let last = found.last().map(|descriptor| descriptor.digest.clone());
            return Ok((found, last));
        }
        bytes += size;
        found.push(descriptor);
    }
    Ok((found, None))
}

fn descriptor(
    backend: &dyn Backend,
    name: &Name,
    digest: &Digest,
    listed: &Listed,
) -> Result<Option<Descriptor>, Error> {
    let Some(blob) = backend.open(name, digest)? else { return Ok(None) };
    let mut bytes = Vec::new();
    match blob.content {
        Content::File(file) => {
            file.take(limits::MAX_MANIFEST_BYTES).read_to_end(&mut bytes).map_err(|source| Error::Io {
                verb: "read",
                path: name.as_str().into(),
                source,
            })?;
        }
        Content::Chunks(chunks) => bytes = chunks.concat(),
    }
    let document: Option<Document> = serde_json::from_slice(&bytes).ok();
    Ok(document.map(|document| document.into_referrer(digest.clone(), listed)))
}
