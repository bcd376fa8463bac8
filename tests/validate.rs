//! The validator: a good image passes without a word, and every broken one is found for its own reason.

#[path = "support/broken.rs"]
mod broken;
#[path = "support/images.rs"]
mod images;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use broken::{Case, Draft, GOOD, archive, directory, entry, file, gzip};
use coracle::diag::Severity;
use coracle::image::Index;
use coracle::image::validate::{RULES, Report, Rule};
use coracle::observe::{Event, Observer, silent};
use coracle::oci::{Annotations, media_type};
use coracle::store::{CopyOptions, Error, LayoutStore, MemoryStore, Pointer, put_index, validate};
use serde_json::json;

async fn judge(case: &Case) -> Report {
    let dir = tempfile::tempdir().unwrap();
    broken::write(case, dir.path());
    judge_layout(dir.path()).await
}

async fn judge_layout(path: &Path) -> Report {
    let store = LayoutStore::open(path).unwrap();
    validate(&store, &Pointer::Tag("v1".parse().unwrap()), silent()).await.unwrap()
}

fn rule(code: &str) -> Rule {
    RULES.iter().map(|(rule, _)| *rule).find(|rule| rule.code.0 == code).unwrap()
}

fn text(report: &Report) -> String {
    report.findings.iter().map(|finding| format!("{finding}\n")).collect()
}

#[tokio::test]
async fn a_good_image_passes_without_a_word() {
    let report = judge(&GOOD).await;
    assert_eq!(text(&report), "");
    assert_eq!((report.images, report.layers, report.entries), (1, 2, 4));
    assert!(report.bytes > 500);
    let index = Case {
        index: Some(|image, _| {
            let mut image = image.clone();
            image["platform"] = json!({"os": "linux", "architecture": "amd64", "os.features": ["x"]});
            broken::index(&[image])
        }),
        ..GOOD
    };
    assert_eq!(text(&judge(&index).await), "");
}

#[tokio::test]
async fn each_broken_image_is_found_for_its_own_reason() {
    let cases = broken::cases();
    assert!(cases.len() >= 25);
    for case in &cases {
        let report = judge(case).await;
        assert!(report.count(case.code) > 0, "{} {}: not found in\n{}", case.code, case.name, text(&report));
        let weight = rule(case.code).severity;
        assert!(!report.is_free_of(weight), "{} {}", case.code, case.name);
        let others = report.findings.iter().filter(|f| f.code.0 != case.code && f.severity >= Severity::Warning);
        assert_eq!(others.count(), 0, "{} {}: and other things\n{}", case.code, case.name, text(&report));
    }
}

#[test]
fn every_rule_has_a_case_and_a_word_of_explanation() {
    let covered: BTreeSet<&str> = broken::cases().iter().map(|case| case.code).collect();
    let rules: BTreeSet<&str> = RULES.iter().map(|(rule, _)| rule.code.0).collect();
    assert_eq!(rules.len(), RULES.len(), "a code is used twice");
    assert_eq!(covered, rules);
    let documentation = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/diagnostics.md")).unwrap();
    for (rule, explanation) in RULES {
        let row = format!("| {} | {} | {explanation} |", rule.code, rule.severity);
        assert!(documentation.contains(&row), "docs/diagnostics.md lacks the row\n{row}");
    }
}

#[tokio::test]
async fn what_we_assemble_is_good() {
    let store = MemoryStore::new();
    let pair = ["amd64", "arm64"].map(|a| images::image(a, "")).to_vec();
    let index = Index::assemble(pair, Annotations::new()).unwrap();
    put_index(&store, &index, &CopyOptions::default()).await.unwrap();
    let pointer = Pointer::Digest(index.manifest().digest().clone());
    let report = validate(&store, &pointer, silent()).await.unwrap();
    assert_eq!(text(&report), "");
    assert_eq!((report.images, report.layers), (2, 4));
    let absent = validate(&store, &Pointer::Tag("none".parse().unwrap()), silent()).await;
    assert!(matches!(absent, Err(Error::NotFound { .. })));
}

/// A case that has to pass without error or warning.
async fn passes(name: &str, case: Case) {
    let report = judge(&case).await;
    assert!(report.is_free_of(Severity::Warning), "{name}:\n{}", text(&report));
}

fn base() -> Draft {
    gzip(archive(&[directory("bin/"), file("bin/tool", 0o755)]))
}

#[tokio::test]
async fn what_is_unusual_but_right_passes() {
    passes(
        "a whiteout with a new file of the name",
        Case {
            layers: || {
                vec![base(), gzip(archive(&[directory("bin/"), file("bin/.wh.tool", 0o644), file("bin/tool", 0o755)]))]
            },
            config: |c| c["config"]["Entrypoint"] = json!(["/bin/tool"]),
            ..GOOD
        },
    )
    .await;
    passes(
        "an opaque directory spares what its own layer brings",
        Case {
            layers: || {
                vec![
                    base(),
                    gzip(archive(&[directory("bin/"), file("bin/.wh..wh..opq", 0o644), file("bin/new", 0o755)])),
                ]
            },
            config: |c| c["config"]["Entrypoint"] = json!(["/bin/new"]),
            ..GOOD
        },
    )
    .await;
    passes(
        "an entrypoint behind links, found along PATH",
        Case {
            layers: || {
                let links = [
                    entry(b"sbin", b'2', 0o777, b"usr/sbin", b""),
                    directory("usr/"),
                    directory("usr/sbin/"),
                    entry(b"usr/sbin/run", b'2', 0o777, b"../../../bin/tool", b""),
                ];
                vec![base(), gzip(archive(&links))]
            },
            config: |c| c["config"] = json!({"Env": ["PATH=/none:/sbin"], "Cmd": ["run"]}),
            ..GOOD
        },
    )
    .await;
}

#[tokio::test]
async fn unusual_links_modes_and_compressions_pass() {
    passes(
        "hard links to a file of a layer below and of the same",
        Case {
            layers: || {
                let links = [
                    directory("bin/"),
                    entry(b"bin/a", b'1', 0o755, b"bin/tool", b""),
                    entry(b"bin/b", b'1', 0o755, b"./bin/a", b""),
                ];
                vec![base(), gzip(archive(&links))]
            },
            config: |c| c["config"]["Entrypoint"] = json!(["bin/b"]),
            ..GOOD
        },
    )
    .await;
    passes(
        "/tmp for everyone, sticky",
        Case {
            layers: || vec![base(), gzip(archive(&[entry(b"tmp/", b'5', 0o1777, b"", b"")]))],
            config: |c| c["config"]["Entrypoint"] = json!(["/bin/tool"]),
            ..GOOD
        },
    )
    .await;
    passes(
        "zstd, and no compression",
        Case {
            layers: || {
                let (one, two) = (base(), base());
                let stored = zstd::encode_all(one.tar.as_slice(), 3).unwrap();
                vec![
                    Draft { stored, media_type: media_type::OCI_LAYER_ZSTD, ..one },
                    Draft { stored: two.tar.clone(), media_type: media_type::OCI_LAYER, ..two },
                ]
            },
            config: |c| c["config"]["Entrypoint"] = json!(["/bin/tool"]),
            ..GOOD
        },
    )
    .await;
    passes(
        "two gzip members",
        Case {
            layers: || {
                let tar = base().tar;
                let stored = [gzip(tar[..700].to_vec()).stored, gzip(tar[700..].to_vec()).stored].concat();
                vec![Draft { stored, tar, media_type: media_type::OCI_LAYER_GZIP }]
            },
            config: |c| c["config"]["Entrypoint"] = json!(["/bin/tool"]),
            ..GOOD
        },
    )
    .await;
}

#[tokio::test]
async fn a_million_faults_do_not_fill_the_memory() {
    let report = judge(&Case {
        layers: || {
            let many: Vec<Vec<u8>> = (0..5000).map(|i| file(&format!("/a{i:05}"), 0o644)).collect();
            let mut all = many;
            all.extend([directory("app/"), file("app/hello", 0o555)]);
            vec![gzip(archive(&all))]
        },
        ..GOOD
    })
    .await;
    assert_eq!(report.count("V040"), 5000);
    assert!(report.findings.len() < 200);
    assert!(text(&report).contains("more of the same: 4950"), "{}", text(&report));
}

#[tokio::test]
async fn the_user_can_stop_it() {
    struct StopAfter(AtomicUsize);
    impl Observer for StopAfter {
        fn event(&self, event: Event<'_>) {
            if matches!(event, Event::Advance { .. }) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        fn cancelled(&self) -> bool {
            self.0.load(Ordering::SeqCst) > 0
        }
    }
    let dir = tempfile::tempdir().unwrap();
    broken::write(&GOOD, dir.path());
    let store = LayoutStore::open(dir.path()).unwrap();
    let observer = Arc::new(StopAfter(AtomicUsize::new(0)));
    let stopped = validate(&store, &Pointer::Tag("v1".parse().unwrap()), observer).await;
    assert!(matches!(stopped, Err(Error::Cancelled)), "{stopped:?}");
}
