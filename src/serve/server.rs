//! Connections: listening, accepting, stopping.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use crate::limits;

use super::handler::Registry;
use super::idle::IdleIo;
use super::{Error, ServeOptions};

/// How often expired uploads are looked for.
const SWEEP: Duration = Duration::from_secs(30);
/// Pause after a failed accept: the usual cause, too many open files, does not go away at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A registry that listens. It serves once [`Server::run`] is called.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    registry: Arc<Registry>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Server {
    /// Opens the storage and listens.
    ///
    /// # Errors
    /// [`Error::OpenToNetwork`] for an address beyond this machine without users, [`Error::Bind`] when the address is
    /// not to be had, [`Error::InUse`], [`Error::IsLayout`] and [`Error::Io`] for the directory.
    pub async fn bind(options: ServeOptions) -> Result<Self, Error> {
        let address = options.listen;
        if options.users.is_none() && !address.ip().to_canonical().is_loopback() {
            return Err(Error::OpenToNetwork(address));
        }
        let bind = |source| Error::Bind { address, source };
        let registry = Arc::new(Registry::open(options)?);
        let listener = TcpListener::bind(address).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        Ok(Self { listener, address, registry })
    }

    /// The address that is listened on, with the real port.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is ready. Requests that run then have [`super::Limits::grace`] to finish.
    ///
    /// # Errors
    /// None today; failures of single connections end those connections only.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let Self { listener, registry, .. } = self;
        let room = Arc::new(Semaphore::new(registry.limits.connections));
        let (stop, stopping) = watch::channel(());
        let mut connections = JoinSet::new();
        let mut sweep = tokio::time::interval(SWEEP);
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                (stream, permit) = accept(&listener, &room) => {
                    connections.spawn(serve(stream, permit, Arc::clone(&registry), stopping.clone()));
                }
                Some(_) = connections.join_next() => {}
                _ = sweep.tick() => Arc::clone(&registry).sweep().await,
            }
        }
        drop(listener);
        drop(stop);
        let all = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(registry.limits.grace, all).await.is_err() {
            connections.shutdown().await;
        }
        Ok(())
    }
}

/// Waits for room and then for a connection, so that those beyond the limit wait in the system's queue.
async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    loop {
        let Ok(permit) = Arc::clone(room).acquire_owned().await else { std::future::pending().await };
        match listener.accept().await {
            Ok((stream, _)) => return (stream, permit),
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn serve(
    stream: TcpStream,
    _permit: OwnedSemaphorePermit,
    registry: Arc<Registry>,
    mut stopping: watch::Receiver<()>,
) {
    // Small answers are not held back; without this option they come somewhat later.
    let _ = stream.set_nodelay(true);
    let limits = registry.limits.clone();
    let service = service_fn(move |request| {
        let registry = Arc::clone(&registry);
        // A task of its own: a request that has begun is carried through even when its connection breaks.
        let answer = tokio::spawn(async move { registry.handle(request).await });
        async move { answer.await.map_err(std::io::Error::other)? }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(limits::SERVE_HEAD_BYTES)
        .serve_connection(IdleIo::new(stream, limits.idle_timeout), service);
    let mut connection = pin!(connection);
    // A connection that fails has nobody left to tell.
    tokio::select! {
        _ = connection.as_mut() => {}
        // The sender never sends; it is dropped.
        _ = stopping.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
