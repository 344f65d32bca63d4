//! How a module is doing.

use serde::Serialize;

use crate::breaker::BreakerState;
use crate::ledger::LedgerHealth;
use crate::supervisor::Definition;

pub use crate::delivery::ModuleState;

/// How a module that this process hosts is doing.
#[derive(Debug, Clone, Serialize)]
pub struct ModuleHealth {
    /// The module's name.
    pub name: String,
    /// Where its share of new events goes.
    pub state: ModuleState,
    /// Deliveries that wait in memory.
    pub queued: u32,
    /// Deliveries that workers have.
    pub in_flight: u32,
    /// Workers that it should have.
    pub workers: u32,
    /// Workers that take deliveries.
    pub workers_ready: u32,
    /// Workers that ended and were built anew.
    pub restarts: u64,
    /// Deliveries acknowledged since the start.
    pub acked: u64,
    /// Attempts failed since the start.
    pub failed: u64,
    /// The last failure's message.
    pub last_failure: Option<String>,
    /// A handler of it blocks its thread right now.
    pub blocks_its_thread: bool,
    /// The breakers of its handlers, by event type.
    pub breakers: Vec<BreakerHealth>,
}

/// How the breaker of one handler stands.
#[derive(Debug, Clone, Serialize)]
pub struct BreakerHealth {
    /// The event type.
    pub event_type: String,
    /// Closed, open or half-open.
    pub state: BreakerState,
    /// How often it has opened.
    pub opens: u64,
}

impl ModuleHealth {
    pub(crate) fn new(definition: &Definition, ledger: LedgerHealth, blocks_its_thread: bool) -> Self {
        Self {
            name: definition.name.to_string(),
            state: ledger.state,
            queued: ledger.queued,
            in_flight: ledger.in_flight,
            workers: definition.options.workers,
            workers_ready: ledger.workers_ready,
            restarts: ledger.restarts_total,
            acked: ledger.acked_total,
            failed: ledger.failures_total,
            last_failure: ledger.last_failure,
            blocks_its_thread,
            breakers: ledger
                .breakers
                .into_iter()
                .map(|(event_type, state, opens)| BreakerHealth {
                    event_type: event_type.to_string(),
                    state,
                    opens,
                })
                .collect(),
        }
    }
}
