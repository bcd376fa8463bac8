//! References, tags, digests, platforms and paths as users and registries write them.
#![cfg_attr(fuzzing, no_main)]

use coracle::oci::{Digest, ImagePath, Platform, Reference, Tag};

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));

/// What parses, shows itself in a form that parses to the same value.
pub fn run(data: &[u8]) {
    if let Ok(path) = ImagePath::parse(data) {
        assert_eq!(ImagePath::parse(path.as_bytes()).as_ref(), Ok(&path));
        assert!(path.ancestors().iter().all(|above| path.starts_with(above)));
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(reference) = text.parse::<Reference>() {
        assert_eq!(reference.to_string().parse::<Reference>().as_ref(), Ok(&reference), "{text}");
        assert!(!reference.repository().contains(".."), "{text}");
    }
    if let Ok(tag) = text.parse::<Tag>() {
        assert_eq!(tag.as_str(), text);
    }
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text);
    }
    if let Ok(platform) = text.parse::<Platform>() {
        assert_eq!(platform.to_string().parse::<Platform>().as_ref(), Ok(&platform), "{text}");
    }
}
