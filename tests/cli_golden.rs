//! Whole images that must never change: the digest of everything from index to layer for fixed programs.

#[path = "support/cli.rs"]
mod cli;
#[path = "support/golden.rs"]
mod golden;

use cli::Workbench;
use serde_json::Value;

/// The smallest file that is a static program: a header, one segment, no code worth running. Written down here and not
/// made by another module, so that nothing but the builder can change a digest.
fn program(machine: u8, salt: u8) -> Vec<u8> {
    let mut file = vec![0; 0x100];
    file[..8].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0]);
    file[16] = 2; // ET_EXEC
    file[18] = machine;
    file[20] = 1; // EV_CURRENT
    file[24..32].copy_from_slice(&0x40_0080u64.to_le_bytes()); // entry
    file[32..40].copy_from_slice(&0x40u64.to_le_bytes()); // program headers
    file[52..58].copy_from_slice(&[64, 0, 56, 0, 1, 0]);
    file[64..72].copy_from_slice(&[1, 0, 0, 0, 5, 0, 0, 0]); // PT_LOAD, readable and executable
    file[80..88].copy_from_slice(&0x40_0000u64.to_le_bytes());
    file[88..96].copy_from_slice(&0x40_0000u64.to_le_bytes());
    file[96..104].copy_from_slice(&0x100u64.to_le_bytes());
    file[104..112].copy_from_slice(&0x100u64.to_le_bytes());
    file[112..120].copy_from_slice(&0x1000u64.to_le_bytes());
    file[0xff] = salt;
    file
}

const AMD64: u8 = 62;
const ARM64: u8 = 183;

/// Builds and compares all documents and headers; the first difference is named by its JSON path.
fn check(name: &str, words: &[&str]) {
    let bench = Workbench::new();
    bench.file("dist/app-amd64", program(AMD64, 1));
    bench.file("dist/app-arm64", program(ARM64, 2));
    bench.file("pages/index.html", "<p>hi</p>\n");
    bench.run([&["build", "--output", "oci:out", "--quiet"][..], words].concat()).succeeds();
    let text = bench.run(["inspect", "oci:out", "--files", "--format", "json"]).succeeds();
    let image: Value = serde_json::from_str(&text).unwrap();
    golden::check(name, &image);
    bench.run(["validate", "oci:out"]).succeeds();
}

#[test]
fn one_platform() {
    check("image-gzip", &["dist/app-amd64"]);
}

#[test]
fn two_platforms() {
    check("image-index", &["dist/app-arm64", "dist/app-amd64"]);
}

#[test]
fn everything_set() {
    let words = ["dist/app-amd64", "--name", "web", "--add", "pages:/srv/www", "--writable", "/data", "--env", "A=1"];
    let more = ["--label", "a=b", "--annotation", "c=d", "--port", "80", "--openshift", "--compression", "zstd"];
    check("image-zstd", &[&words[..], &more].concat());
}
