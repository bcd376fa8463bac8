//! What `plan::build` decides and what it refuses.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use coracle::analyze::{Confidence, Level, Reason, Requirement, Subject};
use coracle::blob::BytesSource;
use coracle::diag::Evidence;
use coracle::oci::{ImagePath, Platform};
use coracle::plan::{self, AddSpec, Entry, EntryKind, FileCap, ImageOptions, Plan, PlanRequest, Program};
use coracle::rootfs::walk::{Excludes, Special};

fn program(name: &str) -> Program {
    Program {
        name: name.to_owned(),
        origin: format!("out/{name}"),
        platform: Platform::linux("amd64"),
        size: 3,
        source: Arc::new(BytesSource::new(*b"ELF")),
        special: Special::default(),
        place: None,
        called: None,
        requirements: Vec::new(),
    }
}

fn request() -> PlanRequest {
    PlanRequest::of(program("hello"))
}

fn with(options: ImageOptions) -> PlanRequest {
    PlanRequest { options, ..request() }
}

fn adding(src: &Path, dst: &str) -> PlanRequest {
    let mut request = request();
    let spec = AddSpec::new(src, dst.as_bytes()).unwrap();
    request.adds.push(spec.read(&Excludes::default()).unwrap());
    request
}

/// One line per entry and layer.
fn lines(plan: &Plan) -> Vec<String> {
    let line = |layer: &str, entry: &Entry| {
        let kind = match &entry.kind {
            EntryKind::Directory => "dir".to_owned(),
            EntryKind::File(content) => format!("file({})", content.size),
            EntryKind::Symlink(target) => format!("link({})", String::from_utf8_lossy(target)),
        };
        format!("{layer}: {} {kind} {:04o} {}:{}", entry.path, entry.mode, entry.uid, entry.gid)
    };
    plan.layers.iter().flat_map(|layer| layer.entries.iter().map(|entry| line(&layer.name, entry))).collect()
}

fn built(request: &PlanRequest) -> (Plan, Vec<String>) {
    let (plan, found) = plan::build(request).unwrap();
    (plan, found.iter().map(ToString::to_string).collect())
}

fn refused(request: &PlanRequest) -> String {
    plan::build(request).unwrap_err().to_string()
}

#[test]
fn a_program_alone_gets_the_defaults() {
    let (plan, found) = built(&request());
    assert_eq!(lines(&plan), ["app: /app dir 0755 0:0", "app: /app/hello file(3) 0555 0:0"]);
    assert_eq!(
        serde_json::to_value(&plan.config).unwrap(),
        serde_json::json!({
            "User": "65532:65532",
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Entrypoint": ["/app/hello"],
            "WorkingDir": "/",
        })
    );
    assert_eq!(found, [""; 0]);
    assert!(plan.annotations.is_empty());
}

#[test]
fn settings_are_checked_and_brought_into_one_form() {
    let text = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    };
    let (plan, found) = built(&with(ImageOptions {
        env: text(&[("Z", "1"), ("PATH", "/app"), ("A", "x=y")]),
        user: Some("nonroot".into()),
        workdir: Some("/data//x/".into()),
        cmd: Some(vec!["--serve".into()]),
        ports: vec!["8080".into(), "53/udp".into()],
        labels: text(&[("a", "b")]),
        volumes: vec!["/data/x".into()],
        writable: vec!["/data".into(), "/tmp".into()],
        stop_signal: Some("int".into()),
        ..ImageOptions::default()
    }));
    assert_eq!(
        serde_json::to_value(&plan.config).unwrap(),
        serde_json::json!({
            "User": "65532:65532",
            "ExposedPorts": {"53/udp": {}, "8080/tcp": {}},
            "Env": ["A=x=y", "PATH=/app", "Z=1"],
            "Entrypoint": ["/app/hello"],
            "Cmd": ["--serve"],
            "Volumes": {"/data/x": {}},
            "WorkingDir": "/data/x",
            "Labels": {"a": "b"},
            "StopSignal": "SIGINT",
        })
    );
    assert_eq!(
        lines(&plan),
        [
            "files: /data dir 0755 65532:65532",
            "files: /data/x dir 0755 0:0",
            "files: /tmp dir 1777 0:0",
            "app: /app dir 0755 0:0",
            "app: /app/hello file(3) 0555 0:0",
        ]
    );
    assert_eq!(
        found,
        ["note[P005]: `nonroot`: the user is written as `65532:65532`\n  \
          hint: `runAsNonRoot` of Kubernetes takes numbers only"]
    );
}

#[test]
fn an_arbitrary_uid_can_write_through_group_0() {
    let options = ImageOptions { openshift: true, writable: vec!["/data".into()], ..ImageOptions::default() };
    let (plan, _) = built(&with(options));
    assert_eq!(lines(&plan)[0], "files: /data dir 0775 65532:0");
    assert_eq!(plan.config.user.as_deref(), Some("65532:0"));
}

#[test]
fn bad_settings_are_refused_by_name() {
    let text = |s: &str| Some(s.to_owned());
    let list = |s: &str| vec![s.to_owned()];
    let env = |name: &str| BTreeMap::from([(name.to_owned(), "x".to_owned())]);
    let default = ImageOptions::default;
    for (options, want) in [
        (
            ImageOptions { user: text("www-data"), ..default() },
            "`www-data` cannot be the user: expected a number from 0 to 4294967294, or `root`, `nobody` or `nonroot`; \
             other names fail `runAsNonRoot` and cannot be looked up in the image",
        ),
        (
            ImageOptions { user: text("1:x"), ..default() },
            "`1:x` cannot be the user: the group is not a number from 0 to 4294967294",
        ),
        (ImageOptions { env: env(""), ..default() }, "`` cannot be an environment variable: it has no name"),
        (
            ImageOptions { env: env("A=B"), ..default() },
            "`A=B` cannot be an environment variable: its name has a `=` or a NUL byte",
        ),
        (
            ImageOptions { workdir: text("data"), ..default() },
            "`data` cannot be the working directory: it does not begin with `/`",
        ),
        (
            ImageOptions { workdir: text("/app/hello"), ..default() },
            "`/app/hello` is a directory for the working directory `/app/hello`, but a file or link for the program `out/hello`",
        ),
        (ImageOptions { entrypoint: Some(vec![]), ..default() }, "the entrypoint cannot be used: it names no program"),
        (ImageOptions { ports: list("0"), ..default() }, "`0` is not a port: expected a number from 1 to 65535"),
        (
            ImageOptions { ports: list("80/http"), ..default() },
            "`80/http` is not a port: the protocol is `tcp`, `udp` or `sctp`",
        ),
        (ImageOptions { volumes: list("/"), ..default() }, "`/` cannot be the volume: it is the root directory"),
        (
            ImageOptions { writable: list("/a/../b"), ..default() },
            "`/a/../b` cannot be the writable directory: it has a `..` component",
        ),
        (
            ImageOptions { stop_signal: text("SIGSTAB"), ..default() },
            "`SIGSTAB` is not a signal: expected a name such as `SIGTERM` or a number from 1 to 64",
        ),
        (ImageOptions { labels: env(""), ..default() }, "`` cannot be the key of a label: it is empty"),
        (
            ImageOptions { annotations: env("a\n"), ..default() },
            "`a\n` cannot be the key of an annotation: it has a control character",
        ),
        (
            ImageOptions { file_caps: vec![FileCap::new("/x", "cap_chown+p").unwrap()], ..default() },
            "`/x` cannot have file capabilities: it is not in the image",
        ),
        (
            ImageOptions { file_caps: vec![FileCap::new("/app", "cap_chown+p").unwrap()], ..default() },
            "`/app` cannot have file capabilities: it is not a regular file",
        ),
    ] {
        assert_eq!(refused(&with(options)), want);
    }
}

#[test]
fn programs_share_an_image_unless_they_collide() {
    let mut request = request();
    request.programs.push(program("tool"));
    let (plan, _) = built(&request);
    assert_eq!(lines(&plan).last().unwrap(), "app: /app/tool file(3) 0555 0:0");
    assert_eq!(plan.config.entrypoint.unwrap(), ["/app/hello"]);

    request.programs.push(Program { origin: "other/tool".into(), ..program("tool") });
    assert_eq!(refused(&request), "the program `out/tool` and the program `other/tool` both land on `/app/tool`");

    request.programs[2] = Program { platform: Platform::linux("arm64"), ..program("x") };
    assert_eq!(refused(&request), "the program `out/x` is made for linux/arm64, but the image is for linux/amd64");

    request.programs = vec![program("a/b")];
    assert_eq!(refused(&request), "`a/b` cannot be the name of a program: it has a `/`");
    request.programs.clear();
    assert_eq!(refused(&request), "there is no program to put into the image");
}

#[test]
fn modes_and_owners_of_the_machine_do_not_matter() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    std::fs::create_dir_all(tree.join("sub/empty")).unwrap();
    for (name, mode) in [("sub/run", 0o4700), ("sub/data", 0o600), ("a-b", 0o666)] {
        std::fs::write(tree.join(name), name).unwrap();
        std::fs::set_permissions(tree.join(name), PermissionsExt::from_mode(mode)).unwrap();
    }
    std::fs::hard_link(tree.join("a-b"), tree.join("again")).unwrap();
    symlink("sub/data", tree.join("link")).unwrap();
    std::fs::set_permissions(tree.join("sub"), PermissionsExt::from_mode(0o2700)).unwrap();
    let (plan, found) = built(&adding(&tree, "/srv"));
    assert_eq!(
        lines(&plan)[..8],
        [
            "files: /srv dir 0755 0:0",
            "files: /srv/a-b file(3) 0644 0:0",
            "files: /srv/again file(3) 0644 0:0",
            "files: /srv/link link(sub/data) 0777 0:0",
            "files: /srv/sub dir 0755 0:0",
            "files: /srv/sub/data file(8) 0644 0:0",
            "files: /srv/sub/empty dir 0755 0:0",
            "files: /srv/sub/run file(7) 0755 0:0",
        ]
    );
    assert_eq!(
        found,
        [
            "warning[P001]: `add /srv`: setuid, setgid and sticky bits are not taken over\n  path: srv/sub\n  path: srv/sub/run"
        ]
    );
}

#[test]
fn a_file_lands_on_its_destination_or_below_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("app.conf");
    std::fs::write(&file, "x").unwrap();
    for (dst, want) in [("/etc/x", "/etc/x"), ("/etc/", "/etc/app.conf"), ("/", "/app.conf")] {
        let (plan, _) = built(&adding(&file, dst));
        assert_eq!(plan.layers[0].entries.last().unwrap().path, ImagePath::parse(want).unwrap());
    }
}

#[test]
fn what_the_analysis_asks_for_is_made_or_told() {
    let mut request = request();
    let needed = |path: &str| {
        let mut reason = Reason::new("static-glibc-nss", "PATH", Confidence::Derived);
        reason.evidence.push(Evidence::new("string", "libnss_"));
        Requirement::included(Subject::File(path.to_owned()), Level::Recommended, reason)
    };
    request.programs[0].requirements = vec![needed("/etc/nsswitch.conf"), needed("/etc/services")];
    let (plan, found) = built(&request);
    assert_eq!(lines(&plan)[..2], ["files: /etc dir 0755 0:0", "files: /etc/nsswitch.conf file(44) 0644 0:0"]);
    assert_eq!(plan.layers[0].entries[1].reason.needed_by, "program:hello");
    assert_eq!(
        found,
        ["warning[P012]: `out/hello`: the program needs `/etc/services`, which is not in the image\n  \
          string: libnss_\n  hint: add it with `--add SRC:/etc/services`"]
    );

    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("own"), "x").unwrap();
    request.adds = adding(&dir.path().join("own"), "/etc/nsswitch.conf").adds;
    let (plan, _) = built(&request);
    assert_eq!(lines(&plan)[1], "files: /etc/nsswitch.conf file(1) 0644 0:0");
}
