//! Protections that programs of this machine have, beside what `readelf` and `checksec` say of them. Where `checksec` says
//! something else, the reason is one of a list, and a program made for it shows who is right.

#[path = "support/cli.rs"]
mod cli;
#[path = "support/peers.rs"]
mod peers;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use cli::Workbench;
use coracle::elf::{ElfFacts, Language, Linkage, Presence, Relro};
use coracle::rootfs::HostFile;
use serde_json::Value;

/// Programs that `readelf` judges, and of these those that `checksec` judges, which takes ten times as long.
const JUDGED: usize = 300;
const BESIDE_CHECKSEC: usize = 60;

/// At most `count` ELF programs of this machine, spread evenly, the same ones each time; with `CORACLE_DIFFERENTIAL=all` all.
fn programs(count: usize) -> Vec<PathBuf> {
    let count =
        if std::env::var("CORACLE_DIFFERENTIAL").is_ok_and(|which| which == "all") { usize::MAX } else { count };
    let mut all: Vec<PathBuf> = ["/usr/bin", "/usr/sbin"]
        .iter()
        .filter_map(|directory| std::fs::read_dir(directory).ok())
        .flat_map(|entries| entries.map(|entry| entry.unwrap().path()))
        .filter(|path| path.symlink_metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0))
        .filter(|path| facts(path).is_some())
        .collect();
    all.sort();
    let step = all.len().div_ceil(count).max(1);
    all.into_iter().step_by(step).collect()
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn facts(path: &Path) -> Option<ElfFacts> {
    ElfFacts::parse(&HostFile::open(path).ok()?).ok()
}

fn readelf(words: &[&str], file: &Path) -> String {
    let output = Command::new("readelf").arg("-W").args(words).arg(file).env("LC_ALL", "C").output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Names of a file's dynamic symbols by `readelf`: those that it imports, and those that it defines.
fn symbols(file: &Path) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut imports, mut defined) = (BTreeSet::new(), BTreeSet::new());
    for line in readelf(&["--dyn-syms"], file).lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (Some(&bind), Some(&section), Some(&name)) = (words.get(4), words.get(6), words.get(7)) else { continue };
        let name = name.split('@').next().unwrap().to_owned();
        match (bind, section) {
            ("LOCAL", _) => {}
            (_, "UND") => drop(imports.insert(name)),
            _ => drop(defined.insert(name)),
        }
    }
    (imports, defined)
}

/// The checking functions of this machine's glibc, by its own table of symbols.
fn checking() -> Option<BTreeSet<String>> {
    let libc = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib/aarch64-linux-gnu/libc.so.6", "/lib64/libc.so.6"];
    let libc = libc.iter().map(Path::new).find(|path| path.exists())?;
    let (_, defined) = symbols(libc);
    Some(defined.into_iter().filter(|name| name.ends_with("_chk") && name != "__stack_chk_fail").collect())
}

/// Whether what is told of one program is what its table of symbols and its headers say, by `readelf`.
fn judge(file: &Path, checking: &BTreeSet<String>) {
    let facts = facts(file).unwrap();
    let (imports, _) = symbols(file);
    let name = file.display();
    let text = |names: &[coracle::elf::Name]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    let code = &facts.code;
    let canary = imports.contains("__stack_chk_fail") || imports.contains("__stack_chk_guard");
    assert_eq!(code.canary.state == Presence::Yes, canary, "{name}");
    let open = ["__open_2", "__open64_2", "__openat_2", "__openat64_2", "__mq_open_2"].map(str::to_owned);
    let checked: BTreeSet<String> =
        imports.iter().filter(|n| checking.contains(*n) || open.contains(n)).cloned().collect();
    assert_eq!(text(&code.fortify.checked), checked, "{name}");
    assert_eq!(matches!(code.fortify.state, Presence::Yes | Presence::Partial), !checked.is_empty(), "{name}");
    if matches!(code.fortify.state, Presence::Partial | Presence::No) {
        let jumps = ["_longjmp", "longjmp", "siglongjmp"];
        // What has twins since glibc 2.37 is older than these, or comes from other libraries in older systems.
        let young = ["inet_ntop", "inet_pton", "strlcpy", "strlcat", "wcslcpy", "wcslcat", "memset_explicit"];
        let plain = |n: &&String| {
            !young.contains(&n.as_str()) && checking.contains(&format!("__{n}_chk")) || jumps.contains(&n.as_str())
        };
        assert_eq!(text(&code.fortify.unchecked), imports.iter().filter(plain).cloned().collect(), "{name}");
    }
    let said = readelf(&["-n", "-l", "-d", "-S"], file);
    let feature = |word: &str| said.lines().any(|l| l.contains("feature:") && l.split([' ', ',']).any(|w| w == word));
    let ours = facts.notes.properties;
    assert_eq!((ours.ibt, ours.shadow_stack), (feature("IBT"), feature("SHSTK")), "{name}");
    assert_eq!((ours.bti, ours.pac), (feature("BTI"), feature("PAC")), "{name}");
    let relro = said.lines().any(|line| line.trim_start().starts_with("GNU_RELRO"));
    let now = said.lines().any(|l| {
        l.contains("(BIND_NOW)")
            || l.contains("(FLAGS)") && l.contains("BIND_NOW")
            || l.contains("(FLAGS_1)") && l.split_whitespace().any(|word| word == "NOW")
    });
    // The map from segments to sections is at the end of what `readelf` says of segments; that of relro names no `.data`.
    let covers = |l: &&str| l.contains(".got") && !l.contains(" .data ");
    let mapped =
        !said.contains(" .got.plt") || said.lines().filter(covers).any(|l| l.contains(".got.plt ") && !l.contains('['));
    let is_static = matches!(facts.linkage, Linkage::Static | Linkage::StaticPie);
    let expected = match (relro, now || is_static && mapped) {
        (false, _) => Relro::None,
        (true, false) => Relro::Partial,
        (true, true) => Relro::Full,
    };
    assert_eq!(facts.hardening.relro, expected, "{name}");
}

#[test]
fn readings_are_those_of_readelf() {
    let (Some(_), Some(checking)) = (peers::find("readelf"), checking()) else { return };
    let all = programs(JUDGED);
    all.iter().for_each(|file| judge(file, &checking));
    let own = Path::new(env!("CARGO_BIN_EXE_coracle"));
    judge(own, &checking);
    say(&format!("{} programs beside readelf", all.len() + 1));
}

/// What `checksec` says of one file.
fn checksec(file: &Path) -> Option<Value> {
    let mut command = Command::new(peers::find("checksec")?);
    let output = command.arg("--format=json").arg(format!("--file={}", file.display())).output().unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    Some(said.as_object().unwrap().values().next().unwrap().clone())
}

/// Why `checksec` says something else of one field, each shown by a program of `false_readings_of_others_are_not_ours`.
fn excuse(field: &str, facts: &ElfFacts) -> Option<&'static str> {
    let is_static = matches!(facts.linkage, Linkage::Static | Linkage::StaticPie);
    match field {
        "relro" if is_static => Some("without a dynamic section it never says full"),
        "canary" if is_static => Some("it finds the canary of the C library within"),
        "fortify_source" if is_static => Some("it finds no import, and says no"),
        "canary" | "fortify_source" if facts.toolchain.language == Some(Language::Go) => Some("no canary is possible"),
        "fortify_source" if facts.toolchain.language == Some(Language::Rust) => Some("no check is possible"),
        _ => None,
    }
}

#[test]
fn checksec_says_the_same_or_is_wrong_for_a_known_reason() {
    let Some(_) = peers::find("checksec") else { return };
    let (mut compared, mut excused) = (0, Vec::new());
    for file in programs(BESIDE_CHECKSEC) {
        let (facts, theirs) = (facts(&file).unwrap(), checksec(&file).unwrap());
        let yes = |state: Presence| matches!(state, Presence::Yes | Presence::Partial).to_string();
        let word = |field: &str| theirs[field].as_str().unwrap().to_owned();
        let truth = |field: &str| (word(field) == "yes").to_string();
        let relro = serde_json::to_value(facts.hardening.relro).unwrap().as_str().unwrap().to_owned();
        let relro = if relro == "none" { "no".to_owned() } else { relro };
        let fields = [
            ("relro", relro, word("relro")),
            ("pie", facts.hardening.pie.to_string(), truth("pie")),
            ("nx", (facts.hardening.nx != Some(false)).to_string(), truth("nx")),
            ("symbols", (!facts.stripped).to_string(), truth("symbols")),
            ("canary", yes(facts.code.canary.state), truth("canary")),
            ("fortify_source", yes(facts.code.fortify.state), truth("fortify_source")),
        ];
        for (field, ours, theirs) in fields {
            if ours != theirs {
                let why = excuse(field, &facts);
                let why = why.unwrap_or_else(|| panic!("{}: {field}: {ours}, checksec {theirs}", file.display()));
                excused.push(format!("{} {field}: {why}", file.display()));
            }
        }
        if facts.code.fortify.state == Presence::Partial {
            // It counts neither checked opens nor `siglongjmp`.
            let counted = |names: &[coracle::elf::Name]| {
                let left_out = |name: &&coracle::elf::Name| {
                    let name = name.as_bytes();
                    !name.ends_with(b"_2") && name != b"siglongjmp"
                };
                names.iter().filter(left_out).count()
            };
            let (checked, plain) = (counted(&facts.code.fortify.checked), counted(&facts.code.fortify.unchecked));
            let theirs = (word("fortified"), word("fortify-able"));
            assert_eq!((checked.to_string(), (checked + plain).to_string()), theirs, "{}", file.display());
        }
        compared += 1;
    }
    say(&format!("{compared} programs beside checksec; it errs in {}: {excused:#?}", excused.len()));
}

/// Compiles `source` with `words`; `None`, said, when this machine cannot.
fn compile(bench: &Workbench, compiler: &str, out: &str, source: &str, words: &[&str]) -> Option<PathBuf> {
    bench.file(format!("{out}.c"), source);
    let mut cc = Command::new(compiler);
    let done = cc.current_dir(bench.path()).arg("-o").arg(out).arg(format!("{out}.c")).args(words).output();
    if !done.is_ok_and(|output| output.status.success()) {
        peers::skipped(&format!("{compiler} {words:?} does not work here"));
        return None;
    }
    Some(bench.join(out))
}

const EMPTY: &str = "int main(void) { return 0; }\n";
/// A buffer whose size is known, filled by a function with a checking twin.
const BUFFER: &str = "#include <stdio.h>\n#include <string.h>\n\
    int main(int c, char **v) { char b[64]; strcpy(b, v[c - 1]); puts(b); return 0; }\n";
const PLAIN: [&str; 3] = ["-O2", "-fno-stack-protector", "-U_FORTIFY_SOURCE"];
const FORTIFIED: [&str; 4] = ["-O2", "-fno-stack-protector", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"];

/// State of canary and fortified calls, and what `checksec` says, where it is here.
fn both(file: &Path) -> (Presence, Presence, Option<(String, String)>) {
    let code = facts(file).unwrap().code;
    let word = |said: &Value, field: &str| said[field].as_str().unwrap().to_owned();
    let theirs = checksec(file).map(|said| (word(&said, "canary"), word(&said, "fortify_source")));
    (code.canary.state, code.fortify.state, theirs)
}

#[test]
fn names_that_end_alike_are_not_taken_for_protections() {
    let bench = Workbench::new();
    let library = "int own_chk(void) { return 0; }\nint lol__stack_chk_fail(void) { return 0; }\n";
    if compile(&bench, "cc", "libown.so", library, &["-shared", "-fPIC", "-fno-stack-protector"]).is_none() {
        return;
    }
    let source = "int own_chk(void), lol__stack_chk_fail(void);\n\
        int main(void) { return own_chk() + lol__stack_chk_fail(); }\n";
    let words = [&PLAIN[..], &["-L.", "-lown", "-Wl,-rpath,$ORIGIN"]].concat();
    let program = compile(&bench, "cc", "own", source, &words).unwrap();
    let (canary, fortify, theirs) = both(&program);
    assert_eq!((canary, fortify), (Presence::No, Presence::NotApplicable));
    // It looks at the ends of names alone; the program has no checked call.
    assert!(theirs.is_none_or(|(_, fortify)| fortify == "yes"));
    let canary_only = ["-O2", "-fstack-protector-all", "-U_FORTIFY_SOURCE"];
    let program = compile(&bench, "cc", "canary", BUFFER, &canary_only).unwrap();
    assert_eq!(both(&program).0, Presence::Yes);
    assert_eq!(both(&program).1, Presence::No);
    let program = compile(&bench, "cc", "fortified", BUFFER, &FORTIFIED).unwrap();
    let (canary, fortify, theirs) = both(&program);
    assert_eq!((canary, fortify), (Presence::No, Presence::Yes));
    assert!(theirs.is_none_or(|theirs| theirs == ("no".to_owned(), "yes".to_owned())));
}

#[test]
fn what_a_static_program_cannot_tell_is_not_told() {
    let bench = Workbench::new();
    let statics = |out: &str, words: &[&str]| {
        let file = compile(&bench, "cc", out, EMPTY, &[&PLAIN[..], &["-static"], words].concat())?;
        Some((file.clone(), facts(&file).unwrap()))
    };
    let Some((file, lazy)) = statics("lazy", &["-no-pie", "-Wl,-z,lazy"]) else { return };
    let (canary, fortify, theirs) = both(&file);
    assert_eq!((canary, fortify), (Presence::Unknown, Presence::Unknown));
    assert!(lazy.code.canary.why.contains("C library"), "{}", lazy.code.canary.why);
    // The symbol is that of glibc within: the program was compiled without.
    assert!(theirs.is_none_or(|(canary, _)| canary == "yes"));
    // The table of functions for this processor lies outside of what becomes read-only, or inside: nobody but the sections
    // tells, and `checksec` calls both partial.
    let (file, now) = statics("now", &["-no-pie", "-Wl,-z,now"]).unwrap();
    let has_table = |file: &Path| readelf(&["-S"], file).contains(" .got.plt");
    assert_eq!((has_table(&bench.join("lazy")), has_table(&file)), (true, false));
    assert_eq!((lazy.hardening.relro, now.hardening.relro), (Relro::Partial, Relro::Full));
    assert!(checksec(&file).is_none_or(|said| said["relro"] == "partial"));
    let screen = bench.run(["inspect", "./now"]).succeeds();
    assert!(screen.contains("  no PIE, full RELRO, NX  "), "{screen}");
}

#[test]
fn musl_and_the_c_library_itself_get_a_reason() {
    let bench = Workbench::new();
    if let Some(program) = compile(&bench, "musl-gcc", "musl", BUFFER, &FORTIFIED) {
        let code = facts(&program).unwrap().code;
        assert_eq!((code.canary.state, code.fortify.state), (Presence::No, Presence::Unknown));
        assert!(code.fortify.why.contains("musl"), "{}", code.fortify.why);
    }
    let libc = Path::new("/lib/x86_64-linux-gnu/libc.so.6");
    if libc.exists() {
        let (canary, fortify, theirs) = both(libc);
        assert_eq!((canary, fortify), (Presence::Unknown, Presence::NotApplicable));
        // It defines both for others, which says nothing of its own calls.
        assert!(theirs.is_none_or(|theirs| theirs == ("yes".to_owned(), "yes".to_owned())));
    }
    let code = facts(Path::new(env!("CARGO_BIN_EXE_coracle"))).unwrap().code;
    assert_eq!(code.fortify.state, Presence::NotApplicable);
    assert!(code.fortify.why.contains("Rust") && code.fortify.unchecked.is_empty(), "{}", code.fortify.why);
}

#[test]
fn a_run_path_of_the_name_of_a_flag_is_no_flag() {
    let bench = Workbench::new();
    let words = ["-pie", "-fPIE", "-Wl,-z,lazy", "-Wl,-z,relro", "-Wl,-rpath,/BIND_NOW"];
    let Some(program) = compile(&bench, "cc", "forged", EMPTY, &words) else { return };
    assert_eq!(facts(&program).unwrap().hardening.relro, Relro::Partial);
    // It looks for the word anywhere.
    assert!(checksec(&program).is_none_or(|said| said["relro"] == "full"));
}

#[test]
fn what_libraries_take_from_the_process_is_told() {
    let bench = Workbench::new();
    let cet = ["-Wl,-z,ibt", "-Wl,-z,shstk", "-Wl,-z,now", "-nostdlib", "-fPIC"];
    let library = |out: &str, words: &[&str]| {
        compile(&bench, "cc", out, "int own(void) { return 0; }\n", &[&["-shared", "-nostdlib"], words].concat())
    };
    if !cfg!(target_arch = "x86_64") || library("libgood.so", &cet).is_none() {
        return;
    }
    library("libbad.so", &["-Wl,-z,shstk", "-Wl,-z,lazy", "-Wl,-z,norelro"]).unwrap();
    let program = |out: &str, words: &[&str]| {
        let own = ["-Wl,-e,main", "-Wl,--no-as-needed", "-L.", "-Wl,-rpath,$ORIGIN", "-pie"];
        compile(&bench, "cc", out, EMPTY, &[&cet[..], &own, words].concat()).unwrap();
        bench.run(["inspect", &format!("./{out}")]).succeeds()
    };
    let process = |screen: &str| screen.lines().nth(2).unwrap().trim().to_owned();
    // The loader of this machine, the second object, is compiled with it or without.
    let loader = Path::new("/lib64/ld-linux-x86-64.so.2");
    let features = readelf(&["-n"], loader);
    let broken = process(&program("broken", &["-lgood", "-lbad"]));
    let (ibt, shstk) = if features.contains("IBT") {
        ("only libbad.so", "SHSTK")
    } else {
        ("first of 2: ld-linux-x86-64.so.2", "no SHSTK (only ld-linux-x86-64.so.2)")
    };
    assert!(broken.starts_with(&format!("process: CET: no IBT ({ibt}), {shstk}; full RELRO in ")), "{broken}");
    let (full, first) = match facts(loader).unwrap().hardening.relro {
        Relro::Full => (3, "libbad.so"),
        _ => (2, "ld-linux-x86-64.so.2"),
    };
    assert!(broken.ends_with(&format!("; full RELRO in {full} of 4 objects (first without: {first})")), "{broken}");
    // A program that has it neither itself has nothing to lose.
    let plain = ["-O2", "-pie", "-Wl,-z,lazy", "-fcf-protection=none"];
    compile(&bench, "cc", "plain", EMPTY, &plain).unwrap();
    let plain = bench.run(["inspect", "./plain"]).succeeds();
    assert!(!plain.contains("process:"), "{plain}");
}

#[test]
fn privileges_of_a_file_are_those_that_the_machine_grants() {
    let bench = Workbench::new();
    let Some(file) = compile(&bench, "cc", "tool", EMPTY, &[]) else { return };
    let show = |words: &[&str]| bench.run(words).succeeds();
    assert!(!show(&["inspect", "./tool"]).contains("privileges:"));
    let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o2755);
    assert!(show(&["inspect", "./tool"]).contains("\n  privileges: setgid (mode 2755)\n"));
    // No group may execute it: the bit grants nothing.
    mode(0o2745);
    assert!(!show(&["inspect", "./tool"]).contains("privileges:"));
    mode(0o4755);
    assert!(show(&["inspect", "./tool"]).contains("\n  privileges: setuid (mode 4755)\n"));
    // The same through a root.
    let root = bench.path().to_str().unwrap().to_owned();
    let json: Value =
        serde_json::from_str(bench.run(["inspect", "root:/tool", "--root", &root, "--format", "json"]).stdout())
            .unwrap();
    assert_eq!((&json["privileges"]["mode"], &json["privileges"]["setuid"]), (&"4755".into(), &true.into()));
    let (Some(setcap), Some(getcap)) = (peers::find("setcap"), peers::find("getcap")) else { return };
    for text in ["cap_net_raw=ep", "cap_chown,cap_bpf=i", "cap_chown,cap_net_admin=eip"] {
        if !Command::new(&setcap).args([text, "tool"]).current_dir(bench.path()).output().unwrap().status.success() {
            return peers::skipped("file capabilities cannot be set here");
        }
        let said = Command::new(&getcap).arg("tool").current_dir(bench.path()).output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        let theirs = said.trim().strip_prefix("tool ").unwrap();
        for words in [&["inspect", "./tool"][..], &["inspect", "root:/tool", "--root", &root]] {
            let line = format!("\n  privileges: setuid (mode 4755), {theirs}\n");
            let screen = bench.run(words).stdout().to_owned();
            assert!(screen.contains(&line), "{line} {screen}");
        }
    }
}
