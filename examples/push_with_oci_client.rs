//! Pushes one image of a layout with the crate oci-client, for `scripts/bench-registry.sh`: the layers are read into memory, as its
//! `push` wants them.
//!
//!     push_with_oci_client DIR HOST REPOSITORY TAG

use std::path::Path;

use coracle::oci::{Digest, ManifestView};
use coracle::store::{LayoutStore, Store};
use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [directory, host, repository, tag] = &words[..] else { return Err("DIR HOST REPOSITORY TAG".into()) };
    rustls::crypto::ring::default_provider().install_default().map_err(|_| "a TLS provider is there already")?;
    let layout = LayoutStore::open(Path::new(directory))?;
    let manifest = layout.get_manifest(&layout.default_pointer()?).await?;
    let ManifestView::Image(image) = manifest.view()? else { return Err("an index".into()) };
    let read = |digest: &Digest| std::fs::read(Path::new(directory).join("blobs/sha256").join(digest.hex()));
    let mut layers = Vec::new();
    for layer in &image.layers {
        layers.push(ImageLayer::new(read(&layer.digest)?, layer.media_type.clone(), None));
    }
    let config = Config::new(read(&image.config.digest)?, image.config.media_type.clone(), None);
    let client = Client::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() });
    let reference = Reference::with_tag(host.clone(), repository.clone(), tag.clone());
    client.push(&reference, &layers, config, &RegistryAuth::Anonymous, None).await?;
    Ok(())
}
