//! What the quirks do to requests and answers.

use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_RANGE, HeaderName, LOCATION};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode, Uri};

use super::Quirks;
use crate::oci::{Algorithm, Digest};
use crate::serve::body::{ReplyBody, set};
use crate::serve::refusal::{Code, Refusal};
use crate::serve::route::{Query, Route};
use crate::store::Pointer;

const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const CHUNK_MIN: HeaderName = HeaderName::from_static("oci-chunk-min-length");

impl Quirks {
    /// Refuses a request, or changes it.
    pub(in crate::serve) fn before(&self, parts: &mut Parts, body: &Incoming, route: &Route) -> Result<(), Refusal> {
        let query = Query::parse(parts.uri.query());
        let length = body.size_hint().exact();
        self.digests(route, &query)?;
        match (route, parts.method.as_str()) {
            (Route::Referrers(..), "GET" | "HEAD") if self.no_referrers => {
                Err(Refusal::unknown(Code::Unsupported, "no endpoint of this registry has this path"))
            }
            (Route::Tags(_), "GET" | "HEAD") => match (self.tags_page_max, query.get("n").map(str::parse::<u64>)) {
                (Some(max), Some(Ok(n))) if n > max => {
                    Err(Refusal::bad(Code::Unsupported, format!("a page has at most {max} tags")))
                }
                _ => Ok(()),
            },
            (Route::Uploads(_), "POST") => self.mount(parts, &query),
            (Route::Upload(..), "PATCH") => self.chunk(parts, length),
            (Route::Upload(..), "PUT") => self.whole(length),
            _ => Ok(()),
        }
    }

    fn digests(&self, route: &Route, query: &Query) -> Result<(), Refusal> {
        let named = match route {
            Route::Blob(_, digest) | Route::Referrers(_, digest) | Route::Manifest(_, Pointer::Digest(digest)) => {
                Some(digest.clone())
            }
            _ => ["digest", "mount"].iter().find_map(|key| query.get(key)).and_then(|text| text.parse().ok()),
        };
        match named {
            Some(digest) if self.sha256_only && digest.algorithm() != Algorithm::Sha256 => {
                Err(Refusal::bad(Code::DigestInvalid, "the algorithm of the digest is not supported"))
            }
            Some(digest) if self.no_empty_blob && query.get("digest").is_some() && digest == Digest::of(b"") => {
                Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Denied, "the registry failed"))
            }
            _ => Ok(()),
        }
    }

    fn mount(&self, parts: &mut Parts, query: &Query) -> Result<(), Refusal> {
        if query.get("mount").is_none() {
            return Ok(());
        }
        if self.mount_needs_from && query.get("from").is_none() {
            return Err(Refusal::bad(Code::Unsupported, "a mount names its source"));
        }
        if self.no_mount
            && let Ok(uri) = parts.uri.path().parse::<Uri>()
        {
            // Without its query it opens an upload.
            parts.uri = uri;
        }
        Ok(())
    }

    fn chunk(&self, parts: &mut Parts, length: Option<u64>) -> Result<(), Refusal> {
        self.length(length)?;
        if self.any_chunk_order {
            parts.headers.remove(CONTENT_RANGE);
        }
        if !parts.headers.contains_key(CONTENT_RANGE) {
            return Ok(());
        }
        if self.no_chunks {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            return Err(Refusal::new(status, Code::Unsupported, "uploads in chunks are not supported"));
        }
        match (self.chunk_max, length) {
            (Some(max), Some(length)) if length > max => {
                let message = format!("a chunk has at most {max} bytes");
                Err(Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, Code::SizeInvalid, message))
            }
            _ => Ok(()),
        }
    }

    fn whole(&self, length: Option<u64>) -> Result<(), Refusal> {
        self.length(length)?;
        let has_content = length != Some(0);
        if self.no_whole_put && has_content {
            return Err(Refusal::unknown(Code::BlobUnknown, "the upload has no content"));
        }
        match (self.put_max, length) {
            (Some(max), Some(length)) if length > max => {
                let message = format!("a request has at most {max} bytes");
                Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, Code::SizeInvalid, message))
            }
            _ => Ok(()),
        }
    }

    fn length(&self, length: Option<u64>) -> Result<(), Refusal> {
        if self.needs_length && length.is_none() {
            return Err(Refusal::bad(Code::ContentLengthInvalid, "the length of the body must be known"));
        }
        Ok(())
    }

    /// A tag that exists and may not be pushed again.
    pub(in crate::serve) fn refuses_tag(&self, exists: bool) -> Result<(), Refusal> {
        if self.immutable_tags && exists {
            return Err(Refusal::bad(Code::TagInvalid, "the tag exists, and tags are immutable in this repository"));
        }
        Ok(())
    }

    /// Changes an answer.
    pub(in crate::serve) fn after(&self, method: &Method, route: &Route, response: &mut Response<ReplyBody>) {
        if !response.status().is_success() {
            return;
        }
        match (route, method.as_str()) {
            (Route::Uploads(_), "POST") if response.status() == StatusCode::ACCEPTED => {
                if let Some(min) = self.chunk_min {
                    set(response, CHUNK_MIN, min);
                }
            }
            (Route::Upload(..), "PATCH") => {
                if let Some(status) = self.patch_status.and_then(|status| StatusCode::from_u16(status).ok()) {
                    *response.status_mut() = status;
                }
            }
            (Route::Manifest(_, pointer), "PUT") => {
                if self.no_manifest_location && matches!(pointer, Pointer::Digest(_)) {
                    response.headers_mut().remove(LOCATION);
                }
                if self.no_subject_header {
                    response.headers_mut().remove(OCI_SUBJECT);
                }
            }
            _ => {}
        }
    }
}
