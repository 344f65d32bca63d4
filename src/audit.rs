//! The audit trail: what was published, what became of it, and what it caused.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::delivery::{DeliveryState, FailureKind};

mod health;
mod stats;

pub use health::{Health, NodeHealth};
pub use stats::{Latency, ModuleStats, Stats, TypeStats};

/// The most records of one page.
pub const PAGE_MAX: u32 = 1_000;

/// Where an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventState {
    /// Some target has neither acknowledged it nor been parked.
    Unprocessed,
    /// Every target has.
    Processed,
    /// A delivery of it is retrying or dead.
    Failed,
}

/// Which events are asked for. Empty means all.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Of this type.
    pub event_type: Option<String>,
    /// In this state.
    pub state: Option<EventState>,
    /// Stored at this time or later.
    pub since: Option<OffsetDateTime>,
    /// Stored before this time.
    pub until: Option<OffsetDateTime>,
    /// In the chain that this id names: the first event's own id, or what its publisher chose.
    pub correlation_id: Option<Uuid>,
}

/// Which deliveries are asked for. Empty means all.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// Of this event.
    pub event_id: Option<Uuid>,
    /// To this module.
    pub module: Option<String>,
    /// In this state.
    pub state: Option<DeliveryState>,
    /// Of events of this type.
    pub event_type: Option<String>,
}

impl DeliveryFilter {
    /// Returns whether a delivery passes everything but the event's id.
    pub(crate) fn admits(&self, delivery: &DeliveryRecord) -> bool {
        self.module.as_ref().is_none_or(|module| *module == delivery.module)
            && self.state.is_none_or(|state| state == delivery.state)
            && self.event_type.as_ref().is_none_or(|wanted| *wanted == delivery.event_type)
    }
}

/// An event as it is stored.
#[derive(Debug, Clone, Serialize)]
pub struct EventRecord {
    /// Its id.
    pub id: Uuid,
    /// Its place in the log; rises, with gaps.
    pub seq: i64,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Its payload.
    pub payload: Value,
    /// When it was stored.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When every target had acknowledged it or was parked.
    #[serde(with = "time::serde::rfc3339::option")]
    pub processed_at: Option<OffsetDateTime>,
    /// The last failure of a delivery that is retrying or dead.
    pub error: Option<String>,
    /// On whose behalf it was published.
    pub created_by: Option<Uuid>,
    /// From where.
    pub ip_address: Option<String>,
    /// With what.
    pub user_agent: Option<String>,
    /// The chain that it belongs to; `None` on an event that starts one.
    pub correlation_id: Option<Uuid>,
    /// The event whose handler published it.
    pub causation_id: Option<Uuid>,
    /// Its ordering key.
    pub ordering_key: Option<String>,
    /// The version of its payload's shape.
    pub schema_version: i64,
}

/// One failed attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptError {
    /// The attempt, counted from 1.
    pub attempt: i64,
    /// When, in the database's own notation.
    pub at: Value,
    /// What kind of failure.
    pub kind: Option<FailureKind>,
    /// The message.
    pub message: String,
}

/// A delivery: an event and one of its targets.
#[derive(Debug, Clone, Serialize)]
pub struct DeliveryRecord {
    /// The event.
    pub event_id: Uuid,
    /// The event's type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The target.
    pub module: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// Attempts made.
    pub attempts: i64,
    /// When it is due, if it is pending in the store.
    #[serde(with = "time::serde::rfc3339::option")]
    pub available_at: Option<OffsetDateTime>,
    /// Its last failures, 20 at most, the latest last.
    pub errors: Value,
    /// When it last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// An event with its deliveries and everything of its chain.
#[derive(Debug, Clone, Serialize)]
pub struct EventDetail {
    /// The event.
    pub event: EventRecord,
    /// Its deliveries, by module.
    pub deliveries: Vec<DeliveryRecord>,
    /// All events that it caused, directly or not, in the order of the log.
    pub caused: Vec<EventRecord>,
}

/// A module as the store knows it.
#[derive(Debug, Clone, Serialize)]
pub struct ModuleRecord {
    /// Its name.
    pub name: String,
    /// Since when it is paused.
    #[serde(with = "time::serde::rfc3339::option")]
    pub paused_at: Option<OffsetDateTime>,
    /// The event types that it subscribes to.
    pub subscriptions: Vec<String>,
    /// Deliveries that wait in the store.
    pub pending: i64,
    /// Dead letters.
    pub dead: i64,
}

/// Part of a longer list.
#[derive(Debug, Clone, Serialize)]
pub struct Page<T> {
    /// The records.
    pub items: Vec<T>,
    /// What to ask with for the next page; `None` at the end.
    pub next_cursor: Option<i64>,
}
