//! How much at a time one host is asked for: less when it says that it is too much (429), more again when it goes well.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Transfers at the same time with one host that has not complained.
const TRANSFERS: usize = 4;

/// Longest that all requests to a host wait because one of them was told to: each still keeps to its own number of attempts.
const LONGEST_QUIET: Duration = Duration::from_secs(60);

/// The pace of one host.
pub(super) struct Pace {
    slots: Semaphore,
    state: Mutex<State>,
}

struct State {
    /// Transfers that are let in at a time.
    limit: usize,
    /// Slots to take away as soon as they come back.
    debt: usize,
    /// Transfers that went well since the last change.
    well: usize,
    /// Before this nothing is sent.
    quiet_until: Option<Instant>,
}

/// A transfer that is let in.
pub(super) struct Slot<'p> {
    pace: &'p Pace,
    permit: Option<SemaphorePermit<'p>>,
}

impl Default for Pace {
    fn default() -> Self {
        let state = State { limit: TRANSFERS, debt: 0, well: 0, quiet_until: None };
        Self { slots: Semaphore::new(TRANSFERS), state: Mutex::new(state) }
    }
}

impl Pace {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until another transfer is let in.
    pub(super) async fn slot(&self) -> Slot<'_> {
        // invariant: the semaphore is never closed, and without a permit only the bound would be lost
        Slot { pace: self, permit: self.slots.acquire().await.ok() }
    }

    /// Waits as long as the host has asked for.
    pub(super) async fn wait(&self) {
        let until = self.state().quiet_until;
        if let Some(until) = until {
            tokio::time::sleep_until(until.into()).await;
        }
    }

    /// The host has had too much: half as many transfers from now on, and none of them before `pause` is over.
    pub(super) fn slow_down(&self, pause: Duration) {
        let mut state = self.state();
        let until = Instant::now() + pause.min(LONGEST_QUIET);
        // Of the answers that come while it is quiet, the first has said it all.
        if state.quiet_until.is_none_or(|before| before <= Instant::now()) {
            let limit = (state.limit / 2).max(1);
            state.debt += state.limit - limit;
            state.debt -= self.slots.forget_permits(state.debt);
            (state.limit, state.well) = (limit, 0);
        }
        state.quiet_until = state.quiet_until.max(Some(until));
    }

    /// A transfer went well; after as many as are let in at a time one more is, up to the usual number.
    pub(super) fn went_well(&self) {
        let mut state = self.state();
        state.well += 1;
        if state.well >= state.limit && state.limit < TRANSFERS {
            (state.limit, state.well) = (state.limit + 1, 0);
            if state.debt > 0 {
                state.debt -= 1;
            } else {
                self.slots.add_permits(1);
            }
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut state = self.pace.state();
        if state.debt > 0
            && let Some(permit) = self.permit.take()
        {
            state.debt -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(pace: &Pace) -> usize {
        pace.slots.available_permits()
    }

    #[tokio::test]
    async fn half_when_it_is_too_much_and_one_more_when_it_goes_well() {
        let pace = Pace::default();
        let (one, two, three) = (pace.slot().await, pace.slot().await, pace.slot().await);
        pace.slow_down(Duration::ZERO);
        pace.slow_down(Duration::ZERO);
        assert_eq!(free(&pace), 0);
        drop((one, two));
        assert_eq!(free(&pace), 0, "the slots that came back were taken away");
        drop(three);
        assert_eq!(free(&pace), 1);
        for _ in 0..1 + 2 + 3 {
            pace.went_well();
        }
        assert_eq!(free(&pace), TRANSFERS);
        for _ in 0..100 {
            pace.went_well();
        }
        assert_eq!(free(&pace), TRANSFERS, "never more than usual");
    }

    #[tokio::test]
    async fn one_complaint_counts_once_and_holds_all() {
        let pace = Pace::default();
        for _ in 0..3 {
            pace.slow_down(Duration::from_millis(50));
        }
        assert_eq!(free(&pace), TRANSFERS / 2);
        let start = Instant::now();
        pace.wait().await;
        assert!(start.elapsed() >= Duration::from_millis(40));
    }
}
