//! `registries.conf`, version 2 (containers-registries.conf(5)): mirrors, rewrites, registries that are blocked.

use serde::Deserialize;

use super::ConfigError;

/// One or more files, the later ones going before the earlier where they speak of the same prefix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistriesConf {
    rules: Vec<Rule>,
}

/// One `[[registry]]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    /// `host[:port][/path]`, or `*.domain`.
    prefix: String,
    /// What stands in the place of the prefix; empty leaves it.
    location: String,
    pub(super) insecure: bool,
    pub(super) blocked: bool,
    pub(super) mirrors: Vec<Mirror>,
    /// The file that says so.
    pub(super) origin: String,
}

/// One `[[registry.mirror]]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mirror {
    location: String,
    pub(super) insecure: bool,
    /// Whether it is asked for names with a digest, and for tags.
    pub(super) digests: bool,
    pub(super) tags: bool,
}

/// A rule that speaks of a name, and how much of the name its prefix is.
pub(super) struct Match<'a> {
    pub(super) rule: &'a Rule,
    length: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    #[serde(default)]
    registry: Vec<Table>,
    /// Version 1 of the format.
    registries: Option<toml::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Table {
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror_by_digest_only: bool,
    #[serde(default)]
    mirror: Vec<MirrorTable>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct MirrorTable {
    #[serde(default)]
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    pull_from_mirror: String,
}

impl RegistriesConf {
    /// Reads one file; `origin` is its name for messages.
    ///
    /// # Errors
    /// [`ConfigError`] when it is no TOML, is of version 1, or says what the manual page forbids.
    pub fn parse(bytes: &[u8], origin: &str) -> Result<Self, ConfigError> {
        let refuse = |reason: String| ConfigError { path: origin.to_owned(), reason };
        let text = std::str::from_utf8(bytes).map_err(|e| refuse(e.to_string()))?;
        let file: File = toml::from_str(text).map_err(|e| refuse(super::one_line(&e)))?;
        if file.registries.is_some() {
            return Err(refuse("it is written in version 1 of the format, which had its day in 2019".to_owned()));
        }
        let rules = file.registry.into_iter().map(|table| rule(table, origin).map_err(refuse));
        Ok(Self { rules: rules.collect::<Result<_, _>>()? })
    }

    /// Adds a file that goes before what is here (`registries.conf.d`).
    #[must_use]
    pub fn overridden_by(mut self, other: Self) -> Self {
        self.rules.retain(|rule| other.rules.iter().all(|new| new.prefix != rule.prefix));
        self.rules.extend(other.rules);
        self
    }

    /// The rule with the longest prefix of `name` (`host/repository`).
    pub(super) fn find(&self, name: &str) -> Option<Match<'_>> {
        let matches =
            self.rules.iter().filter_map(|rule| Some((rule.prefix.len(), rule, matched(&rule.prefix, name)?)));
        matches.max_by_key(|(longest, ..)| *longest).map(|(_, rule, length)| Match { rule, length })
    }

    /// Every place that is reached without a look at its certificate.
    pub(super) fn insecure(&self) -> impl Iterator<Item = &str> {
        let own = self.rules.iter().filter(|rule| rule.insecure);
        let own = own.map(|rule| if rule.location.is_empty() { rule.prefix.as_str() } else { rule.location.as_str() });
        let mirrors = self.rules.iter().flat_map(|rule| &rule.mirrors).filter(|mirror| mirror.insecure);
        own.chain(mirrors.map(|mirror| mirror.location.as_str())).map(|place| place.split('/').next().unwrap_or(place))
    }
}

impl Match<'_> {
    /// The name where it really lies.
    pub(super) fn location(&self, name: &str) -> String {
        if self.rule.location.is_empty() { name.to_owned() } else { self.rewritten(&self.rule.location, name) }
    }

    /// The name at a mirror.
    pub(super) fn at(&self, mirror: &Mirror, name: &str) -> String {
        self.rewritten(&mirror.location, name)
    }

    fn rewritten(&self, location: &str, name: &str) -> String {
        format!("{location}{}", name.get(self.length..).unwrap_or_default())
    }
}

fn rule(table: Table, origin: &str) -> Result<Rule, String> {
    let trimmed = |text: &str| text.trim_end_matches('/').to_owned();
    let (prefix, location) = (trimmed(&table.prefix), trimmed(&table.location));
    let wild = prefix.starts_with("*.");
    if prefix.is_empty() && location.is_empty() {
        return Err("a `[[registry]]` has neither `prefix` nor `location`".to_owned());
    }
    if location.is_empty() && !wild {
        return Err(format!("`{prefix}` has no `location`, which only a prefix as `*.example.com` can do without"));
    }
    if location.contains('*') {
        return Err(format!("the location `{location}` cannot have a `*`"));
    }
    if prefix.contains("://") || location.contains("://") {
        return Err(format!("`{prefix}{location}` is a URL; the format wants a host without `https://`"));
    }
    if table.mirror.len() > crate::limits::MAX_MIRRORS {
        return Err(format!("`{prefix}` has more than {} mirrors", crate::limits::MAX_MIRRORS));
    }
    let only_digests = table.mirror_by_digest_only;
    let mirrors = table.mirror.into_iter().map(|mirror| mirror_of(mirror, only_digests)).collect::<Result<_, _>>()?;
    Ok(Rule {
        prefix: if prefix.is_empty() { location.clone() } else { prefix },
        location,
        insecure: table.insecure,
        blocked: table.blocked,
        mirrors,
        origin: origin.to_owned(),
    })
}

fn mirror_of(table: MirrorTable, only_digests: bool) -> Result<Mirror, String> {
    let location = table.location.trim_end_matches('/').to_owned();
    if location.is_empty() || location.contains("://") {
        return Err(format!("a mirror's location cannot be `{location}`"));
    }
    let (digests, tags) = match (table.pull_from_mirror.as_str(), only_digests) {
        ("" | "all", false) => (true, true),
        ("digest-only", false) | ("", true) => (true, false),
        ("tag-only", false) => (false, true),
        (_, true) => {
            return Err(format!("`{location}` has `pull-from-mirror` beside `mirror-by-digest-only`"));
        }
        (other, _) => {
            return Err(format!("`pull-from-mirror` is `all`, `digest-only` or `tag-only`, not `{other}`"));
        }
    };
    Ok(Mirror { location, insecure: table.insecure, digests, tags })
}

/// How many bytes of `name` the prefix covers. It ends where a part of the path does; the port belongs to the host.
fn matched(prefix: &str, name: &str) -> Option<usize> {
    if let Some(domain) = prefix.strip_prefix('*') {
        let host = name.split('/').next().unwrap_or(name);
        let bare = host.split(':').next().unwrap_or(host);
        // A port in the prefix belongs to the domain.
        return (host.ends_with(domain) || bare.ends_with(domain)).then_some(host.len());
    }
    let rest = name.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(prefix.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(text: &str) -> RegistriesConf {
        RegistriesConf::parse(text.as_bytes(), "r.conf").unwrap()
    }

    #[test]
    fn the_longest_prefix_rewrites_whole_parts_of_a_path() {
        let conf = conf(
            "unqualified-search-registries = ['docker.io']\nshort-name-mode = 'enforcing'\n[[registry]]\nprefix = 'a.example'\nlocation = \
             'b.example/all'\n[[registry]]\nprefix = 'a.example/team'\nlocation = 'c.example'\n[[registry]]\nprefix = \
             '*.wild.example'\nlocation = 'd.example:5000/x'\n[aliases]\n'x' = 'y/z'\n",
        );
        for (name, want) in [
            ("a.example/app", Some("b.example/all/app")),
            ("a.example/team/app", Some("c.example/app")),
            ("a.example/teams/app", Some("b.example/all/teams/app")),
            ("a.example:5000/app", None),
            ("aa.example/app", None),
            ("r.wild.example/app", Some("d.example:5000/x/app")),
            ("wild.example/app", None),
        ] {
            let found = conf.find(name).map(|found| found.location(name));
            assert_eq!(found.as_deref(), want, "{name}");
        }
    }

    #[test]
    fn later_files_go_before() {
        let both =
            conf("[[registry]]\nlocation = 'a'\nblocked = true\n[[registry]]\nlocation = 'b'\ninsecure = true\n")
                .overridden_by(conf(
                    "[[registry]]\nlocation = 'a'\n[[registry.mirror]]\nlocation = 'm:1'\ninsecure = true\n",
                ));
        assert!(!both.find("a/x").unwrap().rule.blocked);
        assert_eq!(both.insecure().collect::<Vec<_>>(), ["b", "m:1"]);
    }

    #[test]
    fn what_the_manual_forbids_is_refused() {
        for (text, want) in [
            ("[registries.search]\nregistries = ['x']", "version 1"),
            ("[[registry]]\nblocked = true", "neither"),
            ("[[registry]]\nlocation = 'https://x'", "URL"),
            ("[[registry]]\nprefix = 'x'\nblocked = true", "no `location`"),
            ("[[registry]]\nlocation = 'x'\n[[registry.mirror]]\n", "location"),
            ("[[registry]]\nlocation = 'x'\n[[registry.mirror]]\nlocation='m'\npull-from-mirror='no'", "tag-only"),
            (
                "[[registry]]\nlocation='x'\nmirror-by-digest-only=true\n[[registry.mirror]]\nlocation='m'\npull-from-mirror='all'",
                "beside",
            ),
            ("[[registry]\n", "line 1"),
        ] {
            let error = RegistriesConf::parse(text.as_bytes(), "r.conf").unwrap_err().to_string();
            assert!(error.starts_with("`r.conf` is not valid: ") && error.contains(want), "{error}");
        }
        assert!(RegistriesConf::parse(b"\xff", "r.conf").is_err());
    }
}
