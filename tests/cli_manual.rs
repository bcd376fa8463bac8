//! `docs/cli.md` is the help of every verb; `CORACLE_BLESS=1` rewrites it.

#[test]
fn the_manual_is_the_help_of_every_verb() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
    let made = coracle::cli::manual::markdown();
    if std::env::var_os("CORACLE_BLESS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    let differs = kept.lines().zip(made.lines()).position(|(a, b)| a != b);
    assert!(
        kept == made,
        "docs/cli.md differs from the help in line {:?}; CORACLE_BLESS=1 rewrites it",
        differs.map(|n| n + 1)
    );
}

#[test]
fn every_verb_has_examples() {
    let manual = coracle::cli::manual::markdown();
    for section in manual.split("\n## ").skip(1) {
        assert!(section.contains("Examples:\n  coracle "), "no examples in {section}");
    }
}
