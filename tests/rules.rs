//! The built-in rule packs: each rule holds where its fixture says, and nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use coracle::analyze::rules::{Context, Member, RuleSet, Wanted};
use coracle::analyze::traits::Traits;
use coracle::elf::{DlopenNote, Libc, Linkage, Name, Priority};
use serde::Deserialize;

#[path = "support/elf.rs"]
#[allow(dead_code)]
mod elf;

/// A program and the wants of one rule.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    #[serde(default)]
    libc: Option<String>,
    #[serde(default)]
    linkage: Option<String>,
    members: Vec<FixtureMember>,
    gives: Vec<String>,
}

/// An object; the first is the program unless it says otherwise.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FixtureMember {
    path: Option<String>,
    soname: Option<String>,
    /// Whether it is the C library.
    is_libc: bool,
    imports: Vec<String>,
    /// Texts, each with a NUL behind it.
    strings: Vec<String>,
    notes: Vec<FixtureNote>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FixtureNote {
    sonames: Vec<String>,
    priority: String,
    #[serde(default)]
    description: Option<String>,
}

impl FixtureMember {
    /// The traits of a real object with these strings; symbols and notes are put in.
    fn traits(&self, rules: &RuleSet) -> Traits {
        let mut payload = vec![0];
        for text in &self.strings {
            payload.extend_from_slice(text.as_bytes());
            payload.push(0);
        }
        let object = elf::ElfMaker::new(elf::Machine::Amd64).payload(&payload).build();
        let mut traits = Traits::read(&object, rules.needles());
        assert!(traits.complete);
        traits.imports = self.imports.iter().map(|name| name.as_bytes().to_vec()).collect();
        traits.imports.sort();
        traits.dlopen = self.notes.iter().map(FixtureNote::note).collect();
        traits
    }
}

impl FixtureNote {
    fn note(&self) -> DlopenNote {
        let priority = match self.priority.as_str() {
            "required" => Priority::Required,
            "recommended" => Priority::Recommended,
            "suggested" => Priority::Suggested,
            other => panic!("`{other}` is no priority"),
        };
        let sonames = self.sonames.iter().map(|name| Name::new(name.as_bytes())).collect();
        DlopenNote { sonames, priority, feature: None, description: self.description.clone() }
    }
}

/// What a fixture writes down of a want.
fn line(wanted: &Wanted) -> String {
    let level = format!("{:?}", wanted.level).to_lowercase();
    let feature = wanted.feature.as_ref().map(|feature| format!(" ({feature})")).unwrap_or_default();
    format!("{level} {} {}{feature}", wanted.confidence.name(), wanted.want)
}

/// What all rules give for a fixture.
fn evaluate(rules: &RuleSet, fixture: &Fixture) -> Vec<Wanted> {
    let traits: Vec<Traits> = fixture.members.iter().map(|member| member.traits(rules)).collect();
    let paths: Vec<String> = fixture.members.iter().enumerate().map(|(index, member)| path(index, member)).collect();
    let members: Vec<Member<'_>> = fixture
        .members
        .iter()
        .enumerate()
        .map(|(index, member)| Member {
            path: paths[index].as_bytes(),
            soname: member.soname.as_ref().map(String::as_bytes),
            traits: &traits[index],
            is_program: index == 0 && member.soname.is_none(),
            is_libc: member.is_libc,
        })
        .collect();
    let libc = match fixture.libc.as_deref() {
        None | Some("glibc") => Some(Libc::Glibc),
        Some("musl") => Some(Libc::Musl),
        Some("none") => None,
        Some(other) => panic!("`{other}` is no C library"),
    };
    let linkage = match fixture.linkage.as_deref() {
        None | Some("dynamic") => Linkage::DynamicPie,
        Some("static") => Linkage::Static,
        Some(other) => panic!("`{other}` is no linkage"),
    };
    rules.evaluate(&Context { libc, linkage }, &members)
}

fn path(index: usize, member: &FixtureMember) -> String {
    match (&member.path, &member.soname) {
        (Some(path), _) => path.clone(),
        (None, Some(soname)) => format!("/usr/lib/{soname}"),
        (None, None) => format!("/usr/bin/program{index}"),
    }
}

/// Fixtures of one pack, by rule.
fn fixtures(pack: &str) -> BTreeMap<String, Vec<Fixture>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("testdata/rules/{pack}.yaml"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_rule_holds_where_its_fixture_says_and_nowhere_else() {
    let rules = RuleSet::builtin();
    let mut wrong = Vec::new();
    let mut names: BTreeSet<String> = rules.names().map(str::to_owned).collect();
    for (pack, _) in RuleSet::builtin_packs() {
        for (rule, cases) in fixtures(pack) {
            let name = format!("{pack}/{rule}");
            assert!(names.remove(&name), "there is no rule `{name}`");
            let fires = cases.iter().any(|case| !case.gives.is_empty());
            let is_silent = cases.iter().any(|case| case.gives.is_empty());
            assert!(fires && is_silent, "`{name}` needs a fixture that fires it and one that does not");
            for case in &cases {
                let all = evaluate(rules, case);
                let mut given: Vec<String> = all.iter().filter(|w| w.rule == name).map(line).collect();
                given.sort();
                let mut wanted = case.gives.clone();
                wanted.sort();
                if given != wanted {
                    wrong.push(format!("{name}: {case:?}\n  gives  {given:#?}\n  wanted {wanted:#?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(names.is_empty(), "rules without a fixture: {names:?}");
}

#[test]
fn a_broken_pack_is_refused_by_cause() {
    let pack = |rule: &str| format!("format: 1\nversion: 1\nabout: x\nrules:\n  - {rule}\n");
    let need = "needs: [{ file: [/x], level: optional, confidence: hinted }]";
    let whole = |rest: &str| pack(&format!("{{ id: a, about: b, {rest} }}"));
    let cases = [
        ("no YAML", "format: [".to_owned(), "rule pack `p`, line"),
        ("another format", pack("{}").replace("format: 1", "format: 2").replace("  - {}", "  []"), "has format 2"),
        ("an unknown key", whole(&format!("wen: [], {need}")), "unknown field `wen`"),
        ("a rule that always holds", whole(&format!("when: [{{}}], {need}")), "always holds"),
        ("no condition", whole(&format!("when: [], {need}")), "says nothing"),
        ("no need", whole("when: [{ imports: [f] }], needs: []"), "says nothing"),
        ("any symbol", whole(&format!("when: [{{ imports: ['*'] }}], {need}")), "any symbol at all"),
        ("a short string", whole(&format!("when: [{{ strings: [abc] }}], {need}")), "shorter than 4 bytes"),
        ("an unknown capture", whole(&format!("when: [{{ captures: [c] }}], {need}")), "no capture `c`"),
        ("a bad glob", whole(&format!("when: [{{ soname: ['a[b'] }}], {need}")), "`a[b` is not a pattern"),
        (
            "a variable without value",
            whole("when: [{ imports: [f] }], needs: [{ file: ['${v}'], level: optional, confidence: hinted }]"),
            "nothing gives `${v}` a value",
        ),
        (
            "two kinds",
            whole("when: [{ imports: [f] }], needs: [{ file: [/a], tree: [/b], level: optional, confidence: hinted }]"),
            "each need is of one kind",
        ),
    ];
    for (what, text, said) in cases {
        let error = RuleSet::parse(&[("p", &text)]).expect_err(what).to_string();
        assert!(error.contains(said), "{what}: {error}");
    }
    let good = whole(&format!("when: [{{ imports: [f] }}], {need}"));
    RuleSet::parse(&[("p", &good)]).unwrap();
    let error = RuleSet::parse(&[("p", &good), ("p", &good)]).unwrap_err().to_string();
    assert_eq!(error, "`p` is there twice");
    let long = good + &" ".repeat(1 << 20);
    assert!(RuleSet::parse(&[("p", &long)]).unwrap_err().to_string().contains("more than the limit"));
}

#[test]
fn no_rule_names_a_program() {
    for (pack, text) in RuleSet::builtin_packs() {
        let code = text.lines().map(|line| line.split(" # ").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
        for rest in code.split("bin/").skip(1) {
            let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_.*".contains(*c)).collect();
            assert!(matches!(name.as_str(), "sh" | "*" | "**" | ""), "pack `{pack}` names the program `{name}`");
        }
    }
    // The name of the file does not make a rule hold, only that of a library does.
    let pack = "format: 1\nversion: 1\nabout: x\nrules:\n  - { id: a, about: b, when: [{ soname: ['p*'] }], \
        needs: [{ file: [/x], level: optional, confidence: hinted }] }\n";
    let rules = RuleSet::parse(&[("p", pack)]).unwrap();
    let traits = Traits::default();
    let program = Member { path: b"/bin/p", soname: None, traits: &traits, is_program: true, is_libc: false };
    let context = Context { libc: None, linkage: Linkage::Static };
    assert!(rules.evaluate(&context, &[program]).is_empty());
    assert_eq!(rules.evaluate(&context, &[Member { is_program: false, ..program }]).len(), 1);
}
