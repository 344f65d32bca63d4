//! Latencies and memory.

use std::sync::{Arc, Mutex, PoisonError};

use hdrhistogram::Histogram;

/// Latencies in microseconds, up to an hour, to three digits.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(3_600_000_000, 3).unwrap_or_else(|_| unreachable!("the bounds are valid"))
}

/// A histogram that several threads fill.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Histogram<u64>>>);

impl Shared {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(histogram())))
    }

    pub(super) fn record(&self, micros: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(micros);
    }

    pub(super) fn quantile(&self, quantile: f64) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).value_at_quantile(quantile)
    }
}

/// Returns the process's resident memory, and the most it ever was; zeros where the system does not tell.
pub(super) fn resident_bytes() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        let kib =
            line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kib| kib.parse::<u64>().ok());
        kib.unwrap_or(0) * 1_024
    };
    (field("VmRSS:"), field("VmHWM:"))
}
