//! Hand-made roots: a loader and libraries that say no more than they must, so that what is told of them never changes.

#![allow(dead_code, reason = "each test binary uses its own part")]

use super::cli::Workbench;
use super::elf::{ElfMaker, Machine};

/// `ET_DYN`.
const SHARED: u16 = 3;
/// Where the loader lies.
pub const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// A library with this SONAME.
pub fn library(soname: &str, needed: &[&str]) -> Vec<u8> {
    let made = ElfMaker::new(Machine::Amd64).object_type(SHARED).soname(soname);
    needed.iter().fold(made, |made, name| made.needed(name)).build()
}

/// A dynamic program.
pub fn program(needed: &[&str]) -> Vec<u8> {
    let made = ElfMaker::new(Machine::Amd64).interp(LOADER);
    needed.iter().fold(made, |made, name| made.needed(name)).build()
}

/// A root `sys` with a loader of glibc 2.36, `libc.so.6`, `libdemo.so.1`, which needs `libdeep.so.2`, and the program
/// `/usr/bin/demo`, which needs `libdemo.so.1` and `libc.so.6`. One package owns it all.
pub fn demo(bench: &Workbench) {
    let loader = ElfMaker::new(Machine::Amd64)
        .object_type(SHARED)
        .soname("ld-linux-x86-64.so.2")
        .payload(b"GNU C Library stable release version 2.36.\n\0")
        .build();
    bench.file("sys/lib64/ld-linux-x86-64.so.2", loader);
    bench.file("sys/usr/lib/libc.so.6", library("libc.so.6", &[]));
    bench.file("sys/usr/lib/libdemo.so.1.4", library("libdemo.so.1", &["libdeep.so.2", "libc.so.6"]));
    std::os::unix::fs::symlink("libdemo.so.1.4", bench.join("sys/usr/lib/libdemo.so.1")).unwrap();
    bench.file("sys/usr/lib/libdeep.so.2", library("libdeep.so.2", &["libc.so.6"]));
    bench.file("sys/usr/bin/demo", program(&["libdemo.so.1", "libc.so.6"]));
    let status = "Package: demo\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.4\n\n";
    bench.file("sys/var/lib/dpkg/status", status);
    bench.file("sys/usr/share/doc/demo/copyright", "as you like it\n");
    let owned =
        [LOADER, "/usr/lib/libc.so.6", "/usr/lib/libdemo.so.1", "/usr/lib/libdemo.so.1.4", "/usr/lib/libdeep.so.2"];
    bench.file("sys/var/lib/dpkg/info/demo.list", owned.join("\n") + "\n/usr/bin/demo\n");
}
