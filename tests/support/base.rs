//! Base images that other tools make: umoci packs a tree in two layers, and members that nobody knows are put into the config.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use coracle::oci::Digest;
use serde_json::{Value, json};

use super::sysroot::Sysroot;

/// Runs a tool of another hand.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}\n{}\n{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// A tree with a merged `/usr`, accounts, a shared `/tmp`, and the C library with whatever else `programs` need of this machine.
pub fn tree(path: PathBuf, programs: &[&Path]) -> Sysroot {
    for directory in ["usr/lib", "usr/lib64", "usr/bin", "tmp", "srv/data"] {
        std::fs::create_dir_all(path.join(directory)).unwrap();
    }
    for (link, target) in [("lib", "usr/lib"), ("lib64", "usr/lib64"), ("bin", "usr/bin")] {
        symlink(target, path.join(link)).unwrap();
    }
    let mode = |name: &str, mode| {
        std::fs::set_permissions(path.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("tmp", 0o1777);
    mode("srv/data", 0o750);
    let tree = Sysroot::of(path.clone(), programs);
    tree.file("etc/passwd", "root:x:0:0::/:/x\nweb:x:4242:4343::/srv:/x\n");
    tree.file("etc/group", "root:x:0:\nweb:x:4343:\n");
    tree.file("etc/motd", "of the base\n");
    tree
}

/// Packs a tree into the layout, in two layers of which the upper has a whiteout.
pub fn pack(umoci: &Path, layout: &Path, tag: &str, tree: &Path, work: &Path) {
    let image = format!("{}:{tag}", layout.display());
    if !layout.exists() {
        run(Command::new(umoci).args(["init", "--layout"]).arg(layout));
    }
    run(Command::new(umoci).args(["new", "--image", &image]));
    let bundle = work.join(format!("bundle-{tag}"));
    run(Command::new(umoci).args(["unpack", "--image", &image]).arg(&bundle));
    let rootfs = bundle.join("rootfs");
    run(Command::new("cp").arg("-a").arg(format!("{}/.", tree.display())).arg(&rootfs));
    std::fs::write(rootfs.join("gone"), "whited out").unwrap();
    run(Command::new(umoci).args(["repack", "--refresh-bundle", "--image", &image]).arg(&bundle));
    std::fs::remove_file(rootfs.join("gone")).unwrap();
    std::fs::write(rootfs.join("etc/second"), "of the second layer\n").unwrap();
    run(Command::new(umoci).args(["repack", "--refresh-bundle", "--image", &image]).arg(&bundle));
    let mut config = Command::new(umoci);
    config.args(["config", "--image", &image, "--config.user", "web", "--config.workingdir", "/srv"]);
    config.args(["--config.env", "PATH=/base/bin", "--config.env", "KEEP=1", "--config.label", "base.label=kept"]);
    config.args([
        "--config.entrypoint",
        "/base/start",
        "--config.cmd",
        "of-the-base",
        "--config.exposedports",
        "80/tcp",
    ]);
    run(&mut config);
}

/// Replaces the config of an image of a layout.
pub fn change_config(layout: &Path, tag: &str, change: impl FnOnce(&mut Value)) {
    let read = |digest: &Value| -> Value {
        let hex = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
        serde_json::from_slice(&std::fs::read(layout.join("blobs/sha256").join(hex)).unwrap()).unwrap()
    };
    let write = |value: &Value, old: &Value| -> Value {
        let bytes = serde_json::to_vec(value).unwrap();
        let digest = Digest::of(&bytes);
        std::fs::write(layout.join("blobs/sha256").join(digest.hex()), &bytes).unwrap();
        let mut new = old.clone();
        new["digest"] = json!(digest.to_string());
        new["size"] = json!(bytes.len());
        new
    };
    let path = layout.join("index.json");
    let mut index: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let entries = index["manifests"].as_array_mut().unwrap();
    let entry =
        entries.iter_mut().find(|entry| entry["annotations"]["org.opencontainers.image.ref.name"] == tag).unwrap();
    let mut manifest = read(&entry["digest"]);
    let mut config = read(&manifest["config"]["digest"]);
    change(&mut config);
    manifest["config"] = write(&config, &manifest["config"]);
    *entry = write(&manifest, entry);
    std::fs::write(path, serde_json::to_vec(&index).unwrap()).unwrap();
}
