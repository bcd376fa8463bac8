//! The endpoints of manifests and tags: pulling, pushing, deleting.

use std::sync::Arc;

use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, LOCATION};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};

use crate::limits;
use crate::oci::{Digest, Hasher};
use crate::store::Pointer;

use super::blobs::content;
use super::blocking::blocking;
use super::body::{CONTENT_DIGEST, ReplyBody, reply, set};
use super::handler::{Registry, header};
use super::manifest::Document;
use super::name::Name;
use super::receive::Receiver;
use super::refusal::{Code, Refusal};
use super::route::{self, Query};
use super::storage::PutManifest;

type Answer = Result<Response<ReplyBody>, Refusal>;

const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");

/// Unit of the budget for manifests in flight.
const UNIT: u64 = 64 << 10;

/// The budget in units.
pub(super) const UNITS: u32 = (limits::SERVE_MANIFESTS_IN_FLIGHT_BYTES / UNIT) as u32;

impl Registry {
    /// `GET` and `HEAD` of a manifest. `Accept` is not asked: the manifest has one form, and clients that cannot read
    /// it say so better than a 404 would.
    pub(super) async fn get_manifest(&self, parts: &Parts, name: Name, pointer: Pointer, head: bool) -> Answer {
        let backend = Arc::clone(&self.backend);
        let wanted = pointer.clone();
        let found = blocking(move || {
            let Some((digest, listed)) = backend.index(&name)?.and_then(|index| index.resolve(&wanted)) else {
                return Ok(None);
            };
            Ok(backend.open(&name, &digest)?.map(|blob| (digest, listed, blob)))
        })
        .await?;
        let (digest, listed, blob) = found.ok_or_else(|| Refusal::unknown(Code::ManifestUnknown, &pointer))?;
        let etag = format!("\"{digest}\"");
        let known = header(parts, IF_NONE_MATCH).is_some_and(|known| matches(known, &etag));
        let mut response = reply(if known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
        set(&mut response, CONTENT_DIGEST, digest);
        set(&mut response, ETAG, etag);
        if !known {
            set(&mut response, CONTENT_TYPE, &listed.media_type);
            set(&mut response, CONTENT_LENGTH, blob.size);
            if !head {
                let all = 0..blob.size;
                *response.body_mut() = content(blob, all);
            }
        }
        Ok(response)
    }

    /// `PUT` of a manifest under a tag, or under a digest with any number of `tag` parameters.
    pub(super) async fn put_manifest(
        &self,
        parts: &Parts,
        query: &Query,
        body: &mut Incoming,
        name: Name,
        pointer: Pointer,
    ) -> Answer {
        let tags = match &pointer {
            Pointer::Tag(tag) => vec![tag.clone()],
            Pointer::Digest(_) => query.all("tag").map(route::tag).collect::<Result<_, _>>()?,
        };
        if tags.len() > limits::SERVE_TAGS_PER_PUSH {
            let message = format!("more than {} tags", limits::SERVE_TAGS_PER_PUSH);
            return Err(Refusal::new(StatusCode::URI_TOO_LONG, Code::ManifestInvalid, message));
        }
        let expected = header(parts, IF_MATCH).map(|etag| route::digest(etag.trim().trim_matches('"'))).transpose()?;
        let limit = self.limits.manifest_bytes;
        let units = body.size_hint().exact().unwrap_or(limit).min(limit).div_ceil(UNIT);
        let receiver = Receiver::new(body, limit, self.limits.idle_timeout)?;
        let units = u32::try_from(units).unwrap_or(UNITS).clamp(1, UNITS);
        // Never closed, so this only waits.
        let _room = self.manifest_room.acquire_many(units).await;
        let bytes = receiver.collect().await?;
        let content_type = header(parts, CONTENT_TYPE).map(str::to_owned);
        let (backend, check) = (Arc::clone(&self.backend), self.check_references);
        let by_digest = matches!(pointer, Pointer::Digest(_));
        let (put, subject) =
            blocking(move || Ok(read(bytes, content_type.as_deref(), pointer, tags, expected, check))).await??;
        let (digest, tags) = (put.digest.clone(), put.tags.clone());
        let target = name.clone();
        blocking(move || backend.put_manifest(&target, &put)).await?;

        let mut response = reply(StatusCode::CREATED);
        set(&mut response, LOCATION, format_args!("/v2/{name}/manifests/{digest}"));
        set(&mut response, ETAG, format_args!("\"{digest}\""));
        set(&mut response, CONTENT_DIGEST, digest);
        if let Some(subject) = subject {
            set(&mut response, OCI_SUBJECT, subject);
        }
        if by_digest {
            for tag in tags {
                if let Ok(value) = HeaderValue::from_str(tag.as_str()) {
                    response.headers_mut().append(OCI_TAG, value);
                }
            }
        }
        Ok(response)
    }

    /// `DELETE` of a tag or a manifest.
    pub(super) async fn delete_manifest(&self, name: Name, pointer: Pointer) -> Answer {
        let backend = Arc::clone(&self.backend);
        let wanted = pointer.clone();
        if blocking(move || backend.delete_manifest(&name, &wanted)).await? {
            Ok(reply(StatusCode::ACCEPTED))
        } else {
            Err(Refusal::unknown(Code::ManifestUnknown, pointer))
        }
    }
}

/// Verifies a manifest that a client sends, as far as that is possible without the repository.
fn read(
    bytes: Vec<u8>,
    content_type: Option<&str>,
    pointer: Pointer,
    tags: Vec<crate::oci::Tag>,
    expected: Option<Digest>,
    check: bool,
) -> Result<(PutManifest, Option<Digest>), Refusal> {
    let digest = match pointer {
        Pointer::Tag(_) => Digest::of(&bytes),
        Pointer::Digest(promised) => {
            let mut hasher = Hasher::new(promised.algorithm());
            hasher.update(&bytes);
            let actual = hasher.finish();
            if actual != promised {
                return Err(super::Error::DigestMismatch { expected: promised, actual }.into());
            }
            actual
        }
    };
    let (document, media_type) = Document::parse(content_type, &bytes)
        .map_err(|invalid| Refusal::bad(Code::ManifestInvalid, invalid.to_string()))?;
    let listed = document.to_listed(&media_type, bytes.len() as u64);
    let references = if check { document.references() } else { Vec::new() };
    let subject = document.subject().cloned();
    Ok((PutManifest { digest, bytes, listed, references, tags, expected }, subject))
}

/// `If-None-Match` of one or several tags (RFC 9110 section 13.1.2).
fn matches(header: &str, etag: &str) -> bool {
    header.split(',').map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == etag)
}
