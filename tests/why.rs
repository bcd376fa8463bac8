//! `coracle why` and `coracle explain`: the chain of reasons for a path, and every place where a loader looks.

#[path = "support/cli.rs"]
mod cli;
#[path = "support/elf.rs"]
mod elf;
#[path = "support/peers.rs"]
mod peers;
#[path = "support/roots.rs"]
mod roots;
#[path = "support/scripted.rs"]
#[allow(dead_code, reason = "one refusal is enough here")]
mod scripted;

use std::process::Command;

use cli::Workbench;
use serde_json::Value;

/// A workbench with the hand-made root and an image of its program.
fn bench() -> Workbench {
    let bench = Workbench::new();
    roots::demo(&bench);
    bench.run(["build", "root:/usr/bin/demo", "--root", "sys", "-o", "oci:out", "--quiet"]).succeeds();
    bench
}

const CHAIN: &str = "/usr/lib/libdeep.so.2\n  \
    proven by loader/needed, for /usr/lib/libdemo.so.1\n    \
    DT_NEEDED: libdeep.so.2\n    \
    found by: default directory /usr/lib\n    \
    package: demo 1.4\n\
    /usr/lib/libdemo.so.1.4\n  \
    proven by loader/needed, for /usr/bin/demo\n    \
    DT_NEEDED: libdemo.so.1\n    \
    found by: default directory /usr/lib\n    \
    package: demo 1.4\n\
    /usr/bin/demo\n  \
    asserted by entrypoint, for program:demo\n    \
    e_type: executable\n    \
    PT_INTERP: /lib64/ld-linux-x86-64.so.2\n    \
    linkage: dynamic\n    \
    e_machine: x86-64 (62)\n    \
    e_ident: 64-bit, little-endian\n    \
    package: demo 1.4\n";

#[test]
fn a_program_and_its_image_give_the_same_reasons() {
    let bench = bench();
    let path = "/usr/lib/libdeep.so.2";
    bench.run(["why", "root:/usr/bin/demo", path, "--root", "sys"]).says(0, CHAIN, "");
    bench.run(["why", "oci:out", path]).says(0, CHAIN, "");
    // A link stands for itself, a path through links for where it leads.
    let link = bench.run(["why", "oci:out", "/usr/lib/libdemo.so.1"]).succeeds();
    assert!(
        link.starts_with("/usr/lib/libdemo.so.1 -> libdemo.so.1.4\n  proven by loader/needed, for /usr/bin/demo\n"),
        "{link}"
    );
    let json: Value =
        serde_json::from_str(&bench.run(["why", "oci:out", path, "--format", "json"]).succeeds()).unwrap();
    let paths: Vec<&str> = json[0]["chain"].as_array().unwrap().iter().map(|e| e["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/usr/lib/libdeep.so.2", "/usr/lib/libdemo.so.1.4", "/usr/bin/demo"]);
    let run = bench.run(["why", "oci:out", "/etc/none"]);
    assert!(run.stderr().starts_with("error: `/etc/none` is not in the image\n\nhint: "), "{}", run.stderr());
    let run = bench.run(["why", "root:usr/bin/demo", "/usr/bin/demo", "--root", "sys"]);
    assert!(run.stderr().ends_with("hint: a program of the root has an absolute path: write `root:/usr/bin/demo`\n"));
    for (text, hint) in [
        ("usr/bin/demo", "write `/usr/bin/demo`"),
        ("libdeep.so.2", "write `/usr/lib/libdeep.so.2`"),
        ("none", "paths begin with `/`; `coracle plan` lists those of a program's image"),
    ] {
        let says = format!("error: `{text}` is no absolute path of an image\n\nhint: {hint}\n");
        bench.run(["why", "oci:out", text]).fails(1, &says);
    }
}

#[test]
fn the_plan_in_a_layout_changes_no_image_and_no_other_tool_minds() {
    let bench = bench();
    let image = bench.run(["inspect", "oci:out", "--format", "json"]).succeeds();
    let image: Value = serde_json::from_str(&image).unwrap();
    let manifest = &image["images"][0]["manifest"];
    assert!(manifest.get("subject").is_none() && manifest.get("artifactType").is_none(), "{manifest}");
    let index: Value = serde_json::from_slice(&std::fs::read(bench.join("out/index.json")).unwrap()).unwrap();
    let roots = index["manifests"].as_array().unwrap();
    assert_eq!((roots.len(), &roots[0]["digest"]), (1, &image["digest"]), "{index}");
    let plans = || {
        let index: Value = serde_json::from_slice(&std::fs::read(bench.join("out/index.json")).unwrap()).unwrap();
        index["annotations"]["vnd.coracle.plans"].as_str().unwrap().to_owned()
    };
    let first = plans();
    let digest = first.strip_prefix("sha256:").unwrap();
    let artifact: Value =
        serde_json::from_slice(&std::fs::read(bench.join(format!("out/blobs/sha256/{digest}"))).unwrap()).unwrap();
    assert_eq!(artifact["artifactType"], "application/vnd.coracle.plan.v1+text");
    assert_eq!(artifact["subject"]["digest"], image["digest"]);
    assert_eq!(artifact["config"]["mediaType"], "application/vnd.oci.empty.v1+json");
    bench.run(["validate", "oci:out"]).succeeds();
    // Building again changes nothing; another image takes the place of the first and of its plan.
    let build = ["build", "root:/usr/bin/demo", "--root", "sys", "-o", "oci:out", "--quiet"];
    bench.run(build).succeeds();
    assert_eq!(plans(), first);
    bench.run([&build[..], &["--env", "A=1"]].concat()).succeeds();
    let second = plans();
    assert!(second != first && !second.contains(','), "the plan of the image that is gone has gone too: {second}");
    bench.run(["why", "oci:out", "/usr/bin/demo"]).succeeds();
    if let Some(skopeo) = peers::find("skopeo") {
        let mut copy = Command::new(skopeo);
        // Without a tag it takes the only image there is.
        copy.args(["copy", "-q", "oci:out", "oci:copy:latest"]).current_dir(bench.path());
        assert!(copy.status().unwrap().success());
        let run = bench.run(["why", "oci:copy", "/usr/bin/demo"]);
        assert!(run.stderr().starts_with("error: no plan travels with `oci:copy`"), "{}", run.stderr());
    }
    if let Some(umoci) = peers::find("umoci") {
        let mut stat = Command::new(umoci);
        let listed = stat.args(["stat", "--image", "out:latest"]).current_dir(bench.path()).output().unwrap();
        assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    }
}

#[test]
fn the_plan_goes_where_the_image_goes() {
    let bench = bench();
    let (path, host) = ("/usr/lib/libdeep.so.2", bench.serve([""; 0]));
    let build = ["build", "root:/usr/bin/demo", "--root", "sys", "--quiet"];
    bench.run([&build[..], &["-o", "archive:demo.tar", "-t", "r.example/demo:v1"]].concat()).succeeds();
    bench.run(["why", "archive:demo.tar", path]).says(0, CHAIN, "");
    bench.run(["validate", "archive:demo.tar"]).succeeds();
    let name = format!("{}/demo:v1", host.address);
    let pushed = bench.run([&build[..], &["-t", &name, "--push"]].concat()).succeeds();
    bench.run(["why", &name, path]).says(0, CHAIN, "");
    let layout = bench.run(["inspect", "oci:out", "--format", "json"]).succeeds();
    let layout: Value = serde_json::from_str(&layout).unwrap();
    assert!(pushed.trim_end().ends_with(layout["digest"].as_str().unwrap()), "{pushed}");
    // Copies: from a layout to a registry, from there to a layout and an archive.
    let copy = format!("{}/copy:v1", host.address);
    bench.run(["push", "oci:out", &copy, "--quiet"]).succeeds();
    bench.run(["why", &copy, path]).says(0, CHAIN, "");
    for back in ["oci:back", "archive:back.tar"] {
        bench.run(["pull", &copy, back, "--quiet"]).succeeds();
        bench.run(["why", back, path]).says(0, CHAIN, "");
    }
}

#[test]
fn a_registry_that_refuses_the_plan_gets_the_image() {
    let bench = bench();
    let registry = scripted::Scripted::start(|seen, _| {
        let is_plan = String::from_utf8_lossy(&seen.body).contains("\"application/vnd.coracle.plan.v1+text\"");
        let refusal = r#"{"errors":[{"code":"MANIFEST_INVALID","message":"no artifacts here"}]}"#;
        (seen.method == "PUT" && is_plan).then(|| scripted::Answer::new(400, refusal))
    });
    let name = format!("{}/demo:v1", registry.host());
    let run = bench.run(["build", "root:/usr/bin/demo", "--root", "sys", "-t", &name, "--push"]);
    let head = format!("note[R001]: `{}/demo`: the registry does not take the plan of the image, ", registry.host());
    assert!(run.stderr().contains(&head) && run.stderr().contains("no artifacts here"), "{}", run.stderr());
    run.succeeds();
    bench.run(["push", "oci:out", &format!("{}/copy:v1", registry.host())]).succeeds();
    let without = bench.run(["why", &name, "/usr/bin/demo"]);
    assert!(without.stderr().starts_with("error: no plan travels with `"), "{}", without.stderr());
    bench.run(["inspect", &name]).succeeds();
}

#[test]
fn every_place_where_a_loader_looks() {
    let bench = bench();
    let explain = |name: &str| bench.run(["explain", "root:/usr/bin/demo", name, "--root", "sys"]);
    explain("libdeep.so.2").says(
        0,
        "libdeep.so.2: found at /usr/lib/libdeep.so.2\n\n\
         /usr/lib/libdemo.so.1 asks for libdeep.so.2\n  \
         ld.so.cache                                         gives nothing\n  \
         default directory: /lib      /lib/libdeep.so.2      not there\n  \
         default directory: /usr/lib  /usr/lib/libdeep.so.2  loaded\n  \
         = loaded: /usr/lib/libdeep.so.2\n",
        "",
    );
    let again = explain("libc.so.6").succeeds();
    assert!(
        again.contains("/usr/lib/libdemo.so.1 asks for libc.so.6\n")
            && again.contains("= loaded already under that name"),
        "{again}"
    );
    explain("libnone.so").says(
        1,
        "libnone.so: not found\n\
         nothing asks for it when /usr/bin/demo starts; this is a dlopen by the program:\n\n\
         /usr/bin/demo asks for libnone.so\n  \
         ld.so.cache                                       gives nothing\n  \
         default directory: /lib      /lib/libnone.so      not there\n  \
         default directory: /usr/lib  /usr/lib/libnone.so  not there\n  \
         = missing\n",
        "",
    );
    std::fs::write(bench.join("sys/usr/lib/libdeep.so.2"), "no library").unwrap();
    let broken = explain("libdeep.so.2");
    assert_eq!(broken.code(), Some(1));
    assert!(broken.stdout().contains("the loader gives up: "), "{}", broken.stdout());
    let json = bench.run(["explain", "root:/usr/bin/demo", "libdemo.so.1", "--root", "sys", "--format", "json"]);
    let json: Value = serde_json::from_str(json.stdout()).unwrap();
    assert_eq!(json["searches"][0]["steps"][2]["attempts"][0]["verdict"], "loaded", "{json}");
    bench.file("static", elf::ElfMaker::new(elf::Machine::Amd64).build());
    bench
        .run(["explain", "./static", "libc.so.6"])
        .fails(1, "error: no loader looks up libraries for `./static`: it names no interpreter\n");
}
