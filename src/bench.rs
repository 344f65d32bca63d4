//! Throughput of the bus on the user's own database, and of the bare statements beside it.

use std::time::Duration;

use serde::Serialize;

use crate::store::{StoreError, StoreOptions};

mod fan_out;
mod floor;
mod meter;

pub use fan_out::fan_out;

/// How a fan-out is measured.
#[derive(Debug, Clone)]
pub struct FanOutOptions {
    /// The database. Its schema is brought up to date; what the benchmark writes stays.
    pub store: StoreOptions,
    /// Modules with a handler that does nothing. Default 6; 1 to 1,000.
    pub modules: u32,
    /// Events to publish. Default 100,000.
    pub events: u64,
    /// Publishers that each wait for one event before the next. Default 1,024; at least 1.
    pub publishers: u32,
    /// Bytes of payload. Default 150; at least 32.
    pub payload_bytes: usize,
    /// Events a second over all publishers; as many as they can if `None`.
    pub rate: Option<f64>,
    /// Modules that are paused for as long as events are published.
    pub paused_modules: u32,
    /// Also run the bare statements, in the same process, and compare.
    pub floor: bool,
}

impl Default for FanOutOptions {
    fn default() -> Self {
        Self {
            store: StoreOptions::default(),
            modules: 6,
            events: 100_000,
            publishers: 1_024,
            payload_bytes: 150,
            rate: None,
            paused_modules: 0,
            floor: false,
        }
    }
}

/// What a fan-out reached. Latencies are in microseconds, memory in bytes.
#[derive(Debug, Clone, Serialize)]
pub struct FanOutReport {
    /// `sqlite` or `postgres`.
    pub database: &'static str,
    /// Modules that got every event.
    pub modules: u32,
    /// Events published.
    pub events: u64,
    /// Publishers.
    pub publishers: u32,
    /// Bytes of payload.
    pub payload_bytes: usize,
    /// From the first publish to the last `processed_at` that is committed.
    pub elapsed_ms: u64,
    /// Events by that time.
    pub events_per_s: f64,
    /// Deliveries by that time.
    pub deliveries_per_s: f64,
    /// From the call of `publish` to its return.
    pub publish_p50_us: u64,
    /// The same.
    pub publish_p99_us: u64,
    /// From the call of `publish` to the handler.
    pub handler_p50_us: u64,
    /// The same.
    pub handler_p99_us: u64,
    /// From the call of `publish` to `processed_at` committed.
    pub processed_p50_us: u64,
    /// The same.
    pub processed_p99_us: u64,
    /// Resident memory of the idle bus.
    pub rss_idle_bytes: u64,
    /// The most resident memory during the run.
    pub rss_peak_bytes: u64,
    /// Statements that the run issued on the live path: inserts, settles and commits.
    pub statements: u64,
    /// Events a second of the bare statements.
    pub floor_events_per_s: Option<f64>,
    /// The bus's events a second by the floor's.
    pub floor_ratio: Option<f64>,
    /// The batch size and number of connections at which the bare statements were fastest.
    pub floor_setting: Option<String>,
    /// PostgreSQL: bytes of write-ahead log per event.
    pub wal_bytes_per_event: Option<f64>,
    /// PostgreSQL: transactions committed per event.
    pub commits_per_event: Option<f64>,
    /// PostgreSQL: dead tuples per event when the run ended, before any vacuum.
    pub dead_tuples_per_event: Option<f64>,
    /// PostgreSQL: the share of updates that stayed on their page.
    pub hot_update_ratio: Option<f64>,
}

/// A benchmark could not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// An option is out of bounds.
    #[error("{option} is {value}, allowed are {allowed}")]
    Option {
        /// The option.
        option: &'static str,
        /// Its value.
        value: u64,
        /// The bounds.
        allowed: &'static str,
    },
    /// The bus did not start.
    #[error(transparent)]
    Start(#[from] crate::bus::StartError),
    /// The bus did not stop.
    #[error(transparent)]
    Shutdown(#[from] crate::bus::ShutdownError),
    /// An event could not be published.
    #[error(transparent)]
    Publish(#[from] crate::PublishError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Some events were not processed in time.
    #[error("{missing} events were not processed within {waited:?} after the last publish")]
    Unfinished {
        /// How many.
        missing: u64,
        /// How long was waited.
        waited: Duration,
    },
}
