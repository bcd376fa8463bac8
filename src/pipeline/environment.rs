//! What the surroundings give: directories, threads, the way to registries. All of it is handed in.

use std::path::PathBuf;
use std::sync::Arc;

use super::Error;
use crate::net::{self, HttpClient, RetryPolicy};
use crate::observe::SharedObserver;
use crate::registry::{CredentialChain, CredentialSource, Hosts, Registry};

/// The surroundings of a build, as values.
#[derive(Clone)]
pub struct Environment {
    /// Where temporary files go that belong beside no output.
    pub temp_dir: PathBuf,
    /// Where finished work is remembered; `None` remembers nothing.
    pub cache_dir: Option<PathBuf>,
    /// Threads for packing; 0 takes one per processor.
    pub threads: usize,
    /// Proxies, certificates and plain hosts.
    pub network: net::Environment,
    /// How requests are made: timeouts, tracing.
    pub http: net::Options,
    /// Mirrors and certificates of single registries.
    pub hosts: Hosts,
    /// Who we are for registries.
    pub credentials: Arc<dyn CredentialSource>,
    /// The docker daemon's socket.
    pub docker_socket: PathBuf,
}

impl Environment {
    /// Surroundings with this directory for temporary files, no cache, no proxies and no credentials.
    #[must_use]
    pub fn new(temp_dir: PathBuf) -> Self {
        Self {
            temp_dir,
            cache_dir: None,
            threads: 0,
            network: net::Environment::default(),
            http: net::Options::default(),
            hosts: Hosts::default(),
            credentials: Arc::new(CredentialChain::anonymous()),
            docker_socket: PathBuf::from("/var/run/docker.sock"),
        }
    }

    /// A client for registries.
    ///
    /// # Errors
    /// [`Error::Network`] when certificates or proxies cannot be used.
    pub fn registry(&self, observer: &SharedObserver) -> Result<Registry, Error> {
        let mut network = self.network.clone();
        for tls in self.hosts.tls() {
            // Who has certificates for a loopback host wants TLS there.
            if !(tls.authorities.is_empty() && tls.identities.is_empty()) {
                network.https_hosts.push(tls.host.clone());
            }
            network.tls.push(tls);
        }
        let client = HttpClient::new(network, self.http.clone(), observer.clone())?;
        let credentials = Arc::clone(&self.credentials);
        Ok(Registry::with_hosts(client, credentials, &self.temp_dir, RetryPolicy::default(), self.hosts.clone()))
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment").field("temp_dir", &self.temp_dir).finish_non_exhaustive()
    }
}
