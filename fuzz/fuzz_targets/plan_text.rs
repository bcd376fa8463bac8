//! The text form of plans, which travel with images of strangers, and locks.
#![cfg_attr(fuzzing, no_main)]

use coracle::plan::{Lock, PlanView, why};

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));

/// What parses is written as it was read, and its chains of reasons end.
pub fn run(data: &[u8]) {
    if let Ok(plan) = PlanView::parse(data) {
        let text = plan.to_text().unwrap_or_default();
        assert_eq!(PlanView::parse(text.as_bytes()).ok().as_ref(), Some(&plan));
        let entries = plan.layers.iter().map(|layer| layer.entries.len()).sum::<usize>();
        for entry in plan.layers.iter().flat_map(|layer| &layer.entries).take(64) {
            assert!(why(&plan, &entry.path).is_some_and(|chain| chain.len() <= entries));
        }
    }
    if let Ok(lock) = Lock::parse(data) {
        assert_eq!(Lock::parse(lock.to_text().as_bytes()).as_ref(), Ok(&lock));
        assert_eq!(lock.difference(&lock), None);
    }
}
