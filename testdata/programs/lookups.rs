//! Looks up a host and the home of its user through the C library, and unwinds.

use std::net::ToSocketAddrs;

fn main() {
    let host = std::env::args().nth(1).expect("the first argument is a host");
    let found = (host.as_str(), 80).to_socket_addrs().map(|mut all| all.next().unwrap().ip().to_string());
    // Without the variable the standard library asks the C library for the user's entry.
    std::env::remove_var("HOME");
    #[allow(deprecated)]
    let home = std::env::home_dir();
    std::panic::set_hook(Box::new(|_| ()));
    let caught = std::panic::catch_unwind(|| panic!("unwinds")).is_err();
    println!("host={found:?} home={home:?} unwinds={caught}");
}
