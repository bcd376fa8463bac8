//! Added files: how they are named, walked, excluded and refused.

#![expect(clippy::print_stdout, reason = "a skipped step says so")]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use coracle::blob::BytesSource;
use coracle::oci::Platform;
use coracle::plan::{self, AddSpec, FileCap, ImageOptions, PlanRequest, Program};
use coracle::rootfs::walk::{Excludes, Special};

/// A directory of this machine with a request that adds from it.
struct Case {
    dir: tempfile::TempDir,
    request: PlanRequest,
}

impl Case {
    fn new() -> Self {
        let request = PlanRequest::of(Program {
            name: "hello".into(),
            origin: "out/hello".into(),
            platform: Platform::linux("amd64"),
            size: 3,
            source: Arc::new(BytesSource::new(*b"ELF")),
            special: Special::default(),
            place: None,
            called: None,
            requirements: Vec::new(),
        });
        Self { dir: tempfile::tempdir().unwrap(), request }
    }

    fn path(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.dir.path().join(name.as_ref())
    }

    fn file(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "x").unwrap();
        self
    }

    fn link(&mut self, name: &str, target: &str) -> &mut Self {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        symlink(target, self.path(name)).unwrap();
        self
    }

    /// Adds `SRC:…`, where SRC lies in the case's directory.
    fn add(&mut self, spec: &str) -> &mut Self {
        let mut text = OsString::from(self.dir.path());
        text.push("/");
        text.push(spec);
        let excludes = Excludes::parse(&self.request.excludes).unwrap();
        self.request.adds.push(AddSpec::parse(&text).unwrap().read(&excludes).unwrap());
        self
    }

    /// Paths, modes and owners of the lower layer, and the findings.
    fn built(&self) -> (Vec<String>, Vec<String>) {
        let (plan, found) = plan::build(&self.request).unwrap();
        let lines = plan.layers[0].entries.iter().map(|e| format!("{} {:04o} {}:{}", e.path, e.mode, e.uid, e.gid));
        (lines.collect(), found.iter().map(ToString::to_string).collect())
    }

    /// The error, with the case's directory shown as `DIR`.
    fn refused(&self) -> String {
        let error = plan::build(&self.request).unwrap_err().to_string();
        error.replace(self.dir.path().to_str().unwrap(), "DIR")
    }
}

fn parsed(text: &str) -> Result<AddSpec, String> {
    AddSpec::parse(OsStr::new(text)).map_err(|e| e.to_string())
}

#[test]
fn the_short_form_names_mode_and_owner() {
    let full = parsed(r"a\:b\\c:/x\:y:0640:10:20").unwrap();
    assert_eq!((full.src.as_path(), full.dst.to_string().as_str()), (Path::new(r"a:b\c"), "/x:y"));
    assert_eq!((full.mode, full.uid, full.gid), (Some(0o640), 10, 20));
    let short = parsed("a:/x").unwrap();
    assert_eq!((short.mode, short.uid, short.gid, short.into_directory), (None, 0, 0, false));
}

#[test]
fn the_short_form_says_what_is_wrong() {
    for (text, want) in [
        ("a", "`a` does not say what to add: expected `SRC:DST`"),
        (":/x", "`:/x` does not say what to add: the source is empty"),
        ("a:x", "`x` cannot be the destination: it does not begin with `/`"),
        ("a:/x/../y", "`/x/../y` cannot be the destination: it has a `..` component"),
        ("a:/x:64", "`64` is not a file mode: expected three or four octal digits such as `0644`"),
        ("a:/x:4755", "`4755` is not a file mode: setuid, setgid and sticky bits are not given to added files"),
        ("a:/x:644:1", "`a:/x:644:1` does not say what to add: a uid needs a gid: `SRC:DST:MODE:UID:GID`"),
        ("a:/x:644:u:1", "`a:/x:644:u:1` does not say what to add: the uid is not a number from 0 to 4294967294"),
        (
            "a:/x:644:1:4294967295",
            "`a:/x:644:1:4294967295` does not say what to add: the gid is not a number from 0 to 4294967294",
        ),
        (
            "a:b:c:d:e:f",
            r"`a:b:c:d:e:f` does not say what to add: expected `SRC:DST[:MODE[:UID:GID]]`; a `:` in a path is written `\:`",
        ),
    ] {
        assert_eq!(parsed(text).unwrap_err(), want);
    }
}

#[test]
fn a_given_mode_lets_directories_be_entered() {
    let mut case = Case::new();
    case.file("tree/sub/x").add("tree:/srv:0640:10:20");
    let want = ["/srv 0750 10:20", "/srv/sub 0750 10:20", "/srv/sub/x 0640 10:20"];
    assert_eq!(case.built().0, want);
}

#[test]
fn excludes_work_as_in_gitignore() {
    for (patterns, want) in [
        (vec!["*.o"], "/t /t/a /t/a/keep /t/a/tmp /t/a/tmp/x /t/tmp"),
        (vec!["tmp"], "/t /t/a /t/a/b.o /t/a/keep /t/b.o"),
        (vec!["tmp/"], "/t /t/a /t/a/b.o /t/a/keep /t/b.o /t/tmp"),
        (vec!["/tmp", "a/*.o"], "/t /t/a /t/a/keep /t/a/tmp /t/a/tmp/x /t/b.o"),
        (vec!["a/**"], "/t /t/a /t/b.o /t/tmp"),
        (vec!["{a,b}*"], "/t /t/tmp"),
    ] {
        let mut case = Case::new();
        case.file("t/b.o").file("t/a/b.o").file("t/a/keep").file("t/a/tmp/x").file("t/tmp");
        case.request.excludes = patterns.iter().map(|p| (*p).to_owned()).collect();
        case.add("t:/t");
        let (lines, found) = case.built();
        let paths: Vec<&str> = lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(paths.join(" "), want, "{patterns:?}");
        assert_eq!(found, [""; 0]);
    }
    let mut case = Case::new();
    case.request.excludes = vec!["*.tmp".into()];
    case.file("t/a").add("t:/t");
    assert_eq!(case.built().1, ["warning[P008]: `*.tmp`: the exclude pattern matched nothing"]);
    for (pattern, want) in [
        ("[", "`[` is not a pattern for paths: unclosed character class; missing ']'"),
        ("/", "`/` is not a pattern for paths: it is empty"),
    ] {
        assert_eq!(Excludes::parse(&[pattern]).unwrap_err().to_string(), want);
    }
    let many = vec!["a"; 1025];
    assert_eq!(
        Excludes::parse(&many).unwrap_err().to_string(),
        "1025 exclude patterns are more than the limit of 1024"
    );
}

#[test]
fn one_path_has_one_source() {
    let mut case = Case::new();
    case.file("a").file("b").add("a:/etc/x").add("b:/etc/x");
    assert_eq!(case.refused(), "`DIR/a` and `DIR/b` both land on `/etc/x`");

    let mut case = Case::new();
    case.file("a").add("a:/app/hello");
    assert_eq!(case.refused(), "the program `out/hello` and `DIR/a` both land on `/app/hello`");

    let mut case = Case::new();
    case.file("tree/x").file("b").add("tree:/etc").add("b:/etc");
    assert_eq!(case.refused(), "`/etc` is a directory for `DIR/tree`, but a file or link for `DIR/b`");

    let mut case = Case::new();
    case.file("a").file("b").add("a:/etc/x").add("b:/etc/x/y");
    assert_eq!(case.refused(), "`DIR/b` lands on `/etc/x/y`, but `DIR/a` makes `/etc/x` a file or link");

    let mut case = Case::new();
    case.file("s/x").file("t/y").add("s:/etc:0640").add("t:/etc");
    assert_eq!(case.refused(), "`DIR/s` and `DIR/t` want different owners or permissions for the directory `/etc`");

    let mut case = Case::new();
    case.file("t/.wh.x").add("t:/etc");
    assert_eq!(
        case.refused(),
        "`DIR/t/.wh.x` lands on `/etc/.wh.x`; names that begin with `.wh.` mean deletions in a layer"
    );
}

#[test]
fn directories_of_two_sources_are_joined() {
    let mut case = Case::new();
    case.file("s/x").file("t/y").add("s:/srv").add("t:/srv");
    case.request.options.writable = vec!["/srv".into()];
    assert_eq!(case.built().0, ["/srv 0755 65532:65532", "/srv/x 0644 0:0", "/srv/y 0644 0:0"]);
}

#[test]
fn the_order_of_additions_does_not_matter() {
    let text = |specs: &mut dyn Iterator<Item = &&str>| {
        let mut case = Case::new();
        case.file("s/sub/x").file("t/y").file("u");
        for spec in specs {
            case.add(spec);
        }
        plan::build(&case.request).unwrap().0.to_text().unwrap()
    };
    let specs = ["s:/srv", "t:/srv/sub", "u:/srv/"];
    assert_eq!(text(&mut specs.iter()), text(&mut specs.iter().rev()));
}

#[test]
fn links_that_leave_are_refused_and_dangling_ones_told() {
    for (name, target, want) in [
        ("t/a/l", "../x", Ok(0)),
        ("t/a/l", "/srv/x", Ok(0)),
        ("t/a/l", "/app/hello", Ok(0)),
        ("t/a/l", "/dev/stdout", Ok(0)),
        ("t/a/l", "/data/x", Ok(0)),
        ("t/a/l", "missing", Ok(1)),
        ("t/a/l", "l", Ok(1)),
        ("t/a/l", "../../x", Err("leads out of the directory that is added")),
        ("t/a/l", "../../srv/x", Err("leads out of the directory that is added")),
        ("t/a/l", "up/../x", Err("leads out of the directory that is added")),
        ("t/a/l", "/../x", Err("leads above the root of the image")),
        ("t/a/l", "/etc/passwd", Err("names a path that is not in the image")),
    ] {
        let mut case = Case::new();
        case.file("t/x").file("t/a/y").link(name, target).link("t/a/up", "..").add("t:/srv");
        case.request.options.writable = vec!["/data".into()];
        match want {
            Ok(found) => assert_eq!(case.built().1.len(), found, "{target}"),
            Err(reason) => {
                let want = format!("the symbolic link `/srv/a/l` to `{target}` (from `DIR/t/a/l`) {reason}");
                assert_eq!(case.refused(), want);
            }
        }
    }
    let mut case = Case::new();
    case.link("t/l", "missing").add("t:/srv");
    assert_eq!(
        case.built().1,
        ["warning[P003]: `add /srv`: symbolic links lead to nothing in the image\n  link: srv/l"]
    );
}

#[test]
fn a_source_that_is_a_link_is_followed() {
    let mut case = Case::new();
    case.file("real/x").link("t", "real").add("t:/srv");
    assert_eq!(case.built().0, ["/srv 0755 0:0", "/srv/x 0644 0:0"]);
    let mut case = Case::new();
    case.file("real").link("f", "real").add("f:/srv/");
    assert_eq!(case.built().0, ["/srv 0755 0:0", "/srv/f 0644 0:0"]);
}

#[test]
fn special_files_and_missing_sources_are_refused() {
    let mut case = Case::new();
    case.file("s/x").file("f/x");
    let read = |path: &Path| {
        let spec = AddSpec::new(path, b"/x").unwrap();
        let error = spec.read(&Excludes::default()).unwrap_err().to_string();
        error.replace(case.dir.path().to_str().unwrap(), "DIR")
    };
    let only = "only directories, regular files and symbolic links can be added";
    assert_eq!(read(Path::new("/dev/null")), format!("`/dev/null` is a character device; {only}"));
    let _socket = std::os::unix::net::UnixListener::bind(case.path("s/sock")).unwrap();
    assert_eq!(read(&case.path("s")), format!("`DIR/s/sock` is a socket; {only}"));
    assert!(std::process::Command::new("mkfifo").arg(case.path("f/pipe")).status().unwrap().success());
    assert_eq!(read(&case.path("f")), format!("`DIR/f/pipe` is a FIFO; {only}"));
    assert_eq!(read(&case.path("none")), "cannot read `DIR/none`");
}

#[test]
fn names_are_bytes() {
    let mut case = Case::new();
    case.file(OsStr::from_bytes(b"t/\xff\n"));
    case.add("t:/srv");
    assert_eq!(case.built().0, ["/srv 0755 0:0", "/srv/\\xff\\x0a 0644 0:0"]);
    case.file("one").add("one:/srv/a\u{1b}[1m").file("a\u{1b}[1m").add("a\u{1b}[1m:/srv/a\u{1b}[1m");
    assert_eq!(case.refused(), "`DIR/one` and `DIR/a\\u{1b}[1m` both land on `/srv/a\\x1b[1m`");
}

#[test]
fn the_order_of_creation_does_not_matter() {
    let names = ["b", "a/z", "a-b", "a/b/c", "a.c", "Z"];
    let make = |names: &mut dyn Iterator<Item = &&str>, mode: u32| {
        let mut case = Case::new();
        for name in names {
            case.file(format!("t/{name}"));
            std::fs::set_permissions(case.path(format!("t/{name}")), PermissionsExt::from_mode(mode)).unwrap();
        }
        case.add("t:/t").built().0
    };
    assert_eq!(make(&mut names.iter(), 0o600), make(&mut names.iter().rev(), 0o666));
}

#[test]
fn file_capabilities_are_encoded_as_the_kernel_reads_them() {
    // What `setcap` writes and `getfattr -e hex` shows, revision 2.
    for (text, hex, shown) in [
        ("cap_net_bind_service+ep", "0100000200040000000000000000000000000000", "cap_net_bind_service=ep"),
        ("cap_net_raw,CAP_NET_ADMIN=p", "0000000200300000000000000000000000000000", "cap_net_admin,cap_net_raw=p"),
        ("cap_chown+eip", "0100000201000000010000000000000000000000", "cap_chown=eip"),
        ("cap_bpf+ep", "0100000200000000000000008000000000000000", "cap_bpf=ep"),
    ] {
        let cap = FileCap::parse(&format!("/app/hello={text}")).unwrap();
        let bytes: String = cap.capabilities.to_xattr().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((bytes.as_str(), cap.capabilities.to_string().as_str()), (hex, shown));
        let mut case = Case::new();
        case.request.options = ImageOptions { file_caps: vec![cap], ..ImageOptions::default() };
        let (plan, found) = plan::build(&case.request).unwrap();
        let program = &plan.layers[0].entries[1];
        assert_eq!(program.xattrs.get("security.capability"), Some(&cap_bytes(hex)));
        assert_eq!(found[0].code.0, "P010");
        case.request.options.file_caps.extend(case.request.options.file_caps.clone());
        assert_eq!(case.refused(), "`/app/hello` cannot have file capabilities: they are given twice");
    }
}

fn cap_bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn bad_file_capabilities_are_refused() {
    for (text, want) in [
        (
            "/x",
            "`/x` does not say which file capabilities: expected `PATH=name+flags` as in `/app/web=cap_net_bind_service+ep`",
        ),
        (
            "/x=cap_chown",
            "`cap_chown` does not say which file capabilities: expected `name+flags` as in `cap_net_bind_service+ep`",
        ),
        (
            "/x=cap_chown+x",
            "`cap_chown+x` does not say which file capabilities: the flags are letters of `e`, `i` and `p`",
        ),
        ("/x=cap_chown+e", "`cap_chown+e` does not say which file capabilities: `e` alone gives nothing; write `ep`"),
        ("/x=net_bind_servce+ep", "no capability is called `net_bind_servce`; did you mean `cap_net_bind_service`?"),
        ("/x=everything+ep", "no capability is called `everything`"),
        ("x=cap_chown+p", "`x` cannot be the file that gets capabilities: it does not begin with `/`"),
    ] {
        assert_eq!(FileCap::parse(text).unwrap_err().to_string(), want);
    }
}

#[test]
fn file_capabilities_of_the_machine_are_dropped_with_a_finding() {
    let mut case = Case::new();
    case.file("t/x");
    let cap = FileCap::parse("/x=cap_net_bind_service+ep").unwrap();
    if let Err(error) = xattr::set(case.path("t/x"), "security.capability", &cap.capabilities.to_xattr()) {
        println!("skipped: this user or file system cannot set file capabilities: {error}");
        return;
    }
    // The kernel and libcap read what was encoded here.
    if let Ok(getcap) = std::process::Command::new("getcap").arg(case.path("t/x")).output() {
        let shown = String::from_utf8(getcap.stdout).unwrap();
        assert!(shown.trim_end().ends_with("/t/x cap_net_bind_service=ep"), "{shown}");
    }
    case.add("t:/srv");
    assert_eq!(
        case.built().1,
        ["warning[P002]: `add /srv`: file capabilities are not taken over\n  \
          path: srv/x\n  hint: give them with `--file-cap PATH=…`"]
    );
}
