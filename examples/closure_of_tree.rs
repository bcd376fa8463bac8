//! Prints the closure of every program and library of a tree, sharing what is parsed:
//!
//!     cargo run --release --example closure_of_tree -- ROOT [HWCAPS] < paths
//!
//! Reads paths inside ROOT, one a line; HWCAPS is a comma-separated list of glibc-hwcaps levels, the best first. Writes
//! one line a path: the path, then the files its loader maps (without links, without the program itself), sorted, or `!`
//! and why there are none. Feed it to whatever compares that with the root's own loader.

use std::io::{BufRead, Write};
use std::path::Path;

use coracle::analyze::loader::Target;
use coracle::rootfs::DirRoot;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let root = args.next().ok_or("usage: closure_of_tree ROOT [HWCAPS] < paths")?;
    let hwcaps = args.next().unwrap_or_default();
    let levels: Vec<&str> = hwcaps.split(',').filter(|l| !l.is_empty()).collect();
    let root = DirRoot::open(Path::new(&root))?;
    let target = Target::new(&root).with_hwcaps(&levels);
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for path in std::io::stdin().lock().lines() {
        let path = path?;
        write!(out, "{path}")?;
        match target.closure(path.as_bytes(), Some(b"/lib64/ld-linux-x86-64.so.2"))? {
            Err(refusal) => write!(out, "\t! {refusal}")?,
            Ok(closure) => {
                for missing in closure.missing.iter().filter(|m| !m.optional) {
                    write!(out, "\tmissing:{}", String::from_utf8_lossy(&missing.name))?;
                }
                let mut files: Vec<String> =
                    closure.loaded.iter().skip(1).map(|l| l.resolved.path.to_string()).collect();
                files.sort();
                for file in files {
                    write!(out, "\t{file}")?;
                }
            }
        }
        writeln!(out)?;
    }
    Ok(())
}
