//! `docs/programs.md` tells the programs of `tests/run_root.rs`, their flags, and how large the images are beside the
//! packages that a package manager would install. `CORACLE_BLESS=1` with `CORACLE_DEBIAN_ROOT` rewrites it.

mod support {
    pub mod cli;
    pub mod peers;
    pub mod programs;
    pub mod runc;
}

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::cli::Workbench;
use support::peers;
use support::programs::{CASES, Case, aids, build, debian_root, words};

const MIB: f64 = 1024.0 * 1024.0;

/// How far a figure may be from the page: packages of a release get updates.
const TOLERANCE: f64 = 0.1;

const HEAD: &str = "\
# Programs that were packed and run

Each row is an image that `tests/run_root.rs` builds out of an unpacked Debian root (`scripts/debian-root.sh`) and runs under
runc: as uid 65532, without any capability, on a root that cannot be written. `tests/run_table.rs` holds the table against
the root; `CORACLE_BLESS=1` makes it anew.

*Flags* are all that the build needs beyond `--root`. *Files* and *MiB* are the regular files of the image, *gzip* its layers
as they are pushed. *Packages* are those that own the files of the image and all that these depend on (`Depends` and
`Pre-Depends`, without recommended ones), with their `Installed-Size`: what the package manager brings into an empty
directory when it installs the same. The certificates of the first row are those of the test.

| Image | Programs | Flags | Does | Files | MiB | gzip | Packages | their MiB |
|---|---|---|---|---:|---:|---:|---:|---:|
";

/// The columns that the cases alone decide.
fn told(case: &Case) -> String {
    let programs: Vec<String> =
        case.programs.iter().map(|program| format!("`{}`", program.trim_start_matches("root:"))).collect();
    let mut flags: Vec<String> = Vec::new();
    for pair in case.flags.chunks(2) {
        flags.push(format!("`{}`", pair.join(" ")));
    }
    let flags = if flags.is_empty() { "none".to_owned() } else { flags.join(" ") };
    format!("| {} | {} | {flags} | {} |", case.name, programs.join(" "), case.does)
}

struct Figures {
    files: usize,
    bytes: u64,
    layers: u64,
    packages: usize,
    installed: u64,
}

impl Figures {
    #[allow(clippy::cast_precision_loss)]
    fn columns(&self) -> [f64; 5] {
        let mib = |bytes: u64| bytes as f64 / MIB;
        [self.files as f64, mib(self.bytes), mib(self.layers), self.packages as f64, mib(self.installed)]
    }

    fn row(&self) -> String {
        let [files, bytes, layers, packages, installed] = self.columns();
        format!(" {files} | {bytes:.1} | {layers:.1} | {packages} | {installed:.0} |")
    }
}

/// Packages of a root as dpkg tells them.
struct Installed {
    /// Installed size in bytes, and dependencies as written.
    packages: BTreeMap<String, (u64, String)>,
    /// The package that provides a name.
    provides: BTreeMap<String, String>,
}

impl Installed {
    fn read(root: &Path) -> Option<Self> {
        let admin = format!("--admindir={}", root.join("var/lib/dpkg").display());
        let format = "-f=${Package}\t${Installed-Size}\t${Provides}\t${Pre-Depends},${Depends}\n";
        let output = Command::new(peers::find("dpkg-query")?).args([&admin, "-W", format]).output().unwrap();
        assert!(output.status.success(), "dpkg-query: {}", String::from_utf8_lossy(&output.stderr));
        let mut out = Self { packages: BTreeMap::new(), provides: BTreeMap::new() };
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            let [name, size, provides, depends] = fields[..] else { panic!("{line}") };
            for provided in provides.split(',').map(bare).filter(|name| !name.is_empty()) {
                out.provides.entry(provided.to_owned()).or_insert_with(|| name.to_owned());
            }
            let size = size.parse::<u64>().unwrap_or_default() * 1024;
            out.packages.insert(name.to_owned(), (size, depends.to_owned()));
        }
        Some(out)
    }

    /// With all that they depend on: of alternatives the first that is there.
    fn with_dependencies(&self, names: BTreeSet<String>) -> BTreeSet<String> {
        let (mut seen, mut open) = (BTreeSet::new(), Vec::from_iter(names));
        while let Some(name) = open.pop() {
            let (_, depends) = &self.packages[&name];
            for group in depends.split(',').filter(|group| !group.trim().is_empty()) {
                let found = group.split('|').map(bare).find_map(|name| {
                    self.packages.get_key_value(name).map(|(name, _)| name).or_else(|| self.provides.get(name))
                });
                let found = found.unwrap_or_else(|| panic!("{name} depends on {group}, which the root does not have"));
                if !seen.contains(found) {
                    open.push(found.clone());
                }
            }
            seen.insert(name);
        }
        seen
    }
}

/// The name of a package without version and architecture.
fn bare(text: &str) -> &str {
    text.trim().split([' ', ':', '(']).next().unwrap_or_default()
}

fn figures(bench: &Workbench, case: &Case, root: &Path, installed: &Installed) -> Option<Figures> {
    let mut all = vec!["plan".to_owned()];
    all.extend(words(bench, case, Some(root))?);
    let plan = bench.run(&all).succeeds();
    let sizes = plan.lines().filter(|line| line.starts_with("file ")).map(|line| {
        let size = line.split(' ').find_map(|word| word.strip_prefix("size="));
        size.unwrap_or_else(|| panic!("no size in {line}")).parse::<u64>().unwrap()
    });
    let sizes: Vec<u64> = sizes.collect();
    let owner = |word: &str| word.strip_prefix("package=").map(|owner| owner.split('|').next().unwrap().to_owned());
    let owners: BTreeSet<String> = plan.split_whitespace().filter_map(owner).collect();
    assert!(owners.contains("libc6"), "no package is named in {plan}");
    let layout = build(bench, case, Some(root))?;
    let packages = installed.with_dependencies(owners);
    Some(Figures {
        files: sizes.len(),
        bytes: sizes.iter().sum(),
        layers: layers(&layout),
        packages: packages.len(),
        installed: packages.iter().map(|name| installed.packages[name].0).sum(),
    })
}

/// Bytes of the layers of the one image of a layout.
fn layers(layout: &Path) -> u64 {
    let read = |path: PathBuf| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let index = read(layout.join("index.json"));
    let digest = index["manifests"][0]["digest"].as_str().unwrap().replace(':', "/");
    let manifest = read(layout.join("blobs").join(digest));
    manifest["layers"].as_array().unwrap().iter().map(|layer| layer["size"].as_u64().unwrap()).sum()
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/programs.md")
}

#[test]
fn the_page_has_every_program_with_its_flags() {
    let kept = std::fs::read_to_string(page()).unwrap();
    let rows = kept.strip_prefix(HEAD).expect("the head of the page");
    assert_eq!(rows.lines().count(), CASES.len());
    for (row, case) in rows.lines().zip(CASES) {
        assert!(row.starts_with(&told(case)), "the page has\n{row}\nand the tests\n{}", told(case));
    }
}

#[test]
fn the_figures_are_those_of_the_root() {
    let Some(root) = debian_root() else { return };
    let Some(installed) = Installed::read(&root) else { return };
    let bench = Workbench::new();
    aids(&bench, 8080);
    let authority = root.join("usr/share/ca-certificates/mozilla/ISRG_Root_X1.crt");
    std::fs::copy(authority, bench.join("ca.pem")).unwrap();
    let mut made = HEAD.to_owned();
    let kept = std::fs::read_to_string(page()).unwrap_or_default();
    let bless = std::env::var_os("CORACLE_BLESS").is_some();
    for (at, case) in CASES.iter().enumerate() {
        let Some(figures) = figures(&bench, case, &root, &installed) else { return };
        made += &format!("{}{}\n", told(case), figures.row());
        assert!(figures.installed > figures.bytes, "the image of {} is larger than its packages", case.name);
        let row = kept.strip_prefix(HEAD).and_then(|rows| rows.lines().nth(at)).unwrap_or_default();
        let said = row.trim_end_matches('|').rsplit('|').take(5).filter_map(|cell| cell.trim().parse::<f64>().ok());
        let said: Vec<f64> = said.collect();
        let near = |(said, is): (&f64, f64)| (said - is).abs() <= is.mul_add(TOLERANCE, 0.3);
        let all = said.len() == 5 && said.iter().rev().zip(figures.columns()).all(near);
        assert!(all || bless, "the page has\n{row}\nand the root\n{}{}", told(case), figures.row());
    }
    if bless {
        std::fs::write(page(), &made).unwrap();
    }
}
