//! The registry client: against real registries and clients, and against registries that misbehave.

#[path = "support/peers.rs"]
mod peers;
#[path = "registry/peers.rs"]
mod real;
#[path = "support/registry_client.rs"]
mod registry_client;
#[path = "support/registry_peer.rs"]
mod registry_peer;
#[path = "registry/sample.rs"]
mod sample;
