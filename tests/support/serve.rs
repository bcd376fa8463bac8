//! The embedded registry, in process, for tests that need a registry.

use std::net::SocketAddr;
use std::thread::JoinHandle;

use coracle::serve::{ServeOptions, Server, Storage};
use tokio::sync::oneshot;

/// A registry on a free port of this machine that ends with the test.
pub struct ServerGuard {
    addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ServerGuard {
    /// Where it listens; the registry part of a reference.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for ServerGuard {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        // Not while another panic unwinds: a second one would hide the first.
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

/// Options for a free port of this machine.
pub fn options(storage: Storage) -> ServeOptions {
    ServeOptions::new(SocketAddr::from(([127, 0, 0, 1], 0)), storage)
}

/// Starts a registry; it has a thread and a runtime of its own, so that blocking tests can use it.
pub fn start(options: ServeOptions) -> ServerGuard {
    let (stop, stopped) = oneshot::channel::<()>();
    let (started, address) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::bind(options).await.unwrap();
            started.send(server.local_addr()).unwrap();
            let shutdown = async {
                // The sender never sends; it is dropped.
                let _ = stopped.await;
            };
            server.run(shutdown).await.unwrap();
        });
    });
    ServerGuard { addr: address.recv().unwrap(), stop: Some(stop), thread: Some(thread) }
}
