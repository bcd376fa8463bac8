//! Says who it is and whether it can write to its root.

fn main() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let id = |key: &str| status.lines().find_map(|l| l.strip_prefix(key)?.split_whitespace().next()).unwrap().to_owned();
    let root = if std::fs::write("/written", "").is_ok() { "writable" } else { "read-only" };
    let name = std::env::args().next().unwrap();
    println!("{name} uid={} gid={} root={root}", id("Uid:"), id("Gid:"));
    std::process::exit(7);
}
