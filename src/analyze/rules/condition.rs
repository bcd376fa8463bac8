//! What must hold of one member.

use globset::{Candidate, Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use super::Member;
use super::compile::Strings;
use super::pack::{ConditionFile, GlobsFile, LanguageFile, Of, PriorityFile};
use super::template::{Bindings, Item, is_name};
use crate::analyze::traits::{PathString, Traits};
use crate::diag::{Evidence, escape};
use crate::elf::{DlopenNote, Language, Priority};

/// Groups that must all hold; within a group one suffices.
#[derive(Debug)]
pub(super) struct Condition {
    of: Of,
    language: Option<Language>,
    imports: Vec<Import>,
    soname: Option<GlobSet>,
    except_soname: GlobSet,
    strings: Vec<(usize, String)>,
    all_strings: Vec<(usize, String)>,
    captures: Vec<Capture>,
    paths: Vec<Binding>,
    libraries: Vec<Binding>,
    notes: Option<Priority>,
}

#[derive(Debug)]
enum Import {
    Exact(Vec<u8>),
    Prefix(Vec<u8>),
}

#[derive(Debug)]
struct Capture {
    name: String,
    index: usize,
    like: Option<GlobSet>,
    except: GlobSet,
}

/// A variable for the texts that match.
#[derive(Debug)]
struct Binding {
    name: String,
    like: GlobSet,
    except: GlobSet,
}

/// What held, and what the variables stand for.
#[derive(Debug, Default)]
pub(super) struct Hit {
    pub evidence: Vec<Evidence>,
    pub bindings: Bindings,
}

impl Hit {
    pub fn merge(&mut self, other: Self) {
        self.evidence.extend(other.evidence);
        for (name, items) in other.bindings {
            let known = self.bindings.entry(name).or_default();
            known.extend(items);
        }
    }
}

impl Condition {
    /// Checks and compiles; the error says what is wrong.
    pub fn compile(file: ConditionFile, strings: &mut Strings) -> Result<Self, String> {
        let mut literals = |texts: Vec<String>| -> Result<Vec<(usize, String)>, String> {
            texts.into_iter().map(|text| Ok((strings.literal(&text)?, text))).collect()
        };
        let found_strings = literals(file.strings)?;
        let all_strings = literals(file.all_strings)?;
        let captures = file.captures.into_iter().map(|name| {
            let named = strings.capture(&name)?;
            let like = if named.like.is_empty() { None } else { Some(globs(&named.like)?) };
            Ok(Capture { name, index: named.index, like, except: globs(&named.except)? })
        });
        let condition = Self {
            of: file.of,
            language: file.language.map(|language| match language {
                LanguageFile::Go => Language::Go,
                LanguageFile::Rust => Language::Rust,
                LanguageFile::Zig => Language::Zig,
            }),
            imports: file.imports.into_iter().map(import).collect::<Result<_, _>>()?,
            soname: if file.soname.is_empty() { None } else { Some(globs(&file.soname)?) },
            except_soname: globs(&file.except_soname)?,
            captures: captures.collect::<Result<_, String>>()?,
            strings: found_strings,
            all_strings,
            paths: file.paths.into_iter().map(binding).collect::<Result<_, _>>()?,
            libraries: file.libraries.into_iter().map(binding).collect::<Result<_, _>>()?,
            notes: file.notes.map(|priority| match priority {
                PriorityFile::Required => Priority::Required,
                PriorityFile::Recommended => Priority::Recommended,
                PriorityFile::Suggested => Priority::Suggested,
            }),
        };
        if condition.is_empty() { Err("a condition that always holds".to_owned()) } else { Ok(condition) }
    }

    const fn is_empty(&self) -> bool {
        self.imports.is_empty()
            && self.soname.is_none()
            && self.strings.is_empty()
            && self.all_strings.is_empty()
            && self.captures.is_empty()
            && self.paths.is_empty()
            && self.libraries.is_empty()
            && self.notes.is_none()
            && self.language.is_none()
    }

    /// The variables that it gives a value.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        let captures = self.captures.iter().map(|capture| capture.name.as_str());
        let bindings = self.paths.iter().chain(&self.libraries).map(|binding| binding.name.as_str());
        captures.chain(bindings).chain(self.notes.map(|_| "note"))
    }

    /// What held on the member, or `None`.
    pub fn check(&self, member: &Member<'_>) -> Option<Hit> {
        let looked_at = match self.of {
            Of::Own => !member.is_libc,
            Of::Program => member.is_program,
            Of::Library => !member.is_program && !member.is_libc,
            Of::Libc => member.is_libc,
            Of::Any => true,
        };
        let language = self.language.is_none_or(|language| member.traits.language == Some(language));
        let excepted = member.name().is_some_and(|name| matches(&self.except_soname, name));
        if !looked_at || !language || excepted {
            return None;
        }
        let mut hit = Hit::default();
        if let Some(globs) = &self.soname {
            let name = member.name().filter(|name| matches(globs, name))?;
            let source = if member.soname.is_some() { "DT_SONAME" } else { "file name" };
            hit.evidence.push(Evidence::new(source, escape(name)));
        }
        self.check_imports(member.traits, &mut hit)?;
        self.check_strings(member.traits, &mut hit)?;
        self.check_captures(member.traits, &mut hit)?;
        for binding in &self.paths {
            hit.bind(&binding.name, binding.parts(&member.traits.paths))?;
        }
        for binding in &self.libraries {
            hit.bind(&binding.name, binding.whole(&member.traits.libraries))?;
        }
        if let Some(priority) = self.notes {
            let notes = member.traits.dlopen.iter().filter(|note| note.priority == priority);
            hit.bind("note", notes.filter_map(note_item).collect())?;
        }
        Some(hit)
    }

    fn check_imports(&self, traits: &Traits, hit: &mut Hit) -> Option<()> {
        if self.imports.is_empty() {
            return Some(());
        }
        let before = hit.evidence.len();
        for import in &self.imports {
            if let Some(found) = import.find(&traits.imports) {
                hit.evidence.push(Evidence::new("import", escape(found)));
            }
        }
        (hit.evidence.len() > before).then_some(())
    }

    fn check_strings(&self, traits: &Traits, hit: &mut Hit) -> Option<()> {
        let evidence = |(index, text): &(usize, String)| {
            let offset = traits.literals.get(index)?;
            Some(Evidence::new(format!("string at {offset:#x}"), escape(text.as_bytes())))
        };
        if !self.strings.is_empty() {
            hit.evidence.push(self.strings.iter().find_map(evidence)?);
        }
        for text in &self.all_strings {
            hit.evidence.push(evidence(text)?);
        }
        Some(())
    }

    fn check_captures(&self, traits: &Traits, hit: &mut Hit) -> Option<()> {
        for capture in &self.captures {
            let texts = traits.captures.get(&capture.index).map(Vec::as_slice).unwrap_or_default();
            let takes = |text: &[u8]| {
                capture.like.as_ref().is_none_or(|like| matches(like, text)) && !matches(&capture.except, text)
            };
            let wanted = texts.iter().filter(|text| takes(&text.text));
            hit.bind(&capture.name, wanted.map(|text| item(text.text.clone(), &text.text, text.offset)).collect())?;
        }
        Some(())
    }
}

impl Hit {
    /// Gives a variable its values; `None` when there are none.
    fn bind(&mut self, name: &str, items: Vec<Item>) -> Option<()> {
        if items.is_empty() {
            return None;
        }
        self.bindings.entry(name.to_owned()).or_default().extend(items);
        Some(())
    }
}

impl Binding {
    /// The texts that match, each for itself.
    fn whole(&self, texts: &[PathString]) -> Vec<Item> {
        let wanted = texts.iter().filter(|text| self.takes(&text.text));
        wanted.map(|text| item(text.text.clone(), &text.text, text.offset)).collect()
    }

    /// The same, where a text may also be a search path: paths with `:` or `;` between them.
    fn parts(&self, texts: &[PathString]) -> Vec<Item> {
        let mut items: Vec<Item> = Vec::new();
        for text in texts {
            for part in text.text.split(|b| matches!(b, b':' | b';')).filter(|part| part.starts_with(b"/")) {
                let path = tidy(part);
                let known = items.iter().any(|item| item.values.contains(&path));
                if !known && self.takes(&path) {
                    items.push(item(path, &text.text, text.offset));
                }
            }
        }
        items
    }

    fn takes(&self, text: &[u8]) -> bool {
        matches(&self.like, text) && !matches(&self.except, text)
    }
}

impl Import {
    /// The first of the sorted imports that it names.
    fn find<'a>(&self, imports: &'a [Vec<u8>]) -> Option<&'a [u8]> {
        let (wanted, exact) = match self {
            Self::Exact(name) => (name, true),
            Self::Prefix(start) => (start, false),
        };
        let at = imports.partition_point(|import| import < wanted);
        let found = imports.get(at)?;
        let holds = if exact { found == wanted } else { found.starts_with(wanted) };
        holds.then_some(found.as_slice())
    }
}

/// A path without doubled slashes and without one at its end.
fn tidy(path: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(path.len());
    for byte in path {
        if *byte != b'/' || out.last() != Some(&b'/') {
            out.push(*byte);
        }
    }
    if out.len() > 1 && out.ends_with(b"/") {
        out.pop();
    }
    out
}

fn note_item(note: &DlopenNote) -> Option<Item> {
    let values: Vec<Vec<u8>> = note.sonames.iter().map(|name| name.as_bytes().to_vec()).collect();
    let shown: Vec<String> = values.iter().map(|value| escape(value)).collect();
    let about = note.description.clone().or_else(|| note.feature.clone());
    let evidence = Evidence::new(".note.dlopen", shown.join(" or "));
    (!values.is_empty()).then_some(Item { values, evidence, about })
}

fn item(value: Vec<u8>, shown: &[u8], offset: u64) -> Item {
    let evidence = Evidence::new(format!("string at {offset:#x}"), escape(shown));
    Item { values: vec![value], evidence, about: None }
}

fn import(text: String) -> Result<Import, String> {
    match text.strip_suffix('*') {
        Some("") => Err("`*` is any symbol at all".to_owned()),
        Some(start) => Ok(Import::Prefix(start.as_bytes().to_vec())),
        None if text.is_empty() => Err("an empty symbol".to_owned()),
        None => Ok(Import::Exact(text.into_bytes())),
    }
}

fn binding((name, file): (String, GlobsFile)) -> Result<Binding, String> {
    if !is_name(&name) {
        return Err(format!("`{name}` is not the name of a variable"));
    }
    if file.like.is_empty() {
        return Err(format!("`{name}` has no patterns"));
    }
    Ok(Binding { name, like: globs(&file.like)?, except: globs(&file.except)? })
}

/// Globs in which `*` stops at a slash and `**` does not.
pub(super) fn globs(patterns: &[String]) -> Result<GlobSet, String> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(glob(pattern)?);
    }
    set.build().map_err(|error| error.to_string())
}

fn glob(pattern: &str) -> Result<Glob, String> {
    let glob = GlobBuilder::new(pattern).literal_separator(true).build();
    glob.map_err(|error| format!("`{pattern}` is not a pattern: {}", error.kind()))
}

fn matches(globs: &GlobSet, text: &[u8]) -> bool {
    globs.is_match_candidate(&Candidate::from_bytes(text))
}
