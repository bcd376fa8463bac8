//! From programs of one platform to what they need of the root.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use super::{Error, ProgramFile, Request, owned};
use crate::analyze;
use crate::analyze::needs::{self, Choice, Needs, NeedsRequest, ProgramAt, Selector};
use crate::elf::ElfFacts;
use crate::oci::{ImagePath, Platform};
use crate::plan;
use crate::rootfs::packages::Packages;
use crate::rootfs::{DirRoot, HostFile, Linked, Overlay, Root, resolve};

/// A root that is open.
#[derive(Clone)]
pub struct Sysroot {
    /// The tree.
    pub root: Arc<dyn Root>,
    /// Whether it is the machine's own `/`, whose local state never goes into an image.
    pub is_host: bool,
    /// The one platform whose programs find what they need in it; `None` for every platform.
    pub platform: Option<Platform>,
    /// The base of the image, whose files `root` shows before those of a root beside it.
    pub base: Option<OnBase>,
}

/// What lies under an image.
#[derive(Clone)]
pub struct OnBase {
    /// The files of the base.
    pub files: Arc<dyn Root>,
    /// The root beside it, which gives what the base does not have; its packages are named by the image.
    pub beside: Option<Arc<dyn Root>>,
}

impl std::fmt::Debug for Sysroot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sysroot").field("is_host", &self.is_host).finish_non_exhaustive()
    }
}

impl Sysroot {
    /// The machine's own `/`.
    ///
    /// # Errors
    /// [`Error::Root`].
    pub fn host() -> Result<Self, Error> {
        Ok(Self { root: Arc::new(DirRoot::open(Path::new("/"))?), is_host: true, platform: None, base: None })
    }
}

/// The roots of a build.
pub(super) struct Roots(Vec<Sysroot>);

impl Roots {
    /// Those of the request, or the machine's own.
    pub fn of(request: &Request) -> Result<Self, Error> {
        if !request.roots.is_empty() {
            return Ok(Self(request.roots.clone()));
        }
        Ok(Self(vec![Sysroot::host()?]))
    }

    pub fn all(&self) -> &[Sysroot] {
        &self.0
    }

    /// The root for programs of a platform.
    pub fn of_platform(&self, platform: &Platform) -> Option<&Sysroot> {
        let own = |root: &&Sysroot| root.platform.as_ref().is_none_or(|own| own.normalized() == *platform);
        self.0.iter().find(own)
    }
}

/// A program with its places.
pub(super) struct Placed {
    pub name: String,
    pub file: ProgramFile,
    pub program: analyze::Program,
    /// Where it lies in the root, without links, when it lies there.
    pub real: Option<ImagePath>,
    /// Where it will lie in the image.
    pub image: ImagePath,
    /// The path by which it is started, when that is a link.
    pub called: Option<ImagePath>,
}

impl Placed {
    /// A program of this machine lies in `/app`, one of the root stays where it is.
    pub fn of(
        name: String,
        file: &ProgramFile,
        program: &analyze::Program,
        root: Option<&Sysroot>,
    ) -> Result<Self, Error> {
        let mut out = Self {
            image: ImagePath::parse("app")
                .and_then(|app| app.join(&name))
                .map_err(|_| Error::ProgramName(name.clone().into()))?,
            name,
            file: file.clone(),
            program: program.clone(),
            real: None,
            called: None,
        };
        if let (true, Some(root)) = (file.in_root, root) {
            let asked = in_root(&file.path)?;
            let found = resolve(&*root.root, asked.as_bytes())?.ok_or_else(|| Error::Absent(file.path.clone()))?;
            out.called = (found.path != asked).then_some(asked);
            out.real = Some(found.path.clone());
            out.image = found.path;
        }
        Ok(out)
    }
}

/// Finds what the programs of one image need.
pub(super) fn find(
    sysroot: &Sysroot,
    placed: &[Placed],
    choice: &Choice,
    library_path: Option<&String>,
) -> Result<plan::Found, Error> {
    let (root, programs) = stand(sysroot, placed, choice)?;
    // Nothing of the root but its certificates would come into the image of a static program.
    let dynamic = programs.iter().any(|program| program.facts.interpreter.is_some());
    // What comes from the base has its packages named there.
    let owned: Option<&dyn Root> = match &sysroot.base {
        Some(base) => base.beside.as_deref(),
        None => Some(&*root),
    };
    let (packages, findings) = match owned.filter(|_| dynamic).map(Packages::read).transpose()? {
        Some((packages, findings)) => (packages.has_database().then(|| Arc::new(packages)), findings),
        None => (None, Vec::new()),
    };
    let request = NeedsRequest {
        root: Arc::clone(&root),
        base: sysroot.base.as_ref().map(|base| Arc::clone(&base.files)),
        programs,
        packages: packages.clone(),
        choice: choice.clone(),
        host: sysroot.is_host,
        level: level(placed),
        library_path: library_path.cloned(),
    };
    let mut needs: Needs = needs::find(&request)?;
    needs.diagnostics.extend(findings);
    let owners = match (&packages, owned) {
        (Some(packages), Some(owned)) => {
            let of_base = |path: &ImagePath| sysroot.base.as_ref().is_some_and(|base| has(&*base.files, path));
            let own = placed.iter().filter_map(|placed| placed.real.clone()).filter(|path| !of_base(path));
            owned::describe(owned, packages, own, &mut needs)?
        }
        _ => BTreeMap::new(),
    };
    Ok(plan::Found { root, needs, owners })
}

/// Whether a root has something at a path; one that cannot be read has not.
fn has(root: &dyn Root, path: &ImagePath) -> bool {
    matches!(root.node(path), Ok(Some(_)))
}

/// The root with the programs of this machine in it, and where each of them lies there.
pub(super) fn stand(
    sysroot: &Sysroot,
    placed: &[Placed],
    choice: &Choice,
) -> Result<(Arc<dyn Root>, Vec<ProgramAt>), Error> {
    let mut root = linked(&sysroot.root, choice)?;
    let mut programs = Vec::new();
    if !sysroot.is_host && placed.iter().any(|placed| !placed.file.in_root) {
        let mut overlay = Overlay::new(root);
        for placed in placed {
            programs.push(at(placed, place_in(placed, &mut overlay)?));
        }
        root = Arc::new(overlay);
    } else {
        for placed in placed {
            let path = match &placed.real {
                Some(real) => real.clone(),
                None => real_path(&placed.file.path)?,
            };
            programs.push(at(placed, path));
        }
    }
    Ok((root, programs))
}

/// The root with the links of `--with link:`; the parents of each are resolved, since they may be links themselves.
fn linked(root: &Arc<dyn Root>, choice: &Choice) -> Result<Arc<dyn Root>, Error> {
    let mut links = BTreeMap::new();
    for selector in &choice.with {
        let Selector::Link { link, target } = selector else { continue };
        let path = in_root(Path::new(link))?;
        let parent = path.parent().unwrap_or_else(ImagePath::root);
        let directory = resolve(&**root, parent.as_bytes())?.ok_or_else(|| Error::Absent(parent.to_string().into()))?;
        let at = directory.path.join(path.file_name()).map_err(|_| Error::Absent(link.into()))?;
        links.insert(at, target.clone().into_bytes());
    }
    if links.is_empty() {
        return Ok(Arc::clone(root));
    }
    Ok(Arc::new(Linked::new(Arc::clone(root), links)))
}

/// The x86-64 level that the platform of an image names.
fn level(placed: &[Placed]) -> u8 {
    let variant = placed.first().and_then(|placed| placed.program.platform.variant.as_deref());
    match variant {
        Some("v2") => 2,
        Some("v3") => 3,
        Some("v4") => 4,
        _ => 1,
    }
}

fn at(placed: &Placed, path: ImagePath) -> ProgramAt {
    ProgramAt {
        name: placed.program.name.clone(),
        path,
        image: placed.image.clone(),
        called: placed.called.clone(),
        facts: placed.program.facts.clone(),
    }
}

/// Puts a program of this machine into the root at its own path, with the directories beside it in which it looks for
/// libraries, where the root has none of that name.
fn place_in(placed: &Placed, overlay: &mut Overlay) -> Result<ImagePath, Error> {
    if let Some(real) = &placed.real {
        return Ok(real.clone());
    }
    let own = real_path(&placed.file.path)?;
    let open = || HostFile::open(&placed.file.path).map_err(super::programs::reading);
    let mut path = None;
    for directory in beside(&placed.program.facts, &own) {
        let host = Path::new("/").join(std::ffi::OsStr::from_bytes(directory.as_bytes()));
        let Ok(tree) = DirRoot::open(&host) else { continue };
        // Occupied: the root has a directory of that name, whose libraries are the ones that count.
        if let Ok(at) = overlay.mount_tree(&directory, Arc::new(tree))
            && Some(&directory) == own.parent().as_ref()
        {
            path = at.join(own.file_name()).ok();
        }
    }
    Ok(match path {
        Some(path) => path,
        None => match overlay.mount_file(&own, open()?) {
            Ok(path) => path,
            // A directory of the root stands there.
            Err(_) => overlay.mount_file(&placed.image, open()?)?,
        },
    })
}

/// The directories that the search paths of a program name relative to its own.
fn beside(facts: &ElfFacts, own: &ImagePath) -> Vec<ImagePath> {
    let Some(dynamic) = &facts.dynamic else { return Vec::new() };
    let origin = own.parent().unwrap_or_else(ImagePath::root);
    let mut out = Vec::new();
    for element in
        [&dynamic.rpath, &dynamic.runpath].into_iter().flatten().flat_map(|p| p.as_bytes().split(|b| *b == b':'))
    {
        let rest = [&b"$ORIGIN"[..], b"${ORIGIN}"].into_iter().find_map(|token| element.strip_prefix(token));
        let Some(rest) = rest else { continue };
        let mut at = origin.clone();
        for part in rest.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".") {
            at = match part {
                b".." => at.parent().unwrap_or_else(ImagePath::root),
                part => match at.join(part) {
                    Ok(below) => below,
                    Err(_) => break,
                },
            };
        }
        if !at.is_root() && !out.contains(&at) {
            out.push(at);
        }
    }
    // A directory before what lies in it, which is then there already.
    out.sort();
    out
}

/// The path of a program of the root.
fn in_root(path: &Path) -> Result<ImagePath, Error> {
    let bytes = path.as_os_str().as_bytes();
    ImagePath::parse(bytes).map_err(|_| Error::ProgramName(path.to_owned()))
}

/// A path of this machine without links, below `/`.
fn real_path(path: &Path) -> Result<ImagePath, Error> {
    let real = path.canonicalize().map_err(|source| Error::Read { path: path.to_owned(), source })?;
    in_root(&real)
}
