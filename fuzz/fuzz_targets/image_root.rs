//! Layers as a root.
#![cfg_attr(fuzzing, no_main)]

use coracle::blob::{Blob, Layer};
use coracle::image::{ImageRoot, RootLimits};
use coracle::observe::Silent;
use coracle::oci::{DiffId, Digest, ImagePath, media_type};
use coracle::rootfs::{Node, Root, resolve};

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));

/// The first four bytes say how long the lowest layer is, and the rest is another. No stack makes the reader panic, and
/// what a root lists is there and gives as many bytes as it says.
pub fn run(data: &[u8]) {
    let Some((length, stack)) = data.split_first_chunk() else { return };
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let (lower, upper) = stack.split_at(length.min(stack.len()));
    let layers = [lower, upper].map(|tar| Layer {
        blob: Blob::from_bytes(media_type::OCI_LAYER, tar.to_vec()),
        diff_id: DiffId(Digest::of(tar)),
    });
    let limits = RootLimits { nodes: 4096, text_bytes: 1 << 20, unpacked_bytes: 1 << 24 };
    let Ok(root) = ImageRoot::open(&layers, "fuzz", &std::env::temp_dir(), limits, &Silent) else { return };
    let mut open = vec![ImagePath::root()];
    while let Some(at) = open.pop() {
        match root.node(&at) {
            Ok(Some(Node::Directory { .. })) => {
                let names = root.read_dir(&at).expect("a directory lists");
                assert!(names.is_sorted());
                open.extend(names.iter().map(|name| at.join(name).expect("names are parts of paths")));
            }
            Ok(Some(Node::File { size, .. })) => {
                let most = size.min(1 << 16);
                let mut content = Vec::new();
                let stream = root.stream(&at, 0).expect("a file opens");
                std::io::Read::read_to_end(&mut std::io::Read::take(stream, most), &mut content).expect("it is whole");
                assert_eq!(content.len() as u64, most);
                let window = usize::try_from(most).unwrap_or(0);
                assert_eq!(root.open(&at).expect("a file opens").read_at(0, window).as_deref(), Some(&*content));
            }
            Ok(Some(Node::Symlink(_))) => drop(resolve(&root, at.as_bytes())),
            Ok(Some(Node::Special)) => assert!(root.open(&at).is_err()),
            other => panic!("{at} is listed, but {other:?}"),
        }
    }
}
