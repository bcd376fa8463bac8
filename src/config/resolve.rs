//! From the keys of a file to what the planner takes.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::file::{AddTable, Compression, ProgramTable, TextOr};
use super::{Error, File};
use crate::analyze::needs::Selector;
use crate::diag;
use crate::oci::{Platform, Reference};
use crate::plan::{self, AddSpec, EncoderId, FileCap, ImageOptions};

/// A file's content with its paths resolved and its names checked. Settings of the image itself are checked by
/// [`crate::plan::build`], as those of flags are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Name of the image.
    pub name: Option<String>,
    /// Programs, the first is the entrypoint.
    pub programs: Vec<ProgramPaths>,
    /// Platforms to build for.
    pub platforms: Vec<Platform>,
    /// References to push.
    pub tags: Vec<Reference>,
    /// Files and directories to add.
    pub adds: Vec<AddSpec>,
    /// Patterns of paths that stay out.
    pub excludes: Vec<String>,
    /// Settings of the image.
    pub options: ImageOptions,
    /// What it decides about needs.
    pub needs: NeedSettings,
    /// Encoder of the layers.
    pub encoder: Option<EncoderId>,
    /// Outputs, as `oci:DIR` or `archive:FILE` with the path resolved.
    pub outputs: Vec<OsString>,
    /// Image to build on.
    pub base: Option<Reference>,
}

/// Which needs go into the image and which stay out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NeedSettings {
    /// To include.
    pub with: Vec<Selector>,
    /// To leave out.
    pub without: Vec<Selector>,
    /// Whether a required need that cannot be met is an error.
    pub strict: bool,
}

/// Where a program lies on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramPaths {
    /// File name in the image, when it was given.
    pub name: Option<String>,
    /// One path without platform, or one per platform.
    pub paths: Vec<(Option<Platform>, PathBuf)>,
}

impl File {
    /// Resolves paths against the directory of `file`. Nothing may leave that directory: no absolute path, no `..`, and
    /// no symbolic link that leads out.
    ///
    /// # Errors
    /// All variants of [`Error`] but those of parsing.
    pub fn resolve(self, file: &Path) -> Result<Settings, Error> {
        let scope = Scope::of(file)?;
        let mut settings = Settings { name: self.name, excludes: self.exclude, ..Settings::default() };
        for (index, program) in self.programs.into_iter().enumerate() {
            settings.programs.push(scope.program(&format!("programs[{index}]"), program)?);
        }
        for (index, text) in self.platforms.iter().enumerate() {
            settings.platforms.push(scope.name(&format!("platforms[{index}]"), text)?);
        }
        for (index, text) in self.tags.iter().enumerate() {
            settings.tags.push(scope.name(&format!("tags[{index}]"), text)?);
        }
        for (index, add) in self.add.into_iter().enumerate() {
            settings.adds.push(scope.add(&format!("add[{index}]"), add)?);
        }
        for (index, text) in self.output.iter().enumerate() {
            settings.outputs.push(scope.output(&format!("output[{index}]"), text)?);
        }
        settings.base = self.base.as_deref().map(|text| scope.name("base", text)).transpose()?;
        settings.needs = NeedSettings {
            with: scope.needs("with", &self.with)?,
            without: scope.needs("without", &self.without)?,
            strict: self.strict,
        };
        let mut file_caps = Vec::new();
        for (path, text) in &self.file_caps {
            let cap = FileCap::new(path, text).map_err(|e| scope.value(&format!("file_caps.{path}"), e))?;
            file_caps.push(cap);
        }
        settings.encoder = self.compression.map(|compression| match compression {
            Compression::Gzip => EncoderId::Gz1,
            Compression::Zstd => EncoderId::Zst1,
            Compression::None => EncoderId::Tar,
        });
        settings.options = ImageOptions {
            env: self.env,
            user: self.user,
            workdir: self.workdir,
            entrypoint: self.entrypoint,
            cmd: self.cmd,
            ports: self.ports,
            labels: self.labels,
            annotations: self.annotations,
            volumes: self.volumes,
            stop_signal: self.stop_signal,
            writable: self.writable,
            openshift: self.openshift,
            passwd: self.passwd,
            file_caps,
        };
        Ok(settings)
    }
}

/// The directory a file may name things in.
struct Scope<'a> {
    file: &'a Path,
    directory: PathBuf,
    real: PathBuf,
}

impl<'a> Scope<'a> {
    fn of(file: &'a Path) -> Result<Self, Error> {
        let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = parent.unwrap_or(Path::new(".")).to_owned();
        let real = directory.canonicalize().map_err(|source| Error::Read { file: file.to_owned(), source })?;
        Ok(Self { file, directory, real })
    }

    fn value(&self, key: &str, reason: plan::Error) -> Error {
        Error::Value { file: self.file.to_owned(), key: key.to_owned(), reason: Box::new(reason) }
    }

    fn needs(&self, key: &str, texts: &[String]) -> Result<Vec<Selector>, Error> {
        let need = |(index, text): (usize, &String)| {
            let key = format!("{key}[{index}]");
            text.parse().map_err(|reason| Error::Need { file: self.file.to_owned(), key, reason })
        };
        texts.iter().enumerate().map(need).collect()
    }

    fn incomplete(&self, key: &str, reason: &'static str) -> Error {
        Error::Incomplete { file: self.file.to_owned(), key: key.to_owned(), reason }
    }

    fn name<T: std::str::FromStr<Err = crate::oci::Error>>(&self, key: &str, text: &str) -> Result<T, Error> {
        text.parse().map_err(|reason| Error::Name { file: self.file.to_owned(), key: key.to_owned(), reason })
    }

    /// A path in the directory. What does not exist yet is fine; the nearest directory above it that does decides.
    fn path(&self, key: &str, text: &OsStr) -> Result<PathBuf, Error> {
        let refuse = |reason| {
            let path = diag::escape(text.as_bytes());
            Err(Error::Outside { file: self.file.to_owned(), key: key.to_owned(), path, reason })
        };
        if text.is_empty() {
            return Err(self.incomplete(key, "the path is empty"));
        }
        let relative = Path::new(text);
        for component in relative.components() {
            match component {
                Component::Normal(_) | Component::CurDir => {}
                Component::ParentDir => return refuse("has a `..`"),
                Component::RootDir | Component::Prefix(_) => return refuse("is an absolute path"),
            }
        }
        let joined = self.directory.join(relative);
        let exists = |path: &&Path| std::fs::symlink_metadata(path).is_ok();
        let nearest = joined.ancestors().find(exists).unwrap_or(&self.directory);
        match nearest.canonicalize() {
            Ok(real) if real.starts_with(&self.real) => Ok(joined),
            Ok(_) => refuse("leads out through a symbolic link"),
            Err(source) => Err(Error::Read { file: nearest.to_owned(), source }),
        }
    }

    fn program(&self, key: &str, program: TextOr<ProgramTable>) -> Result<ProgramPaths, Error> {
        let table = match program {
            TextOr::Text(path) => ProgramTable { path: Some(path), ..ProgramTable::default() },
            TextOr::Table(table) => table,
        };
        let paths = match (table.path, table.paths) {
            (Some(path), paths) if paths.is_empty() => vec![(None, self.path(key, OsStr::new(&path))?)],
            (Some(_), _) => return Err(self.incomplete(key, "`path` and `paths` exclude each other")),
            (None, paths) if paths.is_empty() => return Err(self.incomplete(key, "there is no `path` and no `paths`")),
            (None, paths) => self.platform_paths(key, &paths)?,
        };
        Ok(ProgramPaths { name: table.name, paths })
    }

    fn platform_paths(
        &self,
        key: &str,
        paths: &BTreeMap<String, String>,
    ) -> Result<Vec<(Option<Platform>, PathBuf)>, Error> {
        let mut resolved = BTreeMap::new();
        for (platform, path) in paths {
            let key = format!("{key}.paths.{platform}");
            let path = self.path(&key, OsStr::new(path))?;
            if resolved.insert(Some(self.name::<Platform>(&key, platform)?), path).is_some() {
                return Err(self.incomplete(&key, "the platform stands there twice, under two names"));
            }
        }
        Ok(resolved.into_iter().collect())
    }

    fn add(&self, key: &str, add: TextOr<AddTable>) -> Result<AddSpec, Error> {
        let fail = |error| self.value(key, error);
        let mut spec = match add {
            TextOr::Text(text) => AddSpec::parse(OsStr::new(&text)).map_err(fail)?,
            TextOr::Table(table) => {
                let mut spec = AddSpec::new(&table.src, table.dst.as_bytes()).map_err(fail)?;
                spec.mode = table.mode.as_deref().map(plan::parse_mode).transpose().map_err(fail)?;
                spec.uid = self.id(key, table.uid)?;
                spec.gid = self.id(key, table.gid)?;
                spec
            }
        };
        spec.src = self.path(key, spec.src.as_os_str())?;
        Ok(spec)
    }

    /// The largest number means "no id" to the kernel.
    fn id(&self, key: &str, id: Option<u32>) -> Result<u64, Error> {
        match id.unwrap_or(0) {
            u32::MAX => Err(self.incomplete(key, "4294967295 is no uid or gid")),
            id => Ok(id.into()),
        }
    }

    fn output(&self, key: &str, text: &str) -> Result<OsString, Error> {
        let (kind, path) = match text.split_once(':') {
            Some((kind @ ("oci" | "archive"), path)) => (kind, path),
            _ => {
                let output = diag::escape(text.as_bytes());
                return Err(Error::Output { file: self.file.to_owned(), key: key.to_owned(), output });
            }
        };
        let mut output = OsString::from(format!("{kind}:"));
        output.push(self.path(key, OsStr::new(path))?);
        Ok(output)
    }
}
