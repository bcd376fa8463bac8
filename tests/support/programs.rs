//! Programs of a Debian root: how each is made into an image, and what the image is then for.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::path::{Path, PathBuf};
use std::process::Command;

use super::cli::Workbench;
use super::peers;
use super::runc::{Bundle, Runner};

/// A program of the root, or one that is compiled.
pub struct Case {
    /// Name of the image.
    pub name: &'static str,
    /// The programs of the image as the command line names them; files that start without a slash are compiled.
    pub programs: &'static [&'static str],
    /// Flags beyond the root and the output.
    pub flags: &'static [&'static str],
    /// What it does in its test.
    pub does: &'static str,
}

const fn case(
    name: &'static str,
    programs: &'static [&'static str],
    flags: &'static [&'static str],
    does: &'static str,
) -> Case {
    Case { name, programs, flags, does }
}

/// All of them, in the order of `docs/programs.md`.
pub const CASES: &[Case] = &[
    case(
        "curl",
        &["root:/usr/bin/curl"],
        &["--ca-bundle", "ca.pem"],
        "gets a page over HTTPS from a private CA's server",
    ),
    case(
        "nginx",
        &["root:/usr/sbin/nginx"],
        &["--add", "nginx.conf:/etc/nginx/nginx.conf", "--add", "html:/srv", "--writable", "/var/lib/nginx"],
        "serves a page",
    ),
    case("redis-server", &["root:/usr/bin/redis-server"], &[], "keeps a value, and tells it"),
    case("redis-cli", &["root:/usr/bin/redis-cli"], &[], "asks the server: `PING`, `SET`, `GET`"),
    case("sqlite3", &["root:/usr/bin/sqlite3"], &[], "makes a table and answers a query"),
    case("git", &["root:/usr/bin/git"], &[], "init, commit and log"),
    case(
        "git-clone",
        &["root:/usr/bin/git"],
        &["--with", "shell", "--with", "file:/usr/bin/git-upload-pack"],
        "clones a repository, which starts another program by a shell",
    ),
    case("python3", &["root:/usr/bin/python3"], &[], "`import ssl, sqlite3, json`, a TLS context, a query"),
    case(
        "postgres",
        &["root:/usr/lib/postgresql/15/bin/initdb", "root:/usr/lib/postgresql/15/bin/postgres"],
        &[
            "--with",
            "shell",
            "--with",
            "file:/usr/share/postgresql/15",
            "--with",
            "file:/usr/lib/postgresql/15/lib/dict_snowball.so",
            "--with",
            "file:/usr/lib/postgresql/15/lib/plpgsql.so",
        ],
        "makes a database cluster and serves it",
    ),
    case("psql", &["root:/usr/lib/postgresql/15/bin/psql"], &[], "asks the server a query"),
    case("rust", &["lookups.rs"], &[], "looks up a host and its user's home, and unwinds"),
    case("cgo", &["lookups.go"], &[], "looks up a host and its user through the C library"),
];

/// The case of that name.
pub fn named(name: &str) -> &'static Case {
    CASES.iter().find(|case| case.name == name).unwrap()
}

/// The unpacked Debian root; `None`, said on stdout, when there is none.
pub fn debian_root() -> Option<PathBuf> {
    let root = std::env::var_os("CORACLE_DEBIAN_ROOT").map(PathBuf::from);
    if root.is_none() {
        peers::skipped("CORACLE_DEBIAN_ROOT names no root (scripts/debian-root.sh makes one)");
    }
    root
}

/// Runs a compiler; `None`, said on stdout, when it cannot make what is asked on this machine.
pub fn compile(what: &str, command: &mut Command, output: &Path) -> Option<PathBuf> {
    let done = command.output();
    let made = done.as_ref().is_ok_and(|o| o.status.success()) && output.is_file();
    if !made {
        let why = done.map_or_else(|e| e.to_string(), |o| String::from_utf8_lossy(&o.stderr).into_owned());
        peers::skipped(&format!("{what} cannot be made here: {}", why.lines().next().unwrap_or_default()));
        let promised = std::env::var("CI").is_ok_and(|v| v == "true") && std::env::var("CORACLE_PEERS").is_ok();
        assert!(!promised, "{what} cannot be made, and CORACLE_PEERS promises it:\n{why}");
    }
    made.then(|| output.to_owned())
}

/// A file of `testdata/programs`.
pub fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/programs").join(name)
}

/// A dynamic program, compiled from its source.
fn compiled(bench: &Workbench, name: &str) -> Option<PathBuf> {
    let (output, mut command) = if name.ends_with(".go") {
        let output = bench.join("lookups-go");
        let mut command = Command::new(peers::find("go")?);
        command.args(["build", "-trimpath", "-o"]).arg(&output).arg(source(name));
        command.env("CGO_ENABLED", "1").env("GOFLAGS", "-buildvcs=false");
        (output, command)
    } else {
        let output = bench.join("lookups-rust");
        let mut command = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        command.args(["-C", "target-feature=-crt-static", "-O", "--edition", "2021", "-o"]).arg(&output);
        command.arg(source(name));
        (output, command)
    };
    compile(&format!("a dynamic program of {name}"), &mut command, &output)
}

/// Writes the files that flags of the cases name.
pub fn aids(bench: &Workbench, port: u16) {
    bench.file("html/index.html", "<h1>a page</h1>\n");
    let config = format!(
        "daemon off;\npid /var/lib/nginx/pid;\nworker_processes 1;\nevents {{ worker_connections 64; }}\n\
         http {{ access_log off; server {{ listen 127.0.0.1:{port}; root /srv; }} }}\n"
    );
    bench.file("nginx.conf", config);
}

/// The words that build the image of a case out of `root`, all but the output; `None` when it cannot be compiled.
pub fn words(bench: &Workbench, case: &Case, root: Option<&Path>) -> Option<Vec<String>> {
    let mut words = Vec::new();
    for program in case.programs {
        words.push(match program.strip_prefix("root:") {
            Some(_) => (*program).to_owned(),
            None => compiled(bench, program)?.to_str().unwrap().to_owned(),
        });
    }
    words.extend(["--name", case.name].map(str::to_owned));
    if let Some(root) = root {
        words.extend(["--root".to_owned(), root.to_str().unwrap().to_owned()]);
    }
    words.extend(case.flags.iter().map(|flag| (*flag).to_owned()));
    Some(words)
}

/// Builds the image of a case, has it validated and unpacks it. `None` when it cannot be compiled here.
pub fn image<'a>(bench: &Workbench, runner: &'a Runner, case: &Case, root: Option<&Path>) -> Option<Bundle<'a>> {
    let layout = build(bench, case, root)?;
    let work = bench.join(format!("{}.run", case.name));
    std::fs::create_dir_all(&work).unwrap();
    Some(runner.unpack(&layout, "v1", &work))
}

/// Builds the image of a case as an OCI layout and has it validated.
pub fn build(bench: &Workbench, case: &Case, root: Option<&Path>) -> Option<PathBuf> {
    let layout = bench.join(format!("{}.image", case.name));
    let output = format!("oci:{}", layout.display());
    let tag = format!("localhost/{}:v1", case.name);
    let mut all = vec!["build".to_owned()];
    all.extend(words(bench, case, root)?);
    all.extend(["--tag", &tag, "--output", &output].map(str::to_owned));
    bench.run(&all).succeeds();
    bench.run(["validate", &output]).succeeds();
    Some(layout)
}
