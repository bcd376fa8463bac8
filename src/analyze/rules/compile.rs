//! From packs to rules that are checked and ready.

use std::collections::{BTreeMap, BTreeSet};

use super::condition::{Condition, globs};
use super::pack::{self, CaptureFile, GeneratedFile, LibcFile, LinkageFile, NeedFile, RuleFile};
use super::template::{DIRECTORY, Template, is_name};
use super::{PackError, RuleSet};
use crate::analyze::traits::{Capture, Needles};
use crate::analyze::{Confidence, Level};
use crate::elf::Libc;

/// A rule that is ready.
#[derive(Debug)]
pub(super) struct Rule {
    pub name: String,
    pub about: String,
    pub libc: Option<Libc>,
    pub linkage: Option<LinkageFile>,
    pub when: Vec<Condition>,
    pub unless: Vec<Condition>,
    pub closure: Vec<Condition>,
    pub closure_unless: Vec<Condition>,
    pub each: Option<String>,
    pub fallback: bool,
    pub needs: Vec<Need>,
}

/// What a rule asks for.
#[derive(Debug)]
pub(super) struct Need {
    pub kind: Kind,
    pub names: Vec<Template>,
    pub only: Vec<String>,
    pub level: Level,
    pub confidence: Confidence,
    pub feature: Option<Template>,
    pub about: Option<Template>,
}

/// Of which kind it is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    File,
    Files,
    Tree,
    Library,
    Program,
    Generated(GeneratedFile),
    AtRunTime,
    Writable,
}

/// A capture's number among all, and the patterns that its texts match and do not match.
#[derive(Debug, Clone)]
pub(super) struct NamedCapture {
    pub index: usize,
    pub like: Vec<String>,
    pub except: Vec<String>,
}

/// Strings that are looked for, each once.
#[derive(Debug, Default)]
pub(super) struct Strings {
    literals: BTreeMap<String, usize>,
    order: Vec<Vec<u8>>,
    captures: Vec<Capture>,
    /// Captures of the pack that is compiled.
    named: BTreeMap<String, NamedCapture>,
}

impl Strings {
    /// The number of a string among all.
    pub fn literal(&mut self, text: &str) -> Result<usize, String> {
        // Shorter ones are everywhere.
        if text.len() < 4 {
            return Err(format!("the string `{text}` is shorter than 4 bytes"));
        }
        if let Some(known) = self.literals.get(text) {
            return Ok(*known);
        }
        let number = self.order.len();
        self.literals.insert(text.to_owned(), number);
        self.order.push(text.as_bytes().to_vec());
        Ok(number)
    }

    /// A capture of the pack.
    pub fn capture(&self, name: &str) -> Result<NamedCapture, String> {
        self.named.get(name).cloned().ok_or_else(|| format!("there is no capture `{name}`"))
    }

    fn begin_pack(&mut self, captures: BTreeMap<String, CaptureFile>) -> Result<(), String> {
        self.named.clear();
        for (name, file) in captures {
            if !is_name(&name) || name == DIRECTORY {
                return Err(format!("`{name}` is not the name of a capture"));
            }
            if file.after.len() < 4 {
                return Err(format!("the mark of capture `{name}` is shorter than 4 bytes"));
            }
            let until = file.until.map(u8::try_from).transpose();
            let until = until.map_err(|_| format!("capture `{name}` ends with a character that is not one byte"))?;
            let capture = Capture { after: file.after.into_bytes(), until };
            let named = NamedCapture { index: self.captures.len(), like: file.like, except: file.except };
            self.named.insert(name, named);
            self.captures.push(capture);
        }
        Ok(())
    }
}

/// Compiles packs, in their order.
pub(super) fn rule_set(packs: &[(&str, &str)]) -> Result<RuleSet, PackError> {
    let mut strings = Strings::default();
    let mut rules: Vec<Rule> = Vec::new();
    let mut versions = BTreeMap::new();
    let mut names = BTreeSet::new();
    for (name, text) in packs {
        let file = pack::read(name, text)?;
        if versions.insert((*name).to_owned(), file.version).is_some() {
            return Err(PackError::Twice((*name).to_owned()));
        }
        let refuse = |reason| PackError::Rule { rule: format!("{name}/*"), reason };
        strings.begin_pack(file.captures).map_err(refuse)?;
        for rule in file.rules {
            let full = format!("{name}/{}", rule.id);
            if !names.insert(full.clone()) {
                return Err(PackError::Twice(full));
            }
            let refuse = |reason| PackError::Rule { rule: full.clone(), reason };
            rules.push(compile(full.clone(), rule, &mut strings).map_err(refuse)?);
        }
    }
    Ok(RuleSet { rules, needles: Needles::new(strings.order, strings.captures), versions })
}

fn compile(name: String, file: RuleFile, strings: &mut Strings) -> Result<Rule, String> {
    if !is_name(&file.id) {
        return Err("an id has small letters, digits, `-` and `_`".to_owned());
    }
    if file.when.is_empty() || file.needs.is_empty() {
        return Err("without `when` or `needs` it says nothing".to_owned());
    }
    let mut conditions = |files: Vec<_>| -> Result<Vec<Condition>, String> {
        files.into_iter().map(|file| Condition::compile(file, strings)).collect()
    };
    let rule = Rule {
        name,
        about: file.about,
        libc: file.libc.map(|libc| match libc {
            LibcFile::Glibc => Libc::Glibc,
            LibcFile::Musl => Libc::Musl,
        }),
        linkage: file.linkage,
        when: conditions(file.when)?,
        unless: conditions(file.unless)?,
        closure: conditions(file.closure)?,
        closure_unless: conditions(file.closure_unless)?,
        each: file.each,
        fallback: file.fallback,
        needs: file.needs.into_iter().map(need).collect::<Result<_, _>>()?,
    };
    let mut bound: BTreeSet<&str> = rule.when.iter().chain(&rule.closure).flat_map(Condition::variables).collect();
    if let Some(each) = rule.each.as_deref().filter(|each| !bound.contains(each)) {
        return Err(format!("nothing gives `${{{each}}}` a value"));
    }
    bound.insert(DIRECTORY);
    for need in &rule.needs {
        let texts = need.names.iter().chain(&need.feature).chain(&need.about);
        if let Some(free) = texts.flat_map(Template::variables).find(|variable| !bound.contains(variable)) {
            return Err(format!("nothing gives `${{{free}}}` a value"));
        }
    }
    Ok(rule)
}

fn need(file: NeedFile) -> Result<Need, String> {
    let kinds = [
        (Kind::File, file.file),
        (Kind::Files, file.files),
        (Kind::Tree, file.tree),
        (Kind::Library, file.library),
        (Kind::Program, file.program),
        (Kind::AtRunTime, file.at_run_time),
        (Kind::Writable, file.writable),
    ];
    let mut kinds = kinds.into_iter().filter_map(|(kind, names)| Some((kind, names?)));
    let (kind, names) = match (kinds.next(), kinds.next(), file.generated) {
        (Some(one), None, None) if file.at.is_empty() => one,
        (None, None, Some(generated)) => (Kind::Generated(generated), file.at),
        _ => return Err("each need is of one kind".to_owned()),
    };
    let fixed = matches!(kind, Kind::Generated(GeneratedFile::Nsswitch | GeneratedFile::Passwd));
    if names.is_empty() != fixed {
        return Err("a need names what it is about, and `nsswitch` and `passwd` do not".to_owned());
    }
    if !file.only.is_empty() && !matches!(kind, Kind::Tree) {
        return Err("`only` is for a `tree`".to_owned());
    }
    globs(&file.only)?;
    Ok(Need {
        kind,
        names: names.iter().map(|name| Template::parse(name)).collect::<Result<_, _>>()?,
        only: file.only,
        level: file.level.into(),
        confidence: file.confidence.into(),
        feature: file.feature.as_deref().map(Template::parse).transpose()?,
        about: file.about.as_deref().map(Template::parse).transpose()?,
    })
}
