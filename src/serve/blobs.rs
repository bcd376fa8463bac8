//! The endpoints of blobs: pulling, pushing, deleting.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, LOCATION, RANGE};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};

use crate::oci::{Algorithm, Digest};

use super::blocking::blocking;
use super::body::{self, CONTENT_DIGEST, ReplyBody, reply, set};
use super::handler::{Registry, header};
use super::name::Name;
use super::range::{self, Wanted};
use super::receive::Receiver;
use super::refusal::{Code, Refusal};
use super::route::{self, Query};
use super::storage::{Content, OpenBlob};
use super::uploads::{self, Held, Upload};

type Answer = Result<Response<ReplyBody>, Refusal>;

impl Registry {
    /// `GET` and `HEAD` of a blob, also of a part of it.
    pub(super) async fn get_blob(&self, parts: &Parts, name: Name, digest: Digest, head: bool) -> Answer {
        let backend = Arc::clone(&self.backend);
        let wanted_digest = digest.clone();
        let open = blocking(move || backend.open(&name, &wanted_digest)).await?;
        let blob = open.ok_or_else(|| Refusal::unknown(Code::BlobUnknown, &digest))?;
        let size = blob.size;
        let etag = format!("\"{digest}\"");
        let same = header(parts, IF_RANGE).is_none_or(|condition| condition == etag);
        let wanted = if head || !same { Wanted::All } else { range::wanted(header(parts, RANGE), size) };
        let (status, part) = match wanted {
            Wanted::All => (StatusCode::OK, 0..size),
            Wanted::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
            Wanted::None => {
                let status = StatusCode::RANGE_NOT_SATISFIABLE;
                let refusal = Refusal::new(status, Code::SizeInvalid, format!("the blob has {size} bytes"));
                return Err(refusal.with_header(CONTENT_RANGE, &format!("bytes */{size}")));
            }
        };
        let mut response = reply(status);
        set(&mut response, CONTENT_LENGTH, part.end - part.start);
        set(&mut response, CONTENT_TYPE, "application/octet-stream");
        set(&mut response, CONTENT_DIGEST, &digest);
        set(&mut response, ACCEPT_RANGES, "bytes");
        set(&mut response, ETAG, etag);
        if status == StatusCode::PARTIAL_CONTENT {
            set(&mut response, CONTENT_RANGE, format!("bytes {}-{}/{size}", part.start, part.end - 1));
        }
        if !head {
            *response.body_mut() = content(blob, part);
        }
        Ok(response)
    }

    /// `DELETE` of a blob.
    pub(super) async fn delete_blob(&self, name: Name, digest: Digest) -> Answer {
        let backend = Arc::clone(&self.backend);
        let wanted = digest.clone();
        if blocking(move || backend.delete_blob(&name, &wanted)).await? {
            Ok(reply(StatusCode::ACCEPTED))
        } else {
            Err(Refusal::unknown(Code::BlobUnknown, digest))
        }
    }

    /// `POST` of an upload: a mount, a whole blob, or a session.
    pub(super) async fn start_upload(&self, query: &Query, body: &mut Incoming, name: Name) -> Answer {
        if let Some(digest) = query.get("mount") {
            let digest = route::digest(digest)?;
            // A source that is no name is one where the blob cannot be found.
            let source = query.get("from").map(Name::parse);
            if source != Some(None) && self.mount(source.flatten(), &name, &digest).await? {
                return Ok(created(&name, &digest));
            }
        } else if let Some(digest) = query.get("digest") {
            let digest = route::digest(digest)?;
            return self.push_whole(body, name, digest).await;
        }
        let algorithm = match query.get("digest-algorithm") {
            None | Some("sha256") => Algorithm::Sha256,
            Some("sha512") => Algorithm::Sha512,
            Some(_) => return Err(Refusal::bad(Code::DigestInvalid, "the algorithm is neither sha256 nor sha512")),
        };
        let id = self.uploads.open(&self.backend, &name, algorithm).await?;
        Ok(session(StatusCode::ACCEPTED, &name, &id, 0))
    }

    async fn mount(&self, from: Option<Name>, to: &Name, digest: &Digest) -> Result<bool, Refusal> {
        let (backend, to, digest) = (Arc::clone(&self.backend), to.clone(), digest.clone());
        blocking(move || backend.mount(from.as_ref(), &to, &digest)).await
    }

    async fn push_whole(&self, body: &mut Incoming, name: Name, digest: Digest) -> Answer {
        let body = Receiver::new(body, self.limits.blob_bytes, self.limits.idle_timeout)?;
        let (backend, algorithm) = (Arc::clone(&self.backend), digest.algorithm());
        let upload = blocking(move || Upload::begin(&*backend, algorithm)).await?;
        let held = Arc::new(tokio::sync::Mutex::new(Some(upload))).lock_owned().await;
        let held = uploads::receive(held, body).await?;
        finish(held, name, digest).await
    }

    /// `GET` of an upload's status.
    pub(super) async fn upload_status(&self, name: Name, id: &str) -> Answer {
        let held = self.uploads.hold(&name, id).await?;
        Ok(session(StatusCode::NO_CONTENT, &name, id, received(&held)))
    }

    /// `DELETE` of an upload.
    pub(super) async fn cancel_upload(&self, name: Name, id: &str) -> Answer {
        let mut held = self.uploads.hold(&name, id).await?;
        self.uploads.close(id);
        let upload = held.take();
        blocking(move || {
            drop(upload);
            Ok(reply(StatusCode::NO_CONTENT))
        })
        .await
    }

    /// `PATCH` of an upload: a chunk, or a stream of unknown length.
    pub(super) async fn patch_upload(&self, parts: &Parts, body: &mut Incoming, name: Name, id: &str) -> Answer {
        let held = self.uploads.hold(&name, id).await?;
        let held = self.take_chunk(parts, body, &name, id, held).await?;
        Ok(session(StatusCode::ACCEPTED, &name, id, received(&held)))
    }

    /// `PUT` of an upload: its end, with or without a last chunk.
    pub(super) async fn finish_upload(
        &self,
        parts: &Parts,
        query: &Query,
        body: &mut Incoming,
        name: Name,
        id: &str,
    ) -> Answer {
        let digest = query.get("digest").ok_or_else(|| Refusal::bad(Code::DigestInvalid, "`digest` is missing"))?;
        let digest = route::digest(digest)?;
        let held = self.uploads.hold(&name, id).await?;
        let held = self.take_chunk(parts, body, &name, id, held).await?;
        self.uploads.close(id);
        finish(held, name, digest).await
    }

    /// Checks a chunk's place and writes it.
    async fn take_chunk(
        &self,
        parts: &Parts,
        body: &mut Incoming,
        name: &Name,
        id: &str,
        held: Held,
    ) -> Result<Held, Refusal> {
        let so_far = received(&held);
        let mut limit = self.limits.blob_bytes.saturating_sub(so_far);
        if let Some(text) = header(parts, CONTENT_RANGE) {
            let chunk = range::chunk(text).ok_or_else(|| {
                Refusal::bad(Code::BlobUploadInvalid, "`Content-Range` of a chunk is `<first byte>-<last byte>`")
            })?;
            if chunk.start != so_far {
                let status = StatusCode::RANGE_NOT_SATISFIABLE;
                let message = format!("the next chunk has to start at byte {so_far}");
                return Err(Refusal::new(status, Code::BlobUploadInvalid, message)
                    .with_header(LOCATION, &upload_path(name, id))
                    .with_header(RANGE, &range_so_far(so_far)));
            }
            let length = chunk.end - chunk.start;
            if body.size_hint().exact().is_some_and(|body| body != length) {
                let message = format!("`Content-Range` covers {length} bytes, the body has another length");
                return Err(Refusal::bad(Code::SizeInvalid, message));
            }
            limit = limit.min(length);
        }
        let body = Receiver::new(body, limit, self.limits.idle_timeout)?;
        let outcome = uploads::receive(held, body).await;
        if outcome.as_ref().is_err_and(|refusal| refusal.cause().is_some() || self.quirks.cut_ends_upload) {
            self.uploads.close(id);
        }
        outcome
    }
}

fn received(held: &Held) -> u64 {
    held.as_ref().map_or(0, Upload::received)
}

async fn finish(mut held: Held, name: Name, digest: Digest) -> Answer {
    let gone = || Refusal::unknown(Code::BlobUploadUnknown, "the upload has ended");
    let upload = held.take().ok_or_else(gone)?;
    blocking(move || {
        upload.finish(&name, &digest)?;
        Ok(created(&name, &digest))
    })
    .await
}

fn created(name: &Name, digest: &Digest) -> Response<ReplyBody> {
    let mut response = reply(StatusCode::CREATED);
    set(&mut response, LOCATION, format_args!("/v2/{name}/blobs/{digest}"));
    set(&mut response, CONTENT_DIGEST, digest);
    response
}

fn upload_path(name: &Name, id: &str) -> String {
    format!("/v2/{name}/blobs/uploads/{id}")
}

/// The range of what has arrived, inclusive on both ends; `0-0` also stands for nothing, as other registries have it.
fn range_so_far(received: u64) -> String {
    format!("0-{}", received.saturating_sub(1))
}

fn session(status: StatusCode, name: &Name, id: &str, received: u64) -> Response<ReplyBody> {
    let mut response = reply(status);
    set(&mut response, LOCATION, upload_path(name, id));
    set(&mut response, RANGE, range_so_far(received));
    set(&mut response, hyper::header::HeaderName::from_static("docker-upload-uuid"), id);
    response
}

/// The body of a part of a blob.
pub(super) fn content(blob: OpenBlob, part: Range<u64>) -> ReplyBody {
    match blob.content {
        Content::File(file) => body::file(file, part),
        Content::Chunks(chunks) => body::chunks(slice(&chunks, part).into_iter()),
    }
}

/// The parts of `chunks` that a range of their bytes covers.
fn slice(chunks: &[Bytes], part: Range<u64>) -> Vec<Bytes> {
    let mut at = 0;
    let mut out = Vec::new();
    for chunk in chunks {
        let length = chunk.len() as u64;
        let (from, to) = (part.start.clamp(at, at + length) - at, part.end.clamp(at, at + length) - at);
        // invariant: both are at most the length of the chunk, which is a usize
        let (from, to) = (usize::try_from(from).unwrap_or(chunk.len()), usize::try_from(to).unwrap_or(chunk.len()));
        if from < to {
            out.push(chunk.slice(from..to));
        }
        at += length;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_across_chunks() {
        let chunks: Vec<Bytes> = ["abc", "", "defg", "h"].into_iter().map(Bytes::from).collect();
        for (start, end, want) in [(0, 8, "abcdefgh"), (2, 4, "cd"), (3, 3, ""), (7, 8, "h"), (0, 1, "a")] {
            assert_eq!(slice(&chunks, start..end).concat(), want.as_bytes());
        }
    }
}
