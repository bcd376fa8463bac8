//! Which package owns a path, by dpkg's database: the answers are those of dpkg itself.

#[path = "support/peers.rs"]
mod peers;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use coracle::oci::ImagePath;
use coracle::rootfs::DirRoot;
use coracle::rootfs::packages::{Manager, Origin, Packages};

/// Paths that are compared in each root, spread evenly over all.
const SAMPLE: usize = 600;

fn path(text: &str) -> ImagePath {
    ImagePath::parse(text).unwrap()
}

fn read(root: &Path) -> Packages {
    let (packages, findings) = Packages::read(&DirRoot::open(root).unwrap()).unwrap();
    assert!(findings.is_empty(), "{findings:?}");
    packages
}

/// Files and links of a root that dpkg would not take for a pattern, sorted; directories that are links are not entered.
fn files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for top in ["etc", "usr/bin", "usr/sbin", "usr/lib", "usr/share/doc", "var/lib/dpkg/info"] {
        for entry in walkdir::WalkDir::new(root.join(top)).into_iter().filter_map(Result::ok) {
            let inside = entry.path().strip_prefix(root).unwrap().to_str().map(str::to_owned);
            let plain = inside.filter(|text| !text.contains(['*', '?', '[', '\\', '\n', ',']));
            found.extend(plain.filter(|_| !entry.file_type().is_dir()));
        }
    }
    found.sort();
    found
}

/// The names under which dpkg may list a file of a root whose `/usr` is merged.
fn names(file: &str) -> Vec<String> {
    let mut names = vec![format!("/{file}")];
    let merged = |rest: &&str| ["bin/", "sbin/", "lib"].iter().any(|top| rest.starts_with(top));
    let rest = file.strip_prefix("usr/").filter(merged);
    names.extend(rest.map(|rest| format!("/{rest}")));
    names
}

/// dpkg's answer: the packages, without architecture, of each path that has any, and the paths with diversions.
fn dpkg_search(root: &Path, paths: &[String]) -> (BTreeMap<String, BTreeSet<String>>, BTreeSet<String>) {
    let admin = root.join("var/lib/dpkg");
    let output = Command::new("dpkg-query").arg("--admindir").arg(admin).arg("-S").args(paths).output().unwrap();
    let (mut owners, mut diverted) = (BTreeMap::<String, BTreeSet<String>>::new(), BTreeSet::new());
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let (who, path) = line.rsplit_once(": ").unwrap();
        if line.starts_with("diversion by") || line.starts_with("local diversion") {
            diverted.insert(path.to_owned());
            continue;
        }
        let bare = who.split(", ").map(|name| name.split(':').next().unwrap().to_owned());
        owners.entry(path.to_owned()).or_default().extend(bare);
    }
    (owners, diverted)
}

/// Compares a sample of a root's files; the counts of those with and without an owner.
fn compare(root: &Path) -> (usize, usize) {
    let packages = read(root);
    let all = files(root);
    let sample: Vec<&String> = all.iter().step_by((all.len() / SAMPLE).max(1)).collect();
    let asked: Vec<String> = sample.iter().flat_map(|file| names(file)).collect();
    let (theirs, diverted) = dpkg_search(root, &asked);
    let (mut known, mut unknown) = (0, 0);
    for file in sample {
        let names = names(file);
        if names.iter().any(|name| diverted.contains(name)) {
            continue;
        }
        let want: BTreeSet<&str> =
            names.iter().filter_map(|name| theirs.get(name)).flatten().map(String::as_str).collect();
        for name in names {
            let ours: BTreeSet<&str> = packages.owners(&path(&name)).iter().map(|p| p.name.as_str()).collect();
            assert_eq!(ours, want, "{name} of {}", root.display());
        }
        if want.is_empty() { unknown += 1 } else { known += 1 }
    }
    (known, unknown)
}

#[test]
fn owners_of_this_machine_are_those_that_dpkg_says() {
    if peers::find("dpkg-query").is_none() {
        return;
    }
    let (known, unknown) = compare(Path::new("/"));
    assert!(known >= 300 && unknown >= 3, "{known} {unknown}");
}

#[test]
fn owners_of_another_root_are_those_that_dpkg_says() {
    let Some(root) = std::env::var_os("CORACLE_DEBIAN_ROOT").map(PathBuf::from) else {
        return peers::skipped("CORACLE_DEBIAN_ROOT is not set");
    };
    if peers::find("dpkg-query").is_none() {
        return;
    }
    let (known, _) = compare(&root);
    assert!(known >= 300, "{known}");
}

#[test]
fn every_package_has_the_version_and_source_that_dpkg_says() {
    if peers::find("dpkg-query").is_none() {
        return;
    }
    let format = "${db:Status-Status} ${Package} ${Version} ${Architecture} ${source:Package} ${source:Version}\n";
    let output = Command::new("dpkg-query").args(["-W", "-f", format]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut want: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("installed ")).collect();
    let packages = read(Path::new("/"));
    let line = |p: &coracle::rootfs::packages::Package| {
        assert_eq!(p.manager, Manager::Dpkg);
        format!("{} {} {} {} {}", p.name, p.version, p.architecture, p.source, p.source_version)
    };
    let mut ours: Vec<String> = packages.all().iter().map(line).collect();
    want.sort_unstable();
    ours.sort_unstable();
    assert!(ours.len() > 50);
    assert_eq!(ours, want);
}

/// Where dpkg says the files of a package are, diversions applied.
fn dpkg_places(admin: &Path, package: &str) -> Vec<String> {
    let output = Command::new("dpkg-query").arg("--admindir").arg(admin).args(["-L", package]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut places: Vec<String> = Vec::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        if line.starts_with('/') {
            places.push(line.to_owned());
        } else if line.starts_with("diverted by") || line.starts_with("locally diverted") {
            let to = line.rsplit_once(": ").unwrap().1;
            *places.last_mut().unwrap() = to.to_owned();
        } else {
            assert!(line.starts_with("package diverts others to: "), "{line}");
        }
    }
    places
}

/// A root with the given packages (name and files) and diversions in dpkg's own format.
fn made(packages: &[(&str, &[&str])], diversions: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let admin = root.path().join("var/lib/dpkg");
    std::fs::create_dir_all(admin.join("info")).unwrap();
    std::fs::create_dir_all(admin.join("updates")).unwrap();
    let mut status = String::new();
    for (name, files) in packages {
        status += &format!(
            "Package: {name}\nStatus: install ok installed\nMaintainer: A <a@example.org>\nArchitecture: all\n\
             Version: 1.0\nDescription: made\n\n"
        );
        std::fs::write(admin.join(format!("info/{name}.list")), files.join("\n") + "\n").unwrap();
    }
    std::fs::write(admin.join("status"), status).unwrap();
    std::fs::write(admin.join("diversions"), diversions).unwrap();
    root
}

#[test]
fn diversions_are_those_that_dpkg_says() {
    if peers::find("dpkg-query").is_none() {
        return;
    }
    let first: &[&str] = &["/.", "/usr", "/usr/bin", "/usr/bin/tool", "/usr/bin/other", "/lib/x"];
    let second: &[&str] = &["/.", "/usr", "/usr/bin", "/usr/bin/tool", "/lib/x"];
    let diversions = "/usr/bin/tool\n/usr/bin/tool.first\nsecond\n/usr/bin/other\n/usr/bin/other.local\n:\n\
                      /lib/x\n/lib/x.second\nfirst\n";
    let root = made(&[("first", first), ("second", second)], diversions);
    std::fs::create_dir_all(root.path().join("usr/lib")).unwrap();
    std::os::unix::fs::symlink("usr/lib", root.path().join("lib")).unwrap();
    let packages = read(root.path());
    for name in ["first", "second"] {
        for place in dpkg_places(&root.path().join("var/lib/dpkg"), name) {
            if place == "/." || place == "/usr" || place == "/usr/bin" {
                continue;
            }
            let owners: Vec<&str> = packages.owners(&path(&place)).iter().map(|p| p.name.as_str()).collect();
            assert_eq!(owners, [name], "{place}");
        }
    }
    let owner = |text: &str| packages.owner(&path(text)).map(|p| p.name.as_str());
    assert_eq!(owner("/usr/bin/tool"), Some("second"));
    assert_eq!(owner("/usr/bin/tool.first"), Some("first"));
    assert_eq!(owner("/usr/bin/other"), None);
    assert_eq!(owner("/usr/lib/x"), Some("first"));
    assert_eq!(owner("/usr/lib/x.second"), Some("second"));
}

#[test]
fn diversions_of_this_machine_are_those_that_dpkg_says() {
    let admin = Path::new("/var/lib/dpkg");
    let (Some(_), Ok(text)) = (peers::find("dpkg-query"), std::fs::read_to_string(admin.join("diversions"))) else {
        return;
    };
    let packages = read(Path::new("/"));
    let lines: Vec<&str> = text.lines().collect();
    for entry in lines.chunks(3) {
        let (from, to) = (entry[0], entry[1]);
        let output = Command::new("dpkg-query").args(["-S", from]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let listed = text.lines().filter(|line| !line.starts_with("diversion") && !line.starts_with("local"));
        for package in listed.flat_map(|line| line.rsplit_once(": ").unwrap().0.split(", ")) {
            let places = dpkg_places(admin, package);
            let bare = package.split(':').next().unwrap();
            let place = [from, to].into_iter().find(|place| places.iter().any(|p| p == place)).unwrap();
            assert!(packages.owners(&path(place)).iter().any(|p| p.name == bare), "{package} {place}");
            let other = if place == from { to } else { from };
            assert!(packages.owners(&path(other)).iter().all(|p| p.name != bare), "{package} {other}");
        }
    }
}

#[test]
fn alternatives_are_those_that_update_alternatives_says() {
    let tool = peers::find("update-alternatives");
    let (Some(tool), Ok(groups)) = (tool, std::fs::read_dir("/var/lib/dpkg/alternatives")) else { return };
    let packages = read(Path::new("/"));
    let mut links = 0;
    for group in groups.map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
        let output = Command::new(&tool).args(["--query", &group]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        // The group's own link, then ` NAME LINK` of each slave; what follows belongs to single alternatives.
        let head = text.split("\n\n").next().unwrap().lines();
        let head = head.filter_map(|line| line.strip_prefix("Link: ").or_else(|| line.strip_prefix(' ')));
        for link in head.map(|line| line.rsplit(' ').next().unwrap()) {
            let found = packages.origin(&path(link));
            assert!(matches!(found, Origin::Alternative(g) if g == group) || packages.is_known(&path(link)), "{link}");
            links += 1;
        }
        assert_eq!(packages.origin(&path(&format!("/etc/alternatives/{group}"))), Origin::Alternative(&group));
    }
    assert!(links > 3, "{links}");
    assert_eq!(packages.origin(&path("/etc/ld.so.cache")), Origin::Local);
    assert!(matches!(packages.origin(&path("/usr/bin/dpkg")), Origin::Package(p) if p.name == "dpkg"));
}

/// What `dpkg --verify` tells of configuration files: `??5?????? c /etc/x` when the content differs, `missing   c /etc/x`.
#[test]
fn changed_configuration_is_what_dpkg_says() {
    if !Path::new("/var/lib/dpkg/status").exists() {
        return peers::skipped("this machine has no database of dpkg");
    }
    let told = |words: &[&str]| {
        let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let verified = told(&["dpkg", "--verify"]);
    let changed: BTreeSet<&str> = verified
        .lines()
        .filter(|line| line.as_bytes().get(2) == Some(&b'5'))
        .filter_map(|line| Some(line.split_once(" c ")?.1.trim()))
        .collect();
    let root = DirRoot::open(Path::new("/")).unwrap();
    let packages = Packages::read(&root).unwrap().0;
    let all = told(&["dpkg-query", "-W", "-f=${Conffiles}\n"]);
    let mut compared = 0;
    for line in all.lines().filter(|line| !line.ends_with(" obsolete")) {
        let Some((file, _)) = line.trim().rsplit_once(' ').filter(|(file, _)| Path::new(file).is_file()) else {
            continue;
        };
        if std::fs::read(file).is_ok() {
            let says = packages.is_changed(&root, &path(&std::fs::canonicalize(file).unwrap().display().to_string()));
            assert_eq!(says.unwrap(), changed.contains(file), "{file}");
            compared += 1;
        }
    }
    assert!(compared > 10, "only {compared} files were compared");
}
