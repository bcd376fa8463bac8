//! `coracle.yaml`: what it takes, what it refuses and in which words, and its schema.

use std::path::{Path, PathBuf};

use coracle::config::{self, Settings};
use coracle::plan::EncoderId;

#[path = "support/snapshot.rs"]
mod snapshot;

/// A directory with a config file in it.
struct Case(tempfile::TempDir);

impl Case {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, yaml: &str) -> Result<Settings, String> {
        let file = self.path("coracle.yaml");
        std::fs::write(&file, yaml).unwrap();
        let settings = config::load(&file).and_then(|parsed| parsed.resolve(&file));
        if let Err(error) = &settings {
            // What is already said must not be said again as a cause.
            assert!(std::error::Error::source(error).is_none(), "{error}");
        }
        settings.map_err(|error| error.to_string().replace(self.0.path().to_str().unwrap(), "DIR"))
    }
}

fn refused(yaml: &str) -> String {
    Case::new().read(yaml).unwrap_err()
}

fn needs_arrive(settings: &Settings) {
    let needs = &settings.needs;
    let texts: Vec<String> = needs.with.iter().chain(&needs.without).map(ToString::to_string).collect();
    assert_eq!((texts.join(" "), needs.strict), ("certs lib:libidn2.so.0 tzdata".to_owned(), true));
    assert_eq!(settings.base.as_ref().map(ToString::to_string).as_deref(), Some("registry.example/bases/web:v1"));
}

const EVERY_KEY: &str = r#"
name: web
programs:
  - bin/web
  - name: tool
    paths: {linux/x86_64: bin/tool-amd64, linux/arm64: bin/tool-arm64}
platforms: [linux/amd64, linux/arm64]
tags: [registry.example/team/web:1.0]
add:
  - etc/web.conf:/etc/web.conf:0640
  - {src: static, dst: /srv/, mode: 0444, uid: 10, gid: 20}
exclude: ["*.map"]
env: {PORT: 8080, DEBUG: false, EMPTY: ""}
user: 1000
workdir: /srv
entrypoint: [/app/web, --serve]
cmd: ["-v"]
ports: [8080, 53/udp]
labels: {build: 7}
annotations: {org.opencontainers.image.title: Web}
volumes: [/data]
writable: [/data, /tmp]
openshift: true
passwd: true
file_caps: {/app/web: cap_net_bind_service+ep}
with: [certs, 'lib:libidn2.so.0']
without: [tzdata]
strict: true
base: registry.example/bases/web:v1
compression: zstd
output: [oci:dist, archive:out/web.tar]
stop_signal: SIGINT
"#;

#[test]
fn every_key_arrives() {
    let case = Case::new();
    let settings = case.read(EVERY_KEY).unwrap();
    let options = &settings.options;
    assert_eq!(settings.name.as_deref(), Some("web"));
    assert_eq!(settings.programs[0].paths, [(None, case.path("bin/web"))]);
    let tool = &settings.programs[1];
    assert_eq!(tool.name.as_deref(), Some("tool"));
    let paths: Vec<(String, &Path)> =
        tool.paths.iter().map(|(platform, path)| (platform.clone().unwrap().to_string(), path.as_path())).collect();
    let (amd64, arm64) = (case.path("bin/tool-amd64"), case.path("bin/tool-arm64"));
    assert_eq!(paths, [("linux/amd64".to_owned(), amd64.as_path()), ("linux/arm64".to_owned(), arm64.as_path())]);
    assert_eq!(settings.platforms.len(), 2);
    assert_eq!(settings.tags[0].to_string(), "registry.example/team/web:1.0");
    assert_eq!((settings.adds[0].src.clone(), settings.adds[0].mode), (case.path("etc/web.conf"), Some(0o640)));
    let second = &settings.adds[1];
    assert_eq!((second.mode, second.uid, second.gid, second.into_directory), (Some(0o444), 10, 20, true));
    assert_eq!(settings.excludes, ["*.map"]);
    let env: Vec<_> = options.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(env, ["DEBUG=false", "EMPTY=", "PORT=8080"]);
    assert_eq!(options.user.as_deref(), Some("1000"));
    assert_eq!(options.workdir.as_deref(), Some("/srv"));
    assert_eq!(options.entrypoint.as_deref().unwrap(), ["/app/web", "--serve"]);
    assert_eq!(options.cmd.as_deref().unwrap(), ["-v"]);
    assert_eq!(options.ports, ["8080", "53/udp"]);
    assert_eq!(options.labels["build"], "7");
    assert_eq!(options.annotations["org.opencontainers.image.title"], "Web");
    assert_eq!((options.volumes.as_slice(), options.writable.len()), (["/data".to_owned()].as_slice(), 2));
    needs_arrive(&settings);
    assert!(options.openshift && options.passwd);
    assert_eq!(options.file_caps[0].capabilities.to_string(), "cap_net_bind_service=ep");
    assert_eq!(settings.encoder, Some(EncoderId::Zst1));
    let dir = case.0.path().display();
    let outputs: Vec<_> = settings.outputs.iter().map(|output| output.to_str().unwrap().to_owned()).collect();
    assert_eq!(outputs, [format!("oci:{dir}/dist"), format!("archive:{dir}/out/web.tar")]);
    assert_eq!(options.stop_signal.as_deref(), Some("SIGINT"));
}

#[test]
fn an_empty_file_has_all_defaults() {
    for yaml in ["", "# nothing\n", "---\n", "{}\n", "name:\n"] {
        assert_eq!(Case::new().read(yaml), Ok(Settings::default()), "{yaml:?}");
    }
}

#[test]
fn unknown_keys_suggest_the_nearest() {
    for (yaml, want) in [
        (
            "name: x\nentrypont: [/a]\n",
            "`DIR/coracle.yaml` line 2, column 1: unknown key `entrypont`; did you mean `entrypoint`?",
        ),
        (
            "add:\n  - {src: a, dst: /a, owner: 0}\n",
            "`DIR/coracle.yaml` line 2, column 23: unknown key `owner`; the keys here are `src`, `dst`, `mode`, `uid`, `gid`",
        ),
        (
            "programs:\n  - path: a\n    nam: b\n",
            "`DIR/coracle.yaml` line 3, column 5: unknown key `nam`; did you mean `name`?",
        ),
        ("Env: {}\n", "`DIR/coracle.yaml` line 1, column 1: unknown key `Env`; did you mean `env`?"),
        (
            "stop-signal: TERM\n",
            "`DIR/coracle.yaml` line 1, column 1: unknown key `stop-signal`; did you mean `stop_signal`?",
        ),
        (
            "ax: b\n",
            "`DIR/coracle.yaml` line 1, column 1: unknown key `ax`; the keys here are `name`, `programs`, `platforms`, `tags`, `add`, `exclude`, `env`, `user`, `workdir`, `entrypoint`, `cmd`, `ports`, `labels`, `annotations`, `volumes`, `writable`, `openshift`, `passwd`, `file_caps`, `base`, `with`, `without`, `strict`, `compression`, `output`, `stop_signal`",
        ),
    ] {
        assert_eq!(refused(yaml), want);
    }
}

#[test]
fn wrong_values_name_their_place() {
    for (yaml, want) in [
        ("[]\n", "`DIR/coracle.yaml` line 1, column 1: expected a table of `key: value`"),
        ("name: [a]\n", "`DIR/coracle.yaml` line 1, column 7: expected a text"),
        ("name: a\nname: b\n", "`DIR/coracle.yaml` line 2, column 1: the key `name` stands there twice"),
        ("env:\n", "`DIR/coracle.yaml` line 1, column 4: expected a table of `key: value`"),
        ("add:\n", "`DIR/coracle.yaml` line 1, column 4: expected a list"),
        ("env: [A=b]\n", "`DIR/coracle.yaml` line 1, column 6: expected a table of `key: value`"),
        ("openshift: maybe\n", "`DIR/coracle.yaml` line 1, column 12: expected `true` or `false`"),
        ("openshift: yes\n", "`DIR/coracle.yaml` line 1, column 12: expected `true` or `false`"),
        (
            "compression: xz\n",
            "`DIR/coracle.yaml` line 1, column 14: unknown variant `xz`, expected one of gzip, zstd, none",
        ),
        ("add:\n  - {dst: /a}\n", "`DIR/coracle.yaml` line 2, column 6: missing field `src`"),
        (
            "add:\n  - {src: a, dst: /a, uid: -1}\n",
            "`DIR/coracle.yaml` line 2, column 28: expected a number from 0 to 4294967294",
        ),
        ("add: [[a, b]]\n", "`DIR/coracle.yaml` line 1, column 7: invalid type: sequence, expected a text or a table"),
        ("name: \"a\n", "`DIR/coracle.yaml` line 1, column 7: unclosed quote"),
        ("name: a\n---\nname: b\n", "`DIR/coracle.yaml` line 2, column 1: there is more than one document"),
        ("name: *nobody\n", "`DIR/coracle.yaml` line 1, column 7: alias references unknown anchor"),
    ] {
        assert_eq!(refused(yaml), want);
    }
}

#[test]
fn values_the_planner_does_not_take_name_their_key() {
    for (yaml, want) in [
        ("add: [a]\n", "`DIR/coracle.yaml`, `add[0]`: `a` does not say what to add: expected `SRC:DST`"),
        (
            "add:\n  - {src: a, dst: b}\n",
            "`DIR/coracle.yaml`, `add[0]`: `b` cannot be the destination: it does not begin with `/`",
        ),
        (
            "add:\n  - {src: a, dst: /b, mode: 4755}\n",
            "`DIR/coracle.yaml`, `add[0]`: `4755` is not a file mode: setuid, setgid and sticky bits are not given to added files",
        ),
        ("add:\n  - {src: a, dst: /b, gid: 4294967295}\n", "`DIR/coracle.yaml`, `add[0]`: 4294967295 is no uid or gid"),
        (
            "platforms: [linux]\n",
            "`DIR/coracle.yaml`, `platforms[0]`: `linux` is not a platform: expected `os/arch` or `os/arch/variant`",
        ),
        (
            "tags: [\"x y\"]\n",
            "`DIR/coracle.yaml`, `tags[0]`: `x y` is not an image reference: each part of the repository is lower-case letters and digits, joined by `.`, `_`, `__` or dashes",
        ),
        (
            "file_caps: {/a: cap_everything+ep}\n",
            "`DIR/coracle.yaml`, `file_caps./a`: no capability is called `cap_everything`",
        ),
        ("programs: [{name: x}]\n", "`DIR/coracle.yaml`, `programs[0]`: there is no `path` and no `paths`"),
        (
            "programs: [{path: a, paths: {linux/amd64: b}}]\n",
            "`DIR/coracle.yaml`, `programs[0]`: `path` and `paths` exclude each other",
        ),
        (
            "programs: [{paths: {linux/amd64: a, linux/x86_64: b}}]\n",
            "`DIR/coracle.yaml`, `programs[0].paths.linux/x86_64`: the platform stands there twice, under two names",
        ),
        ("programs: [\"\"]\n", "`DIR/coracle.yaml`, `programs[0]`: the path is empty"),
        (
            "output: [\"docker-daemon:\"]\n",
            "`DIR/coracle.yaml`, `output[0]`: `docker-daemon:` is neither `oci:DIR` nor `archive:FILE`; other outputs are named by `--output`",
        ),
    ] {
        assert_eq!(refused(yaml), want);
    }
}

#[test]
fn nothing_outside_of_the_directory_can_be_named() {
    for (yaml, want) in [
        (
            "programs: [/bin/sh]\n",
            "`DIR/coracle.yaml`, `programs[0]`: `/bin/sh` is an absolute path; a config file names only what lies in its own directory",
        ),
        (
            "programs: [../x]\n",
            "`DIR/coracle.yaml`, `programs[0]`: `../x` has a `..`; a config file names only what lies in its own directory",
        ),
        (
            "programs: [{paths: {linux/amd64: a/../../x}}]\n",
            "`DIR/coracle.yaml`, `programs[0].paths.linux/amd64`: `a/../../x` has a `..`; a config file names only what lies in its own directory",
        ),
        (
            "add: [\"/etc:/etc\"]\n",
            "`DIR/coracle.yaml`, `add[0]`: `/etc` is an absolute path; a config file names only what lies in its own directory",
        ),
        (
            "add: [{src: .., dst: /x}]\n",
            "`DIR/coracle.yaml`, `add[0]`: `..` has a `..`; a config file names only what lies in its own directory",
        ),
        (
            "output: [oci:/tmp/x]\n",
            "`DIR/coracle.yaml`, `output[0]`: `/tmp/x` is an absolute path; a config file names only what lies in its own directory",
        ),
        (
            "programs: [away/sh]\n",
            "`DIR/coracle.yaml`, `programs[0]`: `away/sh` leads out through a symbolic link; a config file names only what lies in its own directory",
        ),
        (
            "output: [oci:away/new]\n",
            "`DIR/coracle.yaml`, `output[0]`: `away/new` leads out through a symbolic link; a config file names only what lies in its own directory",
        ),
    ] {
        let case = Case::new();
        std::os::unix::fs::symlink("/bin", case.path("away")).unwrap();
        assert_eq!(case.read(yaml).unwrap_err(), want);
    }
    let case = Case::new();
    std::fs::create_dir(case.path("real")).unwrap();
    std::os::unix::fs::symlink("real", case.path("within")).unwrap();
    assert_eq!(case.read("add: [\"within:/x\"]\n").unwrap().adds[0].src, case.path("within"));
}

#[test]
fn hostile_files_end_in_an_error() {
    // 40,000 items twice are more than 50,000 nodes once the alias is expanded; both lists are what their keys take.
    let grown = format!("exclude: &x [{}]\nports: *x\n", vec!["a"; 40_000].join(","));
    let bomb = "exclude: &a [x, x]\nports: &b [*a, *a]\nvolumes: [*b, *b]\n".to_owned();
    let deep = format!("name: {}{}\n", "[".repeat(10_000), "]".repeat(10_000));
    for (yaml, want) in [
        (
            grown,
            "`DIR/coracle.yaml` line 2, column 8: it is deeper, or with its aliases longer, than a config file may be",
        ),
        (bomb, "`DIR/coracle.yaml` line 2, column 12: expected a text"),
        (deep, "`DIR/coracle.yaml` line 1, column 7: expected a text"),
        (
            format!("name: {}\n", "x".repeat(300_000)),
            "`DIR/coracle.yaml` has 262145 bytes, more than the limit of 262144",
        ),
    ] {
        assert_eq!(refused(&yaml), want);
    }
    let case = Case::new();
    std::fs::write(case.path("coracle.yaml"), b"name: \xff\n").unwrap();
    let error = config::load(&case.path("coracle.yaml")).unwrap_err().to_string();
    assert_eq!(
        error.replace(case.0.path().to_str().unwrap(), "DIR"),
        "`DIR/coracle.yaml` line 1, column 1: input is not valid UTF-8"
    );
    assert_eq!(
        config::load(&case.path("none")).unwrap_err().to_string().replace(case.0.path().to_str().unwrap(), "DIR"),
        "cannot read `DIR/none`"
    );
}

#[test]
fn the_committed_schema_is_that_of_the_types() {
    snapshot::check("docs/coracle.schema.json", &config::schema());
}
