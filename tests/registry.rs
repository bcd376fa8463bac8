//! The registry client: against real registries and clients, and against registries that misbehave.

#[path = "registry/auth.rs"]
mod auth;
#[path = "support/auth_server.rs"]
mod auth_server;
#[path = "support/certificates.rs"]
mod certificates;
#[path = "registry/clients.rs"]
mod clients;
#[path = "registry/cuts.rs"]
mod cuts;
#[path = "registry/faults.rs"]
mod faults;
#[path = "registry/helpers.rs"]
mod helpers;
#[path = "support/http.rs"]
mod http;
#[path = "registry/matrix.rs"]
mod matrix;
#[path = "support/peers.rs"]
mod peers;
#[path = "registry/profiles.rs"]
mod profiles;
#[path = "support/proxy.rs"]
mod proxy;
#[path = "registry/quirks.rs"]
mod quirks;
#[path = "registry/peers.rs"]
mod real;
#[path = "support/registry_client.rs"]
mod registry_client;
#[path = "support/registry_peer.rs"]
mod registry_peer;
#[path = "registry/sample.rs"]
mod sample;
#[path = "support/scripted.rs"]
mod scripted;
#[path = "support/serve.rs"]
mod serve;
#[path = "registry/tls.rs"]
mod tls;
