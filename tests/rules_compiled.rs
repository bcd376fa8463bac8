//! What compilers really write: programs made here, and the rules that hold for them.
//!
//! Each program calls one thing. Its closure is looked up on this machine, and the rule for that thing must hold for the
//! program itself; for a program that does not call it, it must not.

#[path = "support/peers.rs"]
mod peers;

use std::path::{Path, PathBuf};
use std::process::Command;

use coracle::analyze::loader::Target;
use coracle::analyze::rules::{Context, Member, RuleSet, Wanted};
use coracle::analyze::traits::Traits;
use coracle::elf::{ElfFacts, Libc, Linkage};
use coracle::rootfs::{DirRoot, Root};

/// Compiles C; `None`, said on stdout, without the compiler.
fn c(directory: &Path, compiler: &str, source: &str, words: &[&str]) -> Option<PathBuf> {
    peers::find(compiler)?;
    let file = directory.join("program.c");
    std::fs::write(&file, source).unwrap();
    let program = directory.join("program");
    let output = Command::new(compiler).arg(&file).arg("-o").arg(&program).args(words).output().unwrap();
    assert!(output.status.success(), "{}\n{source}", String::from_utf8_lossy(&output.stderr));
    Some(program)
}

/// What the rules give for a program of this machine and its closure.
fn wants(program: &Path) -> Vec<Wanted> {
    let root = DirRoot::open(Path::new("/")).unwrap();
    let rules = RuleSet::builtin();
    let bytes = std::fs::read(program).unwrap();
    let facts = ElfFacts::parse(&bytes).unwrap();
    let path = std::fs::canonicalize(program).unwrap();
    let path = path.to_str().unwrap().as_bytes();
    let target = Target::new(&root);
    let Ok(closure) = target.closure(path, None).unwrap() else {
        let traits = Traits::read(&bytes, rules.needles());
        let member = Member { path, soname: None, traits: &traits, is_program: true, is_libc: false };
        return rules.evaluate(&Context { libc: facts.toolchain.libc, linkage: facts.linkage }, &[member]);
    };
    let traits: Vec<Traits> =
        closure.loaded.iter().map(|l| Traits::read(&*root.open(&l.resolved.path).unwrap(), rules.needles())).collect();
    let members: Vec<Member<'_>> = closure
        .loaded
        .iter()
        .zip(&traits)
        .enumerate()
        .map(|(index, (loaded, traits))| {
            let soname = loaded.object.soname.as_deref();
            let is_libc = soname.is_some_and(|name| name.starts_with(b"libc.") || name.starts_with(b"ld-"));
            Member { path: &loaded.path, soname, traits, is_program: index == 0, is_libc }
        })
        .collect();
    let libc = if closure.libc == coracle::analyze::loader::Libc::Musl { Libc::Musl } else { Libc::Glibc };
    rules.evaluate(&Context { libc: Some(libc), linkage: Linkage::DynamicPie }, &members)
}

/// Rules that hold for the program itself, each with what it wants.
fn held(wants: &[Wanted]) -> Vec<String> {
    wants.iter().filter(|w| w.needed_by == 0).map(|w| format!("{}: {}", w.rule, w.want)).collect()
}

#[track_caller]
fn assert_holds(wants: &[Wanted], wanted: &str) {
    let held = held(wants);
    assert!(held.iter().any(|line| line.starts_with(wanted)), "`{wanted}` is not among {held:#?}");
}

/// A call, and the beginning of what must be told of it.
const CALLS: &[(&str, &str, &str)] = &[
    ("netdb.h", "return getaddrinfo(v[0], 0, 0, 0);", "names/hosts: at-run-time /etc/resolv.conf"),
    ("netdb.h", "return getaddrinfo(v[0], 0, 0, 0);", "names/hosts-glibc: nsswitch"),
    ("netdb.h", "return !gethostbyname(v[0]);", "names/hosts-glibc: nsswitch"),
    ("netdb.h", "return !getservbyname(v[0], v[0]);", "names/services: file /etc/services"),
    ("netdb.h", "return !getprotobyname(v[0]);", "names/protocols: file /etc/protocols"),
    ("pwd.h", "return !getpwnam(v[0]);", "users/users: passwd"),
    ("grp.h", "return !getgrgid(n);", "users/users-glibc: nsswitch"),
    ("pthread.h", "pthread_exit(v);", "libc/unwinder: library libgcc_s.so.1"),
    ("execinfo.h", "return backtrace((void **)v, n);", "libc/unwinder: library libgcc_s.so.1"),
    ("iconv.h", "return !iconv_open(v[0], v[1]);", "libc/converters: gconv /"),
    ("locale.h", "return !setlocale(LC_ALL, \"\");", "libc/locale: locale /"),
    ("time.h", "time_t t = n; return localtime(&t)->tm_hour;", "time/local-time: zoneinfo /"),
    ("time.h", "time_t t = n; struct tm m; return localtime_r(&t, &m)->tm_hour;", "time/local-time: zoneinfo /"),
    ("stdlib.h", "return system(v[0]);", "libc/shell: program /bin/sh"),
    ("stdio.h", "return !popen(v[0], \"r\");", "libc/shell: program /bin/sh"),
    ("stdlib.h", "return mkstemp(v[0]);", "libc/temporary-files: writable /tmp"),
    ("stdio.h", "return !tmpfile();", "libc/temporary-files: writable /tmp"),
    ("dlfcn.h", "return !dlopen(\"libexample.so.7\", RTLD_NOW);", "loads/library: library libexample.so.7"),
    ("unistd.h", "return execl(\"/usr/bin/example\", v[0], (char *)0);", "loads/program: program /usr/bin/example"),
    (
        "fcntl.h",
        "return open(\"/usr/share/example/table.dat\", O_RDONLY);",
        "loads/file: file /usr/share/example/table.dat",
    ),
    ("dirent.h", "return !opendir(\"/usr/share/example/parts\");", "loads/directory: tree /usr/share/example/parts"),
    ("fcntl.h", "return open(\"/etc/example/main.conf\", O_RDONLY);", "loads/configuration: tree /etc/example"),
    ("fcntl.h", "return open(\"/etc/ssl/certs/ca-certificates.crt\", 0);", "certs/bundle: ca-bundle /etc/ssl/certs"),
];

#[test]
fn calls_of_c_programs() {
    let directory = tempfile::tempdir().unwrap();
    let mut silent = None;
    for (header, body, wanted) in CALLS {
        let source = format!("#include <{header}>\nint main(int n, char **v) {{ {body} }}\n");
        for optimization in ["-O0", "-O2"] {
            let Some(program) = c(directory.path(), "cc", &source, &[optimization, "-D_FORTIFY_SOURCE=2"]) else {
                return;
            };
            assert_holds(&wants(&program), wanted);
        }
        let nothing = silent.get_or_insert_with(|| {
            let program = c(directory.path(), "cc", "int main(int n, char **v) { return n; }\n", &[]).unwrap();
            held(&wants(&program))
        });
        let rule = wanted.split(':').next().unwrap();
        assert!(!nothing.iter().any(|line| line.starts_with(rule)), "{nothing:?}");
    }
}

#[test]
fn the_unwinder_is_not_wanted_where_it_is_linked() {
    let directory = tempfile::tempdir().unwrap();
    let source = "#include <pthread.h>\nint main(int n, char **v) { pthread_exit(v); }\n";
    let Some(program) = c(directory.path(), "cc", source, &["-Wl,--no-as-needed", "-lgcc_s"]) else { return };
    let held = held(&wants(&program));
    assert!(!held.iter().any(|line| line.starts_with("libc/unwinder")), "{held:?}");
}

#[test]
fn names_with_another_width() {
    let directory = tempfile::tempdir().unwrap();
    let source = "#include <stdlib.h>\nint main(int n, char **v) { return mkstemp(v[0]); }\n";
    let words = ["-D_FILE_OFFSET_BITS=64", "-D_LARGEFILE64_SOURCE"];
    let Some(program) = c(directory.path(), "cc", source, &words) else { return };
    assert_holds(&wants(&program), "libc/temporary-files");
}

#[test]
fn a_static_glibc() {
    let directory = tempfile::tempdir().unwrap();
    let source = "#include <pwd.h>\nint main(int n, char **v) { return !getpwnam(v[0]); }\n";
    let Some(program) = c(directory.path(), "cc", source, &["-static", "-Wno-all"]) else { return };
    let wants = wants(&program);
    assert_holds(&wants, "names/static-glibc: nsswitch");
    assert_holds(&wants, "users/users-static: passwd");
    let silent = c(directory.path(), "cc", "int main(int n, char **v) { return n; }\n", &["-static"]).unwrap();
    let held = held(&self::wants(&silent));
    assert!(!held.iter().any(|line| line.starts_with("names/") || line.starts_with("users/")), "{held:?}");
}

#[test]
fn musl() {
    let directory = tempfile::tempdir().unwrap();
    let source = "#include <time.h>\n#include <netdb.h>\nint main(int n, char **v) {\
        time_t t = n; return getaddrinfo(v[0], 0, 0, 0) + localtime(&t)->tm_hour; }\n";
    let Some(program) = c(directory.path(), "musl-gcc", source, &["-static"]) else { return };
    assert_holds(&wants(&program), "time/static: zoneinfo");
    assert_holds(&wants(&program), "names/resolver-files: at-run-time /etc/resolv.conf");
    let program = c(directory.path(), "musl-gcc", source, &[]).unwrap();
    let held = held(&wants(&program));
    assert!(held.iter().any(|line| line.starts_with("time/local-time-musl: zoneinfo")), "{held:?}");
    assert!(held.iter().any(|line| line == "names/hosts: at-run-time /etc/resolv.conf"), "{held:?}");
    assert!(!held.iter().any(|line| line.contains("nsswitch")), "{held:?}");
}

/// Written as the specification of the note says, by the assembler.
#[test]
fn a_declared_library() {
    let directory = tempfile::tempdir().unwrap();
    let note = r#"[{\"soname\":[\"libexample.so.2\",\"libexample.so.1\"],\"priority\":\"required\"}]"#;
    let source = format!(
        "__asm__(\".pushsection .note.dlopen, \\\"a\\\", %note\\n .balign 4\\n .long 4, 2f-1f, 0x407c0c0a\\n\
         .asciz \\\"FDO\\\"\\n 1: .asciz \\\"{}\\\"\\n 2: .balign 4\\n .popsection\");\n\
         int main(void) {{ return 0; }}\n",
        note.replace("\\\"", "\\\\\\\"")
    );
    let Some(program) = c(directory.path(), "cc", &source, &[]) else { return };
    assert_holds(&wants(&program), "loads/note-required: library libexample.so.2 libexample.so.1");
}

const GO: &str = r#"package main

import (
	"fmt"
	"mime"
	"net/http"
	"os"
	"os/user"
	"time"
)

func main() {
	zone, _ := time.LoadLocation(os.Args[1])
	answer, _ := http.Get(os.Args[1])
	who, _ := user.Lookup(os.Args[1])
	file, _ := os.CreateTemp("", "x")
	fmt.Println(time.Now().In(zone), answer, mime.TypeByExtension(os.Args[1]), who, file)
}
"#;

#[test]
fn go() {
    let Some(go) = peers::find("go") else { return };
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let build = |source: &str, name: &str| {
        std::fs::write(at.join("main.go"), source).unwrap();
        let mut command = Command::new(&go);
        command.args(["build", "-ldflags=-s -w", "-o", name, "main.go"]).current_dir(at);
        command.env("CGO_ENABLED", "0").env("GO111MODULE", "off").env("GOFLAGS", "").env("GOCACHE", at.join("cache"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        wants(&at.join(name))
    };
    let all = build(GO, "all");
    for wanted in [
        "certs/go: ca-bundle /etc/ssl/certs/ca-certificates.crt",
        "data/go-mime: file",
        "libc/temporary-files: writable /tmp",
        "names/go-hosts: nsswitch",
        "names/services: file /etc/services",
        "time/go: zoneinfo /usr/share/zoneinfo",
        "users/users: passwd",
    ] {
        assert_holds(&all, wanted);
    }
    let embedded = build(&GO.replace("\"time\"", "\"time\"\n\t_ \"time/tzdata\""), "embedded");
    assert_holds(&embedded, "certs/go");
    assert!(!held(&embedded).iter().any(|line| line.starts_with("time/")), "{:?}", held(&embedded));
    let small = build("package main\n\nfunc main() { println(1) }\n", "small");
    let known = |line: &String| line.starts_with("loads/") && !line.contains("/src/");
    assert!(held(&small).iter().all(known), "{:?}", held(&small));
}

#[test]
fn rust() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("main.rs");
    let text = "use std::net::ToSocketAddrs;\nfn main() {\n    let text = std::env::args().next().unwrap();\n    \
        println!(\"{:?} {:?} {:?}\", text.to_socket_addrs(), std::env::temp_dir(), std::fs::read(\"/etc/passwd\"));\n}\n";
    std::fs::write(&source, text).unwrap();
    let program = directory.path().join("main");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let Ok(output) = Command::new(rustc).arg(&source).arg("-o").arg(&program).output() else {
        peers::skipped("peer rustc absent");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let wants = wants(&program);
    assert_holds(&wants, "names/hosts: at-run-time /etc/resolv.conf");
    assert_holds(&wants, "names/hosts-glibc: nsswitch");
}

/// Its client checks certificates with the roots that are built in, and the crate that would ask the system is linked too.
#[test]
fn this_project_itself() {
    let held = held(&wants(Path::new(env!("CARGO_BIN_EXE_coracle"))));
    assert!(held.iter().any(|line| line == "names/hosts: at-run-time /etc/hosts"), "{held:?}");
    let certificates: Vec<&String> = held.iter().filter(|line| line.starts_with("certs/")).collect();
    assert!(certificates.iter().all(|line| line.starts_with("certs/rust-embedded: ")), "{certificates:?}");
    assert_eq!(certificates.len(), 1);
}
