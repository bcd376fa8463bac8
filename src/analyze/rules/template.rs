//! Texts with variables: `${openssldir}/certs`.

use std::collections::{BTreeMap, BTreeSet};

use crate::diag::Evidence;
use crate::limits;

/// The variable that every rule has: the directory of the member.
pub(super) const DIRECTORY: &str = "dir";

/// One finding that a variable stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// Its texts; more than one where any of them will do.
    pub values: Vec<Vec<u8>>,
    /// Where they stand.
    pub evidence: Evidence,
    /// What the object itself says about it.
    pub about: Option<String>,
}

/// What the variables of a rule stand for.
pub(super) type Bindings = BTreeMap<String, Vec<Item>>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// A variable; whether its directory is meant (`${name.dir}`).
    Variable(String, bool),
}

/// A text with variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

impl Template {
    /// Parses a text; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, behind) = after.split_once('}').ok_or_else(|| format!("`${{` is not closed in `{text}`"))?;
            let (name, directory) = name.strip_suffix(".dir").map_or((name, false), |name| (name, true));
            if !is_name(name) {
                return Err(format!("`{name}` is not the name of a variable"));
            }
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Variable(name.to_owned(), directory));
            rest = behind;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        if parts.is_empty() { Err("an empty text".to_owned()) } else { Ok(Self(parts)) }
    }

    /// The variables in it.
    pub fn variables<'a>(&'a self) -> BTreeSet<&'a str> {
        let variable = |part: &'a Part| match part {
            Part::Variable(name, _) => Some(name.as_str()),
            Part::Text(_) => None,
        };
        self.0.iter().filter_map(variable).collect()
    }

    /// The text for every choice of values, in their order; none where a variable has no value.
    pub fn expand(&self, bindings: &Bindings) -> Vec<Vec<u8>> {
        let mut out: Vec<Vec<u8>> = vec![Vec::new()];
        for part in &self.0 {
            let values = match part {
                Part::Text(text) => vec![text.as_bytes()],
                Part::Variable(name, directory) => {
                    let values = bindings.get(name).into_iter().flatten().flat_map(|item| &item.values);
                    values.map(|value| if *directory { directory_of(value) } else { value.as_slice() }).collect()
                }
            };
            let with = |start: &Vec<u8>| values.iter().map(|value| [start, *value].concat()).collect::<Vec<_>>();
            out = out.iter().flat_map(with).take(limits::MAX_RULE_EXPANSIONS).collect();
        }
        out
    }

    /// The text for the first values, for people; `None` where a variable has no value.
    pub fn first(&self, bindings: &Bindings) -> Option<String> {
        self.expand(bindings).first().map(|text| crate::diag::escape(text))
    }
}

fn directory_of(path: &[u8]) -> &[u8] {
    path.iter().rposition(|b| *b == b'/').map_or(&[], |at| &path[..at])
}

/// Whether the text can name a rule, a variable, a capture: small letters, digits, `-` and `_`.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
}
