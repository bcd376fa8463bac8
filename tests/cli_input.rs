//! Bad input, and what it gets: the whole of stderr, the exit code, and nothing left behind.

#[path = "support/cli.rs"]
mod cli;
#[path = "support/elf.rs"]
mod elf;

use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::Path;

use cli::{Run, Workbench, signal};
use elf::{ElfMaker, Machine};

fn bench() -> Workbench {
    let bench = Workbench::new();
    bench.file("hello", ElfMaker::new(Machine::Amd64).payload(b"a program").build());
    bench
}

/// Names in the directory, to see that nothing was left there.
fn names(bench: &Workbench) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(bench.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn files_that_are_no_programs() {
    let bench = bench();
    bench.file("empty", "");
    bench.file("script", "#!/bin/sh\necho hi\n");
    bench.file("cut", &ElfMaker::new(Machine::Amd64).build()[..70]);
    bench.file("freebsd", ElfMaker::new(Machine::Amd64).os_abi(9).build());
    bench.file("dynamic", ElfMaker::new(Machine::Amd64).interp("/lib/ld-none.so.1").needed("libc.so.6").build());
    let before = names(&bench);
    for (file, code) in
        [("empty", "B001"), ("script", "B002"), ("cut", "B020"), ("freebsd", "B040"), ("dynamic", "L010")]
    {
        let run = bench.run(["build", file]);
        assert_eq!((run.code(), run.stdout()), (Some(1), ""), "{file}: {}", run.stderr());
        let first = format!("error[{code}]: `{file}`: ");
        assert!(run.stderr().starts_with(&first), "{file}: {}", run.stderr());
        assert!(run.stderr().contains("\n  hint: "), "{file}: {}", run.stderr());
    }
    bench.run(["build", "script"]).fails(
        1,
        "error[B002]: `script`: the file is a script for `/bin/sh`, not a Linux program (ELF)\n  \
         #!: /bin/sh\n  \
         hint: name the compiled program that the script starts; or pack the interpreter, `root:/PATH`, with the script: \
         `--add SCRIPT:DST --cmd DST`\n",
    );
    assert_eq!(names(&bench), before);
}

#[test]
fn paths_that_lead_to_no_program() {
    let bench = bench();
    bench.file("dir/readme", "no program");
    let fifo = bench.join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for (words, stderr) in [
        (
            &["build", "./absent"][..],
            "error: cannot read `./absent`\ncaused by: No such file or directory (os error 2)\n\n\
             hint: check the path; it is relative to the current directory\n",
        ),
        (
            &["build", "./dir"],
            "error: `./dir` is a directory, not a program\n\n\
             hint: name the programs in it; a directory with a `coracle.yaml` is built alone\n",
        ),
        (&["build", "./fifo"], "error: `./fifo` is not a regular file\n\nhint: copy its content to a file first\n"),
        (
            &["build"],
            "error: there is no program to build an image from\n\
             caused by: no PATH is given, and this directory has no `coracle.yaml`\n\n\
             hint: name a program: `coracle build ./program`\n",
        ),
        (
            &["build", "./hello", "./hello"],
            "error: the program `./hello` and the program `./hello` both land on `/app/hello`\n\n\
             hint: give one of them another path in the image\n",
        ),
        (
            &["inspect", "./dir"],
            "error: `./dir` is a directory\n\nhint: name a program in it, or `oci:./dir` if it is an OCI layout\n",
        ),
    ] {
        bench.run(words).fails(1, stderr);
    }
}

#[test]
fn a_file_that_may_not_be_read() {
    let bench = bench();
    std::fs::set_permissions(bench.join("hello"), std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::read(bench.join("hello")).is_ok() {
        // root reads everything; setpriv takes the capability away, where it is installed.
        let mut command = std::process::Command::new("setpriv");
        command.args(["--reuid=65534", "--clear-groups", "--inh-caps=-all", env!("CARGO_BIN_EXE_coracle")]);
        std::fs::set_permissions(bench.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        match command.args(["build", "./hello"]).current_dir(bench.path()).env_clear().output() {
            Ok(output) if output.status.code() == Some(1) => {
                check_unreadable(Run::new(String::new(), &output, bench.path()))
            }
            // The program itself may lie where only root reads.
            _ => {}
        }
        return;
    }
    check_unreadable(bench.run(["build", "./hello"]));
}

#[track_caller]
fn check_unreadable(run: Run) {
    run.fails(
        1,
        "error: cannot read `./hello`\ncaused by: Permission denied (os error 13)\n\n\
         hint: allow the current user to read it\n",
    );
}

#[test]
fn places_and_names_that_make_no_sense() {
    let bench = bench();
    bench.file("arm", ElfMaker::new(Machine::Arm64).build());
    let zstd = &["build", "./hello", "--compression", "zstd", "-o", "archive:x.tar"];
    let before = names(&bench);
    for (words, stderr) in [
        (
            &["build", "./hello", "--push"][..],
            "error: there is no name to push to\n\nhint: name it with `--tag REGISTRY/REPOSITORY:TAG`\n",
        ),
        (
            &["build", "./hello", "--platform", "linux/arm64"],
            "error: no program is made for `linux/arm64`; there are programs for `linux/amd64`\n\n\
             hint: a platform is never relabelled; build the program for it, or do not ask for it\n",
        ),
        (
            &["build", "./hello", "-o", "docker://x/y"],
            "error: `docker://x/y` names no place of an image: a registry reference stands without `docker://`\n\n\
             hint: places are `oci:DIR[:TAG|@DIGEST]`, `archive:FILE`, `docker-daemon:[REF]` or \
             `[HOST/]REPOSITORY[:TAG|@DIGEST]`\n",
        ),
        (
            &["build", "./hello", "-o", "ghcr.io/acme/hello:v1"],
            "error: `ghcr.io/acme/hello:v1` does not say what kind of output it is\n\n\
             hint: write `oci:DIR`, `archive:FILE` or `docker-daemon:`; names in a registry are pushed to, with \
             `--tag REF --push` or `coracle push`\n",
        ),
        (&["build", "./hello", "-o", "oci:x", "-o", "oci:x"], "error: `oci:x` is named twice as an output\n"),
        (
            zstd,
            "error: `archive:x.tar` cannot have layers compressed with zstd, which `docker load` cannot read\n\n\
             hint: leave out `--compression zstd`, or write an OCI layout\n",
        ),
        (
            &["pull", "oci:x", "ghcr.io/a/b:c"],
            "error: `ghcr.io/a/b:c` does not say what kind of output it is\n\n\
             hint: write `oci:DIR`, `archive:FILE` or `docker-daemon:`; names in a registry are pushed to, with \
             `--tag REF --push` or `coracle push`\n",
        ),
        (
            &["diff", "./hello", "oci:x"],
            "error: `./hello` and `oci:x` cannot be compared\n\
             caused by: one is a program of this machine, the other an image\n\n\
             hint: build an image of the program and compare that\n",
        ),
        (
            &["validate", "oci:absent"],
            "error: `absent` is not an OCI image layout: it has no file `oci-layout`\n\n\
             hint: an OCI layout is a directory with `oci-layout`, `index.json` and `blobs/`; `--output oci:DIR` makes one\n",
        ),
    ] {
        bench.run(words).fails(1, stderr);
    }
    assert_eq!(names(&bench), before);
    let bench = Workbench::new().env("SOURCE_DATE_EPOCH", "yesterday");
    bench.file("hello", ElfMaker::new(Machine::Amd64).build());
    bench.run(["build", "./hello"]).fails(
        1,
        "error: `SOURCE_DATE_EPOCH` cannot be `yesterday`\n\n\
         hint: it is a count of seconds since 1970-01-01, for example from `git log -1 --pretty=%ct`\n",
    );
}

#[test]
fn paths_of_this_machine_are_not_looked_for_in_a_registry() {
    let bench = bench();
    let before = names(&bench);
    for (words, stderr) in [
        (
            &["build", "./hello", "-o", "hello.tar"][..],
            "error: `hello.tar` does not say what kind of output it is\n\n\
             hint: write `oci:DIR`, `archive:FILE` or `docker-daemon:`; names in a registry are pushed to, with \
             `--tag REF --push` or `coracle push`\n",
        ),
        (
            &["validate", "./hello"],
            "error: `./hello` is a path of this machine, not the name of an image\n\n\
             hint: write `archive:./hello` for an archive, `oci:DIR` for an OCI layout\n",
        ),
        (
            &["push", "hello", "ghcr.io/a/b:c"],
            "error: `hello` is a path of this machine, not the name of an image\n\n\
             hint: write `archive:hello` for an archive, `oci:DIR` for an OCI layout\n",
        ),
        (
            &["build", "./hello", "-t", "oci:x"],
            "error: `--tag` cannot be `oci:x`\ncaused by: `oci:x` is not an image reference: it is a place of this machine, \
             which `--output` or `coracle pull` writes to\n\nhint: see `coracle build --help`\n",
        ),
        (
            &["build", "./hello", "--name", "hello:v1"],
            "error: `--name` cannot be `hello:v1`\ncaused by: a name has neither tag nor digest; tags are set with `--tag REF`\n\n\
             hint: see `coracle build --help`\n",
        ),
    ] {
        bench.run(words).fails(1, stderr);
    }
    assert_eq!(names(&bench), before);
}

#[test]
fn values_of_flags_that_make_no_sense() {
    let bench = bench();
    for (words, stderr) in [
        (
            &["build", "./hello", "--label", "novalue"][..],
            "error: `--label` cannot be `novalue`\ncaused by: there is no `=` in it\n\nhint: write `--label novalue=VALUE`\n",
        ),
        (
            &["build", "./hello", "--env", "A"],
            "error: `--env` cannot be `A`\ncaused by: there is no `=` in it\n\nhint: write `--env A=VALUE`\n",
        ),
        (&["build", "./hello", "--port", "99999"], "error: `99999` is not a port: expected a number from 1 to 65535\n"),
        (
            &["build", "./hello", "--add", "absent:/x"],
            "error: cannot read `absent`\ncaused by: No such file or directory (os error 2)\n\n\
             hint: check the path; it is relative to the current directory\n",
        ),
        (
            &["build", "./hello", "--cmd", "[oops"],
            "error: `--cmd` cannot be `[oops`\n\
             caused by: it begins as a JSON list of strings but is none: expected value at line 1 column 2\n\n\
             hint: quote the whole list for the shell, for example `'[\"/app/hello\", \"-v\"]'`\n",
        ),
    ] {
        bench.run(words).fails(1, stderr);
    }
}

#[test]
fn the_example_of_a_file_capability_works() {
    let bench = bench();
    let help = bench.run(["build", "--help"]).succeeds();
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, rest) = words.split_once("--file-cap ").unwrap();
    let (_, rest) = rest.split_once("for example `").unwrap();
    let (example, _) = rest.split_once('`').unwrap();
    bench.run(["build", "./hello", "-o", "oci:plain"]).succeeds();
    bench.run(["build", "./hello", "-o", "oci:out", "--file-cap", example]).succeeds();
    let changes = bench.run(["diff", "oci:plain", "oci:out"]);
    assert_eq!(changes.code(), Some(1), "{}", changes.stderr());
}

#[test]
fn a_config_file_is_confined_and_checked() {
    let bench = bench();
    for (content, stderr) in [
        (
            "programs: [hello]\nlable: {a: b}\n",
            "error: `coracle.yaml` line 2, column 1: unknown key `lable`; did you mean `labels`?\n",
        ),
        (
            "programs: [/bin/true]\n",
            "error: `coracle.yaml`, `programs[0]`: `/bin/true` is an absolute path; a config file names only what lies \
             in its own directory\n\nhint: name it with a flag, or move it into that directory\n",
        ),
    ] {
        bench.file("coracle.yaml", content);
        bench.run(["build"]).fails(1, stderr);
    }
}

#[test]
fn a_layout_in_the_way() {
    let bench = bench();
    bench.file("out/precious", "data");
    bench.run(["build", "./hello", "-o", "oci:out"]).fails(
        1,
        "error: `out` is not an OCI image layout: the directory is not empty and has no file `oci-layout`\n\n\
         hint: an OCI layout is a directory with `oci-layout`, `index.json` and `blobs/`; `--output oci:DIR` makes one\n",
    );
    assert_eq!(std::fs::read(bench.join("out/precious")).unwrap(), b"data");
    assert_eq!(std::fs::read_dir(bench.join("out")).unwrap().count(), 1);
}

#[test]
fn an_output_that_is_no_file_is_written_to() {
    let bench = bench();
    let program = env!("CARGO_BIN_EXE_coracle");
    let pipe = bench.join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::read(pipe).unwrap()
    });
    bench.run(["build", "./hello", "-o", "archive:pipe"]).says(0, "archive:pipe\n", "");
    bench.file("read.tar", reader.join().unwrap());
    assert!(std::fs::metadata(&pipe).unwrap().file_type().is_fifo());
    bench.run(["validate", "archive:read.tar"]).succeeds();

    symlink("real.tar", bench.join("link.tar")).unwrap();
    for _ in ["new", "there already"] {
        bench.file("real.tar", "");
        bench.run(["build", "./hello", "-o", "archive:link.tar"]).succeeds();
        assert_eq!(std::fs::read_link(bench.join("link.tar")).unwrap(), Path::new("real.tar"));
        bench.run(["validate", "archive:real.tar"]).succeeds();
    }

    // As `/dev/stdout` is one, when the standard output goes to a file that others write to too.
    symlink("/proc/self/fd/1", bench.join("stdout")).unwrap();
    let words =
        format!("echo before; '{program}' build ./hello -o oci:out --digest-file stdout --format json; echo after");
    let log = std::fs::File::create(bench.join("log")).unwrap();
    let status = std::process::Command::new("sh").args(["-c", &words]).current_dir(bench.path()).stdout(log).status();
    assert!(status.unwrap().success());
    assert!(std::fs::symlink_metadata(bench.join("stdout")).unwrap().is_symlink());
    let log = std::fs::read_to_string(bench.join("log")).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!((lines[0], lines.last().copied()), ("before", Some("after")), "{log}");
    assert!(lines[1].starts_with("sha256:"), "{log}");

    bench.file("dir/x", "");
    bench
        .run(["build", "./hello", "-o", "archive:dir"])
        .fails(1, "error: cannot write `dir`\ncaused by: is a directory\n\nhint: name a file in it\n");
}

#[test]
fn an_output_never_takes_the_place_of_an_input() {
    let bench = bench();
    let program = std::fs::read(bench.join("hello")).unwrap();
    bench.run(["build", "./hello", "-o", "archive:./hello"]).fails(
        1,
        "error: the output `archive:./hello` would change `./hello`, which goes into the image\n\n\
         hint: write to another place, or leave it out with `--exclude`\n",
    );
    bench.run(["build", "./hello", "--digest-file", "hello"]).fails(
        1,
        "error: `hello` would be written over `./hello`, which goes into the image\n\nhint: write to another file\n",
    );
    assert_eq!(std::fs::read(bench.join("hello")).unwrap(), program);
    assert_eq!(names(&bench), ["hello"]);

    // The second build would hold what the first one made, and so would never give the same image.
    let words = ["build", "./hello", "--add", ".:/srv", "-o", "oci:out"];
    let first = bench.run(words).succeeds();
    let second = bench.run(words);
    assert_eq!(second.code(), Some(1), "{}", second.stderr());
    assert!(second.stderr().starts_with("error: the output `oci:out` would change `./out/"), "{}", second.stderr());
    assert_eq!(bench.run([&words[..], &["--exclude", "out"]].concat()).succeeds(), first);
}

#[test]
fn foreign_texts_do_not_steer_the_terminal() {
    // A line of its own that begins with `::` is a command to GitHub Actions.
    let bench = bench().env("GITHUB_ACTIONS", "true");
    bench.run(["inspect", "./no\u{1b}[31m\n::stop-commands::x"]).fails(
        1,
        "error: cannot read `./no\\u{1b}[31m\\n::stop-commands::x`\n\
         caused by: No such file or directory (os error 2)\n\n\
         hint: check the path; it is relative to the current directory\n\
         ::error title=coracle::cannot read `./no\\u{1b}[31m\\n::stop-commands::x`: \
         No such file or directory (os error 2)\n",
    );
    bench.run(["build", "./hello", "--label", "a=b\nuser          0:0\u{1b}", "-o", "oci:out"]).succeeds();
    let shown = bench.run(["inspect", "oci:out"]).succeeds();
    assert!(shown.contains("\nlabel         a=b\\nuser          0:0\\u{1b}\n"), "{shown}");
}

#[test]
fn passwords_in_urls_are_not_repeated() {
    let bench = bench().env("HTTPS_PROXY", "http://u:hunter2@127.0.0.1:1");
    bench.run(["build", "./hello", "-o", "oci:out"]).succeeds();
    bench.run(["push", "oci:out", "https://u:hunter2@r.example/x"]).fails(
        1,
        "error: `<REF>...` cannot be `https://[redacted]@r.example/x`\n\
         caused by: `https://[redacted]@r.example/x` is not an image reference: it has a URL scheme; \
         write `host/repository:tag` without it\n\nhint: see `coracle push --help`\n",
    );
    let proxied = bench.run(["push", "oci:out", "r.invalid/x"]);
    assert_eq!(proxied.code(), Some(2));
    let (start, end) = (
        "error: r.invalid/x failed\ncaused by: `HEAD https://r.invalid/v2/x/",
        " failed after 3 attempts\n\
         caused by: the proxy `127.0.0.1:1` cannot be reached\n\
         caused by: cannot connect to `127.0.0.1:1`\n\
         caused by: Connection refused (os error 111)\n\n\
         hint: check `HTTPS_PROXY` and `HTTP_PROXY`, or name the host in `NO_PROXY`\n",
    );
    let stderr = proxied.stderr();
    assert!(stderr.starts_with(start) && stderr.ends_with(end) && !stderr.contains("hunter2"), "{stderr}");
}

#[test]
fn a_damaged_layout_is_the_users() {
    let bench = bench();
    bench.run(["build", "./hello", "-o", "oci:out"]).succeeds();
    bench.file("out/index.json", "null");
    bench.run(["validate", "oci:out"]).fails(
        1,
        "error: oci:out holds a document that is not valid\n\
         caused by: image index is not valid: invalid type: null, expected struct ImageIndex at line 1 column 4\n\n\
         hint: it is damaged: build the image, or copy it, again\n",
    );
    let long = "x".repeat(300);
    bench.run(["build", &long]).fails(
        1,
        &format!(
            "error: cannot read `{long}`\ncaused by: File name too long (os error 36)\n\n\
             hint: check the path; it is relative to the current directory\n"
        ),
    );
}

/// As in a pod that runs under an arbitrary user id with `HOME=/root`.
#[test]
fn a_home_of_somebody_else_has_no_credentials() {
    let bench = bench();
    bench.run(["build", "./hello", "-o", "oci:out"]).succeeds();
    let mode = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::create_dir(bench.join("home")).unwrap();
    std::fs::set_permissions(bench.join("home"), mode(0o000)).unwrap();
    std::fs::set_permissions(bench.path(), mode(0o755)).unwrap();
    let words = ["push", "oci:out", "127.0.0.1:1/x"];
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_coracle"));
    if std::fs::read_dir(bench.join("home")).is_ok() {
        command = std::process::Command::new("setpriv");
        command.args(["--reuid=65534", "--clear-groups", "--inh-caps=-all", env!("CARGO_BIN_EXE_coracle")]);
    }
    let output = command.args(words).current_dir(bench.path()).env_clear().env("HOME", bench.join("home")).output();
    // Without setpriv root cannot become another, and the program itself may lie where only root reads.
    let Some(output) = output.ok().filter(|output| matches!(output.status.code(), Some(1 | 2))) else { return };
    let run = Run::new(words.join(" "), &output, bench.path());
    assert!(run.stderr().starts_with("error: 127.0.0.1:1/x failed\n"), "{}", run.stderr());
    std::fs::set_permissions(bench.join("home"), mode(0o755)).unwrap();
}

#[test]
fn a_disk_without_room() {
    let bench = bench();
    let payload: Vec<u8> = (0..200_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    bench.file("big", ElfMaker::new(Machine::Amd64).payload(&payload).build());
    bench.file("tmp/.keep", "");
    // A limit on the size of files stands in for a disk that is full.
    let words =
        format!("trap '' XFSZ; ulimit -f 64; exec '{}' build ./big -o archive:big.tar", env!("CARGO_BIN_EXE_coracle"));
    let mut command = std::process::Command::new("bash");
    command.args(["-c", &words]).current_dir(bench.path()).env_clear().env("TMPDIR", bench.join("tmp"));
    let Ok(output) = command.output() else { return };
    let run = Run::new(words, &output, bench.path());
    assert_eq!((run.code(), run.stdout()), (Some(2), ""), "{}", run.stderr());
    assert!(run.stderr().starts_with("error: cannot write the layer to `[DIR]/tmp/"), "{}", run.stderr());
    assert!(run.stderr().contains("caused by: File too large (os error 27)\n"), "{}", run.stderr());
    assert_eq!(names(&bench), ["big", "hello", "tmp"]);
    assert_eq!(std::fs::read_dir(bench.join("tmp")).unwrap().count(), 1);

    bench.run(["build", "./big", "-o", "oci:layout"]).succeeds();
    let words =
        format!("trap '' XFSZ; ulimit -f 64; exec '{}' pull oci:layout archive:big.tar", env!("CARGO_BIN_EXE_coracle"));
    let mut command = std::process::Command::new("bash");
    let output = command.args(["-c", &words]).current_dir(bench.path()).env_clear().output().unwrap();
    let run = Run::new(words, &output, bench.path());
    assert_eq!((run.code(), run.stdout()), (Some(2), ""), "{}", run.stderr());
    assert!(run.stderr().starts_with("error: cannot write `big.tar`\ncaused by: File too large"), "{}", run.stderr());
    assert_eq!(names(&bench), ["big", "hello", "layout", "tmp"]);
}

#[test]
fn a_daemon_that_is_not_there() {
    let bench = bench().env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    bench.run(["build", "./hello", "-o", "docker-daemon:"]).fails(
        2,
        "error: cannot reach the docker daemon at `/nonexistent/docker.sock`\n\
         caused by: No such file or directory (os error 2)\n\n\
         hint: start docker or set DOCKER_HOST=unix://…; `--output archive:FILE` needs no daemon and `docker load` or \
         `podman load` reads it\n",
    );
}

/// Starts a build of a file so large that packing it takes long, and waits until it is packed from.
fn start_long(bench: &Workbench, words: &[&str]) -> std::process::Child {
    bench.file("tmp/.keep", "");
    // Holes cost no disk, but packing them takes seconds.
    let huge = bench.file("huge", ElfMaker::new(Machine::Amd64).build());
    std::fs::File::options().write(true).open(huge).unwrap().set_len(64 << 30).unwrap();
    let mut command = bench.command([&["build", "./huge"][..], words].concat());
    command.env("TMPDIR", bench.join("tmp"));
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    while std::fs::read_dir(bench.join("tmp")).unwrap().count() < 2 {
        std::thread::yield_now();
    }
    child
}

#[test]
fn progress_is_sparse_where_nobody_watches() {
    let bench = bench();
    let mut child = start_long(&bench, &[]);
    let mut line = String::new();
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut stderr, &mut line).unwrap();
    signal(child.id(), "INT");
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut stderr, &mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(line.starts_with("packing app: ") && line.ends_with(" %)\n") && line.contains(" of 64.0 GiB ("), "{line}");
    assert_eq!(rest, "error: interrupted; nothing was left behind\n");
}

#[test]
fn an_interrupt_in_the_middle() {
    for name in ["INT", "TERM"] {
        let bench = bench();
        let child = start_long(&bench, &["--no-progress"]);
        signal(child.id(), name);
        let output = child.wait_with_output().unwrap();
        Run::new(name.to_owned(), &output, bench.path()).fails(130, "error: interrupted; nothing was left behind\n");
        assert_eq!(names(&bench), ["hello", "huge", "tmp"]);
        assert_eq!(std::fs::read_dir(bench.join("tmp")).unwrap().count(), 1);
    }
}
