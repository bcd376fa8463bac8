//! What a fault does to an answer.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::header::{HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use hyper::{Response, StatusCode};

use super::{Fault, LocationFault};
use crate::serve::body::{ReplyBody, reply};
use crate::serve::refusal::{Code, Refusal};

/// Lines of a header bomb: more than any client should take.
const BOMB_LINES: usize = 5_000;

/// Longer than any client waits.
const HANG: Duration = Duration::from_secs(3600);

/// A piece of a body without end.
static ENDLESS: [u8; 1 << 16] = [b' '; 1 << 16];

/// How it goes on with a request.
pub(in crate::serve) enum Outcome {
    /// It is carried out as usual, and the answer may be changed.
    CarryOut,
    /// It is not carried out: this is the answer.
    Answer(Response<ReplyBody>),
    /// It is not carried out, and there is no answer.
    Close,
}

/// What happens before a request is carried out.
pub(in crate::serve) async fn apply(fault: &Fault, target: &str) -> Outcome {
    match fault {
        Fault::Status { status, retry_after } => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let code = match status {
                StatusCode::TOO_MANY_REQUESTS => Code::TooManyRequests,
                StatusCode::UNAUTHORIZED => Code::Unauthorized,
                _ => Code::Denied,
            };
            let refusal = Refusal::new(status, code, "a fault of the script");
            Outcome::Answer(match retry_after {
                Some(seconds) => refusal.with_header(RETRY_AFTER, &seconds.to_string()).into_response(),
                None => refusal.into_response(),
            })
        }
        Fault::Reset => Outcome::Close,
        Fault::Slow(milliseconds) => {
            tokio::time::sleep(Duration::from_millis(*milliseconds)).await;
            Outcome::CarryOut
        }
        Fault::Hang => {
            tokio::time::sleep(HANG).await;
            Outcome::Close
        }
        Fault::Endless => {
            let pieces = stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&ENDLESS))));
            let mut response = reply(StatusCode::OK);
            *response.body_mut() = BodyExt::boxed_unsync(StreamBody::new(pieces));
            Outcome::Answer(response)
        }
        Fault::RedirectLoop => {
            let mut response = reply(StatusCode::TEMPORARY_REDIRECT);
            response.headers_mut().extend(HeaderValue::from_str(target).ok().map(|target| (LOCATION, target)));
            Outcome::Answer(response)
        }
        Fault::HeaderBomb => {
            let mut response = reply(StatusCode::OK);
            let name = HeaderName::from_static("x-bomb");
            for _ in 0..BOMB_LINES {
                response.headers_mut().append(name.clone(), HeaderValue::from_static("boom"));
            }
            Outcome::Answer(response)
        }
        Fault::Lost | Fault::Short(_) | Fault::Corrupt | Fault::Location(_) => Outcome::CarryOut,
    }
}

impl Fault {
    /// What happens to the answer of a request that was carried out; `None` for no answer.
    pub(in crate::serve) fn change(&self, mut response: Response<ReplyBody>) -> Option<Response<ReplyBody>> {
        match self {
            Self::Lost => return None,
            Self::Short(bytes) => {
                let body = std::mem::replace(response.body_mut(), crate::serve::body::empty());
                *response.body_mut() = cut(body, *bytes);
            }
            Self::Corrupt => {
                let mut first = true;
                let body = std::mem::replace(response.body_mut(), crate::serve::body::empty());
                *response.body_mut() = body
                    .map_frame(move |frame| match frame.into_data() {
                        Ok(data) if first && !data.is_empty() => {
                            first = false;
                            let mut bytes = data.to_vec();
                            bytes[0] ^= 1;
                            Frame::data(Bytes::from(bytes))
                        }
                        Ok(data) => Frame::data(data),
                        Err(frame) => frame,
                    })
                    .boxed_unsync();
            }
            Self::Location(fault) => relocate(fault, &mut response),
            _ => {}
        }
        Some(response)
    }
}

/// A body of which only so much comes. The error closes the connection, so that the client sees the cut.
fn cut(body: ReplyBody, bytes: u64) -> ReplyBody {
    let pieces = stream::try_unfold((body, bytes), |(mut body, left)| async move {
        let failed = || io::Error::other("a fault of the script");
        if left == 0 {
            return Err(failed());
        }
        let Some(frame) = body.frame().await else { return Err(failed()) };
        let data = frame?.into_data().unwrap_or_default();
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
        Ok(Some((Frame::data(data.slice(..take)), (body, left - take as u64))))
    });
    BodyExt::boxed_unsync(StreamBody::new(pieces))
}

fn relocate(fault: &LocationFault, response: &mut Response<ReplyBody>) {
    let Some(location) = response.headers_mut().remove(LOCATION) else { return };
    let text = location.to_str().unwrap_or_default();
    let new = match fault {
        LocationFault::Absent => return,
        LocationFault::Relative => text.rsplit('/').next().unwrap_or_default().to_owned(),
        LocationFault::Host(host) => format!("{host}{text}"),
    };
    response.headers_mut().extend(HeaderValue::from_str(&new).ok().map(|value| (LOCATION, value)));
}
