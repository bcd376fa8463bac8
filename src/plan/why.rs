//! The chain of reasons that put a path into an image.

use std::collections::BTreeMap;

use super::{EntryView, KindView, PlanView};
use crate::limits;

/// The entries from `path` up to one that no other path needs: the entrypoint, or what the user added. Each entry is there
/// because of the next. `None` when the plan does not have the path.
///
/// `path` is absolute and escaped as [`crate::diag::escape`] does. A path below a link stands for where it leads.
#[must_use]
pub fn why<'a>(plan: &'a PlanView, path: &str) -> Option<Vec<&'a EntryView>> {
    let mut entries: BTreeMap<&str, &EntryView> = BTreeMap::new();
    // A directory has an entry in each layer; the last says why it has its attributes.
    entries.extend(plan.layers.iter().flat_map(|layer| &layer.entries).map(|entry| (entry.path.as_str(), entry)));
    let mut path = path.trim_end_matches('/');
    if path.is_empty() {
        path = "/";
    }
    let mut next = match entries.get(path) {
        Some(entry) => Some(*entry),
        None => resolve(&entries, path),
    };
    let mut chain: Vec<&EntryView> = Vec::new();
    while let Some(entry) = next.filter(|entry| !chain.iter().any(|seen| seen.path == entry.path)) {
        chain.push(entry);
        next = if entry.needed_by.starts_with('/') { resolve(&entries, &entry.needed_by) } else { None };
    }
    (!chain.is_empty()).then_some(chain)
}

/// The entry that a path leads to, through the links of the plan.
fn resolve<'a>(entries: &BTreeMap<&str, &'a EntryView>, path: &str) -> Option<&'a EntryView> {
    let mut todo: Vec<String> = path.rsplit('/').map(str::to_owned).collect();
    let mut at: Vec<String> = Vec::new();
    let mut links = 0;
    while let Some(part) = todo.pop() {
        match part.as_str() {
            "" | "." => continue,
            ".." => {
                at.pop();
                continue;
            }
            _ => at.push(part),
        }
        let here = format!("/{}", at.join("/"));
        let Some(EntryView { kind: KindView::Link, target: Some(target), .. }) = entries.get(here.as_str()) else {
            continue;
        };
        links += 1;
        if links > limits::MAX_SYMLINKS {
            return None;
        }
        at.pop();
        if target.starts_with('/') {
            at.clear();
        }
        todo.extend(target.rsplit('/').map(str::to_owned));
    }
    entries.get(format!("/{}", at.join("/")).as_str()).copied()
}
