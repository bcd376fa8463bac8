//! Bodies of responses.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::blocking::BLOCK;

/// A response without a body.
pub(super) fn reply(status: StatusCode) -> Response<ReplyBody> {
    let mut response = Response::new(empty());
    *response.status_mut() = status;
    response
}

/// Sets a header. Values come from checked names, digests and numbers; one that no header can hold is left out.
pub(super) fn set(response: &mut Response<ReplyBody>, name: HeaderName, value: impl std::fmt::Display) {
    if let Ok(value) = HeaderValue::from_str(&value.to_string()) {
        response.headers_mut().insert(name, value);
    }
}

/// `Docker-Content-Digest`.
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// The body of every response.
pub(super) type ReplyBody = UnsyncBoxBody<Bytes, io::Error>;

/// No body.
pub(super) fn empty() -> ReplyBody {
    Empty::new().map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// A small body in memory.
pub(super) fn full(bytes: impl Into<Bytes>) -> ReplyBody {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// Chunks that are in memory already.
pub(super) fn chunks(chunks: impl Iterator<Item = Bytes> + Send + 'static) -> ReplyBody {
    BodyExt::boxed_unsync(StreamBody::new(stream::iter(chunks.map(|bytes| Ok(Frame::data(bytes))))))
}

/// A part of a file, a block at a time: memory stays flat. A file that ends early ends the body with an error, which
/// closes the connection, so that the client sees the cut.
pub(super) fn file(file: File, part: Range<u64>) -> ReplyBody {
    let blocks = stream::try_unfold((file, part), |(file, part)| async move {
        if part.is_empty() {
            return Ok(None);
        }
        let size = usize::try_from(part.end - part.start).unwrap_or(BLOCK).min(BLOCK);
        let read = tokio::task::spawn_blocking(move || {
            let mut block = vec![0; size];
            file.read_exact_at(&mut block, part.start).map(|()| (file, block))
        });
        let (file, block) = read.await.map_err(io::Error::other)??;
        Ok(Some((Frame::data(Bytes::from(block)), (file, part.start + size as u64..part.end))))
    });
    BodyExt::boxed_unsync(StreamBody::new(blocks))
}
