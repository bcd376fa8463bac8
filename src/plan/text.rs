//! The text form of a plan, line by line, and back.
//!
//! ```text
//! coracle plan 1
//! name hello
//! platform linux/amd64
//! created 0
//! encoder gz1
//! config Entrypoint ["/app/hello"]
//! annotation org.opencontainers.image.title "hello"
//! layer app
//! dir 0755 0:0 /app rule=parent-directory by=/app/hello confidence=proven
//! file 0555 0:0 /app/hello size=812 digest=- rule=entrypoint by=… confidence=asserted
//! ```
//!
//! Words are split by one space; a space within a word is `\x20`, a backslash `\\`, every byte outside printable ASCII
//! `\xNN`. Values of `config` and `annotation` are canonical JSON up to the end of the line.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::view::{EntryView, EvidenceView, KindView, LayerView, PackageView, PlanView, VERSION};
use super::{Error, Plan};
use crate::diag::escape;
use crate::limits;
use crate::oci::json;

/// The first line.
const HEADER: &str = "coracle plan 1";

impl Plan {
    /// The text form: stable, without any path of the building machine.
    ///
    /// # Errors
    /// [`Error::Content`] and [`Error::Encode`].
    pub fn to_text(&self) -> Result<String, Error> {
        PlanView::of(self)?.to_text()
    }
}

impl PlanView {
    /// The text form.
    ///
    /// # Errors
    /// [`Error::Encode`] when the config holds what canonical JSON cannot.
    pub fn to_text(&self) -> Result<String, Error> {
        let mut out = format!("{HEADER}\nname {}\nplatform {}\n", escape(self.name.as_bytes()), word(&self.platform));
        let config = serde_json::to_value(&self.config)
            .map_err(|e| Error::Encode(crate::oci::Error::Document { what: "image config", reason: e.to_string() }))?;
        let _ = writeln!(out, "created {}\nencoder {}", self.created, word(&self.encoder));
        for (name, value) in config.as_object().into_iter().flatten() {
            let _ = writeln!(out, "config {} {}", word(name), encode(value)?);
        }
        for (key, value) in &self.annotations {
            let _ = writeln!(out, "annotation {} {}", word(key), encode(value)?);
        }
        for layer in &self.layers {
            let _ = writeln!(out, "layer {}", word(&layer.name));
            for entry in &layer.entries {
                write_entry(entry, &mut out);
            }
        }
        Ok(out)
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// [`Error::Text`] with the line, and [`Error::TextTooLarge`].
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        if text.len() > limits::MAX_PLAN_TEXT_BYTES {
            return Err(Error::TextTooLarge { size: text.len(), limit: limits::MAX_PLAN_TEXT_BYTES });
        }
        let at = |line, reason| Error::Text { line, reason };
        let text = std::str::from_utf8(text).map_err(|_| at(1, "it is not UTF-8"))?;
        let body = text.strip_suffix('\n').ok_or_else(|| at(text.lines().count(), "the last line has no end"))?;
        let mut lines = body.split('\n').enumerate().map(|(index, line)| (index + 1, line));
        if lines.next().is_none_or(|(_, line)| line != HEADER) {
            return Err(at(1, "expected `coracle plan 1`"));
        }
        let mut reader = Reader::default();
        for (line, content) in lines {
            reader.line(content).map_err(|reason| at(line, reason))?;
        }
        reader.finish().map_err(|reason| at(body.lines().count(), reason))
    }
}

fn encode<T: serde::Serialize>(value: &T) -> Result<String, Error> {
    let bytes = json::canonical("plan", value).map_err(Error::Encode)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn write_entry(entry: &EntryView, out: &mut String) {
    // Writing to a string does not fail.
    let kind = entry.kind.name();
    let _ = write!(out, "{kind} {} {}:{} {}", entry.mode, entry.uid, entry.gid, spaced(&entry.path));
    if let Some(size) = entry.size {
        let _ = write!(out, " size={size} digest={}", entry.digest.as_deref().unwrap_or("-"));
    }
    if let Some(target) = &entry.target {
        let _ = write!(out, " target={}", spaced(target));
    }
    for (name, value) in &entry.xattrs {
        let _ = write!(out, " xattr={}:{value}", word(name));
    }
    if let Some(package) = &entry.package {
        let parts = [&package.name, &package.version, &package.architecture];
        let _ = write!(out, " package={}", parts.map(|part| part_word(part)).join("|"));
    }
    let (rule, by) = (word(&entry.rule), word(&entry.needed_by));
    let _ = write!(out, " rule={rule} by={by} confidence={}", word(&entry.confidence));
    for evidence in &entry.evidence {
        let _ = write!(out, " evidence={}|{}", part_word(&evidence.source), part_word(&evidence.value));
    }
    if let Some(content) = &entry.content {
        let _ = write!(out, " content={}", spaced(content));
    }
    out.push('\n');
}

/// Text as one word.
pub(super) fn word(text: &str) -> String {
    spaced(&escape(text.as_bytes()))
}

/// Text as a part of a word that `|` splits.
fn part_word(text: &str) -> String {
    word(text).replace('|', "\\x7c")
}

/// Escaped text as one word.
fn spaced(escaped: &str) -> String {
    escaped.replace(' ', "\\x20")
}

/// The escaped text of a word: only `\x20` is taken back.
fn unspaced(word: &str) -> Option<String> {
    let bytes = unescape(word)?;
    Some(escape(&bytes))
}

/// The text of a word.
pub(super) fn unword(word: &str) -> Option<String> {
    String::from_utf8(unescape(word)?).ok()
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = match (byte, after) {
            (b'\\', [b'\\', after @ ..]) => {
                bytes.push(b'\\');
                after
            }
            (b'\\', [b'x', high, low, after @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                bytes.push(digit(high)? << 4 | digit(low)?);
                after
            }
            (0x20..=0x7e, after) if byte != b'\\' => {
                bytes.push(byte);
                after
            }
            _ => return None,
        };
    }
    Some(bytes)
}

/// What was read so far.
#[derive(Default)]
struct Reader {
    name: Option<String>,
    platform: Option<String>,
    created: Option<u64>,
    encoder: Option<String>,
    config: Map<String, Value>,
    annotations: std::collections::BTreeMap<String, String>,
    layers: Vec<LayerView>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), &'static str> {
        const BAD_WORD: &str = "it has a word that is not escaped as it should be";
        let (key, rest) = line.split_once(' ').ok_or("expected a word, a space and a value")?;
        match key {
            "name" => once(&mut self.name, unword(rest).ok_or(BAD_WORD)?),
            "platform" => once(&mut self.platform, unword(rest).ok_or(BAD_WORD)?),
            "encoder" => once(&mut self.encoder, unword(rest).ok_or(BAD_WORD)?),
            "created" => once(&mut self.created, number(rest)?),
            "config" | "annotation" => {
                let (name, value) = rest.split_once(' ').ok_or("expected a name, a space and a JSON value")?;
                let name = unword(name).ok_or(BAD_WORD)?;
                let not_json = |_| "the value is not JSON";
                let twice = if key == "config" {
                    self.config.insert(name, serde_json::from_str(value).map_err(not_json)?).is_some()
                } else {
                    self.annotations.insert(name, serde_json::from_str(value).map_err(not_json)?).is_some()
                };
                if twice { Err("the name stands there twice") } else { Ok(()) }
            }
            "layer" => {
                self.layers.push(LayerView { name: unword(rest).ok_or(BAD_WORD)?, entries: Vec::new() });
                Ok(())
            }
            "dir" | "file" | "link" => {
                let layer = self.layers.last_mut().ok_or("an entry stands before any layer")?;
                layer.entries.push(read_entry(key, rest)?);
                Ok(())
            }
            _ => Err("the first word is not known"),
        }
    }

    fn finish(self) -> Result<PlanView, &'static str> {
        Ok(PlanView {
            version: VERSION,
            name: self.name.ok_or("there is no `name` line")?,
            platform: self.platform.ok_or("there is no `platform` line")?,
            created: self.created.ok_or("there is no `created` line")?,
            encoder: self.encoder.ok_or("there is no `encoder` line")?,
            config: serde_json::from_value(Value::Object(self.config)).map_err(|_| "the config has a wrong type")?,
            annotations: self.annotations,
            layers: self.layers,
        })
    }
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), &'static str> {
    match slot.replace(value) {
        Some(_) => Err("the line stands there twice"),
        None => Ok(()),
    }
}

fn number(text: &str) -> Result<u64, &'static str> {
    text.parse().map_err(|_| "expected a number")
}

fn read_entry(kind: &str, rest: &str) -> Result<EntryView, &'static str> {
    let mut words = rest.split(' ');
    let mut next = || words.next().ok_or("expected a mode, `uid:gid` and a path");
    let (mode, owner, path) = (next()?, next()?, next()?);
    if mode.len() != 4 || !mode.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
        return Err("the mode is not four octal digits");
    }
    let (uid, gid) = owner.split_once(':').ok_or("expected `uid:gid`")?;
    let mut entry = EntryView {
        path: unspaced(path).filter(|path| path.starts_with('/')).ok_or("the path is not an absolute path")?,
        kind: match kind {
            "dir" => KindView::Dir,
            "file" => KindView::File,
            _ => KindView::Link,
        },
        mode: mode.to_owned(),
        uid: number(uid)?,
        gid: number(gid)?,
        size: None,
        digest: None,
        target: None,
        xattrs: std::collections::BTreeMap::new(),
        package: None,
        rule: String::new(),
        needed_by: String::new(),
        confidence: String::new(),
        evidence: Vec::new(),
        content: None,
    };
    for attribute in words {
        read_attribute(&mut entry, attribute).ok_or("an attribute of the entry cannot be read")?;
    }
    match entry {
        EntryView { ref rule, ref needed_by, ref confidence, .. }
            if rule.is_empty() || needed_by.is_empty() || confidence.is_empty() =>
        {
            Err("the entry has no reason")
        }
        EntryView { kind: KindView::File, size: None, .. } => Err("the file has no size"),
        EntryView { kind: KindView::Link, target: None, .. } => Err("the link has no target"),
        entry => Ok(entry),
    }
}

fn read_attribute(entry: &mut EntryView, attribute: &str) -> Option<()> {
    let (key, value) = attribute.split_once('=')?;
    match key {
        "size" => entry.size = Some(value.parse().ok()?),
        "digest" if value == "-" => entry.digest = None,
        "digest" => entry.digest = Some(value.parse::<crate::oci::Digest>().ok()?.to_string()),
        "target" => entry.target = Some(unspaced(value)?),
        "xattr" => {
            let (name, value) = value.rsplit_once(':')?;
            let hex = value.len() % 2 == 0 && value.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            entry.xattrs.insert(unword(name)?, hex.then(|| value.to_owned())?);
        }
        "package" => {
            let mut parts = value.split('|').map(unword);
            let (name, version, architecture) = (parts.next()??, parts.next()??, parts.next()??);
            entry.package = Some(PackageView { name, version, architecture });
        }
        "rule" => entry.rule = unword(value)?,
        "by" => entry.needed_by = unword(value)?,
        "confidence" => entry.confidence = unword(value)?,
        "evidence" => {
            let (source, value) = value.split_once('|')?;
            entry.evidence.push(EvidenceView { source: unword(source)?, value: unword(value)? });
        }
        "content" => entry.content = Some(unspaced(value)?),
        _ => return None,
    }
    Some(())
}
