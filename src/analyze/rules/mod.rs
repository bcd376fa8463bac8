//! What programs need beyond what their loader maps: rules as data.
//!
//! A rule pack is a YAML file (`packs/`, `docs/rules.md`). A rule says what must hold of one object of a program, by its
//! imported symbols and the strings in it, and what is needed then. *Invariant:* pure; members in, wants out, no I/O;
//! whether something of a want exists is for the caller to find out. No rule names a program.

mod builtin;
mod compile;
mod condition;
mod error;
mod evaluate;
mod member;
mod pack;
mod template;
mod wanted;

use std::collections::BTreeMap;
use std::sync::OnceLock;

pub use error::PackError;
pub use member::{Context, Member};
pub use wanted::{Generated, Want, Wanted};

use super::traits::Needles;
use compile::Rule;

/// Rules that are ready to be evaluated.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    needles: Needles,
    versions: BTreeMap<String, u32>,
}

impl RuleSet {
    /// The rules that coracle is built with.
    ///
    /// # Panics
    /// When a built-in pack is broken, which the tests of this crate exclude.
    #[must_use]
    pub fn builtin() -> &'static Self {
        static BUILTIN: OnceLock<RuleSet> = OnceLock::new();
        BUILTIN.get_or_init(|| Self::parse(builtin::PACKS).expect("the built-in packs are tested"))
    }

    /// The packs that coracle is built with, as `(name, text)`.
    #[must_use]
    pub const fn builtin_packs() -> &'static [(&'static str, &'static str)] {
        builtin::PACKS
    }

    /// Parses packs, each a name and its YAML text.
    ///
    /// # Errors
    /// [`PackError`], which names the pack and the rule or the place in the text.
    pub fn parse(packs: &[(&str, &str)]) -> Result<Self, PackError> {
        compile::rule_set(packs)
    }

    /// What the rules ask of an object's strings: what its traits must be read with.
    #[must_use]
    pub const fn needles(&self) -> &Needles {
        &self.needles
    }

    /// Version of each pack by its name: it grows with every change of what the pack's rules give.
    #[must_use]
    pub const fn versions(&self) -> &BTreeMap<String, u32> {
        &self.versions
    }

    /// Names of all rules, each `pack/rule`, in the order of the packs.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.name.as_str())
    }

    /// What the members of one program need, sorted by rule and member. A hint says nothing where a surer rule already
    /// names the same path. The traits of the members must be read with [`RuleSet::needles`].
    #[must_use]
    pub fn evaluate(&self, context: &Context, members: &[Member<'_>]) -> Vec<Wanted> {
        evaluate::evaluate(&self.rules, context, members)
    }
}
