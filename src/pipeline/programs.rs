//! From paths to programs: what each file says about itself, and which of them make an image together.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{Error, ProgramFile, naming};
use crate::analyze::{self, Analysis, analyze_program};
use crate::blob::FileSource;
use crate::diag::Diagnostic;
use crate::oci::Platform;
use crate::plan;
use crate::rootfs::walk::Special;
use crate::rootfs::{self, HostFile};

/// Opens a regular file.
fn open(path: &Path) -> Result<HostFile, Error> {
    if path.is_dir() {
        return Err(Error::Directory(path.to_owned()));
    }
    HostFile::open(path).map_err(|error| match error {
        rootfs::Error::Open { path, source } => Error::Read { path, source },
        rootfs::Error::NotRegular { path, .. } => Error::NotRegular(path),
    })
}

/// Analyzes the program at `path`.
///
/// # Errors
/// [`Error::Read`], [`Error::Directory`], [`Error::NotRegular`]; a file of the wrong kind is a finding of the analysis.
pub fn analyze(path: &Path) -> Result<Analysis, Error> {
    Ok(analyze_program(&path.display().to_string(), &open(path)?))
}

/// A program with the path it came from.
#[derive(Debug, Clone)]
struct Found {
    file: ProgramFile,
    program: analyze::Program,
}

/// The programs of one image.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub platform: Platform,
    pub programs: Vec<plan::Program>,
}

/// Programs grouped by platform, the name that all images share, and the findings.
#[derive(Debug)]
pub(super) struct Groups {
    pub name: String,
    pub groups: Vec<Group>,
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads all programs and groups those of the wanted platforms, in the order of the platforms' first programs.
///
/// # Errors
/// [`Error::Refused`] with the findings about every file that is no program; [`Error::NoPlatform`] and the errors of
/// reading.
pub(super) fn group(files: &[ProgramFile], name: Option<&str>, wanted: &[Platform]) -> Result<Groups, Error> {
    let mut found = Vec::new();
    let (mut diagnostics, mut refused) = (Vec::new(), Vec::new());
    for file in files {
        match analyze(&file.path)?.into_program() {
            Ok(program) => found.push(check(file, program)?),
            Err(findings) => refused.extend(findings),
        }
    }
    if !refused.is_empty() {
        return Err(Error::Refused(refused));
    }
    let first = found.first().ok_or(Error::NoProgram)?;
    let name = match name {
        Some(name) => name.to_owned(),
        None => own_name(&first.file)?,
    };
    let mut groups: BTreeMap<Platform, Vec<&Found>> = BTreeMap::new();
    let mut order = Vec::new();
    for found in &found {
        let platform = found.program.platform.normalized();
        if !order.contains(&platform) {
            order.push(platform.clone());
        }
        groups.entry(platform).or_default().push(found);
    }
    let wanted: Vec<Platform> = wanted.iter().map(Platform::normalized).collect();
    if let Some(missing) = wanted.iter().find(|wanted| !order.contains(wanted)) {
        return Err(Error::NoPlatform { wanted: Box::new(missing.clone()), have: order });
    }
    let selected = order.into_iter().filter(|platform| wanted.is_empty() || wanted.contains(platform));
    let mut out = Vec::new();
    for platform in selected {
        let members = groups.remove(&platform).unwrap_or_default();
        let mut programs = Vec::new();
        for (at, member) in members.into_iter().enumerate() {
            diagnostics.extend(member.program.diagnostics.iter().cloned());
            let own = if at == 0 { name.clone() } else { own_name(&member.file)? };
            programs.push(planned(member, own)?);
        }
        out.push(Group { platform, programs });
    }
    Ok(Groups { name, groups: out, diagnostics })
}

/// A program that is made for what the user said.
fn check(file: &ProgramFile, program: analyze::Program) -> Result<Found, Error> {
    match &file.platform {
        Some(said) if said.normalized() != program.platform.normalized() => Err(Error::OtherPlatform {
            path: file.path.clone(),
            said: Box::new(said.clone()),
            actual: Box::new(program.platform.clone()),
        }),
        _ => Ok(Found { file: file.clone(), program }),
    }
}

/// The name of a program in the image.
fn own_name(file: &ProgramFile) -> Result<String, Error> {
    if let Some(name) = &file.name {
        return Ok(name.clone());
    }
    let name = file.path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| Error::ProgramName(file.path.clone()))?;
    Ok(naming::without_platform(name).to_owned())
}

fn planned(found: &Found, name: String) -> Result<plan::Program, Error> {
    let path = &found.file.path;
    let metadata = std::fs::metadata(path).map_err(|source| Error::Read { path: path.clone(), source })?;
    Ok(plan::Program {
        name,
        origin: path.display().to_string(),
        platform: found.program.platform.clone(),
        size: found.program.size,
        source: Arc::new(FileSource::new(path)),
        special: Special::of(path, &metadata),
        requirements: found.program.requirements.clone(),
    })
}
