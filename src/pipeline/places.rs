//! Opening places to read from, whatever they are.

use super::{Environment, Error};
use crate::observe::SharedObserver;
use crate::oci::Reference;
use crate::store::{ArchiveStore, LayoutStore, Location, Pointer, Store};

/// An image in its place.
pub struct Opened {
    /// The place.
    pub store: Box<dyn Store>,
    /// Which image of it.
    pub pointer: Pointer,
}

/// Opens a place for reading and finds out which image is meant.
///
/// # Errors
/// [`Error::OnlyForWriting`] for a docker daemon; those of the store.
pub async fn open(location: &Location, environment: &Environment, observer: &SharedObserver) -> Result<Opened, Error> {
    match location {
        Location::Layout { directory, pointer } => {
            let store = LayoutStore::open(directory)?;
            let pointer = match pointer {
                Some(pointer) => pointer.clone(),
                None => store.default_pointer()?,
            };
            Ok(Opened { store: Box::new(store), pointer })
        }
        Location::Archive(file) => {
            let store = ArchiveStore::open(file).await?;
            let pointer = store.default_pointer()?;
            Ok(Opened { store: Box::new(store), pointer })
        }
        Location::Registry(reference) => {
            let store = environment.registry(observer)?.source(reference)?;
            Ok(Opened { store: Box::new(store), pointer: pointer_of(reference) })
        }
        Location::Daemon(_) => Err(Error::OnlyForWriting(location.to_string())),
    }
}

/// What a reference points at: its digest, else its tag, else `latest`.
fn pointer_of(reference: &Reference) -> Pointer {
    match (reference.digest(), reference.tag_or_latest()) {
        (Some(digest), _) => Pointer::Digest(digest.clone()),
        (None, Some(tag)) => Pointer::Tag(tag),
        // invariant: without a digest `tag_or_latest` gives a tag
        (None, None) => Pointer::Tag(crate::oci::Tag::latest()),
    }
}
