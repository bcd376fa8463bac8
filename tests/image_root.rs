//! Images as roots: what they show is what an unpacker of other people makes of the same layers.
//!
//! `CORACLE_STACKS` is the number of random stacks that are compared.

#[path = "support/archives.rs"]
mod archives;
#[path = "support/images.rs"]
mod images;
#[path = "support/peers.rs"]
mod peers;
#[path = "support/stacks.rs"]
mod stacks;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Output};

use coracle::blob::Layer;
use coracle::image::{ImageRoot, RootLimits};
use coracle::observe::Silent;
use coracle::oci::{DiffId, Digest, ImagePath};
use coracle::rootfs::{DirRoot, Root, RootError, resolve};
use stacks::{described, dir, file, hard, layer, link, tar};

fn open(layers: &[Layer]) -> Result<ImageRoot, coracle::image::Error> {
    ImageRoot::open(layers, "test", &std::env::temp_dir(), RootLimits::default(), &Silent)
}

/// Unpacks an image as umoci does for a user without privileges.
fn umoci(peer: &Path, layout: &Path, bundle: &Path) -> Output {
    // The modes of directories that no entry describes come from the umask.
    let script = "umask 022; exec \"$0\" unpack --rootless --image \"$1:v1\" \"$2\"";
    Command::new("sh").args(["-c", script]).arg(peer).arg(layout).arg(bundle).output().unwrap()
}

fn differences(ours: &BTreeMap<String, String>, theirs: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for path in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
        if ours.get(path) != theirs.get(path) {
            writeln!(text, "  {path}: ours {:?}, theirs {:?}", ours.get(path), theirs.get(path)).unwrap();
        }
    }
    text
}

#[tokio::test]
async fn nasty_stacks_are_what_umoci_unpacks() {
    let Some(peer) = peers::find("umoci") else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut different = Vec::new();
    for (number, (name, stack)) in stacks::stacks().into_iter().enumerate() {
        let tars: Vec<Vec<u8>> = stack.iter().map(|entries| tar(entries)).collect();
        let in_turns: Vec<Layer> = tars.iter().enumerate().map(|(at, tar)| layer(tar, number + at)).collect();
        let ours = described(&open(&in_turns).unwrap_or_else(|e| panic!("{name}: {e:?}")));
        // This umoci reads no zstd.
        let gzip = tars.iter().map(|tar| layer(tar, 0)).collect();
        let (at, bundle) = (directory.path().join(format!("l{number}")), directory.path().join(format!("b{number}")));
        images::layout(&at, gzip).await;
        let output = umoci(&peer, &at, &bundle);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let theirs = described(&DirRoot::open(&bundle.join("rootfs")).unwrap());
        if ours != theirs {
            different.push(format!("{name}:\n{}", differences(&ours, &theirs)));
        }
    }
    assert!(different.is_empty(), "{} stacks differ:\n{}", different.len(), different.join("\n"));
}

/// Numbers that look random and are the same in every run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    fn path(&mut self) -> String {
        let parts: Vec<&str> = (0..=self.below(3)).map(|_| ["a", "b", "c"][self.below(3)]).collect();
        parts.join("/")
    }

    fn entry(&mut self) -> Vec<u8> {
        let path = self.path();
        let parent = path.rsplit_once('/').map_or(String::new(), |(parent, _)| format!("{parent}/"));
        match self.below(12) {
            0..3 => dir(format!("{path}/"), [0o755, 0o700, 0o1777][self.below(3)]),
            3..6 => file(&path, &self.below(1000).to_string()),
            6 | 7 => {
                let target = self.path();
                link(&path, ["/", "../", "", "./"][self.below(4)].to_owned() + &target)
            }
            8 => hard(&path, self.path()),
            9 | 10 => file(format!("{parent}.wh.{}", ["a", "b", "c"][self.below(3)]), ""),
            _ => file(format!("{parent}.wh..wh..opq"), ""),
        }
    }
}

#[tokio::test]
async fn random_stacks_are_what_umoci_unpacks() {
    let Some(peer) = peers::find("umoci") else { return };
    let count = std::env::var("CORACLE_STACKS").ok().and_then(|text| text.parse().ok()).unwrap_or(40);
    let (mut numbers, mut taken) = (Numbers(0x9e37_79b9_7f4a_7c15), 0);
    for number in 0..count {
        let directory = tempfile::tempdir().unwrap();
        let layers: Vec<Layer> = (0..=numbers.below(3))
            .map(|_| {
                let entries: Vec<Vec<u8>> = (0..=numbers.below(8)).map(|_| numbers.entry()).collect();
                layer(&tar(&entries), 0)
            })
            .collect();
        let ours = open(&layers).map(|root| described(&root));
        let (at, bundle) = (directory.path().join("layout"), directory.path().join("bundle"));
        images::layout(&at, layers.clone()).await;
        let output = umoci(&peer, &at, &bundle);
        let said = String::from_utf8_lossy(&output.stderr);
        let told: Vec<String> = layers.iter().map(listed).collect();
        match (ours, output.status.success()) {
            (Ok(ours), true) => {
                let theirs = described(&DirRoot::open(&bundle.join("rootfs")).unwrap());
                // Where a layer hides a directory and also needs it, its mode depends on which of the two comes first.
                let (ours, theirs) = (without_modes(ours), without_modes(theirs));
                assert!(ours == theirs, "stack {number}\n{}\n{}", told.join("\n"), differences(&ours, &theirs));
                taken += 1;
            }
            (Err(_), false) => {}
            (ours, _) => panic!("stack {number}: ours {ours:?}, umoci {said}\n{}", told.join("\n")),
        }
    }
    assert!(taken > count / 4, "{taken} of {count} stacks were taken");
}

fn without_modes(mut described: BTreeMap<String, String>) -> BTreeMap<String, String> {
    described.values_mut().filter(|text| text.starts_with("directory")).for_each(|text| text.truncate(9));
    described
}

/// What a layer has, for people.
fn listed(layer: &Layer) -> String {
    let source = layer.blob.open(0).unwrap();
    let reader = coracle::layer::LayerReader::open(coracle::oci::media_type::Compression::Gzip, source).unwrap();
    let mut reader = coracle::layer::tar::TarReader::new(reader);
    let mut text = "layer".to_owned();
    while let Some(entry) = reader.next_entry().unwrap() {
        let name = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        write!(text, "\n  {:?} {:o} {} {}", entry.kind, entry.mode, name(&entry.path), name(&entry.link)).unwrap();
    }
    text
}

#[tokio::test]
async fn what_umoci_refuses_is_refused() {
    let peer = peers::find("umoci");
    let directory = tempfile::tempdir().unwrap();
    let whole = tar(&[dir("d/", 0o755), file("d/f", &"x".repeat(3000))]);
    let wrong_id = Layer { diff_id: DiffId(Digest::of(b"other")), ..layer(&whole, 0) };
    let cut_tar = &whole[..2000];
    let gzip = images::gzip(&whole);
    let cut_gzip =
        coracle::blob::Blob::from_bytes(coracle::oci::media_type::OCI_LAYER_GZIP, gzip[..gzip.len() - 12].to_vec());
    let cut_gzip = Layer { blob: cut_gzip, ..layer(&whole, 0) };
    let one = |entries: &[Vec<u8>]| vec![layer(&tar(entries), 0)];
    let cases = [
        ("unpacks to `sha256:", vec![wrong_id]),
        ("not a sound tar", vec![layer(cut_tar, 0)]),
        ("compressed stream is damaged", vec![cut_gzip]),
        ("is no path of the image", one(&[hard("escape", "../../../../../../../../etc/passwd")])),
        ("is no file before it", one(&[hard("early", "late"), file("late", "")])),
        ("is no file before it", one(&[link("l", "l"), hard("x", "l/y")])),
        ("is a directory", one(&[dir("d/", 0o755), hard("x", "d")])),
        ("below something that is not a directory", one(&[file("f", ""), file("f/x", "")])),
        (
            "below something that is not a directory",
            vec![layer(&tar(&[file("f", ""), link("l", "f")]), 0), layer(&tar(&[file("l/x", "")]), 0)],
        ),
        ("directory of its entry", one(&[link("a", "b"), link("b", "a"), file("a/x", "")])),
    ];
    for (number, (want, layers)) in cases.into_iter().enumerate() {
        let error = open(&layers).err().unwrap_or_else(|| panic!("case {number} ({want}) passed"));
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains(want), "{cause} is not {want}");
        assert!(error.to_string().contains(&layers.last().unwrap().blob.descriptor().digest.to_string()));
        let Some(peer) = &peer else { continue };
        let (at, bundle) = (directory.path().join(format!("l{number}")), directory.path().join(format!("b{number}")));
        images::layout(&at, layers).await;
        assert!(!umoci(peer, &at, &bundle).status.success(), "umoci takes what we refuse: {want}");
    }
}

#[test]
fn contents_are_found_where_they_lie() {
    let long = "0123456789".repeat(2000);
    let stack = [
        tar(&[file("big", &long), stacks::sparse("holes"), link("l", "/d/../big"), dir("d/", 0o755)]),
        tar(&[hard("d/same", "big"), stacks::special(b'6', "fifo"), stacks::special(b'3', "device")]),
    ];
    for turn in 0..3 {
        let root = open(&[layer(&stack[0], turn), layer(&stack[1], turn + 1)]).unwrap();
        let at = |path: &str| ImagePath::parse(path).unwrap();
        let big = root.open(&at("big")).unwrap();
        assert_eq!(big.read_at(19_990, 10).unwrap(), b"0123456789".as_slice());
        assert!(big.read_at(19_991, 10).is_none() && big.read_at(u64::MAX, 2).is_none());
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut root.stream(&at("d/same"), 19_995).unwrap(), &mut rest).unwrap();
        assert_eq!(rest, "56789");
        assert_eq!(root.node(&at("big")).unwrap(), root.node(&at("d/same")).unwrap(), "one inode");
        assert_ne!(root.node(&at("big")).unwrap(), root.node(&at("holes")).unwrap());
        let holes = root.open(&at("holes")).unwrap();
        assert_eq!((holes.len(), holes.read_at(998, 8).unwrap().into_owned()), (6000, b"\0\0data\0\0".to_vec()));
        assert_eq!(holes.read_at(4999, 5).unwrap(), b"\0end\0".as_slice());
        let mut all = Vec::new();
        std::io::Read::read_to_end(&mut root.stream(&at("holes"), 5001).unwrap(), &mut all).unwrap();
        assert_eq!((all.len(), &all[..3]), (999, b"nd\0".as_slice()));
        assert_eq!(resolve(&root, b"/l").unwrap().unwrap().path, at("big"));
        for path in ["fifo", "device", "d", "l", ""] {
            let refused = |e: Option<RootError>| matches!(e, Some(RootError::NotRegular(_)));
            assert!(refused(root.open(&at(path)).err()) && refused(root.stream(&at(path), 0).err()), "{path}");
        }
        assert!(root.open(&at("none")).is_err() && root.read_dir(&at("none")).is_err());
        assert!(matches!(root.read_dir(&at("big")), Err(RootError::NotADirectory(_))));
        assert_eq!(root.node(&at("l/x")).unwrap(), None, "no link is followed in a lookup");
    }
}
