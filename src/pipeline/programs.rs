//! From paths to programs: what each file says about itself, and which of them make an image together.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use super::sysroot::{self, Placed, Roots, Sysroot};
use super::{Error, ProgramFile, Request, naming};
use crate::analyze::{self, Analysis, Requirement, Subject, analyze_program};
use crate::blob::{BlobSource, FileSource, RootSource};
use crate::diag::{Diagnostic, Severity};
use crate::oci::Platform;
use crate::plan;
use crate::rootfs::walk::Special;
use crate::rootfs::{self, HostFile, Node, Resolved, Root, resolve};

/// Opens a regular file.
fn open(path: &Path) -> Result<HostFile, Error> {
    if path.is_dir() {
        return Err(Error::Directory(path.to_owned()));
    }
    HostFile::open(path).map_err(reading)
}

/// The error of opening a file of this machine.
pub(super) fn reading(error: rootfs::Error) -> Error {
    match error {
        rootfs::Error::Open { path, source } => Error::Read { path, source },
        rootfs::Error::NotRegular { path, .. } => Error::NotRegular(path),
    }
}

/// Analyzes the program at `path` of a root.
///
/// # Errors
/// [`Error::Absent`] when nothing is there; [`Error::Root`]; [`Error::Directory`], [`Error::NotRegular`].
pub fn analyze_in_root(root: &dyn Root, path: &Path) -> Result<Analysis, Error> {
    let found = resolve(root, path.as_os_str().as_bytes())?;
    match found {
        None => Err(Error::Absent(path.to_owned())),
        Some(Resolved { node: Node::Directory { .. }, .. }) => Err(Error::Directory(path.to_owned())),
        Some(Resolved { node: Node::File { .. }, path: real, .. }) => {
            let name = format!("root:{}", path.display());
            Ok(analyze_program(&name, &*root.open(&real)?))
        }
        Some(_) => Err(Error::NotRegular(path.to_owned())),
    }
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
    /// What they need of the root.
    pub found: Option<plan::Found>,
}

impl Group {
    /// Every need, the programs themselves aside: what the root told, then what the programs alone tell.
    pub fn requirements(&self) -> Vec<Requirement> {
        let found = self.found.iter().flat_map(|found| found.needs.requirements.iter().chain(&found.needs.writable));
        let mut all: Vec<Requirement> = found.cloned().collect();
        for own in self.programs.iter().flat_map(|program| &program.requirements) {
            if own.subject != Subject::Program && !all.iter().any(|known| known.subject == own.subject) {
                all.push(own.clone());
            }
        }
        all
    }
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
pub(super) fn group(request: &Request) -> Result<Groups, Error> {
    let roots = Roots::of(request)?;
    let found = read(request, &roots)?;
    let first = found.first().ok_or(Error::NoProgram)?;
    let name = match &request.name {
        Some(name) => name.clone(),
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
    let wanted: Vec<Platform> = request.platforms.iter().map(Platform::normalized).collect();
    if let Some(missing) = wanted.iter().find(|wanted| !order.contains(wanted)) {
        return Err(Error::NoPlatform { wanted: Box::new(missing.clone()), have: order });
    }
    let mut out = Groups { name, groups: Vec::new(), diagnostics: Vec::new() };
    for platform in order.into_iter().filter(|platform| wanted.is_empty() || wanted.contains(platform)) {
        let members = groups.remove(&platform).unwrap_or_default();
        let group = together(platform, &members, &roots, request, &mut out)?;
        out.groups.push(group);
    }
    Ok(out)
}

/// Analyzes all programs.
fn read(request: &Request, roots: &Roots) -> Result<Vec<Found>, Error> {
    let (mut found, mut refused) = (Vec::new(), Vec::new());
    for file in &request.programs {
        let analyses = if file.in_root {
            let all = roots.all().iter().map(|root| analyze_in_root(&*root.root, &file.path));
            all.collect::<Result<Vec<_>, _>>()?
        } else {
            vec![analyze(&file.path)?]
        };
        for analysis in analyses {
            match analysis.into_program() {
                Ok(program) => found.push(check(file, program)?),
                Err(findings) => refused.extend(findings),
            }
        }
    }
    if refused.is_empty() { Ok(found) } else { Err(Error::Refused(refused)) }
}

/// The programs of one platform with what they need.
fn together(
    platform: Platform,
    members: &[&Found],
    roots: &Roots,
    request: &Request,
    out: &mut Groups,
) -> Result<Group, Error> {
    let root = roots.of_platform(&platform);
    let mut placed = Vec::new();
    for (at, member) in members.iter().enumerate() {
        out.diagnostics.extend(member.program.diagnostics.iter().cloned());
        let name = if at == 0 { out.name.clone() } else { own_name(&member.file)? };
        placed.push(Placed::of(name, &member.file, &member.program, root)?);
    }
    let library_path = request.options.env.get("LD_LIBRARY_PATH");
    let found = match root {
        Some(root) => Some(sysroot::find(root, &placed, &request.choice, library_path)?),
        None => None,
    };
    if let Some(found) = &found {
        let findings = &found.needs.diagnostics;
        if findings.iter().any(|finding| finding.severity == Severity::Error) {
            return Err(Error::Refused(findings.clone()));
        }
        out.diagnostics.extend(findings.iter().cloned());
    }
    let programs = placed.iter().map(|placed| planned(placed, root)).collect::<Result<_, _>>()?;
    Ok(Group { platform, programs, found })
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
pub(super) fn own_name(file: &ProgramFile) -> Result<String, Error> {
    if let Some(name) = &file.name {
        return Ok(name.clone());
    }
    let name = file.path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| Error::ProgramName(file.path.clone()))?;
    Ok(naming::without_platform(name).to_owned())
}

fn planned(placed: &Placed, root: Option<&Sysroot>) -> Result<plan::Program, Error> {
    let path = &placed.file.path;
    let (source, special): (Arc<dyn BlobSource>, Special) = match (placed.file.in_root, root, &placed.real) {
        (true, Some(root), Some(real)) => {
            (Arc::new(RootSource::new(Arc::clone(&root.root), real.clone())), Special::default())
        }
        _ => {
            let metadata = std::fs::metadata(path).map_err(|source| Error::Read { path: path.clone(), source })?;
            (Arc::new(FileSource::new(path)), Special::of(path, &metadata))
        }
    };
    Ok(plan::Program {
        name: placed.name.clone(),
        place: placed.file.in_root.then(|| placed.image.clone()),
        called: placed.called.clone(),
        origin: placed.program.name.clone(),
        platform: placed.program.platform.clone(),
        size: placed.program.size,
        source,
        special,
        requirements: placed.program.requirements.clone(),
    })
}
