//! Whether an image works on another base: its paths lie there as they did, and its programs find there what they need.

use std::sync::Arc;

use super::super::base::OpenBase;
use super::super::{Environment, Error, programs};
use crate::analyze::needs::{self, Choice, NeedsRequest, ProgramAt};
use crate::blob::Layer;
use crate::diag::{Diagnostic, Severity, escape};
use crate::image::{ImageRoot, RootLimits};
use crate::layer::LayerReader;
use crate::layer::tar::{TarKind, TarReader};
use crate::observe::SharedObserver;
use crate::oci::{ImageConfig, ImagePath, media_type};
use crate::rootfs::{Node, Root, resolve};
use crate::store;

/// Checks both, and gives the findings that refuse nothing.
///
/// # Errors
/// [`Error::DoesNotFit`], [`Error::Refused`], [`Error::NeedsMore`]; those of reading.
pub(super) async fn check(
    shown: &str,
    config: &ImageConfig,
    base: &OpenBase,
    own: &[Layer],
    environment: &Environment,
    observer: &SharedObserver,
) -> Result<Vec<Diagnostic>, Error> {
    let (files, own, all) =
        (Arc::clone(&base.files), own.to_vec(), base.ground.layers.iter().chain(own).cloned().collect::<Vec<Layer>>());
    let (shown, temp_dir, observer) = (shown.to_owned(), environment.temp_dir.clone(), Arc::clone(observer));
    let settings = config.config.clone().unwrap_or_default();
    let work = move || {
        for layer in &own {
            paths(&*files, layer)?;
        }
        let root = ImageRoot::open(&all, &shown, &temp_dir, RootLimits::default(), &*observer)?;
        let library_path =
            settings.env.iter().find_map(|line| line.strip_prefix("LD_LIBRARY_PATH=")).map(str::to_owned);
        let command = settings.entrypoint.or(settings.cmd).unwrap_or_default();
        verdict(Arc::new(root), command.first().map(String::as_str), library_path)
    };
    tokio::task::spawn_blocking(work).await?
}

/// No entry may take a link or a directory of the base away, nor lie below a file of it.
fn paths(base: &dyn Root, layer: &Layer) -> Result<(), Error> {
    let descriptor = layer.blob.descriptor();
    let compression = media_type::layer_compression(&descriptor.media_type).ok_or_else(|| Error::LayerType {
        digest: descriptor.digest.clone(),
        media_type: descriptor.media_type.clone(),
    })?;
    let source = layer.blob.open(0).map_err(store::Error::Blob)?;
    let mut reader = TarReader::new(LayerReader::open(compression, source)?);
    while let Some(entry) = reader.next_entry()? {
        let name = entry.path.strip_suffix(b"/").unwrap_or(&entry.path);
        let Ok(path) = ImagePath::parse(name) else { continue };
        let refuse = |at: &ImagePath, reason| Error::DoesNotFit { path: path.clone(), at: at.clone(), reason };
        for above in path.ancestors() {
            match base.node(&above)? {
                None => break,
                Some(Node::Directory { .. }) => {}
                Some(Node::Symlink(_)) => return Err(refuse(&above, "is a link")),
                Some(_) => return Err(refuse(&above, "is a file")),
            }
        }
        let is_directory = entry.kind == TarKind::Directory;
        match base.node(&path)? {
            Some(Node::Directory { .. }) if !is_directory => return Err(refuse(&path, "is a directory")),
            Some(Node::Symlink(_)) if is_directory => return Err(refuse(&path, "is a link")),
            Some(Node::File { .. }) if is_directory => return Err(refuse(&path, "is a file")),
            _ => {}
        }
    }
    Ok(())
}

/// The image's program is looked at as a build would.
fn verdict(root: Arc<dyn Root>, command: Option<&str>, library_path: Option<String>) -> Result<Vec<Diagnostic>, Error> {
    let Some(command) = command.filter(|command| command.starts_with('/')) else { return Ok(Vec::new()) };
    let Some(found) = resolve(&*root, command.as_bytes())? else {
        return Err(Error::Absent(command.into()));
    };
    let analysis = programs::analyze_in_root(&*root, std::path::Path::new(command))?;
    // A script's interpreter is not looked for: a finding of the build said what it is.
    let Ok(program) = analysis.into_program() else { return Ok(Vec::new()) };
    let at = ProgramAt {
        name: escape(command.as_bytes()),
        path: found.path.clone(),
        image: found.path,
        called: None,
        facts: program.facts,
    };
    let request = NeedsRequest {
        root: Arc::clone(&root),
        base: Some(root),
        programs: vec![at],
        choice: Choice { strict: true, ..Choice::default() },
        packages: None,
        host: false,
        level: 1,
        library_path,
    };
    let needs = needs::find(&request)?;
    if needs.diagnostics.iter().any(|finding| finding.severity == Severity::Error) {
        return Err(Error::Refused(needs.diagnostics));
    }
    // What would have to be made for it: only a build can do that.
    let missing: Vec<String> = needs.files.keys().map(ToString::to_string).collect();
    if !missing.is_empty() {
        return Err(Error::NeedsMore { paths: missing });
    }
    Ok(needs.diagnostics)
}
