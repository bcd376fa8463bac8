//! A registry client for tests: quick retries, an observer that remembers.

use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use coracle::net::{Environment, HttpClient, Options, RetryPolicy};
use coracle::observe::{Event, Observer};
use coracle::oci::Reference;
use coracle::registry::{CredentialChain, Registry};
use coracle::store;

/// The usual policy without its pauses.
pub fn quick() -> RetryPolicy {
    RetryPolicy { base: Duration::ZERO, cap: Duration::ZERO, ..RetryPolicy::default() }
}

/// Remembers what it is told, and stops the work when asked to.
#[derive(Debug, Default)]
pub struct Watch {
    advanced: AtomicU64,
    messages: Mutex<Vec<String>>,
    stop: AtomicBool,
}

impl Observer for Watch {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Advance { bytes, .. } => {
                self.advanced.fetch_add(bytes, Ordering::Relaxed);
            }
            Event::Message { text } | Event::Trace { text } => self.messages.lock().unwrap().push(text.to_owned()),
            _ => {}
        }
    }

    fn cancelled(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl Watch {
    /// A client and its observer.
    pub fn client(credentials: CredentialChain, spool: &Path) -> (Registry, Arc<Self>) {
        Self::client_in(Environment::default(), Options::default(), credentials, spool)
    }

    /// The same in other surroundings.
    pub fn client_in(
        environment: Environment,
        options: Options,
        credentials: CredentialChain,
        spool: &Path,
    ) -> (Registry, Arc<Self>) {
        let watch = Arc::new(Self::default());
        let client = HttpClient::new(environment, options, Arc::clone(&watch) as _).unwrap();
        (Registry::with_policy(client, Arc::new(credentials), spool, quick()), watch)
    }

    /// Messages told.
    pub fn messages(&self) -> Vec<String> {
        self.messages.lock().unwrap().clone()
    }

    /// Stops the work.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Bytes moved.
    pub fn advanced(&self) -> u64 {
        self.advanced.load(Ordering::Relaxed)
    }
}

/// A client with these credentials.
pub fn client_with(credentials: CredentialChain, spool: &Path) -> Registry {
    Watch::client(credentials, spool).0
}

/// `host/repository`.
pub fn reference(host: &str, repository: &str) -> Reference {
    format!("{host}/{repository}").parse().unwrap()
}

/// The error as the command line shows it: its causes and the hint.
pub fn report(error: &store::Error) -> String {
    let mut lines = vec![error.to_string()];
    let mut hint = error.hint();
    let mut cause = error.source();
    while let Some(error) = cause {
        lines.push(format!("caused by: {error}"));
        if let Some(registry) = error.downcast_ref::<coracle::registry::Error>() {
            hint = hint.or_else(|| registry.hint());
        }
        cause = error.source();
    }
    lines.extend(hint.map(|hint| format!("hint: {hint}")));
    lines.join("\n")
}
