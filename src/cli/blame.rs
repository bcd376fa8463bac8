//! Whose turn it is after an error, and what the next step is.
//!
//! The errors of the library say what happened. Which exit code that is, and which flag helps, only the command line can
//! know.

use std::error::Error as StdError;
use std::io;

use super::failure::{Blame, Failure};
use crate::image::root::Fault;
use crate::pipeline::Error;
use crate::{blob, image, layer, net, plan, registry, rootfs, store};

/// The failure of an error of the pipeline.
pub fn of_pipeline(error: &Error) -> Failure {
    if is_cancelled(error) {
        return Failure::interrupted();
    }
    let (blame, hint) = match error {
        Error::Read { source, .. } => (blame_of_reading(source), hint_of_reading(source)),
        Error::Directory(_) => {
            (Blame::Input, Some("name the programs in it; a directory with a `coracle.yaml` is built alone".to_owned()))
        }
        Error::LockDiffers { difference, .. } => {
            let lines = difference.to_string().lines().map(str::to_owned).collect();
            let hint = "if that is meant, write the new set with `--update-lock` and commit it";
            return Failure::of(Blame::Input, error).lines(lines).hint(hint);
        }
        Error::NoLoader { .. } => (Blame::Input, None),
        Error::NoPlan(_) => {
            (Blame::Input, Some("images that coracle builds have one; for a program, name its path".to_owned()))
        }
        Error::Absent(_) => (Blame::Input, Some("`root:PATH` is a path inside `--root`".to_owned())),
        Error::NoReferrers(_) => {
            (Blame::Input, Some("leave out `--referrers`, or copy to a registry or an OCI layout".to_owned()))
        }
        Error::NotRegular(_) => (Blame::Input, Some("copy its content to a file first".to_owned())),
        Error::ProgramName(_) => (Blame::Input, Some("give a name with `--name`".to_owned())),
        Error::NoProgram => (Blame::Input, Some("name one: `coracle build ./program`".to_owned())),
        Error::NoPlatform { .. } | Error::OtherPlatform { .. } => {
            let hint = "a platform is never relabelled; build the program for it, or do not ask for it";
            (Blame::Input, Some(hint.to_owned()))
        }
        Error::NoTag => (Blame::Input, Some("name it with `--tag REGISTRY/REPOSITORY:TAG`".to_owned())),
        Error::TagWithDigest(_) => (Blame::Input, Some("leave out what follows the `@`".to_owned())),
        Error::RegistryOutput(reference) => (Blame::Input, Some(format!("push with `--tag {reference} --push`"))),
        Error::PinnedOutput(_) => (Blame::Input, Some("leave out what follows the `@`".to_owned())),
        Error::ZstdForDocker(_) => {
            (Blame::Input, Some("leave out `--compression zstd`, or write an OCI layout".to_owned()))
        }
        Error::OnlyForWriting(_) => {
            (Blame::Input, Some("save it with `docker save IMAGE -o FILE` and name `archive:FILE`".to_owned()))
        }
        Error::NoBaseKnown { .. } | Error::NotOnBase { .. } | Error::DoesNotFit { .. } | Error::NeedsMore { .. } => {
            (Blame::Input, Some(hint_of_rebase(error).to_owned()))
        }
        Error::Registry(error) => return of_registry(error),
        Error::Network(error) => return of_network(error),
        Error::LayerType { .. } => (Blame::Input, None),
        Error::Tar(_) => (Blame::Input, Some("`coracle validate` says what else is wrong with it".to_owned())),
        Error::OtherDigest { .. } => {
            (Blame::Input, Some("push to a tag, or leave out what follows the `@`".to_owned()))
        }
        Error::SameOutput(_) => (Blame::Input, None),
        Error::OutputIsInput { .. } => {
            (Blame::Input, Some("write to another place, or leave it out with `--exclude`".to_owned()))
        }
        Error::Refused(findings) => return Failure::refused(findings.clone()),
        Error::Plan(error) => return of_plan(error),
        Error::Root(_) => (Blame::Input, Some("check `--root`: a directory that may be read".to_owned())),
        Error::Walk(error) => (blame_of_walk(error), hint_of_walk(error)),
        Error::Layer(error) => return of_layer(error),
        Error::EmptyRoot
        | Error::RootDirectory { .. }
        | Error::RootPlatforms { .. }
        | Error::RootNotAnImage(_)
        | Error::RootLayers { .. } => of_root(error),
        Error::Image(error) => return of_image(error),
        Error::Task(_) => (Blame::Environment, None),
        Error::Store(error) => return of_store(error),
    };
    finish(Failure::of(blame, error), error, hint)
}

/// What to do when an image cannot be put onto another base.
const fn hint_of_rebase(error: &Error) -> &'static str {
    match error {
        Error::NoBaseKnown { .. } => "name it with `--from BASE`",
        Error::NotOnBase { .. } => "name the right one with `--from BASE`, or build it again",
        _ => "build the image again on that base: `coracle build … --base BASE`",
    }
}

/// Whose turn it is when a root cannot be used.
fn of_root(error: &Error) -> (Blame, Option<String>) {
    match error {
        Error::EmptyRoot => (Blame::Input, Some(format!("name a root: {ROOTS}"))),
        Error::RootDirectory { source, .. } => {
            // A name in a registry without its prefix is taken for a directory.
            let hint = hint_of_reading(source).map(|hint| format!("{hint}; a root is {ROOTS}"));
            (blame_of_reading(source), hint)
        }
        Error::RootPlatforms { .. } => (Blame::Input, Some("choose it with `--platform OS/ARCH`".to_owned())),
        Error::RootNotAnImage(_) => (Blame::Input, Some(format!("name a root: {ROOTS}"))),
        Error::RootLayers { .. } => {
            (Blame::Input, Some("`coracle validate` says what else is wrong with it".to_owned()))
        }
        _ => (Blame::Input, None),
    }
}

/// The failure of an error of opening a base.
pub fn of_base(error: &Error, base: &crate::pipeline::BaseSpec) -> Failure {
    let failure = of_pipeline(error);
    if let Error::Store(store::Error::NoPlatform { available, .. }) = error {
        let has: Vec<String> = available.iter().map(|platform| format!("`{platform}`")).collect();
        return failure.hint(format!("build on another base; this one has images for {}", has.join(", ")));
    }
    if matches!(error, Error::RootNotAnImage(_)) {
        return failure.hint(format!("`{base}` is an artifact; name an image"));
    }
    failure
}

/// The failure of an error of planning.
pub fn of_plan(error: &plan::Error) -> Failure {
    let (blame, hint) = match error {
        plan::Error::Walk(error) => {
            return finish(Failure::of(blame_of_walk(error), error), error, hint_of_walk(error));
        }
        plan::Error::SamePath { .. } => (Blame::Input, Some("give one of them another path in the image")),
        plan::Error::Encode(_) | plan::Error::Content { .. } => (Blame::Environment, None),
        plan::Error::NoProgram => (Blame::Input, Some("name one: `coracle build ./program`")),
        plan::Error::ProgramName { .. } => (Blame::Input, Some("give another name with `--name`")),
        plan::Error::BelowFile { .. } | plan::Error::DirectoryOrNot { .. } => {
            (Blame::Input, Some("give one of them another path in the image"))
        }
        plan::Error::Whiteout { .. } => (Blame::Input, Some("leave it out with `--exclude`, or give it another name")),
        plan::Error::OnBase { .. } => {
            (Blame::Input, Some("give it another path in the image, or build on another base"))
        }
        plan::Error::BaseRead(_) => (Blame::Environment, None),
        plan::Error::EscapingLink { .. } => {
            (Blame::Input, Some("add what it leads to, or leave the link out with `--exclude`"))
        }
        plan::Error::Path { .. } => (Blame::Input, Some("write an absolute path of the image without `..`")),
        plan::Error::Add { .. } => (Blame::Input, Some("write `SRC:DST[:MODE[:UID:GID]]`")),
        _ => (Blame::Input, None),
    };
    finish(Failure::of(blame, error), error, hint.map(str::to_owned))
}

/// What a root can be.
const ROOTS: &str = "a directory, `image:REF`, `oci:DIR` or `archive:FILE`";

/// The failure of an error about finished images.
pub fn of_image(error: &image::Error) -> Failure {
    let (blame, hint) = match error {
        image::Error::Cancelled => return Failure::interrupted(),
        image::Error::Layer { source, .. } => match **source {
            // The disk's fault, or that of the way here.
            Fault::Spool { .. } | Fault::Read(_) | Fault::Open(_) => (Blame::Environment, None),
            Fault::TooMany { .. } | Fault::Unpacked { .. } => (Blame::Input, None),
            _ => (Blame::Input, Some("`coracle validate` says what else is wrong with it".to_owned())),
        },
        image::Error::LayerFormat { .. } => {
            (Blame::Input, Some("Docker's format has no zstd: leave out `--image-format docker`".to_owned()))
        }
        _ => (Blame::Environment, None),
    };
    finish(Failure::of(blame, error), error, hint)
}

/// The failure of an error of packing.
pub fn of_layer(error: &layer::Error) -> Failure {
    match error {
        layer::Error::Cancelled => return Failure::interrupted(),
        layer::Error::Open { source: blob::Error::Open { source, .. }, .. } | layer::Error::Read { source, .. } => {
            return finish(Failure::of(blame_of_reading(source), error), error, hint_of_reading(source));
        }
        _ => {}
    }
    let hint = match error {
        layer::Error::Changed { .. } | layer::Error::Replaced { .. } | layer::Error::Content { .. } => {
            Some("wait until nobody writes to it".to_owned())
        }
        _ => None,
    };
    let blame = match error {
        layer::Error::Changed { .. }
        | layer::Error::Replaced { .. }
        | layer::Error::Content { .. }
        | layer::Error::LinkTarget { .. } => Blame::Input,
        _ => Blame::Environment,
    };
    finish(Failure::of(blame, error), error, hint)
}

/// The failure of an error of a store.
pub fn of_store(error: &store::Error) -> Failure {
    if is_cancelled(error) {
        return Failure::interrupted();
    }
    let blame = match error {
        store::Error::NotFound { .. }
        | store::Error::NotALayout { .. }
        | store::Error::NotAnArchive { .. }
        | store::Error::Ambiguous { .. }
        | store::Error::NoPlatform { .. }
        | store::Error::Location { .. }
        | store::Error::Oci(_)
        | store::Error::Document { .. }
        | store::Error::IndexTooLarge(_)
        | store::Error::ZstdNotLoadable(_) => Blame::Input,
        store::Error::Io { verb: "read", source, .. } => blame_of_reading(source),
        store::Error::Io { source, .. } if source.kind() == io::ErrorKind::IsADirectory => Blame::Input,
        _ => Blame::Environment,
    };
    let hint = match error {
        store::Error::NotFound { .. } => Some("check the name and the tag".to_owned()),
        store::Error::Io { verb: "read", source, .. } => hint_of_reading(source),
        store::Error::Document { .. } => Some("it is damaged: build the image, or copy it, again".to_owned()),
        other => other.hint(),
    };
    finish(Failure::of(blame, error), error, hint)
}

/// The failure of an error of the registry client.
pub fn of_registry(error: &registry::Error) -> Failure {
    use registry::Error;
    let (blame, hint) = match error {
        Error::Host(_) => (Blame::Input, None),
        Error::Blocked { .. } => {
            (Blame::Input, Some("ask who wrote it, or name another file with `--registries-conf`"))
        }
        Error::HostsFile(_) => (Blame::Input, Some("correct it, or do without such files: `--no-host-files`")),
        _ => (Blame::Environment, None),
    };
    finish(Failure::of(blame, error), error, hint.map(str::to_owned))
}

/// The failure of an error of the transport.
pub fn of_network(error: &net::Error) -> Failure {
    let blame = match error {
        net::Error::ProxyUrl { .. } | net::Error::Authority { .. } | net::Error::Identity { .. } => Blame::Input,
        net::Error::TlsFile { source, .. } => blame_of_reading(source),
        _ => Blame::Environment,
    };
    finish(Failure::of(blame, error), error, None)
}

/// Adds the hint that fits, the deepest cause knowing best.
fn finish(failure: Failure, error: &(dyn StdError + 'static), hint: Option<String>) -> Failure {
    let hint = hint.or_else(|| registry_hint(error));
    let hint = hint.or_else(|| deepest_io(error).and_then(hint_of_io).map(str::to_owned));
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// What the registry client or the transport knows to do next.
fn registry_hint(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        let of_registry = error.downcast_ref::<registry::Error>().and_then(registry::Error::hint);
        let of_network = || error.downcast_ref::<net::Error>().and_then(net::Error::hint).map(str::to_owned);
        if let Some(hint) = of_registry.or_else(of_network) {
            return Some(hint);
        }
        next = error.source();
    }
    None
}

fn is_cancelled(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let cancelled = matches!(error.downcast_ref(), Some(store::Error::Cancelled))
            || matches!(error.downcast_ref(), Some(layer::Error::Cancelled));
        if cancelled {
            return true;
        }
        next = error.source();
    }
    false
}

fn deepest_io<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a io::Error> {
    let mut found = None;
    let mut next = Some(error);
    while let Some(error) = next {
        found = error.downcast_ref::<io::Error>().or(found);
        next = error.source();
    }
    found
}

fn blame_of_walk(error: &rootfs::walk::Error) -> Blame {
    match error {
        rootfs::walk::Error::Read { source, .. } => blame_of_reading(source),
        _ => Blame::Input,
    }
}

fn hint_of_walk(error: &rootfs::walk::Error) -> Option<String> {
    match error {
        rootfs::walk::Error::Read { source, .. } => hint_of_reading(source),
        rootfs::walk::Error::Special { .. } => Some("leave it out with `--exclude`".to_owned()),
        _ => None,
    }
}

/// A file that is not there or may not be read is the user's to name or to open; anything else is the disk's.
fn blame_of_reading(error: &io::Error) -> Blame {
    match error.kind() {
        io::ErrorKind::NotFound
        | io::ErrorKind::PermissionDenied
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::InvalidFilename => Blame::Input,
        _ => Blame::Environment,
    }
}

fn hint_of_reading(error: &io::Error) -> Option<String> {
    let hint = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => {
            "check the path; it is relative to the current directory"
        }
        io::ErrorKind::PermissionDenied => "allow the current user to read it",
        _ => return None,
    };
    Some(hint.to_owned())
}

fn hint_of_io(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("free some space, or put temporary files elsewhere with `TMPDIR`")
        }
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            Some("write to a directory that the current user may write to")
        }
        io::ErrorKind::NotFound => Some("make the directory first"),
        io::ErrorKind::IsADirectory => Some("name a file in it"),
        _ => None,
    }
}
