//! `coracle.lock`: what is in it, when it stops a build, how it is written.

#[path = "support/cli.rs"]
mod cli;
#[path = "support/elf.rs"]
mod elf;
#[path = "support/roots.rs"]
mod roots;

use cli::Workbench;

/// A workbench with the hand-made root.
fn bench() -> Workbench {
    let bench = Workbench::new();
    roots::demo(&bench);
    bench
}

const BUILD: [&str; 7] = ["build", "root:/usr/bin/demo", "--root", "sys", "-o", "oci:out", "--quiet"];

const LOCK: &str = "coracle lock 1\n\
    platform linux/amd64\n\
    included required proven interpreter:/lib64/ld-linux-x86-64.so.2 rule=loader/interpreter by=/usr/bin/demo\n\
    included required proven library:libc.so.6 rule=loader/needed by=/usr/bin/demo\n\
    included required proven library:libdeep.so.2 rule=loader/needed by=/usr/lib/libdemo.so.1\n\
    included required proven library:libdemo.so.1 rule=loader/needed by=/usr/bin/demo\n";

fn lock(bench: &Workbench) -> String {
    std::fs::read_to_string(bench.join("coracle.lock")).unwrap()
}

#[test]
fn an_update_of_a_library_changes_nothing_and_a_new_need_does() {
    let bench = bench();
    bench.run([&BUILD[..], &["--update-lock"]].concat()).succeeds();
    assert_eq!(lock(&bench), LOCK);
    // Another build of the library under another file name, as an update brings it.
    std::fs::remove_file(bench.join("sys/usr/lib/libdemo.so.1")).unwrap();
    bench.file(
        "sys/usr/lib/libdemo.so.1.5",
        [roots::library("libdemo.so.1", &["libdeep.so.2", "libc.so.6"]), vec![0]].concat(),
    );
    std::os::unix::fs::symlink("libdemo.so.1.5", bench.join("sys/usr/lib/libdemo.so.1")).unwrap();
    bench.run(BUILD).succeeds();
    bench.file("sys/usr/lib/libnew.so.3", roots::library("libnew.so.3", &[]));
    bench.file("sys/usr/lib/libdemo.so.1.5", roots::library("libdemo.so.1", &["libnew.so.3", "libc.so.6"]));
    let differs = "error: what the programs need is not what `coracle.lock` says\n\
        linux/amd64\n\
        - included required proven library:libdeep.so.2 rule=loader/needed by=/usr/lib/libdemo.so.1\n\
        + included required proven library:libnew.so.3 rule=loader/needed by=/usr/lib/libdemo.so.1\n\n\
        hint: if that is meant, write the new set with `--update-lock` and commit it\n";
    bench.run(BUILD).fails(1, differs);
    let plan = ["plan", "root:/usr/bin/demo", "--root", "sys", "--quiet"];
    bench.run(plan).fails(1, differs);
    // Another lock can be named, and none is compared while it is written.
    bench.file("other.lock", LOCK);
    bench.run([&plan[..], &["--lock", "other.lock"]].concat()).fails(1, &differs.replace("coracle.lock", "other.lock"));
    bench.run([&plan[..], &["--update-lock"]].concat()).succeeds();
    assert!(lock(&bench).contains("library:libnew.so.3 ") && !lock(&bench).contains("libdeep"), "{}", lock(&bench));
    bench.run(BUILD).succeeds();
}

#[test]
fn platforms_that_are_not_built_stay_as_they_are() {
    let bench = bench();
    let other = "platform linux/arm64\nincluded required proven library:libc.so.6 rule=loader/needed by=/app/x\n";
    bench.file("coracle.lock", LOCK.to_owned() + other);
    bench.run(BUILD).succeeds();
    bench.run([&BUILD[..], &["--with", "file:/usr/lib/libdemo.so.1", "--update-lock"]].concat()).succeeds();
    let text = lock(&bench);
    assert!(text.ends_with(other) && text.contains("\nwith file:/usr/lib/libdemo.so.1\n"), "{text}");
    bench.file("coracle.lock", format!("coracle lock 1\n{other}"));
    let run = bench.run(BUILD);
    assert!(run.stderr().contains("\nlinux/amd64\n+ included required proven interpreter:"), "{}", run.stderr());
}

#[test]
fn another_name_of_the_image_changes_nothing() {
    let bench = bench();
    std::fs::copy(bench.join("sys/usr/bin/demo"), bench.join("demo")).unwrap();
    let build = ["build", "./demo", "--root", "sys", "--output", "oci:out", "--lock", "coracle.lock"];
    bench.run([&build[..], &["--update-lock"]].concat()).succeeds();
    let text = lock(&bench);
    assert!(text.contains(" by=program\n") && !text.contains("/app/"), "{text}");
    bench.run([&build[..], &["--name", "other"]].concat()).succeeds();
    bench.run([&build[..], &["--name", "other", "--update-lock"]].concat()).succeeds();
    assert_eq!(lock(&bench), text);
}

#[test]
fn a_lock_that_is_none_is_refused() {
    let bench = bench();
    for (text, cause) in [
        ("", "line 1 is not valid: expected `coracle lock 1`"),
        ("coracle lock 1\nincluded x\n", "line 2 is not valid: it stands before any platform"),
        ("coracle lock 1\nplatform \n", "line 2 is not valid: expected a platform"),
        ("coracle lock 1\nplatform linux/amd64\n<<<<<<< ours\n", "line 3 is not valid: the first word is not known"),
        (
            "coracle lock 1\nplatform linux/amd64\nplatform linux/amd64\n",
            "line 3 is not valid: the platform stands there twice",
        ),
    ] {
        bench.file("coracle.lock", text);
        let hint = "mend the line, or remove the file and write it anew with `--update-lock`";
        bench
            .run(BUILD)
            .fails(1, &format!("error: cannot use the lock `coracle.lock`\ncaused by: {cause}\n\nhint: {hint}\n"));
    }
    bench.run([&BUILD[..], &["--lock", "none.lock"]].concat()).fails(
        1,
        "error: cannot use the lock `none.lock`\ncaused by: No such file or directory (os error 2)\n\n\
         hint: check the path; `--update-lock` writes a new one\n",
    );
    bench.file("coracle.lock", "coracle lock 1\n");
    let run = bench.run([&BUILD[..], &["--lock", "none/none.lock", "--update-lock"]].concat());
    assert_eq!(run.code(), Some(2));
    assert!(run.stderr().starts_with("error: cannot write `none/none.lock`\n"), "{}", run.stderr());
    assert!(
        run.stderr().ends_with("hint: name a place that can be written to with `--lock FILE`\n"),
        "{}",
        run.stderr()
    );
}

#[test]
fn the_file_decides_about_needs_but_names_nothing_of_this_machine() {
    let bench = Workbench::new();
    bench.file("project/hello", elf::ElfMaker::new(elf::Machine::Amd64).build());
    bench.file("project/coracle.yaml", "programs: [hello]\nwith: [certs]\n");
    let made = bench.run(["plan", "project", "--update-lock", "--quiet"]).succeeds();
    assert!(made.contains("/etc/ssl/certs/"), "{made}");
    let text = std::fs::read_to_string(bench.join("project/coracle.lock")).unwrap();
    assert!(text.starts_with("coracle lock 1\nplatform linux/amd64\n") && text.contains("\nwith certs\n"), "{text}");
    bench.file("project/coracle.yaml", "programs: [hello]\nwith: ['file:/etc/hostname']\n");
    bench.run(["plan", "project"]).fails(
        1,
        "error: `project/coracle.yaml`, `with`: only a flag can name `file:/etc/hostname`\n\
         caused by: it would be taken from this machine's own `/`\n\n\
         hint: write `--with file:/etc/hostname`, or name a root with `--root DIR`\n",
    );
    bench.file("project/coracle.yaml", "programs: [hello]\nwithout: ['lib:']\n");
    bench.run(["plan", "project"]).fails(
        1,
        "error: `project/coracle.yaml`, `without[0]`: `lib:` does not name a need: expected `lib:` and a library's name, \
         for example `lib:libfoo.so.1`\n",
    );
}
