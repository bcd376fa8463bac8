//! The image config and the annotations.

use std::collections::BTreeMap;

use serde_json::Map;

pub(super) use super::add::absolute;
use super::users::{NONROOT, User, parse_user};
use super::{Base, Error, ImageOptions, PlanRequest, findings};
use crate::diag::{Diagnostic, Severity};
use crate::oci::{Annotations, ContainerConfig, ImagePath, rfc3339};

/// `PATH` as Docker and distroless have it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Who the program runs as, and how the config says it. The base's user stays, unless it is root.
pub(super) fn user(
    options: &ImageOptions,
    base: Option<&Base>,
    findings: &mut Vec<Diagnostic>,
) -> Result<(User, String), Error> {
    let Some(text) = &options.user else {
        if let Some((text, user)) = base.and_then(|base| super::base::user(base, findings)) {
            return Ok((user, text));
        }
        let user = User { uid: NONROOT, gid: if options.openshift { 0 } else { NONROOT } };
        return Ok((user, user.to_config()));
    };
    let mut user = parse_user(text)?;
    if options.openshift && !text.contains(':') {
        user.gid = 0;
    }
    let finding = |code, severity, message: &str, hint: &str| {
        Diagnostic::new(code, severity, text, message).with_hint(hint.to_owned())
    };
    if user.uid == 0 {
        let hint = "leave the user out to run as 65532, or give a uid other than 0";
        findings.push(finding(findings::ROOT_USER, Severity::Warning, "the program runs as root", hint));
    }
    if options.openshift && user.gid != 0 {
        let hint = "an arbitrary uid is given group 0; leave the group out";
        let message = "writable directories belong to group 0, but the user has another group";
        findings.push(finding(findings::OPENSHIFT_GROUP, Severity::Warning, message, hint));
    }
    if text.bytes().any(|b| b.is_ascii_alphabetic()) {
        let message = format!("the user is written as `{}`", user.to_config());
        let hint = "`runAsNonRoot` of Kubernetes takes numbers only";
        findings.push(finding(findings::NAMED_USER, Severity::Note, &message, hint));
    }
    Ok((user, user.to_config()))
}

/// The directories named in a list of settings.
pub(super) fn directories(what: &'static str, texts: &[String]) -> Result<Vec<ImagePath>, Error> {
    let mut paths = Vec::with_capacity(texts.len());
    for text in texts {
        let path = absolute(what, text.as_bytes())?;
        if path.is_root() {
            return Err(Error::Path { what, text: text.clone(), reason: "it is the root directory" });
        }
        paths.push(path);
    }
    Ok(paths)
}

/// The working directory.
pub(super) fn workdir(options: &ImageOptions, base: Option<&ContainerConfig>) -> Result<ImagePath, Error> {
    let of_base = || base.and_then(|base| base.working_dir.as_ref()).filter(|text| text.starts_with('/'));
    options
        .workdir
        .as_ref()
        .or_else(of_base)
        .map_or_else(|| Ok(ImagePath::root()), |text| absolute("working directory", text.as_bytes()))
}

/// The whole config: the base's with the user's words over it.
pub(super) fn container_config(
    options: &ImageOptions,
    base: Option<&ContainerConfig>,
    user: String,
    program: &ImagePath,
) -> Result<ContainerConfig, Error> {
    let entrypoint = match &options.entrypoint {
        Some(words) if words.first().is_none_or(String::is_empty) => {
            return Err(Error::Command { what: "entrypoint", reason: "it names no program" });
        }
        Some(words) => words.clone(),
        None => vec![utf8(program)?],
    };
    for (what, words) in [("entrypoint", Some(&entrypoint)), ("cmd", options.cmd.as_ref())] {
        if words.is_some_and(|words| words.iter().any(|word| word.contains('\0'))) {
            return Err(Error::Command { what, reason: "it has a NUL byte" });
        }
    }
    for text in options.labels.keys() {
        check_key("a label", text)?;
    }
    let volumes = directories("volume", &options.volumes)?;
    let below = base.cloned().unwrap_or_default();
    let over = |mut below: crate::oci::Set, own: Vec<String>| {
        below.extend(set(own));
        below
    };
    let mut labels = below.labels;
    labels.extend(options.labels.clone());
    Ok(ContainerConfig {
        user: Some(user),
        exposed_ports: over(
            below.exposed_ports,
            options.ports.iter().map(|text| port(text)).collect::<Result<_, _>>()?,
        ),
        env: environment(&options.env, base)?,
        entrypoint: Some(entrypoint),
        cmd: options.cmd.clone().filter(|words| !words.is_empty()),
        volumes: over(below.volumes, volumes.iter().map(utf8).collect::<Result<_, _>>()?),
        working_dir: Some(utf8(&workdir(options, base)?)?),
        labels,
        stop_signal: options.stop_signal.as_deref().map(signal).transpose()?.or(below.stop_signal),
        other: below.other,
    })
}

/// Annotations: those the user gave, and the time of creation when it means something.
pub(super) fn annotations(request: &PlanRequest) -> Result<Annotations, Error> {
    for text in request.options.annotations.keys() {
        check_key("an annotation", text)?;
    }
    let mut annotations = request.options.annotations.clone();
    if let Some(base) = &request.base {
        let digest = ("org.opencontainers.image.base.digest", Some(base.image.digest.to_string()));
        for (key, value) in [digest, ("org.opencontainers.image.base.name", base.image.name.clone())] {
            if let Some(value) = value {
                annotations.entry(key.to_owned()).or_insert(value);
            }
        }
    }
    if request.created > 0 {
        annotations.entry("org.opencontainers.image.created".to_owned()).or_insert_with(|| rfc3339(request.created));
    }
    Ok(annotations)
}

/// JSON is UTF-8, so a path that stands in the config must be.
fn utf8(path: &ImagePath) -> Result<String, Error> {
    let text = std::str::from_utf8(path.as_bytes()).map_err(|_| Error::Path {
        what: "path in the image config",
        text: path.to_string(),
        reason: "it is not UTF-8",
    })?;
    Ok(format!("/{text}"))
}

fn set(keys: Vec<String>) -> crate::oci::Set {
    keys.into_iter().map(|key| (key, Map::new())).collect()
}

/// Variables of the base stay in their order, and ours follow, sorted; of one name ours counts.
fn environment(env: &BTreeMap<String, String>, base: Option<&ContainerConfig>) -> Result<Vec<String>, Error> {
    let below = base.map(|base| base.env.clone()).unwrap_or_default();
    let name_of = |line: &str| line.split_once('=').map_or(line, |(name, _)| name).to_owned();
    let mut all = BTreeMap::new();
    if below.iter().all(|line| name_of(line) != "PATH") {
        all.insert("PATH", PATH);
    }
    for (name, value) in env {
        let refuse = |reason| Error::Env { text: name.clone(), reason };
        if name.is_empty() {
            return Err(refuse("it has no name"));
        }
        if name.contains(['=', '\0']) {
            return Err(refuse("its name has a `=` or a NUL byte"));
        }
        if value.contains('\0') {
            return Err(refuse("its value has a NUL byte"));
        }
        all.insert(name, value);
    }
    let mut lines: Vec<String> = Vec::with_capacity(below.len() + all.len());
    for line in below {
        let name = name_of(&line);
        lines.push(all.remove(name.as_str()).map_or(line, |value| format!("{name}={value}")));
    }
    lines.extend(all.into_iter().map(|(name, value)| format!("{name}={value}")));
    Ok(lines)
}

fn port(text: &str) -> Result<String, Error> {
    let refuse = |reason| Error::Port { text: text.to_owned(), reason };
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    if !matches!(protocol, "tcp" | "udp" | "sctp") {
        return Err(refuse("the protocol is `tcp`, `udp` or `sctp`"));
    }
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    match number.parse::<u16>() {
        Ok(number) if digits && number > 0 => Ok(format!("{number}/{protocol}")),
        _ => Err(refuse("expected a number from 1 to 65535")),
    }
}

fn signal(text: &str) -> Result<String, Error> {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS",
    ];
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if NAMES.contains(&name) {
        return Ok(format!("SIG{name}"));
    }
    // Real-time signals as `signal(7)` of Docker names them: SIGRTMIN+1, SIGRTMAX-2.
    let offset = name.strip_prefix("RTMIN+").or_else(|| name.strip_prefix("RTMAX-"));
    let real_time = matches!(name, "RTMIN" | "RTMAX")
        || offset.is_some_and(|n| n.len() <= 2 && n.parse::<u8>().is_ok_and(|n| (1..=30).contains(&n)));
    if real_time {
        return Ok(format!("SIG{name}"));
    }
    match text.parse::<u8>() {
        Ok(number @ 1..=64) => Ok(number.to_string()),
        _ => Err(Error::Signal { text: text.to_owned() }),
    }
}

fn check_key(what: &'static str, text: &str) -> Result<(), Error> {
    let refuse = |reason| Err(Error::Key { what, text: text.to_owned(), reason });
    match text {
        "" => refuse("it is empty"),
        text if text.contains(char::is_control) => refuse("it has a control character"),
        _ => Ok(()),
    }
}
