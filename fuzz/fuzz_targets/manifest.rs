//! Manifests, indexes, configs, and the index of a layout.
#![cfg_attr(fuzzing, no_main)]

use std::io::Read;

use coracle::image::validate::validate;
use coracle::image::{ImageSource, Unreadable};
use coracle::observe::Silent;
use coracle::oci::{Descriptor, ImageConfig, ManifestView, RawManifest, media_type};

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));

/// Every part of the image is the input.
struct Everything<'a>(&'a [u8]);

impl ImageSource for Everything<'_> {
    fn manifest(&self, descriptor: &Descriptor) -> Result<RawManifest, Unreadable> {
        Ok(RawManifest::new(&descriptor.media_type, self.0.to_vec())?)
    }

    fn blob(&self, _: &Descriptor) -> Result<Box<dyn Read + Send>, Unreadable> {
        Ok(Box::new(std::io::Cursor::new(self.0.to_vec())))
    }
}

/// No document makes a parser panic; what parses and can be encoded has an encoding that is a fixed point; and whatever
/// an image consists of, the validator comes to an end.
pub fn run(data: &[u8]) {
    for kind in [media_type::OCI_MANIFEST, media_type::OCI_INDEX] {
        let raw = RawManifest::new(kind, data.to_vec()).unwrap();
        let encoded = match raw.view() {
            Ok(ManifestView::Image(image)) => RawManifest::from_image(&image),
            Ok(ManifestView::Index(index)) => RawManifest::from_index(&index),
            Err(_) => continue,
        };
        if let Ok(encoded) = encoded {
            let again = match RawManifest::new(kind, encoded.bytes().to_vec()).unwrap().view().unwrap() {
                ManifestView::Image(image) => RawManifest::from_image(&image),
                ManifestView::Index(index) => RawManifest::from_index(&index),
            };
            assert_eq!(again.unwrap().bytes(), encoded.bytes());
        }
        let report = validate(&Everything(data), &raw.descriptor(), &Silent).unwrap();
        assert!(report.bytes >= data.len() as u64);
    }
    if let Ok(config) = ImageConfig::parse(data)
        && let Ok(bytes) = config.to_bytes()
    {
        assert_eq!(ImageConfig::parse(&bytes).unwrap().to_bytes().unwrap(), bytes);
    }
}
