//! The conformance suite of the OCI distribution-spec against the embedded registry, with every optional part on.
//!
//! The suite is a Go program (`scripts/peers.sh` builds it); without it the tests print that they skip.

#![expect(clippy::print_stdout, reason = "the counts are what one wants to see")]

use std::process::Command;

use coracle::serve::{ServeOptions, Storage, Users};

#[path = "support/peers.rs"]
mod peers;
#[path = "support/serve.rs"]
mod registry;

use registry::{options, start};

/// Runs the suite and demands that every test passes: none fails, none is skipped, none is disabled but those named.
fn check(name: &str, mut serve: ServeOptions, disabled: u64, settings: &[(&str, &str)]) {
    let Some(suite) = peers::find("conformance") else { return };
    let users = serve.users.is_some();
    serve.limits.uploads = 64;
    let server = start(serve);
    let results = tempfile::tempdir().unwrap();
    let mut command = Command::new(suite);
    command.current_dir(results.path()).env_clear();
    command.env("OCI_VERSION", "dev").env("OCI_TLS", "disabled").env("OCI_REGISTRY", server.addr().to_string());
    command.env("OCI_REPO1", "conformance/repo1").env("OCI_REPO2", "conformance/repo2").env("HOME", results.path());
    if users {
        command.env("OCI_USERNAME", "anna").env("OCI_PASSWORD", "open sesame");
    }
    let output = command.envs(settings.iter().copied()).output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    let summary = report.find("OCI Conformance Result").map_or(&*report, |at| &report[at..]);
    let count = |status: &str| -> u64 {
        let line = summary.lines().find(|line| line.trim_start().starts_with(&format!("{status}.")));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("{status}: {report}"))
    };
    println!(
        "{name}: {} pass, {} fail, {} skip, {} disabled",
        count("Pass"),
        count("FAIL"),
        count("Skip"),
        count("Disabled")
    );
    assert_eq!((count("FAIL"), count("Error"), count("Skip")), (0, 0, 0), "{name}: {report}");
    assert_eq!(count("Disabled"), disabled, "{name}: {report}");
    assert!(count("Pass") > 700, "{name}: {summary}");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn memory() {
    check("memory", options(Storage::Memory), 0, &[]);
}

#[test]
fn directory_with_users() {
    let root = tempfile::tempdir().unwrap();
    let mut serve = options(Storage::Directory(root.path().to_owned()));
    serve.users = Some(Users::parse("anna:open sesame").unwrap());
    check("directory", serve, 0, &[]);
    let left: Vec<_> =
        std::fs::read_dir(root.path().join(".uploads")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"], "nothing of refused uploads is left");
}

#[test]
fn sparse_manifests_where_they_are_let_in() {
    let mut serve = options(Storage::Memory);
    serve.check_references = false;
    check("sparse", serve, 0, &[("OCI_DATA_SPARSE", "true")]);
}
