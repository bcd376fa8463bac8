//! The config of an image on another base: what the image took from its old base comes from the new one, what is its own stays.

use serde_json::{Map, Value};

use super::Named;
use crate::oci::ContainerConfig;

/// Three configs made one. Entrypoint and arguments are always the image's own; a user other than root stays one.
pub(super) fn container(own: &ContainerConfig, old: &ContainerConfig, new: &ContainerConfig) -> ContainerConfig {
    let user = one(&own.user, &old.user, &new.user);
    ContainerConfig {
        user: if is_root(user.as_deref()) { own.user.clone() } else { user },
        exposed_ports: named(&own.exposed_ports, &old.exposed_ports, &new.exposed_ports),
        env: environment(&own.env, &old.env, &new.env),
        entrypoint: own.entrypoint.clone(),
        cmd: own.cmd.clone(),
        volumes: named(&own.volumes, &old.volumes, &new.volumes),
        working_dir: one(&own.working_dir, &old.working_dir, &new.working_dir),
        labels: named(&own.labels, &old.labels, &new.labels),
        stop_signal: one(&own.stop_signal, &old.stop_signal, &new.stop_signal),
        other: members(&own.other, &old.other, &new.other),
    }
}

/// Members that nobody knows.
pub(super) fn members(
    own: &Map<String, Value>,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Map<String, Value> {
    let values = |map: &Map<String, Value>| -> Named<Value> { map.clone().into_iter().collect() };
    named(&values(own), &values(old), &values(new)).into_iter().collect()
}

fn is_root(user: Option<&str>) -> bool {
    let name = user.unwrap_or_default().split(':').next().unwrap_or_default();
    matches!(name, "" | "0" | "root")
}

fn one<V: PartialEq + Clone>(own: &Option<V>, old: &Option<V>, new: &Option<V>) -> Option<V> {
    if own == old { new.clone() } else { own.clone() }
}

fn named<V: PartialEq + Clone>(own: &Named<V>, old: &Named<V>, new: &Named<V>) -> Named<V> {
    let names = own.keys().chain(old.keys()).chain(new.keys());
    let value = |name: &String| {
        let (own, old, new) = (own.get(name).cloned(), old.get(name).cloned(), new.get(name).cloned());
        one(&own, &old, &new).map(|value| (name.clone(), value))
    };
    names.filter_map(value).collect()
}

/// Variables in the order of the new base, then those of the image in its own.
fn environment(own: &[String], old: &[String], new: &[String]) -> Vec<String> {
    let split = |lines: &[String]| -> Vec<(String, String)> {
        let pair = |line: &String| {
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            (name.to_owned(), value.to_owned())
        };
        lines.iter().map(pair).collect()
    };
    let (own, old, new) = (split(own), split(old), split(new));
    let map = |lines: &[(String, String)]| -> Named<String> { lines.iter().cloned().collect() };
    let mut merged = named(&map(&own), &map(&old), &map(&new));
    let mut lines = Vec::with_capacity(merged.len());
    for (name, _) in new.iter().chain(&own) {
        if let Some(value) = merged.remove(name) {
            lines.push(format!("{name}={value}"));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(user: &str, env: &[&str], label: &str) -> ContainerConfig {
        ContainerConfig {
            user: Some(user.to_owned()),
            env: env.iter().map(|&line| line.to_owned()).collect(),
            labels: [("of".to_owned(), label.to_owned())].into(),
            ..ContainerConfig::default()
        }
    }

    #[test]
    fn what_is_of_the_base_changes_and_what_is_its_own_stays() {
        let old = config("web", &["PATH=/old", "SAME=1", "GONE=1"], "old");
        let own = ContainerConfig {
            cmd: Some(vec!["mine".to_owned()]),
            ..config("web", &["PATH=/old", "SAME=mine", "GONE=1", "MINE=1"], "old")
        };
        let new =
            ContainerConfig { cmd: Some(vec!["theirs".to_owned()]), ..config("other", &["NEW=1", "PATH=/new"], "new") };
        let merged = container(&own, &old, &new);
        assert_eq!(merged.env, ["NEW=1", "PATH=/new", "SAME=mine", "MINE=1"]);
        assert_eq!((merged.user.as_deref(), merged.labels["of"].as_str()), (Some("other"), "new"));
        assert_eq!(merged.cmd, own.cmd);
        let root = ContainerConfig { user: Some("root".to_owned()), ..new };
        assert_eq!(container(&own, &old, &root).user.as_deref(), Some("web"));
    }
}
