//! Running work that takes a while: a runtime, progress, and signals that stop it cleanly.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::args::Common;
use super::failure::Failure;
use super::progress::Progress;
use super::settings::Variables;
use crate::observe::SharedObserver;

/// Threads that wait for networks and disks. Packing has its own.
const WORKERS: usize = 2;

/// How long work may take to notice that it is to stop: it asks once per MiB.
const GRACE: Duration = Duration::from_secs(5);

/// Runs `work` to its end, or until SIGINT or SIGTERM. When this returns, nothing of the work runs any more and its
/// temporary files are gone. `work` gets the observer that shows progress.
pub fn run<T, F: Future<Output = Result<T, Failure>>>(
    common: &Common,
    variables: &Variables,
    work: impl FnOnce(SharedObserver) -> F,
) -> Result<T, Failure> {
    let progress = Progress::new(variables.terminal(), common.quiet, common.no_progress);
    let runtime = runtime()?;
    let result = runtime.block_on(async {
        let stop = signals()?;
        let work = work(Arc::new(progress.clone()));
        tokio::select! {
            result = work => result,
            () = stop => {
                // The future is dropped here, and what runs on other threads sees the flag.
                progress.stop();
                Err(Failure::interrupted())
            }
        }
    });
    progress.clear();
    runtime.shutdown_timeout(GRACE);
    result
}

/// Runs `work`, which ends by itself once a signal comes; that is success.
pub fn run_until_signal<F: Future<Output = Result<(), Failure>>>(
    common: &Common,
    variables: &Variables,
    work: impl FnOnce(SharedObserver, BoxFuture) -> F,
) -> Result<(), Failure> {
    let progress = Progress::new(variables.terminal(), common.quiet, common.no_progress);
    let runtime = runtime()?;
    // The handlers are there before the work says that it is ready.
    let result = runtime.block_on(async {
        let stop = signals()?;
        work(Arc::new(progress), stop).await
    });
    runtime.shutdown_timeout(GRACE);
    result
}

/// Ready when a signal asks to stop.
type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

fn runtime() -> Result<Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    runtime.map_err(|e| Failure::environment("cannot start").caused_by(e.to_string()))
}

fn signals() -> Result<BoxFuture, Failure> {
    let fail = |e: std::io::Error| Failure::environment("cannot wait for signals").caused_by(e.to_string());
    let mut interrupt = signal(SignalKind::interrupt()).map_err(fail)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(fail)?;
    Ok(Box::pin(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }))
}
