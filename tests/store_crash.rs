//! Layouts under several writers, killed writers and full disks.
//!
//! Child processes are this test binary again, told by `CORACLE_TEST_CHILD` what to do.

#[path = "support/images.rs"]
mod images;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use coracle::diag::Severity;
use coracle::image::{Image, Index};
use coracle::observe::silent;
use coracle::oci::{Annotations, Descriptor, media_type};
use coracle::store::{
    Archive, ArchiveOptions, CopyOptions, LayoutStore, MemoryStore, Pointer, Store, put_image, put_index, validate,
};

/// What a child works on.
const CHILD: &str = "CORACLE_TEST_CHILD";

fn child(role: &str, directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", role, "--nocapture"]).env(CHILD, directory);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The directory when this process is a child.
fn mine() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

fn tagged(tag: &str) -> CopyOptions {
    CopyOptions { tags: vec![tag.parse().unwrap()], ..CopyOptions::default() }
}

/// An image with a layer of some hundred KiB that compresses badly, so that writing takes a while.
fn large(salt: u64) -> Image {
    let mut state = salt.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let noise: String = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + u8::try_from(state % 90).unwrap())
    })
    .take(300_000)
    .collect();
    let layer = images::layer(&images::tar(&[("app/", ""), ("app/hello", &noise)]));
    Image::assemble(&images::plan("amd64", &["app"]), vec![layer]).unwrap()
}

async fn all_valid(store: &LayoutStore) -> usize {
    let tags = store.tags().await.unwrap();
    for tag in &tags {
        let report = validate(store, &Pointer::Tag(tag.clone()), silent()).await.unwrap();
        assert!(report.is_free_of(Severity::Warning), "{tag}: {:?}", report.findings);
    }
    tags.len()
}

/// Child: writes images `NAME-0`, `NAME-1`, … and says each tag once it stands, until it is killed or has made 20.
#[tokio::test]
async fn child_writes_images() {
    let Some(directory) = mine() else { return };
    let store = LayoutStore::create(&directory).unwrap();
    let name = std::process::id();
    for n in 0..20 {
        let tag = format!("{name}-{n}");
        put_image(&store, &large(u64::from(name) << 8 | n), &tagged(&tag)).await.unwrap();
        writeln!(std::io::stderr().lock(), "tag {tag}").unwrap();
    }
}

/// The next tag that a child says.
fn next_tag(lines: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    while lines.read_line(&mut line).unwrap() > 0 {
        if let Some(tag) = line.trim().strip_prefix("tag ") {
            return Some(tag.to_owned());
        }
        line.clear();
    }
    None
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test]
async fn writers_in_several_processes_lose_no_tag() {
    let dir = tempfile::tempdir().unwrap();
    let layout = dir.path().join("layout");
    let mut children: Vec<Killed> =
        (0..3).map(|_| Killed(child("child_writes_images", &layout).spawn().unwrap())).collect();
    let mut said = BTreeSet::new();
    for child in &mut children {
        let mut lines = BufReader::new(child.0.stderr.take().unwrap());
        while let Some(tag) = next_tag(&mut lines) {
            said.insert(tag);
        }
    }
    assert_eq!(said.len(), 60);
    let store = LayoutStore::open(&layout).unwrap();
    let tags: BTreeSet<String> = store.tags().await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(tags, said);
    all_valid(&store).await;
}

#[tokio::test]
async fn a_killed_writer_leaves_a_valid_layout() {
    let dir = tempfile::tempdir().unwrap();
    let layout = dir.path().join("layout");
    for round in 1..=5 {
        let mut writer = Killed(child("child_writes_images", &layout).spawn().unwrap());
        let mut lines = BufReader::new(writer.0.stderr.take().unwrap());
        let mut last = String::new();
        for _ in 0..round {
            last = next_tag(&mut lines).unwrap();
        }
        // It is somewhere within the next image now.
        writer.0.kill().unwrap();
        writer.0.wait().unwrap();
        let store = LayoutStore::open(&layout).unwrap();
        assert!(store.tags().await.unwrap().contains(&last.parse().unwrap()), "what was said stands");
        all_valid(&store).await;
    }
    let store = LayoutStore::create(&layout).unwrap();
    let before = all_valid(&store).await;
    put_image(&store, &large(1), &tagged("after")).await.unwrap();
    assert_eq!(all_valid(&store).await, before + 1, "the next writer is not hindered by what was left");
}

#[tokio::test]
async fn between_the_blobs_and_the_index_the_layout_is_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let store = LayoutStore::create(dir.path()).unwrap();
    put_image(&store, &images::image("amd64", "old"), &tagged("v1")).await.unwrap();
    let before = std::fs::read(dir.path().join("index.json")).unwrap();
    let new = images::image("amd64", "new");
    for blob in new.blobs() {
        store.put_blob(blob).await.unwrap();
    }
    assert_eq!(std::fs::read(dir.path().join("index.json")).unwrap(), before);
    all_valid(&LayoutStore::open(dir.path()).unwrap()).await;
    let pair = vec![new, images::image("arm64", "new")];
    for image in &pair {
        put_image(&store, image, &CopyOptions::default()).await.unwrap();
    }
    assert_eq!(all_valid(&store).await, 1, "images are there, the index that will list them is not");
    let index = Index::assemble(pair, Annotations::new()).unwrap();
    put_index(&store, &index, &tagged("v1")).await.unwrap();
    assert_eq!(all_valid(&store).await, 1);
}

/// Child with a limit of 64 KiB per file: every large write has to fail, and leave nothing.
#[tokio::test]
async fn child_fills_the_disk() {
    let Some(directory) = mine() else { return };
    let image = large(7);
    let memory = MemoryStore::new();
    put_image(&memory, &image, &CopyOptions::default()).await.unwrap();
    let pointer = Pointer::Digest(image.manifest().digest().clone());
    let archive = Archive::prepare(&memory, &pointer, &ArchiveOptions::default()).await.unwrap();
    let error = archive.write_file(&directory.join("image.tar")).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot write"), "{error}");
    let store = LayoutStore::open(&directory.join("layout")).unwrap();
    let error = put_image(&store, &image, &tagged("v2")).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot write"), "{error}");
    assert!(std::error::Error::source(&error).is_some(), "the system's reason is told");
}

#[tokio::test]
async fn a_full_disk_leaves_nothing_half_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = LayoutStore::create(&dir.path().join("layout")).unwrap();
    put_image(&store, &images::image("amd64", ""), &tagged("v1")).await.unwrap();
    let list = || {
        let files = walkdir::WalkDir::new(dir.path()).sort_by_file_name().into_iter().map(Result::unwrap);
        files
            .filter(|e| e.file_type().is_file())
            .map(|e| (e.path().to_owned(), e.metadata().unwrap().len()))
            .collect::<Vec<_>>()
    };
    let before = list();
    // `ulimit -f` counts blocks of 512 bytes; the signal is ignored, so that the write fails like one on a full disk.
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 128; exec \"$0\" \"$@\""]);
    shell.arg(std::env::current_exe().unwrap()).args(["--exact", "child_fills_the_disk", "--nocapture"]);
    let output = shell.env(CHILD, dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "the child did its work: {said}");
    let small = |path: &Path| std::fs::metadata(path).unwrap().len() < 64 << 10;
    let after: Vec<_> = list().into_iter().filter(|file| !before.contains(file)).collect();
    // The small config may be there, whole; nothing else, and no temporary file.
    assert!(after.len() <= 1 && after.iter().all(|(path, _)| small(path)), "{after:?}");
    assert_eq!(all_valid(&store).await, 1);
}

#[tokio::test]
async fn a_source_that_breaks_off_leaves_no_blob() {
    #[derive(Debug)]
    struct Breaks(u64);
    impl coracle::blob::BlobSource for Breaks {
        fn open(&self, _: u64) -> Result<Box<dyn Read + Send>, coracle::blob::Error> {
            struct Reader(u64);
            impl Read for Reader {
                fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
                    if self.0 == 0 {
                        return Err(std::io::Error::other("the cable was pulled"));
                    }
                    let n = buf.len().min(usize::try_from(self.0).unwrap());
                    self.0 -= n as u64;
                    Ok(n)
                }
            }
            Ok(Box::new(Reader(self.0)))
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let store = LayoutStore::create(dir.path()).unwrap();
    let descriptor = Descriptor::of(media_type::OCI_LAYER, &vec![0; 300_000]);
    let blob = coracle::blob::Blob::new(descriptor.clone(), std::sync::Arc::new(Breaks(200_000)));
    let error = store.put_blob(&blob).await.unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("cable"), "{error}");
    assert_eq!(store.has_blob(&descriptor.digest).await.unwrap(), None);
    let blobs = std::fs::read_dir(dir.path().join("blobs/sha256")).unwrap().count();
    assert_eq!(blobs, 0, "nor anything of it");
}
