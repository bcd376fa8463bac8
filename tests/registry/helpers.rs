//! Credential helpers as processes.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use coracle::oci::Secret;
use coracle::registry::{Credential, CredentialHelper, ProcessHelper};

fn helper(directory: &Path, name: &str, script: &str) {
    let path = directory.join(format!("docker-credential-{name}"));
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn what_helpers_say() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    helper(
        at,
        "good",
        r#"read server; echo "{\"ServerURL\":\"$server\",\"Username\":\"$1-$server-$TOLD-$HOME\",\"Secret\":\"s\"}""#,
    );
    helper(at, "token", r#"echo '{"Username":"<token>","Secret":"t"}'"#);
    helper(at, "none", "echo 'credentials not found in native keychain'; exit 1");
    helper(at, "broken", "echo 'the keychain is locked' >&2; exit 1");
    helper(at, "odd", "echo hunter2");
    helper(at, "slow", "exec tail -f /dev/null");
    let run = ProcessHelper {
        directories: vec![at.join("absent"), at.to_owned(), "/usr/bin".into()],
        variables: vec![("TOLD".into(), "1".into()), ("PATH".into(), "/usr/bin:/bin".into())],
        timeout: Duration::from_secs(20),
    };
    let good = Credential::Basic { username: "get-r.io-1-".into(), password: Secret::new("s".into()) };
    assert_eq!(run.get("good", "r.io").await.unwrap(), Some(good));
    let token = Credential::Identity { username: String::new(), token: Secret::new("t".into()) };
    assert_eq!(run.get("token", "r.io").await.unwrap(), Some(token));
    assert_eq!(run.get("none", "r.io").await.unwrap(), None);
    let quick = ProcessHelper { timeout: Duration::from_millis(100), ..run.clone() };
    let program = |name: &str| format!("`{}`", at.join(format!("docker-credential-{name}")).display());
    for (name, run, want) in [
        ("broken", &run, format!("{} failed: the keychain is locked", program("broken"))),
        ("odd", &run, format!("{} failed: its output is not the JSON of a credential", program("odd"))),
        ("slow", &quick, format!("{} did not end within 0 s", program("slow"))),
        (
            "gone",
            &run,
            "the credential helper `docker-credential-gone` is not in any of the directories of programs".to_owned(),
        ),
        (
            "../good",
            &run,
            "`../good` is not the name of a credential helper: only letters, digits, `.`, `_` and `-` may stand in it"
                .to_owned(),
        ),
        (
            "a;b",
            &run,
            "`a;b` is not the name of a credential helper: only letters, digits, `.`, `_` and `-` may stand in it"
                .to_owned(),
        ),
    ] {
        assert_eq!(run.get(name, "r.io").await.unwrap_err().to_string(), want);
    }
}
