//! Bodies of responses.

use std::convert::Infallible;
use std::io::{self, Read};

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

/// The next `length` bytes of a reader, a block at a time: memory stays flat. A reader that ends early ends the body
/// with an error, which closes the connection, so that the client sees the cut.
pub(super) fn reader(reader: impl Read + Send + 'static, length: u64) -> ReplyBody {
    let blocks = stream::try_unfold((reader, length), |(mut reader, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let size = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        let read = tokio::task::spawn_blocking(move || {
            let mut block = vec![0; size];
            reader.read_exact(&mut block).map(|()| (reader, block))
        });
        let (reader, block) = read.await.map_err(io::Error::other)??;
        Ok(Some((Frame::data(Bytes::from(block)), (reader, left - size as u64))))
    });
    BodyExt::boxed_unsync(StreamBody::new(blocks))
}
