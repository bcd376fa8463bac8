//! The blocks of `examples/README.md` run as they stand.

#[path = "support/cli.rs"]
mod cli;

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use cli::Workbench;

/// A block, and the program that it needs beside a Rust toolchain and a C compiler.
struct Block {
    needs: Option<String>,
    script: String,
}

fn blocks(markdown: &str) -> Vec<Block> {
    let mut found = Vec::new();
    for part in markdown.split("<!-- run").skip(1) {
        let (head, rest) = part.split_once("-->").unwrap();
        let script = rest.split_once("```sh\n").unwrap().1.split_once("\n```").unwrap().0;
        let needs = head.trim_start_matches(':').trim();
        found.push(Block { needs: (!needs.is_empty()).then(|| needs.to_owned()), script: script.to_owned() });
    }
    found
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

#[test]
fn every_block_runs() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let blocks = blocks(&std::fs::read_to_string(top.join("examples/README.md")).unwrap());
    assert_eq!(blocks.len(), 4, "a block was not found");
    let bench = Workbench::new();
    let program = Path::new(env!("CARGO_BIN_EXE_coracle"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = [program.parent().unwrap().to_owned()];
    let path = std::env::join_paths(own.into_iter().chain(std::env::split_paths(&path))).unwrap();
    for block in blocks {
        if let Some(needs) = block.needs.filter(|needs| !is_there(needs)) {
            writeln!(std::io::stdout(), "skipped: peer {needs} absent").unwrap();
            continue;
        }
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", &block.script]).current_dir(top);
        command.env("PATH", &path).env("WORK", bench.path()).env("XDG_CACHE_HOME", bench.join("cache"));
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "{}\n--- stdout\n{}--- stderr\n{}",
            block.script,
            text(&output.stdout),
            text(&output.stderr)
        );
    }
    // Every image that the examples made is whole.
    for image in ["hello-image", "site-image"] {
        bench.run(["validate", &format!("oci:{image}")]).succeeds();
    }
    bench.run(["validate", "archive:hello.tar"]).succeeds();
    let site = bench.run(["inspect", "oci:site-image", "--files"]).succeeds();
    assert!(site.contains("/srv/www/index.html") && !site.contains("notes.tmp"), "{site}");
    assert!(site.contains("dir 0755 65532:65532 0 /var/cache/site/"), "{site}");
}
