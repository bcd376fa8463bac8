//! Findings about a root's configuration and about the hardening of whole processes, judged by `ldconfig`, the loader of
//! this machine, and `readelf`.

#[path = "support/loader_cases.rs"]
mod cases;
#[path = "support/elf.rs"]
mod maker;
#[path = "support/peers.rs"]
mod peers;
#[path = "support/loader_told.rs"]
mod told;

use std::path::{Path, PathBuf};
use std::process::Command;

use cases::Bench;
use coracle::analyze::hardening::{Effective, hardening_of};
use coracle::analyze::loader::{Closure, Target};
use coracle::analyze::verdict::{Judgement, Question, configuration, configured_directories, verdict};
use coracle::oci::ImagePath;
use coracle::rootfs::{DirRoot, MemoryRoot};
use maker::{ElfMaker, Machine};
use peers::skipped;

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
const LIBC: &str = "/lib/x86_64-linux-gnu/libc.so.6";

fn can_judge() -> bool {
    let can = cfg!(target_arch = "x86_64") && Path::new(LOADER).exists() && Path::new(LIBC).exists();
    if !can {
        skipped("this machine has no glibc for x86-64 in Debian's places");
    }
    can
}

fn judge(bench: &Bench) -> Judgement {
    let root = DirRoot::open(&bench.root()).unwrap();
    let closure = Target::new(&root).closure(b"/bin/prog", None).unwrap().unwrap();
    configuration(&root, &closure.profile, closure.loaded[0].object.abi).unwrap()
}

fn codes(judgement: &Judgement) -> Vec<&str> {
    judgement.diagnostics.iter().map(|d| d.code.0).collect()
}

fn says(judgement: &Judgement, code: &str, words: &[&str]) {
    let text: String = judgement.diagnostics.iter().filter(|d| d.code.0 == code).map(ToString::to_string).collect();
    for word in words {
        assert!(text.contains(word), "`{word}` is not in:\n{text}");
    }
}

fn ldconfig(bench: &Bench, words: &[&str]) -> Option<String> {
    let peer = peers::find("ldconfig")?;
    let output = Command::new(peer).args(words).arg("-r").arg(bench.root()).output().unwrap();
    if !output.status.success() {
        skipped(&String::from_utf8_lossy(&output.stderr));
        return None;
    }
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A root whose program needs `libx.so.1`, which lies in `/opt/one` and nowhere else.
fn root_with_conf() -> Bench {
    let bench = Bench::rooted("cc", &[LOADER, LIBC]);
    bench.library("opt/one/libx.so.1", &["-Wl,-soname,libx.so.1"]);
    bench.file("etc/ld.so.conf", b"include /etc/ld.so.conf.d/*.conf\n");
    bench.file("etc/ld.so.conf.d/one.conf", b"# the vendor's\n/opt/one/\n");
    bench.program("bin/prog", &["opt/one/libx.so.1"]);
    bench
}

#[test]
fn a_cache_that_does_not_know_its_directories() {
    if !can_judge() {
        return;
    }
    let bench = root_with_conf();
    let Some((status, said)) = bench.run("bin/prog", &[]) else { return skipped("only root can enter a root") };
    assert!(status != 0 && said.contains("libx.so.1: cannot open shared object file"), "{said}");
    let judgement = judge(&bench);
    assert_eq!(codes(&judgement), ["L032"]);
    says(&judgement, "L032", &["there is no cache", "/etc/ld.so.conf.d/one.conf:2: /opt/one"]);
    if ldconfig(&bench, &["-X"]).is_none() {
        return;
    }
    assert_eq!(bench.run("bin/prog", &[]), Some((0, String::new())));
    assert_eq!(codes(&judge(&bench)), [""; 0]);
    // Another directory is named later, with a library, and without.
    bench.file("etc/ld.so.conf.d/two.conf", b"/opt/two\n/opt/empty\n");
    std::fs::create_dir_all(bench.at("opt/empty")).unwrap();
    assert_eq!(codes(&judge(&bench)), [""; 0]);
    std::fs::create_dir_all(bench.at("opt/two")).unwrap();
    std::fs::rename(bench.at("opt/one/libx.so.1"), bench.at("opt/two/libx.so.1")).unwrap();
    assert_ne!(bench.run("bin/prog", &[]).unwrap().0, 0);
    let judgement = judge(&bench);
    assert_eq!(codes(&judgement), ["L033", "L032"]);
    says(&judgement, "L033", &["1 files of the cache", "not there: /opt/one/libx.so.1"]);
    says(&judgement, "L032", &["does not know all", "/etc/ld.so.conf.d/two.conf:1: /opt/two"]);
    // A cache that is cut short counts as none, for the loader too.
    std::fs::rename(bench.at("opt/two/libx.so.1"), bench.at("opt/one/libx.so.1")).unwrap();
    let cache = std::fs::read(bench.at("etc/ld.so.cache")).unwrap();
    bench.file("etc/ld.so.cache", &cache[..60]);
    assert_ne!(bench.run("bin/prog", &[]).unwrap().0, 0);
    assert_eq!(codes(&judge(&bench)), ["L034", "L032"]);
}

#[test]
fn preloaded_libraries_are_told() {
    if !can_judge() {
        return;
    }
    let bench = Bench::rooted("cc", &[LOADER, LIBC]);
    bench.program("bin/prog", &[]);
    bench.file("etc/ld.so.preload", b"# nothing\n");
    assert_eq!(codes(&judge(&bench)), [""; 0]);
    bench.file("etc/ld.so.preload", b"/opt/libhook.so libtrace.so # both\n");
    let judgement = judge(&bench);
    says(&judgement, "L031", &["preloaded: /opt/libhook.so", "preloaded: libtrace.so"]);
    let Some((_, said)) = bench.run("bin/prog", &[]) else { return skipped("only root can enter a root") };
    assert!(said.contains("/opt/libhook.so") && said.contains("libtrace.so"), "{said}");
}

#[test]
fn the_configuration_is_read_as_ldconfig_reads_it() {
    if !can_judge() {
        return;
    }
    let bench = Bench::rooted("cc", &[LOADER, LIBC]);
    let text = "\t/opt/tab \n/opt/slash///\n#/opt/comment\n/opt/end # comment\n/opt/two words\ninclude\tconf.d/[a-c]*.conf conf.d/?z.conf\n\
        include /etc/nowhere/*.conf\nincludes/x\nhwcap 0 x\nrelative\n/opt/last";
    bench.file("etc/ld.so.conf", text.as_bytes());
    bench.file("etc/conf.d/b.conf", b"/opt/b\n");
    bench.file("etc/conf.d/a1.conf", b"/opt/a1\ninclude deeper/*\n");
    bench.file("etc/conf.d/d.conf", b"/opt/d\n");
    bench.file("etc/conf.d/.a.conf", b"/opt/hidden\n");
    bench.file("etc/conf.d/zz.conf", b"/opt/zz\n");
    bench.file("etc/conf.d/deeper/any", b"/opt/deeper\n");
    let names = ["tab", "slash", "comment", "end", "two words", "b", "a1", "d", "hidden", "zz", "deeper", "last"];
    for name in names {
        std::fs::create_dir_all(bench.at(&format!("opt/{name}/x")).parent().unwrap()).unwrap();
    }
    let root = DirRoot::open(&bench.root()).unwrap();
    let ours: Vec<String> = configured_directories(&root)
        .unwrap()
        .iter()
        .map(|d| format!("{}: (from {}:{})", text_of(&d.path), text_of(&d.file), d.line))
        .collect();
    let Some(said) = ldconfig(&bench, &["-v", "-N", "-X"]) else { return };
    let mut theirs: Vec<String> = said.lines().filter(|l| l.starts_with("/opt/")).map(str::to_owned).collect();
    let mut sorted = ours.clone();
    sorted.sort();
    theirs.sort();
    assert_eq!(sorted, theirs);
    assert_eq!(ours.len(), 9, "{ours:?}");
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_configuration_that_includes_itself_ends() {
    let mut root = MemoryRoot::new();
    let at = |path: &str| ImagePath::parse(path).unwrap();
    let text: String = "include *\ninclude /etc/*\n/opt\n".repeat(20);
    root.add_file(&at("etc/ld.so.conf"), text.into_bytes(), 0o644);
    let found = configured_directories(&root).unwrap();
    assert!(!found.is_empty() && found.len() <= 1024, "{}", found.len());
}

#[test]
fn a_walk_that_is_cut_off_is_told() {
    let mut root = MemoryRoot::new();
    let at = |path: &str| ImagePath::parse(path).unwrap();
    let loader = b"\0x\0/lib/tuple/\0/usr/lib/\0\0";
    root.add_file(&at("lib/ld.so.1"), ElfMaker::new(Machine::Amd64).object_type(3).payload(loader).build(), 0o755);
    let program = ElfMaker::new(Machine::Amd64).static_pie(true).interp("/lib/ld.so.1").needed("l0.so");
    root.add_file(&at("bin/prog"), program.build(), 0o755);
    for i in 0..4200 {
        let maker = ElfMaker::new(Machine::Amd64).object_type(3).needed(&format!("l{}.so", i + 1));
        root.add_file(&at(&format!("lib/tuple/l{i}.so")), maker.build(), 0o644);
    }
    let closure = Target::new(&root).closure(b"/bin/prog", None).unwrap().unwrap();
    let judgement = verdict(&Question { program: "prog", root: &root, closure: &closure, level: 1 }).unwrap();
    assert!(codes(&judgement).contains(&"L050"), "{:?}", codes(&judgement));
}

#[test]
fn programs_that_start_are_not_refused() {
    if !can_judge() {
        return;
    }
    let root = DirRoot::open(Path::new("/")).unwrap();
    let target = Target::new(&root);
    let mut names: Vec<PathBuf> = std::fs::read_dir("/usr/bin").unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let (mut judged, mut wrong) = (0, Vec::new());
    for path in names.iter().step_by(7) {
        let Some(name) = path.to_str() else { continue };
        let Ok(Ok(closure)) = target.closure(name.as_bytes(), None) else { continue };
        // For setuid and setgid programs the loader does not listen, and they would start.
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions());
        if closure.loaded[1].path != LOADER.as_bytes() || mode & 0o6000 != 0 {
            continue;
        }
        // As `ldd` does; the kernel starts the program by its real path.
        let output = Command::new(name).env_clear().env("LD_TRACE_LOADED_OBJECTS", "1").output().unwrap();
        let fine = output.status.success() && !String::from_utf8_lossy(&output.stdout).contains("not found");
        let judgement = verdict(&Question { program: name, root: &root, closure: &closure, level: 1 }).unwrap();
        let refused = judgement.diagnostics.iter().any(|d| d.severity == coracle::diag::Severity::Error);
        if fine == refused {
            wrong.push(format!("{name}: {:?}", codes(&judgement)));
        }
        judged += 1;
    }
    assert!(judged > 20 && wrong.is_empty(), "{} of {judged}: {wrong:#?}", wrong.len());
}

/// What `readelf` says of a member.
fn readelf(root: &Path, path: &ImagePath) -> String {
    let file: PathBuf = root.join(path.to_string().trim_start_matches('/'));
    let output = Command::new("readelf").args(["-W", "-n", "-l", "-d"]).arg(file).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The protections of a closure by what `readelf` says of each member.
fn compare(root: &Path, closure: &Closure) {
    let tree = DirRoot::open(root).unwrap();
    let ours = hardening_of(&tree, closure).unwrap();
    let told: Vec<(String, String)> =
        closure.loaded.iter().map(|l| (text_of(&l.path), readelf(root, &l.resolved.path))).collect();
    let effective = |has: &dyn Fn(&str) -> bool| {
        let broken: Vec<&str> = told.iter().filter(|(_, said)| !has(said)).map(|(path, _)| path.as_str()).collect();
        let broken_by = broken.first().map(|path| (*path).to_owned());
        Effective { holds: broken.is_empty(), broken_by, broken: broken.len() }
    };
    let feature = |name: &'static str| {
        effective(&move |said: &str| {
            said.lines().any(|l| l.contains("feature:") && l.split([' ', ',']).any(|word| word == name))
        })
    };
    let arm = told[0].1.contains("aarch64");
    assert_eq!(ours.ibt, (!arm).then(|| feature("IBT")));
    assert_eq!(ours.shadow_stack, (!arm).then(|| feature("SHSTK")));
    assert_eq!(ours.bti, arm.then(|| feature("BTI")));
    assert_eq!(ours.pac, arm.then(|| feature("PAC")));
    let relro = |said: &str| said.contains("GNU_RELRO");
    let now = |said: &str| said.contains("BIND_NOW") || said.contains("Flags: NOW") || said.contains("(BIND_NOW)");
    let full = told.iter().filter(|(_, said)| relro(said) && now(said)).count();
    let partial = told.iter().filter(|(_, said)| relro(said) && !now(said)).count();
    assert_eq!((ours.relro.full, ours.relro.partial), (full, partial));
    let stack = |said: &str| !said.lines().any(|l| l.contains("GNU_STACK") && l.contains("RWE"));
    assert_eq!(ours.no_execute_stack, effective(&stack));
    assert_eq!(ours.no_text_relocations, effective(&|said: &str| !said.contains("TEXTREL")));
    assert_eq!(ours.objects, closure.loaded.len());
}

#[test]
fn protections_hold_when_all_have_them() {
    if !can_judge() || peers::find("readelf").is_none() {
        return;
    }
    let bench = Bench::new("cc");
    let root = DirRoot::open(Path::new("/")).unwrap();
    let target = Target::new(&root);
    let cet = ["-Wl,-z,ibt", "-Wl,-z,shstk", "-Wl,-z,now"];
    bench.library("d/liba.so", &cet);
    bench.library("d/libb.so", &["-Wl,-z,norelro", "-Wl,-z,lazy"]);
    bench.program("both", &[&["-Ld", "-la", "-lb", "-Wl,-rpath,$ORIGIN/d"][..], &cet].concat());
    // Without libc: nothing breaks it but what is asked for.
    let bare = ["-nostdlib", "-Wl,-e,main", "-Ld", "-la", "-Wl,-rpath,$ORIGIN/d"];
    bench.program("bare", &[&bare[..], &cet].concat());
    for program in ["both", "bare"] {
        let closure = target.closure(bench.name(program).as_bytes(), None).unwrap().unwrap();
        compare(Path::new("/"), &closure);
    }
    for program in ["/usr/bin/ls", "/usr/bin/env", "/usr/bin/apt-get", "/usr/bin/python3"] {
        if let Ok(closure) = target.closure(program.as_bytes(), None).unwrap() {
            compare(Path::new("/"), &closure);
        }
    }
    let closure = target.closure(bench.name("both").as_bytes(), None).unwrap().unwrap();
    let broken = hardening_of(&root, &closure).unwrap();
    assert!(!broken.ibt.unwrap().holds && broken.relro.none == 1);
}

#[test]
fn protections_of_arm() {
    let libraries = Path::new("/usr/aarch64-linux-gnu/lib");
    let compiler = "aarch64-linux-gnu-gcc";
    if !libraries.exists() || peers::find("readelf").is_none() || Command::new(compiler).arg("-v").output().is_err() {
        return skipped("this machine has no compiler for arm64");
    }
    let bench = Bench::rooted(compiler, &[]);
    for name in ["ld-linux-aarch64.so.1", "libc.so.6"] {
        std::fs::copy(libraries.join(name), bench.at(&format!("lib/{name}"))).unwrap();
    }
    let protect = "-mbranch-protection=standard";
    bench.library("lib/liba.so", &[protect, "-Wl,-z,force-bti"]);
    bench.program("bin/prog", &["-Llib", "-la", protect]);
    bench.program("bin/bare", &["-nostdlib", "-Llib", "-la", protect, "-Wl,-e,main", "-Wl,-z,force-bti"]);
    let root = DirRoot::open(&bench.root()).unwrap();
    let target = Target::new(&root);
    for program in ["/bin/prog", "/bin/bare"] {
        let closure = target.closure(program.as_bytes(), None).unwrap().unwrap();
        assert!(closure.missing.is_empty(), "{:?}", closure.missing);
        compare(&bench.root(), &closure);
    }
}
