//! Other tools read what the stores write, and the stores read what other tools write.

#[path = "support/images.rs"]
mod images;
#[path = "support/peers.rs"]
mod peers;

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command};

use coracle::image::{Image, Index};
use coracle::oci::{Annotations, ImageConfig, ManifestView};
use coracle::store::{
    Archive, ArchiveOptions, ArchiveStore, CopyOptions, Daemon, LayoutStore, Loaded, MemoryStore, Pointer, Store, copy,
    put_image, put_index,
};

const NAME: &str = "localhost:5000/team/app:v1";

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}\n{}\n{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn tagged() -> CopyOptions {
    CopyOptions { tags: vec!["v1".parse().unwrap()], ..CopyOptions::default() }
}

fn named() -> ArchiveOptions {
    ArchiveOptions { names: vec![NAME.parse().unwrap()], ..ArchiveOptions::default() }
}

async fn archive(index: &Index, path: &Path) {
    let store = MemoryStore::new();
    put_index(&store, index, &CopyOptions::default()).await.unwrap();
    let pointer = Pointer::Digest(index.manifest().digest().clone());
    Archive::prepare(&store, &pointer, &named()).await.unwrap().write_file(path).await.unwrap();
}

fn pair() -> Vec<Image> {
    ["amd64", "arm64"].map(|a| images::image(a, "")).to_vec()
}

#[tokio::test]
async fn skopeo_reads_layouts_and_archives() {
    let Some(skopeo) = peers::find("skopeo") else { return };
    let dir = tempfile::tempdir().unwrap();
    let pair = pair();
    let index = Index::assemble(pair.clone(), Annotations::new()).unwrap();
    let layout = dir.path().join("layout");
    put_index(&LayoutStore::create(&layout).unwrap(), &index, &tagged()).await.unwrap();
    let source = format!("oci:{}:v1", layout.display());
    let raw = run(Command::new(&skopeo).args(["inspect", "--raw", &source]));
    assert_eq!(raw.as_bytes(), index.manifest().bytes());
    let target = format!("oci:{}:v1", dir.path().join("copy").display());
    run(Command::new(&skopeo).args(["--insecure-policy", "copy", "--all", "--preserve-digests", &source, &target]));

    let tar = dir.path().join("image.tar");
    archive(&index, &tar).await;
    for (kind, reference) in [("oci-archive", "v1"), ("docker-archive", NAME)] {
        let source = format!("{kind}:{}:{reference}", tar.display());
        let target = format!("oci:{}:x", dir.path().join(kind).display());
        run(Command::new(&skopeo).args(["--insecure-policy", "--override-arch", "amd64", "copy", &source, &target]));
        let out = LayoutStore::open(&dir.path().join(kind)).unwrap();
        let manifest = out.get_manifest(&Pointer::Tag("x".parse().unwrap())).await.unwrap();
        let Ok(ManifestView::Image(read)) = manifest.view() else { panic!("{kind}: no image") };
        let mut config = Vec::new();
        out.get_blob(&read.config).await.unwrap().open(0).unwrap().read_to_end(&mut config).unwrap();
        let diff_ids = ImageConfig::parse(&config).unwrap().rootfs.diff_ids;
        assert!(diff_ids.iter().eq(pair[0].layers().iter().map(|layer| &layer.diff_id)), "{kind}: {diff_ids:?}");
    }

    let saved = dir.path().join("saved.tar");
    let docker = format!("docker-archive:{}:{NAME}", saved.display());
    run(Command::new(&skopeo).args(["--insecure-policy", "--override-arch", "amd64", "copy", &source, &docker]));
    let store = ArchiveStore::open(&saved).await.unwrap();
    let copied = copy(&store, &store.default_pointer().unwrap(), &MemoryStore::new(), &CopyOptions::default()).await;
    let Ok(ManifestView::Image(saved)) = copied.unwrap().manifest.view() else { panic!("no image") };
    let digests = saved.layers.iter().map(|layer| &layer.digest);
    assert!(
        digests.eq(pair[0].layers().iter().map(|layer| &layer.diff_id.0)),
        "uncompressed: the diff ID is the digest"
    );
    let oci = dir.path().join("oci.tar");
    run(Command::new(&skopeo)
        .args(["--insecure-policy", "copy", "--all", &source])
        .arg(format!("oci-archive:{}:v1", oci.display())));
    let store = ArchiveStore::open(&oci).await.unwrap();
    let copied = copy(&store, &store.default_pointer().unwrap(), &MemoryStore::new(), &CopyOptions::default()).await;
    assert_eq!(&copied.unwrap().manifest, index.manifest());
}

#[tokio::test]
async fn umoci_unpacks_a_layout() {
    let Some(umoci) = peers::find("umoci") else { return };
    let dir = tempfile::tempdir().unwrap();
    let layout = dir.path().join("layout");
    put_image(&LayoutStore::create(&layout).unwrap(), &images::image("amd64", ""), &tagged()).await.unwrap();
    let image = format!("{}:v1", layout.display());
    let bundle = dir.path().join("bundle");
    run(Command::new(umoci).args(["unpack", "--rootless", "--image", &image]).arg(&bundle));
    assert_eq!(std::fs::read_to_string(bundle.join("rootfs/app/hello")).unwrap(), "#!amd64 ");
}

/// podman with all its state below `dir`.
fn podman(program: &Path, dir: &Path) -> Command {
    let mut command = Command::new(program);
    let at = |name: &str| dir.join(name).display().to_string();
    command.args(["--root", &at("root"), "--runroot", &at("run"), "--storage-driver", "vfs", "--tmpdir", &at("tmp")]);
    command
}

#[tokio::test]
async fn podman_loads_an_archive() {
    let Some(program) = peers::find("podman") else { return };
    let dir = tempfile::tempdir().unwrap();
    let pair = pair();
    let tar = dir.path().join("image.tar");
    archive(&Index::assemble(pair.clone(), Annotations::new()).unwrap(), &tar).await;
    let said = run(podman(&program, dir.path()).args(["load", "-i"]).arg(&tar));
    assert!(said.contains(NAME), "{said}");
    let ids = run(podman(&program, dir.path()).args(["images", "--no-trunc", "--format", "{{.Id}} {{.Repository}}"]));
    let known = pair.iter().any(|image| ids.contains(image.config().descriptor().digest.hex()));
    assert!(known, "{ids}");
}

struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test]
async fn a_daemon_loads_an_image_once() {
    let Some(program) = peers::find("podman") else { return };
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("d.sock");
    let url = format!("unix://{}", socket.display());
    let service = podman(&program, dir.path()).args(["system", "service", "--time", "0", &url]).spawn().unwrap();
    let _service = Service(service);
    // Its client says when the service is ready; each attempt takes a moment of its own.
    let ready =
        || Command::new(&program).args(["--remote", "--url", &url, "version"]).output().unwrap().status.success();
    assert!((0..100).any(|_| ready()), "the service did not come up");
    let image = images::image("amd64", "daemon");
    let store = MemoryStore::new();
    put_image(&store, &image, &CopyOptions::default()).await.unwrap();
    let pointer = Pointer::Digest(image.manifest().digest().clone());
    let id = image.config().descriptor().digest.clone();
    let daemon = Daemon::at(&socket);
    let first = daemon.load(&store, &pointer, &named()).await.unwrap();
    assert_eq!(first, Loaded { id: id.clone(), existed: false });
    let other = ArchiveOptions { names: vec!["localhost/again:v2".parse().unwrap()], ..ArchiveOptions::default() };
    let second = daemon.load(&store, &pointer, &other).await.unwrap();
    assert_eq!(second, Loaded { id: id.clone(), existed: true });
    let names = run(podman(&program, dir.path()).args(["images", "--format", "{{.Repository}}:{{.Tag}}"]));
    assert!(names.contains(NAME) && names.contains("localhost/again:v2"), "{names}");
}
