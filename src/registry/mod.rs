//! Layer 6: the registry client (distribution-spec 1.1 and what registries make of it).
//!
//! *Invariants:* a credential is sent to the registry that it is for and to the realm that this registry names, over
//! TLS where the registry speaks TLS, and nowhere else; every byte kept has the digest it was asked for by; a retry
//! opens its content anew; what a registry sends is bounded.

mod auth;
mod auth_file;
mod challenge;
mod credentials;
mod docker_config;
mod download;
mod error;
mod flight;
mod helper;
mod host;
mod hosts;
mod listing;
mod manifest;
mod mirrors;
mod pace;
mod referrers;
mod repository;
mod resume;
mod token;
mod upload;

pub use auth_file::{AuthFile, server};
pub use challenge::{Challenge, parse_challenges};
pub use credentials::{AbsentSource, Asked, Credential, CredentialChain, CredentialSource, Fixed, Found};
pub use docker_config::DockerConfig;
pub use error::{Complaint, CredentialError, Error, StatusError};
pub use helper::{CredentialHelper, ProcessHelper};
pub use hosts::{ConfigError, Hosts, HostsToml, RegistriesConf};
pub use repository::{Registry, Repository};
