//! Watching and stopping long work. The library reports here and never prints.

use std::sync::Arc;

/// What a piece of long work tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// Work on `subject` begins; `total` bytes when known. `id` is unique among running work.
    Begin {
        /// Identifies the work in later events, for example `pack sha256:…` or a layer's name.
        id: &'a str,
        /// The verb: `packing`, `pushing`, `pulling`, `reading`, `validating`.
        verb: &'static str,
        /// Bytes to do, when known.
        total: Option<u64>,
    },
    /// `bytes` more are done.
    Advance {
        /// As in `Begin`.
        id: &'a str,
        /// Bytes since the last event.
        bytes: u64,
    },
    /// The work ended; `note` says how when it is not plainly done (`exists`, `mounted`, `cached`).
    End {
        /// As in `Begin`.
        id: &'a str,
        /// A word on how it ended.
        note: &'static str,
    },
    /// A message from a peer or a step worth showing once, for example a registry's `Warning` header.
    Message {
        /// The text, already free of secrets.
        text: &'a str,
    },
    /// An exchange with a peer, for who looks for what goes wrong.
    Trace {
        /// Lines, already free of secrets.
        text: &'a str,
    },
}

/// Receives events, and says whether to stop. Called from several threads.
pub trait Observer: Send + Sync {
    /// Takes an event; must not block.
    fn event(&self, event: Event<'_>);

    /// True once the user wants to stop; long loops ask at least once per MiB.
    fn cancelled(&self) -> bool {
        false
    }
}

/// Sees nothing and never stops.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _: Event<'_>) {}
}

/// An observer that several parts of the work share.
pub type SharedObserver = Arc<dyn Observer>;

/// A shared [`Silent`].
#[must_use]
pub fn silent() -> SharedObserver {
    Arc::new(Silent)
}
