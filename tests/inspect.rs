//! `coracle inspect` on programs: one screen, a documented document, a graph.

#[path = "support/cli.rs"]
mod cli;
#[path = "support/elf.rs"]
mod elf;
#[path = "support/peers.rs"]
mod peers;
#[path = "support/roots.rs"]
mod roots;
#[path = "support/snapshot.rs"]
mod snapshot;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use cli::Workbench;
use serde_json::Value;

/// A workbench with the hand-made root.
fn bench() -> Workbench {
    let bench = Workbench::new();
    roots::demo(&bench);
    bench
}

const DEMO: [&str; 4] = ["inspect", "root:/usr/bin/demo", "--root", "sys"];

#[test]
fn a_program_of_a_root_on_one_screen() {
    bench().run(DEMO).says(
        0,
        "root:/usr/bin/demo  linux/amd64 (baseline)  no PIE, no RELRO, NX  glibc (root 2.36)\n  \
         448 B, 64-bit little-endian x86-64 ELF, dynamic, interpreter /lib64/ld-linux-x86-64.so.2, stripped\n\
         NEEDS 4 files 1.5 KiB\n \
         proven    req /lib64/ld-linux-x86-64.so.2  interpreter of demo\n \
         proven    req libdemo.so.1                 needed by demo; default directory /usr/lib\n \
         proven    req libc.so.6                    needed by demo; default directory /usr/lib\n \
         proven    req libdeep.so.2                 needed by libdemo.so.1; default directory /usr/lib\n",
        "",
    );
}

#[test]
fn many_libraries_are_folded() {
    let bench = bench();
    let names: Vec<String> = (0..25).map(|n| format!("libn{n}.so")).collect();
    for name in &names {
        bench.file(format!("sys/usr/lib/{name}"), roots::library(name, &[]));
    }
    let needed: Vec<&str> = names.iter().map(String::as_str).collect();
    bench.file("many", roots::program(&needed));
    let folded = bench.run(["inspect", "./many", "--root", "sys"]).succeeds();
    assert!(folded.contains("\n proven        13 more libraries") && folded.contains("--all\n"), "{folded}");
    assert!(folded.contains(" libn11.so ") && !folded.contains(" libn12.so "), "{folded}");
    let all = bench.run(["inspect", "./many", "--root", "sys", "--all"]).succeeds();
    assert!(names.iter().all(|name| all.contains(&format!(" {name} "))) && !all.contains("more libraries"), "{all}");
}

#[test]
fn what_is_missing_is_told_last() {
    let bench = bench();
    std::fs::remove_file(bench.join("sys/usr/lib/libdeep.so.2")).unwrap();
    let run = bench.run(DEMO);
    assert_eq!(run.code(), Some(0));
    assert!(
        run.stderr().starts_with("error[L001]: `root:/usr/bin/demo`: `libdeep.so.2` is not in the root\n"),
        "{}",
        run.stderr()
    );
    assert!(run.stdout().contains("NEEDS 3 files"), "{}", run.stdout());
    let row = run.stdout().lines().find(|line| line.contains("libdeep.so.2")).unwrap_or_default().to_owned();
    assert!(row.starts_with(" proven    req libdeep.so.2 ") && row.ends_with(" MISSING"), "{row}");
    // The same with an exit code for scripts, and no second word about it.
    let strict = bench.run([&DEMO[..], &["--strict"]].concat());
    assert_eq!((strict.code(), strict.stderr()), (Some(1), run.stderr()));
}

#[test]
fn a_program_that_is_not_there_is_looked_for_elsewhere() {
    let bench = bench();
    let error = "error: the root `sys` has no `/usr/sbin/none`\n\n";
    let hint = "hint: `root:PATH` is a path inside `--root`; check it, and which root is meant\n";
    bench.run(["inspect", "root:/usr/sbin/none", "--root", "sys"]).fails(1, &format!("{error}{hint}"));
    bench
        .run(["inspect", "root:/usr/sbin/demo", "--root", "sys"])
        .fails(1, "error: the root `sys` has no `/usr/sbin/demo`\n\nhint: it has `root:/usr/bin/demo`\n");
    for verb in [&["build"][..], &["plan"], &["explain", "/usr/bin/demo", "libc.so.6"]] {
        let words = [verb, &["/usr/bin/demo", "--root", "sys"]].concat();
        let words = if verb[0] == "explain" { [verb, &["--root", "sys"]].concat() } else { words };
        let run = bench.run(words);
        assert_eq!(run.code(), Some(1));
        let hint =
            "\nhint: the root `sys` has it: `root:/usr/bin/demo`; a path without `root:` is one of this machine\n";
        assert!(run.stderr().ends_with(hint), "{verb:?}: {}", run.stderr());
    }
    // A bare word is an image of a registry, unless that fails.
    let run = bench.run(["inspect", "demo", "--root", "sys"]);
    assert!(
        run.stderr().ends_with("hint: if the program is meant: `coracle inspect root:/usr/bin/demo`\n"),
        "{}",
        run.stderr()
    );
}

#[test]
fn protections_of_the_compiler_are_told() {
    let bench = Workbench::new();
    let source = "#include <stdio.h>\n#include <string.h>\n\
        int main(int c, char **v) { char b[64]; strcpy(b, v[c - 1]); puts(b); return 0; }\n";
    bench.file("p.c", source);
    let compile = |out: &str, words: &[&str]| {
        let mut cc = Command::new("cc");
        assert!(cc.args(words).args(["-o", out, "p.c"]).current_dir(bench.path()).status().unwrap().success());
    };
    compile(
        "with",
        &["-O2", "-fstack-protector-all", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2", "-pie", "-Wl,-z,relro,-z,now"],
    );
    compile("without", &["-O2", "-fno-stack-protector", "-U_FORTIFY_SOURCE", "-no-pie", "-Wl,-z,norelro,-z,execstack"]);
    let head = |name: &str| bench.run(["inspect", name]).stdout().lines().next().unwrap().to_owned();
    let with = head("./with");
    // The list is that of checksec and its kind, in words.
    assert!(with.contains("  PIE, full RELRO, NX, canary, fortified  "), "{with}");
    let without = head("./without");
    assert!(without.contains("  no PIE, no RELRO, executable stack, no canary, not fortified  "), "{without}");
    let json = bench.run(["inspect", "./without", "--format", "json"]);
    let json: Value = serde_json::from_str(json.stdout()).unwrap();
    assert_eq!(
        (&json["process"]["no_execute_stack"]["holds"], &json["facts"]["code"]["canary"]["state"]),
        (&false.into(), &"no".into())
    );
    assert_ne!(validate(&json.to_string()), Some(false));
}

#[test]
fn the_committed_schema_is_that_of_the_types() {
    snapshot::check("docs/inspect.schema.json", &coracle::pipeline::inspect::schema());
}

/// What a foreign validator says of a document; `None` when it is absent.
fn validate(document: &str) -> Option<bool> {
    let python = peers::find("python3")?;
    let script = "import sys, json, jsonschema\n\
        jsonschema.validate(json.load(sys.stdin), json.load(open(sys.argv[1])))";
    let has = Command::new(&python).args(["-c", "import jsonschema"]).stderr(Stdio::null()).status().unwrap();
    if !has.success() {
        peers::skipped("python3 has no jsonschema");
        return None;
    }
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/inspect.schema.json");
    let mut command = Command::new(python);
    command.args(["-c", script]).arg(schema).stdin(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(document.as_bytes()).unwrap();
    Some(child.wait().unwrap().success())
}

#[test]
fn documents_are_what_the_schema_says() {
    let bench = bench();
    bench.file("script", "#!/bin/sh\n");
    let program = bench.run([&DEMO[..], &["--format", "json"]].concat()).succeeds();
    let parsed: Value = serde_json::from_str(&program).unwrap();
    assert_eq!(parsed["needs"]["files"], 4);
    assert_eq!(parsed["libc"]["root"], "2.36");
    assert_eq!(parsed["needs"]["objects"][0]["needs"][0], "/usr/lib/libdemo.so.1");
    assert_eq!(parsed["requirements"][2]["subject"]["value"], "libdemo.so.1");
    bench.run(["build", "root:/usr/bin/demo", "--root", "sys", "-o", "oci:out"]).succeeds();
    let image = bench.run(["inspect", "oci:out", "--files", "--format", "json"]).succeeds();
    let script = bench.run(["inspect", "./script", "--format", "json"]);
    for document in [&program, &image, script.stdout()] {
        assert_ne!(validate(document), Some(false), "{document}");
    }
    let broken = program.replace("\"proven\"", "\"certain\"");
    assert_ne!(validate(&broken), Some(true));
}

/// A root whose library has a name that means something to the languages of graphs.
fn hostile() -> Workbench {
    let bench = bench();
    let name = "lib\"]; x [label=\\\"y|<b>#;&`.so";
    bench.file(format!("sys/usr/lib/{name}"), roots::library("libodd.so", &[]));
    bench.file("sys/usr/bin/demo", roots::program(&[name, "libdemo.so.1"]));
    bench
}

#[test]
fn graphviz_reads_the_graph() {
    let dot = hostile().run([&DEMO[..], &["--format", "dot"]].concat()).succeeds();
    assert!(dot.contains("n0 -> n2"), "{dot}");
    let Some(graphviz) = peers::find("dot") else { return };
    let draw = |text: &str| {
        let mut command = Command::new(&graphviz);
        let command = command.arg("-Tplain").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let (good, plain) = draw(&dot);
    assert!(good, "{dot}");
    let count = |word: &str| plain.lines().filter(|line| line.starts_with(word)).count();
    assert_eq!((count("node "), count("edge ")), (6, 6), "{plain}");
    assert!(!draw(&dot.replace("\\\"]; x", "\"]; x")).0, "a quote that is not escaped must not pass");
}

/// The part of mermaid's flowcharts that is used: a node or an edge per line, labels in quotes of letters and entity codes.
fn is_mermaid(text: &str) -> bool {
    let id = |text: &str| text.strip_prefix('n').is_some_and(|digits| digits.parse::<u16>().is_ok());
    let label = |text: &str| {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            if c == '#' {
                let Some((code, after)) = rest.split_once(';') else { return false };
                if code.parse::<u32>().ok().and_then(char::from_u32).is_none() {
                    return false;
                }
                rest = after;
            } else if "\"\\`<>&;|[]{}".contains(c) {
                return false;
            }
        }
        true
    };
    let node = |line: &str| {
        let Some((name, rest)) = line.split_once('"') else { return false };
        let Some((text, close)) = rest.rsplit_once('"') else { return false };
        let shape = [("[", "]"), ("(", ")"), ("{{", "}}")];
        shape.iter().any(|(open, end)| name.strip_suffix(open).is_some_and(id) && close == *end) && label(text)
    };
    let edge = |line: &str| {
        let arrow = ["-->", "-.->"].into_iter().find_map(|arrow| line.split_once(&format!(" {arrow}")));
        let Some((from, rest)) = arrow else { return false };
        let to = match rest.strip_prefix("|\"").and_then(|rest| rest.split_once("\"| ")) {
            Some((text, to)) if label(text) => to,
            Some(_) => return false,
            None => rest.trim_start(),
        };
        id(from) && id(to)
    };
    let mut lines = text.lines();
    lines.next() == Some("flowchart LR") && lines.map(str::trim_start).all(|line| node(line) || edge(line))
}

#[test]
fn mermaid_reads_the_graph() {
    let text = hostile().run([&DEMO[..], &["--format", "mermaid"]].concat()).succeeds();
    assert!(is_mermaid(&text), "{text}");
    assert!(text.contains("  n0[\"/usr/bin/demo\"]\n") && text.contains("  n0 --> n2\n"), "{text}");
    assert!(!is_mermaid("flowchart LR\n  n0[\"a\"b\"]\n") && !is_mermaid("flowchart LR\n  n0 -> n1\n"));
    let bench = bench();
    bench.run(["build", "root:/usr/bin/demo", "--root", "sys", "-o", "oci:out"]).succeeds();
    bench.run(["inspect", "oci:out", "--format", "dot"]).fails(
        1,
        "error: `oci:out` is an image, which has no graph of needs\n\n\
         hint: name the program that it is made of, or write `--format json`\n",
    );
}
