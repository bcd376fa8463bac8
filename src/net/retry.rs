//! When to try again, and after how long.

use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::Retry;

/// Exponential backoff with jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, at least 1.
    pub attempts: u32,
    /// Attempts in all while no connection comes about.
    pub connect_attempts: u32,
    /// The pause before the second attempt; it doubles each time and varies by a quarter up or down.
    pub base: Duration,
    /// The longest pause of our own.
    pub cap: Duration,
    /// The longest pause that a peer's `Retry-After` may ask for; beyond it the failure is final.
    pub retry_after_cap: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 6,
            connect_attempts: 3,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(20),
            retry_after_cap: Duration::from_secs(60),
        }
    }
}

impl RetryPolicy {
    /// The pause before attempt `done + 1` after `done` attempts failed, or `None` to give up.
    #[must_use]
    pub fn pause(&self, done: u32, retry: Retry, asked: Option<Duration>) -> Option<Duration> {
        let allowed = match retry {
            Retry::Never => 1,
            Retry::Few => self.connect_attempts,
            Retry::Yes => self.attempts,
        };
        if done >= allowed || asked.is_some_and(|asked| asked > self.retry_after_cap) {
            return None;
        }
        let doubled = self.base.saturating_mul(2u32.saturating_pow(done.saturating_sub(1))).min(self.cap);
        let quarters = Duration::from_nanos(u64::try_from(doubled.as_nanos() / 2).unwrap_or(u64::MAX));
        let jitter = quarters.mul_f64(random_fraction());
        let own = doubled - quarters / 2 + jitter;
        Some(asked.map_or(own, |asked| asked.max(own)))
    }
}

impl RetryPolicy {
    /// A time between one and two times as long; nothing where the policy has no pauses.
    #[must_use]
    pub fn spread(&self, time: Duration) -> Duration {
        if self.cap.is_zero() { Duration::ZERO } else { time.mul_f64(1.0 + random_fraction()) }
    }
}

/// Uniform in [0, 1): enough to spread clients, and needs no generator of its own.
fn random_fraction() -> f64 {
    let bits = std::hash::RandomState::new().build_hasher().finish() >> 32;
    f64::from(u32::try_from(bits).unwrap_or(0)) / (f64::from(u32::MAX) + 1.0)
}

/// Whether an answer with this status may come out differently next time: timeouts, rate limits, server trouble, and
/// the codes that proxies use for a peer which went away.
#[must_use]
pub fn status_retry(status: StatusCode) -> Retry {
    match status.as_u16() {
        408 | 425 | 429 | 499 | 500 | 502 | 503 | 504 | 522 | 524 => Retry::Yes,
        _ => Retry::Never,
    }
}

/// The pause that `Retry-After` asks for (RFC 9110 section 10.2.3: seconds or an HTTP date).
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
        // Beyond u64 it is longer than any cap.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_within_a_quarter_and_stops() {
        let policy = RetryPolicy { base: Duration::from_secs(1), attempts: 4, ..RetryPolicy::default() };
        for (done, middle) in [(1, 1.0), (2, 2.0), (3, 4.0)] {
            for _ in 0..100 {
                let pause = policy.pause(done, Retry::Yes, None).unwrap().as_secs_f64();
                assert!((middle * 0.75..=middle * 1.25).contains(&pause), "after {done}: {pause}");
            }
        }
        assert_eq!(policy.pause(4, Retry::Yes, None), None);
        assert_eq!(policy.pause(1, Retry::Never, None), None);
        assert_eq!(policy.pause(3, Retry::Few, None), None);
        let long = RetryPolicy { attempts: u32::MAX, ..policy };
        assert!(long.pause(u32::MAX - 1, Retry::Yes, None).unwrap() <= long.cap.mul_f64(1.25));
    }

    #[test]
    fn honours_retry_after_up_to_its_cap() {
        let policy = RetryPolicy::default();
        let ask = |seconds| policy.pause(1, Retry::Yes, Some(Duration::from_secs(seconds)));
        assert_eq!(ask(30), Some(Duration::from_secs(30)));
        assert_eq!(ask(61), None);
    }

    #[test]
    fn reads_both_forms_of_retry_after() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (text, want) in [
            ("120", Some(120)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
            ("", None),
            ("-1", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            assert_eq!(retry_after(&headers, now), want.map(Duration::from_secs), "{text}");
        }
    }
}
