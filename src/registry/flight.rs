//! One transfer at a time per piece of content.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

type Slot<V> = Arc<tokio::sync::Mutex<Option<V>>>;

/// Work by key: the first to come does it, the others wait and take its result. A failure is not kept.
pub(super) struct Flights<K, V>(Mutex<HashMap<K, Slot<V>>>);

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Flights<K, V> {
    /// The result that is there, or the one that `work` brings. True when it was there.
    pub(super) async fn once<E>(&self, key: K, work: impl Future<Output = Result<V, E>>) -> Result<(V, bool), E> {
        let slot = {
            let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(key).or_default())
        };
        let mut done = slot.lock().await;
        if let Some(value) = done.as_ref() {
            return Ok((value.clone(), true));
        }
        let value = work.await?;
        *done = Some(value.clone());
        Ok((value, false))
    }

    /// Forgets a result.
    pub(super) fn forget(&self, key: &K) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}
