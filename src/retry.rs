//! When a failed delivery is tried again: exponential backoff, capped.
//!
//! The delay without jitter is exact here; the ledger multiplies it with a
//! random factor between 0 and 1 (full jitter, after "Exponential Backoff And
//! Jitter", AWS Architecture Blog, 2015).

use std::time::Duration;

/// When a failed delivery is tried again, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    pub(crate) max_attempts: u32,
    pub(crate) initial_delay: Duration,
    pub(crate) max_delay: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { max_attempts: 10, initial_delay: Duration::from_secs(1), max_delay: Duration::from_hours(1) }
    }
}

impl RetryPolicy {
    /// Returns the default policy: 10 attempts, 1 s doubling to 1 h.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how often a delivery is tried before it becomes a dead letter.
    ///
    /// Default 10; 1 means no retry, and 0 counts as 1.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts.max(1);
        self
    }

    /// Sets the longest wait after the first failure. Default 1 s; it doubles with each further one.
    #[must_use]
    pub fn initial_delay(mut self, delay: Duration) -> Self {
        self.initial_delay = delay;
        self
    }

    /// Sets the longest wait of all. Default 1 h.
    #[must_use]
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// Returns how long to wait before the next attempt, without jitter.
    ///
    /// `attempt` is the one that failed, counted from 1. The delay doubles each
    /// time and never exceeds [`RetryPolicy::max_delay`].
    #[must_use]
    pub fn delay_after(&self, attempt: u32) -> Duration {
        let factor = 2_u32.saturating_pow(attempt.saturating_sub(1));
        self.initial_delay.saturating_mul(factor).min(self.max_delay)
    }

    /// Returns whether a delivery is given up after `attempt` has failed.
    #[must_use]
    pub fn is_last(&self, attempt: u32) -> bool {
        attempt >= self.max_attempts
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::RetryPolicy;

    #[test]
    fn the_delay_doubles_exactly_up_to_the_cap() {
        let policy = RetryPolicy::new();
        let seconds: Vec<u64> = (1..=14).map(|attempt| policy.delay_after(attempt).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600]);
    }

    #[test]
    fn huge_attempts_do_not_overflow() {
        let policy = RetryPolicy::new().initial_delay(Duration::MAX);
        assert_eq!(policy.delay_after(u32::MAX), policy.max_delay);
    }

    #[test]
    fn the_last_attempt_is_the_configured_one() {
        let policy = RetryPolicy::new().max_attempts(3);
        assert!(!policy.is_last(2) && policy.is_last(3));
        assert!(RetryPolicy::new().max_attempts(0).is_last(1));
    }
}
