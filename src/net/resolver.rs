//! Name resolution that keeps to a [`Reach`].

use std::io;
use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::{Reach, kind};
use super::error::ResolveError;

/// The system's resolver, filtered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resolver(pub(super) Reach);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found = lookup(name.as_str()).await.map_err(ResolveError::Dns)?;
            let refused = found.iter().find(|a| !reach.admits(a.ip())).copied();
            let admitted: Vec<SocketAddr> = found.into_iter().filter(|a| reach.admits(a.ip())).collect();
            match (admitted.is_empty(), refused) {
                (true, Some(refused)) => {
                    let address = refused.ip();
                    Err(ResolveError::Refused { address, kind: kind(address).name() }.into())
                }
                _ => Ok(Box::new(admitted.into_iter()) as Addrs),
            }
        })
    }
}

/// The name as the system reads it; when that fails and it has a dot, the absolute name. The search lists of Kubernetes
/// pods (`ndots:5`) make some resolvers fail on a name that exists.
async fn lookup(name: &str) -> io::Result<Vec<SocketAddr>> {
    let absolute = (name.contains('.') && !name.ends_with('.')).then(|| format!("{name}."));
    match (tokio::net::lookup_host((name, 0)).await, absolute) {
        (Ok(found), _) => Ok(found.collect()),
        (Err(first), Some(absolute)) => match tokio::net::lookup_host((absolute.as_str(), 0)).await {
            Ok(found) => Ok(found.collect()),
            Err(_) => Err(first),
        },
        (Err(first), None) => Err(first),
    }
}
