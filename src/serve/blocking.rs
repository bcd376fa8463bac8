//! The one door from async code to the blocking code of storage.

use hyper::StatusCode;
use tokio::task::JoinError;

use super::Error;
use super::refusal::{Code, Refusal};

/// Bytes moved between the network and storage at a time: large enough that the hand-over to a blocking thread does not
/// show, small enough that hundreds of transfers fit into memory.
pub(super) const BLOCK: usize = 256 << 10;

/// Runs blocking work on a thread for it.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Refusal> {
    joined(tokio::task::spawn_blocking(work).await)
}

/// The outcome of blocking work. A panic in it goes on in the request that asked for it.
pub(super) fn joined<T>(outcome: Result<Result<T, Error>, JoinError>) -> Result<T, Refusal> {
    match outcome.map_err(JoinError::try_into_panic) {
        Ok(result) => Ok(result?),
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_)) => {
            Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Code::Denied, "the registry is being stopped"))
        }
    }
}
