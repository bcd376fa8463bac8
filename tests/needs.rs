//! What goes into an image beyond the libraries that the loader maps: rules, selectors, what is made, what is refused.

mod support {
    pub mod cli;
    pub mod sysroot;
}

use std::collections::BTreeMap;

use serde_json::Value;
use support::cli::Workbench;
use support::sysroot::{Sysroot, cc};

const PLAIN: &str = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n";

/// A bench with the program `app` and a root that has what its loader needs.
fn bench(code: &str) -> (Workbench, Sysroot) {
    let bench = Workbench::new();
    let app = cc(bench.path(), "app", code, &[]);
    let root = Sysroot::of(bench.join("root"), &[&app]);
    (bench, root)
}

/// Entries of the plan by path, and the findings.
struct Planned {
    entries: BTreeMap<String, Value>,
    env: Vec<String>,
    stderr: String,
}

fn plan(bench: &Workbench, flags: &[&str]) -> Planned {
    let mut words = vec!["plan", "app", "--root", "root", "--format", "json"];
    words.extend(flags);
    let run = bench.run(&words);
    assert_eq!(run.code(), Some(0), "{flags:?}: {}", run.stderr());
    let json: Value = serde_json::from_str(run.stdout()).unwrap();
    let plan = &json["plans"][0];
    let entries = plan["layers"].as_array().unwrap().iter().flat_map(|layer| layer["entries"].as_array().unwrap());
    let entries = entries.map(|entry| (entry["path"].as_str().unwrap().to_owned(), entry.clone())).collect();
    let env = plan["config"]["Env"].as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect();
    // The root of a test has no packages.
    let stderr = run.stderr().replacen(NO_PACKAGES, "", 1);
    Planned { entries, env, stderr }
}

const NO_PACKAGES: &str = "note[D001]: `/`: the root has no package database, so no package is known for its files\n  hint: \
     scanners find no distribution packages in the image; use a root in which packages were installed\n";

/// The content of a file of the built image.
fn built(bench: &Workbench, flags: &[&str], path: &str) -> Vec<u8> {
    let mut words = vec!["build", "app", "--root", "root", "--compression", "none", "--output", "oci:built", "--quiet"];
    words.extend(flags);
    bench.run(&words).succeeds();
    for blob in std::fs::read_dir(bench.join("built/blobs/sha256")).unwrap() {
        let found = std::process::Command::new("tar").arg("-xOf").arg(blob.unwrap().path()).arg(path).output().unwrap();
        if found.status.success() && !found.stdout.is_empty() {
            return found.stdout;
        }
    }
    panic!("no {path}");
}

fn refused(bench: &Workbench, flags: &[&str], want: &[&str]) {
    let mut words = vec!["plan", "app"];
    if !flags.contains(&"--root") {
        words.extend(["--root", "root"]);
    }
    words.extend(flags);
    let run = bench.run(&words);
    assert_eq!((run.code(), run.stdout()), (Some(1), ""), "{flags:?}: {}", run.stderr());
    for part in want {
        assert!(run.stderr().contains(part), "{part}: {}", run.stderr());
    }
}

impl Planned {
    #[track_caller]
    fn has(&self, path: &str) -> &Value {
        self.entries.get(path).unwrap_or_else(|| panic!("no {path} in {:?}", self.entries.keys()))
    }

    #[track_caller]
    fn lacks(&self, path: &str) {
        assert!(!self.entries.contains_key(path), "{path} is there");
    }
}

#[test]
fn a_plain_program_gets_its_libraries_and_nothing_else() {
    let (bench, root) = bench(PLAIN);
    root.file("/etc/passwd", "local:x:1000:1000::/home/local:/bin/sh\n");
    root.file("/etc/ld.so.preload", "/usr/lib/evil.so\n");
    root.file("/etc/ssl/certs/ca-certificates.crt", "x");
    let planned = plan(&bench, &[]);
    let files: Vec<&String> =
        planned.entries.iter().filter(|(_, entry)| entry["kind"] != "dir").map(|(path, _)| path).collect();
    assert_eq!(files.len(), 3, "{files:?}");
    assert!(files.iter().any(|path| path.ends_with("libc.so.6")) && files.iter().any(|path| path.contains("/ld-")));
    assert!(planned.stderr.starts_with("warning[L031]: `/etc/ld.so.preload`"), "{}", planned.stderr);
}

#[test]
fn users_are_looked_up_in_files_of_our_own() {
    let (bench, root) = bench("#include <pwd.h>\nint main(void) { return getpwuid(0) == 0; }\n");
    root.file("/etc/passwd", "local:x:1000:1000::/home/local:/bin/sh\n");
    let planned = plan(&bench, &[]);
    let passwd = planned.has("/etc/passwd")["content"].as_str().unwrap();
    assert!(passwd.contains("nonroot:x:65532") && !passwd.contains("local"), "{passwd}");

    let without = plan(&bench, &["--without", "users"]);
    without.lacks("/etc/passwd");
    assert!(without.stderr.contains("warning[N005]"), "{}", without.stderr);
    refused(&bench, &["--without", "users", "--strict"], &["error[N005]"]);
}

#[test]
fn certificates_come_from_the_user_the_root_its_package_or_mozilla() {
    const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
    let pem = |name: &str| format!("-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n");
    let (bench, root) = bench(PLAIN);
    let content =
        |planned: &Planned| planned.has(BUNDLE)["content"].as_str().unwrap_or_default().replace("\\x0a", "\n");

    let mozilla = plan(&bench, &["--with", "certs"]);
    assert!(mozilla.has(BUNDLE)["size"].as_u64().unwrap() > 100_000);
    assert!(mozilla.env.contains(&format!("SSL_CERT_FILE={BUNDLE}")), "{:?}", mozilla.env);
    let again = plan(&bench, &["--with", "certs"]);
    assert_eq!(mozilla.has(BUNDLE)["digest"], again.has(BUNDLE)["digest"]);

    root.file("/usr/share/ca-certificates/b/two.crt", pem("two"));
    root.file("/usr/share/ca-certificates/a/one.crt", pem("one").trim_end());
    assert_eq!(content(&plan(&bench, &["--with", "certs"])), pem("one") + &pem("two"));

    root.file("/etc/pki/tls/certs/ca-bundle.crt", pem("root"));
    let of_root = plan(&bench, &["--with", "certs"]);
    assert_eq!(of_root.has(BUNDLE)["size"], pem("root").len());

    bench.file("own.pem", pem("own"));
    assert_eq!(content(&plan(&bench, &["--with", "certs", "--ca-bundle", "own.pem"])), pem("own"));
    bench.file("bad.pem", "no certificate");
    refused(&bench, &["--ca-bundle", "bad.pem"], &["`bad.pem`", "BEGIN CERTIFICATE"]);
}

#[test]
fn mozillas_bundle_is_read_by_openssl() {
    let (bench, _) = bench(PLAIN);
    let Ok(openssl) = std::process::Command::new("openssl").arg("version").output() else { return };
    assert!(openssl.status.success());
    let bundle = built(&bench, &["--with", "certs"], "etc/ssl/certs/ca-certificates.crt");
    assert!(String::from_utf8_lossy(&bundle).matches("BEGIN CERTIFICATE").count() > 50);
    let bundle = bench.file("bundle.pem", bundle);
    let counted = |path: &std::path::Path| {
        let made = std::process::Command::new("openssl")
            .args(["crl2pkcs7", "-nocrl", "-certfile"])
            .arg(path)
            .output()
            .unwrap();
        made.status.success()
    };
    assert!(counted(&bundle));
    let broken = bench.file("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert!(!counted(&broken));
}

#[test]
fn time_zones_come_from_the_root_or_from_coracle() {
    let (bench, root) = bench(PLAIN);
    let own = plan(&bench, &["--with", "tzdata"]);
    let berlin = own.has("/usr/share/zoneinfo/Europe/Berlin");
    assert!(berlin["size"].as_u64().unwrap() > 500);

    root.file("/usr/share/zoneinfo/Europe/Berlin", "TZif2 of the root");
    root.file("/usr/share/zoneinfo/right/Europe/Berlin", "TZif2 with leap seconds");
    root.link("/usr/share/zoneinfo/localtime", "/etc/localtime");
    root.file("/etc/localtime", "the zone of this machine");
    root.link("/usr/share/zoneinfo/Germany", "Europe/Berlin");
    let of_root = plan(&bench, &["--with", "tzdata"]);
    assert_eq!(of_root.has("/usr/share/zoneinfo/Europe/Berlin")["size"], 17);
    assert_eq!(of_root.has("/usr/share/zoneinfo/Germany")["target"], "Europe/Berlin");
    of_root.lacks("/etc/localtime");
    of_root.lacks("/usr/share/zoneinfo/localtime");
    of_root.lacks("/usr/share/zoneinfo/right/Europe/Berlin");
}

#[test]
fn a_script_brings_its_interpreter_and_a_program_its_libraries() {
    let (bench, root) = bench(PLAIN);
    let library = cc(
        bench.path(),
        "libtool.so.1",
        "int tool(void) { return 1; }\n",
        &["-shared", "-fPIC", "-Wl,-soname,libtool.so.1"],
    );
    let run = "int tool(void); int main(void) { return tool(); }\n";
    let interpreter = cc(bench.path(), "interp", run, &[library.to_str().unwrap()]);
    let env = cc(bench.path(), "env", PLAIN, &[]);
    root.copy(&interpreter, "/usr/bin/interp");
    root.copy(&env, "/usr/bin/env");
    root.copy(&library, "/usr/lib/libtool.so.1");
    root.script("/usr/bin/tool", "#!/usr/bin/env -S interp -x\necho\n");
    for flag in ["program:tool", "program:/usr/bin/tool", "file:/usr/bin/tool"] {
        let planned = plan(&bench, &["--with", flag]);
        for path in ["/usr/bin/tool", "/usr/bin/env", "/usr/bin/interp", "/usr/lib/libtool.so.1"] {
            planned.has(path);
        }
        assert_eq!(planned.has("/usr/bin/tool")["mode"], "0755");
    }
    refused(&bench, &["--with", "program:absent"], &["error[N008]", "absent"]);
}

#[test]
fn a_library_that_is_loaded_at_run_time_brings_what_it_needs() {
    let (bench, root) = bench(PLAIN);
    let below = cc(
        bench.path(),
        "libbelow.so.1",
        "int below(void) { return 1; }\n",
        &["-shared", "-fPIC", "-Wl,-soname,libbelow.so.1"],
    );
    let plugin = "int below(void); int plugin(void) { return below(); }\n";
    let plugin = cc(bench.path(), "plugin.so", plugin, &["-shared", "-fPIC", below.to_str().unwrap()]);
    root.copy(&plugin, "/usr/lib/plugin.so");
    root.copy(&plugin, "/opt/plugins/plugin.so");
    let incomplete = plan(&bench, &["--with", "lib:plugin.so"]);
    assert!(
        incomplete.stderr.contains("note[N010]") && incomplete.stderr.contains("libbelow.so.1"),
        "{}",
        incomplete.stderr
    );

    root.copy(&below, "/usr/lib/libbelow.so.1");
    for (flag, path) in [("lib:plugin.so", "/usr/lib/plugin.so"), ("file:/opt/plugins", "/opt/plugins/plugin.so")] {
        let planned = plan(&bench, &["--with", flag]);
        planned.has(path);
        planned.has("/usr/lib/libbelow.so.1");
        assert_eq!(planned.stderr, "", "{flag}");
    }
    refused(&bench, &["--with", "lib:libabsent.so"], &["error[N008]", "libabsent.so"]);
}

#[test]
fn an_error_stands_without_the_flags_for_what_is_not_included() {
    let (bench, _) = bench("#include <time.h>\nint main(void) { time_t t = 0; return localtime(&t) == 0; }\n");
    assert!(plan(&bench, &[]).stderr.contains("note[N009]: `/app/app`"));
    let run = bench.run(["plan", "app", "--root", "root", "--with", "lib:libabsent.so"]);
    assert!(run.stderr().contains("error[N008]") && !run.stderr().contains("N009"), "{}", run.stderr());
}

/// A string of the program says the same name, which is a hint; the word of the user is more than that.
#[test]
fn a_library_that_is_asked_for_and_hinted_at_must_be_there() {
    let (bench, _) = bench("#include <dlfcn.h>\nint main(void) { return dlopen(\"libgone.so\", RTLD_NOW) != 0; }\n");
    assert_eq!(plan(&bench, &[]).stderr, "");
    refused(&bench, &["--with", "lib:libgone.so"], &["error[N008]: `libgone.so`", "`coracle explain`"]);
}

#[test]
fn a_locale_that_is_named_must_be_there_whatever_rules_say_of_locales() {
    let code = "#include <locale.h>\nint main(void) { return !setlocale(LC_ALL, \"\"); }\n";
    let (bench, root) = bench(code);
    root.file("/usr/lib/locale/C.utf8/LC_CTYPE", "c");
    // A file that the same feature stands for, and that is no locale.
    root.file("/usr/share/locale/locale.alias", "");
    refused(&bench, &["--with", "locale=xx_XX"], &["error[N008]", "--with: locale=xx_XX", "the root has: C.utf8"]);
    plan(&bench, &["--with", "locale=C.UTF-8"]).has("/usr/lib/locale/C.utf8/LC_CTYPE");
}

#[test]
fn a_link_that_a_script_would_have_made() {
    let bench = Workbench::new();
    let library = cc(
        bench.path(),
        "libalt.so.3",
        "int alt(void) { return 0; }\n",
        &["-shared", "-fPIC", "-Wl,-soname,libalt.so.3"],
    );
    let app =
        cc(bench.path(), "app", "int alt(void); int main(void) { return alt(); }\n", &[library.to_str().unwrap()]);
    let root = Sysroot::of(bench.join("root"), &[&app]);
    root.copy(&library, "/usr/lib/alternatives/libalt.so.3");
    refused(&bench, &[], &["`libalt.so.3`"]);
    let planned = plan(&bench, &["--with", "link:/usr/lib/libalt.so.3=/usr/lib/alternatives/libalt.so.3"]);
    assert_eq!(planned.has("/usr/lib/libalt.so.3")["target"], "/usr/lib/alternatives/libalt.so.3");
    planned.has("/usr/lib/alternatives/libalt.so.3");
}

#[test]
fn locales_and_converters_by_name() {
    let (bench, root) = bench(PLAIN);
    root.file("/usr/lib/locale/C.utf8/LC_CTYPE", "c");
    root.file("/usr/lib/locale/de_DE.utf8/LC_CTYPE", "de");
    let planned = plan(&bench, &["--with", "locale=de_DE.UTF-8"]);
    planned.has("/usr/lib/locale/de_DE.utf8/LC_CTYPE");
    planned.lacks("/usr/lib/locale/C.utf8/LC_CTYPE");
    plan(&bench, &["--with", "locale"]).has("/usr/lib/locale/C.utf8/LC_CTYPE");
    refused(&bench, &["--with", "locale=xx_XX"], &["error[N008]", "locale=xx_XX"]);

    let module = cc(bench.path(), "SJIS.so", "int gconv(void) { return 0; }\n", &["-shared", "-fPIC"]);
    root.copy(&module, "/usr/lib/gconv/SJIS.so");
    root.copy(&module, "/usr/lib/gconv/KOI8-R.so");
    root.file("/usr/lib/gconv/gconv-modules", "alias MS_KANJI// SJIS//\nmodule SJIS// INTERNAL SJIS 1\n");
    root.file("/usr/lib/gconv/gconv-modules.d/extra.conf", "module KOI8-R// INTERNAL KOI8-R 1\n");
    let one = plan(&bench, &["--with", "gconv=ms_kanji"]);
    one.has("/usr/lib/gconv/SJIS.so");
    one.has("/usr/lib/gconv/gconv-modules.d/extra.conf");
    one.lacks("/usr/lib/gconv/KOI8-R.so");
    plan(&bench, &["--with", "gconv"]).has("/usr/lib/gconv/KOI8-R.so");
    refused(&bench, &["--with", "gconv=KLINGON"], &["error[N008]", "gconv=KLINGON"]);
}

#[test]
fn what_selectors_cannot_name_is_told() {
    let (bench, _) = bench(PLAIN);
    refused(&bench, &["--with", "certificates"], &["error[N006]", "`certs`"]);
    refused(&bench, &["--with", "file:relative"], &["`--with` cannot be `file:relative`", "absolute path"]);
    refused(&bench, &["--with", "cert"], &["error[N006]", "did you mean `certs`?"]);
    let planned = plan(&bench, &["--without", "certs"]);
    assert!(planned.stderr.contains("warning[N007]"), "{}", planned.stderr);
    let planned = plan(&bench, &["--without", "lib:libc.so.6"]);
    assert!(planned.stderr.contains("what the loader maps when the program starts"), "{}", planned.stderr);
    planned.has("/lib/x86_64-linux-gnu/libc.so.6");
}

#[test]
fn the_files_of_an_image_are_a_root_as_well() {
    let bench = Workbench::new();
    let library = cc(
        bench.path(),
        "libown.so.1",
        "int own(void) { return 0; }\n",
        &["-shared", "-fPIC", "-Wl,-soname,libown.so.1"],
    );
    let app =
        cc(bench.path(), "app", "int own(void); int main(void) { return own(); }\n", &[library.to_str().unwrap()]);
    let root = Sysroot::of(bench.join("root"), &[&app]);
    root.copy(&library, "/usr/lib/libown.so.1");
    let carrier = cc(bench.path(), "carrier", "int main(void) { return 0; }\n", &["-static"]);
    let words =
        ["build", carrier.to_str().unwrap(), "--add", "root:/", "--output", "oci:base", "--tag", "localhost/base:v1"];
    bench.run(words).succeeds();
    let of_directory =
        bench.run(["build", "app", "--root", "root", "--output", "oci:one", "--digest-file", "one.digest"]);
    of_directory.succeeds();
    let of_image =
        bench.run(["build", "app", "--root", "oci:base", "--output", "oci:two", "--digest-file", "two.digest"]);
    of_image.succeeds();
    let digest = |name: &str| std::fs::read_to_string(bench.join(name)).unwrap();
    assert_eq!(digest("one.digest"), digest("two.digest"));
    bench.run(["validate", "oci:two"]).succeeds();
    let inside = bench.run(["plan", "root:/app/carrier", "--root", "oci:base"]);
    assert!(inside.succeeds().contains("file 0555 0:0 /app/carrier "));
    refused(&bench, &["--root", "oci:absent"], &["absent"]);
}

#[test]
fn libraries_that_watch_the_loader_come_along() {
    let bench = Workbench::new();
    let code = "unsigned int la_version(unsigned int v) { return v; }\n";
    let audit = cc(bench.path(), "libwatch.so", code, &["-shared", "-fPIC"]);
    cc(bench.path(), "app", PLAIN, &["-Wl,--audit,/usr/lib/watch/libwatch.so"]);
    let root = Sysroot::of(bench.join("root"), &[&bench.join("app")]);
    root.copy(&audit, "/usr/lib/watch/libwatch.so");
    let planned = plan(&bench, &[]);
    assert_eq!(planned.has("/usr/lib/watch/libwatch.so")["rule"], "loader/audit");
}
