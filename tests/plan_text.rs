//! The text and JSON forms of a plan, and the differences of two.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use coracle::blob::BytesSource;
use coracle::diag::Evidence;
use coracle::oci::Platform;
use coracle::plan::{self, AddSpec, FileCap, ImageOptions, PackageOwner, Plan, PlanRequest, PlanView, Program};
use coracle::rootfs::walk::{Excludes, Special};

#[path = "support/snapshot.rs"]
mod snapshot;

fn program(name: &str) -> Program {
    Program {
        name: name.to_owned(),
        origin: format!("/home/me/{name}"),
        platform: Platform::linux("arm").with_variant("v7"),
        size: 3,
        source: Arc::new(BytesSource::new(*b"ELF")),
        special: Special::default(),
        place: None,
        called: None,
        requirements: Vec::new(),
    }
}

/// A plan with every kind of entry and setting.
fn rich(dir: &tempfile::TempDir) -> PlanRequest {
    let tree = dir.path().join("tree");
    std::fs::create_dir_all(tree.join("a dir")).unwrap();
    std::fs::write(tree.join("a dir/x=1"), "x").unwrap();
    std::fs::write(tree.join(OsStr::from_bytes(b"\xff\\x20")), "y").unwrap();
    std::os::unix::fs::symlink("a dir/x=1", tree.join("link")).unwrap();
    let pair = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    let mut request = PlanRequest::of(program("hello"));
    request.programs.push(program("tool"));
    request.name = "an image".to_owned();
    request.adds.push(AddSpec::new(tree, b"/srv").unwrap().read(&Excludes::default()).unwrap());
    request.options = ImageOptions {
        env: pair("GREETING", "hällo \"you\"\n"),
        user: Some("1000".to_owned()),
        ports: vec!["8080".to_owned()],
        labels: pair("a label", "x"),
        annotations: pair("org.opencontainers.image.title", "Hello, world"),
        writable: vec!["/tmp".to_owned()],
        passwd: true,
        file_caps: vec![FileCap::parse("/app/hello=cap_net_bind_service+ep").unwrap()],
        ..ImageOptions::default()
    };
    request
}

fn plan_of(request: &PlanRequest) -> Plan {
    plan::build(request).unwrap().0
}

fn rich_plan() -> Plan {
    let dir = tempfile::tempdir().unwrap();
    let mut plan = plan_of(&rich(&dir));
    // What later rules fill in.
    let entry = plan.layers[1].entries.last_mut().unwrap();
    entry.owner = Some(PackageOwner { name: "a|b".into(), version: "1:2 3".into(), architecture: "arm".into() });
    entry.reason.evidence.push(Evidence::new("PT_INTERP", "/lib/ld |x"));
    plan
}

#[test]
fn the_text_of_a_plan_is_the_committed_one() {
    snapshot::check("testdata/plans/minimal.txt", &plan_of(&PlanRequest::of(program("hello"))).to_text().unwrap());
    snapshot::check("testdata/plans/rich.txt", &rich_plan().to_text().unwrap());
}

#[test]
fn the_json_of_a_plan_is_the_committed_one() {
    let json = serde_json::to_string_pretty(&PlanView::of(&rich_plan()).unwrap()).unwrap();
    snapshot::check("testdata/plans/rich.json", &(json.clone() + "\n"));
    let back: PlanView = serde_json::from_str(&json).unwrap();
    assert_eq!(back, PlanView::of(&rich_plan()).unwrap());
}

#[test]
fn the_text_reads_back_as_the_same_plan() {
    let view = PlanView::of(&rich_plan()).unwrap();
    let text = view.to_text().unwrap();
    let back = PlanView::parse(text.as_bytes()).unwrap();
    assert_eq!(back, view);
    assert_eq!(back.to_text().unwrap(), text);
    assert_eq!(plan::diff(&view, &back), []);
    assert!(!text.contains("/home/me") && !text.contains("tree"), "a path of this machine stands in:\n{text}");
}

#[test]
fn a_text_that_is_no_plan_is_refused_with_its_line() {
    let head = "coracle plan 1\nname x\nplatform linux/amd64\ncreated 0\nencoder gz1\n";
    let reason = "rule=a by=b confidence=proven";
    for (text, want) in [
        (String::new(), "line 0 of the plan's text is not valid: the last line has no end"),
        ("coracle plan 2\n".to_owned(), "line 1 of the plan's text is not valid: expected `coracle plan 1`"),
        ("coracle plan 1\nname x\n".to_owned(), "line 2 of the plan's text is not valid: there is no `platform` line"),
        (format!("{head}name y\n"), "line 6 of the plan's text is not valid: the line stands there twice"),
        (format!("{head}what x\n"), "line 6 of the plan's text is not valid: the first word is not known"),
        (
            format!("{head}config User\n"),
            "line 6 of the plan's text is not valid: expected a name, a space and a JSON value",
        ),
        (format!("{head}config User x\n"), "line 6 of the plan's text is not valid: the value is not JSON"),
        (
            format!("{head}config User \"a\"\nconfig User \"a\"\n"),
            "line 7 of the plan's text is not valid: the name stands there twice",
        ),
        (format!("{head}config User 1\n"), "line 6 of the plan's text is not valid: the config has a wrong type"),
        (
            format!("{head}dir 0755 0:0 /a {reason}\n"),
            "line 6 of the plan's text is not valid: an entry stands before any layer",
        ),
        (
            format!("{head}layer a\ndir 755 0:0 /a {reason}\n"),
            "line 7 of the plan's text is not valid: the mode is not four octal digits",
        ),
        (
            format!("{head}layer a\ndir 0755 0 /a {reason}\n"),
            "line 7 of the plan's text is not valid: expected `uid:gid`",
        ),
        (
            format!("{head}layer a\ndir 0755 0:0 a {reason}\n"),
            "line 7 of the plan's text is not valid: the path is not an absolute path",
        ),
        (
            format!("{head}layer a\ndir 0755 0:0 /a\\xg0 {reason}\n"),
            "line 7 of the plan's text is not valid: the path is not an absolute path",
        ),
        (
            format!("{head}layer a\ndir 0755 0:0 /a\n"),
            "line 7 of the plan's text is not valid: the entry has no reason",
        ),
        (
            format!("{head}layer a\nfile 0755 0:0 /a {reason}\n"),
            "line 7 of the plan's text is not valid: the file has no size",
        ),
        (
            format!("{head}layer a\nlink 0777 0:0 /a {reason}\n"),
            "line 7 of the plan's text is not valid: the link has no target",
        ),
        (
            format!("{head}layer a\nfile 0755 0:0 /a size=1 digest=sha256:x {reason}\n"),
            "line 7 of the plan's text is not valid: an attribute of the entry cannot be read",
        ),
        (
            format!("{head}layer é\n"),
            "line 6 of the plan's text is not valid: it has a word that is not escaped as it should be",
        ),
    ] {
        assert_eq!(PlanView::parse(text.as_bytes()).unwrap_err().to_string(), want, "{text}");
    }
    let large = vec![b'x'; (16 << 20) + 1];
    assert_eq!(
        PlanView::parse(&large).unwrap_err().to_string(),
        "the plan's text has 16777217 bytes, more than the limit of 16777216"
    );
}

#[test]
fn a_damaged_text_never_panics_and_never_reads_as_the_whole() {
    let whole = rich_plan().to_text().unwrap();
    let view = PlanView::parse(whole.as_bytes()).unwrap();
    for end in 0..whole.len() {
        assert_ne!(PlanView::parse(&whole.as_bytes()[..end]).ok().as_ref(), Some(&view), "cut at {end}");
    }
    let mut bytes = whole.into_bytes();
    for at in 0..bytes.len() {
        let good = bytes[at];
        for bad in [b' ', b'\n', b'\\', b'|', b'=', 0xff] {
            bytes[at] = bad;
            // Either it is refused, or it is another plan, whose text reads back as itself.
            if let Ok(other) = PlanView::parse(&bytes) {
                assert!(bad == good || other != view, "byte {at} is {bad}");
                assert_eq!(PlanView::parse(other.to_text().unwrap().as_bytes()).unwrap(), other);
            }
        }
        bytes[at] = good;
    }
}

#[test]
fn differences_are_named_one_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut request = rich(&dir);
    let left = PlanView::of(&plan_of(&request)).unwrap();
    request.options.env = BTreeMap::from([("LANG".to_owned(), "C".to_owned())]);
    request.options.user = Some("1001".to_owned());
    request.options.writable = vec!["/data".to_owned()];
    request.options.annotations.clear();
    request.options.file_caps.clear();
    request.programs[0].size = 4;
    request.programs.pop();
    request.created = 1_700_000_000;
    request.encoder = "zst1".parse().unwrap();
    let right = PlanView::of(&plan_of(&request)).unwrap();
    let changes: Vec<String> = plan::diff(&left, &right).iter().map(ToString::to_string).collect();
    assert_eq!(
        changes,
        [
            "+ annotations.org.opencontainers.image.created: 2023-11-14T22:13:20Z",
            "- annotations.org.opencontainers.image.title: Hello, world",
            "- config.Env.GREETING: hällo \"you\"\\n",
            "+ config.Env.LANG: C",
            "~ config.User: 1000:1000 -> 1001:1001",
            "~ created: 0 -> 1700000000",
            "~ encoder: gz1 -> zst1",
            "+ layer files: /data: dir 0755 1001:1001 (user:writable, needed by writable:/data)",
            "~ layer files: /etc/group: digest: \
             sha256:2ba41d9abe1bbe6fc3fc57a829298ec084012cb0d613e853c103a02167528cb1 -> \
             sha256:505441a8841bb96845dcfe0c3f658e47101e32a6853395c58dfa465327b84d0a",
            "~ layer files: /etc/group: line 6: app:x:1000: -> app:x:1001:",
            "~ layer files: /etc/passwd: digest: \
             sha256:b34125eeab253735a57ac2e3a6e9f4fd1e5bc0d13e5bcc6f443eb4e232555995 -> \
             sha256:52a8988c9df7acfe474f9283dd455eaad5e505a8ddf760b9a8ad2f6de9871f84",
            "~ layer files: /etc/passwd: line 4: app:x:1000:1000:app:/:/sbin/nologin -> app:x:1001:1001:app:/:/sbin/nologin",
            "- layer files: /tmp: dir 1777 0:0 (user:writable, needed by writable:/tmp)",
            "~ layer app: /app/hello: size: 3 -> 4",
            "- layer app: /app/hello: xattr security.capability: 0100000200040000000000000000000000000000",
            "- layer app: /app/tool: file 0555 0:0, 3 bytes (program, needed by program:tool)",
        ]
    );
}
