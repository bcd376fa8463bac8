//! `coracle build` and its neighbours on static programs: what is printed, what is written, what is the same again.

#[path = "support/cli.rs"]
mod cli;
#[path = "support/elf.rs"]
mod elf;

use cli::Workbench;
use elf::{ElfMaker, Machine};
use serde_json::Value;

/// A program for a machine, the same bytes always.
fn program(machine: Machine) -> Vec<u8> {
    ElfMaker::new(machine).payload(b"a program").build()
}

/// A workbench with the program `hello`.
fn bench() -> Workbench {
    let bench = Workbench::new();
    bench.file("hello", program(Machine::Amd64));
    bench
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The digest at the end of a reference.
fn digest(reference: &str) -> &str {
    reference.trim_end().rsplit('@').next().unwrap()
}

#[test]
fn the_default_is_a_layout_named_by_the_program() {
    let bench = bench();
    let reference = bench.run(["build", "./hello"]).succeeds();
    assert!(reference.starts_with("oci:coracle-out/hello@sha256:"), "{reference}");
    bench.run(["validate", reference.trim_end()]).says(
        0,
        &format!("valid {}: images 1, layers 1, paths 2\n", digest(&reference)),
        "",
    );
    // The layout's name alone means the newest build.
    bench.file("hello", ElfMaker::new(Machine::Amd64).payload(b"another program").build());
    let second = bench.run(["build", "./hello"]).succeeds();
    assert_ne!(reference, second);
    let inspected = json(&bench.run(["inspect", "oci:coracle-out/hello", "--format", "json"]).succeeds());
    assert_eq!(inspected["digest"], digest(&second));
}

#[test]
fn the_same_everywhere() {
    let first = bench();
    let reference = first.run(["build", "./hello", "--output", "oci:out"]).succeeds();
    for (name, value) in [("TZ", "Asia/Kathmandu"), ("LC_ALL", "tr_TR.UTF-8"), ("CORACLE_THREADS", "7")] {
        let other = Workbench::new().env(name, value);
        other.file("deep/er/hello", program(Machine::Amd64));
        assert_eq!(other.run(["build", "deep/er/hello", "--output", "oci:out"]).succeeds(), reference, "{name}");
    }
    let words = format!("umask 077; exec '{}' build ./hello --output oci:masked", env!("CARGO_BIN_EXE_coracle"));
    let masked = std::process::Command::new("sh").args(["-c", &words]).current_dir(first.path()).output().unwrap();
    assert_eq!(digest(&String::from_utf8(masked.stdout).unwrap()), digest(&reference));
}

#[test]
fn source_date_epoch_is_the_time_of_everything() {
    let bench = Workbench::new().env("SOURCE_DATE_EPOCH", "1700000000");
    bench.file("hello", program(Machine::Amd64));
    bench.run(["build", "./hello"]).succeeds();
    let image = json(&bench.run(["inspect", "oci:coracle-out/hello", "--files", "--format", "json"]).succeeds());
    assert_eq!(image["images"][0]["config"]["created"], "2023-11-14T22:13:20Z");
    for path in image["images"][0]["layers"][0].as_array().unwrap() {
        assert_eq!(path["mtime"], 1_700_000_000, "{path}");
    }
}

#[test]
fn what_an_image_says_by_default() {
    let bench = bench();
    let reference = bench.run(["build", "./hello"]).succeeds();
    let text = bench.run(["inspect", reference.trim_end(), "--files"]).succeeds();
    let masked = mask(&text);
    assert_eq!(
        masked,
        "image         oci:coracle-out/hello\n\
         digest        sha256:…\n\
         media type    application/vnd.oci.image.manifest.v1+json\n\
         platform      linux/amd64 sha256:…\n\
         \n\
         platform      linux/amd64\n\
         config        sha256:…\n\
         created       1970-01-01T00:00:00Z\n\
         user          65532:65532\n\
         entrypoint    [\"/app/hello\"]\n\
         workdir       /\n\
         env           PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n\
         layer 0       sha256:… … tar+gzip\n  \
           dir 0755 0:0 0 /app/\n  \
           file 0555 0:0 … /app/hello\n"
    );
}

/// Digests and sizes as `…`.
fn mask(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        for at in 0..words.len() {
            if let Some(start) = words[at].find("sha256:") {
                words[at].truncate(start + "sha256:".len());
                words[at].push('…');
                if line.starts_with("layer") {
                    words[at + 1] = "…".to_owned();
                    words.remove(at + 2);
                    break;
                }
            }
        }
        if line.starts_with("  file") {
            words[5] = "…".to_owned();
        }
        out.push_str(&words.join(" "));
        out.push('\n');
    }
    out
}

#[test]
fn every_flag_reaches_the_image() {
    let bench = bench();
    bench.file("static/index.html", "<p>hi</p>");
    bench.file("static/skip.tmp", "");
    bench
        .run([
            "build",
            "./hello",
            "--name",
            "web",
            "--label",
            "a=b",
            "--annotation",
            "org.opencontainers.image.title=Web",
            "--env",
            "MODE=fast",
            "--user",
            "1000:1000",
            "--workdir",
            "/srv",
            "--entrypoint",
            "/app/web",
            "--entrypoint",
            "--listen",
            "--cmd",
            "[\"-v\"]",
            "--port",
            "8080",
            "--volume",
            "/data",
            "--writable",
            "/data",
            "--stop-signal",
            "SIGINT",
            "--add",
            "static:/srv",
            "--exclude",
            "*.tmp",
            "--compression",
            "zstd",
        ])
        .succeeds();
    let image = json(&bench.run(["inspect", "oci:coracle-out/web", "--files", "--format", "json"]).succeeds());
    let image = &image["images"][0];
    assert_eq!(
        image["config"]["config"],
        serde_json::json!({
            "User": "1000:1000",
            "ExposedPorts": {"8080/tcp": {}},
            "Env": ["MODE=fast", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Entrypoint": ["/app/web", "--listen"],
            "Cmd": ["-v"],
            "Volumes": {"/data": {}},
            "WorkingDir": "/srv",
            "Labels": {"a": "b"},
            "StopSignal": "SIGINT",
        })
    );
    assert_eq!(image["manifest"]["annotations"]["org.opencontainers.image.title"], "Web");
    assert_eq!(image["manifest"]["layers"][0]["mediaType"], "application/vnd.oci.image.layer.v1.tar+zstd");
    let paths: Vec<String> = image["layers"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|layer| layer.as_array().unwrap())
        .map(|p| format!("{} {} {}:{}", p["path"].as_str().unwrap(), p["mode"].as_str().unwrap(), p["uid"], p["gid"]))
        .collect();
    assert_eq!(
        paths,
        ["data/ 0755 1000:1000", "srv/ 0755 0:0", "srv/index.html 0644 0:0", "app/ 0755 0:0", "app/web 0555 0:0"]
    );
}

#[test]
fn programs_of_several_platforms_become_an_index() {
    let bench = Workbench::new();
    bench.file("dist/app-linux-arm64", program(Machine::Arm64));
    bench.file("dist/app-linux-amd64", program(Machine::Amd64));
    bench.file("dist/tool-linux-amd64", program(Machine::Amd64));
    let both = ["dist/app-linux-arm64", "dist/app-linux-amd64", "dist/tool-linux-amd64"];
    let reference = bench.run([&["build"][..], &both].concat()).succeeds();
    assert!(reference.starts_with("oci:coracle-out/app@sha256:"), "{reference}");
    let image = json(&bench.run(["inspect", reference.trim_end(), "--files", "--format", "json"]).succeeds());
    assert_eq!(image["mediaType"], "application/vnd.oci.image.index.v1+json");
    let platforms: Vec<&str> =
        image["images"].as_array().unwrap().iter().map(|i| i["platform"].as_str().unwrap()).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    let amd64 = image["images"][0]["layers"].to_string();
    assert!(amd64.contains("app/app") && amd64.contains("app/tool"), "{amd64}");
    bench.run(["validate", reference.trim_end()]).succeeds();

    // One of them is a plain manifest, and the order of programs does not matter to it.
    let one = bench.run([&["build", "--platform", "linux/arm64", "-o", "oci:one"][..], &both].concat()).succeeds();
    let one = json(&bench.run(["inspect", one.trim_end(), "--format", "json"]).succeeds());
    assert_eq!(one["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(one["digest"], image["images"][1]["digest"]);
    let pulled = bench.run(["pull", reference.trim_end(), "oci:pulled", "--platform", "linux/arm64"]).succeeds();
    assert_eq!(digest(&pulled), one["digest"]);
}

#[test]
fn files_for_scripts() {
    let bench = bench();
    let words = ["build", "./hello", "-o", "oci:out", "--digest-file", "digest", "--image-refs", "refs"];
    let reference = bench.run([&words[..], &["--metadata-file", "meta.json"]].concat()).succeeds();
    let read = |name: &str| std::fs::read_to_string(bench.join(name)).unwrap();
    assert_eq!(read("digest"), format!("{}\n", digest(&reference)));
    assert_eq!(read("refs"), reference);
    let meta = json(&read("meta.json"));
    assert_eq!(meta["containerimage.digest"], digest(&reference));
    assert_eq!(meta["containerimage.descriptor"]["digest"], digest(&reference));
    assert_eq!(meta["containerimage.descriptor"]["platform"]["architecture"], "amd64");
    assert!(meta["containerimage.config.digest"].as_str().unwrap().starts_with("sha256:"));
    let outcome = json(&bench.run(["build", "./hello", "-o", "oci:out", "--format", "json"]).succeeds());
    assert_eq!(outcome["digest"], digest(&reference));
    assert_eq!(outcome["places"][0]["references"][0], reference.trim_end());
    assert_eq!(outcome["places"][0]["blobsWritten"], 0);
}

#[test]
fn a_config_file_says_what_flags_say() {
    let bench = bench();
    bench.file("static/x", "x");
    let by_flags = bench
        .run([
            "build",
            "./hello",
            "-o",
            "oci:a",
            "--name",
            "app",
            "--env",
            "A=1",
            "--add",
            "static:/srv",
            "--port",
            "80",
        ])
        .succeeds();
    bench.file(
        "coracle.yaml",
        "name: app\nprograms: [hello]\nenv: {A: 1}\nadd: ['static:/srv']\nports: [80]\noutput: ['oci:b']\n",
    );
    let by_file = bench.run::<&str>(["build"]).succeeds();
    assert_eq!(by_file, format!("oci:./b@{}\n", digest(&by_flags)));
    assert_eq!(digest(&bench.run(["build", ".", "-o", "oci:c"]).succeeds()), digest(&by_flags));
    assert_eq!(digest(&bench.run(["build", "-f", "coracle.yaml", "-o", "oci:d"]).succeeds()), digest(&by_flags));
    let other = bench.run(["build", ".", "-o", "oci:e", "--env", "A=2"]).succeeds();
    assert_ne!(digest(&other), digest(&by_flags));
}

#[test]
fn an_unchanged_rebuild_packs_nothing() {
    let bench = bench();
    // The cache believes only files that have rested for two seconds: no change of theirs can hide in one tick of a clock.
    std::thread::park_timeout(std::time::Duration::from_millis(2100));
    let first = bench.run(["build", "./hello"]).succeeds();
    let known = walk(&bench.join(".cache/coracle"));
    assert_eq!(known.len(), 1, "{known:?}");
    // With the layer known and in its place the program is not read: only its identity counts.
    let second = bench.run(["build", "./hello", "--format", "json"]).succeeds();
    assert_eq!(json(&second)["digest"], digest(&first));
    // A lost layout is filled again all the same.
    std::fs::remove_dir_all(bench.join("coracle-out")).unwrap();
    assert_eq!(bench.run(["build", "./hello"]).succeeds(), first);
    bench.run(["validate", "oci:coracle-out/hello"]).succeeds();
    // Damage costs nothing but time.
    std::fs::write(&known[0], "{").unwrap();
    assert_eq!(bench.run(["build", "./hello"]).succeeds(), first);
    let other = Workbench::new();
    other.file("hello", program(Machine::Amd64));
    other.run(["build", "./hello", "--no-cache"]).succeeds();
    assert!(!other.join(".cache").exists());
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files
}

#[test]
fn a_tag_of_a_layout_has_the_name_it_was_given_with() {
    let bench = bench();
    let words =
        ["build", "./hello", "-o", "oci:out", "-t", "r.example/b:2", "-t", "r.example/a:1", "-t", "r.example/c:1"];
    bench.run(words).succeeds();
    let index = json(&std::fs::read_to_string(bench.join("out/index.json")).unwrap());
    // The plan has no name.
    let named = index["manifests"].as_array().unwrap().iter().filter(|root| root.get("annotations").is_some());
    let names = named.map(|root| {
        let annotation = |key: &str| root["annotations"][key].as_str().unwrap();
        (annotation("org.opencontainers.image.ref.name"), annotation("io.containerd.image.name"))
    });
    // A layout has each tag once; the first name that has it counts.
    assert_eq!(names.collect::<Vec<_>>(), [("1", "r.example/a:1"), ("2", "r.example/b:2")]);
}

#[test]
fn archives_hold_the_same_image() {
    let bench = bench();
    let reference = bench.run(["build", "./hello", "-o", "oci:out", "-t", "r.example/hello:v1"]).succeeds();
    let archive = bench.run(["build", "./hello", "-o", "archive:hello.tar", "-t", "r.example/hello:v1"]).succeeds();
    assert_eq!(archive, "archive:hello.tar\n");
    bench.run(["diff", "oci:out", "archive:hello.tar"]).says(0, &format!("same {}\n", digest(&reference)), "");
    bench.run(["validate", "archive:hello.tar"]).succeeds();
    let copied = bench.run(["pull", "archive:hello.tar", "oci:copy:v2"]).succeeds();
    assert_eq!(copied, format!("oci:copy@{}\n", digest(&reference)));
}

#[test]
fn a_plan_tells_every_path_and_why() {
    let bench = bench();
    let text = bench.run(["plan", "./hello"]).succeeds();
    assert!(text.starts_with("coracle plan 1\nname hello\nplatform linux/amd64\n"), "{text}");
    let app: Vec<&str> = text.lines().filter(|line| line.contains(" /app")).collect();
    assert!(app[0].starts_with("dir 0755 0:0 /app rule=parent-directory"), "{text}");
    assert!(app[1].starts_with("file 0555 0:0 /app/hello size="), "{text}");
    let plans = json(&bench.run(["plan", "./hello", "--format", "json"]).succeeds());
    assert_eq!(plans["plans"][0]["platform"], "linux/amd64");
    assert!(!bench.join("coracle-out").exists());
}

#[test]
fn a_difference_is_named() {
    let bench = bench();
    bench.run(["build", "./hello", "-o", "oci:a"]).succeeds();
    bench.run(["build", "./hello", "-o", "oci:b", "--env", "A=1", "--compression", "none"]).succeeds();
    let run = bench.run(["diff", "oci:a", "oci:b"]);
    assert_eq!((run.code(), run.stderr()), (Some(1), ""));
    let lines: Vec<&str> = run.stdout().lines().collect();
    assert_eq!(
        lines[0],
        "~ config.config.Env[0]: \"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\" -> \"A=1\""
    );
    assert!(lines.iter().any(|line| line.starts_with("~ layer 0: compression: ")), "{lines:?}");

    bench.file("other", ElfMaker::new(Machine::Amd64).payload(b"b program").build());
    bench.run(["build", "./other", "--name", "hello", "-o", "oci:c"]).succeeds();
    let run = bench.run(["diff", "oci:a", "oci:c", "--format", "json"]);
    let changes = json(run.stdout());
    assert_eq!(changes["changes"].as_array().unwrap().len(), 1, "{changes}");
    assert_eq!(changes["changes"][0]["place"], "layer 0: /app/hello: content");

    let run = bench.run(["diff", "./hello", "./other"]);
    assert_eq!(run.code(), Some(1));
    assert!(run.stdout().starts_with("~ layer app: /app/program: digest: sha256:"), "{}", run.stdout());
    bench.run(["diff", "./hello", "./hello"]).says(0, "same ./hello\n", "");
}

#[test]
fn a_program_on_one_screen() {
    let bench = bench();
    let text = bench.run(["inspect", "./hello"]).succeeds();
    assert_eq!(
        text,
        "./hello  linux/amd64 (baseline)  no PIE, no RELRO, NX\n  \
         217 B, 64-bit little-endian x86-64 ELF, static, stripped\n\
         NEEDS nothing but itself\n"
    );
    let facts = json(&bench.run(["inspect", "./hello", "--format", "json"]).succeeds());
    assert_eq!(facts["facts"]["linkage"], "static");
}
