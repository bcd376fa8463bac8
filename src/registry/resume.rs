//! Going on with an upload that was cut, where the registry kept what it got (distribution-spec, "Pushing a blob in chunks").

use super::Error;
use super::host::{Call, drain};
use super::upload::{Failure, Session, Upload};
use crate::net::{Method, Payload, StatusCode, header};

/// Registries whose word about what they have is known to be stale; what they got is sent again.
const STALE: [&str; 2] = [".amazonaws.com", ".amazonaws.com.cn"];

impl Upload<'_> {
    /// Goes on where the registry has got to, as long as each attempt brings it further. `failure` is given back when there is
    /// nothing to go on with, or the registry does not take the rest.
    pub(super) async fn resume(&self, session: &Session, mut failure: Failure) -> Result<(), Failure> {
        if STALE.iter().any(|ending| self.host.name.ends_with(ending)) {
            return Err(failure);
        }
        let (mut reached, mut failures) = (0, 0);
        while failure.is_cut() {
            failures += 1;
            let Some(pause) = failure.pause(self.host, failures) else { return Err(failure) };
            tokio::time::sleep(pause).await;
            let Some((next, has)) = self.status(session).await else { return Err(failure) };
            if has <= reached {
                return Err(failure);
            }
            // What brought it further is not one failure more.
            (reached, failures) = (has, 0);
            match self.send_rest(&next, has).await {
                Ok(()) => return Ok(()),
                Err(other) if other.is_cut() => failure = other,
                // The registry does not take the rest: all of it is sent once more.
                Err(_) => return Err(failure),
            }
        }
        Err(failure)
    }

    async fn send_rest(&self, session: &Session, at: u64) -> Result<(), Failure> {
        let size = self.blob.descriptor().size;
        let next = if at < size {
            let rest = Payload::Part(self.blob.clone(), at, size - at);
            self.patch(session, rest, Some((at, size - at))).await?
        } else {
            session.clone()
        };
        self.finish(&next, Payload::Empty).await
    }

    /// The session as the registry knows it, and how many bytes it has of the blob; `None` when it cannot tell or has none.
    async fn status(&self, session: &Session) -> Option<(Session, u64)> {
        let mut call = Call::new(Method::GET, session.url.clone(), self.wants());
        call.request.reach = session.reach;
        call.once = true;
        let mut response = self.host.call(&call).await.ok()?;
        let good = matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::ACCEPTED);
        let range = response.header(header::RANGE.as_str()).map(str::to_owned);
        let next = self.session(&call.request.method, &response);
        drain(&mut response).await;
        let range = range.filter(|_| good)?;
        let (first, last) = range.trim().trim_start_matches("bytes=").split_once('-')?;
        let last: u64 = last.parse().ok()?;
        // `0-0` is what registries say of nothing too.
        if first != "0" || last == 0 || last >= self.blob.descriptor().size {
            return None;
        }
        let next = match next {
            Ok(next) => Session { chunk: session.chunk, ..next },
            Err(Error::NoHeader { .. }) => session.clone(),
            Err(_) => return None,
        };
        Some((next, last + 1))
    }
}
