//! Credentials on the command line: the order in which they are looked for, telling it, logging in and out; skopeo and
//! docker-registry are the judges.

#[path = "support/cli.rs"]
mod cli;
#[path = "support/peers.rs"]
mod peers;
#[path = "support/registry_peer.rs"]
#[allow(dead_code)]
mod registry_peer;

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cli::{Served, Workbench};
use registry_peer::{Kind, PASSWORD, RegistryPeer, USER};

/// What no output may have.
const SECRETS: [&str; 4] = ["wonderland", "looking-glass", PASSWORD, "d29uZGVybGFuZA"];

fn guarded(bench: &Workbench) -> Served {
    bench.file("users", "alice:wonderland\n");
    bench.serve(["--htpasswd", "users"])
}

fn config(host: &str, user: &str, password: &str) -> String {
    format!(r#"{{"auths":{{"{host}":{{"auth":"{}"}}}}}}"#, STANDARD.encode(format!("{user}:{password}")))
}

/// The lines of `--explain-auth` of a run that asks for a tag that is not there: the credential counts, not the answer.
fn explained(bench: &Workbench, host: &str, more: &[&str]) -> (bool, Vec<String>) {
    let image = format!("{host}/none:v1");
    let run = bench.run([&["inspect", &image, "--explain-auth"], more].concat());
    for secret in SECRETS {
        assert!(!run.stderr().contains(secret) && !run.stdout().contains(secret), "{secret} shows: {}", run.stderr());
    }
    let lines = run.stderr().lines().skip_while(|line| !line.starts_with("credential for"));
    let lines = lines.take_while(|line| line.starts_with("credential") || line.starts_with("  ")).map(str::to_owned);
    (!run.stderr().contains("401"), lines.collect())
}

fn last(lines: &[String]) -> &str {
    lines.last().map_or("", |line| line.trim())
}

#[test]
fn the_first_source_that_knows_the_registry_counts() {
    let bench = Workbench::new();
    let served = guarded(&bench);
    let host = &served.address;
    let (accepted, lines) = explained(&bench, host, &[]);
    assert!(!accepted);
    assert_eq!(lines[0], format!("credential for {host}:"));
    assert_eq!(last(&lines), "none: the registry is asked without");
    assert!(lines.contains(&"  `DOCKER_AUTH_CONFIG`: not set".to_owned()), "{lines:#?}");
    // From the last source to the first: each takes the place of what stood before.
    bench.file(".config/containers/auth.json", config(host, "alice", "wonderland"));
    let (accepted, lines) = explained(&bench, host, &[]);
    assert!(accepted && last(&lines).ends_with(".config/containers/auth.json`"), "{lines:#?}");
    // A file that does not know the registry does not end the search; nor does an empty directory.
    bench.file(".docker/config.json", config("other.example", "alice", "looking-glass"));
    let bench = bench.env("DOCKER_CONFIG", "empty");
    std::fs::create_dir(bench.join("empty")).unwrap();
    let (accepted, lines) = explained(&bench, host, &[]);
    assert!(accepted && lines.contains(&"  `empty`: not there".to_owned()), "{lines:#?}");
    assert!(lines.iter().any(|line| line.ends_with(".docker/config.json`: has none for this registry")), "{lines:#?}");
    // A Kubernetes secret, mounted under its own key; and one of the older kind.
    bench.file("empty/.dockercfg", format!(r#"{{"{host}":{{"username":"alice","password":"wonderland"}}}}"#));
    let (accepted, lines) = explained(&bench, host, &[]);
    assert!(accepted && last(&lines).contains("empty/.dockercfg"), "{lines:#?}");
    bench.file("empty/.dockerconfigjson", config(host, "alice", "wonderland"));
    let (accepted, lines) = explained(&bench, host, &[]);
    assert!(accepted && last(&lines).contains("empty/.dockerconfigjson"), "{lines:#?}");
    let bench = bench.env("DOCKER_AUTH_CONFIG", config(host, "alice", "wonderland"));
    let (accepted, lines) = explained(&bench, host, &[]);
    assert!(accepted && last(&lines).contains("of `DOCKER_AUTH_CONFIG`"), "{lines:#?}");
    bench.file("named.json", config(host, "alice", "wonderland"));
    let (accepted, lines) = explained(&bench, host, &["--authfile", "named.json"]);
    assert!(accepted && last(&lines).ends_with("of `named.json`"), "{lines:#?}");
    bench.file("password", "wonderland\r\n");
    let user = ["--username", "alice", "--password-file", "password"];
    let (accepted, lines) = explained(&bench, host, &[&["--authfile", "named.json"], &user[..]].concat());
    assert!(accepted && last(&lines) == "`--username`: this one", "{lines:#?}");
    // For another registry, it is not sent.
    let elsewhere = ["--username", "r.example=alice", "--password-file", "password", "--authfile", "named.json"];
    let (accepted, lines) = explained(&bench, host, &elsewhere);
    assert!(accepted && last(&lines).ends_with("of `named.json`"), "{lines:#?}");
    // Flags may stand in variables.
    let bench = bench.env("CORACLE_USERNAME", format!("{host}=alice")).env("CORACLE_PASSWORD", "wonderland");
    let (accepted, lines) = explained(&bench, host, &[]);
    assert!(accepted && last(&lines) == "`--username`: this one", "{lines:#?}");
}

#[test]
fn what_ci_systems_hand_out_is_for_their_own_registries() {
    let bench = Workbench::new();
    let served = guarded(&bench);
    let host = served.address.clone();
    // A token of GitHub goes to its registry, and from nowhere but its own jobs.
    let bench = bench.env("GITHUB_TOKEN", "wonderland").env("GITHUB_ACTOR", "alice");
    assert!(!explained(&bench, &host, &[]).0);
    let bench = bench.env("GITHUB_ACTIONS", "true");
    let (accepted, lines) = explained(&bench, &host, &[]);
    assert!(!accepted && lines.contains(&"  `GITHUB_TOKEN`: has none for this registry".to_owned()), "{lines:#?}");
    let bench = bench.env("CI_REGISTRY", &host).env("CI_REGISTRY_USER", "alice");
    let bench = bench.env("CI_REGISTRY_PASSWORD", "wonderland");
    let (accepted, lines) = explained(&bench, &host, &[]);
    assert!(accepted && last(&lines) == "`CI_REGISTRY_USER`: this one", "{lines:#?}");
}

#[test]
fn exchanges_are_printed_without_secrets() {
    let bench = Workbench::new();
    let served = guarded(&bench);
    bench.file(".docker/config.json", config(&served.address, "alice", "wonderland"));
    let image = format!("{}/none:v1", served.address);
    let run = bench.run(["inspect", &image, "--trace-http", "--quiet"]);
    let trace = run.stderr();
    let get = format!("GET http://{}/v2/none/manifests/v1\n", served.address);
    assert!(trace.starts_with(&format!("[1] {get}")) && trace.contains(&format!("\n[2] {get}")), "{trace}");
    assert!(trace.contains("\n  > authorization: Basic [redacted]\n  < 404 Not Found after "), "{trace}");
    for secret in SECRETS.iter().chain([&STANDARD.encode("alice:wonderland").as_str()]) {
        assert!(!trace.contains(secret), "{secret} shows: {trace}");
    }
    assert!(!bench.run(["inspect", &image, "--quiet"]).stderr().contains("GET http://"));
    let run = bench.run(["inspect", &image, "--idle-timeout", "0"]);
    assert!(run.code() == Some(1) && run.stderr().contains("--idle-timeout"), "{}", run.stderr());
}

#[test]
fn a_request_that_takes_too_long_is_given_up() {
    let bench = Workbench::new();
    let served = bench.serve(["--fault", "any=slow:30000*"]);
    let image = format!("{}/none:v1", served.address);
    for (flag, told) in [("--total-timeout", "did not finish within 1 s"), ("--idle-timeout", "was silent for 1 s")] {
        let run = bench.run(["inspect", &image, flag, "1"]);
        assert!(run.code() == Some(2) && run.stderr().contains(told), "{flag}: {}", run.stderr());
    }
}

/// Runs with a text on standard input.
fn piped(bench: &Workbench, words: &[&str], input: &str) -> (Option<i32>, String) {
    let mut command = bench.command(words);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.stdout.is_empty());
    let said = String::from_utf8(output.stderr).unwrap();
    for secret in SECRETS {
        assert!(!said.contains(secret), "{secret} shows: {said}");
    }
    (output.status.code(), said)
}

#[test]
fn a_login_is_checked_and_kept_with_all_that_was_there() {
    let bench = Workbench::new();
    let served = guarded(&bench);
    let host = served.address.as_str();
    let login = ["login", host, "--username", "alice", "--password-stdin"];
    let (code, said) = piped(&bench, &login, "looking-glass\n");
    assert!(code == Some(2) && said.contains("401 Unauthorized"), "{said}");
    assert!(!bench.join(".docker").exists(), "a refused login is kept");
    // A link to where the file really lies, with members that are not ours.
    bench.file("real/config.json", r#"{"auths":{"other.example":{"auth":"eDp5"}},"detachKeys":"ctrl-x"}"#);
    std::fs::create_dir(bench.join(".docker")).unwrap();
    std::os::unix::fs::symlink("../real/config.json", bench.join(".docker/config.json")).unwrap();
    let (code, said) = piped(&bench, &login, "wonderland\n");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with(&format!("logged in to {host} as alice; kept by ")), "{said}");
    let path = bench.join("real/config.json");
    assert!(bench.join(".docker/config.json").is_symlink());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let read = || serde_json::from_slice::<serde_json::Value>(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!((&read()["detachKeys"], &read()["auths"]["other.example"]["auth"]), (&"ctrl-x".into(), &"eDp5".into()));
    assert!(explained(&bench, host, &[]).0);
    bench.run(["logout", host]).succeeds();
    assert!(!explained(&bench, host, &[]).0 && read()["auths"].get("other.example").is_some());
    let run = bench.run(["logout", host]);
    assert!(run.code() == Some(0) && run.stderr().starts_with("there was no login for"), "{}", run.stderr());
    for (words, error) in [
        (&["login", host, "--password-stdin"][..], "a login needs a user"),
        (&["login", host, "--username", "alice"], "a login needs a password"),
        (&["login", "r.example/team", "--username", "a", "--password-stdin"], "is not the name of a registry"),
    ] {
        let (code, said) = piped(&bench, words, "x");
        assert!(code == Some(1) && said.contains(error), "{said}");
    }
}

#[test]
fn a_helper_keeps_and_forgets() {
    let bench = Workbench::new();
    let served = guarded(&bench);
    let host = served.address.as_str();
    let script =
        "#!/bin/sh\ncat > \"$HOME/$1\"\n[ \"$1\" = get ] && [ -e \"$HOME/store\" ] && cat \"$HOME/store\"\nexit 0\n";
    let helper = bench.file("bin/docker-credential-test", script);
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    bench.file(".docker/config.json", r#"{"credsStore":"test"}"#);
    let path = std::env::join_paths(
        std::iter::once(bench.join("bin")).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let bench = bench.env("PATH", path.unwrap());
    let (code, said) = piped(&bench, &["login", host, "--username", "alice", "--password-stdin"], "wonderland");
    assert!(code == Some(0) && said.contains("kept by the credential helper `test`"), "{said}");
    let kept: serde_json::Value = serde_json::from_slice(&std::fs::read(bench.join("store")).unwrap()).unwrap();
    assert_eq!(kept, serde_json::json!({ "ServerURL": host, "Username": "alice", "Secret": "wonderland" }));
    assert!(!std::fs::read_to_string(bench.join(".docker/config.json")).unwrap().contains("auths"));
    assert!(explained(&bench, host, &[]).0);
    bench.run(["logout", host]).succeeds();
    assert_eq!(std::fs::read_to_string(bench.join("erase")).unwrap(), host);
}

/// skopeo reads what we keep, and we what it keeps; a real registry decides.
#[test]
fn skopeo_and_we_share_logins() {
    let (Some(skopeo), Some(registry)) = (peers::find("skopeo"), RegistryPeer::with_password(Kind::Distribution2))
    else {
        return;
    };
    let host = registry.host();
    let bench = Workbench::new();
    let (code, said) = piped(&bench, &["login", &host, "--username", USER, "--password-stdin"], "looking-glass");
    assert!(code == Some(2) && said.contains("401 Unauthorized"), "{said}");
    let (code, said) =
        piped(&bench, &["login", &host, "--username", USER, "--password-stdin", "--authfile", "ours.json"], PASSWORD);
    assert_eq!(code, Some(0), "{said}");
    let told = |words: &[&str]| {
        let output = Command::new(&skopeo).args(words).current_dir(bench.path()).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    assert_eq!(told(&["login", "--get-login", "--authfile", "ours.json", &host]), (true, USER.to_owned()));
    let theirs = ["login", "--tls-verify=false", "--authfile", "theirs.json", "-u", USER, "-p", PASSWORD, &host];
    assert!(told(&theirs).0);
    let (accepted, lines) = explained(&bench, &host, &["--authfile", "theirs.json"]);
    assert!(accepted && last(&lines).ends_with("of `theirs.json`"), "{lines:#?}");
    bench.run(["logout", &host, "--authfile", "ours.json"]).succeeds();
    assert!(!told(&["login", "--get-login", "--authfile", "ours.json", &host]).0);
}
