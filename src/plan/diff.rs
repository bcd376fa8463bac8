//! What differs between two plans.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::view::{EntryView, PlanView};
use crate::diag::printable;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Where: `platform`, `config.Env.PATH`, `layer app: /app/hello: mode`.
    pub place: String,
    /// What stands in the first plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<String>,
    /// What stands in the second plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub right: Option<String>,
}

/// `+` added, `-` removed, `~` changed; control characters escaped, for a plan may be foreign.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = printable(&self.place);
        let side = |text: &Option<String>| text.as_deref().map(printable);
        match (side(&self.left), side(&self.right)) {
            (Some(left), Some(right)) => write!(f, "~ {place}: {left} -> {right}"),
            (Some(left), None) => write!(f, "- {place}: {left}"),
            (None, Some(right)) => write!(f, "+ {place}: {right}"),
            (None, None) => write!(f, "~ {place}"),
        }
    }
}

/// The differences from `left` to `right`: settings first, then layers from the bottom up, each by path. Empty when
/// the plans are equal.
#[must_use]
pub fn diff(left: &PlanView, right: &PlanView) -> Vec<Change> {
    let mut changes = compare("", &settings(left), &settings(right));
    changes.extend(layer_changes(left, right));
    changes
}

/// Everything but the layers, flat.
fn settings(plan: &PlanView) -> BTreeMap<String, String> {
    let mut flat = BTreeMap::from([
        ("name".to_owned(), plan.name.clone()),
        ("platform".to_owned(), plan.platform.clone()),
        ("created".to_owned(), plan.created.to_string()),
        ("encoder".to_owned(), plan.encoder.clone()),
    ]);
    for (key, value) in &plan.annotations {
        flat.insert(format!("annotations.{key}"), value.clone());
    }
    let config = serde_json::to_value(&plan.config).unwrap_or_default();
    for (name, value) in config.as_object().into_iter().flatten() {
        match value {
            Value::Array(items) if name == "Env" => {
                for item in items.iter().filter_map(Value::as_str) {
                    let (variable, value) = item.split_once('=').unwrap_or((item, ""));
                    flat.insert(format!("config.Env.{variable}"), value.to_owned());
                }
            }
            Value::Object(members) => {
                for (key, value) in members {
                    let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    flat.insert(format!("config.{name}.{key}"), shown);
                }
            }
            Value::String(text) => {
                flat.insert(format!("config.{name}"), text.clone());
            }
            other => {
                flat.insert(format!("config.{name}"), other.to_string());
            }
        }
    }
    flat
}

fn compare(prefix: &str, left: &BTreeMap<String, String>, right: &BTreeMap<String, String>) -> Vec<Change> {
    let mut keys: Vec<&String> = left.keys().chain(right.keys()).collect();
    keys.sort();
    keys.dedup();
    let changed = keys.into_iter().filter(|key| left.get(*key) != right.get(*key));
    let change = |key: &String| Change {
        place: format!("{prefix}{key}"),
        left: left.get(key).cloned(),
        right: right.get(key).cloned(),
    };
    changed.map(change).collect()
}

/// Layers by name and how many of that name came before, in their order.
fn named(plan: &PlanView) -> Vec<(String, &[EntryView])> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let layers = plan.layers.iter().map(|layer| {
        let count = seen.entry(&layer.name).or_default();
        *count += 1;
        let suffix = if *count > 1 { format!(" ({count})") } else { String::new() };
        (format!("layer {}{suffix}", layer.name), layer.entries.as_slice())
    });
    layers.collect()
}

fn layer_changes(left: &PlanView, right: &PlanView) -> Vec<Change> {
    let (left, right) = (named(left), named(right));
    let mut changes = Vec::new();
    let in_both = |layers: &[(String, &[EntryView])], others: &[(String, &[EntryView])]| -> Vec<String> {
        let common = layers.iter().filter(|(name, _)| others.iter().any(|(other, _)| other == name));
        common.map(|(name, _)| name.clone()).collect()
    };
    let (order, other_order) = (in_both(&left, &right), in_both(&right, &left));
    if order != other_order {
        let change = |order: Vec<String>| Some(order.join(", "));
        changes.push(Change { place: "order".to_owned(), left: change(order), right: change(other_order) });
    }
    for (name, entries) in &left {
        let others = right.iter().find(|(other, _)| other == name).map(|(_, entries)| *entries);
        changes.extend(entry_changes(name, entries, others.unwrap_or_default()));
    }
    for (name, entries) in right.iter().filter(|(name, _)| left.iter().all(|(other, _)| other != name)) {
        changes.extend(entry_changes(name, &[], entries));
    }
    changes
}

fn entry_changes(layer: &str, left: &[EntryView], right: &[EntryView]) -> Vec<Change> {
    let by_path = |entries: &'_ [EntryView]| -> BTreeMap<String, usize> {
        entries.iter().enumerate().map(|(index, entry)| (entry.path.clone(), index)).collect()
    };
    let (left_paths, right_paths) = (by_path(left), by_path(right));
    let mut paths: Vec<&String> = left_paths.keys().chain(right_paths.keys()).collect();
    paths.sort();
    paths.dedup();
    let mut changes = Vec::new();
    for path in paths {
        let entry = |paths: &BTreeMap<String, usize>, entries: &'_ [EntryView]| -> Option<EntryView> {
            paths.get(path).and_then(|index| entries.get(*index)).cloned()
        };
        let place = format!("{layer}: {path}");
        match (entry(&left_paths, left), entry(&right_paths, right)) {
            (Some(old), Some(new)) if old == new => {}
            (Some(old), Some(new)) => changes.extend(field_changes(&place, &old, &new)),
            (old, new) => {
                changes.push(Change { place, left: old.as_ref().map(summary), right: new.as_ref().map(summary) });
            }
        }
    }
    changes
}

fn summary(entry: &EntryView) -> String {
    let mut text = format!("{} {} {}:{}", entry.kind.name(), entry.mode, entry.uid, entry.gid);
    if let Some(size) = entry.size {
        text.push_str(&format!(", {size} bytes"));
    }
    if let Some(target) = &entry.target {
        text.push_str(&format!(" to {target}"));
    }
    text.push_str(&format!(" ({}, needed by {})", entry.rule, entry.needed_by));
    text
}

fn field_changes(place: &str, left: &EntryView, right: &EntryView) -> Vec<Change> {
    let mut changes = compare(&format!("{place}: "), &fields(left), &fields(right));
    if let (Some(old), Some(new)) = (&left.content, &right.content)
        && old != new
    {
        let (old, new): (Vec<&str>, Vec<&str>) = (old.split("\\x0a").collect(), new.split("\\x0a").collect());
        let line = (0..old.len().max(new.len())).find(|n| old.get(*n) != new.get(*n)).unwrap_or_default();
        let shown = |lines: &[&str]| lines.get(line).map(|line| (*line).to_owned());
        let place = format!("{place}: line {}", line + 1);
        changes.push(Change { place, left: shown(&old), right: shown(&new) });
    }
    changes
}

/// All fields but the path and the content, flat.
fn fields(entry: &EntryView) -> BTreeMap<String, String> {
    let mut flat = BTreeMap::from([
        ("kind".to_owned(), entry.kind.name().to_owned()),
        ("mode".to_owned(), entry.mode.clone()),
        ("owner".to_owned(), format!("{}:{}", entry.uid, entry.gid)),
        ("rule".to_owned(), entry.rule.clone()),
        ("needed by".to_owned(), entry.needed_by.clone()),
        ("confidence".to_owned(), entry.confidence.clone()),
    ]);
    let mut optional = |name: &str, value: Option<String>| value.map(|value| flat.insert(name.to_owned(), value));
    optional("size", entry.size.map(|size| size.to_string()));
    optional("digest", entry.digest.clone());
    optional("target", entry.target.clone());
    optional("package", entry.package.as_ref().map(|p| format!("{} {} {}", p.name, p.version, p.architecture)));
    let evidence: Vec<String> = entry.evidence.iter().map(|e| format!("{}: {}", e.source, e.value)).collect();
    optional("evidence", (!evidence.is_empty()).then(|| evidence.join("; ")));
    flat.extend(entry.xattrs.iter().map(|(name, value)| (format!("xattr {name}"), value.clone())));
    flat
}
