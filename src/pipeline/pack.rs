//! Packing, and not packing when the layer is known and lies where it should go.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::Error;
use crate::blob::{self, Blob, BlobSource, Layer};
use crate::layer::{PackOptions, Packed, pack_to_dir};
use crate::observe::SharedObserver;
use crate::oci::{Descriptor, DiffId};
use crate::plan::{EncoderId, LayerPlan};

/// Everything packing needs, to be done now or when somebody asks for the bytes.
#[derive(Clone)]
pub(super) struct Recipe {
    pub layer: LayerPlan,
    pub created: u64,
    pub encoder: EncoderId,
    pub options: PackOptions,
    pub directory: PathBuf,
    pub observer: SharedObserver,
}

impl Recipe {
    /// Packs into a temporary file of the recipe's directory.
    fn pack(&self) -> Result<(Packed, Blob), crate::layer::Error> {
        pack_to_dir(&self.layer, self.created, self.encoder, &self.options, &*self.observer, &self.directory)
    }

    /// Packs on a thread that may block.
    pub async fn run(self) -> Result<(Packed, Layer), Error> {
        let (packed, blob) = tokio::task::spawn_blocking(move || self.pack()).await??;
        let layer = Layer { blob, diff_id: packed.diff_id.clone() };
        Ok((packed, layer))
    }

    /// A layer that is known already; it is packed only if somebody opens it after all.
    pub fn later(self, descriptor: Descriptor, diff_id: DiffId) -> Layer {
        let source = Remade { recipe: self, expected: descriptor.clone(), made: Mutex::new(None) };
        Layer { blob: Blob::new(descriptor, Arc::new(source)), diff_id }
    }
}

/// A layer whose bytes are made when they are asked for, and must be those that are known.
struct Remade {
    recipe: Recipe,
    expected: Descriptor,
    made: Mutex<Option<Blob>>,
}

impl std::fmt::Debug for Remade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Remade({} in {})", self.expected.digest, self.directory().display())
    }
}

impl Remade {
    fn directory(&self) -> &Path {
        &self.recipe.directory
    }
}

impl BlobSource for Remade {
    fn open(&self, offset: u64) -> Result<Box<dyn Read + Send>, blob::Error> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let blob = match &*made {
            Some(blob) => blob.clone(),
            None => {
                let remake =
                    |source| blob::Error::Remake { what: self.expected.digest.to_string(), source: Box::new(source) };
                let (packed, blob) = self.recipe.pack().map_err(remake)?;
                if packed.descriptor.digest != self.expected.digest {
                    let (expected, actual) = (self.expected.digest.clone(), packed.descriptor.digest);
                    return Err(blob::Error::Changed { expected, actual });
                }
                made.insert(blob).clone()
            }
        };
        blob.open(offset)
    }
}
