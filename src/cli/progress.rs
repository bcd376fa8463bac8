//! Progress on stderr: bars where someone watches, sparse lines elsewhere, nothing for work under half a second.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::settings::Terminal;
use crate::observe::{Event, Observer};

/// Work that ends sooner is never shown.
const PATIENCE: Duration = Duration::from_millis(500);
/// Time between two lines about the same work.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Off,
    Lines,
    Bars,
}

/// The observer of the command line. Clones show the same progress and are stopped together.
#[derive(Clone)]
pub struct Progress(Arc<Shared>);

struct Shared {
    mode: Mode,
    quiet: bool,
    stop: AtomicBool,
    bars: MultiProgress,
    running: Mutex<BTreeMap<String, Work>>,
}

struct Work {
    verb: &'static str,
    total: Option<u64>,
    done: u64,
    since: Instant,
    told: Option<Instant>,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Progress as the terminal and the flags allow it.
    pub fn new(terminal: Terminal, quiet: bool, no_progress: bool) -> Self {
        let mode = match (quiet || no_progress, terminal.interactive) {
            (true, _) => Mode::Off,
            (false, true) => Mode::Bars,
            (false, false) => Mode::Lines,
        };
        let target = if mode == Mode::Bars { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self(Arc::new(Shared {
            mode,
            quiet,
            stop: AtomicBool::new(false),
            bars: MultiProgress::with_draw_target(target),
            running: Mutex::default(),
        }))
    }

    /// Asks all work to stop.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Relaxed);
        self.clear();
    }

    /// Removes the bars, before anything else is written to stderr.
    pub fn clear(&self) {
        let mut running = self.0.running.lock().unwrap_or_else(PoisonError::into_inner);
        for work in running.values_mut() {
            if let Some(bar) = work.bar.take() {
                bar.finish_and_clear();
            }
        }
    }

    fn line(text: &str) {
        // Progress is not worth an error.
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    fn advance(&self, id: &str, bytes: u64) {
        let mut running = self.0.running.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(work) = running.get_mut(id) else { return };
        work.done += bytes;
        if let Some(bar) = &work.bar {
            bar.set_position(work.done);
            return;
        }
        let now = Instant::now();
        if now.duration_since(work.told.unwrap_or(work.since)) < work.told.map_or(PATIENCE, |_| LINE_EVERY) {
            return;
        }
        work.told = Some(now);
        match self.0.mode {
            Mode::Off => {}
            Mode::Lines => Self::line(&work.describe(id)),
            Mode::Bars => work.bar = Some(self.0.bars.add(work.new_bar(id))),
        }
    }
}

impl Work {
    fn describe(&self, id: &str) -> String {
        let id = short(id);
        let done = human_bytes(self.done);
        match self.total {
            Some(total) if total > 0 => {
                let percent = u128::from(self.done) * 100 / u128::from(total);
                format!("{} {id}: {done} of {} ({percent} %)", self.verb, human_bytes(total))
            }
            _ => format!("{} {id}: {done}", self.verb),
        }
    }

    fn new_bar(&self, id: &str) -> ProgressBar {
        let (bar, template) = match self.total {
            Some(total) => (ProgressBar::new(total), "{msg} {bar:24} {bytes}/{total_bytes} {bytes_per_sec}"),
            None => (ProgressBar::new_spinner(), "{msg} {bytes} {bytes_per_sec}"),
        };
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(format!("{} {}", self.verb, short(id)));
        bar.set_position(self.done);
        bar
    }
}

impl Observer for Progress {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Begin { id, verb, total } => {
                let work = Work { verb, total, done: 0, since: Instant::now(), told: None, bar: None };
                self.0.running.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), work);
            }
            Event::Advance { id, bytes } => self.advance(id, bytes),
            Event::End { id, note } => {
                let work = self.0.running.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
                let Some(work) = work else { return };
                if let Some(bar) = &work.bar {
                    bar.finish_and_clear();
                }
                if self.0.mode == Mode::Lines && work.told.is_some() {
                    let note = if note.is_empty() { "done" } else { note };
                    Self::line(&format!(
                        "{} {}: {note} in {:.1} s",
                        work.verb,
                        short(id),
                        work.since.elapsed().as_secs_f64()
                    ));
                }
            }
            Event::Message { text } if !self.0.quiet => {
                self.0.bars.suspend(|| Self::line(&format!("note: {text}")));
            }
            Event::Message { .. } => {}
            // Asked for by a flag, so that being quiet does not count.
            Event::Trace { text } => self.0.bars.suspend(|| Self::line(text)),
        }
    }

    fn cancelled(&self) -> bool {
        self.0.stop.load(Ordering::Relaxed)
    }
}

/// A digest cut to what people compare; anything else as it is.
fn short(id: &str) -> &str {
    const SHOWN: usize = "sha256:".len() + 12;
    if id.starts_with("sha256:") { id.get(..SHOWN).unwrap_or(id) } else { id }
}

/// Bytes for people, in binary units.
pub fn human_bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for next in units {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::{human_bytes, short};

    #[test]
    fn digests_are_cut_and_names_are_not() {
        assert_eq!(short(&format!("sha256:{}", "a".repeat(64))), "sha256:aaaaaaaaaaaa");
        assert_eq!(short("app"), "app");
    }

    #[test]
    fn bytes_for_people() {
        for (bytes, want) in [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (41 << 20, "41.0 MiB")] {
            assert_eq!(human_bytes(bytes), want);
        }
    }
}
