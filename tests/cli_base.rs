//! Images on a base: made by umoci, converted by skopeo, run by runc.

mod support {
    pub mod base;
    pub mod cli;
    pub mod peers;
    #[allow(dead_code)]
    pub mod registry_peer;
    pub mod runc;
    pub mod serve;
    #[allow(dead_code)]
    pub mod sysroot;
}

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use coracle::serve::{FaultScript, RequestKind, ServeOptions, Storage};
use serde_json::{Value, json};
use support::cli::Workbench;
use support::registry_peer::{Kind, RegistryPeer};
use support::runc::{Runner, Setup};
use support::serve::{ServerGuard, options, start};
use support::sysroot::{Sysroot, cc};
use support::{base, peers};

const HELLO: &str = "#include <stdio.h>\nint main(void) { FILE *f = fopen(\"/etc/motd\", \"r\"); char b[32];\n\
                     printf(\"hello, %s\", f && fgets(b, sizeof b, f) ? b : \"nobody\"); return 0; }";

struct Ground {
    bench: Workbench,
    tree: Sysroot,
    layout: PathBuf,
}

/// A base with the C library, tagged `v1` in the layout `base`, and the program `hello` beside it.
fn ground() -> Option<Ground> {
    let umoci = peers::find("umoci")?;
    if !peers::root() {
        return None;
    }
    let bench = Workbench::new();
    let hello = cc(bench.path(), "hello", HELLO, &[]);
    let tree = base::tree(bench.join("tree"), &[&hello]);
    let layout = bench.join("base");
    base::pack(&umoci, &layout, "v1", &tree.path, bench.path());
    base::change_config(&layout, "v1", |config| {
        config["x-unknown"] = json!({"kept": [1, "two"]});
        config["config"]["Healthcheck"] = json!({"Test": ["NONE"]});
    });
    Some(Ground { bench, tree, layout })
}

impl Ground {
    fn again(&self, tag: &str) {
        let umoci = peers::find("umoci").unwrap();
        base::pack(&umoci, &self.layout, tag, &self.tree.path, self.bench.path());
    }

    fn build(&self, words: &[&str]) -> String {
        let base = format!("oci:{}:v1", self.layout.display());
        let all = [&["build", "./hello", "--base", &base, "--no-cache", "--output", "oci:out"], words].concat();
        self.bench.run(all).succeeds()
    }
}

fn digests(manifest: &Value) -> Vec<String> {
    let layers = manifest["layers"].as_array().unwrap();
    layers.iter().map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
}

fn blob(layout: &Path, digest: &Value) -> Value {
    let hex = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
    serde_json::from_slice(&std::fs::read(layout.join("blobs/sha256").join(hex)).unwrap()).unwrap()
}

/// Manifest and config of the only image that a layout has under a tag.
fn read(layout: &Path, tag: &str) -> (Value, Value) {
    let index: Value = serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    let entries = index["manifests"].as_array().unwrap();
    let entry = entries.iter().find(|entry| entry["annotations"]["org.opencontainers.image.ref.name"] == tag).unwrap();
    let manifest = blob(layout, &entry["digest"]);
    let config = blob(layout, &manifest["config"]["digest"]);
    (manifest, config)
}

#[test]
fn a_program_on_a_base_that_has_what_it_needs() {
    let Some(ground) = ground() else { return };
    let bench = &ground.bench;
    ground.build(&["--env", "MINE=2", "--label", "mine=too"]);
    bench.run(["validate", "oci:out"]).succeeds();
    let (below, base_config) = read(&ground.layout, "v1");
    let (manifest, config) = read(&bench.join("out"), "latest");
    let (own, layers) = (digests(&below), digests(&manifest));
    assert_eq!(layers[..own.len()], own);
    assert_eq!(layers.len(), own.len() + 1, "one layer with the program");
    assert_eq!(manifest["annotations"]["org.opencontainers.image.base.digest"], below_digest(&ground.layout));
    assert_eq!(manifest["annotations"].get("org.opencontainers.image.base.name"), None);

    let paths =
        Command::new("tar").arg("-tzf").arg(blob_path(&bench.join("out"), layers.last().unwrap())).output().unwrap();
    assert_eq!(String::from_utf8(paths.stdout).unwrap(), "app/\napp/hello\n");
    assert_eq!(config["x-unknown"], base_config["x-unknown"]);
    let (settings, before) = (&config["config"], &base_config["config"]);
    for (key, want) in [
        ("User", json!("web")),
        ("WorkingDir", json!("/srv")),
        ("Env", json!(["PATH=/base/bin", "KEEP=1", "MINE=2"])),
        ("Labels", json!({"base.label": "kept", "mine": "too"})),
        ("ExposedPorts", json!({"80/tcp": {}})),
        ("Entrypoint", json!(["/app/hello"])),
        ("Healthcheck", before["Healthcheck"].clone()),
        ("Cmd", Value::Null),
    ] {
        assert_eq!(settings[key], want, "{key}");
    }
    let history = config["history"].as_array().unwrap();
    assert_eq!(history[..history.len() - 1], base_config["history"].as_array().unwrap()[..]);

    let Some(runner) = Runner::find() else { return };
    let bundle = runner.unpack(&bench.join("out"), "latest", bench.path());
    assert_eq!(bundle.does(&Setup::default()), "hello, of the base\n");
    let mode = |path: &str| std::fs::metadata(bundle.rootfs().join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("tmp"), mode("srv/data")), (0o1777, 0o750));
    assert!(bundle.rootfs().join("lib").is_symlink() && !bundle.rootfs().join("gone").exists());
}

fn below_digest(layout: &Path) -> Value {
    let index: Value = serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    index["manifests"][0]["digest"].clone()
}

fn blob_path(layout: &Path, digest: &str) -> PathBuf {
    layout.join("blobs/sha256").join(digest.strip_prefix("sha256:").unwrap())
}

#[test]
fn added_paths_follow_the_links_of_the_base_and_take_no_directory_from_it() {
    let Some(ground) = ground() else { return };
    let bench = &ground.bench;
    bench.file("conf/a.conf", "a");
    bench.file("motd", "mine\n");
    ground.build(&[
        "--add",
        "conf:/lib/conf",
        "--add",
        "motd:/tmp/x/motd",
        "--add",
        "conf:/bin/",
        "--writable",
        "/srv/data",
    ]);
    let (manifest, _) = read(&bench.join("out"), "latest");
    let mut seen = Vec::new();
    for layer in digests(&manifest).iter().skip(2) {
        let listed = Command::new("tar").arg("-tvzf").arg(blob_path(&bench.join("out"), layer)).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        seen.extend(listed.lines().map(|line| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            format!("{} {} {}", words[0], words[1], words[5])
        }));
    }
    let want = [
        "drwxr-xr-x 4242/4343 srv/data/",
        "drwxr-xr-x 0/0 tmp/x/",
        "-rw-r--r-- 0/0 tmp/x/motd",
        "-rw-r--r-- 0/0 usr/bin/a.conf",
        "drwxr-xr-x 0/0 usr/lib/conf/",
        "-rw-r--r-- 0/0 usr/lib/conf/a.conf",
        "drwxr-xr-x 0/0 app/",
        "-r-xr-xr-x 0/0 app/hello",
    ];
    assert_eq!(seen, want);

    let base = format!("oci:{}:v1", ground.layout.display());
    let refused = bench.run(["build", "./hello", "--base", &base, "--add", "motd:/srv/data", "--output", "oci:no"]);
    assert_eq!(refused.code(), Some(1));
    let text = "error: `motd` cannot lie on the base: `/srv/data` is a directory of the base";
    assert!(refused.stderr().starts_with(text), "{}", refused.stderr());
    let refused = bench.run(["build", "./hello", "--base", &base, "--add", "motd:/etc/motd/x", "--output", "oci:no"]);
    assert!(refused.stderr().contains("`/etc/motd` is a file of the base"), "{}", refused.stderr());
    let told = bench.run(["build", "./hello", "--base", &base, "--add", "motd:/etc/motd", "--output", "oci:out"]);
    assert!(told.stderr().contains("P016") && told.stderr().contains("/etc/motd"), "{}", told.stderr());
}

#[test]
fn what_the_base_lacks_comes_from_the_root_beside_it_where_versions_allow() {
    let Some(ground) = ground() else { return };
    let (bench, tree) = (&ground.bench, &ground.tree);
    let dir = bench.path();
    let version = |name: &str, text: &str| {
        bench.file(name, text);
        format!("-Wl,--version-script={}", bench.join(name).display())
    };
    // The base has an older libfoo than the library of the root wants.
    let (old, new) = (version("old.map", "FOO_1 { foo; };"), version("new.map", "FOO_1 { foo; };\nFOO_2 { foo2; };"));
    let shared = ["-shared", "-fPIC", "-Wl,-soname,libfoo.so.1"];
    let foo = cc(dir, "old/libfoo.so.1", "int foo(void) { return 1; }", &[&shared[..], &[&old]].concat());
    let code = "int foo(void) { return 1; }\nint foo2(void) { return 2; }";
    let newer = cc(dir, "new/libfoo.so.1", code, &[&shared[..], &[&new]].concat());
    let bar = |name: &str, calls: &str, with: &Path| {
        let code = format!("int {calls}(void);\nint bar(void) {{ return {calls}(); }}");
        cc(dir, name, &code, &["-shared", "-fPIC", "-Wl,-soname,libbar.so.1", with.to_str().unwrap()])
    };
    let (fits, wants_newer) = (bar("fits/libbar.so.1", "foo", &newer), bar("wants/libbar.so.1", "foo2", &newer));
    let program = "#include <stdio.h>\nint bar(void);\nint main(void) { printf(\"%d\\n\", bar()); return 0; }";
    let path_link = format!("-Wl,-rpath-link,{}", bench.join("new").display());
    cc(dir, "hello", program, &[fits.to_str().unwrap(), &path_link]);
    tree.copy(&foo, "/lib/x86_64-linux-gnu/libfoo.so.1");
    ground.again("v2");

    let base = format!("oci:{}:v2", ground.layout.display());
    let words = ["build", "./hello", "--base", &base, "--no-cache", "--output", "oci:out"];
    let refused = bench.run(words);
    assert_eq!(refused.code(), Some(1));
    assert!(refused.stderr().contains("libbar.so.1"), "{}", refused.stderr());

    let root = |name: &str, bar: &Path| {
        let root = Sysroot::of(bench.join(name), &[&bench.join("hello")]);
        root.copy(bar, "/lib/x86_64-linux-gnu/libbar.so.1");
        root.copy(&newer, "/lib/x86_64-linux-gnu/libfoo.so.1");
        root.path
    };
    let good = root("good", &fits);
    bench.run([&words[..], &["--root", good.to_str().unwrap()]].concat()).succeeds();
    let (manifest, _) = read(&bench.join("out"), "latest");
    let layers = digests(&manifest);
    let listed = |layer: &str| {
        let output = Command::new("tar").arg("-tzf").arg(blob_path(&bench.join("out"), layer)).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(layers.len(), 4);
    assert_eq!(listed(&layers[2]), "usr/lib/x86_64-linux-gnu/libbar.so.1\n");
    if let Some(runner) = Runner::find() {
        let bundle = runner.unpack(&bench.join("out"), "latest", bench.path());
        assert_eq!(bundle.does(&Setup::default()), "1\n");
    }

    let bad = root("bad", &wants_newer);
    let refused = bench.run([&words[..], &["--root", bad.to_str().unwrap()]].concat());
    assert_eq!(refused.code(), Some(1));
    assert!(refused.stderr().contains("FOO_2") && refused.stderr().contains("libfoo.so.1"), "{}", refused.stderr());
}

fn registry() -> (ServerGuard, FaultScript) {
    let faults = FaultScript::default();
    (start(ServeOptions { faults: faults.clone(), ..options(Storage::Memory) }), faults)
}

#[test]
fn layers_of_a_base_in_the_same_registry_are_mounted_and_the_lock_keeps_its_content() {
    let Some(ground) = ground() else { return };
    let bench = &ground.bench;
    let (server, seen) = registry();
    let host = server.addr().to_string();
    let from = format!("oci:{}:v1", ground.layout.display());
    let base = format!("{host}/bases/web:v1");
    bench.run(["copy", &from, &base]).succeeds();
    let start = seen.seen().len();
    let tag = format!("{host}/apps/hello:v1");
    let words = ["build", "./hello", "--base", &base, "--tag", &tag, "--push", "--no-cache", "--update-lock"];
    let first = bench.run(words).succeeds();
    let requests = seen.seen().split_off(start);
    let mounted = requests.iter().filter(|r| r.target.contains("mount=") && r.status == Some(201)).count();
    assert_eq!(mounted, 2, "{requests:#?}");
    let sent = requests.iter().filter(|r| r.kind == RequestKind::UploadPut && r.target.contains("/apps/")).count();
    assert_eq!(sent, 4, "program, config, plan and its config: {requests:#?}");
    let name = bench.run(["inspect", &tag, "--format", "json"]).succeeds();
    assert!(name.contains(&format!("\"org.opencontainers.image.base.name\": \"{base}\"")), "{name}");
    let lock = std::fs::read_to_string(bench.join("coracle.lock")).unwrap();
    let locked = lock.lines().nth(1).unwrap().to_owned();
    assert!(locked.starts_with(&format!("base {base} sha256:")), "{lock}");

    // The tag moves on; the build does not, until it is told to.
    ground.tree.file("etc/motd", "of a newer base\n");
    ground.again("v2");
    bench.run(["copy", &format!("oci:{}:v2", ground.layout.display()), &base]).succeeds();
    let build = ["build", "./hello", "--base", &base, "--tag", &tag, "--push", "--no-cache"];
    assert_eq!(bench.run(build).succeeds(), first);
    assert_ne!(bench.run(words).succeeds(), first);
    let now = std::fs::read_to_string(bench.join("coracle.lock")).unwrap();
    assert_ne!(now.lines().nth(1).unwrap(), locked);
    let other = format!("{host}/bases/web@{}", locked.rsplit(' ').next().unwrap());
    let refused = bench.run(["build", "./hello", "--base", &other, "--output", "oci:no"]);
    assert_eq!(refused.code(), Some(1));
    assert!(refused.stderr().contains("- base ") && refused.stderr().contains("+ base "), "{}", refused.stderr());
}

#[test]
fn docker_bases_become_oci_and_stay_docker_when_asked() {
    let (Some(ground), Some(skopeo)) = (ground(), peers::find("skopeo")) else { return };
    let Some(registry) = RegistryPeer::plain(Kind::Distribution2) else { return };
    let bench = &ground.bench;
    let base = format!("{}/bases/web:v1", registry.host());
    let mut convert = Command::new(skopeo.clone());
    convert.args(["copy", "--format", "v2s2", "--dest-tls-verify=false"]);
    base::run(convert.arg(format!("oci:{}:v1", ground.layout.display())).arg(format!("docker://{base}")));
    let raw = |reference: &str| -> Value {
        let mut inspect = Command::new(&skopeo);
        let text =
            base::run(inspect.args(["inspect", "--raw", "--tls-verify=false", &format!("docker://{reference}")]));
        serde_json::from_str(&text).unwrap()
    };
    let below = raw(&base);
    assert_eq!(below["mediaType"], "application/vnd.docker.distribution.manifest.v2+json");
    for (format, kind, layer) in [
        (&[][..], "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip"),
        (
            &["--format", "docker"],
            "application/vnd.docker.distribution.manifest.v2+json",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
        ),
    ] {
        let tag = format!("{}/apps/hello:{}", registry.host(), if format.is_empty() { "oci" } else { "docker" });
        let words = ["build", "./hello", "--base", &base, "--tag", &tag, "--push", "--no-cache"];
        bench.run([&words[..], format].concat()).succeeds();
        let manifest = raw(&tag);
        assert_eq!(manifest["mediaType"], kind);
        assert_eq!(digests(&manifest)[..2], digests(&below));
        let layers = manifest["layers"].as_array().unwrap();
        assert!(layers.iter().all(|one| one["mediaType"] == layer), "{manifest}");
        bench.run(["validate", &tag]).succeeds();
        let mut copy = Command::new(&skopeo);
        base::run(
            copy.args(["copy", "--src-tls-verify=false", &format!("docker://{tag}")])
                .arg(format!("dir:{}", bench.join("dir").display())),
        );
    }
    let words = ["build", "./hello", "--compression", "zstd", "--image-format", "docker", "--output", "oci:no"];
    let refused = bench.run(words);
    assert_eq!(refused.code(), Some(1));
    assert!(refused.stderr().contains("which the format of the image does not have"), "{}", refused.stderr());
}

#[test]
fn what_can_be_no_base_is_refused_with_the_reason() {
    let Some(ground) = ground() else { return };
    let bench = &ground.bench;
    let (server, _) = registry();
    let host = server.addr().to_string();
    base::change_config(&ground.layout, "v1", |config| config["architecture"] = json!("s390x"));
    let foreign = format!("oci:{}:v1", ground.layout.display());
    let refused = bench.run(["build", "./hello", "--base", &foreign, "--output", "oci:no"]);
    assert_eq!(refused.code(), Some(1));
    let told = refused.stderr();
    assert!(told.contains("linux/amd64") && told.contains("linux/s390x"), "{told}");

    let absent = format!("{host}/none:v1");
    let refused = bench.run(["build", "./hello", "--base", &absent, "--output", "oci:no"]);
    assert!(refused.stderr().contains("none"), "{}", refused.stderr());
    let refused = bench.run(["build", "./hello", "--base", "docker-daemon:x", "--output", "oci:no"]);
    assert_eq!(refused.code(), Some(1));
    assert!(!bench.join("no").exists());
}

/// An image of `hello` on the first base, and a second base under `v2` whose tree `change` has changed.
fn two_bases(change: impl FnOnce(&Sysroot)) -> Option<Ground> {
    let ground = ground()?;
    ground.build(&["--env", "MINE=2", "--env", "KEEP=mine"]);
    change(&ground.tree);
    ground.again("v2");
    Some(ground)
}

fn rebase(ground: &Ground, words: &[&str]) -> support::cli::Run {
    let (old, new) = (format!("oci:{}:v1", ground.layout.display()), format!("oci:{}:v2", ground.layout.display()));
    ground.bench.run([&["rebase", "oci:out", "oci:new", "--onto", &new, "--from", &old], words].concat())
}

#[test]
fn a_rebased_image_is_the_one_that_a_build_would_make() {
    let change = |tree: &Sysroot| tree.file("etc/motd", "of a newer base\n");
    let Some(ground) = two_bases(change) else { return };
    let bench = &ground.bench;
    base::change_config(&ground.layout, "v2", |config| {
        config["config"]["Env"] = json!(["PATH=/newer/bin", "KEEP=base", "NEW=1"]);
        config["x-unknown"] = json!("newer");
    });
    let rebased = rebase(&ground, &[]).succeeds();
    bench.run(["validate", "oci:new"]).succeeds();
    let (manifest, config) = read(&bench.join("new"), "latest");
    assert_eq!(config["config"]["Env"], json!(["PATH=/newer/bin", "KEEP=mine", "NEW=1", "MINE=2"]));
    assert_eq!((&config["x-unknown"], &config["config"]["Healthcheck"]), (&json!("newer"), &Value::Null));
    let (below, _) = read(&ground.layout, "v2");
    assert_eq!(digests(&manifest)[..2], digests(&below));
    // A build on that base gives the same image to the byte.
    let onto = format!("oci:{}:v2", ground.layout.display());
    let words = ["build", "./hello", "--env", "MINE=2", "--env", "KEEP=mine", "--base", &onto, "--output", "oci:built"];
    let built = bench.run(words).succeeds();
    let digest = |text: &str| text.trim_end().rsplit('@').next().unwrap().to_owned();
    assert_eq!(digest(&rebased), digest(&built));
    // Its plan goes with it.
    bench.run(["why", "oci:new", "/app/hello"]).succeeds();
    if let Some(runner) = Runner::find() {
        let bundle = runner.unpack(&bench.join("new"), "latest", bench.path());
        assert_eq!(bundle.does(&Setup::default()), "hello, of a newer base\n");
    }
}

#[test]
fn a_base_on_which_the_image_would_not_work_is_refused() {
    let without_libc = |tree: &Sysroot| {
        let libc = tree.path.join("usr/lib/x86_64-linux-gnu/libc.so.6");
        std::fs::remove_file(libc).unwrap();
    };
    let Some(ground) = two_bases(without_libc) else { return };
    let refused = rebase(&ground, &[]);
    assert_eq!(refused.code(), Some(1));
    assert!(refused.stderr().contains("L001") && refused.stderr().contains("libc.so.6"), "{}", refused.stderr());
    assert!(!ground.bench.join("new").exists());

    let Some(ground) = two_bases(|tree| tree.link("app", "srv")) else { return };
    let refused = rebase(&ground, &[]);
    assert_eq!(refused.code(), Some(1));
    let text = "error: `/app` cannot lie on the new base as it is: there `/app` is a link";
    assert!(refused.stderr().starts_with(text), "{}", refused.stderr());

    let (old, other) = (format!("oci:{}:v1", ground.layout.display()), format!("oci:{}:v2", ground.layout.display()));
    let unsaid = ground.bench.run(["rebase", "oci:out", "oci:new", "--onto", &old]);
    assert!(unsaid.stderr().contains("does not say which base"), "{}", unsaid.stderr());
    let wrong = ground.bench.run(["rebase", "oci:out", "oci:new", "--onto", &old, "--from", &other]);
    assert!(wrong.stderr().contains("do not begin with those of the base"), "{}", wrong.stderr());
}

#[test]
fn rebasing_in_a_registry_finds_the_old_base_by_its_annotations() {
    let Some(ground) = ground() else { return };
    let bench = &ground.bench;
    let (server, seen) = registry();
    let host = server.addr().to_string();
    ground.tree.file("etc/motd", "of a newer base\n");
    ground.again("v2");
    let (base, tag) = (format!("{host}/bases/web"), format!("{host}/apps/hello:v1"));
    for version in ["v1", "v2"] {
        let from = format!("oci:{}:{version}", ground.layout.display());
        bench.run(["copy", &from, &format!("{base}:{version}")]).succeeds();
    }
    bench.run(["build", "./hello", "--base", &format!("{base}:v1"), "--tag", &tag, "--push", "--no-cache"]).succeeds();
    let start = seen.seen().len();
    let run = bench.run(["rebase", &tag, "--onto", &format!("{base}:v2"), "--format", "json"]).succeeds();
    let told: Value = serde_json::from_str(&run).unwrap();
    assert_eq!((&told["layersCarried"], &told["layersOfBase"]), (&json!(1), &json!(2)));
    let requests = seen.seen().split_off(start);
    let (below, _) = read(&ground.layout, "v2");
    let mounted = requests.iter().filter(|r| r.target.contains("mount=") && r.status == Some(201)).count();
    let sent = |digest: &String| requests.iter().any(|r| r.kind == RequestKind::UploadPut && r.target.contains(digest));
    assert!(mounted > 0 && !digests(&below).iter().any(sent), "{requests:#?}");
    bench.run(["validate", &tag]).succeeds();
    if let Some(crane) = peers::find("crane") {
        // crane finds the same base, and its rebase back gives the first layers again.
        let manifest = base::run(Command::new(&crane).args(["manifest", &tag]));
        let manifest: Value = serde_json::from_str(&manifest).unwrap();
        assert_eq!(manifest["annotations"]["org.opencontainers.image.base.name"], format!("{base}:v2"));
        base::run(Command::new(&crane).args([
            "rebase",
            &tag,
            "--new_base",
            &format!("{base}:v1"),
            "-t",
            &format!("{tag}-back"),
        ]));
        // crane describes it by Docker's types and the layers by OCI's, so their digests are compared alone.
        let back = base::run(Command::new(&crane).args(["manifest", &format!("{tag}-back")]));
        let (first, _) = read(&ground.layout, "v1");
        let back = digests(&serde_json::from_str(&back).unwrap());
        assert_eq!((&back[..2], back.last()), (&digests(&first)[..], digests(&manifest).last()));
    }
}
