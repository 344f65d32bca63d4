//! How much happened, how much of it failed, and how long it took.

use serde::Serialize;

/// What happened since some time, the failing and the slow first.
#[derive(Debug, Clone, Serialize)]
pub struct Stats {
    /// By event type.
    pub types: Vec<TypeStats>,
    /// By module.
    pub modules: Vec<ModuleStats>,
}

/// Events of one type.
#[derive(Debug, Clone, Serialize)]
pub struct TypeStats {
    /// The event type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Events stored.
    pub events: i64,
    /// Of those, processed.
    pub processed: i64,
    /// Of those, with a delivery that is retrying or dead.
    pub failed: i64,
    /// `failed` of `events`, 0 to 1.
    pub failure_rate: f64,
    /// From publish to processed.
    #[serde(flatten)]
    pub latency: Latency,
}

/// Deliveries to one module.
#[derive(Debug, Clone, Serialize)]
pub struct ModuleStats {
    /// The module.
    pub module: String,
    /// Deliveries of events stored.
    pub deliveries: i64,
    /// Of those, acknowledged.
    pub acked: i64,
    /// Of those, failed at least once and not given up.
    pub retrying: i64,
    /// Of those, dead letters.
    pub dead: i64,
    /// `retrying` and `dead` of `deliveries`, 0 to 1.
    pub failure_rate: f64,
    /// From publish until the module's acknowledgement, or the event's last one, was stored.
    #[serde(flatten)]
    pub latency: Latency,
}

/// How long something took, in microseconds; by nearest rank. `None` if there was nothing.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    /// The median.
    pub p50_us: Option<i64>,
    /// 95 of 100 took no longer.
    pub p95_us: Option<i64>,
    /// 99 of 100 took no longer.
    pub p99_us: Option<i64>,
}
