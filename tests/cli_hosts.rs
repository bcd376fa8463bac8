//! Mirrors, rewrites, blocked registries and certificates of single hosts, judged by skopeo, containerd and nginx.

#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/cli.rs"]
mod cli;
#[path = "support/containerd.rs"]
mod containerd;
#[path = "support/elf.rs"]
mod elf;
#[path = "support/nginx.rs"]
mod nginx;
#[path = "support/peers.rs"]
mod peers;
#[path = "support/registry_peer.rs"]
#[allow(dead_code)]
mod registry_peer;
#[path = "support/serve.rs"]
mod serve;

use std::path::Path;
use std::process::Command;

use cli::Workbench;
use containerd::Containerd;
use coracle::oci::Digest;
use coracle::serve::{FaultScript, ServeOptions, Storage};
use elf::{ElfMaker, Machine};
use nginx::{Nginx, free_port};
use registry_peer::{Kind, RegistryPeer};
use serve::{ServerGuard, options, start};

fn registry() -> (ServerGuard, FaultScript) {
    let faults = FaultScript::default();
    (start(ServeOptions { faults: faults.clone(), ..options(Storage::Memory) }), faults)
}

/// Builds an image whose program says `text`, pushes it and gives its digest.
fn published(bench: &Workbench, text: &str, reference: &str) -> String {
    bench.file("hello", ElfMaker::new(Machine::Amd64).payload(text.as_bytes()).build());
    let run = bench.run(["build", "./hello", "--tag", reference, "--push", "--no-host-files"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    run.stdout().trim_end().rsplit('@').next().unwrap().to_owned()
}

/// The digest that coracle reads under a name, or what it says.
fn read(bench: &Workbench, reference: &str, more: &[&str]) -> Result<String, String> {
    let layout = format!("oci:out-{}", reference.replace(['/', ':', '@'], "-"));
    let run = bench.run([&["pull", reference, &layout, "--no-progress"], more].concat());
    match run.code() {
        Some(0) => Ok(run.stdout().trim_end().rsplit('@').next().unwrap().to_owned()),
        _ => Err(run.stderr().to_owned()),
    }
}

fn skopeo_reads(skopeo: &Path, conf: &Path, reference: &str) -> Result<String, String> {
    let output = Command::new(skopeo)
        .arg("--registries-conf")
        .arg(conf)
        .args(["inspect", "--raw", &format!("docker://{reference}")])
        .output()
        .unwrap();
    if output.status.success() {
        Ok(Digest::of(&output.stdout).to_string())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

#[test]
fn mirrors_and_rewrites_of_registries_conf() {
    let bench = Workbench::new();
    let ((main, at_main), (mirror, at_mirror)) = (registry(), registry());
    let (main, mirror) = (main.addr().to_string(), mirror.addr().to_string());
    let real = published(&bench, "from the registry", &format!("{main}/all/app:v1"));
    let only = published(&bench, "from the registry alone", &format!("{main}/all/only:v1"));
    let mirrored = published(&bench, "from the mirror", &format!("{mirror}/m/app:v1"));
    let conf = bench.file(
        "registries.conf",
        format!(
            "[[registry]]\nprefix = 'r.example/team'\nlocation = '{main}/all'\ninsecure = true\n\
             [[registry.mirror]]\nlocation = '127.0.0.1:1/nobody'\ninsecure = true\n\
             [[registry.mirror]]\nlocation = '{mirror}/m'\ninsecure = true\n\
             [[registry]]\nprefix = 'r.example/digests'\nlocation = '{main}/all'\ninsecure = true\n\
             [[registry.mirror]]\nlocation = '{mirror}/m'\ninsecure = true\npull-from-mirror = 'digest-only'\n\
             [[registry]]\nlocation = 'r.example/no'\nblocked = true\n"
        ),
    );
    let flag = ["--registries-conf", conf.to_str().unwrap()];
    let at_digest = format!("r.example/digests/app@{mirrored}");
    let cases = [
        ("r.example/team/app:v1", Some(&mirrored)),
        ("r.example/team/only:v1", Some(&only)),
        ("r.example/digests/app:v1", Some(&real)),
        (&at_digest, Some(&mirrored)),
        ("r.example/no/app:v1", None),
    ];
    for (reference, want) in cases {
        let found = read(&bench, reference, &flag);
        assert_eq!(found.as_ref().ok(), want, "{reference}: {found:?}");
        if let Some(skopeo) = peers::find("skopeo") {
            let judged = skopeo_reads(&skopeo, &conf, reference);
            assert_eq!(judged.as_ref().ok(), want, "{reference}: {judged:?}");
        }
    }
    let blocked = read(&bench, "r.example/no/app:v1", &flag).unwrap_err();
    assert!(blocked.contains("`[DIR]/registries.conf` blocks `r.example/no/app`"), "{blocked}");
    let run = bench.run([&["pull", "r.example/team/app:v1", "oci:told"], &flag[..]].concat());
    assert!(run.stderr().contains("the mirror `127.0.0.1:1/nobody/app` is passed over: "), "{}", run.stderr());
    assert_eq!(run.stderr().matches("is passed over").count(), 1, "{}", run.stderr());

    // Pushes go to the registry that was named.
    let (before, _) = (at_mirror.seen().len(), at_main.seen().len());
    let conf = bench
        .file("push.conf", format!("[[registry]]\nlocation = '{main}'\n[[registry.mirror]]\nlocation = '{mirror}'\n"));
    let run =
        bench.run(["push", "oci:told", &format!("{main}/new/app:v1"), "--registries-conf", conf.to_str().unwrap()]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    assert_eq!(at_mirror.seen().len(), before);
}

#[test]
fn files_of_the_user_are_found_and_checked() {
    let (server, _) = registry();
    let host = server.addr().to_string();
    let bench = Workbench::new();
    let digest = published(&bench, "x", &format!("{host}/a:v1"));
    let rule =
        |location: &str| format!("[[registry]]\nprefix = 'r.example'\nlocation = '{location}'\ninsecure = true\n");
    bench.file(".config/containers/registries.conf", rule("127.0.0.1:1"));
    bench.file(".config/containers/registries.conf.d/50-own.conf", rule(&host));
    assert_eq!(read(&bench, "r.example/a:v1", &[]), Ok(digest));
    let refused = read(&bench, "r.example/a:v1", &["--no-host-files"]).unwrap_err();
    assert!(refused.contains("cannot resolve the host name `r.example"), "{refused}");
    let broken = bench.file(".config/containers/registries.conf.d/60-broken.conf", "[[registry]]\nprefix = \n");
    let refused = bench.run(["pull", "r.example/a:v1", "oci:x"]);
    assert_eq!(refused.code(), Some(1));
    assert!(broken.is_file());
    let start = "error: `[DIR]/.config/containers/registries.conf.d/60-broken.conf` is not valid: line 2, column 10: ";
    assert!(refused.stderr().starts_with(start), "{}", refused.stderr());
    let refused = bench.run(["pull", "r.example/a:v1", "oci:x", "--registries-conf", "absent.conf"]);
    assert_eq!(refused.code(), Some(1));
    assert!(refused.stderr().contains("cannot read `absent.conf`"), "{}", refused.stderr());
    bench.file("hosts/r.example/hosts.toml", "server = 'gopher://x'\n");
    let refused = bench.run(["pull", "r.example/a:v1", "oci:x", "--no-host-files", "--hosts-dir", "hosts"]);
    assert_eq!(refused.code(), Some(1));
    assert!(
        refused.stderr().contains("hosts/r.example/hosts.toml` is not valid: `gopher://x`"),
        "{}",
        refused.stderr()
    );
}

#[test]
fn hosts_toml_as_containerd_reads_it() {
    let bench = Workbench::new();
    let ((main, _), (mirror, at_mirror)) = (registry(), registry());
    let (main, mirror) = (main.addr().to_string(), mirror.addr().to_string());
    let real = published(&bench, "from the registry", &format!("{main}/team/app:v1"));
    let mirrored = published(&bench, "from the mirror", &format!("{mirror}/deep/team/app:v1"));
    let hosts = |capabilities: &str| {
        format!(
            "server = 'http://{main}'\n[host.'http://127.0.0.1:1']\n[host.'http://{mirror}/v2/deep']\ncapabilities = [{capabilities}]\n\
             override_path = true\n"
        )
    };
    let daemon = Containerd::start(bench.path());
    let fetch = |reference: &str| {
        let mut ctr = daemon.as_ref()?.ctr();
        ctr.args(["content", "fetch", "--hosts-dir", bench.join("hosts").to_str().unwrap(), reference]);
        let output = ctr.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let listed = daemon.as_ref()?.ctr().args(["images", "ls"]).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        let line = listed.lines().find(|line| line.starts_with(reference))?.to_owned();
        line.split_ascii_whitespace().find(|word| word.starts_with("sha256:")).map(str::to_owned)
    };
    let reference = "r.example/team/app:v1";
    for (capabilities, want) in [("'pull', 'resolve'", &mirrored), ("'pull'", &real)] {
        bench.file("hosts/r.example/hosts.toml", hosts(capabilities));
        let found = read(&bench, reference, &["--hosts-dir", "hosts", "--no-host-files"]);
        assert_eq!(found.as_ref(), Ok(want), "{capabilities}");
        if daemon.is_some() {
            assert_eq!(fetch(reference).as_ref(), Some(want), "containerd {capabilities}");
        }
    }
    let asked = at_mirror.seen().into_iter().find(|seen| seen.target.contains("/manifests/v1?")).unwrap();
    assert_eq!(asked.target, "/v2/deep/team/app/manifests/v1?ns=r.example");

    // Pushes go to the server, unless a host is said to take them.
    let push =
        |to: &str| bench.run(["push", "oci:out-r.example-team-app-v1", to, "--hosts-dir", "hosts", "--no-host-files"]);
    assert_eq!(push("r.example/team/new:v1").code(), Some(0));
    bench.file("hosts/r.example/hosts.toml", hosts("'push'"));
    assert_eq!(push("r.example/team/newer:v1").code(), Some(0));
    let tags =
        |host: &str, repository: &str| read(&bench, &format!("{host}/{repository}:v1"), &["--no-host-files"]).is_ok();
    assert!(tags(&main, "team/new") && !tags(&mirror, "deep/team/new"));
    assert!(tags(&mirror, "deep/team/newer") && !tags(&main, "team/newer"));
}

#[test]
fn certificates_of_certs_d_are_shown_to_their_host_alone() {
    let bench = Workbench::new();
    let Some(registry) = RegistryPeer::plain(Kind::Distribution2) else { return };
    if !certificates::make(bench.path()) {
        return;
    }
    let (port, other) = (free_port(), free_port());
    let dir = bench.path().display();
    let tls = format!(
        "ssl_certificate {dir}/host.pem;\nssl_certificate_key {dir}/host.key;\nssl_client_certificate {dir}/ca.pem;\n"
    );
    let servers = format!(
        "server {{\nlisten 127.0.0.1:{port} ssl;\n{tls}ssl_verify_client on;\nlocation / {{\nproxy_pass http://{0};\nproxy_set_header \
         Host $http_host;\nproxy_set_header X-Forwarded-Proto https;\n}}\nlocation ~ ^/v2/away/blobs/sha256: {{\nreturn 307 \
         https://127.0.0.1:{other}$request_uri;\n}}\n}}\nserver {{\nlisten 127.0.0.1:{other} ssl;\n{tls}ssl_verify_client \
         optional;\nlocation / {{\nproxy_pass http://{0};\n}}\n}}\n",
        registry.host()
    );
    let Some(nginx) = Nginx::start(bench.path(), &servers, port) else { return };
    let name = format!("127.0.0.1:{port}");
    for (file, ending) in [("ca.pem", "ca.crt"), ("client.pem", "client.cert"), ("client.key", "client.key")] {
        bench.file(format!("certs.d/{name}/{ending}"), std::fs::read(bench.join(file)).unwrap());
    }
    let more = [
        "--hosts-dir",
        "certs.d",
        "--no-host-files",
        "--ca",
        "ca.pem",
        "--username",
        "ada",
        "--password-file",
        "password",
    ];
    bench.file("password", "secret");
    bench.file("hello", ElfMaker::new(Machine::Amd64).payload(b"x").build());
    for repository in ["team", "away"] {
        let tag = format!("{name}/{repository}:v1");
        let run = bench.run([&["build", "./hello", "--tag", &tag, "--push"], &more[..]].concat());
        // What was pushed is looked for, and the second host has the same registry behind it.
        assert_eq!(run.code(), Some(0), "{}", run.stderr());
    }
    read(&bench, &format!("{name}/team:v1"), &more).unwrap();
    let first = nginx.seen().len();
    read(&bench, &format!("{name}/away:v1"), &more).unwrap();
    let seen = nginx.seen();
    let (own, away): (Vec<_>, Vec<_>) = seen.iter().partition(|line| line.starts_with(&port.to_string()));
    assert!(!own.is_empty() && own.iter().all(|line| line.contains(" SUCCESS ")), "{own:?}");
    assert!(seen.len() > first && !away.is_empty(), "{seen:?}");
    assert!(away.iter().all(|line| line.contains(" NONE \"-\"")), "{away:?}");

    // Without the certificate nginx refuses, and so it does skopeo.
    let stranger = read(&bench, &format!("{name}/team:v1"), &["--no-host-files", "--ca", "ca.pem"]).unwrap_err();
    assert!(stranger.contains("400 Bad Request") || stranger.contains("does not speak TLS"), "{stranger}");
    if let Some(skopeo) = peers::find("skopeo") {
        let inspect = |directory: &str| {
            let words = ["inspect", "--cert-dir", directory, &format!("docker://{name}/team:v1")];
            Command::new(&skopeo).args(words).current_dir(bench.path()).output().unwrap().status.success()
        };
        bench.file("only-ca/ca.crt", std::fs::read(bench.join("ca.pem")).unwrap());
        assert!(inspect(&format!("certs.d/{name}")) && !inspect("only-ca"));
    }
    bench.file(format!("certs.d/{name}/client.key"), "no key");
    let refused = read(&bench, &format!("{name}/team:v1"), &more).unwrap_err();
    assert!(refused.contains("client.key` is no certificate or key to show who we are"), "{refused}");
}
