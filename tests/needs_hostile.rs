//! Needs in roots that resist: scripts that name each other, links to everywhere, what belongs to the machine alone.

mod support {
    pub mod cli;
    pub mod sysroot;
}

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

use serde_json::Value;
use support::cli::Workbench;
use support::sysroot::{Sysroot, cc};

/// A bench with the program `app` and a root that has what its loader needs.
fn bench() -> (Workbench, Sysroot) {
    let bench = Workbench::new();
    let app = cc(bench.path(), "app", "int main(void) { return 0; }\n", &[]);
    let root = Sysroot::of(bench.join("root"), &[&app]);
    (bench, root)
}

/// Paths of the plan with their entries, and what was told.
fn plan(bench: &Workbench, words: &[&str]) -> (BTreeMap<String, Value>, String) {
    let run = bench.run([&["plan", "--format", "json"], words].concat());
    assert_eq!(run.code(), Some(0), "{words:?}: {}", run.stderr());
    let json: Value = serde_json::from_str(run.stdout()).unwrap();
    let layers = json["plans"][0]["layers"].as_array().unwrap().iter();
    let entries = layers.flat_map(|layer| layer["entries"].as_array().unwrap());
    let entries = entries.map(|entry| (entry["path"].as_str().unwrap().to_owned(), entry.clone())).collect();
    (entries, run.stderr().to_owned())
}

fn refused(bench: &Workbench, words: &[&str], want: &str) {
    let run = bench.run([&["plan"], words].concat());
    assert_eq!((run.code(), run.stdout()), (Some(1), ""), "{words:?}: {}", run.stderr());
    assert!(run.stderr().contains(want), "{words:?}: {}", run.stderr());
}

#[test]
fn scripts_that_name_each_other_end() {
    let (bench, root) = bench();
    root.script("/usr/bin/env", "not looked at");
    root.script("/usr/bin/itself", "#!/usr/bin/env itself\n");
    root.script("/usr/bin/ping", "#!/usr/bin/pong\n");
    root.script("/usr/bin/pong", "#! /usr/bin/ping -x\n");
    let (entries, _) = plan(&bench, &["app", "--root", "root", "--with", "program:itself", "--with", "program:ping"]);
    for name in ["env", "itself", "ping", "pong"] {
        assert!(entries.contains_key(&format!("/usr/bin/{name}")), "{name}");
    }
    // More than a stack would hold, and more than are followed.
    for at in 0..5000 {
        root.script(&format!("/usr/bin/s{at}"), &format!("#!/usr/bin/env s{}\n", at + 1));
    }
    let words = ["app", "--root", "root", "--with", "program:s0"];
    let (entries, told) = plan(&bench, &words);
    assert!(entries.contains_key("/usr/bin/s4000") && !entries.contains_key("/usr/bin/s4999"));
    assert!(told.contains("warning[N012]"), "{told}");
    refused(&bench, &[&words[..], &["--strict"]].concat(), "error[N012]");
}

#[test]
fn programs_beyond_the_bound_are_told() {
    let (bench, root) = bench();
    let mut words = vec!["app".to_owned(), "--root".to_owned(), "root".to_owned()];
    for at in 0..70 {
        root.copy(&bench.join("app"), &format!("/usr/bin/p{at}"));
        words.extend(["--with".to_owned(), format!("program:/usr/bin/p{at}")]);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (_, told) = plan(&bench, &words[..3 + 2 * 60]);
    assert!(!told.contains("N012"), "{told}");
    let (_, told) = plan(&bench, &words);
    assert_eq!(told.matches("warning[N012]").count(), 1, "{told}");
}

#[test]
fn what_belongs_to_the_machine_stays_there() {
    let (bench, _root) = bench();
    let (entries, told) = plan(&bench, &["app", "--root", "/", "--with", "file:/etc"]);
    for path in ["/etc/passwd", "/etc/shadow", "/etc/group", "/etc/hostname", "/etc/machine-id", "/etc/resolv.conf"] {
        assert!(!entries.contains_key(path), "{path}");
    }
    assert!(told.contains("note[N011]: `/etc`") && told.contains("left out: /etc/"), "{told}");
    for path in ["/.", "/usr/..", "/proc", "/proc/self", "/proc/self/environ", "/proc/kmsg", "/dev", "/sys/kernel"] {
        refused(&bench, &["app", "--root", "/", "--with", &format!("file:{path}")], "error[N008]");
    }
}

#[test]
fn what_added_code_needs_and_what_it_runs_on_is_told() {
    let (bench, _) = bench();
    let own = cc(
        bench.path(),
        "libown.so.1",
        "int own(void) { return 0; }\n",
        &["-shared", "-fPIC", "-Wl,-soname,libown.so.1"],
    );
    let code = "int own(void); int plugin(void) { return own(); }\n";
    cc(bench.path(), "plugin.so", code, &["-shared", "-fPIC", own.to_str().unwrap()]);
    let mut foreign = std::fs::read(bench.join("plugin.so")).unwrap();
    // e_machine: AArch64.
    foreign[18..20].copy_from_slice(&183u16.to_le_bytes());
    bench.file("foreign/plugin.so", foreign);
    let add = ["app", "--root", "root", "--add", "plugin.so:/opt/p/"];
    let (_, told) = plan(&bench, &add);
    assert!(told.contains("warning[P015]: `add /opt/p`: what is added needs libraries"), "{told}");
    assert!(told.contains("/opt/p/plugin.so: libown.so.1\n") && !told.contains("libc.so.6"), "{told}");
    let (_, told) = plan(&bench, &[&add[..], &["--add", "libown.so.1:/opt/p/"]].concat());
    assert!(!told.contains("P015"), "{told}");
    let (_, told) = plan(&bench, &["app", "--root", "root", "--add", "foreign:/opt/p"]);
    assert!(told.contains("warning[P014]: `add /opt/p`") && told.contains("path: /opt/p/plugin.so\n"), "{told}");
}

#[test]
fn a_secret_of_the_root_does_not_come_with_its_directory() {
    let (bench, root) = bench();
    root.file("/opt/t/open", "own");
    for (name, mode) in [("/opt/t/key", 0o600), ("/opt/t/group", 0o640)] {
        root.file(name, "secret");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(bench.join(format!("root{name}")), mode).unwrap();
    }
    root.link("/opt/t/link", "key");
    let (entries, told) = plan(&bench, &["app", "--root", "root", "--with", "file:/opt/t"]);
    assert!(entries.contains_key("/opt/t/open"));
    for name in ["key", "group", "link"] {
        assert!(!entries.contains_key(&format!("/opt/t/{name}")), "{name}");
        assert!(told.contains(&format!("left out: /opt/t/{name}\n")), "{told}");
    }
    assert!(told.contains("warning[N014]: `/opt/t`: files that not everyone may read"), "{told}");
    // By its own name it comes, with a word about it.
    let (entries, told) = plan(&bench, &["app", "--root", "root", "--with", "file:/opt/t/key"]);
    assert!(entries.contains_key("/opt/t/key"));
    assert!(told.contains("warning[N014]: `/opt/t/key`: not everyone may read it in the root"), "{told}");
}

#[test]
fn a_directory_comes_whole_and_brings_no_other() {
    let (bench, root) = bench();
    root.file("/usr/share/t/own", "own");
    root.file("/opt/file", "elsewhere");
    root.file("/opt/dir/secret", "elsewhere");
    root.link("/usr/share/t/file", "../../../opt/file");
    root.link("/usr/share/t/dir", "/opt/dir");
    root.link("/usr/share/t/up", "..");
    root.link("/usr/share/t/all", "/");
    root.link("/usr/share/t/loop", "loop");
    root.link("/usr/share/t/out", "../../../../../../../../etc/hostname");
    std::fs::create_dir_all(bench.join("root/usr/share/t/empty/below")).unwrap();
    assert!(Command::new("mkfifo").arg(bench.join("root/usr/share/t/fifo")).status().unwrap().success());
    let (entries, told) = plan(&bench, &["app", "--root", "root", "--with", "file:/usr/share/t"]);
    let below = |name: &str| entries.get(&format!("/usr/share/t/{name}"));
    assert_eq!((&below("own").unwrap()["size"], below("empty/below").is_some()), (&Value::from(3), true));
    assert!(entries.contains_key("/opt/file") && !entries.contains_key("/opt/dir/secret"), "{:?}", entries.keys());
    for name in ["fifo", "loop", "out"] {
        assert!(below(name).is_none(), "{name}");
    }
    assert!(told.contains("note[N013]: `/usr/share/t/dir`: symbolic links lead to directories"), "{told}");
    assert!(!told.contains("/usr/share/t/up") && !told.contains("/usr/share/t/all"), "{told}");
    let (entries, told) =
        plan(&bench, &["app", "--root", "root", "--with", "file:/usr/share/t", "--with", "file:/opt/dir"]);
    assert!(entries.contains_key("/opt/dir/secret") && !told.contains("N013"), "{told}");
    refused(&bench, &["app", "--root", "root", "--with", "file:/usr/share/t/all"], "error[N008]");
    refused(&bench, &["app", "--root", "root", "--with", "file:/usr/share/t/loop"], "error[N008]");
}

/// A program that asks OpenSSL for its bundle, where OpenSSL was configured with a directory.
fn certificates_at(directory: &str) -> (BTreeMap<String, Value>, String) {
    let bench = Workbench::new();
    let mut code = "int X509_get_default_cert_file(void) { return 0; }\n".to_owned();
    writeln!(code, "const char *configured = \"OPENSSLDIR: \\\"{directory}\\\"\";").unwrap();
    let library =
        cc(bench.path(), "libcrypto.so.3", &code, &["-shared", "-fPIC", "-Wl,-soname,libcrypto.so.3", "-nostdlib"]);
    let code = "int X509_get_default_cert_file(void);\nint main(void) { return X509_get_default_cert_file(); }\n";
    let app = cc(bench.path(), "app", code, &[library.to_str().unwrap()]);
    let root = Sysroot::of(bench.join("root"), &[]);
    // Directories of libraries are links, as `/usr` is merged.
    for path in ["/usr/lib", "/usr/lib64"] {
        std::fs::create_dir_all(root.path.join(&path[1..])).unwrap();
        root.link(&path[4..], &path[1..]);
    }
    for file in Command::new("ldd").arg(&app).output().unwrap().stdout.split(|b| b.is_ascii_whitespace()) {
        let file = std::str::from_utf8(file).unwrap();
        if file.starts_with("/lib") || file.starts_with("/usr") {
            root.copy(std::path::Path::new(file), file);
        }
    }
    root.copy(&library, "/usr/lib/libcrypto.so.3");
    plan(&bench, &["app", "--root", "root"])
}

#[test]
fn what_is_made_below_a_link_lies_where_it_leads() {
    let (entries, _) = certificates_at("/lib/ssl");
    assert_eq!(entries["/lib"]["kind"], "link");
    assert_eq!(entries["/usr/lib/ssl/cert.pem"]["target"], "/etc/ssl/certs/ca-certificates.crt");
    assert!(!entries.contains_key("/lib/ssl/cert.pem"));
    for absurd in ["/lib/libcrypto.so.3", "/proc", "/../..", "//", "/dev/", &"/x".repeat(3000)] {
        let (entries, _) = certificates_at(absurd);
        let below = |path: &&String| path.starts_with("/lib/") || path.starts_with("/proc") || path.starts_with("/dev");
        assert_eq!(entries.keys().find(below), None, "{absurd}");
    }
}

#[test]
fn lists_of_converters_may_be_anything() {
    const LIST: &str = "/usr/lib/x86_64-linux-gnu/gconv/gconv-modules";
    let lists = [LIST.to_owned(), format!("{LIST}.cache"), format!("{LIST}.d"), format!("{LIST}.d/extra.conf")];
    for (at, list) in lists.iter().enumerate() {
        for kind in ["loop", "fifo", "directory", "large", "noise"] {
            let (bench, root) = bench();
            if at == 3 {
                root.file(&format!("{LIST}.d/own.conf"), "module A// INTERNAL OWN 1\n");
            }
            root.file("/usr/lib/x86_64-linux-gnu/gconv/OWN.so", "no library");
            let path = bench.join(format!("root{list}"));
            match kind {
                "loop" => root.link(list, path.file_name().unwrap().to_str().unwrap()),
                "fifo" => assert!(Command::new("mkfifo").arg(&path).status().unwrap().success()),
                "directory" => std::fs::create_dir_all(&path).unwrap(),
                "large" => std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap(),
                _ => root.file(list, [0xff; 5000]),
            }
            let (entries, _) = plan(&bench, &["app", "--root", "root", "--with", "gconv"]);
            let special = matches!(kind, "loop" | "fifo" | "directory");
            assert!(!(special && entries.get(list).is_some_and(|entry| entry["kind"] != "dir")), "{list} {kind}");
        }
    }
}

#[test]
fn what_is_added_over_a_library_is_told() {
    let (bench, root) = bench();
    // As on a merged `/usr`: the directories of libraries are links.
    for (link, target) in [("lib", "usr/lib"), ("lib64", "usr/lib64")] {
        let from = root.path.join(link);
        if from.is_dir() && !from.is_symlink() {
            std::fs::create_dir_all(root.path.join("usr")).unwrap();
            std::fs::rename(&from, root.path.join(target)).unwrap();
            root.link(&format!("/{link}"), target);
        }
    }
    bench.file("added", "added");
    let base = ["app", "--root", "root", "--with", "hosts", "--with", "certs"];
    let (entries, told) = plan(&bench, &base);
    assert!(!told.contains("P013"), "{told}");
    let mut proven = 0;
    for (path, entry) in entries.iter().filter(|(_, entry)| entry["kind"] != "dir") {
        let add = format!("added:{path}");
        let run = bench.run([&["plan"], &base[..], &["--add", add.as_str()]].concat());
        let needed = path.contains("/libc.so") || path.contains("/ld-") || entry["kind"] == "link";
        proven += usize::from(needed && run.code() == Some(0));
        let told = run.stderr().contains("warning[P013]: `add`") && run.stderr().contains(path.as_str());
        assert_eq!(run.code() == Some(0) && told, needed, "{path}: {}", run.stderr());
    }
    assert!(proven > 1, "{:?}", entries.keys());
}

#[test]
fn an_entrypoint_may_be_named_through_links() {
    let (bench, root) = bench();
    root.copy(&bench.join("app"), "/usr/bin/tool");
    root.link("/bin", "usr/bin");
    root.link("/usr/bin/alias", "/bin/tool");
    for path in ["/usr/bin/tool", "/bin/tool", "/bin/alias"] {
        let (entries, told) = plan(&bench, &[&format!("root:{path}"), "--root", "root"]);
        assert!(entries.contains_key("/usr/bin/tool") && !told.contains("P006"), "{path}: {told}");
    }
    let (_, told) = plan(&bench, &["app", "--root", "root", "--entrypoint", "/bin/tool"]);
    assert!(told.contains("warning[P006]: `/bin/tool`"), "{told}");
    let words = ["app", "--root", "root", "--entrypoint", "/bin/tool", "--with", "program:/bin/tool"];
    let (_, told) = plan(&bench, &words);
    assert!(!told.contains("P006"), "{told}");
}

#[test]
fn an_interpreter_that_is_not_there_is_told() {
    let (bench, root) = bench();
    root.copy(&bench.join("app"), "/usr/bin/env");
    root.script("/usr/bin/plain", "#!/usr/bin/none -x\n");
    root.script("/usr/bin/windows", "#!/usr/bin/env\r\n");
    root.script("/usr/bin/looked", "#!/usr/bin/env -S none -x\n");
    root.script("/usr/bin/empty", "#! \n");
    let missing = |script: &str, name: &str| {
        let (_, told) = plan(&bench, &["app", "--root", "root", "--with", &format!("program:{script}")]);
        let want = format!("warning[N004]: `{name}`: `/usr/bin/{script}` needs it, and the root does not have it");
        assert!(told.contains(&want), "{told}");
    };
    missing("plain", "/usr/bin/none");
    missing("windows", "/usr/bin/env\\x0d");
    missing("looked", "none");
    refused(&bench, &["app", "--root", "root", "--strict", "--with", "program:plain"], "error[N004]");
    let (_, told) = plan(&bench, &["app", "--root", "root", "--strict", "--with", "program:empty"]);
    assert!(!told.contains("N004"), "{told}");
}
