//! `WWW-Authenticate` (RFC 9110 section 11.6.1).

use crate::limits;

/// One challenge: a scheme and its parameters. Scheme and names are lower-cased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// For example `basic` or `bearer`.
    pub scheme: String,
    /// Parameters in the order in which they stand.
    pub parameters: Vec<(String, String)>,
}

impl Challenge {
    /// The first parameter of that name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Parses one header line, which may hold several challenges. Lenient: what does not parse ends the list, what came
/// before it counts. Bounded by [`limits::MAX_CHALLENGE_BYTES`] and [`limits::MAX_CHALLENGE_PARAMETERS`].
#[must_use]
pub fn parse_challenges(line: &str) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    if line.len() > limits::MAX_CHALLENGE_BYTES {
        return challenges;
    }
    let mut rest = line;
    for _ in 0..limits::MAX_CHALLENGE_PARAMETERS {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let Some((word, after)) = token(rest) else { break };
        match after.trim_start().strip_prefix('=') {
            None => {
                challenges.push(Challenge { scheme: word.to_ascii_lowercase(), parameters: Vec::new() });
                rest = after;
            }
            // The padding of a token68, which says nothing that this client can use.
            Some(padding) if padding.starts_with('=') => rest = padding.trim_start_matches('='),
            // `name=value` belongs to the challenge before it.
            Some(value) => {
                let Some(current) = challenges.last_mut() else { break };
                let Some((text, after)) = parameter_value(value.trim_start()) else { break };
                let current: &mut Challenge = current;
                current.parameters.push((word.to_ascii_lowercase(), text));
                rest = after;
            }
        }
    }
    challenges
}

fn token(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn parameter_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        // Some registries leave the quotes off URLs, so everything up to a comma or blank counts.
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return Some((value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, want: &str) {
        let shown: Vec<String> = parse_challenges(line)
            .iter()
            .map(|c| {
                let parameters: Vec<String> = c.parameters.iter().map(|(k, v)| format!("{k}={v}")).collect();
                format!("{}[{}]", c.scheme, parameters.join("|"))
            })
            .collect();
        assert_eq!(shown.join(" "), want, "{line}");
    }

    #[test]
    fn table() {
        for (line, want) in [
            ("", ""),
            ("Basic realm=\"r\"", "basic[realm=r]"),
            ("Basic", "basic[]"),
            (
                "Bearer realm=\"https://a.example/token?x=1,2\",service=\"s\",scope=\"repository:a/b:pull,push\"",
                "bearer[realm=https://a.example/token?x=1,2|service=s|scope=repository:a/b:pull,push]",
            ),
            ("Bearer realm=https://a.example/t, service=s", "bearer[realm=https://a.example/t|service=s]"),
            ("Basic realm=\"a\", Bearer realm=\"b\"", "basic[realm=a] bearer[realm=b]"),
            ("bearer  Realm = \"a\" , ERROR=\"insufficient_scope\"", "bearer[realm=a|error=insufficient_scope]"),
            ("Basic realm=\"a \\\"q\\\" \\\\\"", "basic[realm=a \"q\" \\]"),
            ("Negotiate, Basic realm=x", "negotiate[] basic[realm=x]"),
            ("Negotiate abc==, Basic realm=x", "negotiate[] basic[realm=x]"),
            ("Negotiate abc=, Basic realm=x", "negotiate[abc=] basic[realm=x]"),
            ("Bearer realm=\"never closed", "bearer[]"),
            ("Bearer realm=\"x\\", "bearer[]"),
            ("=x", ""),
            ("realm=\"x\"", ""),
            (",,, ,", ""),
            ("Béarer realm=x", "b[]"),
        ] {
            check(line, want);
        }
    }

    #[test]
    fn hostile_lines_are_bounded() {
        let line = "a=b,".repeat(100_000);
        assert!(parse_challenges(&format!("Bearer {line}")).is_empty());
        let line = "x,".repeat(limits::MAX_CHALLENGE_BYTES / 4);
        assert!(parse_challenges(&line).len() <= limits::MAX_CHALLENGE_PARAMETERS);
    }
}
