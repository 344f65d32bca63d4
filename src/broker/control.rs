//! What an embedder and an operator ask of the broker: modules, health, shutdown.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;

use super::Broker;
use crate::ledger::{DeadLetter, ModuleId, ModuleSpec, ModuleStart, WorkerEnd};
use crate::maintenance;
use crate::module::ModuleHealth;
use crate::supervisor::Definition;

/// The answer to a question about health.
pub(crate) type Health = Vec<ModuleHealth>;

/// A request of an embedder or an operator.
pub(crate) enum Control {
    Add {
        definition: Box<Definition>,
        start: ModuleStart,
        reply: oneshot::Sender<()>,
    },
    Remove {
        name: Arc<str>,
        reply: oneshot::Sender<bool>,
    },
    Pause {
        name: Arc<str>,
        reply: oneshot::Sender<bool>,
    },
    Resume {
        name: Arc<str>,
        reply: oneshot::Sender<bool>,
    },
    Restart {
        name: Arc<str>,
        reply: oneshot::Sender<bool>,
    },
    /// Whether an ordered module may use the live path: this node has its lease and is alone.
    Lease {
        name: Arc<str>,
        lease: Lease,
    },
    Health(oneshot::Sender<Health>),
    Shutdown {
        deadline: Duration,
        reply: oneshot::Sender<()>,
    },
}

/// What this node may do with an ordered module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lease {
    /// Another node runs it.
    Elsewhere,
    /// It runs here, and other nodes publish too: all of its deliveries go through rows.
    Shared,
    /// It runs here, and no other node is alive.
    Sole,
}

/// How far a shutdown has come.
pub(super) enum Phase {
    Running,
    /// No new events; what is in memory is worked off until the deadline.
    Draining {
        until: Duration,
        reply: oneshot::Sender<()>,
    },
    /// Workers hand back what they have not begun, and have a moment for what they have.
    HandingBack {
        until: Duration,
        reply: oneshot::Sender<()>,
    },
    /// Everything left goes to the store.
    Leaving {
        until: Duration,
        reply: oneshot::Sender<()>,
    },
    Stopped,
}

/// Workers of a module that may end within a window before all of its breakers open.
const RESTARTS_MAX: usize = 5;
const RESTART_WINDOW: Duration = Duration::from_mins(1);
/// How long a handler may go on when the deadline has passed.
const LAST_MOMENT: Duration = Duration::from_millis(200);
/// How long the store may take to write down what is left.
const WRITE_MAX: Duration = Duration::from_secs(10);

impl Phase {
    pub(super) fn refuses_events(&self) -> bool {
        !matches!(self, Self::Running)
    }

    pub(super) fn claims(&self) -> bool {
        matches!(self, Self::Running)
    }
}

impl Broker {
    pub(super) fn control(&mut self, control: Control) {
        match control {
            Control::Add { definition, start, reply } => {
                self.add(*definition, start);
                reply.send(()).ok();
            }
            Control::Remove { name, reply } => {
                let found = self.find(&name);
                if let Some(module) = found {
                    self.ledger.remove_module(self.now(), module);
                    self.modules.remove(&module);
                    self.supervisor.retire(module);
                }
                reply.send(found.is_some()).ok();
            }
            Control::Pause { name, reply } => {
                let found = self.find(&name).map(|module| self.ledger.pause(self.now(), module));
                reply.send(found.is_some()).ok();
            }
            Control::Resume { name, reply } => {
                let found = self.find(&name).map(|module| self.ledger.resume(self.now(), module));
                reply.send(found.is_some()).ok();
            }
            Control::Restart { name, reply } => {
                let found = self.find(&name).map(|module| self.restart(module));
                reply.send(found.is_some()).ok();
            }
            Control::Lease { name, lease } => {
                if let Some(module) = self.find(&name) {
                    self.ledger.set_lease(
                        self.now(),
                        module,
                        lease != Lease::Elsewhere,
                        lease == Lease::Sole,
                    );
                }
            }
            Control::Health(reply) => {
                reply.send(self.health()).ok();
            }
            Control::Shutdown { deadline, reply } => {
                let until = self.now() + deadline;
                self.phase = Phase::Draining { until, reply };
            }
        }
    }

    fn add(&mut self, definition: Definition, start: ModuleStart) {
        let options = &definition.options;
        let spec = ModuleSpec {
            name: Arc::clone(&definition.name),
            workers: options.workers,
            order: options.order,
            retry: options.retry.clone(),
            breaker: options.breaker.clone(),
            capacity: options.capacity,
            capacity_bytes: options.capacity_bytes,
            restart_limit: RESTARTS_MAX,
            restart_window: RESTART_WINDOW,
        };
        let module = self.ledger.add_module(spec, start);
        self.modules.insert(module, definition);
    }

    fn find(&self, name: &str) -> Option<ModuleId> {
        let found = self.modules.iter().find(|(_, definition)| &*definition.name == name);
        found.map(|(module, _)| *module)
    }

    fn restart(&mut self, module: ModuleId) {
        for worker in self.supervisor.retire(module) {
            self.ledger.worker_ended(self.now(), worker, WorkerEnd::Collateral, None);
        }
    }

    fn health(&self) -> Health {
        let mut health: Health = self
            .modules
            .iter()
            .filter_map(|(module, definition)| {
                let ledger = self.ledger.health(self.now(), *module)?;
                Some(ModuleHealth::new(definition, ledger, self.supervisor.is_blocking(*module)))
            })
            .collect();
        health.sort_by(|a, b| a.name.cmp(&b.name));
        health
    }

    pub(super) fn report_dead(&mut self, dead: DeadLetter) {
        tracing::error!(
            module = &*dead.module, event = %dead.envelope.id, event_type = &*dead.envelope.event_type,
            attempts = dead.attempts, error = dead.failure.message, "delivery became a dead letter"
        );
        if dead.exhausted {
            maintenance::publish_system_error(&self.services, dead);
        }
    }

    /// Moves a shutdown on when its time has come or its work is done.
    pub(super) fn advance_shutdown(&mut self, now: Duration) {
        let idle = self.ledger.is_drained() && self.commits.is_idle();
        self.phase = match std::mem::replace(&mut self.phase, Phase::Stopped) {
            Phase::Draining { until, reply } if idle || now >= until => {
                self.services.stopping.store(true, Ordering::Relaxed);
                self.ledger.drain(now);
                Phase::HandingBack { until: until.max(now) + LAST_MOMENT, reply }
            }
            Phase::HandingBack { until, reply } if idle || now >= until => {
                self.ledger.abandon(now);
                Phase::Leaving { until: now + WRITE_MAX, reply }
            }
            Phase::Leaving { until, reply } if idle || now >= until => {
                self.hear_no_more();
                reply.send(()).ok();
                Phase::Stopped
            }
            unchanged => unchanged,
        };
    }
}
