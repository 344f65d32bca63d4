//! A circuit breaker for one handler: a module's reaction to one event type.
//!
//! Closed until half of at least ten calls in half a minute fail; open for a
//! while that doubles with each failed probe; half-open while one probe is out
//! (the pattern: Nygard, "Release It!").

use std::collections::VecDeque;
use std::time::Duration;

/// The width of one bucket of the sliding window.
const BUCKET: Duration = Duration::from_secs(1);

/// When a handler's breaker opens, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakerPolicy {
    pub(crate) failure_ratio: f64,
    pub(crate) min_calls: u64,
    pub(crate) window: Duration,
    pub(crate) open_for: Duration,
    pub(crate) open_for_max: Duration,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self {
            failure_ratio: 0.5,
            min_calls: 10,
            window: Duration::from_secs(30),
            open_for: Duration::from_secs(5),
            open_for_max: Duration::from_mins(5),
        }
    }
}

impl BreakerPolicy {
    /// Returns the default policy.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the share of failed calls that opens the breaker. Default 0.5; clamped to 0.01 to 1.
    #[must_use]
    pub fn failure_ratio(mut self, ratio: f64) -> Self {
        self.failure_ratio = ratio.clamp(0.01, 1.0);
        self
    }

    /// Sets how many calls the window must hold before the breaker may open. Default 10; at least 1.
    #[must_use]
    pub fn min_calls(mut self, calls: u64) -> Self {
        self.min_calls = calls.max(1);
        self
    }

    /// Sets the sliding window. Default 30 s; at least 1 s, in steps of 1 s.
    #[must_use]
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window.max(BUCKET);
        self
    }

    /// Sets how long the breaker stays open before its first probe. Default 5 s.
    #[must_use]
    pub fn open_for(mut self, duration: Duration) -> Self {
        self.open_for = duration;
        self
    }

    /// Sets the longest time between probes. Default 5 min.
    #[must_use]
    pub fn open_for_max(mut self, duration: Duration) -> Self {
        self.open_for_max = duration;
        self
    }
}

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BreakerState {
    /// Deliveries flow.
    Closed,
    /// Deliveries wait in the store.
    Open,
    /// One delivery may try.
    HalfOpen,
}

/// What a count of calls did to the breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    Opened,
    Closed,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    number: u64,
    calls: u64,
    failures: u64,
}

/// The breaker of one handler.
#[derive(Debug, Clone)]
pub(crate) struct Breaker {
    policy: BreakerPolicy,
    buckets: VecDeque<Bucket>,
    /// Since when it is open and until when it stays so; `None` while closed.
    open_until: Option<Duration>,
    open_for: Duration,
    opens: u64,
}

impl Breaker {
    pub(crate) fn new(policy: BreakerPolicy) -> Self {
        Self { open_for: policy.open_for, policy, buckets: VecDeque::new(), open_until: None, opens: 0 }
    }

    pub(crate) fn state(&self, now: Duration) -> BreakerState {
        match self.open_until {
            None => BreakerState::Closed,
            Some(until) if now < until => BreakerState::Open,
            Some(_) => BreakerState::HalfOpen,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.open_until.is_none()
    }

    /// Returns how often the breaker has opened.
    pub(crate) fn opens(&self) -> u64 {
        self.opens
    }

    /// Counts calls that ended well. One of them closes a breaker that is half-open.
    pub(crate) fn succeeded(&mut self, now: Duration, calls: u64) -> Change {
        if self.state(now) == BreakerState::HalfOpen {
            self.open_until = None;
            self.open_for = self.policy.open_for;
            self.buckets.clear();
            return Change::Closed;
        }
        self.bucket(now).calls += calls;
        Change::None
    }

    /// Counts a call that failed. It opens a breaker that is half-open, for twice as long as before.
    pub(crate) fn failed(&mut self, now: Duration) -> Change {
        match self.state(now) {
            BreakerState::Open => Change::None,
            BreakerState::HalfOpen => {
                self.open_for = self.open_for.saturating_mul(2).min(self.policy.open_for_max);
                self.open(now)
            }
            BreakerState::Closed => {
                let bucket = self.bucket(now);
                bucket.calls += 1;
                bucket.failures += 1;
                if self.is_over_the_line() { self.open(now) } else { Change::None }
            }
        }
    }

    /// Opens the breaker whatever it counted, and returns for how long.
    pub(crate) fn force_open(&mut self, now: Duration) -> Duration {
        if self.is_closed() {
            self.open(now);
        }
        self.open_for
    }

    fn open(&mut self, now: Duration) -> Change {
        self.open_until = Some(now + self.open_for);
        self.opens += 1;
        self.buckets.clear();
        Change::Opened
    }

    #[expect(clippy::cast_precision_loss, reason = "a ratio of counts far below 2^52")]
    fn is_over_the_line(&self) -> bool {
        let (calls, failures) = self
            .buckets
            .iter()
            .fold((0, 0), |(calls, failures), bucket| (calls + bucket.calls, failures + bucket.failures));
        calls >= self.policy.min_calls && failures as f64 >= self.policy.failure_ratio * calls as f64
    }

    /// Returns the bucket of `now`, after dropping those that left the window.
    fn bucket(&mut self, now: Duration) -> &mut Bucket {
        let number = now.as_secs() / BUCKET.as_secs();
        let oldest = number.saturating_sub(self.policy.window.as_secs().max(1) - 1);
        while self.buckets.front().is_some_and(|bucket| bucket.number < oldest) {
            self.buckets.pop_front();
        }
        if self.buckets.back().is_none_or(|bucket| bucket.number != number) {
            self.buckets.push_back(Bucket { number, ..Bucket::default() });
        }
        let last = self.buckets.len() - 1;
        &mut self.buckets[last]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Breaker, BreakerPolicy, BreakerState, Change};

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::new(BreakerPolicy::new());
        breaker.succeeded(at(0), 5);
        for _ in 0..4 {
            assert_eq!(breaker.failed(at(1)), Change::None);
        }
        assert_eq!(breaker.failed(at(1)), Change::Opened);
        breaker
    }

    #[test]
    fn half_of_ten_calls_open_it_and_less_does_not() {
        let mut breaker = Breaker::new(BreakerPolicy::new());
        breaker.succeeded(at(0), 6);
        for _ in 0..5 {
            assert_eq!(breaker.failed(at(0)), Change::None);
        }
        assert_eq!(breaker.failed(at(0)), Change::Opened);
        assert_eq!(opened().state(at(5)), BreakerState::Open);
    }

    #[test]
    fn calls_that_left_the_window_do_not_count() {
        let mut breaker = Breaker::new(BreakerPolicy::new());
        for _ in 0..9 {
            breaker.failed(at(0));
        }
        assert_eq!(breaker.failed(at(30)), Change::None);
    }

    #[test]
    fn a_good_probe_closes_it_and_forgets_the_past() {
        let mut breaker = opened();
        assert_eq!(breaker.state(at(6)), BreakerState::HalfOpen);
        assert_eq!(breaker.succeeded(at(6), 1), Change::Closed);
        assert_eq!(breaker.failed(at(6)), Change::None);
    }

    #[test]
    fn a_bad_probe_doubles_the_time_to_the_next_up_to_five_minutes() {
        let mut breaker = opened();
        let (mut now, mut waits) = (at(1), Vec::new());
        for _ in 0..8 {
            let until = breaker.open_until.unwrap();
            waits.push(until.saturating_sub(now).as_secs());
            now = until;
            assert_eq!(breaker.failed(now), Change::Opened);
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn a_late_answer_while_open_changes_nothing() {
        let mut breaker = opened();
        assert_eq!(breaker.failed(at(2)), Change::None);
        assert_eq!(breaker.succeeded(at(2), 3), Change::None);
        assert_eq!(breaker.state(at(2)), BreakerState::Open);
    }
}
