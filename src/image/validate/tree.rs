//! The files that a runtime would have after it unpacked the layers so far.

use std::collections::BTreeMap;

use super::{Run, codes};
use crate::diag::{Evidence, escape};
use crate::image::rfc3339;
use crate::limits;
use crate::oci::ContainerConfig;

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Symlink,
    /// A device or pipe.
    Other,
}

/// A path of the tree.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub kind: Kind,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub target: Vec<u8>,
    /// The layer that brought it, so that whiteouts spare what their own layer brings.
    pub layer: usize,
}

/// The first of several alike, and how many there are.
pub(super) type Several = Option<(Vec<u8>, u64)>;

/// What is told once per layer.
#[derive(Default)]
pub(super) struct Gathered {
    pub no_parent: Several,
    pub unsorted: Several,
    pub times: Several,
    pub owner_names: Several,
}

/// All paths, without leading slash; the root is not among them.
#[derive(Default)]
pub(super) struct Tree {
    nodes: BTreeMap<Vec<u8>, Node>,
    created: Option<String>,
    layer: usize,
    last: Vec<u8>,
    gathered: Gathered,
    accounts: BTreeMap<&'static str, Vec<u8>>,
}

/// The files in which a user or group is looked up by name.
const ACCOUNTS: [&str; 2] = ["etc/passwd", "etc/group"];

impl Tree {
    /// An empty tree of an image with this time of creation.
    pub(super) fn new(created: Option<String>) -> Self {
        Self { created, ..Self::default() }
    }

    pub(super) fn begin(&mut self, layer: usize) {
        self.layer = layer;
        self.last.clear();
        self.gathered = Gathered::default();
    }

    pub(super) fn get(&self, path: &[u8]) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Adds a path of the current layer. True when the layer has brought it before.
    pub(super) fn put(&mut self, path: Vec<u8>, node: Node) -> bool {
        if before(&path, &self.last) {
            note(&mut self.gathered.unsorted, &path);
        }
        self.last.clone_from(&path);
        if node.kind != Kind::Directory {
            self.hide_below(&[path.as_slice(), b"/"].concat());
        }
        let before = self.nodes.insert(path, node);
        before.is_some_and(|before| before.layer == self.layer)
    }

    /// Which of the account files a path is.
    pub(super) fn accounts(path: &[u8]) -> Option<&'static str> {
        ACCOUNTS.into_iter().find(|file| file.as_bytes() == path)
    }

    /// Keeps the beginning of an account file.
    pub(super) fn keep_accounts(&mut self, file: &'static str, content: Vec<u8>) {
        self.accounts.insert(file, content);
    }

    /// The fields of a name in an account file that the image still has.
    fn account(&self, file: &'static str, name: &str) -> Option<Vec<&str>> {
        self.get(file.as_bytes()).filter(|node| node.kind == Kind::File)?;
        let lines = self.accounts.get(file)?.split(|b| *b == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
        lines.map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields.first() == Some(&name))
    }

    pub(super) fn note_time(&mut self, path: &[u8], mtime: i64) {
        let time = u64::try_from(mtime).ok().map(rfc3339);
        if time.is_none() || time != self.created {
            note(&mut self.gathered.times, path);
        }
    }

    pub(super) fn note_owner_name(&mut self, path: &[u8]) {
        note(&mut self.gathered.owner_names, path);
    }

    /// The lowest part of the path above it that is there and no directory.
    pub(super) fn not_a_directory_above(&self, path: &[u8]) -> Option<Vec<u8>> {
        let above = ancestors(path).find(|above| self.get(above).is_some_and(|node| node.kind != Kind::Directory));
        above.map(<[u8]>::to_vec)
    }

    /// Removes a path of the layers below, with all that it holds. False when there was none.
    pub(super) fn hide(&mut self, path: &[u8]) -> bool {
        let layer = self.layer;
        let own = self.nodes.get(path).is_some_and(|node| node.layer < layer);
        if own {
            self.nodes.remove(path);
        }
        self.hide_below(&[path, b"/"].concat()) || own
    }

    /// Removes what the layers below have under `prefix`, which is empty or ends in a slash.
    pub(super) fn hide_below(&mut self, prefix: &[u8]) -> bool {
        let layer = self.layer;
        let below = self.nodes.range(prefix.to_vec()..).take_while(|(path, _)| path.starts_with(prefix));
        let below: Vec<Vec<u8>> = below.filter(|(_, node)| node.layer < layer).map(|(path, _)| path.clone()).collect();
        for path in &below {
            self.nodes.remove(path);
        }
        !below.is_empty()
    }

    /// Ends the current layer.
    pub(super) fn end(&mut self) -> Gathered {
        let mut missing = Vec::new();
        for (path, node) in &self.nodes {
            // The nearest directory stands for those above it: they were looked at with it.
            if node.layer == self.layer
                && let Some(parent) = ancestors(path).last()
                && !self.nodes.contains_key(parent)
                && missing.last().map(Vec::as_slice) != Some(parent)
            {
                missing.push(parent.to_vec());
            }
        }
        missing.sort();
        missing.dedup();
        for path in &missing {
            note(&mut self.gathered.no_parent, path);
        }
        std::mem::take(&mut self.gathered)
    }

    /// Follows symbolic links as a runtime does inside the root. The path that is meant in the end, or where it fails.
    fn resolve(&self, path: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        let mut todo: Vec<Vec<u8>> = path.split(|b| *b == b'/').rev().map(<[u8]>::to_vec).collect();
        let mut at: Vec<u8> = Vec::new();
        let mut links = 0;
        while let Some(part) = todo.pop() {
            match part.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    at.truncate(at.iter().rposition(|b| *b == b'/').unwrap_or(0));
                    continue;
                }
                part => {
                    let mut next = at.clone();
                    if !next.is_empty() {
                        next.push(b'/');
                    }
                    next.extend_from_slice(part);
                    let Some(node) = self.get(&next) else { return Err(next) };
                    if node.kind != Kind::Symlink {
                        at = next;
                        continue;
                    }
                    links += 1;
                    if links > limits::MAX_SYMLINKS {
                        return Err(next);
                    }
                    if node.target.starts_with(b"/") {
                        at.clear();
                    }
                    todo.extend(node.target.split(|b| *b == b'/').rev().map(<[u8]>::to_vec));
                }
            }
        }
        Ok(at)
    }

    /// Why this user cannot execute the file, if so. Directories above it need their search bit.
    fn cannot_execute(&self, path: &[u8], user: User) -> Option<String> {
        let node = self.get(path).filter(|node| node.kind == Kind::File);
        let Some(node) = node else { return Some(format!("`/{}` is not a regular file", escape(path))) };
        let may = |node: &Node| match user {
            // Root searches every directory, and executes what anyone may execute.
            None | Some((0, _)) => node.kind == Kind::Directory || node.mode & 0o111 != 0,
            Some((uid, _)) if uid == node.uid => node.mode & 0o100 != 0,
            Some((_, gid)) if gid == node.gid => node.mode & 0o010 != 0,
            Some(_) => node.mode & 0o001 != 0,
        };
        let closed = ancestors(path).filter_map(|above| Some((above, self.get(above)?))).find(|(_, node)| !may(node));
        let (path, node) = match closed {
            Some(closed) => closed,
            None if may(node) => return None,
            None => (path, node),
        };
        Some(format!("`/{}` has mode {:04o} and owner {}:{}", escape(path), node.mode, node.uid, node.gid))
    }
}

/// uid and gid; `None` when they are not known.
pub(super) type User = Option<(u64, u64)>;

impl Run<'_> {
    /// `uid[:gid]`, of which runtimes look names up in the image. Nothing is root.
    pub(super) fn check_user(&mut self, subject: &str, user: &str, tree: &Tree) -> User {
        if user.is_empty() {
            return Some((0, 0));
        }
        let (uid, gid) = user.split_once(':').map_or((user, None), |(uid, gid)| (uid, Some(gid)));
        let fields = tree.account(ACCOUNTS[0], uid);
        let group = gid.and_then(|gid| tree.account(ACCOUNTS[1], gid));
        let field = |fields: &Option<Vec<&str>>, at: usize| fields.as_ref()?.get(at)?.parse::<u64>().ok();
        let own = uid.parse::<u32>().ok().map(u64::from).or_else(|| field(&fields, 2));
        let of_group = match gid {
            Some(gid) => gid.parse::<u32>().ok().map(u64::from).or_else(|| field(&group, 2)),
            // Without a group it is the user's own, which is 0 for a number.
            None => Some(field(&fields, 3).unwrap_or(0)),
        };
        let known = own.zip(of_group);
        if known.is_none() {
            self.report.add(codes::NO_USER, subject, format!("`{user}` is not in the image's accounts"));
        } else if uid.parse::<u32>().is_err() || gid.is_some_and(|gid| gid.parse::<u32>().is_err()) {
            self.report.add(codes::USER, subject, format!("the user `{user}` is not `uid` or `uid:gid` in numbers"));
        }
        known
    }

    /// The command has to be in the tree, for the user to execute.
    pub(super) fn check_command(&mut self, subject: &str, config: &ContainerConfig, user: User, tree: &Tree) {
        let words = config.entrypoint.iter().chain(&config.cmd).flatten();
        let Some(program) = words.map(String::as_str).next() else {
            self.report.add(codes::NO_COMMAND, subject, "the config has neither `Entrypoint` nor `Cmd`");
            return;
        };
        let found = candidates(program, config).iter().map(|path| tree.resolve(path.as_bytes())).reduce(Result::or);
        let path = match found {
            Some(Ok(path)) => path,
            Some(Err(missing)) => {
                let message = format!("`{program}` is not in the image");
                if let Some(finding) = self.report.add(codes::COMMAND_MISSING, subject, message) {
                    finding.evidence.push(Evidence::new("not there", format!("/{}", escape(&missing))));
                }
                return;
            }
            None => {
                self.report.add(codes::COMMAND_MISSING, subject, format!("`{program}` is in no directory of `PATH`"));
                return;
            }
        };
        if let Some(reason) = tree.cannot_execute(&path, user) {
            let message = format!("`{program}` cannot be executed by the image's user");
            if let Some(finding) = self.report.add(codes::COMMAND_NOT_EXECUTABLE, subject, message) {
                finding.evidence.push(Evidence::new("because", reason));
            }
        }
    }
}

/// Where a runtime looks for the program: as it stands, below the working directory, or along `PATH`.
fn candidates(program: &str, config: &ContainerConfig) -> Vec<String> {
    let directory = config.working_dir.as_deref().unwrap_or("/");
    if program.starts_with('/') {
        vec![program.to_owned()]
    } else if program.contains('/') {
        vec![format!("{directory}/{program}")]
    } else {
        let path = config.env.iter().find_map(|variable| variable.strip_prefix("PATH="));
        let path = path.unwrap_or("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        path.split(':').map(|directory| format!("{directory}/{program}")).collect()
    }
}

/// The directories above a path, the topmost first, without the root.
fn ancestors(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.iter().enumerate().filter(|(_, b)| **b == b'/').map(move |(at, _)| &path[..at])
}

/// Whether `a` sorts before `b` by components, where a directory comes right before what it holds.
fn before(a: &[u8], b: &[u8]) -> bool {
    let key = |path: &[u8]| path.iter().map(|byte| if *byte == b'/' { 0 } else { *byte }).collect::<Vec<u8>>();
    key(a) < key(b)
}

fn note(several: &mut Several, path: &[u8]) {
    match several {
        Some((_, count)) => *count += 1,
        None => *several = Some((path.to_vec(), 1)),
    }
}
