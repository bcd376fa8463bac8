//! Whole trees as images: the loader finds in the image what it finds in the directory that the image was made of.
//!
//! By default it is a part of this machine; `CORACLE_DEBIAN_ROOT` (`scripts/debian-root.sh` makes one) adds a whole root.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use coracle::analyze::loader::Target;
use coracle::blob::{Blob, Layer};
use coracle::image::{ImageRoot, RootLimits};
use coracle::observe::Silent;
use coracle::oci::{Algorithm, Descriptor, DiffId, DigestWriter, ImagePath, media_type};
use coracle::rootfs::{DirRoot, Node, Root, resolve};

/// Programs whose closures are compared.
const SAMPLE: usize = 100;

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// What the loader maps for each program, and what it does not find.
fn closures(root: &dyn Root, programs: &[String]) -> BTreeMap<String, String> {
    let target = Target::new(root);
    let closure = |program: &String| {
        let text = match target.closure(program.as_bytes(), None).unwrap() {
            Ok(closure) => {
                let loaded: Vec<_> = closure.loaded.iter().map(|l| (l.resolved.clone(), l.aliases.clone())).collect();
                let loaded: Vec<_> = loaded
                    .iter()
                    .map(|(r, aliases)| {
                        (&r.path, &r.links, aliases.iter().map(|a| &a.resolved.path).collect::<Vec<_>>())
                    })
                    .collect();
                format!("{loaded:?} missing {:?}", closure.missing)
            }
            Err(refusal) => format!("{refusal:?}"),
        };
        (program.clone(), text)
    };
    programs.iter().map(closure).collect()
}

fn programs(root: &Path) -> Vec<String> {
    let names = std::fs::read_dir(root.join("usr/bin")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut all: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
    all.sort();
    let step = all.len().div_ceil(SAMPLE).max(1);
    all.into_iter().step_by(step).map(|name| format!("/usr/bin/{name}")).collect()
}

/// A tar of these paths of a root, as a layer that is compressed with zstd or not at all.
fn layer(root: &Path, paths: &[ImagePath], out: &Path, compress: bool) -> Layer {
    use std::os::unix::ffi::OsStrExt;
    let mut builder =
        tar::Builder::new(DigestWriter::new(BufWriter::new(File::create(out).unwrap()), Algorithm::Sha256));
    builder.follow_symlinks(false);
    for path in paths {
        let inside = Path::new(std::ffi::OsStr::from_bytes(path.as_bytes()));
        builder.append_path_with_name(root.join(inside), inside).unwrap();
    }
    let (mut writer, diff_id, size) = builder.into_inner().unwrap().finish();
    writer.flush().unwrap();
    let (diff_id, mut descriptor) = (DiffId(diff_id.clone()), Descriptor::new(media_type::OCI_LAYER, diff_id, size));
    let mut file = out.to_owned();
    if compress {
        file = out.with_extension("zst");
        let mut sink = DigestWriter::new(File::create(&file).unwrap(), Algorithm::Sha256);
        zstd::stream::copy_encode(BufReader::new(File::open(out).unwrap()), &mut sink, 1).unwrap();
        let (_, digest, size) = sink.finish();
        descriptor = Descriptor::new(media_type::OCI_LAYER_ZSTD, digest, size);
    }
    Layer { blob: Blob::from_file(descriptor, &file), diff_id }
}

/// Everything below some paths of a root, links not followed, directories first. What cannot be read is left out.
fn below(root: &DirRoot, tops: &[&str]) -> Vec<ImagePath> {
    let mut found = Vec::new();
    let mut open: Vec<ImagePath> = tops.iter().map(|top| ImagePath::parse(top).unwrap()).collect();
    while let Some(at) = open.pop() {
        match root.node(&at).unwrap() {
            Some(Node::Directory { .. }) => {
                let names = root.read_dir(&at).unwrap();
                open.extend(names.iter().map(|name| at.join(name).unwrap()));
            }
            Some(Node::File { .. }) if root.open(&at).is_err() => continue,
            Some(Node::File { .. } | Node::Symlink(_)) => {}
            Some(Node::Special) | None => continue,
        }
        if !at.is_root() {
            found.push(at);
        }
    }
    found.sort();
    found
}

/// Makes an image of two layers of these paths and compares the closures of the programs.
fn compare(root: &Path, paths: &[ImagePath], programs: &[String]) -> ImageRoot {
    let directory = tempfile::tempdir().unwrap();
    let (lower, upper) = paths.split_at(paths.len() / 2);
    let layers = [
        layer(root, lower, &directory.path().join("lower.tar"), false),
        layer(root, upper, &directory.path().join("upper.tar"), true),
    ];
    let image = ImageRoot::open(&layers, "image", directory.path(), RootLimits::default(), &Silent).unwrap();
    let ours = closures(&image, programs);
    let theirs = closures(&DirRoot::open(root).unwrap(), programs);
    let whole = theirs.values().filter(|text| text.ends_with("missing []")).count();
    assert!(whole > programs.len() / 4, "{whole} of {} programs have a closure", programs.len());
    for (program, theirs) in &theirs {
        assert_eq!(&ours[program], theirs, "{program}");
    }
    image
}

#[test]
fn programs_of_this_machine() {
    let root = Path::new("/");
    let tree = DirRoot::open(root).unwrap();
    let programs = programs(root);
    // What the loader touches for them, with the links on the way.
    let target = Target::new(&tree);
    let mut wanted = BTreeSet::new();
    let configuration: Vec<Vec<u8>> =
        ["/etc/ld.so.cache", "/etc/ld.so.preload"].iter().map(|path| path.as_bytes().to_vec()).collect();
    let add = |path: &[u8], wanted: &mut BTreeSet<ImagePath>| {
        let Ok(Some(found)) = resolve(&tree, path) else { return };
        wanted.extend(found.links);
        wanted.extend(found.path.ancestors());
        wanted.insert(found.path);
    };
    for path in programs.iter().map(|program| program.as_bytes().to_vec()).chain(configuration) {
        add(&path, &mut wanted);
        let Ok(Ok(closure)) = target.closure(&path, None) else { continue };
        for loaded in &closure.loaded {
            add(&loaded.path, &mut wanted);
            loaded.aliases.iter().for_each(|alias| add(&alias.path, &mut wanted));
        }
    }
    let paths: Vec<ImagePath> = wanted.into_iter().collect();
    compare(root, &paths, &programs);
}

#[test]
fn a_debian_root() {
    let Some(root) = std::env::var_os("CORACLE_DEBIAN_ROOT").map(PathBuf::from) else {
        say("skipped: CORACLE_DEBIAN_ROOT names no root (scripts/debian-root.sh makes one)");
        return;
    };
    let tree = DirRoot::open(&root).unwrap();
    let paths = below(&tree, &[""]);
    let begun = std::time::Instant::now();
    let image = compare(&root, &paths, &programs(&root));
    let spent = begun.elapsed();
    // Every path and every byte, too.
    let mut bytes = 0;
    for path in &paths {
        let (ours, theirs) = (image.node(path).unwrap(), tree.node(path).unwrap());
        match (ours, theirs) {
            (Some(Node::File { size, mode, .. }), Some(Node::File { size: s, mode: m, .. })) => {
                assert_eq!((size, mode), (s, m), "{path}");
                assert!(same(image.stream(path, 0).unwrap(), tree.stream(path, 0).unwrap()), "{path}");
                bytes += size;
            }
            (ours, theirs) => assert_eq!(ours, theirs, "{path}"),
        }
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    let said = format!("{}: {} paths, {bytes} bytes, {spent:.1?}, {peak}", root.display(), paths.len());
    say(&said);
}

fn same(mut a: Box<dyn Read + Send>, mut b: Box<dyn Read + Send>) -> bool {
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let read = a.read(&mut left).unwrap();
        if b.read_exact(&mut right[..read]).is_err() || left[..read] != right[..read] {
            return false;
        }
        if read == 0 {
            return b.read(&mut right).unwrap() == 0;
        }
    }
}
