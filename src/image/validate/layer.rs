//! Checks of one layer, from its blob to each entry.

use std::io::{self, Read};

use super::tree::{Kind, Node, Tree};
use super::{Run, codes};
use crate::diag::{Evidence, escape};
use crate::image::Error;
use crate::image::stream::{self, Shared, Tally};
use crate::layer::tar::{self, Problem, TarEntry, TarKind, TarReader};
use crate::limits;
use crate::observe::Event;
use crate::oci::{Algorithm, Descriptor, DiffId, media_type};

/// Where a layer stands, for findings.
struct Place<'a> {
    subject: &'a str,
    layer: String,
    at: usize,
}

impl<'a> Run<'a> {
    /// A blob that is not unpacked.
    pub(super) fn plain_blob(&mut self, subject: &str, descriptor: &Descriptor) -> Result<(), Error> {
        let stored = Shared::new(descriptor.digest.algorithm());
        let Some(mut reader) = self.open(subject, descriptor, &stored) else { return Ok(()) };
        io::copy(&mut reader, &mut io::sink()).ok();
        drop(reader);
        self.finish_stored(subject, descriptor, &stored).map(drop)
    }

    /// Validates a layer and puts its entries on the tree. False when the tree is not what a runtime would have then.
    pub(super) fn layer(
        &mut self,
        subject: &str,
        descriptor: &Descriptor,
        diff_id: Option<&DiffId>,
        at: usize,
        tree: &mut Tree,
    ) -> Result<bool, Error> {
        self.report.layers += 1;
        let place = Place { subject, layer: format!("layer {} {}", at + 1, descriptor.digest), at };
        let subject = format!("{subject} {}", place.layer);
        let Some(compression) = media_type::layer_compression(&descriptor.media_type) else {
            self.report.add(codes::LAYER_TYPE, subject.as_str(), format!("its type is `{}`", descriptor.media_type));
            self.plain_blob(&subject, descriptor)?;
            return Ok(false);
        };
        let stored = Shared::new(descriptor.digest.algorithm());
        let Some(mut reader) = self.open(&subject, descriptor, &stored) else { return Ok(false) };
        let algorithm = diff_id.map_or(Algorithm::Sha256, |id| id.0.algorithm());
        let unpacked = Shared::new(algorithm);
        let read = self.read_layer(&place, compression, &mut reader, descriptor.size, &unpacked, tree);
        // The rest of the blob, for its digest: behind a damaged stream, and behind the end of a good one.
        io::copy(&mut reader, &mut io::sink()).ok();
        drop(reader);
        if !self.finish_stored(&subject, descriptor, &stored)? {
            return Ok(false);
        }
        if stream::sniff(&stored.lock().head) != compression && descriptor.size > 0 {
            let message = format!("its type is `{}`, but its bytes are not", descriptor.media_type);
            self.report.add(codes::OTHER_COMPRESSION, subject.as_str(), message);
            return Ok(false);
        }
        if unpacked.lock().over {
            let message =
                format!("its {} bytes unpack to more than {}", descriptor.size, stream::bound(descriptor.size));
            self.report.add(codes::BOMB, subject.as_str(), message);
            return Ok(false);
        }
        match read {
            Ok(()) => {}
            Err(tar::Error::Read(e)) => {
                self.report.add(codes::DAMAGED, subject.as_str(), format!("it cannot be unpacked: {e}"));
                return Ok(false);
            }
            Err(e) => {
                self.report.add(codes::NOT_TAR, subject.as_str(), e.to_string());
                return Ok(false);
            }
        }
        if let (Some(actual), Some(DiffId(expected))) = (unpacked.digest(), diff_id)
            && actual != *expected
        {
            let message = format!("the config says `{expected}`, the unpacked bytes have `{actual}`");
            self.report.add(codes::DIFF_ID, subject, message);
        }
        Ok(true)
    }

    fn open(
        &mut self,
        subject: &str,
        descriptor: &Descriptor,
        shared: &Shared,
    ) -> Option<Tally<'a, Box<dyn Read + Send>>> {
        let id = descriptor.digest.to_string();
        self.observer.event(Event::Begin { id: &id, verb: "validating", total: Some(descriptor.size) });
        match self.source.blob(descriptor) {
            // One byte more than promised tells that there is more.
            Ok(inner) => {
                let observer = Some((self.observer, id));
                Some(Tally { inner, shared: shared.clone(), limit: descriptor.size, observer })
            }
            Err(reason) => {
                self.unreadable(subject, &descriptor.digest, &reason);
                None
            }
        }
    }

    /// Compares size and digest of what was stored. False when they differ or reading failed.
    fn finish_stored(&mut self, subject: &str, descriptor: &Descriptor, stored: &Shared) -> Result<bool, Error> {
        if self.observer.cancelled() {
            return Err(Error::Cancelled);
        }
        let (bytes, failed, over) = {
            let mut passed = stored.lock();
            (passed.bytes, passed.failed.take(), passed.over)
        };
        self.report.bytes += bytes;
        self.observer.event(Event::End { id: &descriptor.digest.to_string(), note: "" });
        if let Some(e) = failed {
            self.unreadable(subject, &descriptor.digest, &stream::reason(e));
            return Ok(false);
        }
        if over || bytes != descriptor.size {
            let more = if over { "more than " } else { "" };
            let message =
                format!("{more}{} bytes where the descriptor says {}", bytes.min(descriptor.size), descriptor.size);
            self.report.add(codes::SIZE, subject, message);
            return Ok(false);
        }
        match stored.digest() {
            Some(actual) if actual != descriptor.digest => {
                let message = format!("`{}` was promised, the bytes have `{actual}`", descriptor.digest);
                self.report.add(codes::DIGEST, subject, message);
                Ok(false)
            }
            _ => Ok(true),
        }
    }

    fn read_layer(
        &mut self,
        place: &Place<'_>,
        compression: media_type::Compression,
        stored: &mut impl Read,
        size: u64,
        unpacked: &Shared,
        tree: &mut Tree,
    ) -> Result<(), tar::Error> {
        let inner = stream::unpack(compression, stored).map_err(tar::Error::Read)?;
        let tally = Tally { inner, shared: unpacked.clone(), limit: stream::bound(size), observer: None };
        let mut reader = TarReader::new(io::BufReader::with_capacity(64 << 10, tally));
        tree.begin(place.at);
        while let Some(entry) = reader.next_entry()? {
            self.report.entries += 1;
            if entry.kind == TarKind::File
                && let Some(file) = clean(&entry.path).ok().and_then(|path| Tree::accounts(&path))
            {
                let mut content = Vec::new();
                let bounded = &mut reader.content().take(limits::MAX_ACCOUNT_FILE_BYTES);
                bounded.read_to_end(&mut content).map_err(tar::Error::Read)?;
                tree.keep_accounts(file, content);
            }
            self.entry(place, &entry, tree);
        }
        self.end_of_layer(place, tree);
        if let Some(ending) = reader.ending() {
            if ending.trailing_data {
                let message = format!("{} bytes follow the end of the archive", ending.trailing);
                self.at(place, codes::TRAILING, None, message);
            } else if ending.zero_blocks < 2 {
                self.at(place, codes::NO_END, None, format!("it has {} of 2 blocks of zeros", ending.zero_blocks));
            }
        }
        Ok(())
    }

    /// A finding at an entry of a layer, or at the layer.
    fn at(&mut self, place: &Place<'_>, rule: super::Rule, path: Option<&[u8]>, message: impl Into<String>) {
        let subject = path.map_or_else(|| place.layer.clone(), escape);
        if let Some(finding) = self.report.add(rule, subject, message) {
            finding.evidence.push(Evidence::new("image", place.subject));
            if path.is_some() {
                finding.evidence.push(Evidence::new("layer", place.layer.clone()));
            }
        }
    }

    fn entry(&mut self, place: &Place<'_>, entry: &TarEntry, tree: &mut Tree) {
        let written = Some(entry.path.as_slice());
        // An unknown type has a code of its own.
        for problem in entry.problems.iter().filter(|problem| **problem != Problem::UnknownType) {
            self.at(place, codes::UNCLEAR_HEADER, written, format!("the header has: {problem:?}"));
        }
        let path = match clean(&entry.path) {
            Ok(path) => path,
            Err((rule, message)) => return self.at(place, rule, written, message),
        };
        if entry.path.starts_with(b"/") {
            self.at(place, codes::ABSOLUTE, written, "the path is absolute");
        }
        let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
        if let Some(hidden) = name.strip_prefix(b".wh.") {
            return self.whiteout(place, &path, hidden, tree);
        }
        let Some(kind) = self.kind(place, entry, tree) else { return };
        self.check_mode(place, entry, kind);
        if !(entry.uname.is_empty() && entry.gname.is_empty()) {
            tree.note_owner_name(&entry.path);
        }
        if entry.mtime != 0 {
            tree.note_time(&entry.path, entry.mtime);
        }
        if path.is_empty() {
            if kind != Kind::Directory {
                self.at(place, codes::PARENT, written, "the root of the image is not a directory");
            }
            return;
        }
        if let Some(above) = tree.not_a_directory_above(&path) {
            let message = format!("`{}` above it is not a directory", escape(&above));
            self.at(place, codes::PARENT, written, message);
        }
        // A hard link is the file it names: mode and owner in its own header count for nothing.
        let named = (entry.kind == TarKind::HardLink).then(|| clean(&entry.link).ok()).flatten();
        let node = match named.and_then(|named| tree.get(&named)) {
            Some(named) => Node { layer: place.at, ..named.clone() },
            None => Node {
                kind,
                mode: entry.mode & 0o7777,
                uid: entry.uid,
                gid: entry.gid,
                target: if kind == Kind::Symlink { entry.link.clone() } else { Vec::new() },
                layer: place.at,
            },
        };
        if tree.put(path, node) {
            self.at(place, codes::DUPLICATE, written, "the path stands twice in the layer");
        }
    }

    /// The kind that stays on disk; a hard link is the file that it names.
    fn kind(&mut self, place: &Place<'_>, entry: &TarEntry, tree: &Tree) -> Option<Kind> {
        let path = Some(entry.path.as_slice());
        match entry.kind {
            TarKind::File => Some(Kind::File),
            TarKind::Directory => Some(Kind::Directory),
            TarKind::Symlink => {
                if entry.link.is_empty() || entry.link.contains(&0) {
                    self.at(place, codes::LINK_TARGET, path, "the symbolic link has no target");
                }
                Some(Kind::Symlink)
            }
            TarKind::HardLink => {
                let there = clean(&entry.link).ok().and_then(|target| tree.get(&target).map(|node| node.kind));
                if there.is_none_or(|kind| kind == Kind::Directory) {
                    let message = format!("it links to `{}`, which is no file before it", escape(&entry.link));
                    self.at(place, codes::HARD_LINK, path, message);
                }
                Some(there.unwrap_or(Kind::File))
            }
            TarKind::CharDevice | TarKind::BlockDevice => {
                // Overlay file systems mark a whiteout by a device 0,0; in a layer it is a device like any other.
                self.at(place, codes::DEVICE, path, "it is a device node");
                Some(Kind::Other)
            }
            TarKind::Fifo => {
                self.at(place, codes::FIFO, path, "it is a named pipe");
                Some(Kind::Other)
            }
            TarKind::Other(flag) => {
                self.at(place, codes::KIND, path, format!("its type flag is `{}`", escape(&[flag])));
                None
            }
        }
    }

    fn check_mode(&mut self, place: &Place<'_>, entry: &TarEntry, kind: Kind) {
        let path = Some(entry.path.as_slice());
        if kind == Kind::File && entry.kind == TarKind::File && entry.mode & 0o6000 != 0 {
            self.at(place, codes::SET_ID, path, format!("its mode is {:04o}", entry.mode & 0o7777));
        }
        let open = match kind {
            Kind::File => entry.mode & 0o002 != 0,
            Kind::Directory => entry.mode & 0o1002 == 0o002,
            Kind::Symlink | Kind::Other => false,
        };
        if open {
            self.at(place, codes::WRITABLE, path, format!("its mode is {:04o}", entry.mode & 0o7777));
        }
    }

    fn whiteout(&mut self, place: &Place<'_>, path: &[u8], hidden: &[u8], tree: &mut Tree) {
        let shown = Some(path);
        let directory = &path[..path.len() - hidden.len() - b".wh.".len()];
        if hidden.is_empty() || (hidden.starts_with(b".wh.") && hidden != b".wh..opq") {
            return self.at(place, codes::BAD_WHITEOUT, shown, "what it hides is not clear");
        }
        if place.at == 0 {
            return self.at(place, codes::LOWEST_WHITEOUT, shown, "there is no layer below");
        }
        let hid =
            if hidden == b".wh..opq" { tree.hide_below(directory) } else { tree.hide(&[directory, hidden].concat()) };
        if !hid {
            self.at(place, codes::IDLE_WHITEOUT, shown, "no layer below has what it hides");
        }
    }

    /// What can only be said once all entries are known.
    fn end_of_layer(&mut self, place: &Place<'_>, tree: &mut Tree) {
        let gathered = tree.end();
        let mut say = |rule, found: Option<(Vec<u8>, u64)>, message: &str| {
            if let Some((first, count)) = found {
                let message =
                    if count == 1 { message.to_owned() } else { format!("{message}, and so {} more", count - 1) };
                self.at(place, rule, Some(&first), message);
            }
        };
        say(codes::NO_PARENT, gathered.no_parent, "no layer has an entry for this directory");
        say(codes::UNSORTED, gathered.unsorted, "it is not in order");
        say(codes::TIMES, gathered.times, "its time is neither 0 nor that of the image");
        say(codes::OWNER_NAME, gathered.owner_names, "it names its owner");
    }
}

/// A path without `.`, empty components and slashes at the ends.
fn clean(path: &[u8]) -> Result<Vec<u8>, (super::Rule, &'static str)> {
    if path.is_empty() || path.contains(&0) || path.len() > limits::MAX_PATH_BYTES {
        return Err((codes::PATH_INVALID, "the path is empty, too long, or has a NUL byte"));
    }
    let mut out = Vec::with_capacity(path.len());
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err((codes::DOT_DOT, "the path has a `..` component")),
            part => {
                if !out.is_empty() {
                    out.push(b'/');
                }
                out.extend_from_slice(part);
            }
        }
    }
    Ok(out)
}
