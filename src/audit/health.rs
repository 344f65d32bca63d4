//! What a look at a database's health finds.

use serde::Serialize;
use time::OffsetDateTime;

/// What a look at a database's health finds.
#[derive(Debug, Clone, Serialize)]
pub struct Health {
    /// The server's or the library's version.
    pub database_version: String,
    /// The database's time.
    #[serde(with = "time::serde::rfc3339")]
    pub database_time: OffsetDateTime,
    /// A commit waits for the disk.
    pub durable: bool,
    /// Nodes whose lease has not ended, with their versions.
    pub nodes: Vec<NodeHealth>,
    /// Nodes whose lease has ended, and that nobody has buried.
    pub dead_nodes: i64,
    /// Events older than the limit that are neither processed nor owned by a live node nor have a pending row.
    pub stuck_events: i64,
    /// Deliveries that are due for longer than the limit, of modules that are not paused.
    pub overdue: i64,
    /// Dead letters.
    pub dead_letters: i64,
}

/// A node that is alive.
#[derive(Debug, Clone, Serialize)]
pub struct NodeHealth {
    /// Its host.
    pub host: String,
    /// Its version of the bus.
    pub version: String,
}
