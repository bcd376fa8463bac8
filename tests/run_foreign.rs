//! Programs of roots of other machines, and of roots with musl (`CORACLE_FOREIGN_ROOTS`): their images run under runc, as
//! uid 65532, without any capability, on a root that cannot be written; under qemu's user emulation where they must.

mod support {
    pub mod cli;
    pub mod peers;
    pub mod runc;
}

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::cli::Workbench;
use support::peers;
use support::runc::{Bundle, Runner, Setup};

/// Architectures of images, how `uname -m` names each, and its emulator.
const MACHINES: &[(&str, &str, &str)] = &[
    ("amd64", "x86_64", "qemu-x86_64-static"),
    ("arm64", "aarch64", "qemu-aarch64-static"),
    ("arm", "armv7l", "qemu-arm-static"),
    ("ppc64le", "ppc64le", "qemu-ppc64le-static"),
    ("riscv64", "riscv64", "qemu-riscv64-static"),
    ("s390x", "s390x", "qemu-s390x-static"),
];

/// A program of a root, packed.
struct Packed<'a> {
    bundle: Bundle<'a>,
    /// As `uname -m` names it.
    machine: &'static str,
    emulator: Option<PathBuf>,
}

impl Packed<'_> {
    fn does(&self, setup: &Setup<'_>) -> String {
        self.bundle.does(&Setup { emulator: self.emulator.as_deref(), ..setup.clone() })
    }

    fn says(&self, words: &[&str]) -> String {
        self.does(&Setup { words, ..Setup::default() })
    }
}

/// Builds the image of a program of a root, has it validated and unpacks it; `None` when the emulator is absent.
fn packed<'a>(bench: &Workbench, runner: &'a Runner, root: &Path, program: &str) -> Option<Packed<'a>> {
    let layout = bench.join("image");
    let output = format!("oci:{}", layout.display());
    let (program, flag) = (format!("root:{program}"), root.to_str().unwrap());
    bench.run(["build", &program, "--root", flag, "--tag", "localhost/program:v1", "--output", &output]).succeeds();
    bench.run(["validate", &output]).succeeds();
    let told: Value = serde_json::from_str(&bench.run(["inspect", &output, "--format", "json"]).succeeds()).unwrap();
    let architecture = architecture(&told).unwrap_or_else(|| panic!("no architecture in {told}"));
    let known = MACHINES.iter().find(|(name, ..)| *name == architecture);
    let (_, machine, emulator) = known.unwrap_or_else(|| panic!("architecture `{architecture}`"));
    let native = *machine == std::env::consts::ARCH;
    let emulator = if native { None } else { Some(peers::find(emulator)?) };
    Some(Packed { bundle: runner.unpack(&layout, "v1", bench.path()), machine, emulator })
}

/// The first member `architecture` of a document, or the platform that is written as one word.
fn architecture(document: &Value) -> Option<&str> {
    match document {
        Value::Object(members) => {
            let own = members.get("architecture").and_then(Value::as_str);
            own.or_else(|| members.values().find_map(architecture))
        }
        Value::Array(all) => all.iter().find_map(architecture),
        _ => None,
    }
}

/// Calls `check` for each root that has the program; says so when none has.
fn each_root(program: &str, check: impl Fn(&Workbench, &Runner, &Path)) {
    let Some(roots) = std::env::var_os("CORACLE_FOREIGN_ROOTS") else {
        return peers::skipped("CORACLE_FOREIGN_ROOTS names no roots (scripts/foreign-root.sh makes some)");
    };
    let Some(runner) = Runner::find() else { return };
    let roots = std::env::split_paths(&roots).filter(|root| root.join(program.trim_start_matches('/')).exists());
    let roots: Vec<PathBuf> = roots.collect();
    if roots.is_empty() {
        peers::skipped(&format!("no root of CORACLE_FOREIGN_ROOTS has {program}"));
    }
    for root in roots {
        check(&Workbench::new(), &runner, &root);
    }
}

#[test]
fn curl_tells_its_machine() {
    each_root("/usr/bin/curl", |bench, runner, root| {
        let Some(curl) = packed(bench, runner, root, "/usr/bin/curl") else { return };
        let said = curl.says(&["--version"]);
        let machine = if curl.machine == "ppc64le" { "powerpc64le" } else { curl.machine };
        let machine = if machine == "armv7l" { "arm" } else { machine };
        assert!(said.starts_with("curl ") && said.contains(&format!("({machine}-")), "{said}");
    });
}

#[test]
fn python_imports_its_library() {
    each_root("/usr/bin/python3", |bench, runner, root| {
        let Some(python) = packed(bench, runner, root, "/usr/bin/python3") else { return };
        assert_eq!(python.says(&["-c", "print('hello')"]), "hello\n");
        let code = "import ssl, sqlite3, json, platform\n\
            authorities = len(ssl.create_default_context().get_ca_certs())\n\
            query = sqlite3.connect(':memory:').execute('select 6 * 7').fetchone()\n\
            print(json.dumps([authorities > 50, query, platform.machine()]))";
        assert_eq!(python.says(&["-c", code]), format!("[true, [42], \"{}\"]\n", python.machine));
    });
}

/// Calls `check` for each root with musl that has the program.
fn each_musl_root(program: &str, check: impl Fn(&Workbench, &Runner, &Path)) {
    each_root(program, |bench, runner, root| {
        let mut names = root.join("lib").read_dir().unwrap().map(|entry| entry.unwrap().file_name());
        if names.any(|name| name.as_encoded_bytes().starts_with(b"ld-musl-")) {
            check(bench, runner, root);
        }
    });
}

#[test]
fn a_shell_of_musl_computes() {
    each_musl_root("/bin/dash", |bench, runner, root| {
        let Some(dash) = packed(bench, runner, root, "/bin/dash") else { return };
        assert_eq!(dash.says(&["-c", "echo $((6 * 7))"]), "42\n");
    });
}

#[test]
fn a_program_of_musl_with_a_library_beside_it() {
    each_musl_root("/opt/lua/bin/lua", |bench, runner, root| {
        let Some(lua) = packed(bench, runner, root, "/opt/lua/bin/lua") else { return };
        assert_eq!(lua.says(&["-e", "print(string.format('%.0f', 6.5 ^ 2))"]), "42\n");
    });
}

#[test]
fn xz_of_musl_writes_what_others_read() {
    each_musl_root("/usr/bin/xz", |bench, runner, root| {
        let Some(xz) = packed(bench, runner, root, "/usr/bin/xz") else { return };
        let file = bench.file("data/file", "the same text\n".repeat(10_000));
        let data = file.parent().unwrap();
        assert!(Command::new("chown").args(["-R", "65532:65532"]).arg(data).status().unwrap().success());
        xz.does(&Setup { words: &["--keep", "/data/file"], binds: &[(data, "/data")], ..Setup::default() });
        let Some(peer) = peers::find("xz") else { return };
        let read = Command::new(peer).arg("-dc").arg(data.join("file.xz")).output().unwrap();
        assert!(read.stdout == std::fs::read(&file).unwrap(), "{}", String::from_utf8_lossy(&read.stderr));
    });
}
