//! Programs of this machine's own `/`: their images run, and hold nothing that is local to the machine.

mod support {
    pub mod cli;
    pub mod peers;
    pub mod programs;
    pub mod runc;
}

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::cli::Workbench;
use support::peers;
use support::runc::{Bundle, Runner, Setup};

/// Stands in everything that is local to the machine.
const MARK: &str = "local-to-this-machine";

/// Builds an image of programs of this machine, has it validated, unpacks it.
fn image<'a>(bench: &Workbench, runner: &'a Runner, build: impl FnOnce(&[&str])) -> Bundle<'a> {
    let layout = bench.join("image");
    let output = format!("oci:{}", layout.display());
    build(&["--name", "host", "--tag", "localhost/host:v1", "--output", &output]);
    bench.run(["validate", &output]).succeeds();
    runner.unpack(&layout, "v1", bench.path())
}

/// Builds the image of one program and runs it with `words`; nothing, said on stdout, when there is no such program.
fn packed_says(program: &str, words: &[&str], says: &str) {
    let Some(runner) = Runner::find() else { return };
    if !Path::new(program).exists() {
        return peers::skipped(&format!("there is no {program}"));
    }
    let bench = Workbench::new();
    let bundle = image(&bench, &runner, |words| {
        bench.run([&["build", program], words].concat()).succeeds();
    });
    assert_eq!(bundle.does(&Setup { words, ..Setup::default() }), says);
}

#[test]
fn openssl_tells_a_prime() {
    packed_says("/usr/bin/openssl", &["prime", "17"], "11 (17) is prime\n");
}

#[test]
fn perl_uses_its_library() {
    let code = "use strict; use JSON::PP; use POSIX (); print encode_json([6 * 7, POSIX::floor(1.5)])";
    packed_says("/usr/bin/perl", &["-e", code], "[42,1]");
}

#[test]
fn bash_expands() {
    packed_says("/bin/bash", &["-c", "x=(6 7); echo $((x[0] * x[1])) $UID ~"], "42 65532 /home/nonroot\n");
}

fn append(path: &Path, text: &str) {
    let before = std::fs::read(path).unwrap_or_default();
    let _ = std::fs::remove_file(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, [&before, text.as_bytes()].concat()).unwrap();
}

fn copy(from: &str, to: &Path) {
    let made = Command::new("cp").args(["-a", from]).arg(to).output().unwrap();
    assert!(made.status.success(), "cp {from}: {}", String::from_utf8_lossy(&made.stderr));
}

/// A copy of `/etc` in which everything that administrators change is changed.
fn decoys(bench: &Workbench) -> PathBuf {
    let etc = bench.join("etc");
    copy("/etc", &etc);
    append(&etc.join("passwd"), &format!("{MARK}:x:4711:4711::/home/{MARK}:/bin/sh\n"));
    append(&etc.join("group"), &format!("{MARK}:x:4711:\n"));
    append(&etc.join("shadow"), &format!("{MARK}:!:1::::::\n"));
    for name in ["hosts", "resolv.conf", "hostname", "machine-id", "timezone", "environment"] {
        append(&etc.join(name), &format!("# {MARK}\n"));
    }
    for name in ["nsswitch.conf", "services", "protocols", "gai.conf", "ssl/openssl.cnf", "ld.so.conf"] {
        append(&etc.join(name), &format!("# {MARK}\n"));
    }
    let certificate = format!("# {MARK}\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    append(&etc.join("ssl/certs/ca-certificates.crt"), &certificate);
    append(&etc.join(format!("ssl/certs/{MARK}.pem")), &certificate);
    append(&etc.join(format!("terminfo/x/{MARK}")), MARK);
    let _ = std::fs::remove_file(etc.join("localtime"));
    symlink(format!("/usr/share/zoneinfo/{MARK}"), etc.join("localtime")).unwrap();
    // A library that really is in every process of the namespace.
    let source = bench.file("preload.c", format!("const char mark[] = \"{MARK}\";\n"));
    let library = bench.join("libpreload.so");
    let made = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status();
    assert!(made.unwrap().success(), "a library cannot be linked");
    append(&etc.join("ld.so.preload"), &format!("{}\n", library.display()));
    etc
}

/// The paths below `top` whose name, target or content has the mark.
fn marked(top: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in walkdir::WalkDir::new(top) {
        let entry = entry.unwrap();
        let has = |bytes: &[u8]| memchr::memmem::find(bytes, MARK.as_bytes()).is_some();
        let content = match () {
            () if entry.file_type().is_symlink() => {
                std::fs::read_link(entry.path()).unwrap().as_os_str().as_encoded_bytes().to_vec()
            }
            () if entry.file_type().is_file() => std::fs::read(entry.path()).unwrap(),
            () => Vec::new(),
        };
        if has(&content) || has(entry.file_name().as_encoded_bytes()) {
            out.push(entry.path().strip_prefix(top).unwrap().to_owned());
        }
    }
    out
}

/// Whether a configuration file is what its package brought, by dpkg and md5sum.
fn is_as_packaged(path: &str) -> bool {
    let told = |program: &str, words: &[&str]| {
        let output = Command::new(program).args(words).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let known = told("dpkg-query", &["-W", "-f=${Conffiles}\n"]).unwrap_or_default();
    let sum = told("md5sum", &[path]).unwrap_or_default();
    let sum = sum.split(' ').next().unwrap_or("absent");
    known.lines().any(|line| line.trim() == format!("{path} {sum}"))
}

#[test]
fn what_is_local_to_the_machine_stays_there() {
    const PROGRAMS: [&str; 3] = ["/usr/bin/curl", "/usr/bin/perl", "/bin/bash"];
    let (Some(runner), Some(unshare)) = (Runner::find(), peers::find("unshare")) else { return };
    if let Some(absent) = PROGRAMS.iter().find(|program| !Path::new(program).exists()) {
        return peers::skipped(&format!("there is no {absent}"));
    }
    let bench = Workbench::new();
    let etc = decoys(&bench);
    let mut mounts = format!("mount --bind '{}' /etc && ", etc.display());
    if Path::new("/usr/share/ca-certificates").is_dir() {
        let certificates = bench.join("ca-certificates");
        copy("/usr/share/ca-certificates", &certificates);
        append(&certificates.join(format!("{MARK}/local.crt")), MARK);
        mounts += &format!("mount --bind '{}' /usr/share/ca-certificates && ", certificates.display());
    }
    // The namespace really shows all that: else the rest proves nothing.
    let inside = |words: &[&str]| {
        let mut command = Command::new(&unshare);
        command.args(["--mount", "sh", "-c", &format!("{mounts} exec \"$@\""), "sh"]).args(words);
        command.current_dir(bench.path()).env_clear().env("HOME", bench.path());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}: {said}");
        [String::from_utf8(output.stdout).unwrap(), said].concat()
    };
    assert!(inside(&["cat", "/proc/self/maps"]).contains("libpreload.so"));
    assert!(inside(&["cat", "/etc/passwd", "/etc/ssl/certs/ca-certificates.crt"]).matches(MARK).count() >= 3);
    let features = ["certs", "tzdata", "users", "hosts", "services", "openssl", "terminfo", "locale=C.UTF-8"];
    let bundle = image(&bench, &runner, |words| {
        let mut all = vec![env!("CARGO_BIN_EXE_coracle"), "build"];
        all.extend(PROGRAMS);
        all.extend(features.iter().flat_map(|feature| ["--with", feature]));
        all.extend(words);
        let said = inside(&all);
        assert!(said.contains("note[N011]: `/etc/services`"), "{said}");
    });
    let rootfs = bundle.rootfs();
    assert!(rootfs.join("etc/ssl/certs/ca-certificates.crt").is_file() && rootfs.join("etc/passwd").is_file());
    assert_eq!(marked(&rootfs), Vec::<PathBuf>::new());
    assert_eq!(rootfs.join("etc/host.conf").exists(), is_as_packaged("/etc/host.conf"), "a file that was not changed");
    for local in ["etc/localtime", "etc/ld.so.preload", "etc/shadow", "etc/machine-id"] {
        assert!(std::fs::symlink_metadata(rootfs.join(local)).is_err(), "`{local}` is in the image");
    }
}
