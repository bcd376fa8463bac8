//! Broken images before other judges: what another tool refuses, the validator refuses too.

#[path = "support/broken.rs"]
mod broken;
#[path = "support/peers.rs"]
mod peers;

use std::path::Path;
use std::process::{Command, Output};

use broken::Case;
use coracle::diag::Severity;
use coracle::observe::silent;
use coracle::store::{LayoutStore, Pointer, validate};

/// Runs a judge over every case and names those that it refuses. The validator has to have an error for each of them.
async fn compare(judge: impl Fn(&Path, &Path) -> Output) -> Vec<&'static str> {
    let mut refused = Vec::new();
    for case in broken::cases() {
        let dir = tempfile::tempdir().unwrap();
        let layout = dir.path().join("layout");
        broken::write(&case, &layout);
        let verdict = judge(&layout, dir.path());
        if verdict.status.success() {
            continue;
        }
        refused.push(case.name);
        let store = LayoutStore::open(&layout).unwrap();
        let report = validate(&store, &Pointer::Tag("v1".parse().unwrap()), silent()).await.unwrap();
        let reason = String::from_utf8_lossy(&verdict.stderr).into_owned();
        assert!(
            !report.is_free_of(Severity::Error),
            "{} {} is let through, but the judge says: {reason}",
            case.code,
            case.name
        );
    }
    refused
}

/// Both judges have to pass the good image, or their refusals mean nothing.
fn passes_good(judge: impl Fn(&Path, &Path) -> Output) {
    let dir = tempfile::tempdir().unwrap();
    let layout = dir.path().join("layout");
    broken::write(&Case { ..broken::GOOD }, &layout);
    let verdict = judge(&layout, dir.path());
    assert!(verdict.status.success(), "{}", String::from_utf8_lossy(&verdict.stderr));
}

#[tokio::test]
async fn skopeo_refuses_nothing_that_passes_here() {
    let Some(skopeo) = peers::find("skopeo") else { return };
    let judge = |layout: &Path, scratch: &Path| {
        let (from, to) = (format!("oci:{}:v1", layout.display()), format!("dir:{}", scratch.join("out").display()));
        let arguments = ["--insecure-policy", "copy", "--all", "--quiet", &from, &to];
        Command::new(&skopeo).args(arguments).output().unwrap()
    };
    passes_good(judge);
    let refused = compare(judge).await;
    assert!(refused.contains(&"a bit of a layer flipped") && refused.contains(&"a layer is gone"), "{refused:?}");
}

#[tokio::test]
async fn umoci_refuses_nothing_that_passes_here() {
    let Some(umoci) = peers::find("umoci") else { return };
    let judge = |layout: &Path, scratch: &Path| {
        let image = format!("{}:v1", layout.display());
        let bundle = scratch.join("bundle");
        Command::new(&umoci).args(["unpack", "--rootless", "--image", &image]).arg(bundle).output().unwrap()
    };
    passes_good(judge);
    let refused = compare(judge).await;
    for name in ["a bit of a layer flipped", "diff IDs swapped", "no tar"] {
        assert!(refused.contains(&name), "{name}: {refused:?}");
    }
}
