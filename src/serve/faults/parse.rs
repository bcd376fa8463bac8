//! The words of a script: `SELECTION=FAULT[*TIMES]`.

use std::str::FromStr;

use super::{Fault, FaultRule, LocationFault, RequestKind};

/// Not a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no fault: {reason}")]
pub struct FaultError {
    /// The refused text.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

impl FromStr for FaultRule {
    type Err = FaultError;

    /// `7=500` fails the seventh request; `upload-put=reset` the first PUT of an upload; `blob-get#2=429:retry-after=1*3` the
    /// second GET of a blob and the two after it; `any=slow:200*` makes all slow.
    fn from_str(text: &str) -> Result<Self, FaultError> {
        let refuse = |reason: &str| FaultError { text: text.to_owned(), reason: reason.to_owned() };
        let (selection, rest) = text.split_once('=').ok_or_else(|| refuse("expected `SELECTION=FAULT`"))?;
        let (fault, times) = match rest.rsplit_once('*') {
            None => (rest, Some(1)),
            Some((fault, "")) => (fault, None),
            Some((fault, times)) => match times.parse() {
                Ok(times) if times > 0 => (fault, Some(times)),
                _ => return Err(refuse("after `*` stands how often, from 1, or nothing for always")),
            },
        };
        let (kind, first) = selected(selection).map_err(|reason| refuse(&reason))?;
        let fault = parse_fault(fault).map_err(|reason| refuse(&reason))?;
        Ok(Self { kind, first, times, fault })
    }
}

fn selected(text: &str) -> Result<(Option<RequestKind>, u64), String> {
    let count = |text: &str| text.parse::<u64>().ok().filter(|count| *count > 0);
    if let Some(number) = count(text) {
        return Ok((None, number));
    }
    let (word, first) = match text.split_once('#') {
        None => (text, 1),
        Some((word, number)) => (word, count(number).ok_or("after `#` stands a number from 1")?),
    };
    if word == "any" {
        return Ok((None, first));
    }
    match RequestKind::ALL.iter().find(|(known, _)| *known == word) {
        Some((_, kind)) => Ok((Some(*kind), first)),
        None => {
            let known: Vec<&str> = RequestKind::ALL.iter().map(|(word, _)| *word).collect();
            Err(format!("`{word}` selects nothing; a selection is a number, `any`, or one of {}", known.join(", ")))
        }
    }
}

fn parse_fault(text: &str) -> Result<Fault, String> {
    let (word, value) = match text.split_once(':') {
        Some((word, value)) => (word, Some(value)),
        None => (text, None),
    };
    if let Ok(status @ 400..=599) = word.parse::<u16>() {
        let retry_after = match value.map(|value| value.strip_prefix("retry-after=").and_then(|s| s.parse().ok())) {
            None => None,
            Some(Some(seconds)) => Some(seconds),
            Some(None) => return Err("after a status stands `:retry-after=SECONDS`, or nothing".to_owned()),
        };
        return Ok(Fault::Status { status, retry_after });
    }
    let number =
        |what: &str| value.and_then(|value| value.parse::<u64>().ok()).ok_or(format!("expected `{word}:{what}`"));
    Ok(match (word, value) {
        ("reset", None) => Fault::Reset,
        ("lost", None) => Fault::Lost,
        ("short", None) => Fault::Short(0),
        ("short", _) => Fault::Short(number("BYTES")?),
        ("corrupt", None) => Fault::Corrupt,
        ("slow", _) => Fault::Slow(number("MILLISECONDS")?),
        ("hang", None) => Fault::Hang,
        ("endless", None) => Fault::Endless,
        ("redirect-loop", None) => Fault::RedirectLoop,
        ("header-bomb", None) => Fault::HeaderBomb,
        ("location", Some("absent")) => Fault::Location(LocationFault::Absent),
        ("location", Some("relative")) => Fault::Location(LocationFault::Relative),
        ("location", Some(url)) if url.starts_with("http://") || url.starts_with("https://") => {
            Fault::Location(LocationFault::Host(url.trim_end_matches('/').to_owned()))
        }
        ("location", _) => {
            return Err("expected `location:absent`, `location:relative` or `location:http://HOST`".to_owned());
        }
        _ => {
            return Err(format!(
                "`{text}` is not known; a fault is a status from 400 to 599, reset, lost, short, corrupt, slow, hang, endless, \
                 redirect-loop, header-bomb or location"
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        let rule = |kind, first, times, fault| FaultRule { kind, first, times, fault };
        let status = |status, retry_after| Fault::Status { status, retry_after };
        for (text, want) in [
            ("7=500", rule(None, 7, Some(1), status(500, None))),
            ("upload-put=reset", rule(Some(RequestKind::UploadPut), 1, Some(1), Fault::Reset)),
            ("blob-get#2=429:retry-after=1*3", rule(Some(RequestKind::BlobGet), 2, Some(3), status(429, Some(1)))),
            ("any=slow:200*", rule(None, 1, None, Fault::Slow(200))),
            ("tags=short:10", rule(Some(RequestKind::Tags), 1, Some(1), Fault::Short(10))),
            (
                "any#3=location:http://127.0.0.1:1/",
                rule(None, 3, Some(1), Fault::Location(LocationFault::Host("http://127.0.0.1:1".to_owned()))),
            ),
        ] {
            assert_eq!(text.parse(), Ok(want), "{text}");
        }
    }

    #[test]
    fn what_is_none() {
        for (text, reason) in [
            ("", "expected `SELECTION=FAULT`"),
            ("0=500", "`0` selects nothing"),
            ("blob=500", "`blob` selects nothing"),
            ("any#0=500", "after `#`"),
            ("any=500*0", "after `*`"),
            ("any=200", "`200` is not known"),
            ("any=429:soon", "after a status"),
            ("any=slow", "expected `slow:MILLISECONDS`"),
            ("any=location:ftp://x", "expected `location:absent`"),
            ("any=reset:1", "`reset:1` is not known"),
        ] {
            let error = text.parse::<FaultRule>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
