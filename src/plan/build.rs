//! From a request to a plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::links::{self, Link};
use super::tree::{Claim, LayerName, Tree, directory};
use super::users::{self, NONROOT, User};
use super::{
    Add, Entry, EntryKind, Error, FileContent, Plan, PlanRequest, Program, added, code, findings, found, settings,
};
use crate::analyze::{Confidence, Reason, Requirement, Subject};
use crate::diag::{self, Diagnostic, Evidence, Severity};
use crate::oci::ImagePath;
use crate::rootfs::walk::{CAPABILITY_XATTR, Special};

/// Decides everything about one image.
///
/// - Programs are `/app/<name>`, 0555, root's. The first is the entrypoint unless the user says otherwise.
/// - All other paths lie in a layer of their own below, for they change less often.
/// - Every directory above an entry is an entry, 0755 and root's unless something else asks for it.
/// - A working directory that is not in the image is made, so that a read-only root can have it.
///
/// Equal requests give equal plans; the order of `adds` shows only in messages.
///
/// # Errors
/// Every variant of [`Error`] but those of parsing and printing a plan's text.
pub fn build(request: &PlanRequest) -> Result<(Plan, Vec<Diagnostic>), Error> {
    let options = &request.options;
    let mut found = Vec::new();
    let mut tree = Tree::on(request.base.as_ref().map(|base| Arc::clone(&base.files)));
    let (user, user_text) = settings::user(options, request.base.as_ref(), &mut found)?;
    let program = place_programs(request, &mut tree, &mut found)?;
    let mut symlinks = Vec::new();
    for add in &request.adds {
        symlinks.extend(added::place(add, &mut tree, &mut found)?);
    }
    let writable = place_writable(request, user, &mut tree)?;
    let accounts = request.found.as_ref().and_then(|found| found.needs.accounts.clone());
    if options.passwd {
        place_accounts(user, options.openshift, None, &mut tree)?;
    } else if accounts.is_some() {
        place_accounts(user, options.openshift, accounts, &mut tree)?;
    }
    place_scratch(request, &mut tree)?;
    place_workdir(request, &mut tree)?;
    place_required(request, &mut tree, &mut found)?;
    if let Some(needed) = &request.found {
        found::place(needed, &mut tree, &mut found)?;
        let closure = needed.needs.processes.first().and_then(|process| process.closure.as_ref());
        if let Some(program) = closure.and_then(|closure| closure.loaded.first()) {
            code::check(&request.adds, program.object.abi, &tree, &mut found);
        }
    }
    tree.check_parents()?;
    check_links(request, &tree, &symlinks, &writable, &mut found)?;
    set_capabilities(request, &mut tree, &mut found)?;
    let mut config_options = options.clone();
    let of_base = |name: &str| {
        let env = request.base.iter().flat_map(|base| &base.config.env);
        env.filter_map(|line| line.split_once('=')).any(|(own, _)| own == name)
    };
    for (name, value) in request.found.iter().flat_map(|found| &found.needs.env).filter(|(name, _)| !of_base(name)) {
        config_options.env.entry(name.clone()).or_insert_with(|| value.clone());
    }
    let base = request.base.as_ref().map(|base| &base.config);
    let config = settings::container_config(&config_options, base, user_text, &program)?;
    if !tree.replaced().is_empty() {
        let paths: Vec<Vec<u8>> = tree.replaced().iter().map(|path| [b"/", path.as_bytes()].concat()).collect();
        let message = "files of the base are replaced";
        found.push(findings::about_paths(findings::OVER_BASE, "base", message, "path", &paths));
    }
    check_entrypoint(config.entrypoint.as_deref().unwrap_or_default(), &tree, &mut found);
    check_volumes(request, &writable, &mut found)?;
    check_excludes(request, &mut found);
    let plan = Plan {
        name: request.name.clone(),
        platform: request.platform.clone(),
        created: request.created,
        encoder: request.encoder,
        config,
        annotations: settings::annotations(request)?,
        layers: tree.into_layers(),
    };
    Ok((plan, found))
}

/// Places the programs and gives the path of the first.
fn place_programs(request: &PlanRequest, tree: &mut Tree, found: &mut Vec<Diagnostic>) -> Result<ImagePath, Error> {
    let mut first = None;
    for program in &request.programs {
        if program.platform.normalized() != request.platform.normalized() {
            return Err(Error::ProgramPlatform {
                origin: format!("the program `{}`", program.origin),
                actual: program.platform.to_string(),
                expected: request.platform.to_string(),
            });
        }
        let path = program_path(program)?;
        let rule = if first.is_none() { "entrypoint" } else { "program" };
        let mut reason = Reason::new(rule, format!("program:{}", program.name), Confidence::Asserted);
        let own = |needed: &&Requirement| needed.subject == Subject::Program;
        reason.evidence = program.requirements.iter().find(own).map(|n| n.reason.evidence.clone()).unwrap_or_default();
        if program.place.is_some() && tree.base().is_some_and(|base| super::base::has_file(base, &path)) {
            // A program of the base itself.
            first.get_or_insert_with(|| program.called.clone().unwrap_or(path));
            continue;
        }
        let content = FileContent::external(program.size, program.source.clone());
        let mut entry = file(path.clone(), content, 0o555, (0, 0), reason);
        // A program of the root is its package's; one of this machine is nobody's, whatever its path.
        entry.owner = request
            .found
            .as_ref()
            .filter(|_| program.place.is_some())
            .and_then(|found| found.owners.get(&path).cloned());
        tree.place(entry, LayerName::App, Claim::Asis, &format!("the program `{}`", program.origin))?;
        let Special { bits, capabilities } = program.special;
        let own = [path.as_bytes().to_vec()];
        if bits != 0 {
            let message = "the setuid, setgid or sticky bit is not taken over";
            found.push(findings::about_paths(findings::SPECIAL_BITS, &program.origin, message, "path", &own));
        }
        if capabilities {
            let message = "the file capabilities are not taken over";
            let hint = format!("give them with `--file-cap {path}=…`");
            let finding = findings::about_paths(findings::CAPABILITIES, &program.origin, message, "path", &own);
            found.push(finding.with_hint(hint));
        }
        first.get_or_insert_with(|| program.called.clone().unwrap_or(path));
    }
    first.ok_or(Error::NoProgram)
}

fn program_path(program: &Program) -> Result<ImagePath, Error> {
    if let Some(place) = &program.place {
        return Ok(place.clone());
    }
    let refuse = |reason| Error::ProgramName { name: diag::escape(program.name.as_bytes()), reason };
    match program.name.as_str() {
        "" => return Err(refuse("it is empty")),
        "." | ".." => return Err(refuse("it is a directory")),
        name if name.contains('/') => return Err(refuse("it has a `/`")),
        name if name.len() > 255 => return Err(refuse("it is longer than 255 bytes")),
        _ => {}
    }
    ImagePath::parse(format!("app/{}", program.name)).map_err(|_| refuse("it is not a path of an image"))
}

/// A regular file without extended attributes.
pub(super) fn file(path: ImagePath, content: FileContent, mode: u32, (uid, gid): (u64, u64), reason: Reason) -> Entry {
    Entry { path, kind: EntryKind::File(content), mode, uid, gid, xattrs: BTreeMap::new(), owner: None, reason }
}

fn place_writable(request: &PlanRequest, user: User, tree: &mut Tree) -> Result<Vec<ImagePath>, Error> {
    let paths = settings::directories("writable directory", &request.options.writable)?;
    for path in &paths {
        let shared = matches!(path.as_bytes(), b"tmp" | b"var/tmp");
        let (mode, owner) = match (shared, request.options.openshift) {
            (true, _) => (0o1777, (0, 0)),
            (false, true) => (0o775, (user.uid, 0)),
            (false, false) => (0o755, (user.uid, user.gid)),
        };
        let reason = Reason::new("user:writable", format!("writable:{path}"), Confidence::Asserted);
        let origin = format!("the writable directory `{path}`");
        tree.place(directory(path.clone(), mode, owner, reason), LayerName::Files, Claim::Writable, &origin)?;
    }
    Ok(paths)
}

/// Directories that a program writes to and that any user may share.
fn place_scratch(request: &PlanRequest, tree: &mut Tree) -> Result<(), Error> {
    for needed in request.found.iter().flat_map(|found| &found.needs.writable) {
        let Subject::WritableDirectory(text) = &needed.subject else { continue };
        let path = settings::absolute("writable directory", text.as_bytes())?;
        let of_base = tree.base().is_some_and(|base| super::base::is_open_to_all(base, &path));
        if tree.get(&path).is_none() && !of_base {
            let entry = directory(path, 0o1777, (0, 0), needed.reason.clone());
            tree.place(entry, LayerName::Files, Claim::Writable, "a directory that the program writes to")?;
        }
    }
    Ok(())
}

/// Account files; `needed` is the program's reason, else the user asked for them.
fn place_accounts(user: User, openshift: bool, needed: Option<Reason>, tree: &mut Tree) -> Result<(), Error> {
    let asked = needed.is_none();
    let reason = || needed.clone().unwrap_or_else(|| Reason::new("user:passwd", "passwd", Confidence::Asserted));
    let origin = "the generated account files";
    for (path, text) in [("etc/passwd", users::passwd(user)), ("etc/group", users::group(user))] {
        let entry = file(fixed(path)?, FileContent::generated(text.into_bytes()), 0o644, (0, 0), reason());
        if !asked && tree.contains(&entry.path) {
            continue;
        }
        tree.place(entry, LayerName::Files, Claim::Asis, origin)?;
    }
    let (mode, gid) = if openshift { (0o770, 0) } else { (0o700, NONROOT) };
    if !asked && tree.contains(&fixed("home/nonroot")?) {
        return Ok(());
    }
    let home = directory(fixed("home/nonroot")?, mode, (NONROOT, gid), reason());
    tree.place(home, LayerName::Files, Claim::Asis, origin)
}

/// A path that stands in this source.
fn fixed(path: &'static str) -> Result<ImagePath, Error> {
    ImagePath::parse(path).map_err(|_| Error::Path { what: "path", text: path.to_owned(), reason: "it is no path" })
}

fn place_workdir(request: &PlanRequest, tree: &mut Tree) -> Result<(), Error> {
    let path = settings::workdir(&request.options, request.base.as_ref().map(|base| &base.config))?;
    if tree.contains(&path) && !tree.get(&path).is_some_and(|entry| !matches!(entry.kind, EntryKind::Directory)) {
        return Ok(());
    }
    // A link to a directory will do as well.
    if tree.get(&path).is_some_and(|entry| matches!(entry.kind, EntryKind::Symlink(_))) {
        return Ok(());
    }
    let reason = Reason::new("user:workdir", format!("workdir:{path}"), Confidence::Asserted);
    let origin = format!("the working directory `{path}`");
    tree.place(directory(path, 0o755, (0, 0), reason), LayerName::Files, Claim::Exists, &origin)
}

/// `/etc/nsswitch.conf`: accounts from files, hosts from files and DNS, as distroless has it.
const NSSWITCH: &str = "passwd: files\ngroup: files\nhosts: files dns\n";

/// Places what the analysis asks for and the user has not given.
fn place_required(request: &PlanRequest, tree: &mut Tree, found: &mut Vec<Diagnostic>) -> Result<(), Error> {
    for program in &request.programs {
        for needed in &program.requirements {
            let Subject::File(text) = &needed.subject else { continue };
            let path = settings::absolute("file that a program needs", text.as_bytes())?;
            if tree.contains(&path) {
                continue;
            }
            if text == "/etc/nsswitch.conf" {
                let reason = Reason { needed_by: format!("program:{}", program.name), ..needed.reason.clone() };
                let entry = file(path, FileContent::generated(NSSWITCH.into()), 0o644, (0, 0), reason);
                tree.place(entry, LayerName::Files, Claim::Asis, "the generated `nsswitch.conf`")?;
            } else {
                let message = format!("the program needs `{path}`, which is not in the image");
                let finding = Diagnostic::new(findings::MISSING, Severity::Warning, &program.origin, message);
                let evidence = needed.reason.evidence.iter().cloned();
                found.push(finding.with_evidence(evidence).with_hint(format!("add it with `--add SRC:{path}`")));
            }
        }
    }
    Ok(())
}

fn check_links(
    request: &PlanRequest,
    tree: &Tree,
    symlinks: &[Link],
    writable: &[ImagePath],
    found: &mut Vec<Diagnostic>,
) -> Result<(), Error> {
    let mut at_run_time = settings::directories("volume", &request.options.volumes)?;
    at_run_time.extend_from_slice(writable);
    let mut dangling: BTreeMap<&str, Vec<Vec<u8>>> = BTreeMap::new();
    for link in symlinks {
        if !links::check(tree, link, &at_run_time)? {
            dangling.entry(&link.addition).or_default().push(link.path.as_bytes().to_vec());
        }
    }
    for (addition, paths) in dangling {
        let message = "symbolic links lead to nothing in the image";
        found.push(findings::about_paths(findings::DANGLING_LINK, addition, message, "link", &paths));
    }
    Ok(())
}

fn set_capabilities(request: &PlanRequest, tree: &mut Tree, found: &mut Vec<Diagnostic>) -> Result<(), Error> {
    for cap in &request.options.file_caps {
        let refuse = |reason| Err(Error::CapabilityTarget { path: cap.path.clone(), reason });
        if !tree.contains(&cap.path) {
            return refuse("it is not in the image");
        }
        let regular = tree.get_mut(&cap.path).filter(|entry| matches!(entry.kind, EntryKind::File(_)));
        let Some(entry) = regular else { return refuse("it is not a regular file") };
        if entry.xattrs.insert(CAPABILITY_XATTR.to_owned(), cap.capabilities.to_xattr()).is_some() {
            return refuse("they are given twice");
        }
        let message = "file capabilities need a container that has them and no `no_new_privs`";
        let hint = "in Kubernetes: list them in `capabilities.add` and leave `allowPrivilegeEscalation: false` out; \
                    the restricted Pod Security Standard allows only `NET_BIND_SERVICE`";
        let evidence = Evidence::new(CAPABILITY_XATTR, cap.capabilities.to_string());
        let finding = Diagnostic::new(findings::SET_CAPABILITIES, Severity::Note, cap.path.to_string(), message);
        found.push(finding.with_evidence([evidence]).with_hint(hint));
    }
    Ok(())
}

fn check_entrypoint(entrypoint: &[String], tree: &Tree, found: &mut Vec<Diagnostic>) {
    let Some(program) = entrypoint.first() else { return };
    let mut warn = |code, message: &str, hint: &str| {
        let finding = Diagnostic::new(code, Severity::Warning, program.as_str(), message);
        found.push(finding.with_hint(hint.to_owned()));
    };
    let path = ImagePath::parse(program).ok().filter(|_| program.starts_with('/'));
    let Some(path) = path else {
        let message = "the entrypoint is not an absolute path";
        return warn(findings::ENTRYPOINT, message, "programs lie in `/app`, which is not in `PATH`");
    };
    let path = links::destination(tree, &path).unwrap_or(path);
    match tree.get(&path).map(|entry| (&entry.kind, entry.mode)) {
        Some((EntryKind::File(_), mode)) if mode & 0o111 == 0 => {
            warn(findings::NOT_EXECUTABLE, "the entrypoint has no execute bit", "add it with mode 0755");
        }
        Some((EntryKind::File(_), _)) => {}
        None if tree.base().is_some_and(|base| super::base::is_executable(base, &path)) => {}
        _ => warn(findings::ENTRYPOINT, "the entrypoint is not a file of the image", "programs lie in `/app`"),
    }
}

fn check_volumes(request: &PlanRequest, writable: &[ImagePath], found: &mut Vec<Diagnostic>) -> Result<(), Error> {
    for path in settings::directories("volume", &request.options.volumes)? {
        if !writable.iter().any(|directory| path.starts_with(directory)) {
            let message = "the user cannot write to the volume";
            let finding = Diagnostic::new(findings::VOLUME, Severity::Warning, path.to_string(), message);
            found.push(
                finding.with_hint(format!("a new volume is root's unless `--writable {path}` makes the directory")),
            );
        }
    }
    Ok(())
}

fn check_excludes(request: &PlanRequest, found: &mut Vec<Diagnostic>) {
    for (index, pattern) in request.excludes.iter().enumerate() {
        let used = |add: &Add| add.walked.used_excludes.contains(&index);
        if !request.adds.iter().any(used) {
            let message = "the exclude pattern matched nothing";
            found.push(Diagnostic::new(findings::UNUSED_EXCLUDE, Severity::Warning, pattern.as_str(), message));
        }
    }
}
