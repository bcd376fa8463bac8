//! Other tools read what the stores write, and the stores read what other tools write.

#[path = "support/containerd.rs"]
mod containerd;
#[path = "support/images.rs"]
mod images;
#[path = "support/peers.rs"]
mod peers;

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command};

use containerd::Containerd;
use coracle::diag::Severity;
use coracle::image::{Artifact, Image, Index, PLAN_TYPE};
use coracle::observe::silent;
use coracle::oci::{Annotations, ImageConfig, ManifestView};
use coracle::store::{
    Archive, ArchiveOptions, ArchiveStore, CopyOptions, Daemon, LayoutStore, Loaded, MemoryStore, Pointer, Store, copy,
    put_image, put_index, validate,
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
    // Plans travel with the images, and no tool may stumble over them.
    for image in index.images() {
        let plan = Artifact::of(PLAN_TYPE, b"a plan".to_vec(), &image.descriptor()).unwrap();
        for blob in plan.blobs() {
            store.put_blob(blob).await.unwrap();
        }
        store.put_manifest(plan.manifest()).await.unwrap();
    }
    let pointer = Pointer::Digest(index.manifest().digest().clone());
    let options = ArchiveOptions { plans: true, ..named() };
    Archive::prepare(&store, &pointer, &options).await.unwrap().write_file(path).await.unwrap();
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

#[tokio::test]
async fn what_umoci_makes_is_valid() {
    let Some(umoci) = peers::find("umoci") else { return };
    let dir = tempfile::tempdir().unwrap();
    let layout = dir.path().join("layout");
    let image = format!("{}:v1", layout.display());
    let umoci = |args: &[&str]| run(Command::new(&umoci).args(args));
    umoci(&["init", "--layout", layout.to_str().unwrap()]);
    umoci(&["new", "--image", &image]);
    for (round, files) in [["bin/tool", "etc/old", "etc/kept"], ["bin/other", "etc/new", "opt/x"]].iter().enumerate() {
        let bundle = dir.path().join(format!("bundle{round}"));
        umoci(&["unpack", "--rootless", "--image", &image, bundle.to_str().unwrap()]);
        for file in files {
            let path = bundle.join("rootfs").join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, file).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
        if round > 0 {
            // Leaves a whiteout in the second layer.
            std::fs::remove_file(bundle.join("rootfs/etc/old")).unwrap();
        }
        umoci(&["repack", "--image", &image, bundle.to_str().unwrap()]);
    }
    umoci(&["config", "--image", &image, "--config.entrypoint", "/bin/tool", "--config.user", "65532"]);
    let store = LayoutStore::open(&layout).unwrap();
    let report = validate(&store, &Pointer::Tag("v1".parse().unwrap()), silent()).await.unwrap();
    assert_eq!((report.images, report.layers), (1, 2));
    let seen: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    assert!(report.is_free_of(Severity::Warning), "{seen:#?}");
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

#[tokio::test]
async fn containerd_imports_an_archive() {
    let dir = tempfile::tempdir().unwrap();
    let Some(containerd) = Containerd::start(dir.path()) else { return };
    let tar = dir.path().join("image.tar");
    let index = Index::assemble(pair(), Annotations::new()).unwrap();
    archive(&index, &tar).await;
    run(containerd
        .ctr()
        .args(["images", "import", "--all-platforms", "--digests", "--snapshotter", "native"])
        .arg(&tar));
    let images = run(containerd.ctr().args(["images", "ls"]));
    let line = images.lines().find(|line| line.starts_with(NAME)).unwrap_or_else(|| panic!("{images}"));
    assert!(line.contains(&index.manifest().digest().to_string()), "{line}");
    assert!(line.contains("linux/amd64,linux/arm64"), "{line}");
}

#[tokio::test]
async fn docker_loads_an_archive_and_through_its_socket() {
    let (Some(dockerd), Some(_)) = (peers::find("dockerd"), peers::find("containerd")) else { return };
    if !peers::root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let socket = dir.path().join("d.sock");
    let log = std::fs::File::create(at("log")).unwrap();
    let daemon = Command::new(dockerd)
        .args([
            "--host",
            &format!("unix://{}", socket.display()),
            "--data-root",
            &at("data"),
            "--exec-root",
            &at("exec"),
        ])
        .args(["--pidfile", &at("pid"), "--storage-driver", "vfs", "--bridge", "none", "--iptables=false"])
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut daemon = Service(daemon);
    let ping = |path: &str| {
        let mut stream = std::os::unix::net::UnixStream::connect(&socket).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    };
    // Until the socket is there each attempt starts a process, which takes a moment.
    let up = (0..20_000).any(|_| {
        let answered = ping("/_ping").is_some_and(|answer| answer.contains("200"));
        assert!(daemon.0.try_wait().unwrap().is_none(), "{}", std::fs::read_to_string(at("log")).unwrap());
        answered || run(&mut Command::new("true")) == "never"
    });
    assert!(up, "{}", std::fs::read_to_string(at("log")).unwrap());
    let store = MemoryStore::new();
    let index = Index::assemble(pair(), Annotations::new()).unwrap();
    put_index(&store, &index, &CopyOptions::default()).await.unwrap();
    let pointer = Pointer::Digest(index.manifest().digest().clone());
    let client = Daemon::at(&socket);
    let first = client.load(&store, &pointer, &named()).await.unwrap();
    let inspected = ping(&format!("/images/{NAME}/json")).unwrap();
    let answer = inspected.split_once("\r\n\r\n").unwrap().1;
    assert!(answer.contains(&first.id.to_string()), "{inspected}");
    assert!(!first.existed && client.load(&store, &pointer, &named()).await.unwrap().existed);
    let zstd = client.load(&store, &Pointer::Digest(first.id), &named()).await;
    assert!(zstd.is_err(), "a config is no image");
    // It ends by itself when asked, and unmounts what it has mounted.
    run(Command::new("kill").arg(daemon.0.id().to_string()));
    daemon.0.wait().unwrap();
}

#[tokio::test]
async fn crane_validates_an_archive() {
    let Some(crane) = peers::find("crane") else { return };
    let dir = tempfile::tempdir().unwrap();
    let tar = dir.path().join("image.tar");
    archive(&Index::assemble(vec![images::image("amd64", "")], Annotations::new()).unwrap(), &tar).await;
    run(Command::new(&crane).args(["validate", "--tarball"]).arg(&tar));
}
