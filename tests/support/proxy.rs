//! A TCP proxy that cuts connections.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Where to cut a connection: after so many bytes of the client, or of the server.
#[derive(Debug, Clone, Copy)]
pub enum Cut {
    /// Bytes from the client.
    Up(usize),
    /// Bytes from the server.
    Down(usize),
}

/// Passes connections on to a server; the first `count` of them that move enough bytes are cut.
pub struct Proxy {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    left: Arc<AtomicUsize>,
}

impl Proxy {
    /// Stands before `target`.
    pub fn before(target: &str, cut: Cut, count: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, left) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(count)));
        let (stopped, remaining, target) = (Arc::clone(&stop), Arc::clone(&left), target.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let client = client.unwrap();
                let server = TcpStream::connect(&target).unwrap();
                let (up, down) = match cut {
                    Cut::Up(bytes) => (Some(bytes), None),
                    Cut::Down(bytes) => (None, Some(bytes)),
                };
                pass(&client, &server, up, &remaining);
                pass(&server, &client, down, &remaining);
            }
        });
        Self { address, stop, left }
    }

    /// `127.0.0.1:port`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Cuts that are still to come.
    pub fn left(&self) -> usize {
        self.left.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// Copies one direction, and closes both sides where it is to be cut.
fn pass(from: &TcpStream, to: &TcpStream, cut: Option<usize>, left: &Arc<AtomicUsize>) {
    let (mut from, mut to, left) = (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(left));
    std::thread::spawn(move || {
        let mut buffer = [0u8; 16 << 10];
        let mut moved = 0;
        while let Ok(n) = from.read(&mut buffer) {
            let due = cut.is_some_and(|cut| moved + n >= cut);
            let take = || left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
            if n == 0 || (due && take()) {
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.shutdown(Shutdown::Both);
                return;
            }
            moved += n;
            if to.write_all(&buffer[..n]).is_err() {
                let _ = from.shutdown(Shutdown::Both);
                return;
            }
        }
    });
}
