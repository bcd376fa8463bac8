//! Flags and `coracle.yaml` merged into what the pipeline is asked. Flags win; lists of both are joined, the file's first.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::args::{self, Common, Image, Names, Needs, Network};
use super::failure::{Blame, Failure};
use super::settings::Variables;
use super::{blame, lock, place, work};
use crate::analyze::needs::{Choice, Selector};
use crate::config::{self, NeedSettings, Settings};
use crate::pipeline::{self, BaseSpec, Delivery, ProgramFile, Request, RootSpec};

/// Everything that a command line and its file ask for.
#[derive(Debug)]
pub struct Asked {
    /// What goes into the image.
    pub request: Request,
    /// The lock that is compared, or that is to be written.
    pub lock_file: Option<PathBuf>,
    /// The base that the file names.
    base: Option<String>,
    /// What the file says about where it goes.
    file_delivery: Delivery,
}

/// Reads the file, if there is one, and lays the flags over it.
///
/// # Errors
/// A failure that names the flag or the key of the file.
pub fn of(
    paths: &[PathBuf],
    image: &Image,
    needs: &Needs,
    lock: Option<&args::Lock>,
    variables: &Variables,
) -> Result<Asked, Failure> {
    let (file, named) = sources(paths, image)?;
    let settings = match &file {
        Some(file) => read(file)?,
        None => Settings::default(),
    };
    let beside = file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    let lock_file = lock.and_then(|lock| lock::file(lock, beside));
    let compare = lock.is_some_and(|lock| !lock.update_lock);
    let locked = lock_file.as_deref().filter(|_| compare).map(lock::read).transpose()?;
    let choice = choice(needs, settings.needs, file.as_deref())?;
    let mut adds = settings.adds;
    adds.extend(image.adds()?);
    let mut excludes = settings.excludes;
    excludes.extend(image.exclude.iter().cloned());
    let request = Request {
        programs: if named.is_empty() { programs(settings.programs) } else { named },
        name: image.name.clone().or(settings.name),
        platforms: if image.platform.is_empty() { settings.platforms } else { image.platform.clone() },
        roots: Vec::new(),
        bases: Vec::new(),
        format: crate::image::Format::default(),
        choice,
        lock: locked,
        adds,
        excludes,
        options: settings.options.overlaid(image.options()?),
        encoder: image.compression.map(Into::into).or(settings.encoder),
        created: variables.created()?,
    };
    let mut outputs = Vec::new();
    for output in settings.outputs {
        let text = output
            .into_string()
            .map_err(|output| Failure::input(format!("the output `{}` is not UTF-8", output.display())))?;
        outputs.push(place::output(&text)?);
    }
    let base = settings.base.map(|reference| reference.to_string());
    Ok(Asked { request, lock_file, base, file_delivery: Delivery { tags: settings.tags, push: false, outputs } })
}

/// A request for one program with what the flags say about its needs; no file is read.
///
/// # Errors
/// A failure that names the flag.
pub fn program(path: &Path, needs: &Needs) -> Result<Request, Failure> {
    Ok(Request { programs: vec![named(path)], choice: needs.choice()?, ..Request::default() })
}

/// Opens the root that the flags name: a directory, or an image for each platform that is built for.
///
/// # Errors
/// A failure that names the root.
pub fn open_roots(
    request: &mut Request,
    needs: &Needs,
    network: &Network,
    common: &Common,
    variables: &Variables,
) -> Result<(), Failure> {
    let Some(text) = &needs.root else { return Ok(()) };
    let spec = RootSpec::parse(text).map_err(|error| blame::of_pipeline(&error))?;
    let network = matches!(spec, RootSpec::Image(_)).then_some(network);
    let environment = variables.pipeline_environment(None, network, common)?;
    request.roots = work::run(common, variables, async |observer| {
        pipeline::open_roots(&spec, request, &environment, &observer).await.map_err(|error| blame::of_pipeline(&error))
    })?;
    Ok(())
}

impl Asked {
    /// Opens the base that a flag or the file names, at the content that the lock remembers.
    ///
    /// # Errors
    /// A failure that names the base.
    pub fn open_base(
        &mut self,
        flags: &args::Base,
        network: &Network,
        common: &Common,
        variables: &Variables,
    ) -> Result<(), Failure> {
        let Some(text) = flags.base.as_ref().or(self.base.as_ref()) else { return Ok(()) };
        let mut spec = BaseSpec::parse(text).map_err(|error| blame::of_pipeline(&error))?;
        let locked = self.request.lock.as_ref().and_then(|locked| locked.lock.base(&spec.name()));
        if let (Some(digest), false) = (locked, spec.is_pinned()) {
            spec = spec.at(digest);
        }
        let environment = variables.pipeline_environment(None, Some(network), common)?;
        let request = &mut self.request;
        work::run(common, variables, async |observer| {
            let opened = pipeline::open_bases(&spec, request, &environment, &observer).await;
            opened.map_err(|error| blame::of_base(&error, &spec))
        })
    }

    /// Where the image goes: names and outputs of the flags take the place of the file's.
    ///
    /// # Errors
    /// A failure that names the output.
    pub fn delivery(&self, names: &Names, push: bool, outputs: &[String]) -> Result<Delivery, Failure> {
        let mut delivery = self.file_delivery.clone();
        let tags = names.references();
        if !tags.is_empty() {
            delivery.tags = tags;
        }
        if !outputs.is_empty() {
            delivery.outputs = outputs.iter().map(|text| place::output(text)).collect::<Result<_, _>>()?;
        }
        delivery.push = push;
        Ok(delivery)
    }
}

/// The file to read and the programs named: `--file`, else the file of the one directory that is named, else that of the
/// current directory when nothing is named.
fn sources(paths: &[PathBuf], image: &Image) -> Result<(Option<PathBuf>, Vec<ProgramFile>), Failure> {
    let programs = || paths.iter().map(|path| named(path)).collect();
    if let Some(file) = &image.file {
        return Ok((Some(file.clone()), programs()));
    }
    match paths {
        [] => {
            let file = PathBuf::from(config::FILE_NAME);
            if file.is_file() {
                return Ok((Some(file), Vec::new()));
            }
            Err(Failure::input("there is no program to build an image from")
                .caused_by(format!("no PATH is given, and this directory has no `{}`", config::FILE_NAME))
                .hint("name a program: `coracle build ./program`"))
        }
        [directory] if directory.join(config::FILE_NAME).is_file() => {
            Ok((Some(directory.join(config::FILE_NAME)), Vec::new()))
        }
        _ => Ok((None, programs())),
    }
}

/// A program of the command line: `root:PATH` lies in the root.
fn named(path: &Path) -> ProgramFile {
    let inside = path.as_os_str().as_bytes().strip_prefix(b"root:").filter(|rest| rest.starts_with(b"/"));
    match inside {
        Some(inside) => ProgramFile { in_root: true, ..ProgramFile::at(std::ffi::OsStr::from_bytes(inside)) },
        None => ProgramFile::at(path),
    }
}

/// What the file decides about needs, continued by the flags. What lies in the machine's own `/` only a flag can name: a file
/// of another's hand could carry off what lies there.
fn choice(needs: &Needs, of_file: NeedSettings, file: Option<&Path>) -> Result<Choice, Failure> {
    let is_host = |root: &std::ffi::OsString| Path::new(root).canonicalize().is_ok_and(|real| real == Path::new("/"));
    let host = needs.root.as_ref().is_none_or(is_host);
    let by_path = |selector: &&Selector| match selector {
        Selector::File(_) | Selector::Program(_) | Selector::Link { .. } => true,
        Selector::Library(name) => name.contains('/'),
        Selector::Feature { .. } => false,
    };
    if let (true, Some(selector), Some(file)) = (host, of_file.with.iter().find(by_path), file) {
        let failure = Failure::input(format!("`{}`, `with`: only a flag can name `{selector}`", file.display()));
        let failure = failure.caused_by("it would be taken from this machine's own `/`");
        return Err(failure.hint(format!("write `--with {selector}`, or name a root with `--root DIR`")));
    }
    let flags = needs.choice()?;
    let join = |mut first: Vec<Selector>, second: Vec<Selector>| {
        first.extend(second);
        first
    };
    Ok(Choice {
        with: join(of_file.with, flags.with),
        without: join(of_file.without, flags.without),
        strict: of_file.strict || flags.strict,
        ca_bundle: flags.ca_bundle,
    })
}

fn read(path: &Path) -> Result<Settings, Failure> {
    let settings = config::load(path).and_then(|file| file.resolve(path));
    settings.map_err(|error| {
        let failure = Failure::of(Blame::Input, &error);
        match &error {
            config::Error::Outside { .. } => failure.hint("name it with a flag, or move it into that directory"),
            config::Error::Read { .. } => failure.hint("check the path; `--file` names another one"),
            _ => failure,
        }
    })
}

/// One file per platform; those of one platform stay in the file's order.
fn programs(listed: Vec<config::ProgramPaths>) -> Vec<ProgramFile> {
    let mut files = Vec::new();
    for program in listed {
        for (platform, path) in program.paths {
            files.push(ProgramFile { path, in_root: false, name: program.name.clone(), platform });
        }
    }
    files
}
