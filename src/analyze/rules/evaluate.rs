//! From members to wants.

use std::collections::BTreeSet;
use std::mem::{Discriminant, discriminant};

use super::compile::{Kind, Need, Rule};
use super::condition::{Condition, Hit};
use super::pack::{GeneratedFile, LinkageFile};
use super::template::{Bindings, DIRECTORY, Item};
use super::{Context, Generated, Member, Want, Wanted};
use crate::diag::{Evidence, escape};
use crate::limits;

pub(super) fn evaluate(rules: &[Rule], context: &Context, members: &[Member<'_>]) -> Vec<Wanted> {
    let mut sure = BTreeSet::new();
    let mut fallback = BTreeSet::new();
    for rule in rules.iter().filter(|rule| concerns(rule, context)) {
        let out = if rule.fallback { &mut fallback } else { &mut sure };
        out.extend(of_rule(rule, members));
    }
    let said = Said::of(&sure);
    let unsaid: Vec<Wanted> = fallback.into_iter().filter(|wanted| !said.already(&wanted.want)).collect();
    sure.extend(unsaid);
    sure.into_iter().collect()
}

fn concerns(rule: &Rule, context: &Context) -> bool {
    let linkage = rule.linkage.is_none_or(|linkage| (linkage == LinkageFile::Static) == context.is_static());
    linkage && rule.libc.is_none_or(|libc| context.libc == Some(libc))
}

fn of_rule(rule: &Rule, members: &[Member<'_>]) -> Vec<Wanted> {
    let mut out = Vec::new();
    let mut closure = None;
    for (index, member) in members.iter().enumerate() {
        let hits: Vec<Hit> = rule.when.iter().filter_map(|condition| condition.check(member)).collect();
        if hits.is_empty() || rule.unless.iter().any(|condition| condition.check(member).is_some()) {
            continue;
        }
        let Some(closure) = closure.get_or_insert_with(|| of_closure(rule, members)) else { return Vec::new() };
        let mut hit = Hit::default();
        for one in hits {
            hit.merge(one);
        }
        hit.evidence.extend(closure.evidence.iter().cloned());
        hit.bindings.extend(closure.bindings.clone());
        out.extend(of_member(rule, index, member, hit));
    }
    out
}

/// What the conditions on the closure found; `None` when none of them holds, or one that must not.
fn of_closure(rule: &Rule, members: &[Member<'_>]) -> Option<Hit> {
    let anywhere = |condition: &Condition| members.iter().any(|member| condition.check(member).is_some());
    if rule.closure_unless.iter().any(anywhere) {
        return None;
    }
    let mut all = Hit::default();
    let mut found = rule.closure.is_empty();
    for condition in &rule.closure {
        for member in members {
            let Some(mut hit) = condition.check(member) else { continue };
            let place = |evidence: &mut Evidence| {
                evidence.source = format!("{} of `{}`", evidence.source, escape(member.path));
            };
            hit.evidence.iter_mut().for_each(place);
            hit.bindings.values_mut().flatten().for_each(|item| place(&mut item.evidence));
            all.merge(hit);
            found = true;
        }
    }
    found.then_some(all)
}

fn of_member(rule: &Rule, index: usize, member: &Member<'_>, hit: Hit) -> Vec<Wanted> {
    let directory = Item {
        values: vec![member.directory().to_vec()],
        evidence: Evidence::new("directory", escape(member.directory())),
        about: None,
    };
    let mut bindings = hit.bindings;
    bindings.insert(DIRECTORY.to_owned(), vec![directory]);
    let chosen = rule.each.as_ref().and_then(|each| Some((each, bindings.remove(each)?)));
    let mut out = Vec::new();
    match chosen {
        None => wants(rule, index, &bindings, &hit.evidence, None, &mut out),
        Some((each, items)) => {
            for item in items {
                let about = item.about.clone();
                bindings.insert(each.clone(), vec![item]);
                wants(rule, index, &bindings, &hit.evidence, about.as_deref(), &mut out);
            }
        }
    }
    out
}

/// The wants of all needs of a rule for one choice of values.
fn wants(
    rule: &Rule,
    needed_by: usize,
    bindings: &Bindings,
    evidence: &[Evidence],
    about: Option<&str>,
    out: &mut Vec<Wanted>,
) {
    for need in &rule.needs {
        let about = need.about.as_ref().and_then(|text| text.first(bindings)).unwrap_or_else(|| match about {
            Some(about) => format!("{}: {about}", rule.about),
            None => rule.about.clone(),
        });
        for want in expand(need, bindings) {
            if out.len() == limits::MAX_RULE_WANTS {
                return;
            }
            out.push(Wanted {
                rule: rule.name.clone(),
                needed_by,
                level: need.level,
                confidence: need.confidence,
                evidence: told(need, bindings, evidence),
                want,
                feature: need.feature.as_ref().and_then(|text| text.first(bindings)),
                about: about.clone(),
            });
        }
    }
}

/// What held, and where the values stand that the need uses; each once and not too many.
fn told(need: &Need, bindings: &Bindings, evidence: &[Evidence]) -> Vec<Evidence> {
    let used: BTreeSet<&str> = need.names.iter().flat_map(|name| name.variables()).collect();
    let items = used.iter().filter(|name| **name != DIRECTORY).filter_map(|name| bindings.get(*name)).flatten();
    let mut out: Vec<Evidence> = Vec::new();
    for one in evidence.iter().chain(items.map(|item| &item.evidence)) {
        if out.len() < limits::MAX_RULE_EVIDENCE && !out.contains(one) {
            out.push(one.clone());
        }
    }
    out
}

/// One want, or one for each path where a kind takes a single one; none where a variable has no value.
fn expand(need: &Need, bindings: &Bindings) -> Vec<Want> {
    let mut names: Vec<Vec<u8>> = Vec::new();
    for name in need.names.iter().flat_map(|name| name.expand(bindings)) {
        if names.len() < limits::MAX_RULE_EXPANSIONS && !names.contains(&name) {
            names.push(name);
        }
    }
    let generated = |generated| vec![Want::Generated(generated)];
    match need.kind {
        Kind::Generated(GeneratedFile::Nsswitch) => return generated(Generated::Nsswitch),
        Kind::Generated(GeneratedFile::Passwd) => return generated(Generated::Passwd),
        _ if names.is_empty() => return Vec::new(),
        _ => {}
    }
    match need.kind {
        Kind::File => vec![Want::AnyOf(names)],
        Kind::Files => vec![Want::AllOf(names)],
        Kind::Tree => vec![Want::Tree { paths: names, only: need.only.clone() }],
        Kind::Library => vec![Want::Library(names)],
        Kind::Program => vec![Want::Program(names)],
        Kind::AtRunTime => names.into_iter().map(Want::AtRunTime).collect(),
        Kind::Writable => names.into_iter().map(Want::Writable).collect(),
        Kind::Generated(GeneratedFile::CaBundle) => generated(Generated::CaBundle { paths: names }),
        Kind::Generated(GeneratedFile::Zoneinfo) => generated(Generated::Zoneinfo { paths: names }),
        Kind::Generated(GeneratedFile::Locale) => generated(Generated::Locale { paths: names }),
        Kind::Generated(GeneratedFile::Gconv) => generated(Generated::Gconv { paths: names }),
        Kind::Generated(GeneratedFile::Nsswitch | GeneratedFile::Passwd) => Vec::new(),
    }
}

/// What the rules that are no fallback speak of.
struct Said<'a> {
    names: BTreeSet<&'a [u8]>,
    /// Whatever the places: coracle makes each once.
    generated: Vec<Discriminant<Generated>>,
}

impl<'a> Said<'a> {
    fn of(sure: &'a BTreeSet<Wanted>) -> Self {
        let mut said = Self { names: BTreeSet::new(), generated: Vec::new() };
        for wanted in sure {
            said.names.extend(wanted.want.names().iter().map(Vec::as_slice));
            if let Want::Generated(made) = &wanted.want {
                said.names.extend(made.fixed_paths());
                said.generated.push(discriminant(made));
            }
        }
        said
    }

    /// Whether each of the want's names is spoken of.
    fn already(&self, want: &Want) -> bool {
        match want {
            Want::Generated(made) => self.generated.contains(&discriminant(made)),
            _ => want.names().iter().all(|name| self.names.contains(name.as_slice())),
        }
    }
}
